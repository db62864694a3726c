<?php

declare(strict_types=1);

namespace PhaseBased\Plasm;

/**
 * What a search for workers found, and what it tried. Immutable; counts and iterates its nodes.
 *
 * @implements \IteratorAggregate<int, Node>
 */
final class Discovery implements \IteratorAggregate, \Countable
{
    /**
     * @param list<Node> $nodes
     * @param list<array{address: string, error: string}> $tried addresses that were dialled; an empty
     *                                                           error means that they answered
     * @param list<string> $warnings sentences for a person: who was trusted on first use
     */
    public function __construct(
        public readonly array $nodes,
        public readonly array $tried,
        public readonly int $elapsedUs,
        public readonly array $warnings = [],
    ) {
    }

    /** The first node, or null when there is none. */
    public function first(): ?Node
    {
        return $this->nodes[0] ?? null;
    }

    public function count(): int
    {
        return count($this->nodes);
    }

    /**
     * @return \ArrayIterator<int, Node>
     */
    public function getIterator(): \ArrayIterator
    {
        return new \ArrayIterator($this->nodes);
    }

    /**
     * @internal
     * @param array<string, mixed> $answer plasm_discover's
     */
    public static function fromArray(array $answer): self
    {
        $tried = array_map(
            static fn (array $one): array => [
                'address' => (string) ($one['address'] ?? ''),
                'error' => (string) ($one['error'] ?? ''),
            ],
            $answer['tried'] ?? []
        );
        return new self(
            array_map(Node::fromArray(...), $answer['nodes'] ?? []),
            $tried,
            (int) ($answer['elapsed_us'] ?? 0),
            array_map(strval(...), array_values($answer['warnings'] ?? []))
        );
    }
}
