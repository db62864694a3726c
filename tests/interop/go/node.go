// The node itself: a go-libp2p host that speaks QUIC and TCP, a Kademlia DHT under our own protocol
// prefix and an echo protocol.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

const (
	echoProtocol   = "/phase/interop/echo/1.0.0"
	valueNamespace = "interop"
	refusedPrefix  = "refuse:"
)

type nodeOptions struct {
	listen   string
	prefix   string
	mode     string
	security string
	mdns     bool
}

type node struct {
	host      host.Host
	dht       *dht.IpfsDHT
	records   signedRecords
	hostile   hostileServers
	held      held
	relay     *relay.Relay
	holepunch *holepunch.Service
	autonat   *autonatService
	found     discovered

	hostileTCP hostileTCPServers
}

// interopValidator takes every value under /interop/ but those that ask to be refused, and
// prefers the greatest in byte order, so that all implementations select alike.
type interopValidator struct{}

func (interopValidator) Validate(_ string, value []byte) error {
	if bytes.HasPrefix(value, []byte(refusedPrefix)) {
		return errors.New("the value asks to be refused")
	}
	return nil
}

func (interopValidator) Select(_ string, values [][]byte) (int, error) {
	if len(values) == 0 {
		return 0, errors.New("no values")
	}
	best := 0
	for i := range values {
		if bytes.Compare(values[i], values[best]) > 0 {
			best = i
		}
	}
	return best, nil
}

// securities are the secure channels of TCP that a host has: one, or for "any" both.
func securities(name string) ([]libp2p.Option, error) {
	options := []libp2p.Option{libp2p.Muxer(yamux.ID, yamux.DefaultTransport)}
	if name == "noise" || name == "any" {
		options = append(options, libp2p.Security(noise.ID, noise.New))
	}
	if name == "tls" || name == "any" {
		options = append(options, libp2p.Security(libp2ptls.ID, libp2ptls.New))
	}
	if len(options) == 1 {
		return nil, fmt.Errorf("security %q is none of noise, tls and any", name)
	}
	return options, nil
}

// newHost listens on the addresses given, or dials only.
func newHost(security string, listen ...string) (host.Host, error) {
	secure, err := securities(security)
	if err != nil {
		return nil, err
	}
	options := []libp2p.Option{
		libp2p.ListenAddrStrings(listen...),
		libp2p.Transport(libp2pquic.NewTransport),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.EnableRelay(),
		libp2p.DisableMetrics(),
		libp2p.UserAgent("interop-go/1"),
		libp2p.ProtocolVersion("interop/1.0.0"),
		// Measurements come from one address: no limit of the defaults may be what is measured.
		libp2p.ResourceManager(&network.NullResourceManager{}),
	}
	if len(listen) == 0 {
		options = append(options, libp2p.NoListenAddrs)
	}
	return libp2p.New(append(options, secure...)...)
}

func newNode(ctx context.Context, options nodeOptions) (*node, error) {
	mode := dht.ModeServer
	switch options.mode {
	case "server":
	case "client":
		mode = dht.ModeClient
	default:
		return nil, fmt.Errorf("mode %q is neither server nor client", options.mode)
	}
	h, err := newHost(options.security, options.listen)
	if err != nil {
		return nil, err
	}
	dhtOptions := []dht.Option{
		dht.ProtocolPrefix(protocol.ID(options.prefix)),
		dht.Mode(mode),
	}
	// Under /ipfs the library insists on its own /pk and /ipns.
	if options.prefix != string(dht.DefaultPrefix) {
		dhtOptions = append(dhtOptions,
			dht.Validator(record.NamespacedValidator{valueNamespace: interopValidator{}}))
	}
	table, err := dht.New(h, dhtOptions...)
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	// Without this the DHT never fills its table from the network beyond the peers it meets.
	if err := table.Bootstrap(ctx); err != nil {
		return nil, errors.Join(err, table.Close(), h.Close())
	}
	h.SetStreamHandler(echoProtocol, serveEcho)
	h.SetStreamHandler(perfProtocol, servePerf)
	n := &node{host: h, dht: table}
	if err := n.records.watch(ctx, h); err != nil {
		return nil, errors.Join(err, table.Close(), h.Close())
	}
	if options.mdns {
		if err := n.found.start(h); err != nil {
			return nil, errors.Join(err, table.Close(), h.Close())
		}
	}
	return n, nil
}

func (node *node) close() {
	node.found.close()
	node.hostile.close()
	node.hostileTCP.close()
	node.held.close()
	if node.holepunch != nil {
		node.holepunch.Close()
	}
	if node.relay != nil {
		node.relay.Close()
	}
	if node.autonat != nil {
		node.autonat.close()
	}
	node.dht.Close()
	node.host.Close()
}

// serveEcho returns what it reads until the other side has finished writing.
func serveEcho(stream network.Stream) {
	if _, err := io.Copy(stream, stream); err != nil {
		stream.Reset()
		return
	}
	stream.Close()
}

// fullAddrs are the addresses with /p2p/<peer id> at the end, ready to be dialled.
func (node *node) fullAddrs() []string {
	self := peer.AddrInfo{ID: node.host.ID(), Addrs: node.host.Addrs()}
	addrs, err := peer.AddrInfoToP2pAddrs(&self)
	if err != nil {
		return []string{}
	}
	texts := make([]string, 0, len(addrs))
	for _, addr := range addrs {
		texts = append(texts, addr.String())
	}
	return texts
}

// moduleVersion is the version of a module this program was built with.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, module := range info.Deps {
		if module.Path == path {
			return strings.TrimPrefix(module.Version, "v")
		}
	}
	return "unknown"
}
