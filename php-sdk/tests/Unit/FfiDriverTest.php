<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Unit;

use PhaseBased\Plasm\Client;
use PhaseBased\Plasm\Exception\DriverException;
use PhaseBased\Plasm\Exception\RefusedException;
use PhaseBased\Plasm\Exception\StateException;
use PhaseBased\Plasm\Exception\TimeoutException;
use PhaseBased\Plasm\OutputChunk;
use PhaseBased\Plasm\Tests\Support\Command;
use PhaseBased\Plasm\Tests\Support\Directory;
use PhaseBased\Plasm\Tests\Support\Worker;
use PHPUnit\Framework\TestCase;

/**
 * How PHP calls libplasm: what goes in and out, who frees what and when. The library is a double
 * (fake_libplasm.c), so that it can fail as it is told; the real one is in the integration tests.
 *
 * @requires extension ffi
 */
final class FfiDriverTest extends TestCase
{
    private const MODULE = "\0asm\1\0\0\0";

    private static ?Directory $built = null;
    private Directory $answers;

    public static function setUpBeforeClass(): void
    {
        self::$built = new Directory();
        $include = __DIR__ . '/../../../lib/include';
        $source = __DIR__ . '/../Support/fake_libplasm.c';
        $compile = Command::run(
            ['cc', '-shared', '-fPIC', '-o', self::$built->path . '/libplasm.so', "-I$include", $source]
        );
        self::assertSame(0, $compile->exitCode, $compile->errors);
    }

    public static function tearDownAfterClass(): void
    {
        self::$built = null;
    }

    protected function setUp(): void
    {
        $this->answers = new Directory();
        putenv("FAKE_LIBPLASM_ANSWERS={$this->answers->path}");
        putenv("FAKE_LIBPLASM_LOG={$this->answers->path}/log");
    }

    protected function tearDown(): void
    {
        putenv('FAKE_LIBPLASM_ANSWERS');
        putenv('FAKE_LIBPLASM_LOG');
    }

    public function testDiscover(): void
    {
        $this->answers->write('discover', '{"nodes":[{"peer_id":"a"}],"tried":[],"elapsed_us":7}');
        $client = $this->client(['bootstrap' => ['192.0.2.1']]);
        self::assertSame('ffi', $client->driverName());
        $found = $client->discover(['max' => 1]);
        self::assertSame(['a', 7], [$found->first()->peerId, $found->elapsedUs]);
        $client->discover();
        unset($client);
        self::assertSame([
            'client_new {"bootstrap":["192.0.2.1"]}',
            'discover 0 {"max":1}',
            'discover 0 {}',
            'client_free 0',
        ], $this->calls());
    }

    public function testDiscoverNothing(): void
    {
        $this->answers->write('discover', '{"nodes":[],"tried":[{"address":"x","error":"y"}],"elapsed_us":7}');
        $this->answers->write('discover.error', '-7');
        self::assertSame([['address' => 'x', 'error' => 'y']], $this->client()->discover()->tried);
    }

    public function testRun(): void
    {
        $worker = new Worker();
        $input = "\0\1\2" . str_repeat("\xff", 100000);
        $manifest = Worker::manifest(['env' => ['A=b']], self::MODULE, $input);
        $this->answers->write('info', json_encode([
            'job_id' => $manifest['job_id'],
            'node' => $worker->peerId,
            'fetch_secret' => 'secret',
        ]));
        $answer = $worker->answer($manifest, $worker->receipt($manifest, "a\0bmore", 'err'), 'more');
        $this->answers->write('result', json_encode($answer));
        $client = $this->client();
        $job = $client->submit(self::MODULE, $input, ['env' => ['A' => 'b'], 'limits' => []]);
        self::assertSame('secret', $job->fetchSecret);
        $chunks = iterator_to_array($job->output());
        self::assertEquals([
            new OutputChunk(1, "a\0b"),
            new OutputChunk(2, 'err'),
            new OutputChunk(1, ''),
        ], $chunks);
        $result = $job->wait();
        self::assertSame(["a\0bmore", 'err'], [$result->output, $result->stderr]);
        $sum = array_sum(array_map('ord', str_split(self::MODULE . $input)));
        $size = strlen($input);
        self::assertSame(
            "submit 0 {\"env\":[\"A=b\"],\"limits\":{},\"summary\":true,\"remember\":true} 8 $size sum $sum",
            $this->calls()[1]
        );
    }

    public function testJobsAreFreedOnceAndBeforeTheirClient(): void
    {
        $this->answers->write('info', '{"job_id":"j","node":"n"}');
        $client = $this->client();
        $job = $client->submit(self::MODULE);
        $other = $client->submit(self::MODULE);
        unset($client);
        self::assertNotContains('client_free 0', $this->calls(), 'jobs keep their client');
        $job->cancel();
        unset($job, $other);
        self::assertSame(['job_cancel', 'job_free', 'job_free', 'client_free 0'], array_slice($this->calls(), 3));
    }

