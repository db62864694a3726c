// New clients, one after the other, that begin with nothing and end when they know a provider.
package main

import (
	"context"
	"fmt"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const newcomersMax = 1000

func (node *node) newcomers(ctx context.Context, req *request) (answer, error) {
	count := max(req.Count, 1)
	if count > newcomersMax {
		return nil, fmt.Errorf("count must be 1 to %d", newcomersMax)
	}
	info, err := peer.AddrInfoFromString(req.To)
	if err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	elapsed := []int64{}
	for i := range count {
		begun := time.Now()
		if err := findAsNewcomer(ctx, info, req.Key); err != nil {
			return nil, fmt.Errorf("newcomer %d: %w", i, err)
		}
		elapsed = append(elapsed, time.Since(begun).Microseconds())
	}
	return answer{"elapsed_us": elapsed}, nil
}

// findAsNewcomer leaves its host to be closed in the background: only finding is measured.
func findAsNewcomer(ctx context.Context, through *peer.AddrInfo, tag string) error {
	key, err := tagCID(tag)
	if err != nil {
		return err
	}
	h, err := newHost("any")
	if err != nil {
		return err
	}
	defer func() { go h.Close() }()
	table, err := dht.New(h, dht.Mode(dht.ModeClient), dht.ProtocolPrefix(protocol.ID("/phase")),
		dht.BootstrapPeers(*through))
	if err != nil {
		return err
	}
	defer func() { go table.Close() }()
	if err := h.Connect(ctx, *through); err != nil {
		return err
	}
	// The table takes the peer in a moment after identify.
	for table.RoutingTable().Size() == 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(100 * time.Microsecond)
	}
	for range table.FindProvidersAsync(ctx, key, 1) {
		return nil
	}
	return fmt.Errorf("no provider found")
}
