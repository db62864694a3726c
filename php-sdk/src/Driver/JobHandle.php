<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Driver;

use PhaseBased\Plasm\Exception\PlasmException;
use PhaseBased\Plasm\OutputChunk;

/**
 * A job that a worker has accepted, as a driver sees it.
 */
interface JobHandle
{
    /**
     * @return array<string, mixed> plasm_job_info's object
     */
    public function info(): array;

    /**
     * Waits for output; null when the job is over.
     *
     * @throws PlasmException
     */
    public function read(): ?OutputChunk;

    /**
     * Waits for the end.
     *
     * @return array<string, mixed> plasm_job_result's object
     * @throws PlasmException
     */
    public function result(): array;

    /**
     * Asks the worker to stop the job; its receipt then says "cancelled".
     *
     * @throws PlasmException
     */
    public function cancel(): void;
}
