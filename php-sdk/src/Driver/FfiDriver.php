<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Driver;

use FFI;
use FFI\CData;
use PhaseBased\Plasm\Exception\DriverException;
use PhaseBased\Plasm\Exception\PlasmException;

/**
 * The network through libplasm, called in this process.
 *
 * @internal
 */
final class FfiDriver implements Driver
{
    /** Versions whose header is the one in resources/. */
    private const VERSION_PREFIX = '0.1.';
    /** As in the library: the limit of a job that names none, and what a worker needs besides. */
    private const WALL_DEFAULT_MS = 30000;
    private const ANSWER_SLACK_MS = 15000;
    private const HEADER = __DIR__ . '/../../resources/plasm.ffi.h';

    /** @var array<string, FFI> parsed once for each library */
    private static array $loaded = [];

    private readonly FFI $library;
    private readonly string $settings;
    private ?CData $client = null;
    /** The process that the client belongs to. */
    private int $owner = 0;
    /** @var \WeakMap<FfiJob, true> jobs have to go before their client */
    private \WeakMap $jobs;

    /**
     * @param array<string, mixed> $settings plasm_client_new's options
     * @throws PlasmException
     */
    public function __construct(string $path, array $settings)
    {
        $this->library = self::load($path);
        $this->settings = Json::encodeObject($settings);
        $this->jobs = new \WeakMap();
        $this->client();
    }

    public function __destruct()
    {
        foreach ($this->jobs as $job => $live) {
            $job->free();
        }
        if ($this->client !== null && $this->owner === getmypid()) {
            $this->library->plasm_client_free($this->client);
        }
        $this->client = null;
    }

    /** Why this PHP cannot call libraries, or null when it can. */
    public static function obstacle(): ?string
    {
        if (!extension_loaded('ffi')) {
            return 'the extension ffi is not loaded';
        }
        try {
            FFI::cdef('int plasm_probe;');
        } catch (FFI\Exception $exception) {
            // "FFI API is restricted by ..." comes before the missing symbol is noticed.
            if (str_contains($exception->getMessage(), 'restricted')) {
                return 'the setting ffi.enable allows FFI on the command line only';
            }
        }
        return null;
    }

    public function name(): string
    {
        return 'ffi';
    }

    public function discover(array $query): array
    {
        $client = $this->client();
        $json = $this->library->new('const char *');
        $error = $this->library->plasm_discover($client, Json::encodeObject($query), FFI::addr($json));
        if ($error !== 0 && ($error !== $this->library->PLASM_NOT_FOUND || FFI::isNull($json))) {
            throw $this->failure($error);
        }
        return Json::decodeObject(FFI::string($json), 'plasm_discover');
    }

    public function submit(array $request, string $module, string $input): JobHandle
    {
        $client = $this->client();
        $job = $this->library->new('struct plasm_job *');
        $error = $this->library->plasm_submit(
            $client,
            Json::encodeObject($request),
            $this->bytes($module),
            strlen($module),
            $this->bytes($input),
            strlen($input),
            FFI::addr($job)
        );
        if ($error !== 0) {
            throw $this->failure($error);
        }
        $wallMs = ((array) ($request['limits'] ?? []))['wall_ms'] ?? self::WALL_DEFAULT_MS;
        $handle = new FfiJob($this, $this->library, $job, $wallMs + self::ANSWER_SLACK_MS);
        $this->jobs[$handle] = true;
        return $handle;
    }

    public function explain(array $request, string $module, string $input): array
    {
        $client = $this->client();
        $json = $this->library->new('const char *');
        $error = $this->library->plasm_explain(
            $client,
            Json::encodeObject($request),
            $this->bytes($module),
            strlen($module),
            strlen($input),
            FFI::addr($json)
        );
        if ($error !== 0 && ($error !== $this->library->PLASM_NOT_FOUND || FFI::isNull($json))) {
            throw $this->failure($error);
        }
        return Json::decodeObject(FFI::string($json), 'plasm_explain');
    }

    public function receipt(array $request): array
    {
        $client = $this->client();
        $json = $this->library->new('const char *');
        $error = $this->library->plasm_receipt($client, Json::encodeObject($request), FFI::addr($json));
        if ($error !== 0) {
            throw $this->failure($error);
        }
        return Json::decodeObject(FFI::string($json), 'plasm_receipt');
    }

    /** The exception for a call that has just failed with $error. */
    public function failure(int $error): PlasmException
    {
        $message = $this->library->plasm_last_error();
        if ($message === '') {
            $message = $this->library->plasm_error_message($error);
        }
        return PlasmException::named($this->library->plasm_error_name($error), $message);
    }

    /**
     * The client of this process. After a fork the parent's sockets are not ours to use or to close:
     * its client is left alone, and this process gets one of its own.
     */
    private function client(): CData
    {
        if ($this->client === null || $this->owner !== getmypid()) {
            $client = $this->library->new('struct plasm_client *');
            $error = $this->library->plasm_client_new($this->settings, FFI::addr($client));
            if ($error !== 0) {
                throw $this->failure($error);
            }
            $this->client = $client;
            $this->owner = getmypid();
        }
        return $this->client;
    }

    /** A copy that C can read: PHP passes strings as `char *` only. */
    private function bytes(string $string): ?CData
    {
        $size = strlen($string);
        if ($size === 0) {
            return null;
        }
        $copy = $this->library->new("uint8_t[$size]");
        FFI::memcpy($copy, $string, $size);
        return $copy;
    }

    private static function load(string $path): FFI
    {
        if (!isset(self::$loaded[$path])) {
            $header = file_get_contents(self::HEADER);
            try {
                $library = FFI::cdef((string) $header, $path);
            } catch (FFI\Exception $exception) {
                throw new DriverException("$path: " . $exception->getMessage(), 0, $exception);
            }
            $version = $library->plasm_version();
            if (!str_starts_with($version, self::VERSION_PREFIX)) {
                throw new DriverException("$path is libplasm $version, this SDK needs " . self::VERSION_PREFIX . 'x');
            }
            self::$loaded[$path] = $library;
        }
        return self::$loaded[$path];
    }

    private function __clone()
    {
    }
}
