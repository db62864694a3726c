// Commands on the DHT: provider records, peers, values and the routing table.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
)

const providersMax = 256

// tagCID is the CID of a tag: raw, sha2-256 of its UTF-8 bytes.
func tagCID(tag string) (cid.Cid, error) {
	if tag == "" {
		return cid.Undef, errors.New("key is empty")
	}
	sum, err := multihash.Sum([]byte(tag), multihash.SHA2_256, -1)
	if err != nil {
		return cid.Undef, err
	}
	return cid.NewCidV1(cid.Raw, sum), nil
}

func (node *node) provide(ctx context.Context, req *request) (answer, error) {
	key, err := tagCID(req.Key)
	if err != nil {
		return nil, err
	}
	return answer{"cid": key.String()}, node.dht.Provide(ctx, key, true)
}

func (node *node) findProviders(ctx context.Context, req *request) (answer, error) {
	key, err := tagCID(req.Key)
	if err != nil {
		return nil, err
	}
	if req.Count < 1 || req.Count > providersMax {
		return nil, fmt.Errorf("count must be 1 to %d", providersMax)
	}
	providers := []answer{}
	begun, first := time.Now(), int64(0)
	for found := range node.dht.FindProvidersAsync(ctx, key, req.Count) {
		if len(providers) == 0 {
			first = time.Since(begun).Microseconds()
		}
		providers = append(providers, infoAnswer(found))
	}
	if err := ctx.Err(); err != nil && len(providers) == 0 {
		return nil, fmt.Errorf("no provider found: %w", err)
	}
	return answer{"cid": key.String(), "providers": providers, "first_us": first,
		"elapsed_us": time.Since(begun).Microseconds()}, nil
}

func (node *node) findPeer(ctx context.Context, req *request) (answer, error) {
	id, err := peer.Decode(req.PeerID)
	if err != nil {
		return nil, fmt.Errorf("peer_id: %w", err)
	}
	info, err := node.dht.FindPeer(ctx, id)
	if err != nil {
		return nil, err
	}
	return infoAnswer(info), nil
}

func infoAnswer(info peer.AddrInfo) answer {
	return answer{"peer_id": info.ID.String(), "addrs": addrTexts(info.Addrs)}
}

// valueOf takes the value as text, or as hex when hex is given.
func valueOf(req *request) ([]byte, error) {
	if req.Hex == "" {
		return []byte(req.Value), nil
	}
	value, err := hex.DecodeString(req.Hex)
	if err != nil {
		return nil, fmt.Errorf("hex: %w", err)
	}
	return value, nil
}

func (node *node) putValue(ctx context.Context, req *request) (answer, error) {
	value, err := valueOf(req)
	if err != nil {
		return nil, err
	}
	return answer{}, node.dht.PutValue(ctx, req.Key, value)
}

func (node *node) getValue(ctx context.Context, req *request) (answer, error) {
	value, err := node.dht.GetValue(ctx, req.Key)
	if err != nil {
		return nil, err
	}
	return answer{"hex": hex.EncodeToString(value), "value": string(value)}, nil
}

func (node *node) routingTable(context.Context, *request) (answer, error) {
	texts := []string{}
	for _, id := range node.dht.RoutingTable().ListPeers() {
		texts = append(texts, id.String())
	}
	return answer{"peers": sortedTexts(texts)}, nil
}
