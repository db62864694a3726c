<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Support;

use PhaseBased\Plasm\Driver\Driver;
use PhaseBased\Plasm\Driver\JobHandle;

/**
 * A driver that notes what it is asked and answers what the test tells it to.
 */
final class FakeDriver implements Driver
{
    /** @var list<array<string, mixed>> */
    public array $queries = [];
    /** @var list<array<string, mixed>> */
    public array $requests = [];
    /** @var array<string, array<string, mixed>> answers of receipt(), by job id */
    public array $receipts = [];

    /**
     * @param array<string, mixed> $discovery
     * @param \Closure(array<string, mixed>, string, string): JobHandle|null $accept
     */
    public function __construct(
        private readonly array $discovery = ['nodes' => [], 'tried' => [], 'elapsed_us' => 0],
        private readonly ?\Closure $accept = null,
    ) {
    }

    public function name(): string
    {
        return 'fake';
    }

    public function discover(array $query): array
    {
        $this->queries[] = $query;
        return $this->discovery;
    }

    public function submit(array $request, string $module, string $input): JobHandle
    {
        $this->requests[] = json_decode(json_encode($request), true);
        return ($this->accept)($request, $module, $input);
    }

    public function explain(array $request, string $module, string $input): array
    {
        $this->requests[] = json_decode(json_encode($request), true);
        return ['nodes' => [], 'accepted' => 0, 'tried' => []];
    }

    public function receipt(array $request): array
    {
        $this->requests[] = $request;
        return $this->receipts[$request['job_id']] ?? throw new \LogicException('no such receipt');
    }
}
