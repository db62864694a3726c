<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Unit;

use PhaseBased\Plasm\Tests\Support\Command;
use PhaseBased\Plasm\Tests\Support\Directory;
use PhaseBased\Plasm\Tests\Support\Worker;
use PHPUnit\Framework\TestCase;

/**
 * The examples' screens, to the letter of the demo guide, against a plasm command without a network.
 */
final class ExamplesTest extends TestCase
{
    private const ROOT = __DIR__ . '/../../..';
    private const TITLE = "Phase Remote Execution Test\n===========================\n\nDiscovering nodes...\n";

    public function testTheGuidesScreen(): void
    {
        $run = $this->example('remote_test.php');
        self::assertSame($this->screen(), $run->output);
        self::assertSame(0, $run->exitCode);
        self::assertSame('', $run->errors);
    }

    public function testRunsFromAnyDirectory(): void
    {
        foreach (['/', self::ROOT, self::ROOT . '/examples'] as $directory) {
            $run = Command::run([PHP_BINARY, $this->path('remote_test.php')], $directory, $this->environment(''));
            self::assertSame($this->screen(), $run->output);
        }
    }

    public function testTimings(): void
    {
        $run = $this->example('remote_test.php', '', ['--timings', '192.0.2.1']);
        self::assertSame(0, $run->exitCode);
        $rows = "\n\nTimings:\n  Discovery: 51.2ms\n  Job Submission: 1.2ms\n  Execution (WASM): 2.3ms\n"
            . "  Result Return: 0.3ms\n  Total: %fms\n\nTest complete!\n";
        self::assertStringMatchesFormat('%A' . $rows, $run->output);
    }

    public function testNoNodes(): void
    {
        $expected = "✗ No nodes discovered. Ensure plasmd is running on a remote host.\n";
        $run = $this->example('remote_test.php', 'none', ['192.0.2.1']);
        self::assertSame(self::TITLE . $expected, $run->output);
        self::assertSame(1, $run->exitCode);
        // What was tried, and what to do next.
        self::assertStringContainsString("/ip4/192.0.2.1/udp/4001/quic-v1: no answer in time\n", $run->errors);
        self::assertStringContainsString('sudo systemctl status plasmd', $run->errors);
        $run = $this->example('multi_node_test.php', 'none');
        $title = "Phase Multi-Node Test\n=====================\n\nDiscovering nodes...\n";
        self::assertSame($title . $expected, $run->output);
        self::assertSame(1, $run->exitCode);
    }

    public function testSubmissionFails(): void
    {
        $node = (new Worker())->peerId;
        $run = $this->example('remote_test.php', 'unreachable');
        self::assertStringEndsWith(
            "Runtime: wasmtime-48\n\nSubmitting job: hello.wasm\n✗ Submission failed: Connection refused\n",
            $run->output
        );
        self::assertSame(1, $run->exitCode);
        self::assertStringContainsString($node, $run->errors);
        self::assertStringContainsString('sudo journalctl -u plasmd', $run->errors);
        $run = $this->example('remote_test.php', 'refused');
        self::assertStringEndsWith("✗ Submission failed: memory_bytes is over the worker's limit\n", $run->output);
        self::assertSame(1, $run->exitCode);
    }

    /**
     * @testWith ["tampered"]
     *           ["untrusted"]
     *           ["liar"]
     */
    public function testSignatureVerificationFails(string $mode): void
    {
        $run = $this->example('remote_test.php', $mode);
        $expected = "\nWaiting for execution...\n\nReceipt Verification:\n✗ Signature verification failed\n";
        self::assertStringEndsWith($expected, $run->output);
        self::assertStringNotContainsString('✓ Receipt', $run->output);
        self::assertSame(1, $run->exitCode);
        self::assertNotSame('', $run->errors);
    }

    public function testTheJobIsShownBeforeItEnds(): void
    {
        $script = $this->path('remote_test.php');
        $process = proc_open(
            [PHP_BINARY, $script],
            [['file', '/dev/null', 'r'], ['pipe', 'w'], ['file', '/dev/null', 'w']],
            $pipes,
            null,
            $this->environment('slow') + getenv()
        );
        $seen = '';
        while (!str_contains($seen, 'Waiting') && ($line = fgets($pipes[1])) !== false) {
            $seen .= $line;
        }
        self::assertStringContainsString('✓ Job submitted: 550e8400-e29b-41d4-a716-446655440000', $seen);
        self::assertStringNotContainsString('Execution complete', $seen);
        proc_terminate($process);
        proc_close($process);
    }

