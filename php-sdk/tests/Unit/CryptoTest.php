<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Unit;

use PhaseBased\Plasm\Crypto;
use PhaseBased\Plasm\Tests\Support\Worker;
use PHPUnit\Framework\TestCase;

/**
 * Crypto::verify() says true for a signature over the array and false for everything else.
 */
final class CryptoTest extends TestCase
{
    /** The guide's four keys. */
    private const SUMMARY = [
        'job_id' => '550e8400-e29b-41d4-a716-446655440000',
        'module_hash' => 'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
        'exit_code' => 0,
        'wall_time_ms' => 235,
    ];

    private Crypto $crypto;
    private Worker $worker;
    private string $signature;

    protected function setUp(): void
    {
        $this->crypto = new Crypto();
        $this->worker = new Worker();
        $this->signature = $this->worker->sign(self::SUMMARY);
    }

    public function testTheGuidesManualCheck(): void
    {
        self::assertTrue($this->crypto->verify(self::SUMMARY, $this->signature, $this->worker->peerId));
        $reversed = array_reverse(self::SUMMARY, true);
        self::assertTrue($this->crypto->verify($reversed, $this->signature, $this->worker->peerId));
    }

    public function testTakesKeysInEverySpelling(): void
    {
        $key = $this->worker->publicKey;
        foreach ([base64_encode($key), bin2hex($key), $this->worker->peerId] as $text) {
            self::assertTrue($this->crypto->verify(self::SUMMARY, $this->signature, $text));
        }
    }

    public function testTheGuidesPlaceholdersAreFalse(): void
    {
        $receipt = ['module_hash' => 'sha256:...'] + self::SUMMARY;
        self::assertFalse($this->crypto->verify($receipt, '<base64-signature>', '<node-public-key>'));
    }

    public function testEveryChangeIsFalse(): void
    {
        $changed = [
            ['exit_code' => 1] + self::SUMMARY,
            ['exit_code' => '0'] + self::SUMMARY,
            ['exit_code' => false] + self::SUMMARY,
            ['exit_code' => null] + self::SUMMARY,
            ['wall_time_ms' => 236] + self::SUMMARY,
            ['job_id' => '550e8400-e29b-41d4-a716-446655440001'] + self::SUMMARY,
            self::SUMMARY + ['more' => 1],
            array_slice(self::SUMMARY, 0, 3),
            [],
        ];
        foreach ($changed as $receipt) {
            self::assertFalse($this->crypto->verify($receipt, $this->signature, $this->worker->peerId));
        }
    }

    public function testEveryFlippedBitOfTheSignatureIsFalse(): void
    {
        $raw = base64_decode($this->signature);
        for ($bit = 0; $bit < 8 * strlen($raw); $bit++) {
            $flipped = $raw;
            $flipped[$bit >> 3] = chr(ord($flipped[$bit >> 3]) ^ (1 << ($bit & 7)));
            $signature = base64_encode($flipped);
            self::assertFalse($this->crypto->verify(self::SUMMARY, $signature, $this->worker->peerId), "bit $bit");
        }
    }

    public function testAnotherNodesKeyIsFalse(): void
    {
        $other = new Worker('other');
        self::assertFalse($this->crypto->verify(self::SUMMARY, $this->signature, $other->peerId));
    }

    /**
     * A key of small order would verify anything.
     */
    public function testKeysOfSmallOrderAreFalse(): void
    {
        $signature = base64_encode(str_repeat("\0", 64));
        foreach ([str_repeat('00', 32), '01' . str_repeat('00', 31), 'ec' . str_repeat('ff', 30) . '7f'] as $key) {
            self::assertFalse($this->crypto->verify(self::SUMMARY, $signature, $key));
        }
    }

    /**
     * @dataProvider garbage
     * @param array<array-key, mixed> $receipt
     */
    public function testGarbageIsFalseAndNeverThrows(array $receipt, ?string $signature, ?string $key): void
    {
        $signature ??= $this->signature;
        self::assertFalse($this->crypto->verify($receipt, $signature, $key ?? $this->worker->peerId));
    }

    /**
     * @return iterable<string, array{array<array-key, mixed>, string|null, string|null}>
     */
    public static function garbage(): iterable
    {
        $endless = ['a' => null];
        $endless['a'] = &$endless;
        yield 'reals' => [['a' => 1.5], null, null];
        yield 'not a number' => [['a' => NAN], null, null];
        yield 'too large' => [['a' => PHP_INT_MAX], null, null];
        yield 'not UTF-8' => [['a' => "\xff"], null, null];
        yield 'object' => [['a' => new \ArrayObject()], null, null];
        yield 'resource' => [['a' => STDIN], null, null];
        yield 'closure' => [['a' => static fn () => 1], null, null];
        yield 'endless' => [$endless, null, null];
        yield 'empty signature' => [self::SUMMARY, '', null];
        yield 'short signature' => [self::SUMMARY, base64_encode(str_repeat('a', 63)), null];
        yield 'long signature' => [self::SUMMARY, base64_encode(str_repeat('a', 65)), null];
        yield 'binary signature' => [self::SUMMARY, str_repeat("\xff", 64), null];
        yield 'empty key' => [self::SUMMARY, null, ''];
        yield 'short key' => [self::SUMMARY, null, 'abcd'];
        yield 'binary key' => [self::SUMMARY, null, str_repeat("\xff", 32)];
        yield 'key with NUL' => [self::SUMMARY, null, "12D3KooW\0"];
    }

    public function testRandomGarbageIsFalseAndNeverThrows(): void
    {
        mt_srand(20251109);
        for ($round = 0; $round < 2000; $round++) {
            $text = '';
            for ($size = mt_rand(0, 90); $size > 0; $size--) {
                $text .= chr(mt_rand(0, 255));
            }
            self::assertFalse($this->crypto->verify([$text => $text], $text, $this->worker->peerId));
            self::assertFalse($this->crypto->verify(self::SUMMARY, $this->signature, $text));
            self::assertFalse($this->crypto->verify(self::SUMMARY, base64_encode($text), base64_encode($text)));
        }
    }

    public function testOtherSpellingsOfTheSignatureAreFalse(): void
    {
        $spellings = [
            rtrim($this->signature, '='),
            $this->signature . "\n",
            ' ' . $this->signature,
            strtr($this->signature, '+/', '-_') === $this->signature ? '' : strtr($this->signature, '+/', '-_'),
            bin2hex(base64_decode($this->signature)),
        ];
        foreach ($spellings as $signature) {
            self::assertFalse($this->crypto->verify(self::SUMMARY, $signature, $this->worker->peerId));
        }
    }

    public function testHashesAsReceiptsWriteThem(): void
    {
        // FIPS 180-2, appendix B.1.
        $expected = 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
        self::assertSame($expected, Crypto::sha256('abc'));
    }
}
