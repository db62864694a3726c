<?php

declare(strict_types=1);

namespace PhaseBased\Plasm;

use PhaseBased\Plasm\Exception\PlasmException;

/**
 * Checks Ed25519 signatures over canonical JSON. Needs nothing but ext-sodium.
 *
 * A valid signature says that the holder of the key signed this very array, and nothing of what the
 * array means: whether it is a receipt, and the receipt of your job, is what Receipt::verify() says.
 */
final class Crypto
{
    /**
     * True when $signature (base64) is that of $publicKey (base64, hex or a peer id) over the
     * canonical JSON of $receipt. False for everything else, whatever it is; never throws.
     *
     * @param array<array-key, mixed> $receipt
     */
    public function verify(array $receipt, string $signature, string $publicKey): bool
    {
        try {
            $message = CanonicalJson::encode($receipt);
            $key = PeerId::ofKeyText($publicKey)->publicKey();
            $raw = PeerId::decodeBase64($signature);
            return $raw !== null
                && strlen($raw) === SODIUM_CRYPTO_SIGN_BYTES
                && sodium_crypto_sign_verify_detached($raw, $message, $key);
        } catch (PlasmException | \SodiumException) {
            return false;
        }
    }

    /**
     * The SHA-256 of bytes as receipts write it: "sha256:" and 64 hex digits.
     */
    public static function sha256(string $bytes): string
    {
        return 'sha256:' . hash('sha256', $bytes);
    }
}
