<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Driver;

use PhaseBased\Plasm\Exception\DriverException;
use PhaseBased\Plasm\Exception\InvalidRequestException;

/**
 * Chooses the way to the network: libplasm where PHP may call it, else the plasm command.
 *
 * @internal
 */
final class DriverFactory
{
    /**
     * @param array<string, mixed> $settings plasm_client_new's options
     * @throws DriverException that names what is missing and the command that brings it
     */
    public static function create(string $choice, array $settings, ?string $library, ?string $command): Driver
    {
        $locator = new Locator();
        if ($choice === 'auto') {
            $choice = (string) getenv('PLASM_DRIVER') ?: 'auto';
        }
        return match ($choice) {
            'ffi' => self::ffi($locator, $settings, $library),
            'process' => self::process($locator, $settings, $command),
            'auto' => self::first($locator, $settings, $library, $command),
            default => throw new InvalidRequestException("no such driver: $choice; there are auto, ffi, process"),
        };
    }

    /**
     * @param array<string, mixed> $settings
     */
    private static function first(Locator $locator, array $settings, ?string $library, ?string $command): Driver
    {
        try {
            return self::ffi($locator, $settings, $library);
        } catch (DriverException $noLibrary) {
            // A library that was named and does not work is not to be passed over in silence.
            if (FfiDriver::obstacle() === null && ($library ?? $locator->namedLibrary()) !== null) {
                throw $noLibrary;
            }
        }
        try {
            return self::process($locator, $settings, $command);
        } catch (DriverException $noCommand) {
            throw new DriverException(
                $noLibrary->getMessage() . "\n" . $noCommand->getMessage() . "\n" . $locator->advice()
            );
        }
    }

    /**
     * @param array<string, mixed> $settings
     */
    private static function ffi(Locator $locator, array $settings, ?string $library): FfiDriver
    {
        $obstacle = FfiDriver::obstacle();
        if ($obstacle !== null) {
            throw new DriverException("PHP cannot call libplasm: $obstacle.");
        }
        $path = $library ?? $locator->library();
        if ($path === null) {
            throw new DriverException('libplasm was not found (PLASM_LIBRARY names it).');
        }
        return new FfiDriver($path, $settings);
    }

    /**
     * @param array<string, mixed> $settings
     */
    private static function process(Locator $locator, array $settings, ?string $command): ProcessDriver
    {
        $path = $command ?? $locator->command();
        if ($path === null) {
            throw new DriverException('The plasm command was not found (PLASM_COMMAND names it).');
        }
        return new ProcessDriver($path, $settings);
    }
}
