<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Support;

use PhaseBased\Plasm\Driver\JobHandle;
use PhaseBased\Plasm\OutputChunk;

/**
 * A job with a prepared end.
 */
final class FakeJob implements JobHandle
{
    public bool $cancelled = false;
    public int $results = 0;

    /**
     * @param array<string, mixed> $info
     * @param list<OutputChunk> $chunks
     * @param array<string, mixed> $answer
     */
    public function __construct(
        private readonly array $info,
        private array $chunks,
        private readonly array $answer,
    ) {
    }

    public function info(): array
    {
        return $this->info;
    }

    public function read(): ?OutputChunk
    {
        return array_shift($this->chunks);
    }

    public function result(): array
    {
        $this->results++;
        return $this->answer;
    }

    public function cancel(): void
    {
        $this->cancelled = true;
    }
}
