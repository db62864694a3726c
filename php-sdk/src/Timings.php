<?php

declare(strict_types=1);

namespace PhaseBased\Plasm;

/**
 * Where the time of a job went, in microseconds by the client's clock. Immutable.
 */
final class Timings
{
    public function __construct(
        public readonly int $discoverUs,
        public readonly int $submitUs,
        public readonly int $executeUs,
        public readonly int $returnUs,
        public readonly int $totalUs,
    ) {
    }

    /**
     * @internal
     * @param array<string, int> $timings plasm_job_result's "timings_us"
     */
    public static function fromArray(array $timings): self
    {
        return new self(
            (int) ($timings['discover'] ?? 0),
            (int) ($timings['submit'] ?? 0),
            (int) ($timings['execute'] ?? 0),
            (int) ($timings['return'] ?? 0),
            (int) ($timings['total'] ?? 0)
        );
    }
}
