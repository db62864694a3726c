// Hostile ends made of quic-go alone: dial_bad dials a server with a flaw it must refuse, and
// serve_bad is a server that a dialler must refuse.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlog"
	"github.com/quic-go/quic-go/qlogwriter"
)

const (
	pingProtocol       = "/ipfs/ping/1.0.0"
	pingBytes          = 32
	hostileServersMax  = 64
	refusalWaitDefault = 3 * time.Second
)

// closing tells how a connection ended, in the words of the answers.
func closing(err error) answer {
	var transport *quic.TransportError
	var application *quic.ApplicationError
	var idle *quic.IdleTimeoutError
	var handshake *quic.HandshakeTimeoutError
	var reset *quic.StatelessResetError
	result := answer{"reason": fmt.Sprint(err)}
	switch {
	case errors.As(err, &transport):
		result["close"] = "transport"
		result["code"] = uint64(transport.ErrorCode)
		result["by_peer"] = transport.Remote
	case errors.As(err, &application):
		result["close"] = "application"
		result["code"] = uint64(application.ErrorCode)
		result["by_peer"] = application.Remote
	case errors.As(err, &reset):
		result["close"] = "stateless_reset"
		result["by_peer"] = true
	case errors.As(err, &idle), errors.As(err, &handshake):
		result["close"] = "timeout"
		result["by_peer"] = false
	default:
		result["close"] = "other"
		result["by_peer"] = false
	}
	return result
}

// pingOver runs one libp2p ping on a bare QUIC connection.
func pingOver(ctx context.Context, conn *quic.Conn) error {
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	defer stream.CancelRead(0)
	defer stream.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := stream.SetDeadline(deadline); err != nil {
			return err
		}
	}
	return pingOn(stream)
}

// pingOn runs one libp2p ping on a new stream.
func pingOn(stream io.ReadWriteCloser) error {
	if err := multistream.SelectProtoOrFail(pingProtocol, stream); err != nil {
		return err
	}
	sent, got := make([]byte, pingBytes), make([]byte, pingBytes)
	if _, err := rand.Read(sent); err != nil {
		return err
	}
	if _, err := stream.Write(sent); err != nil {
		return err
	}
	if _, err := io.ReadFull(stream, got); err != nil {
		return err
	}
	if !bytes.Equal(sent, got) {
		return errors.New("the ping came back changed")
	}
	return nil
}

