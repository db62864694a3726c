<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Unit;

use PhaseBased\Plasm\Exception\MalformedException;
use PhaseBased\Plasm\PeerId;
use PHPUnit\Framework\TestCase;

/**
 * Peer ids and the keys inside them.
 */
final class PeerIdTest extends TestCase
{
    // libp2p/specs peer-ids/peer-ids.md, "Keys", test vector for Ed25519: the protobuf of the public
    // key ends in this key. The base58 text was made of it with Python's integers.
    private const KEY = '1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e';
    private const TEXT = '12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq';

    public function testOfPublicKey(): void
    {
        $id = PeerId::ofPublicKey(hex2bin(self::KEY));
        self::assertSame(self::TEXT, (string) $id);
        self::assertSame(self::KEY, bin2hex(PeerId::parse(self::TEXT)->publicKey()));
        self::assertTrue($id->equals(PeerId::parse(self::TEXT)));
        self::assertFalse($id->equals(PeerId::ofPublicKey(str_repeat("\1", 32))));
    }

    public function testReadsCids(): void
    {
        $binary = "\x01\x72\x00\x24\x08\x01\x12\x20" . hex2bin(self::KEY);
        $id = PeerId::parse('b' . self::base32($binary));
        self::assertSame(self::TEXT, (string) $id);
    }

    /**
     * @dataProvider keySpellings
     */
    public function testReadsKeysAsPeopleWriteThem(string $text): void
    {
        self::assertSame(self::TEXT, (string) PeerId::ofKeyText($text));
    }

    /**
     * @return iterable<string, array{string}>
     */
    public static function keySpellings(): iterable
    {
        yield 'peer id' => [self::TEXT];
        yield 'hex' => [self::KEY];
        yield 'upper-case hex' => [strtoupper(self::KEY)];
        yield 'base64' => [base64_encode(hex2bin(self::KEY))];
    }

    /**
     * @dataProvider badTexts
     */
    public function testRefuses(string $text): void
    {
        $this->expectException(MalformedException::class);
        PeerId::ofKeyText($text);
    }

    /**
     * @return iterable<string, array{string}>
     */
    public static function badTexts(): iterable
    {
        yield 'empty' => [''];
        yield 'placeholder' => ['<node-public-key>'];
        yield 'abbreviated' => ['12D3KooW...'];
        yield 'cut' => [substr(self::TEXT, 0, -1)];
        yield 'longer' => [self::TEXT . '1'];
        yield 'leading one' => ['1' . self::TEXT];
        yield 'a letter base58 lacks' => [str_replace('W', 'O', self::TEXT)];
        yield 'space' => [' ' . self::TEXT];
        yield 'newline' => [self::TEXT . "\n"];
        yield 'hashed peer id' => ['QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'];
        yield 'hex with newline' => [self::KEY . "\n"];
        yield 'short hex' => [substr(self::KEY, 2)];
        yield 'base64 without padding' => [rtrim(base64_encode(hex2bin(self::KEY)), '=')];
        yield 'base64 with loose bits' => [substr(base64_encode(hex2bin(self::KEY)), 0, -2) . '/='];
        yield 'base64 of 31 bytes' => [base64_encode(str_repeat('a', 31))];
        yield 'CID of something else' => ['bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'];
        yield 'CID with bad letters' => ['b0189'];
        yield 'only the multibase' => ['b'];
        yield 'very long' => [str_repeat('1', 100000)];
        yield 'not UTF-8' => ["\xff\xfe"];
    }

    private static function base32(string $binary): string
    {
        $bits = '';
        foreach (str_split($binary) as $byte) {
            $bits .= sprintf('%08b', ord($byte));
        }
        $text = '';
        foreach (str_split($bits, 5) as $group) {
            $text .= 'abcdefghijklmnopqrstuvwxyz234567'[bindec(str_pad($group, 5, '0'))];
        }
        return $text;
    }
}
