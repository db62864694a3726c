<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Driver;

use PhaseBased\Plasm\Exception\DriverException;
use PhaseBased\Plasm\Exception\PlasmException;
use PhaseBased\Plasm\Exception\TimeoutException;

/**
 * A running plasm command: events, one JSON object a line on its standard output.
 *
 * @internal
 */
final class EventProcess
{
    private const READ_BYTES = 65536;
    private const LINE_BYTES_MAX = 64 * 1024 * 1024;
    private const ERROR_BYTES_MAX = 16 * 1024;
    private const SLICE_MS = 200;
    private const END_MS = 2000;
    private const SIGNAL_TERMINATE = 15;
    private const SIGNAL_KILL = 9;

    /** @var resource|null */
    private $process;
    /** @var array<int, resource> standard output 1 and error 2, as long as they are open */
    private array $pipes = [];
    private string $output = '';
    /** How much of $output is known to hold no newline. */
    private int $scanned = 0;
    private string $errors = '';
    private ?int $deadlineNs = null;
    private readonly int $owner;

    /**
     * @param list<string> $arguments
     * @param resource|null $input a rewound file for its standard input; null for none
     * @throws DriverException
     */
    public function __construct(array $arguments, $input = null)
    {
        $this->owner = getmypid();
        $descriptors = [$input ?? ['file', '/dev/null', 'r'], ['pipe', 'w'], ['pipe', 'w']];
        $process = @proc_open($arguments, $descriptors, $pipes);
        if ($process === false) {
            throw new DriverException("{$arguments[0]} cannot be started");
        }
        $this->process = $process;
        foreach ($pipes as $number => $pipe) {
            stream_set_blocking($pipe, false);
            $this->pipes[$number] = $pipe;
        }
    }

    public function __destruct()
    {
        if ($this->process !== null && $this->owner === getmypid()) {
            $this->end();
        }
    }

    /** The command has to say something within so many milliseconds from now; null: when it likes. */
    public function setDeadline(?int $timeoutMs): void
    {
        $this->deadlineNs = $timeoutMs === null ? null : hrtime(true) + $timeoutMs * 1_000_000;
    }

    /**
     * The next event, which has to be of this kind.
     *
     * @return array<string, mixed>
     * @throws PlasmException
     */
    public function expect(string $kind): array
    {
        $event = $this->next();
        if ($event['event'] !== $kind) {
            throw new DriverException("the plasm command said {$event['event']} where $kind was due");
        }
        return $event;
    }

    /**
     * The next event. An error event is thrown.
     *
     * @return array<string, mixed>
     * @throws PlasmException
     */
    public function next(): array
    {
        $event = Json::decodeObject($this->line(), 'the plasm command');
        if (!is_string($event['event'] ?? null)) {
            throw new DriverException('the plasm command gave a line that is no event');
        }
        if ($event['event'] === 'error') {
            throw PlasmException::named((string) ($event['error'] ?? 'failed'), (string) ($event['message'] ?? ''));
        }
        return $event;
    }

    /** Asks the command to cancel what it does and to say how it ended. */
    public function interrupt(): void
    {
        proc_terminate($this->process, self::SIGNAL_TERMINATE);
    }

    private function line(): string
    {
        while (($end = strpos($this->output, "\n", $this->scanned)) === false) {
            $this->scanned = strlen($this->output);
            if ($this->scanned > self::LINE_BYTES_MAX) {
                throw new DriverException('the plasm command gave a line without end');
            }
            if (!isset($this->pipes[1])) {
                throw $this->silence();
            }
            $this->fill();
        }
        $line = substr($this->output, 0, $end);
        $this->output = substr($this->output, $end + 1);
        $this->scanned = 0;
        return $line;
    }

    /** Waits for bytes and takes them. */
    private function fill(): void
    {
        if ($this->deadlineNs !== null && hrtime(true) >= $this->deadlineNs) {
            throw new TimeoutException('the plasm command did not answer in time' . $this->complaint());
        }
        $readable = $this->pipes;
        $none = null;
        // An interrupted wait (false) is a wait that found nothing.
        if (@stream_select($readable, $none, $none, 0, self::SLICE_MS * 1000) === false) {
            return;
        }
        foreach ($readable as $pipe) {
            $number = (int) array_search($pipe, $this->pipes, true);
            $bytes = (string) fread($pipe, self::READ_BYTES);
            if ($bytes === '' && feof($pipe)) {
                fclose($pipe);
                unset($this->pipes[$number]);
            } elseif ($number === 1) {
                $this->output .= $bytes;
            } else {
                $this->errors = substr($this->errors . $bytes, -self::ERROR_BYTES_MAX);
            }
        }
    }

    /** The command ended without the event that was due. */
    private function silence(): DriverException
    {
        for ($waits = 0; isset($this->pipes[2]) && $waits < self::END_MS / self::SLICE_MS; $waits++) {
            $this->fill();
        }
        $this->end();
        return new DriverException('the plasm command ended without an answer' . $this->complaint());
    }

    private function complaint(): string
    {
        return $this->errors === '' ? '' : ': ' . trim($this->errors);
    }

    private function end(): void
    {
        foreach ($this->pipes as $pipe) {
            fclose($pipe);
        }
        $this->pipes = [];
        if (proc_get_status($this->process)['running']) {
            proc_terminate($this->process, self::SIGNAL_TERMINATE);
            for ($ms = 0; $ms < self::END_MS && proc_get_status($this->process)['running']; $ms += 5) {
                usleep(5000);
            }
            proc_terminate($this->process, self::SIGNAL_KILL);
        }
        proc_close($this->process);
        $this->process = null;
    }
}
