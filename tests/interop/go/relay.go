// Commands on relays: being one, reserving a place on one, and the direct upgrade.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	ma "github.com/multiformats/go-multiaddr"
)

// serveRelay makes this node a relay with the service's defaults but for the limits of a circuit.
func (node *node) serveRelay(_ context.Context, req *request) (answer, error) {
	if node.relay != nil {
		return nil, errors.New("it is a relay already")
	}
	resources := relay.DefaultResources()
	if req.Size > 0 {
		resources.Limit.Data = int64(req.Size)
	}
	service, err := relay.New(node.host, relay.WithResources(resources))
	if err != nil {
		return nil, err
	}
	node.relay = service
	return answer{}, nil
}

// reserve asks the relay at addr for a place, and answers with the addresses it makes.
func (node *node) reserve(ctx context.Context, req *request) (answer, error) {
	info, err := peer.AddrInfoFromString(req.Addr)
	if err != nil {
		return nil, fmt.Errorf("addr: %w", err)
	}
	reservation, err := client.Reserve(ctx, node.host, *info)
	if err != nil {
		return nil, err
	}
	addrs := []string{}
	for _, addr := range append(reservation.Addrs, ma.StringCast(req.Addr)) {
		addrs = append(addrs, fmt.Sprintf("%s/p2p-circuit/p2p/%s", addr, node.host.ID()))
	}
	return answer{
		"addrs":         addrs,
		"told":          len(reservation.Addrs),
		"voucher":       reservation.Voucher != nil,
		"limit_bytes":   reservation.LimitData,
		"limit_seconds": reservation.LimitDuration.Seconds(),
		"expires_unix":  reservation.Expiration.Unix(),
	}, nil
}

// serveDCUtR upgrades relayed connections to direct ones. By itself go-libp2p does so only for
// public addresses; here those it listens on will do.
func (node *node) serveDCUtR(_ context.Context, _ *request) (answer, error) {
	withIdentify, ok := node.host.(interface{ IDService() identify.IDService })
	if !ok {
		return nil, errors.New("the host has no identify service")
	}
	service, err := holepunch.NewService(node.host, withIdentify.IDService(), node.host.Addrs)
	if err != nil {
		return nil, err
	}
	node.holepunch = service
	return answer{}, nil
}
