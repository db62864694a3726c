<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Unit;

use PhaseBased\Plasm\Exception\DriverException;
use PhaseBased\Plasm\Exception\PlasmException;
use PhaseBased\Plasm\Tests\Support\Command;
use PhaseBased\Plasm\Tests\Support\Directory;
use PHPUnit\Framework\TestCase;

/**
 * The header that PHP reads is the one the library is built from.
 */
final class HeaderTest extends TestCase
{
    private const RESOURCES = __DIR__ . '/../../resources';
    private const HEADER = __DIR__ . '/../../../lib/include/plasm.h';

    public function testIsUpToDate(): void
    {
        $directory = new Directory();
        $made = "{$directory->path}/plasm.ffi.h";
        $command = Command::run(['sh', self::RESOURCES . '/generate.sh', $made]);
        self::assertSame(0, $command->exitCode, $command->errors);
        self::assertSame(
            self::words((string) file_get_contents($made)),
            self::words((string) file_get_contents(self::RESOURCES . '/plasm.ffi.h')),
            'run php-sdk/resources/generate.sh'
        );
    }

    /**
     * @requires extension ffi
     */
    public function testPhpCanReadIt(): void
    {
        // Without the functions, which have to be in a library; types and constants are read the same.
        $header = (string) file_get_contents(self::RESOURCES . '/plasm.ffi.h');
        $header = \FFI::cdef(preg_replace('/^[^\n;{}]*\([^;]*;/m', '', $header));
        self::assertSame(-10, $header->PLASM_TIMEOUT);
        self::assertSame(-7, $header->PLASM_NOT_FOUND);
    }

    /**
     * Every error of the library has its exception, and every exception an error.
     */
    public function testEveryErrorHasItsException(): void
    {
        preg_match_all('/^    PLASM_(\w+) = -\d+,/m', (string) file_get_contents(self::HEADER), $matches);
        self::assertGreaterThanOrEqual(20, count($matches[1]));
        $known = (new \ReflectionClassConstant(PlasmException::class, 'CLASSES'))->getValue();
        self::assertSame(array_map('strtolower', $matches[1]), array_keys($known));
        foreach ($known as $name => $class) {
            $exception = PlasmException::named($name, 'what failed');
            self::assertInstanceOf($class, $exception);
            self::assertSame([$name, 'what failed'], [$exception->errorName(), $exception->getMessage()]);
        }
        self::assertInstanceOf(DriverException::class, PlasmException::named('unheard_of', ''));
    }

    private static function words(string $text): string
    {
        preg_match_all('/\w+|[^\w\s]/', $text, $matches);
        return implode(' ', $matches[0]);
    }
}
