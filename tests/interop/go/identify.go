// The identify command: asks for identify on a stream of its own and shows the message as it came
// over the wire, with the signed peer record opened and checked.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify/pb"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-varint"
	"google.golang.org/protobuf/proto"
)

const (
	identifyPartsMax = 10
	identifyBytesMax = 8 << 10
)

// signedRecords are the peers whose signed record the host's own identify took. The host keeps no
// record after that, it only tells in an event.
type signedRecords struct {
	mutex sync.Mutex
	peers map[peer.ID]bool
}

func (records *signedRecords) watch(ctx context.Context, h host.Host) error {
	records.peers = map[peer.ID]bool{}
	subscription, err := h.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { subscription.Close() })
	go func() {
		for happened := range subscription.Out() {
			done := happened.(event.EvtPeerIdentificationCompleted)
			records.mutex.Lock()
			records.peers[done.Peer] = done.SignedPeerRecord != nil
			records.mutex.Unlock()
		}
	}()
	return nil
}

func (records *signedRecords) has(id peer.ID) bool {
	records.mutex.Lock()
	defer records.mutex.Unlock()
	return records.peers[id]
}

func (node *node) identify(ctx context.Context, req *request) (answer, error) {
	id, err := node.target(ctx, req)
	if err != nil {
		return nil, err
	}
	stream, err := node.host.NewStream(ctx, id, identify.ID)
	if err != nil {
		return nil, err
	}
	defer stream.Reset()
	defer context.AfterFunc(ctx, func() { stream.Reset() })()
	message, parts, err := readIdentify(stream)
	if err != nil {
		return nil, err
	}
	result := answer{
		"peer_id":          id.String(),
		"agent_version":    message.GetAgentVersion(),
		"protocol_version": message.GetProtocolVersion(),
		"protocols":        sortedTexts(message.GetProtocols()),
		"parts":            parts,
	}
	listen, err := parseAddrs(message.GetListenAddrs())
	if err != nil {
		return nil, fmt.Errorf("listen address: %w", err)
	}
	result["listen_addrs"] = addrTexts(listen)
	result["observed_addr"] = ""
	if bytes := message.GetObservedAddr(); len(bytes) > 0 {
		observed, err := ma.NewMultiaddrBytes(bytes)
		if err != nil {
			return nil, fmt.Errorf("observed address: %w", err)
		}
		result["observed_addr"] = observed.String()
	}
	result["public_key_matches"] = false
	if key, err := crypto.UnmarshalPublicKey(message.GetPublicKey()); err == nil {
		result["public_key_matches"] = id.MatchesPublicKey(key)
	}
	signed, addrs, reason := openRecord(message.GetSignedPeerRecord(), id)
	result["signed_peer_record"] = signed
	result["signed_addrs"] = addrTexts(addrs)
	if reason != nil {
		result["signed_peer_record_error"] = reason.Error()
	}
	return result, nil
}

// readIdentify merges the messages of one identify stream, which ends with FIN.
func readIdentify(reader io.Reader) (*pb.Identify, int, error) {
	buffered := bufio.NewReader(reader)
	merged := &pb.Identify{}
	for parts := 0; parts < identifyPartsMax; parts++ {
		size, err := varint.ReadUvarint(buffered)
		if errors.Is(err, io.EOF) && parts > 0 {
			return merged, parts, nil
		}
		if err != nil {
			return nil, parts, err
		}
		if size > identifyBytesMax {
			return nil, parts, fmt.Errorf("identify message of %d bytes", size)
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(buffered, body); err != nil {
			return nil, parts, err
		}
		if err := (proto.UnmarshalOptions{Merge: true}).Unmarshal(body, merged); err != nil {
			return nil, parts, err
		}
	}
	return nil, identifyPartsMax, errors.New("too many identify messages")
}

func parseAddrs(raw [][]byte) ([]ma.Multiaddr, error) {
	addrs := make([]ma.Multiaddr, 0, len(raw))
	for _, bytes := range raw {
		addr, err := ma.NewMultiaddrBytes(bytes)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// openRecord returns "none", "valid" or "invalid", the signed addresses and why it is invalid.
func openRecord(sealed []byte, id peer.ID) (string, []ma.Multiaddr, error) {
	if len(sealed) == 0 {
		return "none", nil, nil
	}
	envelope, opened, err := record.ConsumeEnvelope(sealed, peer.PeerRecordEnvelopeDomain)
	if err != nil {
		return "invalid", nil, err
	}
	signed, ok := opened.(*peer.PeerRecord)
	if !ok {
		return "invalid", nil, fmt.Errorf("the envelope holds a %T", opened)
	}
	if signed.PeerID != id || !id.MatchesPublicKey(envelope.PublicKey) {
		return "invalid", nil, errors.New("the record is somebody else's")
	}
	return "valid", signed.Addrs, nil
}
