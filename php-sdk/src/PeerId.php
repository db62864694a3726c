<?php

declare(strict_types=1);

namespace PhaseBased\Plasm;

use PhaseBased\Plasm\Exception\MalformedException;

/**
 * A node's identity, "12D3KooW...": the multihash of its public key. An Ed25519 key is embedded as
 * it is, so the peer id alone is enough to check what the node signed.
 */
final class PeerId
{
    private const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
    private const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
    /** Identity multihash of 36 bytes: libp2p's PublicKey message with type Ed25519, 32 bytes. */
    private const ED25519_PREFIX = "\x00\x24\x08\x01\x12\x20";
    /** CIDv1 with the multicodec libp2p-key. */
    private const CID_PREFIX = "\x01\x72";
    private const TEXT_SIZE_MAX = 128;

    private function __construct(private readonly string $publicKey)
    {
    }

    /**
     * From text: base58 ("12D3KooW...") or a CID ("bafz...").
     *
     * @throws MalformedException also for a peer id without an Ed25519 key inside ("Qm...")
     */
    public static function parse(string $text): self
    {
        $binary = self::decodeText($text);
        $prefix = self::ED25519_PREFIX;
        if ($binary === null || !str_starts_with($binary, $prefix)) {
            throw new MalformedException('not the peer id of an Ed25519 key');
        }
        return self::ofPublicKey(substr($binary, strlen($prefix)));
    }

    /**
     * Of a raw public key, 32 bytes.
     *
     * @throws MalformedException
     */
    public static function ofPublicKey(string $publicKey): self
    {
        if (strlen($publicKey) !== SODIUM_CRYPTO_SIGN_PUBLICKEYBYTES) {
            throw new MalformedException('an Ed25519 public key has 32 bytes');
        }
        return new self($publicKey);
    }

    /**
     * A key as people write it: a peer id, or an Ed25519 public key in base64 or hex.
     *
     * @throws MalformedException
     */
    public static function ofKeyText(string $text): self
    {
        if (preg_match('/\A[0-9A-Fa-f]{64}\z/', $text) === 1) {
            return self::ofPublicKey(sodium_hex2bin($text));
        }
        $key = self::decodeBase64($text);
        return $key !== null && strlen($key) === SODIUM_CRYPTO_SIGN_PUBLICKEYBYTES
            ? self::ofPublicKey($key)
            : self::parse($text);
    }

    /** The raw Ed25519 public key, 32 bytes. */
    public function publicKey(): string
    {
        return $this->publicKey;
    }

    public function equals(self $other): bool
    {
        return hash_equals($this->publicKey, $other->publicKey);
    }

    public function __toString(): string
    {
        return self::encodeBase58(self::ED25519_PREFIX . $this->publicKey);
    }

    /**
     * Base64 in its one canonical spelling, with padding; null for anything else.
     *
     * @internal
     */
    public static function decodeBase64(string $text): ?string
    {
        $binary = base64_decode($text, true);
        return $binary !== false && base64_encode($binary) === $text ? $binary : null;
    }

    private static function decodeText(string $text): ?string
    {
        if ($text === '' || strlen($text) > self::TEXT_SIZE_MAX) {
            return null;
        }
        if ($text[0] === 'b') {
            $binary = self::decodeBase32(substr($text, 1));
            return $binary !== null && str_starts_with($binary, self::CID_PREFIX)
                ? substr($binary, strlen(self::CID_PREFIX))
                : null;
        }
        return self::decodeBase58($text);
    }

    private static function decodeBase58(string $text): ?string
    {
        if (strspn($text, self::BASE58) !== strlen($text)) {
            return null;
        }
        $bytes = []; // little-endian
        for ($at = 0; $at < strlen($text); $at++) {
            $carry = strpos(self::BASE58, $text[$at]);
            foreach ($bytes as $index => $byte) {
                $carry += $byte * 58;
                $bytes[$index] = $carry & 0xff;
                $carry >>= 8;
            }
            if ($carry > 0) {
                $bytes[] = $carry;
            }
        }
        $zeros = strspn($text, self::BASE58[0]);
        return str_repeat("\0", $zeros) . pack('C*', ...array_reverse($bytes));
    }

    private static function encodeBase58(string $binary): string
    {
        $digits = []; // little-endian
        for ($at = 0; $at < strlen($binary); $at++) {
            $carry = ord($binary[$at]);
            foreach ($digits as $index => $digit) {
                $carry += $digit << 8;
                $digits[$index] = $carry % 58;
                $carry = intdiv($carry, 58);
            }
            while ($carry > 0) {
                $digits[] = $carry % 58;
                $carry = intdiv($carry, 58);
            }
        }
        $text = str_repeat(self::BASE58[0], strspn($binary, "\0"));
        foreach (array_reverse($digits) as $digit) {
            $text .= self::BASE58[$digit];
        }
        return $text;
    }

    private static function decodeBase32(string $text): ?string
    {
        if (strspn($text, self::BASE32) !== strlen($text)) {
            return null;
        }
        $binary = '';
        $bits = 0;
        $count = 0;
        for ($at = 0; $at < strlen($text); $at++) {
            $bits = (($bits << 5) | strpos(self::BASE32, $text[$at])) & 0xfff;
            $count += 5;
            if ($count >= 8) {
                $count -= 8;
                $binary .= chr(($bits >> $count) & 0xff);
            }
        }
        // What is left over must be padding: fewer than five zero bits.
        return $count < 5 && ($bits & ((1 << $count) - 1)) === 0 ? $binary : null;
    }
}