    /**
     * When PHP ends, it calls destructors in the order of creation: the client's comes first.
     */
    public function testJobsAreFreedBeforeTheirClientWhenPhpEnds(): void
    {
        $this->answers->write('info', '{"job_id":"j","node":"n"}');
        $script = $this->answers->write('end.php', sprintf(
            '<?php require %s; final class Kept { public static $all = []; }'
            . '$client = new PhaseBased\Plasm\Client(["driver" => "ffi", "library" => %s]);'
            . 'Kept::$all = [$client->submit("a"), $client, $client->submit("b")];',
            var_export(realpath(__DIR__ . '/../../autoload.php'), true),
            var_export(self::$built->path . '/libplasm.so', true)
        ));
        self::assertSame(0, Command::run([PHP_BINARY, $script])->exitCode);
        self::assertSame(['job_free', 'job_free', 'client_free 0'], array_slice($this->calls(), 3));
    }

    public function testErrors(): void
    {
        $this->answers->write('last_error', 'what failed, and what to do');
        $this->answers->write('submit.error', '-11');
        $client = $this->client();
        try {
            $client->submit(self::MODULE);
            self::fail('a refused job');
        } catch (RefusedException $exception) {
            self::assertSame('what failed, and what to do', $exception->getMessage());
            self::assertSame('refused', $exception->errorName());
        }
        unlink("{$this->answers->path}/last_error");
        $this->expectException(RefusedException::class);
        $this->expectExceptionMessage('the general message');
        $client->submit(self::MODULE);
    }

    public function testAClientThatCannotBeMade(): void
    {
        $this->answers->write('client_new.error', '-11');
        $this->answers->write('last_error', 'no such identity');
        $this->expectException(RefusedException::class);
        $this->expectExceptionMessage('no such identity');
        $this->client();
    }

    public function testAnAnswerThatIsNoJson(): void
    {
        $this->answers->write('discover', 'nonsense');
        $this->expectException(DriverException::class);
        $this->client()->discover();
    }

    public function testAWorkerThatNeverAnswers(): void
    {
        $this->answers->write('info', '{"job_id":"j","node":"n"}');
        $this->answers->write('read.error', '-10');
        // The slack for the answer is 15 s; a limit below zero leaves a tenth of a second of it.
        $job = $this->client()->submit(self::MODULE, '', ['limits' => ['wall_ms' => -14900]]);
        $this->expectException(TimeoutException::class);
        $job->wait();
    }

    public function testSignalsAreHandledWhileAJobRuns(): void
    {
        $this->answers->write('info', '{"job_id":"j","node":"n"}');
        $this->answers->write('read.error', '-10');
        $job = $this->client()->submit(self::MODULE);
        $before = pcntl_async_signals(true);
        pcntl_signal(SIGALRM, static fn () => throw new \LogicException('the alarm'));
        try {
            pcntl_alarm(1);
            $job->wait();
            self::fail('the job does not end');
        } catch (\LogicException $exception) {
            self::assertSame('the alarm', $exception->getMessage());
        } finally {
            pcntl_signal(SIGALRM, SIG_DFL);
            pcntl_async_signals($before);
        }
    }

    /**
     * The child makes a client of its own, and frees neither the parent's nor the parent's job.
     */
    public function testAfterAFork(): void
    {
        $this->answers->write('info', '{"job_id":"j","node":"n"}');
        $this->answers->write('discover', '{"nodes":[],"tried":[],"elapsed_us":0}');
        $client = $this->client();
        $job = $client->submit(self::MODULE);
        $child = pcntl_fork();
        if ($child === 0) {
            $client->discover();
            try {
                $job->cancel();
            } catch (StateException) {
                $client->discover();
            }
            unset($job, $client);
            posix_kill(posix_getpid(), SIGKILL);
        }
        pcntl_waitpid($child, $status);
        self::assertSame([
            'client_new {}',
            'submit 0 {"summary":true,"remember":true} 8 0 sum ' . array_sum(array_map('ord', str_split(self::MODULE))),
            'client_new {}',
            'discover 1 {}',
            'discover 1 {}',
            'client_free 1',
        ], $this->calls());
        unset($job, $client);
        self::assertSame(['job_free', 'client_free 0'], array_slice($this->calls(), 6));
    }

    public function testAnotherVersionIsRefused(): void
    {
        $copy = "{$this->answers->path}/libplasm.so";
        copy(self::$built->path . '/libplasm.so', $copy);
        $this->answers->write('version', '1.0.0');
        $this->expectException(DriverException::class);
        $this->expectExceptionMessage('1.0.0');
        new Client(['driver' => 'ffi', 'library' => $copy]);
    }

    /**
     * @param array<string, mixed> $options
     */
    private function client(array $options = []): Client
    {
        return new Client($options + ['driver' => 'ffi', 'library' => self::$built->path . '/libplasm.so']);
    }

    /**
     * @return list<string>
     */
    private function calls(): array
    {
        return file("{$this->answers->path}/log", FILE_IGNORE_NEW_LINES) ?: [];
    }
}
