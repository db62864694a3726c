<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Integration;

use PhaseBased\Plasm\Client;
use PhaseBased\Plasm\Crypto;
use PhaseBased\Plasm\Exception\NotFoundException;
use PhaseBased\Plasm\Exception\PlasmException;
use PhaseBased\Plasm\Exception\RefusedException;
use PhaseBased\Plasm\Exception\TimeoutException;
use PhaseBased\Plasm\Exception\UnreachableException;
use PhaseBased\Plasm\Exception\UntrustedException;
use PhaseBased\Plasm\OutputChunk;
use PhaseBased\Plasm\Receipt;
use PhaseBased\Plasm\Tests\Support\Command;
use PhaseBased\Plasm\Tests\Support\Directory;
use PhaseBased\Plasm\Tests\Support\Module;
use PhaseBased\Plasm\Tests\Support\PlasmNode;
use PhaseBased\Plasm\Tests\Support\Worker;
use PHPUnit\Framework\TestCase;

/**
 * The SDK with a real plasmd, the same tests for each way to the network. PLASM_BUILD_DIR is where
 * plasmd, plasm and libplasm were built.
 */
abstract class NetworkTestCase extends TestCase
{
    private const EXAMPLES = __DIR__ . '/../../../examples';
    /** The guide's error screen has to be there after so long, PHP and all. */
    private const NO_NODES_SECONDS_MAX = 5.0;

    private static ?PlasmNode $node = null;
    private Directory $directory;

    /** "ffi" or "process". */
    abstract protected static function driver(): string;

    public static function setUpBeforeClass(): void
    {
        if (self::build() === '') {
            self::markTestSkipped('PLASM_BUILD_DIR says where plasmd was built');
        }
        self::$node = new PlasmNode(self::build());
    }

    public static function tearDownAfterClass(): void
    {
        self::$node = null;
    }

    protected function setUp(): void
    {
        $this->directory = new Directory();
    }

    public function testDiscover(): void
    {
        $client = $this->client();
        self::assertSame(static::driver(), $client->driverName());
        $found = $client->discover();
        self::assertCount(1, $found);
        $node = $found->first();
        self::assertSame(self::$node->peerId, $node->peerId);
        self::assertSame(php_uname('m'), $node->arch);
        self::assertSame('wasmtime-48', $node->runtime);
        self::assertContains('wasip1', $node->profiles);
        self::assertNotSame([], $node->addresses);
        self::assertGreaterThan(0, $found->elapsedUs);
    }

    public function testDiscoverByWhatAWorkerHas(): void
    {
        self::assertCount(1, $this->client()->discover(['arch' => php_uname('m'), 'runtime' => 'wasmtime-48']));
        $start = hrtime(true);
        self::assertCount(0, $this->client()->discover(['arch' => 'pdp11', 'timeout_ms' => 1000]));
        self::assertLessThan(5e9, hrtime(true) - $start);
    }

    public function testExplain(): void
    {
        $module = Module::hello();
        $answer = $this->client()->explain($module, 'input', ['limits' => ['memory_bytes' => 1 << 40]]);
        self::assertSame(1, $answer['accepted']);
        self::assertSame(self::$node->peerId, $answer['nodes'][0]['peer_id']);
        self::assertSame('memory_bytes', $answer['nodes'][0]['over'][0]['limit']);
        $answer = $this->client()->explain($module, '', ['arch' => 'pdp11']);
        self::assertSame(0, $answer['accepted']);
        self::assertSame('unsupported', $answer['nodes'][0]['code']);
        self::assertStringContainsString('pdp11', $answer['nodes'][0]['reason']);
    }

    public function testReceiptOfAJobOfAnotherProcess(): void
    {
        $state = ['state_dir' => $this->directory->path . '/state'];
        $job = $this->client($state)->submit(Module::hello(), 'kept');
        $job->wait();
        $result = $this->client($state)->receipt($job->id);
        self::assertSame(['tpek', true, $job->id], [
            $result->output, $result->outputKept, $result->receipt->fields['job_id'],
        ]);
        $this->expectException(NotFoundException::class);
        $this->client($state)->receipt('550e8400-e29b-41d4-a716-446655440000');
    }

