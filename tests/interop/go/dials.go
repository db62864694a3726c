// Many fresh connections to one peer, each by an identity of its own, for measuring what a
// connection costs.
package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	diallersMax = 2000
	dialsMax    = 100000
	// Connections that are to be held are made so many at a time.
	holdParallel = 16
)

// held are the hosts of the last dials.
type held struct {
	hosts []host.Host
}

func (h *held) close() {
	for _, host := range h.hosts {
		host.Close()
	}
	h.hosts = nil
}

func (node *node) dials(ctx context.Context, req *request) (answer, error) {
	count, parallel := max(req.Count, 1), max(req.Parallel, 1)
	if count > dialsMax || parallel > diallersMax {
		return nil, fmt.Errorf("count or parallel out of range")
	}
	info, err := peer.AddrInfoFromString(req.To)
	if err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	node.held.close()
	for range parallel {
		h, err := newHost("any")
		if err != nil {
			return nil, err
		}
		node.held.hosts = append(node.held.hosts, h)
	}
	started := time.Now()
	var begun atomic.Int64
	errs := make([]error, parallel)
	slots := make(chan struct{}, parallel)
	if req.Hold {
		slots = make(chan struct{}, holdParallel)
	}
	group := sync.WaitGroup{}
	for i, h := range node.held.hosts {
		group.Go(func() {
			for begun.Add(1) <= int64(count) && errs[i] == nil {
				slots <- struct{}{}
				errs[i] = h.Connect(ctx, *info)
				<-slots
				if req.Hold {
					break
				}
				if errs[i] == nil {
					errs[i] = h.Network().ClosePeer(info.ID)
				}
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return answer{"elapsed_us": time.Since(started).Microseconds()}, nil
}
