<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Driver;

use PhaseBased\Plasm\Exception\DriverException;
use PhaseBased\Plasm\Exception\StateException;
use PhaseBased\Plasm\OutputChunk;

/**
 * A job that a plasm command runs.
 *
 * @internal
 */
final class ProcessJob implements JobHandle
{
    /** @var array<string, mixed>|null plasm_job_result's object, once it is there */
    private ?array $result = null;
    private readonly int $owner;

    /**
     * @param array<string, mixed> $info plasm_job_info's object
     */
    public function __construct(private readonly EventProcess $process, private readonly array $info)
    {
        $this->owner = getmypid();
    }

    public function info(): array
    {
        return $this->info;
    }

    public function read(): ?OutputChunk
    {
        if ($this->result !== null) {
            return null;
        }
        $this->requireOwner();
        $event = $this->process->next();
        if ($event['event'] === 'result') {
            $this->result = $event;
            return null;
        }
        $data = base64_decode((string) ($event['data'] ?? ''), true);
        if ($event['event'] !== 'output' || !is_int($event['stream'] ?? null) || $data === false) {
            throw new DriverException("the plasm command gave no output event but {$event['event']}");
        }
        return new OutputChunk($event['stream'], $data);
    }

    public function result(): array
    {
        while ($this->result === null) {
            if ($this->read() !== null) {
                throw new StateException('the output has to be read before the result');
            }
        }
        return $this->result;
    }

    public function cancel(): void
    {
        $this->requireOwner();
        $this->process->interrupt();
    }

    private function requireOwner(): void
    {
        if ($this->owner !== getmypid()) {
            throw new StateException('the job belongs to the process that submitted it');
        }
    }
}
