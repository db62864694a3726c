<?php

declare(strict_types=1);

namespace PhaseBased\Plasm;

use PhaseBased\Plasm\Driver\JobHandle;
use PhaseBased\Plasm\Exception\MalformedException;
use PhaseBased\Plasm\Exception\PlasmException;
use PhaseBased\Plasm\Exception\UntrustedException;

/**
 * A job that a worker has accepted.
 */
final class Job
{
    /** The job's UUID. */
    public readonly string $id;
    /** Peer id of the worker. */
    public readonly string $node;
    /** "sha256:<hex>" of the module. */
    public readonly string $moduleHash;
    /** Shows the result to a client with another key; empty where the client has a key of its own. */
    public readonly string $fetchSecret;

    private string $output = '';
    private string $stderr = '';
    private ?Result $result = null;
    /** @var array<string, mixed> what this client asked for, to compare the receipt with */
    private array $asked;

    /**
     * @internal made by Client::submit()
     * @param array<string, mixed> $request
     * @throws UntrustedException when the driver's answer is not about this job
     */
    public function __construct(private readonly JobHandle $handle, array $request, string $module, string $input)
    {
        $info = $handle->info();
        $this->id = (string) $info['job_id'];
        $this->node = (string) $info['node'];
        $this->fetchSecret = (string) ($info['fetch_secret'] ?? '');
        $this->moduleHash = Crypto::sha256($module);
        $this->asked = [
            'module_hash' => $this->moduleHash,
            'module_size' => strlen($module),
            'stdin_hash' => Crypto::sha256($input),
            'job_id' => $this->id,
        ];
        foreach (['args' => [], 'env' => [], 'profile' => 'wasip1', 'arch' => '', 'runtime' => ''] as $field => $none) {
            $this->asked[$field] = $request[$field] ?? $none;
        }
        if (isset($request['job_id']) && $request['job_id'] !== $this->id) {
            throw new UntrustedException('job_id: is not the one that was asked for');
        }
        $pinned = self::pinnedNode((string) ($request['node'] ?? ''));
        if ($pinned !== null && $pinned !== $this->node) {
            throw new UntrustedException('node: is not the one that was asked for');
        }
    }

    /**
     * What the job writes, while it runs. Ends when the job does; what was read here is in the
     * result all the same.
     *
     * @return \Generator<int, OutputChunk>
     * @throws PlasmException
     */
    public function output(): \Generator
    {
        while ($this->result === null) {
            $chunk = $this->handle->read();
            if ($chunk === null) {
                return;
            }
            $this->keep($chunk);
            yield $chunk;
        }
    }

    /**
     * Waits for the end and verifies the receipt. A trap, a time-out or a non-zero exit code is a
     * result, not an exception.
     *
     * @throws UntrustedException when the receipt does not hold
     * @throws PlasmException
     */
    public function wait(): Result
    {
        if ($this->result === null) {
            while (($chunk = $this->handle->read()) !== null) {
                $this->keep($chunk);
            }
            $this->result = $this->conclude($this->handle->result());
        }
        return $this->result;
    }

    /**
     * Asks the worker to stop; wait() then gives the signed receipt with the status "cancelled", or
     * another when the job had ended before.
     *
     * @throws PlasmException
     */
    public function cancel(): void
    {
        if ($this->result === null) {
            $this->handle->cancel();
        }
    }

    /**
     * The result of a job that was fetched again. Which node it must be signed by, the library knows.
     *
     * @internal made by Client::receipt()
     * @param array<string, mixed> $answer plasm_receipt's
     * @throws UntrustedException when the receipt does not hold
     */
    public static function concluded(string $jobId, array $answer): Result
    {
        $kept = ($answer['output_given'] ?? true) === true;
        $output = (string) base64_decode($answer['stdout_base64'] ?? '');
        $stderr = (string) base64_decode($answer['stderr_base64'] ?? '');
        $receipt = self::receiptOf($answer);
        $expected = $kept ? ['stdout_hash' => Crypto::sha256($output), 'stderr_hash' => Crypto::sha256($stderr)] : [];
        $refusal = $receipt->refusal($receipt->fields['worker'], $expected + ['job_id' => $jobId]);
        if ($refusal !== null) {
            throw new UntrustedException("the receipt of job $jobId does not hold: $refusal");
        }
        return self::resultOf($answer, $receipt, $output, $stderr, null, $kept);
    }

