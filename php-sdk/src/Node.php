<?php

declare(strict_types=1);

namespace PhaseBased\Plasm;

/**
 * A worker that was discovered, as it describes itself. Its claims are hints; trust comes from
 * receipts. Immutable.
 */
final class Node
{
    /**
     * @param string             $peerId    "12D3KooW..."
     * @param list<string>       $addresses multiaddrs
     * @param string             $arch      such as "x86_64"
     * @param string             $runtime   such as "wasmtime-48"
     * @param list<string>       $profiles  execution profiles, such as "wasip1"
     * @param string             $agent     name and version of its software
     * @param int                $freeSlots jobs it would start at once, roughly
     * @param int                $price     as the node announces it
     * @param array<string, int> $limits    largest limits a job may ask for
     * @param int                $connectUs time the connection took in microseconds
     */
    public function __construct(
        public readonly string $peerId,
        public readonly array $addresses = [],
        public readonly string $arch = '',
        public readonly string $runtime = '',
        public readonly array $profiles = [],
        public readonly string $agent = '',
        public readonly int $freeSlots = 0,
        public readonly int $price = 0,
        public readonly array $limits = [],
        public readonly int $connectUs = 0,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $node a member of plasm_discover's "nodes"
     */
    public static function fromArray(array $node): self
    {
        return new self(
            (string) $node['peer_id'],
            $node['addresses'] ?? [],
            $node['arch'] ?? '',
            $node['runtime'] ?? '',
            $node['profiles'] ?? [],
            $node['agent'] ?? '',
            $node['free_slots'] ?? 0,
            $node['price'] ?? 0,
            $node['limits'] ?? [],
            $node['connect_us'] ?? 0,
        );
    }
}
