<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Unit;

use PhaseBased\Plasm\Client;
use PhaseBased\Plasm\Exception\DriverException;
use PhaseBased\Plasm\Exception\InvalidRequestException;
use PhaseBased\Plasm\Exception\PlasmException;
use PhaseBased\Plasm\Exception\RefusedException;
use PhaseBased\Plasm\Exception\StateException;
use PhaseBased\Plasm\Exception\TimeoutException;
use PhaseBased\Plasm\Exception\UnreachableException;
use PhaseBased\Plasm\Exception\UntrustedException;
use PhaseBased\Plasm\Tests\Support\Worker;
use PHPUnit\Framework\TestCase;

/**
 * The conversation with the plasm command, as PROCESS_DRIVER.md has it.
 */
final class ProcessDriverTest extends TestCase
{
    private const COMMAND = __DIR__ . '/../Support/fake-plasm';

    private string $log;

    protected function setUp(): void
    {
        $this->log = (string) tempnam(sys_get_temp_dir(), 'plasm-test-');
        putenv("FAKE_PLASM_LOG={$this->log}");
    }

    protected function tearDown(): void
    {
        putenv('FAKE_PLASM');
        putenv('FAKE_PLASM_LOG');
        unlink($this->log);
    }

    public function testDiscover(): void
    {
        $found = $this->client('three')->discover(['max' => 3]);
        self::assertCount(3, $found);
        self::assertSame((new Worker())->peerId, $found->first()->peerId);
        self::assertSame(51200, $found->elapsedUs);
        $expected = ['discover', '--json', '--client-json', '{}', '--request-json', '{"max":3}'];
        self::assertSame([$expected], $this->commandLines());
    }

    public function testDiscoverNothing(): void
    {
        $found = $this->client('none')->discover();
        self::assertCount(0, $found);
        self::assertSame('no answer in time', $found->tried[0]['error']);
    }

    public function testRun(): void
    {
        $client = $this->client('', ['bootstrap' => '192.0.2.1, /ip4/192.0.2.2/udp/4001/quic-v1', 'state_dir' => '']);
        $result = $client->run('module', 'abc', ['args' => ["a'b \$x", 'ä']]);
        self::assertSame('cba', $result->output);
        self::assertSame(0, $result->exitCode);
        self::assertTrue($result->receipt->verify((new Worker())->peerId));
        $line = $this->commandLines()[0];
        $module = array_pop($line);
        self::assertSame([
            'run',
            '--json',
            '--client-json',
            '{"state_dir":"","bootstrap":["192.0.2.1","/ip4/192.0.2.2/udp/4001/quic-v1"]}',
            '--request-json',
            '{"args":["a\'b $x","\u00e4"],"summary":true,"remember":true}',
            '--stdin',
            '-',
        ], $line);
        self::assertFileDoesNotExist($module);
    }

    public function testLargeInputAndOutput(): void
    {
        $input = random_bytes(3 * 1024 * 1024);
        $job = $this->client('')->submit('module', $input);
        $chunks = 0;
        foreach ($job->output() as $chunk) {
            $chunks++;
        }
        self::assertGreaterThan(60, $chunks);
        self::assertTrue($job->wait()->output === strrev($input));
    }

    public function testCancel(): void
    {
        $job = $this->client('slow')->submit('module');
        $job->cancel();
        $result = $job->wait();
        self::assertSame('cancelled', $result->status);
        self::assertSame('', $result->output);
    }

    public function testAnAbandonedJobLeavesNoProcess(): void
    {
        $job = $this->client('slow')->submit('module');
        self::assertNotSame([], self::children());
        unset($job);
        self::assertSame([], self::children());
    }

    /**
     * @dataProvider failures
     * @param class-string<PlasmException> $class
     */
    public function testFailures(string $mode, string $class, string $message): void
    {
        $client = $this->client($mode);
        $this->expectException($class);
        $this->expectExceptionMessage($message);
        $client->run('module');
    }

    /**
     * @return iterable<string, array{string, class-string<PlasmException>, string}>
     */
    public static function failures(): iterable
    {
        yield 'refused' => ['refused', RefusedException::class, "memory_bytes is over the worker's limit"];
        yield 'unreachable' => ['unreachable', UnreachableException::class, 'cannot be reached'];
        yield 'lost' => ['lost', UnreachableException::class, 'the connection to the node ended'];
        yield 'untrusted' => ['untrusted', UntrustedException::class, 'signature'];
        yield 'tampered' => ['tampered', UntrustedException::class, 'signature'];
        yield 'output that is not the signed one' => ['liar', UntrustedException::class, 'stdout_hash'];
        yield 'crash' => ['crash', DriverException::class, 'ended without an answer: fake-plasm: crash'];
        yield 'garbage' => ['garbage', DriverException::class, 'this is not JSON'];
        yield 'list' => ['list', DriverException::class, 'no JSON object'];
        yield 'no event' => ['no event', DriverException::class, 'no event'];
        yield 'unknown event' => ['unknown event', DriverException::class, 'weather'];
        yield 'half a line' => ['half a line', DriverException::class, 'ended without an answer'];
        yield 'much on standard error' => ['loud', DriverException::class, 'the last words'];
    }

    public function testErrorsHaveTheLibrarysName(): void
    {
        try {
            $this->client('refused')->run('module');
            self::fail('a refused job');
        } catch (PlasmException $exception) {
            self::assertSame('refused', $exception->errorName());
        }
    }

    public function testACommandThatHangsIsEnded(): void
    {
        $client = $this->client('hang');
        $start = hrtime(true);
        try {
            // The grace on top is five seconds; nothing of a real deadline is waited for here.
            $client->discover(['timeout_ms' => -4900]);
            self::fail('a command that hangs');
        } catch (TimeoutException) {
            self::assertLessThan(3e9, hrtime(true) - $start);
        }
        self::assertSame([], self::children());
    }

    public function testAJobBelongsToItsProcess(): void
    {
        $job = $this->client('slow')->submit('module');
        $child = pcntl_fork();
        if ($child === 0) {
            // Neither PHPUnit's nor our own destructors are to run here.
            try {
                $job->wait();
                $code = 1;
            } catch (StateException) {
                $code = 42;
            }
            posix_kill(posix_getpid(), $code === 42 ? SIGUSR1 : SIGKILL);
        }
        pcntl_waitpid($child, $status);
        self::assertSame(SIGUSR1, pcntl_wtermsig($status));
        $job->cancel();
        self::assertSame('cancelled', $job->wait()->status);
    }

    public function testTheCommandHasToBeThere(): void
    {
        $this->expectException(DriverException::class);
        new Client(['driver' => 'process', 'command' => __DIR__ . '/nothing']);
    }

    public function testTextThatIsNotUtf8IsAnError(): void
    {
        $this->expectException(InvalidRequestException::class);
        $this->client('')->submit('module', '', ['args' => ["\xff"]]);
    }

    /**
     * @param array<string, mixed> $options
     */
    private function client(string $mode, array $options = []): Client
    {
        putenv("FAKE_PLASM=$mode");
        return new Client($options + ['driver' => 'process', 'command' => self::COMMAND]);
    }

    /**
     * @return list<list<string>>
     */
    private function commandLines(): array
    {
        return array_map(static fn (string $line): array => json_decode($line), file($this->log));
    }

    /**
     * Processes of this one that are still there.
     *
     * @return list<string>
     */
    private static function children(): array
    {
        $pid = getmypid();
        $children = trim((string) file_get_contents("/proc/$pid/task/$pid/children"));
        return $children === '' ? [] : explode(' ', $children);
    }
}
