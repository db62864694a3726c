<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Unit;

use PhaseBased\Plasm\CanonicalJson;
use PhaseBased\Plasm\Crypto;
use PhaseBased\Plasm\Exception\InvalidRequestException;
use PhaseBased\Plasm\Exception\MalformedException;
use PhaseBased\Plasm\Receipt;
use PhaseBased\Plasm\Tests\Support\Worker;
use PHPUnit\Framework\TestCase;

/**
 * A receipt holds only as the worker signed it, for the job that was asked.
 */
final class ReceiptTest extends TestCase
{
    private Worker $worker;
    /** @var array<string, mixed> */
    private array $manifest;
    /** @var array<string, mixed> */
    private array $fields;

    protected function setUp(): void
    {
        $this->worker = new Worker();
        $this->manifest = Worker::manifest([], 'module', 'input');
        $this->fields = $this->worker->receipt($this->manifest, 'output', 'error');
    }

    public function testATrueReceiptHolds(): void
    {
        $receipt = $this->receipt();
        self::assertNull($receipt->refusal($this->worker->peerId));
        $key = $this->worker->publicKey;
        foreach ([$this->worker->peerId, base64_encode($key), bin2hex($key)] as $text) {
            self::assertTrue($receipt->verify($text));
        }
        self::assertTrue($receipt->verify($this->worker->peerId, [
            'job_id' => $this->manifest['job_id'],
            'manifest_hash' => 'sha256:' . hash('sha256', CanonicalJson::encode($this->manifest)),
            'module_hash' => Crypto::sha256('module'),
            'input_hash' => Crypto::sha256('input'),
            'stdout_hash' => Crypto::sha256('output'),
            'stderr_hash' => Crypto::sha256('error'),
            'client_nonce' => $this->manifest['client_nonce'],
        ]));
        self::assertSame($this->worker->peerId, $receipt->worker());
    }

    public function testJsonKeepsIt(): void
    {
        $receipt = $this->receipt();
        $again = Receipt::fromJson($receipt->toJson());
        self::assertTrue($again->verify($this->worker->peerId));
        self::assertSame($receipt->toJson(), $again->toJson());
        self::assertSame($receipt->hash(), $again->hash());
        self::assertSame('sha256:' . hash('sha256', CanonicalJson::encode($this->fields)), $receipt->hash());
        $pretty = json_encode($this->worker->file($this->manifest, $this->fields), JSON_PRETTY_PRINT);
        self::assertSame($receipt->toJson(), Receipt::fromJson($pretty)->toJson());
    }

    /**
     * @dataProvider otherValues
     */
    public function testAChangedFieldIsRefused(string $field, mixed $value): void
    {
        $file = $this->worker->file($this->manifest, $this->fields);
        self::assertNotSame($file['receipt'][$field], $value);
        $file['receipt'][$field] = $value;
        self::assertFalse(Receipt::fromArray($file)->verify($this->worker->peerId));
    }

    /**
     * For every field another value of the right form, so that only the signature can tell.
     *
     * @return iterable<string, array{string, mixed}>
     */
    public static function otherValues(): iterable
    {
        $hash = Crypto::sha256('something else');
        yield 'job_id' => ['job_id', '550e8400-e29b-41d4-a716-446655440001'];
        foreach (['manifest_hash', 'module_hash', 'input_hash', 'stdout_hash', 'stderr_hash'] as $field) {
            yield $field => [$field, $hash];
        }
        yield 'fuel' => ['fuel', 1];
        yield 'wall_time_us' => ['wall_time_us', 234502];
        yield 'runtime' => ['runtime', 'wasmtime-49'];
        yield 'arch' => ['arch', 'aarch64'];
        yield 'worker' => ['worker', (new Worker('other'))->peerId];
        yield 'client_nonce' => ['client_nonce', '000102030405060708090a0b0c0d0e00'];
        yield 'started_ms' => ['started_ms', 1763999000001];
        yield 'prev' => ['prev', [$hash]];
    }

    public function testChangedStatusAndTimesAreRefused(): void
    {
        $changes = [
            ['status' => 'exit', 'exit_code' => 1],
            ['status' => 'trap', 'exit_code' => -1],
            ['wall_time_ms' => 1, 'wall_time_us' => 1],
        ];
        foreach ($changes as $change) {
            $file = $this->worker->file($this->manifest, $this->fields);
            $file['receipt'] = $change + $file['receipt'];
            self::assertSame('signature: does not hold', Receipt::fromArray($file)->refusal($this->worker->peerId));
        }
    }

