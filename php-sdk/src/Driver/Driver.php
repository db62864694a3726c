<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Driver;

use PhaseBased\Plasm\Exception\PlasmException;

/**
 * A way to the network. Requests and answers are plasm.h's JSON objects as arrays.
 */
interface Driver
{
    /** "ffi", "process" or a name of the implementation's own. */
    public function name(): string;

    /**
     * @param array<string, mixed> $query plasm_discover's
     * @return array<string, mixed> its answer; without nodes when none was found
     * @throws PlasmException
     */
    public function discover(array $query): array;

    /**
     * Returns when a worker has accepted the job.
     *
     * @param array<string, mixed> $request plasm_submit's
     * @throws PlasmException
     */
    public function submit(array $request, string $module, string $input): JobHandle;

    /**
     * Asks who would take the job.
     *
     * @param array<string, mixed> $request plasm_explain's
     * @return array<string, mixed> its answer; without nodes when nobody was found
     * @throws PlasmException
     */
    public function explain(array $request, string $module, string $input): array;

    /**
     * Asks again for a job that was accepted before.
     *
     * @param array<string, mixed> $request plasm_receipt's
     * @return array<string, mixed> its answer
     * @throws PlasmException
     */
    public function receipt(array $request): array;
}
