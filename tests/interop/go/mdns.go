// Discovery on the local network by go-libp2p's mDNS.
package main

import (
	"context"
	"io"
	"sync"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

// discovered keeps whom mDNS has found; nobody is dialled.
type discovered struct {
	mutex   sync.Mutex
	peers   map[peer.ID]peer.AddrInfo
	service io.Closer
}

func (found *discovered) start(h host.Host) error {
	found.peers = map[peer.ID]peer.AddrInfo{}
	service := mdns.NewMdnsService(h, "", found)
	if err := service.Start(); err != nil {
		return err
	}
	found.service = service
	return nil
}

// HandlePeerFound is called by the mDNS service.
func (found *discovered) HandlePeerFound(info peer.AddrInfo) {
	found.mutex.Lock()
	defer found.mutex.Unlock()
	found.peers[info.ID] = info
}

func (found *discovered) close() {
	if found.service != nil {
		found.service.Close()
	}
}

func (node *node) discoveredPeers(context.Context, *request) (answer, error) {
	node.found.mutex.Lock()
	defer node.found.mutex.Unlock()
	peers := []map[string]any{}
	for id, info := range node.found.peers {
		addrs := []string{}
		for _, addr := range info.Addrs {
			addrs = append(addrs, addr.String())
		}
		peers = append(peers, map[string]any{"peer_id": id.String(), "addrs": addrs})
	}
	return answer{"peers": peers}, nil
}
