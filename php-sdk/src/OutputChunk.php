<?php

declare(strict_types=1);

namespace PhaseBased\Plasm;

/**
 * Some bytes that a running job wrote. Immutable.
 */
final class OutputChunk
{
    public const STDOUT = 1;
    public const STDERR = 2;

    /**
     * @param int $stream STDOUT or STDERR
     */
    public function __construct(
        public readonly int $stream,
        public readonly string $data,
    ) {
    }
}
