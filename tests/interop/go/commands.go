// Commands on connections and streams: connect, identify, ping, echo, open_stream and what the
// node knows of its peers.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	pingCountMax      = 10000
	replyBytesMax     = 1 << 20
	echoStreamsMax    = 4096
	echoBytesMax      = 256 << 20
	echoPatternPeriod = 251
)

// target is the peer a command names, by peer_id or by an address that ends in /p2p. The node is
// connected to it when target returns.
func (node *node) target(ctx context.Context, req *request) (peer.ID, error) {
	if req.PeerID != "" {
		id, err := peer.Decode(req.PeerID)
		if err != nil {
			return "", fmt.Errorf("peer_id: %w", err)
		}
		state := node.host.Network().Connectedness(id)
		if state != network.Connected && state != network.Limited {
			return "", fmt.Errorf("not connected to %s", id)
		}
		return id, nil
	}
	info, err := peer.AddrInfoFromString(req.Addr)
	if err != nil {
		return "", fmt.Errorf("addr: %w", err)
	}
	// A dial that failed a moment ago must not make this one fail without a packet sent.
	if s, ok := node.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(info.ID)
	}
	return info.ID, node.host.Connect(ctx, *info)
}

func (node *node) connect(ctx context.Context, req *request) (answer, error) {
	if req.Addr == "" {
		return nil, errors.New("connect needs addr")
	}
	id, err := node.target(ctx, req)
	if err != nil {
		return nil, err
	}
	return answer{"peer_id": id.String()}, nil
}

func (node *node) known(_ context.Context, req *request) (answer, error) {
	id, err := peer.Decode(req.PeerID)
	if err != nil {
		return nil, fmt.Errorf("peer_id: %w", err)
	}
	protocols, err := node.host.Peerstore().GetProtocols(id)
	if err != nil {
		return nil, err
	}
	agent, _ := node.host.Peerstore().Get(id, "AgentVersion")
	text, _ := agent.(string)
	return answer{
		"peer_id":       id.String(),
		"protocols":     sortedTexts(protocol.ConvertToStrings(protocols)),
		"addrs":         addrTexts(node.host.Peerstore().Addrs(id)),
		"agent_version": text,
		"signed_record": node.records.has(id),
	}, nil
}

// addProtocol serves one more protocol; the host then pushes identify to every connected peer.
func (node *node) addProtocol(_ context.Context, req *request) (answer, error) {
	if req.Protocol == "" {
		return nil, errors.New("add_protocol needs protocol")
	}
	node.host.SetStreamHandler(protocol.ID(req.Protocol), serveEcho)
	return answer{}, nil
}

func (node *node) ping(ctx context.Context, req *request) (answer, error) {
	if req.Count < 1 || req.Count > pingCountMax {
		return nil, fmt.Errorf("count must be 1 to %d", pingCountMax)
	}
	id, err := node.target(ctx, req)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := ping.Ping(ctx, node.host, id)
	rtts := make([]float64, 0, req.Count)
	for len(rtts) < req.Count {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d pings answered: %w", len(rtts), req.Count, ctx.Err())
		case result, open := <-results:
			if !open {
				return nil, fmt.Errorf("%d of %d pings answered", len(rtts), req.Count)
			}
			if result.Error != nil {
				return nil, result.Error
			}
			rtts = append(rtts, float64(result.RTT)/float64(time.Microsecond))
		}
	}
	return answer{"rtts_us": rtts}, nil
}

