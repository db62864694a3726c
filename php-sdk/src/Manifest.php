<?php

declare(strict_types=1);

namespace PhaseBased\Plasm;

use PhaseBased\Plasm\Exception\MalformedException;

/**
 * What a client asked for: the manifest of a job, `phase.job/1`. Immutable.
 */
final class Manifest
{
    public const TYPE = 'phase.job/1';
    public const PROFILES = ['wasip1', 'deterministic/1'];

    private const SIZE_MAX = 48 * 1024;
    private const LIST_MAX = 1024;
    private const PREV_MAX = 16;
    private const FORMS = [
        'type' => [self::TYPE],
        'job_id' => 'uuid',
        'module_hash' => 'hash',
        'module_size' => 'count',
        'args' => 'texts',
        'env' => 'texts',
        'stdin_hash' => 'hash',
        'limits' => 'object',
        'profile' => self::PROFILES,
        'arch' => 'arch or nothing',
        'runtime' => 'runtime or nothing',
        'client_nonce' => 'nonce',
        'fetch_hash' => 'hash or nothing',
        'expires' => 'count',
    ];
    private const LIMIT_FORMS = [
        'fuel' => 'count',
        'memory_bytes' => 'positive',
        'wall_ms' => 'positive',
        'output_bytes' => 'count',
    ];

    /**
     * @param array<string, mixed> $fields of `phase.job/1`, as they are hashed
     */
    private function __construct(public readonly array $fields)
    {
    }

    /**
     * @throws MalformedException when it is no manifest; the message names the field
     */
    public static function fromJson(string $json): self
    {
        $fields = CanonicalJson::decode($json);
        if (!is_array($fields)) {
            throw new MalformedException('manifest: not an object');
        }
        return self::fromArray($fields);
    }

    /**
     * @param array<array-key, mixed> $fields
     * @throws MalformedException when it is no manifest; the message names the field
     */
    public static function fromArray(array $fields): self
    {
        // The one field that is left out when there is nothing in it.
        $prev = array_key_exists('prev', $fields) ? ['prev' => 'hashes'] : [];
        Fields::check('manifest', $fields, self::FORMS + $prev);
        Fields::check('manifest: limits', $fields['limits'], self::LIMIT_FORMS);
        if ($fields['profile'] === 'deterministic/1' && $fields['limits']['fuel'] < 1) {
            throw new MalformedException('manifest: limits: fuel must be at least 1 for deterministic/1');
        }
        if ($prev !== [] && $fields['prev'] === []) {
            throw new MalformedException('manifest: prev is empty: leave it out');
        }
        foreach (['args' => self::LIST_MAX, 'env' => self::LIST_MAX, 'prev' => self::PREV_MAX] as $name => $max) {
            if (count($fields[$name] ?? []) > $max) {
                throw new MalformedException("manifest: $name has more than $max members");
            }
        }
        foreach ($fields['env'] as $setting) {
            if (strpos($setting, '=') < 1) {
                throw new MalformedException('manifest: env has a member that is not K=V');
            }
        }
        $manifest = new self($fields);
        if (strlen($manifest->toJson()) > self::SIZE_MAX) {
            throw new MalformedException('manifest: larger than ' . self::SIZE_MAX . ' bytes');
        }
        return $manifest;
    }

    /** The canonical JSON. */
    public function toJson(): string
    {
        return CanonicalJson::encode($this->fields);
    }

    /** "sha256:<hex>" of the canonical JSON: the receipt's `manifest_hash`. */
    public function hash(): string
    {
        return Crypto::sha256($this->toJson());
    }

    public function jobId(): string
    {
        return $this->fields['job_id'];
    }
}
