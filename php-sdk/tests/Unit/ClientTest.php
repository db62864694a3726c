<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Unit;

use PhaseBased\Plasm\Client;
use PhaseBased\Plasm\Crypto;
use PhaseBased\Plasm\Exception\InvalidRequestException;
use PhaseBased\Plasm\Exception\StateException;
use PhaseBased\Plasm\Exception\UntrustedException;
use PhaseBased\Plasm\Job;
use PhaseBased\Plasm\Node;
use PhaseBased\Plasm\OutputChunk;
use PhaseBased\Plasm\Tests\Support\FakeDriver;
use PhaseBased\Plasm\Tests\Support\FakeJob;
use PhaseBased\Plasm\Tests\Support\Worker;
use PHPUnit\Framework\TestCase;

/**
 * What the client asks for, and that it believes nothing that does not hold.
 */
final class ClientTest extends TestCase
{
    private const MODULE = "\0asm\1\0\0\0";

    private Worker $worker;
    private FakeDriver $driver;
    private FakeJob $handle;

    protected function setUp(): void
    {
        $this->worker = new Worker();
    }

    public function testDiscover(): void
    {
        $driver = new FakeDriver([
            'nodes' => [[
                'peer_id' => $this->worker->peerId,
                'addresses' => ['/ip4/192.0.2.1/udp/4001/quic-v1'],
                'arch' => 'x86_64',
                'runtime' => 'wasmtime-48',
                'profiles' => ['wasip1'],
                'agent' => 'plasm/0.1.0',
                'free_slots' => 4,
                'price' => 0,
                'limits' => ['memory_bytes' => 1],
                'connect_us' => 321,
            ], ['peer_id' => 'another']],
            'tried' => [['address' => '/ip4/192.0.2.9/udp/4001/quic-v1', 'error' => 'timeout']],
            'elapsed_us' => 1234,
        ]);
        $client = new Client(['driver' => $driver]);
        $found = $client->discover(['arch' => 'x86_64', 'max' => 2]);
        self::assertSame([['arch' => 'x86_64', 'max' => 2]], $driver->queries);
        self::assertCount(2, $found);
        self::assertSame([$found->nodes[0], $found->nodes[1]], iterator_to_array($found));
        $node = $found->first();
        self::assertInstanceOf(Node::class, $node);
        self::assertSame($this->worker->peerId, $node->peerId);
        self::assertSame(['/ip4/192.0.2.1/udp/4001/quic-v1'], $node->addresses);
        self::assertSame(['x86_64', 'wasmtime-48', ['wasip1']], [$node->arch, $node->runtime, $node->profiles]);
        self::assertSame(['plasm/0.1.0', 4, 321], [$node->agent, $node->freeSlots, $node->connectUs]);
        self::assertSame([['address' => '/ip4/192.0.2.9/udp/4001/quic-v1', 'error' => 'timeout']], $found->tried);
        self::assertSame(1234, $found->elapsedUs);
        self::assertSame('fake', $client->driverName());
    }

    public function testDiscoverNothing(): void
    {
        $found = (new Client(['driver' => new FakeDriver()]))->discover();
        self::assertCount(0, $found);
        self::assertNull($found->first());
    }

    public function testRun(): void
    {
        $result = $this->client(output: 'out', stderr: 'err')->run(self::MODULE, 'input');
        self::assertSame(['out', 'err'], [$result->output, $result->stderr]);
        self::assertSame([0, 'ok'], [$result->exitCode, $result->status]);
        self::assertSame(235, $result->wallTimeMs);
        self::assertTrue($result->isOk());
        self::assertTrue($result->receipt->verify($this->worker->peerId));
        self::assertSame(2300, $result->timings->executeUs);
        self::assertSame(3940, $result->timings->totalUs);
    }

    public function testSummaryIsTheGuidesManualCheck(): void
    {
        $result = $this->client(output: 'out')->run(self::MODULE);
        [$summary, $signature] = $result->summary();
        self::assertSame(['job_id', 'module_hash', 'exit_code', 'wall_time_ms'], array_keys($summary));
        self::assertSame(235, $summary['wall_time_ms']);
        self::assertTrue((new Crypto())->verify($summary, $signature, $this->worker->peerId));
        self::assertTrue($this->driver->requests[0]['summary']);
    }

