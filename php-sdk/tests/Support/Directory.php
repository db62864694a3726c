<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Support;

/**
 * A temporary directory that goes with the object.
 */
final class Directory
{
    public readonly string $path;

    public function __construct()
    {
        $this->path = sys_get_temp_dir() . '/plasm-test-' . bin2hex(random_bytes(6));
        mkdir($this->path, 0700);
    }

    public function __destruct()
    {
        self::remove($this->path);
    }

    /** Writes a file, with the directories above it; returns its path. */
    public function write(string $name, string $bytes = '', int $mode = 0600): string
    {
        $path = "{$this->path}/$name";
        if (!is_dir(dirname($path))) {
            mkdir(dirname($path), 0700, true);
        }
        file_put_contents($path, $bytes);
        chmod($path, $mode);
        return $path;
    }

    /**
     * Copies a directory tree but for the names to leave out.
     *
     * @param list<string> $except
     */
    public static function copy(string $from, string $to, array $except = []): void
    {
        mkdir($to, 0700, true);
        foreach (array_diff((array) scandir($from), ['.', '..'], $except) as $name) {
            if (is_dir("$from/$name")) {
                self::copy("$from/$name", "$to/$name", $except);
            } else {
                copy("$from/$name", "$to/$name");
                chmod("$to/$name", fileperms("$from/$name") & 0777);
            }
        }
    }

    private static function remove(string $path): void
    {
        if (is_link($path) || !is_dir($path)) {
            @unlink($path);
            return;
        }
        foreach (array_diff((array) scandir($path), ['.', '..']) as $name) {
            self::remove("$path/$name");
        }
        @rmdir($path);
    }
}
