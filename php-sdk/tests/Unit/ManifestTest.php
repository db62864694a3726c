<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Unit;

use PhaseBased\Plasm\CanonicalJson;
use PhaseBased\Plasm\Exception\MalformedException;
use PhaseBased\Plasm\Manifest;
use PhaseBased\Plasm\Tests\Support\Worker;
use PHPUnit\Framework\TestCase;

/**
 * What is a manifest and what is not.
 */
final class ManifestTest extends TestCase
{
    private const HASH = 'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';

    public function testKeepsWhatItReads(): void
    {
        $fields = Worker::manifest(['args' => ['ä', ''], 'env' => ['A=', 'B=c=d']], 'module', 'input');
        $manifest = Manifest::fromJson(json_encode($fields, JSON_PRETTY_PRINT));
        self::assertSame(CanonicalJson::encode($fields), $manifest->toJson());
        self::assertSame('sha256:' . hash('sha256', $manifest->toJson()), $manifest->hash());
        self::assertSame($fields['job_id'], $manifest->jobId());
        self::assertSame($manifest->hash(), Manifest::fromJson($manifest->toJson())->hash());
    }

    /**
     * @dataProvider goodChanges
     * @param array<string, mixed> $change
     */
    public function testTakes(array $change): void
    {
        $fields = $change + Worker::manifest([], '', '');
        self::assertSame(CanonicalJson::encode($fields), Manifest::fromArray($fields)->toJson());
    }

    /**
     * @return iterable<string, array{array<string, mixed>}>
     */
    public static function goodChanges(): iterable
    {
        $limits = Worker::manifest([], '', '')['limits'];
        yield 'a fetch hash' => [['fetch_hash' => self::HASH]];
        yield 'arch and runtime' => [['arch' => 'x86_64', 'runtime' => 'wasmtime-48']];
        yield 'determinism' => [['profile' => 'deterministic/1', 'limits' => ['fuel' => 1] + $limits]];
        yield 'no output' => [['limits' => ['output_bytes' => 0] + $limits]];
        yield 'earlier steps' => [['prev' => array_fill(0, 16, self::HASH)]];
        yield 'many arguments' => [['args' => array_fill(0, 1024, 'a')]];
    }

    public function testEveryFieldIsNeeded(): void
    {
        foreach (array_keys(Worker::manifest([], '', '')) as $field) {
            $fields = Worker::manifest([], '', '');
            unset($fields[$field]);
            try {
                Manifest::fromArray($fields);
                self::fail("a manifest without $field");
            } catch (MalformedException $exception) {
                self::assertStringContainsString($field, $exception->getMessage());
            }
        }
    }

    /**
     * @dataProvider badChanges
     * @param array<string, mixed> $change
     */
    public function testRefuses(array $change): void
    {
        $this->expectException(MalformedException::class);
        Manifest::fromArray($change + Worker::manifest([], '', ''));
    }

    /**
     * @return iterable<string, array{array<string, mixed>}>
     */
    public static function badChanges(): iterable
    {
        $limits = Worker::manifest([], '', '')['limits'];
        yield 'another type' => [['type' => 'phase.receipt/1']];
        yield 'an unknown field' => [['more' => 1]];
        yield 'a job id in upper case' => [['job_id' => '550E8400-E29B-41D4-A716-446655440000']];
        yield 'a job id of version 1' => [['job_id' => '550e8400-e29b-11d4-a716-446655440000']];
        yield 'a job id of another variant' => [['job_id' => '550e8400-e29b-41d4-c716-446655440000']];
        yield 'a job id with a newline' => [['job_id' => "550e8400-e29b-41d4-a716-446655440000\n"]];
        yield 'a hash in upper case' => [['module_hash' => 'sha256:' . str_repeat('A', 64)]];
        yield 'a hash without its name' => [['stdin_hash' => str_repeat('a', 64)]];
        yield 'no stdin hash' => [['stdin_hash' => '']];
        yield 'a negative size' => [['module_size' => -1]];
        yield 'a size as text' => [['module_size' => '1']];
        yield 'a real size' => [['module_size' => 1.0]];
        yield 'args no list' => [['args' => ['a' => 'b']]];
        yield 'args no texts' => [['args' => [1]]];
        yield 'args with NUL' => [['args' => ["a\0"]]];
        yield 'args not UTF-8' => [['args' => ["\xff"]]];
        yield 'too many args' => [['args' => array_fill(0, 1025, 'a')]];
        yield 'env without =' => [['env' => ['A']]];
        yield 'env without name' => [['env' => ['=a']]];
        yield 'limits a list' => [['limits' => [1, 2, 3, 4]]];
        yield 'limits empty' => [['limits' => []]];
        yield 'limits with one more' => [['limits' => $limits + ['cpu' => 1]]];
        yield 'limits with one less' => [['limits' => array_diff_key($limits, ['fuel' => 0])]];
        yield 'no memory' => [['limits' => ['memory_bytes' => 0] + $limits]];
        yield 'no time' => [['limits' => ['wall_ms' => 0] + $limits]];
        yield 'determinism without fuel' => [['profile' => 'deterministic/1']];
        yield 'an unknown profile' => [['profile' => 'wasip2']];
        yield 'an arch that is no name' => [['arch' => 'x86 64']];
        yield 'a long arch' => [['arch' => str_repeat('a', 33)]];
        yield 'a long runtime' => [['runtime' => str_repeat('a', 65)]];
        yield 'a short nonce' => [['client_nonce' => '00']];
        yield 'a bad fetch hash' => [['fetch_hash' => 'sha256:']];
        yield 'null' => [['fetch_hash' => null]];
        yield 'prev empty' => [['prev' => []]];
        yield 'prev no hashes' => [['prev' => ['']]];
        yield 'prev too long' => [['prev' => array_fill(0, 17, self::HASH)]];
        yield 'too large' => [['args' => array_fill(0, 100, str_repeat('a', 500))]];
    }

    public function testOnlyAnObjectIsOne(): void
    {
        foreach (['[]', '"a"', 'null', '{}', 'nothing'] as $json) {
            try {
                Manifest::fromJson($json);
                self::fail("$json is no manifest");
            } catch (MalformedException) {
                $this->addToAssertionCount(1);
            }
        }
    }
}