// echo sends a known pattern through the other side's echo protocol and answers with the hash of
// what came back on each stream (all must be alike).
func (node *node) echo(ctx context.Context, req *request) (answer, error) {
	streams, parallel := max(req.Streams, 1), max(req.Parallel, 1)
	if streams > echoStreamsMax || req.Size < 0 || req.Size > echoBytesMax {
		return nil, errors.New("streams or size out of range")
	}
	id, err := node.target(ctx, req)
	if err != nil {
		return nil, err
	}
	hashes := make([]string, streams)
	errs := make([]error, streams)
	slots := make(chan struct{}, parallel)
	group := sync.WaitGroup{}
	for i := range streams {
		slots <- struct{}{}
		group.Go(func() {
			hashes[i], errs[i] = node.echoOnce(ctx, id, req.Size)
			<-slots
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	hashes = slices.Compact(hashes)
	if len(hashes) != 1 {
		return nil, errors.New("streams came back different from each other")
	}
	return answer{"size": req.Size, "sha256": hashes[0], "streams": streams}, nil
}

func (node *node) echoOnce(ctx context.Context, id peer.ID, size int) (string, error) {
	stream, err := node.host.NewStream(ctx, id, echoProtocol)
	if err != nil {
		return "", err
	}
	defer stream.Reset()
	defer context.AfterFunc(ctx, func() { stream.Reset() })()
	pattern := make([]byte, size)
	for i := range pattern {
		pattern[i] = byte(i % echoPatternPeriod)
	}
	written := make(chan error, 1)
	go func() {
		_, err := stream.Write(pattern)
		written <- errors.Join(err, stream.CloseWrite())
	}()
	hash := sha256.New()
	count, err := io.Copy(hash, io.LimitReader(stream, int64(size)+1))
	if err = errors.Join(err, <-written); err != nil {
		return "", err
	}
	if count != int64(size) {
		return "", fmt.Errorf("%d bytes came back of %d", count, size)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// openStream writes bytes on a stream of any protocol, finishes, and reads until the other side
// has finished too.
func (node *node) openStream(ctx context.Context, req *request) (answer, error) {
	data, err := hex.DecodeString(req.Hex)
	if err != nil {
		return nil, fmt.Errorf("hex: %w", err)
	}
	id, err := node.target(ctx, req)
	if err != nil {
		return nil, err
	}
	stream, err := node.host.NewStream(ctx, id, protocol.ID(req.Protocol))
	if err != nil {
		return nil, err
	}
	defer stream.Reset()
	defer context.AfterFunc(ctx, func() { stream.Reset() })()
	if _, err := stream.Write(data); err != nil {
		return nil, err
	}
	if err := stream.CloseWrite(); err != nil {
		return nil, err
	}
	reply, err := io.ReadAll(io.LimitReader(stream, replyBytesMax))
	if err != nil {
		return nil, err
	}
	return answer{"hex": hex.EncodeToString(reply), "protocol": string(stream.Protocol())}, nil
}

func (node *node) peers(context.Context, *request) (answer, error) {
	peers := []answer{}
	for _, conn := range node.host.Network().Conns() {
		direction := "inbound"
		if conn.Stat().Direction == network.DirOutbound {
			direction = "outbound"
		}
		peers = append(peers, answer{
			"peer_id":   conn.RemotePeer().String(),
			"addr":      conn.RemoteMultiaddr().String(),
			"direction": direction,
			"security":  string(conn.ConnState().Security),
			"muxer":     string(conn.ConnState().StreamMultiplexer),
		})
	}
	return answer{"peers": peers}, nil
}

func (node *node) closePeer(_ context.Context, req *request) (answer, error) {
	text := req.PeerID
	if text == "" {
		info, err := peer.AddrInfoFromString(req.Addr)
		if err != nil {
			return nil, fmt.Errorf("addr: %w", err)
		}
		text = info.ID.String()
	}
	id, err := peer.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("peer_id: %w", err)
	}
	closed := len(node.host.Network().ConnsToPeer(id))
	return answer{"closed": closed}, node.host.Network().ClosePeer(id)
}

func (node *node) stats(context.Context, *request) (answer, error) {
	streams := 0
	for _, conn := range node.host.Network().Conns() {
		streams += len(conn.GetStreams())
	}
	memory := runtime.MemStats{}
	runtime.ReadMemStats(&memory)
	return answer{
		"connections":   len(node.host.Network().Conns()),
		"streams":       streams,
		"routing_table": node.dht.RoutingTable().Size(),
		"heap_bytes":    memory.HeapAlloc,
	}, nil
}

func addrTexts(addrs []ma.Multiaddr) []string {
	texts := make([]string, 0, len(addrs))
	for _, addr := range addrs {
		texts = append(texts, addr.String())
	}
	return sortedTexts(texts)
}

func sortedTexts(texts []string) []string {
	slices.Sort(texts)
	return texts
}