// dialBad dials addr as an end with the given flaw. A TLS 1.3 client is done before the server has
// judged its certificate, so a refusal may come after the handshake: the answer says whether the
// handshake ended, whether a ping was answered, and how the connection was closed.
func dialBad(ctx context.Context, req *request) (answer, error) {
	f, err := flawOf(req.Kind)
	if err != nil {
		return nil, err
	}
	host, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	config, err := f.tlsConfig(host)
	if err != nil {
		return nil, err
	}
	addr, err := ma.NewMultiaddr(req.Addr)
	if err != nil {
		return nil, fmt.Errorf("addr: %w", err)
	}
	_, target, err := manet.DialArgs(addr)
	if err != nil {
		return nil, fmt.Errorf("addr: %w", err)
	}
	wait := refusalWaitDefault
	if req.WaitMS > 0 {
		wait = time.Duration(req.WaitMS) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()

	conn, err := quic.DialAddr(ctx, target, config, &quic.Config{})
	if err != nil {
		result := closing(err)
		result["handshake_done"] = false
		result["ping_answered"] = false
		result["refused"] = result["by_peer"]
		return result, nil
	}
	defer conn.CloseWithError(0, "")
	pingErr := pingOver(ctx, conn)
	if pingErr == nil {
		return answer{"handshake_done": true, "ping_answered": true, "refused": false}, nil
	}
	select {
	case <-conn.Context().Done():
		result := closing(context.Cause(conn.Context()))
		result["handshake_done"] = true
		result["ping_answered"] = false
		result["refused"] = result["by_peer"]
		return result, nil
	case <-ctx.Done():
		return answer{"handshake_done": true, "ping_answered": false, "refused": false,
			"reason": "the connection stayed open: " + pingErr.Error()}, nil
	}
}

// hostileServers are the servers made by serve_bad, by number.
type hostileServers struct {
	mutex   sync.Mutex
	servers []*hostileServer
}

type hostileServer struct {
	kind      string
	transport *quic.Transport
	listener  *quic.Listener

	mutex      sync.Mutex
	attempts   int // connections whose first packet was taken
	handshakes int // of these, handshakes that ended well
	pings      int // streams on which ping was agreed
	closes     []answer
}

func (all *hostileServers) close() {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	for _, server := range all.servers {
		server.listener.Close()
		server.transport.Close()
		server.transport.Conn.Close()
	}
}

func (all *hostileServers) serve(_ context.Context, req *request) (answer, error) {
	f, err := flawOf(req.Kind)
	if err != nil {
		return nil, err
	}
	if f.certificates == 0 {
		return nil, errors.New("a QUIC server always has a certificate")
	}
	host, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	id, err := peer.IDFromPrivateKey(host)
	if err != nil {
		return nil, err
	}
	config, err := f.tlsConfig(host)
	if err != nil {
		return nil, err
	}
	all.mutex.Lock()
	defer all.mutex.Unlock()
	if len(all.servers) == hostileServersMax {
		return nil, errors.New("too many servers")
	}
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	server := &hostileServer{kind: req.Kind, transport: &quic.Transport{
		Conn:                socket,
		VerifySourceAddress: func(net.Addr) bool { return f.retry },
	}}
	server.listener, err = server.transport.Listen(config, &quic.Config{Tracer: server.trace})
	if err != nil {
		socket.Close()
		return nil, err
	}
	all.servers = append(all.servers, server)
	go server.accept()
	port := socket.LocalAddr().(*net.UDPAddr).Port
	return answer{
		"server":  len(all.servers) - 1,
		"peer_id": id.String(),
		"addr":    fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1/p2p/%s", port, id),
	}, nil
}

// served tells what came to a server made by serve_bad.
func (all *hostileServers) served(_ context.Context, req *request) (answer, error) {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	if req.Server < 0 || req.Server >= len(all.servers) {
		return nil, errors.New("no such server")
	}
	server := all.servers[req.Server]
	server.mutex.Lock()
	defer server.mutex.Unlock()
	return answer{
		"kind":       server.kind,
		"attempts":   server.attempts,
		"handshakes": server.handshakes,
		"pings":      server.pings,
		"closes":     append([]answer{}, server.closes...),
	}, nil
}

func (server *hostileServer) count(counter *int) {
	server.mutex.Lock()
	defer server.mutex.Unlock()
	*counter++
}

// accept answers ping on every stream, so that a dialler that takes this server is caught at it.
func (server *hostileServer) accept() {
	for {
		conn, err := server.listener.Accept(context.Background())
		if err != nil {
			return
		}
		server.count(&server.handshakes)
		go func() {
			for {
				stream, err := conn.AcceptStream(conn.Context())
				if err != nil {
					return
				}
				go server.answerPing(stream)
			}
		}()
	}
}

func (server *hostileServer) answerPing(stream *quic.Stream) {
	defer stream.Close()
	defer stream.CancelRead(0)
	if agreePing(stream) == nil {
		server.count(&server.pings)
		io.Copy(stream, stream)
	}
}

// agreePing takes ping, and nothing else, on a stream that the other side opened.
func agreePing(stream io.ReadWriteCloser) error {
	protocols := multistream.NewMultistreamMuxer[string]()
	protocols.AddHandler(pingProtocol, nil)
	_, _, err := protocols.Negotiate(stream)
	return err
}

// trace counts connection attempts and records how each one was closed. The listener itself never
// shows a connection whose handshake the dialler broke off.
func (server *hostileServer) trace(context.Context, bool, quic.ConnectionID) qlogwriter.Trace {
	server.count(&server.attempts)
	return closeTrace{server}
}

type closeTrace struct{ server *hostileServer }

func (trace closeTrace) AddProducer() qlogwriter.Recorder { return closeRecorder(trace) }
func (closeTrace) SupportsSchemas(string) bool            { return false }

type closeRecorder struct{ server *hostileServer }

func (closeRecorder) Close() error { return nil }

func (recorder closeRecorder) RecordEvent(event qlogwriter.Event) {
	closed, ok := event.(qlog.ConnectionClosed)
	if !ok {
		return
	}
	result := answer{"by_peer": closed.Initiator == qlog.InitiatorRemote, "close": "timeout"}
	if closed.ConnectionError != nil {
		result["close"] = "transport"
		result["code"] = uint64(*closed.ConnectionError)
	} else if closed.ApplicationError != nil {
		result["close"] = "application"
		result["code"] = uint64(*closed.ApplicationError)
	} else if closed.Reason != "" {
		result["close"] = "other"
	}
	if closed.Reason != "" {
		result["reason"] = closed.Reason
	}
	server := recorder.server
	server.mutex.Lock()
	defer server.mutex.Unlock()
	server.closes = append(server.closes, result)
}