    /**
     * Each byte of the file in turn, to each of eight other values: refused as no receipt, or as one
     * that does not hold, and never taken.
     */
    public function testNoFlippedByteOfTheFileIsTaken(): void
    {
        $json = $this->receipt()->toJson();
        $taken = [];
        for ($at = 0; $at < strlen($json); $at++) {
            $changed = $json;
            for ($bit = 0; $bit < 8; $bit++) {
                $changed[$at] = chr(ord($json[$at]) ^ (1 << $bit));
                try {
                    if (Receipt::fromJson($changed)->verify($this->worker->peerId)) {
                        $taken[] = "$at: $changed[$at]";
                    }
                } catch (MalformedException) {
                }
            }
        }
        self::assertSame([], $taken);
    }

    /**
     * @dataProvider otherValues
     */
    public function testAnHonestlySignedReceiptOfAnotherQuestionIsRefused(string $field, mixed $value): void
    {
        $bound = ['job_id', 'manifest_hash', 'module_hash', 'input_hash', 'client_nonce', 'worker', 'prev'];
        $fields = [$field => $value] + $this->fields;
        $receipt = Receipt::fromArray($this->worker->file($this->manifest, $fields));
        self::assertSame(!in_array($field, $bound, true), $receipt->verify($this->worker->peerId));
    }

    public function testAnotherJobsReceiptIsRefused(): void
    {
        $other = ['job_id' => '7c9e6679-7425-40de-944b-e07fc1f90ae7'] + $this->manifest;
        $theirs = $this->worker->receipt($other, 'output', 'error');
        // With this job's manifest beside it ...
        $receipt = Receipt::fromArray($this->worker->file($this->manifest, $theirs));
        self::assertFalse($receipt->verify($this->worker->peerId));
        // ... or with its own, where the caller knows which job it is about.
        $receipt = Receipt::fromArray($this->worker->file($other, $theirs));
        self::assertTrue($receipt->verify($this->worker->peerId));
        $reason = $receipt->refusal($this->worker->peerId, ['job_id' => $this->manifest['job_id']]);
        self::assertSame('job_id: is not the expected one', $reason);
    }

    public function testAnotherNodesKeyIsRefused(): void
    {
        $other = new Worker('other');
        self::assertSame('worker: is another node', $this->receipt()->refusal($other->peerId));
        // Another node signs what this one should have, naming itself as the key or not.
        $file = $other->file($this->manifest, $this->fields);
        self::assertSame("public_key: is another node's", Receipt::fromArray($file)->refusal($this->worker->peerId));
        $file['public_key'] = base64_encode($this->worker->publicKey);
        self::assertSame('signature: does not hold', Receipt::fromArray($file)->refusal($this->worker->peerId));
    }

    public function testWithoutAKeyNothingHolds(): void
    {
        foreach (['', '<node-public-key>', '12D3KooW...'] as $key) {
            self::assertFalse($this->receipt()->verify($key));
        }
    }

    /**
     * @dataProvider expectations
     */
    public function testOtherExpectationsAreRefused(string $name): void
    {
        self::assertFalse($this->receipt()->verify($this->worker->peerId, [$name => Crypto::sha256('else')]));
    }

    /**
     * @return iterable<string, array{string}>
     */
    public static function expectations(): iterable
    {
        $hashes = ['manifest_hash', 'module_hash', 'input_hash', 'stdout_hash', 'stderr_hash'];
        foreach (['job_id', ...$hashes, 'client_nonce'] as $name) {
            yield $name => [$name];
        }
    }

    public function testAMisspeltExpectationIsAnError(): void
    {
        $this->expectException(InvalidRequestException::class);
        $this->receipt()->verify($this->worker->peerId, ['module_hsah' => Crypto::sha256('module')]);
    }

    /**
     * The four keys of the manual check, truly signed, are no receipt.
     */
    public function testTheSummaryIsNoReceipt(): void
    {
        $keys = ['job_id', 'module_hash', 'exit_code', 'wall_time_ms'];
        $summary = array_intersect_key($this->fields, array_flip($keys));
        self::assertTrue((new Crypto())->verify($summary, $this->worker->sign($summary), $this->worker->peerId));
        $this->expectException(MalformedException::class);
        $this->expectExceptionMessage('type');
        Receipt::fromArray($this->worker->file($this->manifest, $summary));
    }