    /**
     * @testWith ["lost", "✗ Execution failed: the connection to the node ended"]
     *           ["trap", "✗ Execution failed: trap"]
     *           ["crash", "✗ Discovery failed: the plasm command ended without an answer: fake-plasm: crash"]
     */
    public function testOtherFailures(string $mode, string $last): void
    {
        $run = $this->example('remote_test.php', $mode);
        self::assertStringEndsWith("\n$last\n", $run->output);
        self::assertSame(1, $run->exitCode);
    }

    public function testAnotherExitCodeIsAFailure(): void
    {
        $run = $this->example('remote_test.php', 'exit');
        self::assertStringEndsWith("  Exit code: 3\n  Wall time: 235ms\n", $run->output);
        self::assertSame(1, $run->exitCode);
    }

    public function testMultiNode(): void
    {
        $run = $this->example('multi_node_test.php', 'three');
        $expected = "Phase Multi-Node Test\n=====================\n\nDiscovering nodes...\n";
        foreach (['worker', 'second', 'third'] as $name) {
            $expected .= '✓ Node discovered: ' . (new Worker($name))->peerId . "\n"
                . "  Architecture: x86_64\n  Runtime: wasmtime-48\n";
        }
        self::assertSame($expected . "\n3 nodes discovered\n\nTest complete!\n", $run->output);
        self::assertSame(0, $run->exitCode);
        $run = $this->example('multi_node_test.php');
        self::assertStringEndsWith("\n1 node discovered\n\nTest complete!\n", $run->output);
    }

    public function testWhereItStarts(): void
    {
        $directory = new Directory();
        $log = "{$directory->path}/log";
        foreach ([[['192.0.2.1', 'node.example:4002'], null], [[], '192.0.2.3,192.0.2.4'], [[], null]] as $given) {
            [$arguments, $variable] = $given;
            Command::run(
                [PHP_BINARY, $this->path('multi_node_test.php'), ...$arguments],
                null,
                ['FAKE_PLASM_LOG' => $log, 'PLASM_BOOTSTRAP' => $variable] + $this->environment('')
            );
        }
        $starts = array_map(static fn (string $line): string => json_decode($line)[3], file($log));
        self::assertSame([
            '{"bootstrap":["192.0.2.1","node.example:4002"]}',
            '{"bootstrap":["192.0.2.3","192.0.2.4"]}',
            '{}',
        ], $starts);
    }

    public function testTheCommandLine(): void
    {
        $run = $this->example('remote_test.php', '', ['--help']);
        self::assertSame(0, $run->exitCode);
        self::assertStringContainsString('--timings', $run->output);
        $run = $this->example('remote_test.php', '', ['--timing']);
        self::assertSame(1, $run->exitCode);
        self::assertSame('', $run->output);
        self::assertStringContainsString('unknown flag --timing', $run->errors);
    }

    private function screen(): string
    {
        $node = (new Worker())->peerId;
        return self::TITLE . <<<TEXT
            ✓ Node discovered: $node
              Architecture: x86_64
              Runtime: wasmtime-48

            Submitting job: hello.wasm
            ✓ Job submitted: 550e8400-e29b-41d4-a716-446655440000

            Waiting for execution...
            ✓ Execution complete

            Result:
              Output: dlroW ,olleH
              Exit code: 0
              Wall time: 235ms

            Receipt Verification:
            ✓ Signature valid
            ✓ Module hash matches
            ✓ Receipt verified

            Test complete!

            TEXT;
    }

    /**
     * @param list<string> $arguments
     */
    private function example(string $script, string $mode = '', array $arguments = []): Command
    {
        return Command::run([PHP_BINARY, $this->path($script), ...$arguments], '/', $this->environment($mode));
    }

    private function path(string $script): string
    {
        return realpath(self::ROOT) . "/examples/$script";
    }

    /**
     * @return array<string, string>
     */
    private function environment(string $mode): array
    {
        return [
            'PLASM_DRIVER' => 'process',
            'PLASM_COMMAND' => realpath(__DIR__ . '/../Support/fake-plasm'),
            'FAKE_PLASM' => $mode,
        ];
    }
}
