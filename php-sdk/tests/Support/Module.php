<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Support;

/**
 * WebAssembly modules that end as a test needs it. Bytes by hand (WebAssembly 1.0, "Binary Format").
 */
final class Module
{
    private const HELLO = __DIR__ . '/../../../wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm';

    public static function hello(): string
    {
        return (string) file_get_contents(self::HELLO);
    }

    /** Hits `unreachable`. */
    public static function trap(): string
    {
        return self::program("\x00");
    }

    /** Runs for ever. */
    public static function endless(): string
    {
        return self::program("\x03\x40\x0c\x00\x0b");
    }

    /** Calls proc_exit(code); code below 64. */
    public static function exit(int $code): string
    {
        return self::program("\x41" . chr($code) . "\x10\x00", 'proc_exit', "\x60\x01\x7f\x00");
    }

    /** Writes "tick\n" to standard output, then runs for ever. */
    public static function tickThenEndless(): string
    {
        // The iovec at 8 points to the five bytes at 16; the count goes to 0.
        $data = "\x00\x41\x08\x0b" . self::sized("\x10\x00\x00\x00\x05\x00\x00\x00tick\n");
        $write = "\x41\x01\x41\x08\x41\x01\x41\x00\x10\x00\x1a";
        return self::program("$write\x03\x40\x0c\x00\x0b", 'fd_write', "\x60\x04\x7f\x7f\x7f\x7f\x01\x7f", $data);
    }

    /**
     * A module whose `_start` has this body, with at most one import as function 0.
     */
    private static function program(string $body, string $import = '', string $type = '', string $data = ''): string
    {
        $imported = $import !== '';
        $sections = [
            1 => [self::vector($imported ? ["\x60\x00\x00", $type] : ["\x60\x00\x00"])],
            2 => $imported
                ? [self::vector([self::sized('wasi_snapshot_preview1') . self::sized($import) . "\x00\x01"])]
                : [],
            3 => [self::vector(["\x00"])],
            5 => [self::vector(["\x00\x01"])],
            7 => [self::vector([
                self::sized('memory') . "\x02\x00",
                self::sized('_start') . "\x00" . ($imported ? "\x01" : "\x00"),
            ])],
            10 => [self::vector([self::sized("\x00$body\x0b")])],
            11 => $data === '' ? [] : [self::vector([$data])],
        ];
        $module = "\x00asm\x01\x00\x00\x00";
        foreach ($sections as $id => $contents) {
            foreach ($contents as $content) {
                $module .= chr($id) . self::sized($content);
            }
        }
        return $module;
    }

    /**
     * @param list<string> $items
     */
    private static function vector(array $items): string
    {
        return chr(count($items)) . implode('', $items);
    }

    private static function sized(string $bytes): string
    {
        if (strlen($bytes) > 127) {
            throw new \LengthException('sizes of one byte are enough for these modules');
        }
        return chr(strlen($bytes)) . $bytes;
    }
}