    public function testTheManifestIsNoReceipt(): void
    {
        $this->expectException(MalformedException::class);
        Receipt::fromArray($this->worker->file($this->manifest, $this->manifest));
    }

    public function testEveryFieldIsNeeded(): void
    {
        foreach (array_keys($this->fields) as $field) {
            $fields = $this->fields;
            unset($fields[$field]);
            try {
                Receipt::fromArray($this->worker->file($this->manifest, $fields));
                self::fail("a receipt without $field");
            } catch (MalformedException $exception) {
                self::assertStringContainsString($field, $exception->getMessage());
            }
        }
    }

    /**
     * Truly signed, and still no receipts.
     *
     * @dataProvider badChanges
     * @param array<string, mixed> $change
     */
    public function testRefusesToRead(array $change): void
    {
        $worker = new Worker();
        $manifest = Worker::manifest([], 'module', 'input');
        $fields = $change + $worker->receipt($manifest);
        $this->expectException(MalformedException::class);
        Receipt::fromArray($worker->file($manifest, $fields));
    }

    /**
     * @return iterable<string, array{array<string, mixed>}>
     */
    public static function badChanges(): iterable
    {
        yield 'another type' => [['type' => 'phase.receipt/2']];
        yield 'an unknown field' => [['more' => 1]];
        yield 'ok with a code' => [['exit_code' => 1]];
        yield 'exit without a code' => [['status' => 'exit', 'exit_code' => 0]];
        yield 'exit with too much of a code' => [['status' => 'exit', 'exit_code' => 0x100000000]];
        yield 'trap with a code' => [['status' => 'trap', 'exit_code' => 0]];
        yield 'an unknown status' => [['status' => 'lost', 'exit_code' => -1]];
        yield 'milliseconds rounded down' => [['wall_time_us' => 235001]];
        yield 'milliseconds too many' => [['wall_time_us' => 234000]];
        yield 'a negative time' => [['wall_time_us' => -1, 'wall_time_ms' => 0]];
        yield 'no runtime' => [['runtime' => '']];
        yield 'no arch' => [['arch' => '']];
        yield 'a worker that is no peer id' => [['worker' => '12D3KooW...']];
        yield 'a result hash where nothing can be compared' => [['result_hash' => Crypto::sha256('')]];
        yield 'prev no list' => [['prev' => 'sha256:']];
        yield 'prev with keys' => [['prev' => ['a' => Crypto::sha256('')]]];
        yield 'fuel as text' => [['fuel' => '0']];
        yield 'too many steps' => [['prev' => array_fill(0, 17, Crypto::sha256(''))]];
    }

    public function testStatusesAndTheirExitCodes(): void
    {
        foreach (Receipt::STATUSES as $status) {
            $code = ['ok' => 0, 'exit' => 7][$status] ?? -1;
            $change = ['status' => $status, 'exit_code' => $code];
            $receipt = Receipt::fromArray($this->worker->file($this->manifest, $change + $this->fields));
            self::assertTrue($receipt->verify($this->worker->peerId), $status);
        }
    }

    public function testADeterministicReceiptNeedsItsResultHash(): void
    {
        $request = ['profile' => 'deterministic/1', 'limits' => ['fuel' => 1000], 'args' => ['x'], 'env' => ['A=b']];
        $manifest = Worker::manifest($request, 'module', 'input');
        $fields = ['fuel' => 500] + $this->worker->receipt($manifest, 'output');
        // Written out by hand from design and specification, in canonical order.
        $result = sprintf(
            '{"args":["x"],"env":["A=b"],"exit_code":0,"fuel":500,"input_hash":"%s",'
            . '"limits":{"fuel":1000,"memory_bytes":134217728,"output_bytes":1048576},"module_hash":"%s",'
            . '"profile":"deterministic/1","status":"ok","stderr_hash":"%s","stdout_hash":"%s",'
            . '"type":"phase.result/1"}',
            Crypto::sha256('input'),
            Crypto::sha256('module'),
            Crypto::sha256(''),
            Crypto::sha256('output')
        );
        $good = ['result_hash' => Crypto::sha256($result)] + $fields;
        $receipt = Receipt::fromArray($this->worker->file($manifest, $good));
        self::assertSame(Crypto::sha256($result), $receipt->resultHash());
        self::assertNull($receipt->refusal($this->worker->peerId));

        $bad = ['result_hash' => Crypto::sha256('else')] + $fields;
        $receipt = Receipt::fromArray($this->worker->file($manifest, $bad));
        self::assertStringStartsWith('result_hash', (string) $receipt->refusal($this->worker->peerId));

        $this->expectException(MalformedException::class);
        Receipt::fromArray($this->worker->file($manifest, ['result_hash' => ''] + $fields));
    }

