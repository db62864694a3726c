// libp2p perf, both sides: 8 bytes say how much is wanted back, then comes the upload, then the
// download. Spec: libp2p/specs perf/perf.md.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

const (
	perfProtocol  = "/perf/1.0.0"
	perfBlockSize = 64 << 10
)

// zeros is an endless source of bytes.
type zeros struct{}

func (zeros) Read(data []byte) (int, error) {
	clear(data)
	return len(data), nil
}

func sendZeros(stream network.Stream, count int64) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{stream}, io.LimitReader(zeros{}, count),
		make([]byte, perfBlockSize))
	return errors.Join(err, stream.CloseWrite())
}

func receiveAll(stream network.Stream) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{io.Discard}, stream, make([]byte, perfBlockSize))
}

func servePerf(stream network.Stream) {
	header := make([]byte, 8)
	_, err := io.ReadFull(stream, header)
	if err == nil {
		_, err = receiveAll(stream)
	}
	wanted := binary.BigEndian.Uint64(header)
	if err == nil && wanted <= math.MaxInt64 {
		err = sendZeros(stream, int64(wanted))
	}
	if err != nil {
		stream.Reset()
		return
	}
	stream.Close()
}

// perf measures as the specification says: the upload ends when the answer begins.
func (node *node) perf(ctx context.Context, req *request) (answer, error) {
	if req.Up < 0 || req.Down < 0 {
		return nil, errors.New("up and down must not be negative")
	}
	id, err := node.target(ctx, req)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	stream, err := node.host.NewStream(ctx, id, perfProtocol)
	if err != nil {
		return nil, err
	}
	defer stream.Reset()
	defer context.AfterFunc(ctx, func() { stream.Reset() })()
	if _, err = stream.Write(binary.BigEndian.AppendUint64(nil, uint64(req.Down))); err != nil {
		return nil, err
	}
	if err = sendZeros(stream, req.Up); err != nil {
		return nil, err
	}
	first := make([]byte, 1)
	count, err := stream.Read(first)
	uploaded := time.Now()
	if err != nil && err != io.EOF {
		return nil, err
	}
	received := int64(count)
	if err == nil {
		rest, err := receiveAll(stream)
		if err != nil {
			return nil, err
		}
		received += rest
	}
	if received != req.Down {
		return nil, fmt.Errorf("%d bytes came of %d", received, req.Down)
	}
	return answer{
		"up_us":   uploaded.Sub(started).Microseconds(),
		"down_us": time.Since(uploaded).Microseconds(),
	}, nil
}
