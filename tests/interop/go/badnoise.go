// Noise handshakes that a libp2p peer must refuse, and the good one as a control.
package main

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	flynn "github.com/flynn/noise"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/p2p/security/noise/pb"
	"google.golang.org/protobuf/proto"
)

const (
	noisePrefix     = "noise-libp2p-static-key:"
	noiseMessageMax = 65535
	noiseOverhead   = 16
	garbageBytes    = 96
)

// noiseFlaw is what is wrong with a hostile end's handshake.
type noiseFlaw struct {
	badSignature     bool // over another static key
	foreignSignature bool // by another host key
	noSignature      bool
	noKey            bool
	emptyPayload     bool
	garbagePayload   bool // no protobuf
	garbageMessage   bool // no Noise
	earlyMuxer       bool // no flaw: offers Yamux in the handshake, and begins without negotiation
}

var noiseFlaws = map[string]noiseFlaw{
	"good":              {},
	"good_early_muxer":  {earlyMuxer: true},
	"wrong_muxer":       {},
	"wrong_security":    {},
	"bad_signature":     {badSignature: true},
	"foreign_signature": {foreignSignature: true},
	"no_signature":      {noSignature: true},
	"no_key":            {noKey: true},
	"empty_payload":     {emptyPayload: true},
	"garbage_payload":   {garbagePayload: true},
	"garbage_message":   {garbageMessage: true},
}

func noiseFlawOf(kind string) (noiseFlaw, error) {
	f, known := noiseFlaws[kind]
	if !known {
		return f, fmt.Errorf("unknown kind %q", kind)
	}
	return f, nil
}

// payload is the libp2p payload that binds the static key to the host key (noise/README.md, "The
// libp2p Handshake Payload").
func (f noiseFlaw) payload(host crypto.PrivKey, static []byte) ([]byte, error) {
	if f.emptyPayload {
		return nil, nil
	}
	if f.garbagePayload {
		return []byte("\xff\xff\xff\xffgarbage"), nil
	}
	public, err := crypto.MarshalPublicKey(host.GetPublic())
	if err != nil {
		return nil, err
	}
	if f.badSignature {
		static = make([]byte, len(static))
	}
	signer := host
	if f.foreignSignature {
		if signer, _, err = crypto.GenerateEd25519Key(rand.Reader); err != nil {
			return nil, err
		}
	}
	signature, err := signer.Sign(append([]byte(noisePrefix), static...))
	if err != nil {
		return nil, err
	}
	payload := &pb.NoiseHandshakePayload{IdentityKey: public, IdentitySig: signature}
	if f.noSignature {
		payload.IdentitySig = nil
	}
	if f.noKey {
		payload.IdentityKey = nil
	}
	if f.earlyMuxer {
		payload.Extensions = &pb.NoiseExtensions{StreamMuxers: []string{yamuxProtocol}}
	}
	return proto.Marshal(payload)
}

// secureNoise runs the XX handshake; it does not judge the other side.
func secureNoise(conn net.Conn, host crypto.PrivKey, f noiseFlaw, initiator bool) (net.Conn, error) {
	suite := flynn.NewCipherSuite(flynn.DH25519, flynn.CipherChaChaPoly, flynn.HashSHA256)
	static, err := suite.GenerateKeypair(rand.Reader)
	if err != nil {
		return nil, err
	}
	handshake, err := flynn.NewHandshakeState(flynn.Config{
		CipherSuite: suite, Pattern: flynn.HandshakeXX, Initiator: initiator, StaticKeypair: static,
	})
	if err != nil {
		return nil, err
	}
	payload, err := f.payload(host, static.Public)
	if err != nil {
		return nil, err
	}
	first, second := (*flynn.CipherState)(nil), (*flynn.CipherState)(nil)
	for message := 0; message < 3; message++ {
		if (message%2 == 0) != initiator {
			bytes, err := readNoise(conn)
			if err != nil {
				return nil, err
			}
			if _, first, second, err = handshake.ReadMessage(nil, bytes); err != nil {
				return nil, err
			}
			continue
		}
		content := payload
		if message == 0 {
			content = nil
		}
		var bytes []byte
		if bytes, first, second, err = handshake.WriteMessage(nil, content); err != nil {
			return nil, err
		}
		if f.garbageMessage && message > 0 {
			bytes = make([]byte, garbageBytes)
		}
		if err := writeNoise(conn, bytes); err != nil {
			return nil, err
		}
	}
	if initiator {
		return &noiseConn{Conn: conn, send: first, receive: second}, nil
	}
	return &noiseConn{Conn: conn, send: second, receive: first}, nil
}

func readNoise(conn net.Conn) ([]byte, error) {
	size := [2]byte{}
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	bytes := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(conn, bytes)
	return bytes, err
}

func writeNoise(conn net.Conn, bytes []byte) error {
	if len(bytes) > noiseMessageMax {
		return errors.New("a Noise message is too long")
	}
	_, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(bytes))), bytes...))
	return err
}

// noiseConn is the secure channel.
type noiseConn struct {
	net.Conn
	send    *flynn.CipherState
	receive *flynn.CipherState
	unread  []byte
}

func (conn *noiseConn) Read(room []byte) (int, error) {
	for len(conn.unread) == 0 {
		bytes, err := readNoise(conn.Conn)
		if err != nil {
			return 0, err
		}
		if conn.unread, err = conn.receive.Decrypt(nil, nil, bytes); err != nil {
			return 0, err
		}
	}
	size := copy(room, conn.unread)
	conn.unread = conn.unread[size:]
	return size, nil
}

func (conn *noiseConn) Write(bytes []byte) (int, error) {
	written := 0
	for written < len(bytes) {
		part := min(len(bytes)-written, noiseMessageMax-noiseOverhead)
		sealed, err := conn.send.Encrypt(nil, nil, bytes[written:written+part])
		if err != nil {
			return written, err
		}
		if err := writeNoise(conn.Conn, sealed); err != nil {
			return written, err
		}
		written += part
	}
	return written, nil
}