    public function testWithoutSummary(): void
    {
        $client = $this->client(answer: static fn (array $answer): array => ['summary' => null] + $answer);
        $result = $client->run(self::MODULE, '', ['summary' => false]);
        self::assertFalse($this->driver->requests[0]['summary']);
        $this->expectException(StateException::class);
        $result->summary();
    }

    public function testOutputWhileItRuns(): void
    {
        $chunks = [new OutputChunk(1, 'a'), new OutputChunk(2, 'x'), new OutputChunk(1, "b\0"), new OutputChunk(1, '')];
        $job = $this->client(chunks: $chunks, output: "ab\0", stderr: 'x', kept: ['', ''])->submit(self::MODULE);
        $seen = [];
        foreach ($job->output() as $chunk) {
            $seen[] = $chunk;
        }
        self::assertSame($chunks, $seen);
        $result = $job->wait();
        self::assertSame(["ab\0", 'x'], [$result->output, $result->stderr]);
        self::assertSame($result, $job->wait());
        self::assertSame(1, $this->handle->results);
        self::assertSame([], iterator_to_array($job->output()));
    }

    public function testOutputReadInPartIsWhole(): void
    {
        $chunks = [new OutputChunk(1, 'a'), new OutputChunk(1, 'b')];
        $job = $this->client(chunks: $chunks, output: 'abc', kept: ['c', ''])->submit(self::MODULE);
        foreach ($job->output() as $chunk) {
            break;
        }
        self::assertSame('abc', $job->wait()->output);
    }

    public function testCancel(): void
    {
        $job = $this->client(receipt: ['status' => 'cancelled', 'exit_code' => -1])->submit(self::MODULE);
        $job->cancel();
        self::assertTrue($this->handle->cancelled);
        $result = $job->wait();
        self::assertSame(['cancelled', -1, false], [$result->status, $result->exitCode, $result->isOk()]);
    }

    public function testCancelAfterTheEndDoesNothing(): void
    {
        $job = $this->client()->submit(self::MODULE);
        $job->wait();
        $job->cancel();
        self::assertFalse($this->handle->cancelled);
    }

    public function testATrapIsAResult(): void
    {
        $result = $this->client(receipt: ['status' => 'trap', 'exit_code' => -1])->run(self::MODULE);
        self::assertSame('trap', $result->status);
        self::assertFalse($result->isOk());
        $result = $this->client(receipt: ['status' => 'exit', 'exit_code' => 7])->run(self::MODULE);
        self::assertSame(7, $result->exitCode);
    }

    public function testTheRequest(): void
    {
        $client = $this->client();
        $job = $client->submit(self::MODULE, 'in', [
            'node' => new Node($this->worker->peerId),
            'args' => ['a' => '--fast', 'b' => 'ä'],
            'env' => ['A' => '1', 'B=2'],
            'limits' => ['wall_ms' => 500],
            'profile' => 'wasip1',
            'timeout_ms' => 100,
        ]);
        self::assertSame([
            'node' => $this->worker->peerId,
            'args' => ['--fast', 'ä'],
            'env' => ['A=1', 'B=2'],
            'limits' => ['wall_ms' => 500],
            'profile' => 'wasip1',
            'timeout_ms' => 100,
            'summary' => true,
            'remember' => true,
        ], $this->driver->requests[0]);
        self::assertSame('550e8400-e29b-41d4-a716-446655440000', $job->id);
        self::assertSame($this->worker->peerId, $job->node);
        self::assertSame('sha256:' . hash('sha256', self::MODULE), $job->moduleHash);
        self::assertSame(['A=1', 'B=2'], $job->wait()->receipt->manifest->fields['env']);
    }