    public function testRun(): void
    {
        $result = $this->client()->run(Module::hello());
        self::assertSame('dlroW ,olleH', $result->output);
        self::assertSame('', $result->stderr);
        self::assertSame([0, 'ok'], [$result->exitCode, $result->status]);
        self::assertTrue($result->receipt->verify(self::$node->peerId, [
            'module_hash' => Crypto::sha256(Module::hello()),
            'input_hash' => Crypto::sha256(''),
            'stdout_hash' => Crypto::sha256('dlroW ,olleH'),
        ]));
        self::assertFalse($result->receipt->verify((new Worker())->peerId));
        self::assertSame($result->receipt->fields['wall_time_ms'], $result->wallTimeMs);
        self::assertGreaterThan(0, $result->timings->totalUs);
    }

    public function testTheGuidesManualCheck(): void
    {
        [$receipt, $signature] = $this->client()->run(Module::hello())->summary();
        self::assertSame(['job_id', 'module_hash', 'exit_code', 'wall_time_ms'], array_keys($receipt));
        $crypto = new Crypto();
        self::assertTrue($crypto->verify($receipt, $signature, self::$node->peerId));
        $receipt['wall_time_ms']++;
        self::assertFalse($crypto->verify($receipt, $signature, self::$node->peerId));
    }

    public function testInputAndOutput(): void
    {
        $input = str_repeat('grün 日本 😀 ', 20000) . "end\n";
        $result = $this->client()->run(Module::hello(), $input);
        self::assertTrue($result->output === self::reversed($input));
        self::assertSame(Crypto::sha256($input), $result->receipt->fields['input_hash']);
    }

    public function testOutputWhileItRuns(): void
    {
        $job = $this->client()->submit(Module::tickThenEndless(), '', ['limits' => ['wall_ms' => 20000]]);
        foreach ($job->output() as $chunk) {
            self::assertEquals(new OutputChunk(OutputChunk::STDOUT, "tick\n"), $chunk);
            $job->cancel();
        }
        $result = $job->wait();
        self::assertSame(['cancelled', -1, "tick\n"], [$result->status, $result->exitCode, $result->output]);
        self::assertLessThan(20000, $result->wallTimeMs);
    }

    public function testAnAbandonedJobDoesNotBlockTheNext(): void
    {
        $client = $this->client();
        $job = $client->submit(Module::tickThenEndless(), '', ['limits' => ['wall_ms' => 20000]]);
        foreach ($job->output() as $chunk) {
            break;
        }
        unset($job, $chunk);
        self::assertSame('dlroW ,olleH', $client->run(Module::hello())->output);
    }

    /**
     * @dataProvider ends
     * @param array<string, mixed> $options
     */
    public function testHowJobsEnd(string $module, string $status, int $exitCode, array $options = []): void
    {
        $result = $this->client()->run($module, '', $options);
        self::assertSame([$status, $exitCode], [$result->status, $result->exitCode]);
        self::assertTrue($result->receipt->verify(self::$node->peerId));
        self::assertTrue(Receipt::fromJson($result->receipt->toJson())->verify(self::$node->peerId));
    }

    /**
     * @return iterable<string, array{0: string, 1: string, 2: int, 3?: array<string, mixed>}>
     */
    public static function ends(): iterable
    {
        yield 'exit' => [Module::exit(7), 'exit', 7];
        yield 'exit with 0' => [Module::exit(0), 'ok', 0];
        yield 'trap' => [Module::trap(), 'trap', -1];
        yield 'timeout' => [Module::endless(), 'timeout', -1, ['limits' => ['wall_ms' => 200]]];
        yield 'fuel' => [Module::endless(), 'fuel', -1, [
            'profile' => 'deterministic/1', 'limits' => ['fuel' => 100000],
        ]];
        yield 'output' => [Module::hello(), 'output', -1, ['limits' => ['output_bytes' => 5]]];
        yield 'compile' => ["\0asm\1\0\0\0garbage", 'compile', -1];
        yield 'an empty module' => ['', 'compile', -1];
    }

    public function testDeterministicResultsAgree(): void
    {
        $question = ['args' => ['a'], 'env' => ['B=c'], 'limits' => ['fuel' => 10000000]];
        $options = ['profile' => 'deterministic/1'] + $question;
        $first = $this->client()->run(Module::hello(), 'abc', $options);
        $second = $this->client()->run(Module::hello(), 'abc', $options);
        self::assertNotSame('', $first->receipt->resultHash());
        self::assertSame($first->receipt->resultHash(), $second->receipt->resultHash());
        self::assertNotSame($first->receipt->hash(), $second->receipt->hash());
        $other = $this->client()->run(Module::hello(), 'abd', $options);
        self::assertNotSame($first->receipt->resultHash(), $other->receipt->resultHash());
    }

