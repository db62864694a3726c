// Hostile ends over TCP, made of a Noise or TLS library alone: dial_bad_tcp dials with a flaw that
// must be refused, and serve_bad_tcp is a server that a dialler must refuse.
package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-yamux/v5"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"
)

const (
	yamuxProtocol     = "/yamux/1.0.0"
	foreignMuxer      = "/mplex/6.7.0"
	foreignSecurity   = "/plaintext/2.0.0"
	hostileTCPSeconds = 10 * time.Second
)

// tcpEnd is one hostile end: its key, its secure channel, and what is wrong with it.
type tcpEnd struct {
	host     crypto.PrivKey
	security string // "noise" or "tls"
	kind     string
	noise    noiseFlaw
	tls      *tls.Config
}

func newTCPEnd(security, kind string) (*tcpEnd, error) {
	host, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	end := &tcpEnd{host: host, security: security, kind: kind}
	certificate := kind
	if kind == "wrong_muxer" || kind == "wrong_security" {
		certificate = "good"
	}
	switch security {
	case "noise":
		end.noise, err = noiseFlawOf(kind)
	case "tls":
		var f *flaw
		if f, err = flawOf(certificate); err == nil {
			end.tls, err = f.tlsConfig(host)
		}
	default:
		err = fmt.Errorf("security %q is neither noise nor tls", security)
	}
	return end, err
}

func (end *tcpEnd) securityProtocol() string {
	switch {
	case end.kind == "wrong_security":
		return foreignSecurity
	case end.security == "noise":
		return "/noise"
	default:
		return "/tls/1.0.0"
	}
}

func (end *tcpEnd) muxer() string {
	if end.kind == "wrong_muxer" {
		return foreignMuxer
	}
	return yamuxProtocol
}

// secure makes the secure channel over a connection on which it was agreed.
func (end *tcpEnd) secure(ctx context.Context, conn net.Conn, initiator bool) (net.Conn, error) {
	if end.security == "noise" {
		return secureNoise(conn, end.host, end.noise, initiator)
	}
	channel := tls.Server(conn, end.tls)
	if initiator {
		channel = tls.Client(conn, end.tls)
	}
	return channel, channel.HandshakeContext(ctx)
}

// dial makes a connection and tries one ping.
func (end *tcpEnd) dial(ctx context.Context, conn net.Conn) error {
	if err := multistream.SelectProtoOrFail(end.securityProtocol(), conn); err != nil {
		return err
	}
	channel, err := end.secure(ctx, conn, true)
	if err != nil {
		return err
	}
	if !end.noise.earlyMuxer {
		if err := multistream.SelectProtoOrFail(end.muxer(), channel); err != nil {
			return err
		}
	}
	session, err := yamux.Client(channel, yamux.DefaultConfig(), nil)
	if err != nil {
		return err
	}
	defer session.Close()
	stream, err := session.OpenStream(ctx)
	if err != nil {
		return err
	}
	return pingOn(stream)
}

// dialBadTCP dials addr as an end with the given flaw: whether a ping was answered, and whether the
// other side refused: by closing the connection, or the protocol that was proposed.
func dialBadTCP(ctx context.Context, req *request) (answer, error) {
	end, err := newTCPEnd(req.Security, req.Kind)
	if err != nil {
		return nil, err
	}
	addr, err := ma.NewMultiaddr(req.Addr)
	if err != nil {
		return nil, fmt.Errorf("addr: %w", err)
	}
	network, target, err := manet.DialArgs(addr)
	if err != nil {
		return nil, fmt.Errorf("addr: %w", err)
	}
	wait := refusalWaitDefault
	if req.WaitMS > 0 {
		wait = time.Duration(req.WaitMS) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, target)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return nil, err
	}
	err = end.dial(ctx, conn)
	result := answer{"ping_answered": err == nil, "refused": false}
	if err != nil {
		result["refused"] = !errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil
		result["reason"] = err.Error()
	}
	return result, nil
}

// hostileTCPServers are the servers made by serve_bad_tcp, by number.
type hostileTCPServers struct {
	mutex   sync.Mutex
	servers []*hostileTCPServer
}

type hostileTCPServer struct {
	end      *tcpEnd
	listener net.Listener

	mutex      sync.Mutex
	attempts   int // connections
	handshakes int // of these, secure channels on which the dialler spoke
	pings      int // streams on which ping was agreed
	closes     int // connections that the dialler ended
}

func (all *hostileTCPServers) close() {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	for _, server := range all.servers {
		server.listener.Close()
	}
}

func (all *hostileTCPServers) serve(_ context.Context, req *request) (answer, error) {
	end, err := newTCPEnd(req.Security, req.Kind)
	if err != nil {
		return nil, err
	}
	id, err := peer.IDFromPrivateKey(end.host)
	if err != nil {
		return nil, err
	}
	all.mutex.Lock()
	defer all.mutex.Unlock()
	if len(all.servers) == hostileServersMax {
		return nil, errors.New("too many servers")
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &hostileTCPServer{end: end, listener: listener}
	all.servers = append(all.servers, server)
	go server.accept()
	return answer{
		"server":  len(all.servers) - 1,
		"peer_id": id.String(),
		"addr": fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s",
			listener.Addr().(*net.TCPAddr).Port, id),
	}, nil
}

// served tells what came to a server made by serve_bad_tcp.
func (all *hostileTCPServers) served(_ context.Context, req *request) (answer, error) {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	if req.Server < 0 || req.Server >= len(all.servers) {
		return nil, errors.New("no such server")
	}
	server := all.servers[req.Server]
	server.mutex.Lock()
	defer server.mutex.Unlock()
	return answer{
		"attempts":   server.attempts,
		"handshakes": server.handshakes,
		"pings":      server.pings,
		"closes":     server.closes,
	}, nil
}

func (server *hostileTCPServer) count(counter *int) {
	server.mutex.Lock()
	defer server.mutex.Unlock()
	*counter++
}

func (server *hostileTCPServer) accept() {
	for {
		conn, err := server.listener.Accept()
		if err != nil {
			return
		}
		server.count(&server.attempts)
		go func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(hostileTCPSeconds))
			err := server.talk(conn)
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				server.count(&server.closes)
			}
		}()
	}
}

// talk answers ping, so that a dialler that takes this server is caught at it. It ends when the
// dialler ends the connection.
func (server *hostileTCPServer) talk(conn net.Conn) error {
	security := multistream.NewMultistreamMuxer[string]()
	security.AddHandler(server.end.securityProtocol(), nil)
	if _, _, err := security.Negotiate(conn); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), hostileTCPSeconds)
	defer cancel()
	channel, err := server.end.secure(ctx, conn, false)
	if err != nil {
		return err
	}
	if server.end.kind != "wrong_muxer" {
		server.count(&server.handshakes)
	}
	muxers := multistream.NewMultistreamMuxer[string]()
	muxers.AddHandler(server.end.muxer(), nil)
	if !server.end.noise.earlyMuxer {
		if _, _, err := muxers.Negotiate(channel); err != nil {
			return err
		}
	}
	session, err := yamux.Server(channel, yamux.DefaultConfig(), nil)
	if err != nil {
		return err
	}
	defer session.Close()
	for {
		stream, err := session.AcceptStream()
		if err != nil {
			return err
		}
		go func() {
			defer stream.Close()
			if agreePing(stream) == nil {
				server.count(&server.pings)
				io.Copy(stream, stream)
			}
		}()
	}
}