    public function testReceiptOfAnEarlierJob(): void
    {
        $client = $this->client(output: 'out', stderr: 'err');
        $job = $client->submit(self::MODULE, 'input');
        $job->wait();
        $answer = $this->handle->result() + ['output_given' => true];
        $answer = ['stdout_base64' => base64_encode('out'), 'stderr_base64' => base64_encode('err')] + $answer;
        $this->driver->receipts[$job->id] = $answer;
        $result = $client->receipt($job->id, ['node' => '192.0.2.1:4001']);
        self::assertSame(['job_id' => $job->id, 'node' => '192.0.2.1:4001'], $this->driver->requests[1]);
        self::assertSame(['out', 'err', 'ok', true], [
            $result->output, $result->stderr, $result->status, $result->outputKept,
        ]);
        $this->driver->receipts[$job->id] = ['stdout_base64' => '', 'stderr_base64' => '', 'output_given' => false]
            + $answer;
        self::assertFalse($client->receipt($job->id)->outputKept);
        $this->driver->receipts[$job->id] = ['stdout_base64' => base64_encode('other')] + $answer;
        $this->expectException(UntrustedException::class);
        $client->receipt($job->id);
    }

    public function testReceiptOfAnotherJobIsNotBelieved(): void
    {
        $client = $this->client(output: 'out');
        $client->run(self::MODULE);
        $asked = '7c9e6679-7425-40de-944b-e07fc1f90ae7';
        $this->driver->receipts[$asked] = $this->handle->result() + ['output_given' => false];
        $this->expectException(UntrustedException::class);
        $client->receipt($asked);
    }

    /**
     * @dataProvider unknownOptions
     * @param \Closure(Client): mixed $call
     */
    public function testUnknownOptionsAreErrors(\Closure $call): void
    {
        $this->expectException(InvalidRequestException::class);
        $call($this->client());
    }

    /**
     * @return iterable<string, array{\Closure}>
     */
    public static function unknownOptions(): iterable
    {
        yield 'client' => [static fn () => new Client(['bootstap' => '192.0.2.1'])];
        yield 'driver' => [static fn () => new Client(['driver' => 'telepathy'])];
        yield 'discover' => [static fn (Client $client) => $client->discover(['architecture' => 'x86_64'])];
        yield 'submit' => [static fn (Client $client) => $client->submit('', '', ['stdin' => ''])];
        yield 'receipt' => [static fn (Client $client) => $client->receipt('', ['job' => 1])];
        yield 'limits' => [static fn (Client $client) => $client->submit('', '', ['limits' => ['memory' => 1]])];
    }

    /**
     * Whatever a worker, or whoever stands between, may lie about: the client throws and gives no result.
     *
     * @dataProvider lies
     * @param array<string, mixed> $setUp
     * @param array<string, mixed> $request
     */
    public function testLiesAreNotBelieved(array $setUp, array $request = []): void
    {
        $client = $this->client(...$setUp);
        $this->expectException(UntrustedException::class);
        $client->run(self::MODULE, 'input', $request);
    }