    public function testTheRequestIsInTheManifest(): void
    {
        $id = '7c9e6679-7425-40de-944b-' . bin2hex(random_bytes(6));
        $job = $this->client()->submit(Module::hello(), '', [
            'node' => self::$node->peerId,
            'args' => ['--grün', ''],
            'env' => ['NAME' => 'a=b'],
            'limits' => ['memory_bytes' => 1 << 20, 'wall_ms' => 1234],
            'arch' => php_uname('m'),
            'job_id' => $id,
        ]);
        self::assertSame($id, $job->id);
        self::assertSame(self::$node->peerId, $job->node);
        $asked = $job->wait()->receipt->manifest->fields;
        self::assertSame([['--grün', ''], ['NAME=a=b'], $id], [$asked['args'], $asked['env'], $asked['job_id']]);
        self::assertSame([1 << 20, 1234], [$asked['limits']['memory_bytes'], $asked['limits']['wall_ms']]);
    }

    public function testANodeNamedByItsAddress(): void
    {
        $client = $this->client(['bootstrap' => []]);
        $result = $client->run(Module::hello(), 'ab', ['node' => self::$node->address]);
        self::assertSame('ba', $result->output);
    }

    public function testARefusalSaysWhy(): void
    {
        $this->expectException(RefusedException::class);
        $this->expectExceptionMessageMatches('/memory/');
        $this->client()->run(Module::hello(), '', [
            'profile' => 'deterministic/1',
            'limits' => ['fuel' => 1000, 'memory_bytes' => 1 << 50],
        ]);
    }

    public function testAnotherNodeUnderTheAddressIsNotAsked(): void
    {
        $address = substr(self::$node->address, 0, -strlen(self::$node->peerId)) . (new Worker())->peerId;
        try {
            $this->client(['bootstrap' => []])->run(Module::hello(), '', ['node' => $address, 'timeout_ms' => 3000]);
            self::fail('another node answered and was believed');
        } catch (UntrustedException | UnreachableException $exception) {
            self::assertNotSame('', $exception->getMessage());
        }
    }

    public function testANodeThatIsGone(): void
    {
        $gone = new PlasmNode(self::build());
        $client = $this->client(['bootstrap' => $gone->address]);
        $node = $client->discover()->first();
        self::assertSame($gone->peerId, $node?->peerId);
        $gone->stop();
        try {
            $client->run(Module::hello(), '', ['node' => $node, 'timeout_ms' => 4000]);
            self::fail('a node that is gone ran a job');
        } catch (UnreachableException | TimeoutException $exception) {
            self::assertNotSame('', $exception->getMessage());
        }
    }

    public function testAClientLivesThroughAFork(): void
    {
        $client = $this->client();
        self::assertSame('ba', $client->run(Module::hello(), 'ab')->output);
        $child = pcntl_fork();
        if ($child === 0) {
            // PHPUnit's own end is not to run here: the child says by its signal how it went.
            try {
                $good = $client->run(Module::hello(), 'child')->output === 'dlihc';
            } catch (PlasmException) {
                $good = false;
            }
            posix_kill(posix_getpid(), $good ? SIGUSR1 : SIGKILL);
        }
        self::assertSame('tnerap', $client->run(Module::hello(), 'parent')->output);
        pcntl_waitpid($child, $status);
        self::assertSame(SIGUSR1, pcntl_wtermsig($status));
        self::assertSame('retfa', $client->run(Module::hello(), 'after')->output);
    }

    public function testManyJobsOfOneClient(): void
    {
        $client = $this->client();
        $jobs = [];
        for ($i = 0; $i < 20; $i++) {
            $jobs[] = $client->submit(Module::hello(), "job $i");
        }
        foreach ($jobs as $i => $job) {
            self::assertSame(strrev("job $i"), $job->wait()->output);
        }
    }

    public function testTheGuidesScreen(): void
    {
        $run = $this->example('remote_test.php', [self::$node->address]);
        self::assertStringMatchesFormat($this->screen(), $run->output);
        self::assertSame(0, $run->exitCode);
        self::assertSame('', $run->errors);
        // The second time the node is remembered.
        $run = $this->example('remote_test.php');
        self::assertSame(0, $run->exitCode, $run->output . $run->errors);
    }

