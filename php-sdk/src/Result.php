<?php

declare(strict_types=1);

namespace PhaseBased\Plasm;

use PhaseBased\Plasm\Exception\StateException;

/**
 * How a job ended. It exists only after its receipt was verified: signed by the node that was asked,
 * for this job, this module, this input and this output. Immutable.
 */
final class Result
{
    /**
     * @param string      $output     standard output, every byte
     * @param string      $stderr     standard error, every byte
     * @param int         $exitCode   the module's; Receipt::EXIT_CODE_NONE unless status is ok or exit
     * @param string      $status     one of Receipt::STATUSES
     * @param int         $wallTimeMs execution time in milliseconds, rounded up, by the node's clock
     * @param string      $message    the node's words on a failure; not signed
     * @param array{0: array<string, mixed>, 1: string}|null $summary
     * @param bool        $outputKept false where the node had only the receipt (Client::receipt()):
     *     then $output and $stderr are empty, whatever the job wrote
     */
    public function __construct(
        public readonly string $output,
        public readonly string $stderr,
        public readonly int $exitCode,
        public readonly string $status,
        public readonly int $wallTimeMs,
        public readonly Receipt $receipt,
        public readonly Timings $timings,
        public readonly string $message = '',
        private readonly ?array $summary = null,
        public readonly bool $outputKept = true,
    ) {
    }

    /** True when the module ran to its end with exit code 0. */
    public function isOk(): bool
    {
        return $this->status === 'ok';
    }

    /**
     * The four keys of the manual check (job_id, module_hash, exit_code, wall_time_ms) and the node's
     * signature over just them, in base64, for Crypto::verify(). It proves less than the receipt.
     *
     * @return array{0: array<string, mixed>, 1: string}
     * @throws StateException when the job was submitted without asking for it
     */
    public function summary(): array
    {
        return $this->summary
            ?? throw new StateException("this job has no summary: submit it with 'summary' => true");
    }
}