    /**
     * @return iterable<string, array{0: array<string, mixed>, 1?: array<string, mixed>}>
     */
    public static function lies(): iterable
    {
        $other = new Worker('other');
        $worker = new Worker();
        yield 'another output' => [['output' => 'out', 'kept' => ['other', '']]];
        yield 'output cut short' => [['output' => 'out', 'kept' => ['ou', '']]];
        yield 'another standard error' => [['stderr' => 'err', 'kept' => ['', 'other']]];
        yield 'another module hash' => [['receipt' => ['module_hash' => Crypto::sha256('else')]]];
        yield 'another input hash' => [['receipt' => ['input_hash' => Crypto::sha256('else')]]];
        yield 'another job' => [['receipt' => ['job_id' => '7c9e6679-7425-40de-944b-e07fc1f90ae7']]];
        yield 'another manifest' => [['manifest' => ['args' => ['--other']]]];
        yield 'another module in the manifest' => [['manifest' => ['module_hash' => Crypto::sha256('else')]]];
        yield 'another input in the manifest' => [['manifest' => ['stdin_hash' => Crypto::sha256('else')]]];
        yield 'another profile in the manifest' => [[
            'manifest' => ['profile' => 'deterministic/1'],
            'receipt' => ['status' => 'timeout', 'exit_code' => -1],
        ]];
        yield 'another nonce' => [['receipt' => ['client_nonce' => str_repeat('0', 32)]]];
        yield 'another result hash' => [['receipt' => ['result_hash' => Crypto::sha256('')]]];
        yield 'another signer' => [['signer' => $other]];
        yield 'another job id than was asked for' => [[], ['job_id' => '7c9e6679-7425-40de-944b-e07fc1f90ae7']];
        yield 'another node than was asked for' => [[], ['node' => $other->peerId]];
        yield 'another node than in the multiaddr' => [
            [], ['node' => '/ip4/192.0.2.1/udp/4001/quic-v1/p2p/' . $other->peerId],
        ];
        $keys = ['job_id' => 0, 'module_hash' => 0, 'exit_code' => 0, 'wall_time_ms' => 0];
        yield 'the four-key array for a receipt' => [['answer' => static function (array $answer) use ($worker, $keys) {
            $summary = array_intersect_key($answer['file']['receipt'], $keys);
            $file = ['receipt' => $summary, 'signature' => $worker->sign($summary)] + $answer['file'];
            return ['file' => $file] + $answer;
        }]];
        yield 'a receipt without type' => [['answer' => static function (array $answer) use ($worker) {
            $fields = array_diff_key($answer['file']['receipt'], ['type' => 0]);
            $file = ['receipt' => $fields, 'signature' => $worker->sign($fields)] + $answer['file'];
            return ['file' => $file] + $answer;
        }]];
        yield 'no file' => [['answer' => static fn (array $answer): array => ['file' => null] + $answer]];
        yield 'no receipt' => [['answer' => static fn (array $answer): array => ['file' => []] + $answer]];
        yield 'a bad summary signature' => [['answer' => static function (array $answer) use ($other) {
            $answer['summary']['signature'] = $other->sign($answer['summary']['receipt']);
            return $answer;
        }]];
        yield 'a summary of something else' => [['answer' => static function (array $answer) use ($worker) {
            $answer['summary']['receipt']['exit_code'] = 1;
            $answer['summary']['signature'] = $worker->sign($answer['summary']['receipt']);
            return $answer;
        }]];
    }

    /**
     * A client whose job ends with these; without arguments, truly.
     *
     * @param list<OutputChunk> $chunks
     * @param array{string, string}|null $kept output that the result carries; default all
     * @param array<string, mixed> $manifest changes to the manifest
     * @param array<string, mixed> $receipt changes to the receipt, which is signed then
     * @param \Closure(array<string, mixed>): array<string, mixed>|null $answer
     */
    private function client(
        array $chunks = [],
        string $output = '',
        string $stderr = '',
        ?array $kept = null,
        array $manifest = [],
        array $receipt = [],
        ?Worker $signer = null,
        ?\Closure $answer = null,
    ): Client {
        $signer ??= $this->worker;
        $accept = function (
            array $request,
            string $module,
            string $input
        ) use (
            $chunks,
            $output,
            $stderr,
            $kept,
            $manifest,
            $receipt,
            $signer,
            $answer
        ): FakeJob {
            unset($request['job_id']);
            $asked = $manifest + Worker::manifest($request, $module, $input);
            $fields = $signer->receipt($asked, $output, $stderr, $receipt);
            [$stdoutKept, $stderrKept] = $kept ?? [$output, $stderr];
            $said = $signer->answer($asked, $fields, $stdoutKept, $stderrKept);
            $info = [
                'job_id' => $asked['job_id'],
                'node' => $this->worker->peerId,
                'module_hash' => $asked['module_hash'],
                'manifest_hash' => $fields['manifest_hash'],
                'fetch_secret' => '',
            ];
            return $this->handle = new FakeJob($info, $chunks, $answer === null ? $said : $answer($said));
        };
        $this->driver = new FakeDriver(accept: $accept);
        return new Client(['driver' => $this->driver]);
    }
}
