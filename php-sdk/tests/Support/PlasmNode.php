<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Support;

/**
 * A real plasmd on this machine's loopback, with a state directory of its own.
 */
final class PlasmNode
{
    private const START_SECONDS_MAX = 30;
    private const STOP_SECONDS_MAX = 10;

    /** Multiaddr with peer id. */
    public readonly string $address;
    public readonly string $peerId;
    private readonly Directory $directory;
    /** @var resource|null */
    private $process;

    /**
     * @param list<string> $bootstrap multiaddrs of nodes it joins
     */
    public function __construct(string $buildDirectory, array $bootstrap = [])
    {
        $this->directory = new Directory();
        $addresses = "{$this->directory->path}/addresses";
        $command = [
            "$buildDirectory/bin/plasmd",
            '--listen',
            '/ip4/127.0.0.1/udp/0/quic-v1',
            '--state-dir',
            "{$this->directory->path}/state",
            '--print-addresses',
            $addresses,
        ];
        foreach ($bootstrap as $address) {
            array_push($command, '--bootstrap', $address);
        }
        $log = ['file', "{$this->directory->path}/log", 'a'];
        $this->process = proc_open($command, [['file', '/dev/null', 'r'], $log, $log], $pipes);
        $start = hrtime(true);
        // It writes the file once, when it listens: there is nothing else to wait on.
        while (!is_file($addresses) || !str_contains((string) file_get_contents($addresses), "\n")) {
            $running = proc_get_status($this->process)['running'];
            if (!$running || hrtime(true) - $start > self::START_SECONDS_MAX * 1e9) {
                throw new \RuntimeException("plasmd does not start:\n" . $this->log());
            }
            usleep(5000);
        }
        $this->address = strtok((string) file_get_contents($addresses), "\n");
        $this->peerId = substr(strrchr($this->address, '/'), 1);
    }

    public function __destruct()
    {
        $this->stop();
    }

    public function stop(): void
    {
        if ($this->process === null) {
            return;
        }
        proc_terminate($this->process);
        for ($start = hrtime(true); proc_get_status($this->process)['running']; usleep(5000)) {
            if (hrtime(true) - $start > self::STOP_SECONDS_MAX * 1e9) {
                proc_terminate($this->process, 9);
            }
        }
        proc_close($this->process);
        $this->process = null;
    }

    public function log(): string
    {
        return (string) file_get_contents("{$this->directory->path}/log");
    }
}
