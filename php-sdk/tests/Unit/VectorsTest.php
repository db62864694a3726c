<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Unit;

use PhaseBased\Plasm\CanonicalJson;
use PhaseBased\Plasm\Crypto;
use PhaseBased\Plasm\Exception\MalformedException;
use PhaseBased\Plasm\Manifest;
use PhaseBased\Plasm\PeerId;
use PhaseBased\Plasm\Receipt;
use PHPUnit\Framework\TestCase;

/**
 * The golden vectors that every implementation is tested against (docs/spec/vectors).
 */
final class VectorsTest extends TestCase
{
    private const DIRECTORY = __DIR__ . '/../../../docs/spec/vectors';
    /** Refused as the canonical form; a receipt file may spell its manifest so. */
    private const OTHER_SPELLINGS = [
        'not sorted',
        'white space',
        'a newline at the end',
        'needless escape',
        'escaped slash',
        'long escape of a newline',
        'escape in upper case',
        'minus zero',
    ];

    /**
     * @dataProvider keys
     * @param array<string, string> $key
     */
    public function testKeys(array $key): void
    {
        $pair = sodium_crypto_sign_seed_keypair(hex2bin($key['seed']));
        self::assertSame($key['public_key_hex'], bin2hex(sodium_crypto_sign_publickey($pair)));
        foreach (['public_key', 'public_key_hex', 'peer_id'] as $spelling) {
            $id = PeerId::ofKeyText($key[$spelling]);
            self::assertSame($key['peer_id'], (string) $id);
            self::assertSame($key['public_key'], base64_encode($id->publicKey()));
        }
    }

    /**
     * @return iterable<string, array{array<string, string>}>
     */
    public static function keys(): iterable
    {
        foreach (self::read('keys') as $name => $key) {
            yield $name => [$key];
        }
    }

    /**
     * @dataProvider manifests
     * @param array<string, string> $vector
     */
    public function testManifests(array $vector): void
    {
        $manifest = Manifest::fromJson($vector['canonical']);
        self::assertSame($vector['canonical'], $manifest->toJson());
        self::assertSame($vector['hash'], $manifest->hash());
    }

    /**
     * @return iterable<string, array{array<string, string>}>
     */
    public static function manifests(): iterable
    {
        return self::vectors('manifests', 'valid');
    }

    /**
     * @dataProvider refusedManifests
     * @param array<string, string> $vector
     */
    public function testRefusedManifests(array $vector): void
    {
        if (in_array($vector['name'], self::OTHER_SPELLINGS, true)) {
            self::assertNotSame($vector['json'], Manifest::fromJson($vector['json'])->toJson());
            return;
        }
        $this->expectException(MalformedException::class);
        Manifest::fromJson($vector['json']);
    }

    /**
     * @return iterable<string, array{array<string, string>}>
     */
    public static function refusedManifests(): iterable
    {
        return self::vectors('manifests', 'refused');
    }

    /**
     * @dataProvider receipts
     * @param array<string, string> $vector
     */
    public function testReceipts(array $vector): void
    {
        $key = self::read('receipts')['public_key'];
        $fields = CanonicalJson::decode($vector['canonical']);
        $receipt = Receipt::fromArray([
            'manifest' => CanonicalJson::decode($vector['manifest']),
            'receipt' => $fields,
            'signature' => $vector['signature'],
            'public_key' => $key,
        ]);
        self::assertNull($receipt->refusal($key));
        self::assertSame($vector['hash'], $receipt->hash());
        self::assertSame($vector['result_hash'], $receipt->resultHash());
        $crypto = new Crypto();
        self::assertTrue($crypto->verify($fields, $vector['signature'], $key));
        $summary = CanonicalJson::decode($vector['summary']);
        self::assertTrue($crypto->verify($summary, $vector['summary_signature'], $key));
        self::assertFalse($crypto->verify($summary, $vector['signature'], $key));
        self::assertFalse($crypto->verify($fields, $vector['summary_signature'], $key));
    }

    /**
     * @return iterable<string, array{array<string, string>}>
     */
    public static function receipts(): iterable
    {
        return self::vectors('receipts', 'valid');
    }

    /**
     * @dataProvider refusedReceipts
     * @param array<string, string> $vector
     */
    public function testRefusedReceipts(array $vector): void
    {
        $hello = self::read('receipt-files')['valid'][0]['file'];
        $fields = CanonicalJson::decode($vector['json']);
        $this->expectException(MalformedException::class);
        Receipt::fromArray(['receipt' => $fields] + $hello);
    }

    /**
     * @return iterable<string, array{array<string, string>}>
     */
    public static function refusedReceipts(): iterable
    {
        return self::vectors('receipts', 'refused');
    }

    /**
     * @dataProvider files
     * @param array<string, mixed> $vector
     */
    public function testFiles(array $vector): void
    {
        $worker = self::read('receipt-files')['worker'];
        $receipt = Receipt::fromJson(json_encode($vector['file'], JSON_PRETTY_PRINT));
        self::assertNull($receipt->refusal($worker));
        self::assertSame($worker, $receipt->worker());
    }

    /**
     * @return iterable<string, array{array<string, mixed>}>
     */
    public static function files(): iterable
    {
        return self::vectors('receipt-files', 'valid');
    }

    /**
     * @dataProvider refusedFiles
     * @param array<string, mixed> $vector
     */
    public function testRefusedFiles(array $vector): void
    {
        $worker = self::read('receipt-files')['worker'];
        try {
            $receipt = Receipt::fromJson(json_encode($vector['file']));
        } catch (MalformedException $exception) {
            self::assertNotSame('', $exception->getMessage());
            return;
        }
        self::assertFalse($receipt->verify($worker));
    }

    /**
     * @return iterable<string, array{array<string, mixed>}>
     */
    public static function refusedFiles(): iterable
    {
        return self::vectors('receipt-files', 'refused');
    }

    /**
     * The file as it is on disk, and every bit of it flipped in turn.
     */
    public function testTheWorkedExample(): void
    {
        $json = (string) file_get_contents(self::DIRECTORY . '/hello.receipt.json');
        $worker = self::read('keys')['worker']['peer_id'];
        $receipt = Receipt::fromJson($json);
        self::assertNull($receipt->refusal($worker));
        $canonical = $receipt->toJson();
        $taken = 0;
        for ($bit = 0; $bit < 8 * strlen($json); $bit++) {
            $changed = $json;
            $changed[$bit >> 3] = chr(ord($json[$bit >> 3]) ^ (1 << ($bit & 7)));
            try {
                $again = Receipt::fromJson($changed);
            } catch (MalformedException) {
                continue;
            }
            // White space may become other white space; nothing else may still hold.
            $taken += $again->verify($worker) && $again->toJson() !== $canonical ? 1 : 0;
        }
        self::assertSame(0, $taken);
    }

    /**
     * @return array<string, mixed>
     */
    private static function read(string $name): array
    {
        return json_decode((string) file_get_contents(self::DIRECTORY . "/$name.json"), true, 64, JSON_THROW_ON_ERROR);
    }

    /**
     * @return iterable<string, array{array<string, mixed>}>
     */
    private static function vectors(string $name, string $group): iterable
    {
        foreach (self::read($name)[$group] as $vector) {
            yield $vector['name'] => [$vector];
        }
    }
}
