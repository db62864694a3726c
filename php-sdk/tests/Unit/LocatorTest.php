<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Unit;

use PhaseBased\Plasm\Driver\Locator;
use PhaseBased\Plasm\Tests\Support\Directory;
use PHPUnit\Framework\TestCase;

/**
 * Where libplasm and the plasm command are looked for, and in which order.
 */
final class LocatorTest extends TestCase
{
    private Directory $directory;
    private string|false $path;

    protected function setUp(): void
    {
        $this->directory = new Directory();
        $this->path = getenv('PATH');
        putenv('PATH=');
    }

    protected function tearDown(): void
    {
        putenv("PATH={$this->path}");
        putenv('PLASM_LIBRARY');
        putenv('PLASM_COMMAND');
    }

    public function testLibraryInOrder(): void
    {
        self::assertNull($this->locator()->library());
        $machine = php_uname('m');
        $places = [
            'usr/lib/libplasm.so.0',
            "usr/lib/$machine-linux-gnu/libplasm.so.0",
            'brew/lib/libplasm.so',
            'checkout/php-sdk/build/lib/libplasm.so',
        ];
        foreach (array_slice($places, 1) as $place) {
            $path = $this->directory->write($place);
            self::assertSame($path, $this->locator()->library());
        }
        // A build directory beside an SDK that is part of no checkout is somebody else's.
        $build = $this->directory->write('checkout/build/lib/libplasm.so');
        self::assertNotSame($build, $this->locator()->library());
        $this->directory->write('checkout/CMakeLists.txt');
        $this->directory->write('checkout/lib/include/plasm.h');
        self::assertSame($build, $this->locator()->library());
        putenv('PLASM_LIBRARY=/named/libplasm.so');
        self::assertSame('/named/libplasm.so', $this->locator()->library());
    }

    public function testLibraryOnMacOs(): void
    {
        $this->directory->write('brew/lib/libplasm.so');
        self::assertNull($this->locator('Darwin')->library());
        $path = $this->directory->write('brew/lib/libplasm.0.dylib');
        self::assertSame($path, $this->locator('Darwin')->library());
    }

    public function testCommandInOrder(): void
    {
        self::assertNull($this->locator()->command());
        $this->directory->write('usr/bin/plasm', '', 0600);
        self::assertNull($this->locator()->command(), 'a file that cannot be executed');
        $usr = $this->directory->write('usr/bin/plasm', '', 0700);
        self::assertSame($usr, $this->locator()->command());
        $inPath = $this->directory->write('elsewhere/plasm', '', 0700);
        putenv('PATH=/nowhere:' . dirname($inPath));
        self::assertSame($inPath, $this->locator()->command());
        $own = $this->directory->write('checkout/php-sdk/build/bin/plasm', '', 0700);
        self::assertSame($own, $this->locator()->command());
        putenv('PLASM_COMMAND=/named/plasm');
        self::assertSame('/named/plasm', $this->locator()->command());
    }

    public function testTheOneCommandForThisSystem(): void
    {
        self::assertStringStartsWith('git clone ', $this->locator()->installCommand());
        $this->directory->write('checkout/CMakeLists.txt');
        $this->directory->write('checkout/lib/include/plasm.h');
        $checkout = "{$this->directory->path}/checkout";
        self::assertSame($checkout, $this->locator()->checkout());
        self::assertSame("cd $checkout && tools/build-macos", $this->locator('Darwin')->installCommand());
        self::assertFileExists(dirname(__DIR__, 3) . '/tools/build-macos');
        foreach (['Linux', 'BSD'] as $family) {
            $command = $this->locator($family)->installCommand();
            self::assertStringEndsWith('composer install --working-dir=php-sdk', $command);
            self::assertStringNotContainsString("\n", $command);
        }
        if (is_executable('/usr/bin/apt-get')) {
            self::assertStringContainsString('tools/install-deps build', $this->locator()->installCommand());
        }
    }

    private function locator(string $family = 'Linux'): Locator
    {
        $prefixes = ["{$this->directory->path}/brew", "{$this->directory->path}/usr"];
        return new Locator("{$this->directory->path}/checkout/php-sdk", $prefixes, $family);
    }
}
