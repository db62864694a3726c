<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Support;

use PhaseBased\Plasm\CanonicalJson;
use PhaseBased\Plasm\Crypto;
use PhaseBased\Plasm\Manifest;
use PhaseBased\Plasm\PeerId;
use PhaseBased\Plasm\Receipt;

/**
 * A worker without a network: it has a key and signs receipts, true ones and those a test asks for.
 */
final class Worker
{
    public readonly string $peerId;
    public readonly string $publicKey;
    private readonly string $secretKey;

    public function __construct(string $name = 'worker')
    {
        $pair = sodium_crypto_sign_seed_keypair(hash('sha256', $name, true));
        $this->publicKey = sodium_crypto_sign_publickey($pair);
        $this->secretKey = sodium_crypto_sign_secretkey($pair);
        $this->peerId = (string) PeerId::ofPublicKey($this->publicKey);
    }

    /**
     * @param array<string, mixed> $fields
     */
    public function sign(array $fields): string
    {
        return base64_encode(sodium_crypto_sign_detached(CanonicalJson::encode($fields), $this->secretKey));
    }

    /**
     * The manifest a client would make of a request.
     *
     * @param array<string, mixed> $request plasm_submit's
     * @return array<string, mixed>
     */
    public static function manifest(array $request, string $module, string $input): array
    {
        return [
            'type' => Manifest::TYPE,
            'job_id' => $request['job_id'] ?? '550e8400-e29b-41d4-a716-446655440000',
            'module_hash' => Crypto::sha256($module),
            'module_size' => strlen($module),
            'args' => $request['args'] ?? [],
            'env' => $request['env'] ?? [],
            'stdin_hash' => Crypto::sha256($input),
            'limits' => array_merge(
                ['fuel' => 0, 'memory_bytes' => 134217728, 'wall_ms' => 30000, 'output_bytes' => 1048576],
                (array) ($request['limits'] ?? [])
            ),
            'profile' => $request['profile'] ?? 'wasip1',
            'arch' => $request['arch'] ?? '',
            'runtime' => $request['runtime'] ?? '',
            'client_nonce' => '000102030405060708090a0b0c0d0e0f',
            'fetch_hash' => '',
            'expires' => 1764000000,
        ];
    }

    /**
     * The receipt's fields for a job that wrote this output.
     *
     * @param array<string, mixed> $manifest
     * @param array<string, mixed> $changes fields that are to be other than the truth
     * @return array<string, mixed>
     */
    public function receipt(array $manifest, string $output = '', string $stderr = '', array $changes = []): array
    {
        $fields = [
            'type' => Receipt::TYPE,
            'job_id' => $manifest['job_id'],
            'manifest_hash' => Crypto::sha256(CanonicalJson::encode($manifest)),
            'module_hash' => $manifest['module_hash'],
            'input_hash' => $manifest['stdin_hash'],
            'stdout_hash' => Crypto::sha256($output),
            'stderr_hash' => Crypto::sha256($stderr),
            'exit_code' => 0,
            'status' => 'ok',
            'fuel' => 0,
            'wall_time_ms' => 235,
            'wall_time_us' => 234501,
            'runtime' => 'wasmtime-48',
            'profile' => $manifest['profile'],
            'arch' => 'x86_64',
            'worker' => $this->peerId,
            'client_nonce' => $manifest['client_nonce'],
            'started_ms' => 1763999000000,
            'result_hash' => '',
            'prev' => $manifest['prev'] ?? [],
        ];
        return $changes + $fields;
    }

    /**
     * The receipt file of these two, truly signed.
     *
     * @param array<string, mixed> $manifest
     * @param array<string, mixed> $receipt
     * @return array<string, mixed>
     */
    public function file(array $manifest, array $receipt): array
    {
        return [
            'manifest' => $manifest,
            'receipt' => $receipt,
            'signature' => $this->sign($receipt),
            'public_key' => base64_encode($this->publicKey),
        ];
    }

    /**
     * plasm_job_result's answer.
     *
     * @param array<string, mixed> $manifest
     * @param array<string, mixed> $receipt
     * @return array<string, mixed>
     */
    public function answer(array $manifest, array $receipt, string $output = '', string $stderr = ''): array
    {
        $keys = ['job_id' => 0, 'module_hash' => 0, 'exit_code' => 0, 'wall_time_ms' => 0];
        $summary = array_intersect_key($receipt, $keys);
        return [
            'file' => $this->file($manifest, $receipt),
            'status' => $receipt['status'],
            'exit_code' => $receipt['exit_code'],
            'stdout_base64' => base64_encode($output),
            'stderr_base64' => base64_encode($stderr),
            'message' => '',
            'summary' => ['receipt' => $summary, 'signature' => $this->sign($summary)],
            'timings_us' => ['discover' => 100, 'submit' => 1200, 'execute' => 2300, 'return' => 340, 'total' => 3940],
        ];
    }
}
