<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Driver;

use FFI;
use FFI\CData;
use PhaseBased\Plasm\Exception\StateException;
use PhaseBased\Plasm\Exception\TimeoutException;
use PhaseBased\Plasm\OutputChunk;

/**
 * A job in libplasm.
 *
 * @internal
 */
final class FfiJob implements JobHandle
{
    /** Between two slices PHP's signal handlers get their turn. */
    private const SLICE_MS = 200;

    private readonly int $owner;

    /**
     * @param int $lastsMs how long the worker may take for all of it
     */
    public function __construct(
        private readonly FfiDriver $driver,
        private readonly FFI $library,
        private ?CData $job,
        private readonly int $lastsMs,
    ) {
        $this->owner = getmypid();
    }

    public function __destruct()
    {
        $this->free();
    }

    /** Gives the job back to the library, once. */
    public function free(): void
    {
        if ($this->job !== null && $this->owner === getmypid()) {
            $this->library->plasm_job_free($this->job);
        }
        $this->job = null;
    }

    public function info(): array
    {
        return Json::decodeObject($this->library->plasm_job_info($this->job()), 'plasm_job_info');
    }

    public function read(): ?OutputChunk
    {
        $stream = $this->library->new('int');
        $data = $this->library->new('const uint8_t *');
        $size = $this->library->new('size_t');
        $start = hrtime(true);
        do {
            $outcome = $this->library->plasm_job_read(
                $this->job(),
                self::SLICE_MS,
                FFI::addr($stream),
                FFI::addr($data),
                FFI::addr($size)
            );
            $waits = $outcome === $this->library->PLASM_TIMEOUT;
            if ($waits && hrtime(true) - $start >= $this->lastsMs * 1_000_000) {
                throw new TimeoutException("the worker did not answer in the job's time");
            }
        } while ($waits);
        if ($outcome < 0) {
            throw $this->driver->failure($outcome);
        }
        return $outcome === 0
            ? null
            : new OutputChunk($stream->cdata, $size->cdata > 0 ? FFI::string($data, $size->cdata) : '');
    }

    public function result(): array
    {
        $json = $this->library->new('const char *');
        $error = $this->library->plasm_job_result($this->job(), FFI::addr($json));
        if ($error !== 0) {
            throw $this->driver->failure($error);
        }
        return Json::decodeObject(FFI::string($json), 'plasm_job_result');
    }

    public function cancel(): void
    {
        $error = $this->library->plasm_job_cancel($this->job());
        if ($error !== 0) {
            throw $this->driver->failure($error);
        }
    }

    private function job(): CData
    {
        if ($this->job === null || $this->owner !== getmypid()) {
            throw new StateException('the job belongs to the process that submitted it');
        }
        return $this->job;
    }

    private function __clone()
    {
    }
}
