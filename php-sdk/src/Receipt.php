<?php

declare(strict_types=1);

namespace PhaseBased\Plasm;

use PhaseBased\Plasm\Exception\InvalidRequestException;
use PhaseBased\Plasm\Exception\MalformedException;

/**
 * A receipt file: the manifest of a job, the worker's receipt (`phase.receipt/1`) and its signature.
 * Immutable. That one exists says only that it is well-formed; verify() says whether it holds.
 */
final class Receipt
{
    public const TYPE = 'phase.receipt/1';
    public const STATUSES = [
        'ok', 'exit', 'trap', 'fuel', 'timeout', 'memory', 'output', 'stack', 'compile', 'cancelled', 'failed',
    ];
    /** Exit code of every status but "ok" and "exit". */
    public const EXIT_CODE_NONE = -1;

    private const FILE_SIZE_MAX = 256 * 1024;
    private const SIZE_MAX = 8 * 1024;
    private const EXIT_CODE_MAX = 0xffffffff;
    private const PREV_MAX = 16;
    /** Statuses that every honest worker must agree on, under the profile that can promise it. */
    private const COMPARABLE_PROFILE = 'deterministic/1';
    private const COMPARABLE_STATUSES = ['ok', 'exit', 'trap', 'fuel', 'output'];
    private const FORMS = [
        'type' => [self::TYPE],
        'job_id' => 'uuid',
        'manifest_hash' => 'hash',
        'module_hash' => 'hash',
        'input_hash' => 'hash',
        'stdout_hash' => 'hash',
        'stderr_hash' => 'hash',
        'exit_code' => 'integer',
        'status' => self::STATUSES,
        'fuel' => 'count',
        'wall_time_ms' => 'count',
        'wall_time_us' => 'count',
        'runtime' => 'runtime',
        'profile' => Manifest::PROFILES,
        'arch' => 'arch',
        'worker' => 'peer id',
        'client_nonce' => 'nonce',
        'started_ms' => 'count',
        'result_hash' => 'hash or nothing',
        'prev' => 'hashes',
    ];
    private const EXPECTATIONS = [
        'job_id', 'manifest_hash', 'module_hash', 'input_hash', 'stdout_hash', 'stderr_hash', 'client_nonce',
    ];

    /**
     * @param array<string, mixed> $fields    every field of `phase.receipt/1`
     * @param string               $signature base64
     * @param string               $publicKey base64; says who claims to have signed, and proves nothing
     */
    private function __construct(
        public readonly Manifest $manifest,
        public readonly array $fields,
        public readonly string $signature,
        public readonly string $publicKey,
    ) {
    }

    /**
     * Reads a receipt file in any spelling.
     *
     * @throws MalformedException when it is none; the message names the field
     */
    public static function fromJson(string $json): self
    {
        if (strlen($json) > self::FILE_SIZE_MAX) {
            throw new MalformedException('receipt file: larger than ' . self::FILE_SIZE_MAX . ' bytes');
        }
        $file = CanonicalJson::decode($json);
        if (!is_array($file)) {
            throw new MalformedException('receipt file: not an object');
        }
        return self::fromArray($file);
    }

    /**
     * @param array<array-key, mixed> $file {manifest, receipt, signature, public_key}
     * @throws MalformedException when it is none; the message names the field
     */
    public static function fromArray(array $file): self
    {
        $members = ['manifest', 'receipt', 'signature', 'public_key'];
        foreach ($members as $index => $member) {
            $holds = $index < 2 ? is_array($file[$member] ?? null) : is_string($file[$member] ?? null);
            if (!$holds) {
                throw new MalformedException("receipt file: $member is missing or of another kind");
            }
        }
        foreach (array_diff(array_keys($file), $members) as $member) {
            throw new MalformedException("receipt file: $member is no member of it");
        }
        self::checkReceipt($file['receipt']);
        $signature = PeerId::decodeBase64($file['signature']);
        if ($signature === null || strlen($signature) !== SODIUM_CRYPTO_SIGN_BYTES) {
            throw new MalformedException('receipt file: signature is not 64 bytes in base64');
        }
        $publicKey = PeerId::decodeBase64($file['public_key']);
        if ($publicKey === null || strlen($publicKey) !== SODIUM_CRYPTO_SIGN_PUBLICKEYBYTES) {
            throw new MalformedException('receipt file: public_key is not 32 bytes in base64');
        }
        $manifest = Manifest::fromArray($file['manifest']);
        return new self($manifest, $file['receipt'], $file['signature'], $file['public_key']);
    }

    /** The receipt file in canonical JSON. */
    public function toJson(): string
    {
        return CanonicalJson::encode([
            'manifest' => $this->manifest->fields,
            'receipt' => $this->fields,
            'signature' => $this->signature,
            'public_key' => $this->publicKey,
        ]);
    }

    /** "sha256:<hex>" of the signed bytes: what a later step's `prev` names this receipt by. */
    public function hash(): string
    {
        return Crypto::sha256(CanonicalJson::encode($this->fields));
    }

    /** The peer id that the receipt names as its worker's. */
    public function worker(): string
    {
        return $this->fields['worker'];
    }

