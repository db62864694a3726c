<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Support;

/**
 * A program that was run to its end: what it printed and how it ended.
 */
final class Command
{
    private function __construct(
        public readonly int $exitCode,
        public readonly string $output,
        public readonly string $errors,
        public readonly float $seconds,
    ) {
    }

    /**
     * @param list<string> $command
     * @param array<string, string|null> $environment changes to this process's; null takes away
     */
    public static function run(array $command, ?string $directory = null, array $environment = []): self
    {
        $output = tmpfile();
        $errors = tmpfile();
        $start = hrtime(true);
        $descriptors = [['file', '/dev/null', 'r'], $output, $errors];
        $merged = array_filter($environment + getenv(), static fn (?string $value): bool => $value !== null);
        $process = proc_open($command, $descriptors, $pipes, $directory, $merged);
        $exitCode = proc_close($process);
        $seconds = (hrtime(true) - $start) / 1e9;
        rewind($output);
        rewind($errors);
        return new self($exitCode, stream_get_contents($output), stream_get_contents($errors), $seconds);
    }
}
