<?php

declare(strict_types=1);

namespace PhaseBased\Plasm;

use PhaseBased\Plasm\Driver\Driver;
use PhaseBased\Plasm\Driver\DriverFactory;
use PhaseBased\Plasm\Exception\InvalidRequestException;
use PhaseBased\Plasm\Exception\PlasmException;
use PhaseBased\Plasm\Exception\UntrustedException;

/**
 * Finds workers and runs WebAssembly on them.
 *
 * A client has its own key (fresh and anonymous unless told otherwise) and keeps its connections, so
 * keep the client. After a fork the child gets a key and connections of its own by itself.
 */
final class Client
{
    private const LIBRARY_OPTIONS = ['bootstrap', 'state_dir', 'identity', 'kad_protocol', 'mdns', 'timeout_ms', 'trace'];
    private const DRIVER_OPTIONS = ['driver', 'library', 'command'];
    private const QUERY_OPTIONS = ['arch', 'runtime', 'profile', 'max', 'timeout_ms', 'settle_ms'];
    private const SUBMIT_OPTIONS = [
        'node', 'args', 'env', 'limits', 'profile', 'arch', 'runtime', 'job_id', 'summary', 'timeout_ms',
        'remember',
    ];
    private const RECEIPT_OPTIONS = ['node', 'timeout_ms'];
    private const LIMITS = ['fuel', 'memory_bytes', 'wall_ms', 'output_bytes'];

    private readonly Driver $driver;

    /**
     * @param array{
     *     bootstrap?: string|list<string>,
     *     state_dir?: string,
     *     identity?: string,
     *     kad_protocol?: string,
     *     mdns?: bool,
     *     timeout_ms?: int,
     *     trace?: bool,
     *     driver?: 'auto'|'ffi'|'process'|Driver,
     *     library?: string,
     *     command?: string
     * } $options
     *   bootstrap: multiaddrs or host[:port] of known nodes, as a list or separated by commas; default
     *     PLASM_BOOTSTRAP, else the nodes remembered from earlier runs and those on the local network.
     *   state_dir: where nodes are remembered; "" remembers nothing; default ~/.local/state/plasm.
     *   identity: file with a private key; default is a fresh key.
     *   mdns: look for workers on the local network, too; default where there is no bootstrap.
     *   timeout_ms: default deadline of a call, 30000.
     *   trace: protocol events on standard error.
     *   driver: "ffi" (libplasm), "process" (the plasm command), or "auto": the first where it works.
     *   library, command: where they are; default PLASM_LIBRARY, PLASM_COMMAND, else the usual places.
     * @throws PlasmException when there is neither libplasm nor the plasm command
     */
    public function __construct(array $options = [])
    {
        self::refuseUnknown('client option', $options, [...self::LIBRARY_OPTIONS, ...self::DRIVER_OPTIONS]);
        $settings = array_intersect_key($options, array_flip(self::LIBRARY_OPTIONS));
        $bootstrap = $settings['bootstrap'] ?? (string) getenv('PLASM_BOOTSTRAP');
        if (is_string($bootstrap)) {
            $bootstrap = array_values(array_filter(array_map('trim', explode(',', $bootstrap)), 'strlen'));
        }
        unset($settings['bootstrap']);
        if ($bootstrap !== []) {
            $settings['bootstrap'] = array_values($bootstrap);
        }
        $driver = $options['driver'] ?? 'auto';
        $this->driver = $driver instanceof Driver
            ? $driver
            : DriverFactory::create($driver, $settings, $options['library'] ?? null, $options['command'] ?? null);
    }

    /** Name of the way to the network that is used: "ffi" or "process". */
    public function driverName(): string
    {
        return $this->driver->name();
    }

    /**
     * Looks for workers. Finding none is an empty answer, not an exception.
     *
     * @param array{arch?: string, runtime?: string, profile?: string, max?: int, timeout_ms?: int,
     *     settle_ms?: int} $query
     *   arch, runtime, profile: what a worker must have.
     *   max: stop at so many, default 20. timeout_ms: default 4000.
     *   settle_ms: wait so long for more after the first; default: for all that the DHT names.
     * @throws PlasmException
     */
    public function discover(array $query = []): Discovery
    {
        self::refuseUnknown('discovery option', $query, self::QUERY_OPTIONS);
        return Discovery::fromArray($this->driver->discover($query));
    }

