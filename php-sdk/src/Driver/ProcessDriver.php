<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Driver;

use PhaseBased\Plasm\Exception\DriverException;
use PhaseBased\Plasm\Exception\PlasmException;

/**
 * The network through the plasm command, one process a call: for PHP that may not call libraries
 * (FPM, php -S). PROCESS_DRIVER.md says what the two tell each other.
 *
 * @internal
 */
final class ProcessDriver implements Driver
{
    private const TIMEOUT_DEFAULT_MS = 30000;
    private const DISCOVER_TIMEOUT_DEFAULT_MS = 4000;
    /** For the process to start and to end, beyond the deadline that it keeps by itself. */
    private const GRACE_MS = 5000;

    /**
     * @param array<string, mixed> $settings plasm_client_new's options
     * @throws DriverException
     */
    public function __construct(private readonly string $command, private readonly array $settings)
    {
        if (!is_file($command) || !is_executable($command)) {
            throw new DriverException("$command is not a program.");
        }
        if (!function_exists('proc_open')) {
            throw new DriverException('PHP cannot start the plasm command: proc_open is disabled.');
        }
    }

    public function name(): string
    {
        return 'process';
    }

    public function discover(array $query): array
    {
        $timeoutMs = $query['timeout_ms'] ?? self::DISCOVER_TIMEOUT_DEFAULT_MS;
        $process = new EventProcess($this->arguments('discover', $query));
        $process->setDeadline($timeoutMs + self::GRACE_MS);
        return $process->expect('discovery');
    }

    public function submit(array $request, string $module, string $input): JobHandle
    {
        $timeoutMs = $request['timeout_ms'] ?? $this->settings['timeout_ms'] ?? self::TIMEOUT_DEFAULT_MS;
        $moduleFile = self::file($module);
        $arguments = $this->arguments('run', $request);
        $arguments[] = '--stdin';
        $arguments[] = '-';
        $arguments[] = stream_get_meta_data($moduleFile)['uri'];
        $process = new EventProcess($arguments, $input === '' ? null : self::file($input));
        $process->setDeadline($timeoutMs + self::GRACE_MS);
        $info = $process->expect('submitted');
        $process->setDeadline(null);
        return new ProcessJob($process, $info);
    }

    public function explain(array $request, string $module, string $input): array
    {
        $timeoutMs = $request['timeout_ms'] ?? $this->settings['timeout_ms'] ?? self::TIMEOUT_DEFAULT_MS;
        $moduleFile = self::file($module);
        $arguments = $this->arguments('explain', $request);
        array_push($arguments, '--stdin', '-', stream_get_meta_data($moduleFile)['uri']);
        $process = new EventProcess($arguments, $input === '' ? null : self::file($input));
        $process->setDeadline($timeoutMs + self::DISCOVER_TIMEOUT_DEFAULT_MS + self::GRACE_MS);
        return $process->expect('explanation');
    }

    public function receipt(array $request): array
    {
        $timeoutMs = $request['timeout_ms'] ?? $this->settings['timeout_ms'] ?? self::TIMEOUT_DEFAULT_MS;
        $settings = ['timeout_ms' => $timeoutMs] + $this->settings;
        $arguments = [$this->command, 'receipt', '--json', '--client-json', Json::encodeObject($settings)];
        if (isset($request['node'])) {
            array_push($arguments, '--node', (string) $request['node']);
        }
        $arguments[] = (string) $request['job_id'];
        $process = new EventProcess($arguments);
        $process->setDeadline(null);
        return $process->expect('result');
    }

    /**
     * @param array<string, mixed> $request
     * @return list<string>
     * @throws PlasmException
     */
    private function arguments(string $subcommand, array $request): array
    {
        return [
            $this->command,
            $subcommand,
            '--json',
            '--client-json',
            Json::encodeObject($this->settings),
            '--request-json',
            Json::encodeObject($request),
        ];
    }

    /**
     * A file with these bytes, rewound; it goes when the handle does.
     *
     * @return resource
     */
    private static function file(string $bytes)
    {
        $file = tmpfile();
        if ($file === false || fwrite($file, $bytes) !== strlen($bytes) || !fflush($file) || !rewind($file)) {
            throw new DriverException('no temporary file can be written in ' . sys_get_temp_dir());
        }
        return $file;
    }
}
