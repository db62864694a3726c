// AutoNAT v1 and v2, both sides: serving dial-backs from a second host with ports of its own, and
// asking others for them. Specs: libp2p/specs autonat/autonat-v1.md, autonat-v2.md.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/host/autonat"
	"github.com/libp2p/go-libp2p/p2p/protocol/autonatv2"
	ma "github.com/multiformats/go-multiaddr"
)

// autonatService keeps what serves and asks as long as the node.
type autonatService struct {
	v1      autonat.AutoNAT
	v2      *autonatv2.AutoNAT
	dialers []host.Host
}

func newAutonatService(h host.Host, version int) (*autonatService, error) {
	service := &autonatService{}
	for range 2 {
		dialer, err := newHost("any")
		if err != nil {
			return nil, errors.Join(err, service.close())
		}
		service.dialers = append(service.dialers, dialer)
	}
	var err error
	// A node that is told that it is public asks nobody by itself.
	service.v1, err = autonat.New(h, autonat.EnableService(service.dialers[0].Network()),
		autonat.WithReachability(network.ReachabilityPublic))
	if err != nil {
		return nil, errors.Join(err, service.close())
	}
	if version == 1 {
		return service, nil
	}
	service.v2, err = autonatv2.New(service.dialers[1], autonatv2.AllowPrivateAddrs)
	if err == nil {
		err = service.v2.Start(h)
	}
	if err != nil {
		return nil, errors.Join(err, service.close())
	}
	return service, nil
}

func (service *autonatService) close() error {
	var err error
	for _, dialer := range service.dialers {
		err = errors.Join(err, dialer.Close())
	}
	return err
}

func textAddrs(texts []string) ([]ma.Multiaddr, error) {
	addrs := make([]ma.Multiaddr, 0, len(texts))
	for _, text := range texts {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, fmt.Errorf("addrs: %w", err)
		}
		addrs = append(addrs, addr)
	}
	if len(addrs) == 0 {
		return nil, errors.New("autonat needs addrs")
	}
	return addrs, nil
}

// serveAutonat begins serving, and asking: before the peers in question are connected.
func (node *node) serveAutonat(_ context.Context, req *request) (answer, error) {
	if node.autonat == nil {
		service, err := newAutonatService(node.host, req.Version)
		if err != nil {
			return nil, err
		}
		node.autonat = service
	}
	return answer{}, nil
}

func (node *node) askAutonat(ctx context.Context, req *request) (answer, error) {
	addrs, err := textAddrs(req.Addrs)
	if err != nil {
		return nil, err
	}
	if node.autonat == nil {
		return nil, errors.New("serve_autonat comes first")
	}
	id, err := node.target(ctx, req)
	if err != nil {
		return nil, err
	}
	if req.Version == 1 {
		client := autonat.NewAutoNATClient(node.host, func() []ma.Multiaddr { return addrs }, nil)
		err = client.DialBack(ctx, id)
		switch {
		case err == nil:
			return answer{"outcome": "reached"}, nil
		case autonat.IsDialRefused(err):
			return answer{"outcome": "refused"}, nil
		case autonat.IsDialError(err):
			return answer{"outcome": "not_reached"}, nil
		}
		return nil, err
	}
	if node.autonat.v2 == nil {
		return nil, errors.New("only version 1 is served")
	}
	requests := make([]autonatv2.Request, 0, len(addrs))
	for _, addr := range addrs {
		requests = append(requests, autonatv2.Request{Addr: addr, SendDialData: true})
	}
	result, err := node.autonat.v2.GetReachability(ctx, requests)
	if err != nil {
		return nil, err
	}
	if result.AllAddrsRefused {
		return answer{"outcome": "refused"}, nil
	}
	outcome := "not_reached"
	if result.Reachability == network.ReachabilityPublic {
		outcome = "reached"
	}
	return answer{"outcome": outcome, "index": result.Idx}, nil
}