    /**
     * Offers a job and returns when a worker has accepted it.
     *
     * @param string $module the bytes of a WebAssembly module
     * @param string $input  its standard input
     * @param array{node?: string|Node, args?: list<string>, env?: array<array-key, string>,
     *     limits?: array{fuel?: int, memory_bytes?: int, wall_ms?: int, output_bytes?: int},
     *     profile?: string, arch?: string, runtime?: string, job_id?: string, summary?: bool,
     *     timeout_ms?: int, remember?: bool} $options
     *   node: a discovered node, a peer id or a multiaddr; default: the best that is found.
     *   env: 'NAME' => 'value', or "NAME=value" in a list.
     *   profile: "wasip1" (default) or "deterministic/1".
     *   arch, runtime: what the node must have.
     *   job_id: UUID version 4; the same id and request again is the same job.
     *   summary: also get the signature over the four-key summary, default true.
     *   timeout_ms: until a worker has accepted.
     *   remember: keep in state_dir what receipt() needs, for a day; default true.
     * @throws PlasmException
     */
    public function submit(string $module, string $input = '', array $options = []): Job
    {
        $request = self::request($options) + ['summary' => true, 'remember' => true];
        $handle = $this->driver->submit($request, $module, $input);
        return new Job($handle, $request, $module, $input);
    }

    /**
     * Runs a job to its end: submit() and Job::wait(). The result's receipt is verified.
     *
     * @param array<string, mixed> $options as for submit()
     * @throws UntrustedException when the receipt does not hold
     * @throws PlasmException
     */
    public function run(string $module, string $input = '', array $options = []): Result
    {
        return $this->submit($module, $input, $options)->wait();
    }

    /**
     * The result of a job that was submitted before, by whichever process with the same state_dir: asks
     * its node again, waits where the job has not ended, and verifies what comes. Nodes keep outputs for a
     * day, and receipts longer, unless their operators chose otherwise; Result::$outputKept tells.
     *
     * @param array{node?: string|Node, timeout_ms?: int} $options
     *   node: where to ask; default is where the job was accepted.
     *   timeout_ms: until the node has answered.
     * @throws UntrustedException when the receipt does not hold
     * @throws PlasmException NotFoundException when nothing is remembered of it, RefusedException with the
     *     node's reason: the job was lost, or is not known there
     */
    public function receipt(string $jobId, array $options = []): Result
    {
        self::refuseUnknown('receipt option', $options, self::RECEIPT_OPTIONS);
        $node = $options['node'] ?? null;
        if ($node instanceof Node) {
            $options['node'] = $node->peerId;
        }
        return Job::concluded($jobId, $this->driver->receipt(['job_id' => $jobId] + $options));
    }

    /**
     * Asks every worker that is found, or one node, whether it would take a job, and why not. Nothing runs.
     *
     * @param array<string, mixed> $options as for submit()
     * @return array{accepted: int, nodes: list<array<string, mixed>>, tried: list<array<string, string>>}
     *   accepted: how many would. Each node has peer_id, address, accepted; where it is true price,
     *   queue_position, module_held and the limits the job would run under, else code and reason; and in
     *   "over" the limits that are asked to be higher than allowed.
     * @throws PlasmException
     */
    public function explain(string $module, string $input = '', array $options = []): array
    {
        return $this->driver->explain(self::request($options), $module, $input);
    }

    /**
     * What the library takes, from what callers give.
     *
     * @param array<string, mixed> $options
     * @return array<string, mixed>
     */
    private static function request(array $options): array
    {
        self::refuseUnknown('job option', $options, self::SUBMIT_OPTIONS);
        $request = $options;
        $node = $request['node'] ?? null;
        if ($node instanceof Node) {
            $request['node'] = $node->peerId;
        }
        if (isset($request['env'])) {
            $request['env'] = self::environment($request['env']);
        }
        if (isset($request['limits'])) {
            self::refuseUnknown('limit', $request['limits'], self::LIMITS);
            $request['limits'] = (object) $request['limits'];
        }
        if (isset($request['args'])) {
            $request['args'] = array_values($request['args']);
        }
        return $request;
    }

    /**
     * @param array<array-key, mixed> $given
     * @param list<string> $known
     */
    private static function refuseUnknown(string $what, array $given, array $known): void
    {
        foreach (array_diff(array_keys($given), $known) as $name) {
            throw new InvalidRequestException("no such $what: $name; there are " . implode(', ', $known));
        }
    }

    /**
     * @param array<array-key, string> $environment
     * @return list<string>
     */
    private static function environment(array $environment): array
    {
        $settings = [];
        foreach ($environment as $name => $value) {
            $settings[] = is_int($name) ? $value : "$name=$value";
        }
        return $settings;
    }
}