    public function testTimings(): void
    {
        $run = $this->example('remote_test.php', ['--timings', self::$node->address]);
        self::assertSame(0, $run->exitCode, $run->output . $run->errors);
        foreach (['Discovery', 'Job Submission', 'Execution (WASM)', 'Result Return', 'Total'] as $row) {
            self::assertMatchesRegularExpression('/^  ' . preg_quote($row) . ': \d+\.\dms$/m', $run->output);
        }
    }

    public function testThreeNodesOfWhichOneIsKnown(): void
    {
        $first = new PlasmNode(self::build());
        $second = new PlasmNode(self::build(), [$first->address]);
        $third = new PlasmNode(self::build(), [$first->address]);
        $run = $this->example('multi_node_test.php', [$first->address]);
        self::assertSame(0, $run->exitCode, $run->output . $run->errors);
        foreach ([$first, $second, $third] as $node) {
            self::assertStringContainsString("✓ Node discovered: {$node->peerId}\n", $run->output);
        }
        self::assertStringEndsWith("\n3 nodes discovered\n\nTest complete!\n", $run->output);
    }

    public function testTheOnlyNodeIsStopped(): void
    {
        $gone = new PlasmNode(self::build());
        $gone->stop();
        $this->assertNoNodes($gone->address);
    }

    /**
     * A firewall that drops: the datagrams go to a socket that nobody reads.
     */
    public function testTheOnlyNodeIsBehindAFirewall(): void
    {
        $hole = stream_socket_server('udp://127.0.0.1:0', $code, $message, STREAM_SERVER_BIND);
        $port = substr(strrchr(stream_socket_get_name($hole, false), ':'), 1);
        $this->assertNoNodes("/ip4/127.0.0.1/udp/$port/quic-v1/p2p/" . self::$node->peerId);
        $this->assertNoNodes("127.0.0.1:$port");
        fclose($hole);
    }

    private function assertNoNodes(string $address): void
    {
        foreach (['remote_test.php', 'multi_node_test.php'] as $script) {
            $run = $this->example($script, [$address]);
            self::assertStringEndsWith(
                "Discovering nodes...\n✗ No nodes discovered. Ensure plasmd is running on a remote host.\n",
                $run->output,
                $run->errors
            );
            self::assertSame(1, $run->exitCode);
            self::assertLessThan(self::NO_NODES_SECONDS_MAX, $run->seconds);
            self::assertStringContainsString('127.0.0.1', $run->errors, 'what was tried');
        }
    }

    /**
     * @param array<string, mixed> $options
     */
    protected function client(array $options = []): Client
    {
        return new Client($options + [
            'bootstrap' => self::$node->address,
            'state_dir' => '',
            'driver' => static::driver(),
            'library' => self::library(),
            'command' => self::build() . '/bin/plasm',
        ]);
    }

    /**
     * @param list<string> $arguments
     */
    private function example(string $script, array $arguments = []): Command
    {
        return Command::run([PHP_BINARY, realpath(self::EXAMPLES) . "/$script", ...$arguments], '/', [
            'PLASM_DRIVER' => static::driver(),
            'PLASM_LIBRARY' => self::library(),
            'PLASM_COMMAND' => self::build() . '/bin/plasm',
            'XDG_STATE_HOME' => $this->directory->path,
        ]);
    }

    private function screen(): string
    {
        $node = self::$node->peerId;
        $arch = php_uname('m');
        $id = '%x-%x-4%x-%x-%x';
        return <<<TEXT
            Phase Remote Execution Test
            ===========================

            Discovering nodes...
            ✓ Node discovered: $node
              Architecture: $arch
              Runtime: wasmtime-48

            Submitting job: hello.wasm
            ✓ Job submitted: $id

            Waiting for execution...
            ✓ Execution complete

            Result:
              Output: dlroW ,olleH
              Exit code: 0
              Wall time: %dms

            Receipt Verification:
            ✓ Signature valid
            ✓ Module hash matches
            ✓ Receipt verified

            Test complete!

            TEXT;
    }

    protected static function build(): string
    {
        return (string) getenv('PLASM_BUILD_DIR');
    }

    private static function library(): string
    {
        $name = PHP_OS_FAMILY === 'Darwin' ? 'libplasm.dylib' : 'libplasm.so';
        return self::build() . "/lib/$name";
    }

    private static function reversed(string $text): string
    {
        preg_match_all('/./us', substr($text, 0, -1), $characters);
        return implode('', array_reverse($characters[0])) . "\n";
    }
}