    /**
     * True when the worker with this key signed this receipt, for this manifest, and the receipt says
     * what is expected of it. The key must come from elsewhere than the receipt: it is that of the
     * node that was asked.
     *
     * @param string $worker peer id, or public key in base64 or hex
     * @param array{job_id?: string, manifest_hash?: string, module_hash?: string, input_hash?: string,
     *     stdout_hash?: string, stderr_hash?: string, client_nonce?: string} $expected
     * @throws InvalidRequestException for an expectation that does not exist
     */
    public function verify(string $worker, array $expected = []): bool
    {
        return $this->refusal($worker, $expected) === null;
    }

    /**
     * Why the receipt does not hold, or null when it does: verify() with a reason.
     *
     * @param array<string, string> $expected as for verify()
     * @throws InvalidRequestException for an expectation that does not exist
     */
    public function refusal(string $worker, array $expected = []): ?string
    {
        foreach (array_diff(array_keys($expected), self::EXPECTATIONS) as $unknown) {
            throw new InvalidRequestException("no such expectation: $unknown");
        }
        return $this->signerRefusal($worker)
            ?? $this->manifestRefusal()
            ?? $this->resultRefusal()
            ?? $this->expectationRefusal($expected);
    }

    /**
     * The hash that every honest worker's receipt for this question and answer has; empty where
     * answers cannot be compared.
     */
    public function resultHash(): string
    {
        $receipt = $this->fields;
        $question = $this->manifest->fields;
        if (!self::isComparable($receipt)) {
            return '';
        }
        return Crypto::sha256(CanonicalJson::encode([
            'type' => 'phase.result/1',
            'module_hash' => $receipt['module_hash'],
            'input_hash' => $receipt['input_hash'],
            'args' => $question['args'],
            'env' => $question['env'],
            'profile' => $receipt['profile'],
            'limits' => [
                'fuel' => $question['limits']['fuel'],
                'memory_bytes' => $question['limits']['memory_bytes'],
                'output_bytes' => $question['limits']['output_bytes'],
            ],
            'exit_code' => $receipt['exit_code'],
            'status' => $receipt['status'],
            'stdout_hash' => $receipt['stdout_hash'],
            'stderr_hash' => $receipt['stderr_hash'],
            'fuel' => $receipt['fuel'],
        ]));
    }

    /**
     * @param array<string, mixed> $receipt
     */
    private static function isComparable(array $receipt): bool
    {
        return $receipt['profile'] === self::COMPARABLE_PROFILE
            && in_array($receipt['status'], self::COMPARABLE_STATUSES, true);
    }

    /**
     * @param array<array-key, mixed> $receipt
     */
    private static function checkReceipt(array $receipt): void
    {
        Fields::check('receipt', $receipt, self::FORMS);
        if (count($receipt['prev']) > self::PREV_MAX) {
            throw new MalformedException('receipt: prev has more than ' . self::PREV_MAX . ' members');
        }
        $code = $receipt['exit_code'];
        $fits = match ($receipt['status']) {
            'ok' => $code === 0,
            'exit' => $code >= 1 && $code <= self::EXIT_CODE_MAX,
            default => $code === self::EXIT_CODE_NONE,
        };
        if (!$fits) {
            throw new MalformedException("receipt: exit_code $code does not fit the status {$receipt['status']}");
        }
        if ($receipt['wall_time_ms'] !== intdiv($receipt['wall_time_us'] + 999, 1000)) {
            throw new MalformedException('receipt: wall_time_ms is not wall_time_us rounded up');
        }
        if (self::isComparable($receipt) === ($receipt['result_hash'] === '')) {
            throw new MalformedException('receipt: result_hash does not fit profile and status');
        }
        if (strlen(CanonicalJson::encode($receipt)) > self::SIZE_MAX) {
            throw new MalformedException('receipt: larger than ' . self::SIZE_MAX . ' bytes');
        }
    }

    private function signerRefusal(string $worker): ?string
    {
        try {
            $pinned = PeerId::ofKeyText($worker);
        } catch (MalformedException) {
            return 'worker: the key to check against is no key';
        }
        return match (true) {
            $this->fields['worker'] !== (string) $pinned => 'worker: is another node',
            $this->publicKey !== base64_encode($pinned->publicKey()) => 'public_key: is another node\'s',
            !(new Crypto())->verify($this->fields, $this->signature, $worker) => 'signature: does not hold',
            default => null,
        };
    }

    private function manifestRefusal(): ?string
    {
        $asked = $this->manifest->fields;
        $echoed = [
            'manifest_hash' => $this->manifest->hash(),
            'job_id' => $asked['job_id'],
            'module_hash' => $asked['module_hash'],
            'input_hash' => $asked['stdin_hash'],
            'profile' => $asked['profile'],
            'client_nonce' => $asked['client_nonce'],
            'prev' => $asked['prev'] ?? [],
        ];
        foreach (['arch', 'runtime'] as $field) {
            if ($asked[$field] !== '') {
                $echoed[$field] = $asked[$field];
            }
        }
        foreach ($echoed as $field => $value) {
            if ($this->fields[$field] !== $value) {
                return "$field: is not the manifest's";
            }
        }
        return null;
    }

    private function resultRefusal(): ?string
    {
        return $this->fields['result_hash'] === $this->resultHash()
            ? null
            : 'result_hash: is not that of the question and the answer';
    }

    /**
     * @param array<string, string> $expected
     */
    private function expectationRefusal(array $expected): ?string
    {
        foreach ($expected as $field => $value) {
            if ($this->fields[$field] !== $value) {
                return "$field: is not the expected one";
            }
        }
        return null;
    }
}
