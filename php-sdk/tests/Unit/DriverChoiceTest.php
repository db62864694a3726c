<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Unit;

use PhaseBased\Plasm\Client;
use PhaseBased\Plasm\Exception\DriverException;
use PhaseBased\Plasm\Tests\Support\Directory;
use PhaseBased\Plasm\Tests\Support\WebServer;
use PHPUnit\Framework\TestCase;

/**
 * Which way to the network a client takes, and what it says when there is none.
 */
final class DriverChoiceTest extends TestCase
{
    private const COMMAND = __DIR__ . '/../Support/fake-plasm';

    protected function tearDown(): void
    {
        foreach (['PLASM_LIBRARY', 'PLASM_COMMAND', 'PLASM_DRIVER', 'FAKE_PLASM'] as $name) {
            putenv($name);
        }
    }

    public function testALibraryThatWasNamedIsNotPassedOver(): void
    {
        $this->expectException(DriverException::class);
        $this->expectExceptionMessage('/nowhere/libplasm.so');
        new Client(['library' => '/nowhere/libplasm.so', 'command' => self::COMMAND]);
    }

    /**
     * @requires extension ffi
     */
    public function testAnotherLibraryIsRefused(): void
    {
        $directory = new Directory();
        $notALibrary = $directory->write('libplasm.so', 'no library at all');
        $this->expectException(DriverException::class);
        $this->expectExceptionMessage($notALibrary);
        new Client(['driver' => 'ffi', 'library' => $notALibrary]);
    }

    public function testProcessOnDemand(): void
    {
        self::assertSame('process', (new Client(['driver' => 'process', 'command' => self::COMMAND]))->driverName());
        putenv('PLASM_DRIVER=process');
        putenv('PLASM_COMMAND=' . self::COMMAND);
        self::assertSame('process', (new Client())->driverName());
    }

    /**
     * Outside the command line PHP refuses FFI by default: the SDK takes the command by itself.
     */
    public function testPhpsWebServerMayNotUseFfi(): void
    {
        $server = new WebServer(__DIR__ . '/../Support/web.php', [
            'PLASM_COMMAND' => self::COMMAND,
            'FAKE_PLASM' => '',
        ]);
        $answer = json_decode($server->get('/run'), true);
        self::assertSame('cli-server', $answer['sapi']);
        self::assertSame('process', $answer['driver']);
        self::assertSame('dlroW ,olleH', $answer['output']);
        self::assertSame('verified', $answer['receipt']);
    }

    public function testWhatIsMissingAndHowToGetIt(): void
    {
        $server = new WebServer(__DIR__ . '/../Support/web.php', ['PLASM_COMMAND' => '/nowhere/plasm']);
        $answer = json_decode($server->get('/run'), true);
        self::assertSame(DriverException::class, $answer['error']);
        self::assertStringContainsString('/nowhere/plasm is not a program', $answer['message']);
        self::assertStringContainsString('ffi', $answer['message']);
        self::assertStringContainsString('composer install --working-dir=php-sdk', $answer['message']);
    }
}
