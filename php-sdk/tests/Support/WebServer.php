<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Support;

/**
 * PHP's own web server (`php -S`) with one script, on a free port of this machine.
 */
final class WebServer
{
    private readonly int $port;
    /** @var resource */
    private $process;

    /**
     * @param array<string, string> $environment changes to this process's
     */
    public function __construct(string $script, array $environment = [])
    {
        $probe = stream_socket_server('tcp://127.0.0.1:0');
        $this->port = (int) substr(strrchr(stream_socket_get_name($probe, false), ':'), 1);
        fclose($probe);
        $command = [PHP_BINARY, '-S', "127.0.0.1:{$this->port}", $script];
        $descriptors = [['file', '/dev/null', 'r'], ['file', '/dev/null', 'w'], ['pipe', 'w']];
        $this->process = proc_open($command, $descriptors, $pipes, null, $environment + getenv());
        // Its first line on standard error says that it listens.
        if (fgets($pipes[2]) === false) {
            throw new \RuntimeException('php -S does not start');
        }
    }

    public function __destruct()
    {
        proc_terminate($this->process);
        proc_close($this->process);
    }

    public function get(string $path): string
    {
        return (string) file_get_contents("http://127.0.0.1:{$this->port}$path");
    }
}