    public function testADeterministicTimeoutCannotBeCompared(): void
    {
        $manifest = Worker::manifest(['profile' => 'deterministic/1', 'limits' => ['fuel' => 1]], 'module', '');
        foreach (['timeout', 'memory', 'stack', 'compile', 'cancelled', 'failed'] as $status) {
            $change = ['status' => $status, 'exit_code' => -1];
            $fields = $change + $this->worker->receipt($manifest);
            $receipt = Receipt::fromArray($this->worker->file($manifest, $fields));
            self::assertSame('', $receipt->resultHash());
            self::assertTrue($receipt->verify($this->worker->peerId));
        }
    }

    public function testTheNodeMustBeWhatWasAskedFor(): void
    {
        $manifest = Worker::manifest(['arch' => 'aarch64'], 'module', '');
        $receipt = Receipt::fromArray($this->worker->file($manifest, $this->worker->receipt($manifest)));
        self::assertSame("arch: is not the manifest's", $receipt->refusal($this->worker->peerId));
        $manifest = Worker::manifest(['runtime' => 'wasmtime-47'], 'module', '');
        $receipt = Receipt::fromArray($this->worker->file($manifest, $this->worker->receipt($manifest)));
        self::assertSame("runtime: is not the manifest's", $receipt->refusal($this->worker->peerId));
        $manifest = Worker::manifest(['arch' => 'x86_64', 'runtime' => 'wasmtime-48'], 'module', '');
        $receipt = Receipt::fromArray($this->worker->file($manifest, $this->worker->receipt($manifest)));
        self::assertTrue($receipt->verify($this->worker->peerId));
    }

    public function testEarlierStepsAreBound(): void
    {
        $manifest = $this->manifest + ['prev' => [Crypto::sha256('step')]];
        $fields = $this->worker->receipt($manifest);
        self::assertTrue(Receipt::fromArray($this->worker->file($manifest, $fields))->verify($this->worker->peerId));
        $fields['prev'] = [];
        self::assertFalse(Receipt::fromArray($this->worker->file($manifest, $fields))->verify($this->worker->peerId));
    }

    /**
     * @dataProvider badFiles
     */
    public function testRefusesOtherFiles(string $json): void
    {
        $this->expectException(MalformedException::class);
        Receipt::fromJson($json);
    }

    /**
     * @return iterable<string, array{string}>
     */
    public static function badFiles(): iterable
    {
        $worker = new Worker();
        $manifest = Worker::manifest([], 'module', 'input');
        $file = $worker->file($manifest, $worker->receipt($manifest));
        foreach (array_keys($file) as $member) {
            $less = $file;
            unset($less[$member]);
            yield "without $member" => [json_encode($less)];
            yield "$member null" => [json_encode([$member => null] + $file)];
            yield "$member a number" => [json_encode([$member => 1] + $file)];
        }
        yield 'empty' => [''];
        yield 'a list' => ['[]'];
        yield 'text' => ['"receipt"'];
        yield 'one more member' => [json_encode($file + ['note' => 'trust me'])];
        yield 'inclusion, which is not there yet' => [json_encode($file + ['inclusion' => ['root' => '']])];
        yield 'signature too short' => [json_encode(['signature' => base64_encode('a')] + $file)];
        yield 'signature no base64' => [json_encode(['signature' => str_repeat('?', 88)] + $file)];
        yield 'key too short' => [json_encode(['public_key' => base64_encode('a')] + $file)];
        yield 'twice the same member' => [substr(json_encode($file), 0, -1) . ',"signature":"x"}'];
        yield 'too large' => [json_encode($file) . str_repeat(' ', 256 * 1024)];
    }

    private function receipt(): Receipt
    {
        return Receipt::fromArray($this->worker->file($this->manifest, $this->fields));
    }
}