    /** @param array<string, mixed> $answer */
    private static function receiptOf(array $answer): Receipt
    {
        try {
            return Receipt::fromArray($answer['file'] ?? []);
        } catch (MalformedException $exception) {
            throw new UntrustedException($exception->getMessage(), 0, $exception);
        }
    }

    /**
     * @param array<string, mixed> $answer
     * @param array{0: array<string, mixed>, 1: string}|null $summary
     */
    private static function resultOf(
        array $answer,
        Receipt $receipt,
        string $output,
        string $stderr,
        ?array $summary,
        bool $kept
    ): Result {
        return new Result(
            $output,
            $stderr,
            $receipt->fields['exit_code'],
            $receipt->fields['status'],
            $receipt->fields['wall_time_ms'],
            $receipt,
            Timings::fromArray($answer['timings_us'] ?? []),
            (string) ($answer['message'] ?? ''),
            $summary,
            $kept
        );
    }

    private function keep(OutputChunk $chunk): void
    {
        if ($chunk->stream === OutputChunk::STDERR) {
            $this->stderr .= $chunk->data;
        } else {
            $this->output .= $chunk->data;
        }
    }

    /**
     * @param array<string, mixed> $answer plasm_job_result's
     */
    private function conclude(array $answer): Result
    {
        $output = $this->output . base64_decode($answer['stdout_base64'] ?? '');
        $stderr = $this->stderr . base64_decode($answer['stderr_base64'] ?? '');
        $receipt = self::receiptOf($answer);
        $refusal = $this->manifestRefusal($receipt->manifest) ?? $receipt->refusal($this->node, [
            'stdout_hash' => Crypto::sha256($output),
            'stderr_hash' => Crypto::sha256($stderr),
        ]);
        if ($refusal !== null) {
            throw new UntrustedException("the receipt of job {$this->id} does not hold: $refusal");
        }
        $summary = $this->checkedSummary($answer['summary'] ?? null, $receipt);
        return self::resultOf($answer, $receipt, $output, $stderr, $summary, true);
    }

    /** The receipt is held against the manifest, so the manifest has to be what was asked for. */
    private function manifestRefusal(Manifest $manifest): ?string
    {
        foreach ($this->asked as $field => $value) {
            if ($manifest->fields[$field] !== $value) {
                return "manifest: $field: is not what was asked for";
            }
        }
        return null;
    }

    /**
     * @param array<string, mixed>|null $summary plasm_job_result's
     * @return array{0: array<string, mixed>, 1: string}|null
     */
    private function checkedSummary(?array $summary, Receipt $receipt): ?array
    {
        if ($summary === null) {
            return null;
        }
        $keys = ['job_id', 'module_hash', 'exit_code', 'wall_time_ms'];
        $said = [];
        foreach ($keys as $key) {
            $said[$key] = $receipt->fields[$key];
        }
        $signature = (string) ($summary['signature'] ?? '');
        if (!(new Crypto())->verify($said, $signature, $this->node)) {
            throw new UntrustedException("the summary of job {$this->id} does not hold: signature");
        }
        return [$said, $signature];
    }

    /** The peer id in a request's "node": alone, or at the end of a multiaddr. */
    private static function pinnedNode(string $node): ?string
    {
        $text = preg_match('~/p2p/([^/]+)\z~', $node, $matches) === 1 ? $matches[1] : $node;
        try {
            return (string) PeerId::parse($text);
        } catch (MalformedException) {
            return null;
        }
    }
}
