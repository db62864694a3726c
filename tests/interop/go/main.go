// Command peer is a go-libp2p node that is driven by JSON lines on standard input, so that the
// tests can prove our protocols on an implementation nobody here wrote. The commands are defined
// in ../README.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

const (
	lineBytesMax   = 16 << 20
	timeoutDefault = 10 * time.Second
	timeoutMax     = 120 * time.Second
)

func main() {
	options := nodeOptions{}
	flag.StringVar(&options.listen, "listen", "/ip4/127.0.0.1/udp/0/quic-v1", "listen address")
	flag.StringVar(&options.prefix, "prefix", "/phase", "DHT protocol prefix")
	flag.StringVar(&options.mode, "mode", "server", "DHT mode: server or client")
	flag.BoolVar(&options.mdns, "mdns", false, "announce and look for peers by mDNS")
	flag.StringVar(&options.security, "security", "any", "of TCP: noise, tls or any")
	flag.Parse()
	if err := run(options, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

// output writes whole lines; commands answer from goroutines of their own.
type output struct {
	mutex   sync.Mutex
	encoder *json.Encoder
}

func (out *output) line(value any) {
	out.mutex.Lock()
	defer out.mutex.Unlock()
	if err := out.encoder.Encode(value); err != nil {
		fmt.Fprintln(os.Stderr, "peer: cannot write an answer:", err)
		os.Exit(1)
	}
}

// run serves commands until quit or the end of input.
func run(options nodeOptions, input io.Reader, writer io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	node, err := newNode(ctx, options)
	if err != nil {
		return err
	}
	defer node.close()

	out := &output{encoder: json.NewEncoder(writer)}
	out.encoder.SetEscapeHTML(false)
	out.line(map[string]any{
		"event":          "listening",
		"peer_id":        node.host.ID().String(),
		"addrs":          node.fullAddrs(),
		"kad_protocol":   options.prefix + "/kad/1.0.0",
		"mode":           options.mode,
		"implementation": "go-libp2p",
		"version":        moduleVersion("github.com/libp2p/go-libp2p"),
	})

	lines := bufio.NewScanner(input)
	lines.Buffer(make([]byte, 64<<10), lineBytesMax)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		req := request{}
		if err := json.Unmarshal(lines.Bytes(), &req); err != nil {
			out.line(answer{"id": nil, "ok": false, "error": "bad request: " + err.Error()})
			continue
		}
		if req.Command == "quit" {
			out.line(answer{"id": req.ID, "ok": true})
			return nil
		}
		go func() { out.line(node.answer(ctx, &req)) }()
	}
	return lines.Err()
}

// request is one command; each command reads the fields it needs.
type request struct {
	ID       json.RawMessage `json:"id"`
	Command  string          `json:"cmd"`
	Addr     string          `json:"addr"`
	PeerID   string          `json:"peer_id"`
	Key      string          `json:"key"`
	Value    string          `json:"value"`
	Protocol string          `json:"protocol"`
	Hex      string          `json:"hex"`
	Kind     string          `json:"kind"`
	Security string          `json:"security"`
	Server   int             `json:"server"`
	Count    int             `json:"count"`
	Size     int             `json:"size"`
	Up       int64           `json:"up"`
	To       string          `json:"to"`
	Hold     bool            `json:"hold"`
	Down     int64           `json:"down"`
	Streams  int             `json:"streams"`
	Parallel int             `json:"parallel"`
	WaitMS   int             `json:"wait_ms"`
	Timeout  int             `json:"timeout_ms"`
	Version  int             `json:"version"`
	Addrs    []string        `json:"addrs"`
}

type answer map[string]any

var errUnknownCommand = errors.New("unknown command")

// answer runs one command under its own deadline.
func (node *node) answer(ctx context.Context, req *request) answer {
	timeout := timeoutDefault
	if req.Timeout > 0 {
		timeout = min(time.Duration(req.Timeout)*time.Millisecond, timeoutMax)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	// A connection through a relay will do for every command.
	result, err := node.dispatch(network.WithAllowLimitedConn(ctx, "interop"), req)
	if err != nil {
		return answer{"id": req.ID, "ok": false, "error": err.Error()}
	}
	result["id"] = req.ID
	result["ok"] = true
	return result
}

func (node *node) dispatch(ctx context.Context, req *request) (answer, error) {
	commands := map[string]func(context.Context, *request) (answer, error){
		"connect":        node.connect,
		"identify":       node.identify,
		"known":          node.known,
		"add_protocol":   node.addProtocol,
		"discovered":     node.discoveredPeers,
		"ping":           node.ping,
		"echo":           node.echo,
		"perf":           node.perf,
		"dials":          node.dials,
		"open_stream":    node.openStream,
		"provide":        node.provide,
		"find_providers": node.findProviders,
		"find_peer":      node.findPeer,
		"autonat":        node.askAutonat,
		"serve_autonat":  node.serveAutonat,
		"put_value":      node.putValue,
		"get_value":      node.getValue,
		"routing_table":  node.routingTable,
		"newcomers":      node.newcomers,
		"peers":          node.peers,
		"close":          node.closePeer,
		"stats":          node.stats,
		"serve_relay":    node.serveRelay,
		"reserve":        node.reserve,
		"serve_dcutr":    node.serveDCUtR,
		"dial_bad":       dialBad,
		"serve_bad":      node.hostile.serve,
		"served":         node.hostile.served,
		"dial_bad_tcp":   dialBadTCP,
		"serve_bad_tcp":  node.hostileTCP.serve,
		"served_tcp":     node.hostileTCP.served,
	}
	command, known := commands[req.Command]
	if !known {
		return nil, fmt.Errorf("%w: %q", errUnknownCommand, req.Command)
	}
	return command(ctx, req)
}
