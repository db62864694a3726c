#!/usr/bin/env python3
"""Our peer against go-libp2p and js-libp2p over QUIC, both directions: handshake, identify, ping,
streams, Kademlia, and everything that must be refused.

Run: interop_test.py --peer PROGRAM --go PROGRAM --js DIRECTORY [--only TEXT]
The peer speaks the commands of README.md; the go peer can stand in for it to check this test.
"""

import argparse
import sys
from pathlib import Path

import cases
import relay_cases
from driver import Programs, Suite, expect
from hostile_kad import kad_hostile

FOREIGN = ("go", "js")
IPV6 = "--listen /ip6/::1/udp/0/quic-v1"
OTHER_NETWORK = "--prefix /other"
IPFS = "--prefix /ipfs"
CLIENT = "--mode client"
# Who relays, who calls, who is called.
RELAYED = (
    ("us", "go", "go"),
    ("go", "go", "us"),
    ("go", "us", "go"),
    ("us", "us", "go"),
    ("us", "go", "us"),
    ("us", "us", "js"),
    ("us", "js", "us"),
    ("us", "js", "go"),
    ("js", "go", "us"),
    ("js", "us", "go"),
)


def one_socket(dialler, listener):
    """Connections are dialled from the listening port: hole punching will need it."""
    dialler.call("connect", addr=listener.addr)
    observed = dialler.call("identify", peer_id=listener.id)["observed_addr"]
    expect(
        cases.bare(observed) == dialler.listen_addr,
        f"dialled from {observed}, listens on {dialler.listen_addr}",
    )


def no_strangers(peer, foreign):
    """A DHT of another protocol prefix is another network."""
    foreign.call("connect", addr=peer.addr)
    cases.pinged(foreign, peer)
    cases.not_in_table(peer, foreign)
    cases.not_in_table(foreign, peer)


def ipv6(check, dialler, listener):
    if check("handshake", cases.handshake, dialler, listener):
        check("identify by the dialler", cases.identified, dialler, listener)
        check("identify by the listener", cases.identified, listener, dialler)
        check("ping", cases.pinged, dialler, listener)


def packets(check, ours, foreign):
    check("dial to nobody fails", cases.nobody_there, ours)
    check("version negotiation", cases.version_negotiation, ours)
    check("garbage datagrams", cases.garbage_datagrams, ours, foreign)
    check("no value outside the namespaces is put", cases.bad_value_refused, ours)


def basics(suite, foreign):
    suite.group(f"{foreign} dials us", [foreign, "us"], cases.pair)
    suite.group(f"we dial {foreign}", ["us", foreign], cases.pair)
    suite.group(f"{foreign} dials us, closing", [f"{foreign} {OTHER_NETWORK}", "us"], cases.closing)
    suite.group(f"we dial {foreign}, closing", ["us", f"{foreign} {OTHER_NETWORK}"], cases.closing)
    suite.group(f"{foreign} dials us by IPv6", [f"{foreign} {IPV6}", f"us {IPV6}"], ipv6)
    suite.group(f"we dial {foreign} by IPv6", [f"us {IPV6}", f"{foreign} {IPV6}"], ipv6)


def kademlia(suite, foreign):
    suite.group(f"kad {foreign} joins us", [foreign, "us"], cases.kad_pair)
    suite.group(f"kad we join {foreign}", ["us", foreign], cases.kad_pair)
    if foreign == "go":
        suite.group("kad go joins us under /ipfs", [f"go {IPFS}", f"us {IPFS}"], cases.kad_ipfs)
        suite.group("kad we join go under /ipfs", [f"us {IPFS}", f"go {IPFS}"], cases.kad_ipfs)
    lines = ((foreign, "us", foreign), ("us", foreign, "us"), ("us", foreign, foreign))
    for line in lines:
        suite.group(f"kad {'-'.join(line)}", line, cases.kad_line)
        suite.group(f"find_peer {'-'.join(line)}", line, cases.kad_find_peer)
    for line in ((f"us {CLIENT}", foreign, foreign), (f"{foreign} {CLIENT}", "us", foreign)):
        suite.group(f"kad client {line[0].split()[0]}-{line[1]}", line, cases.kad_client)
    suite.group(
        f"other network {foreign}",
        ["us", f"{foreign} {OTHER_NETWORK}"],
        lambda check, *peers: check("stays a stranger", no_strangers, *peers),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", required=True, help="our peer program")
    parser.add_argument("--go", required=True, help="the go peer program")
    parser.add_argument("--js", required=True, help="the directory of the js peer")
    parser.add_argument("--only", help="run only the groups whose name has this text")
    options = parser.parse_args()

    suite = Suite(
        Programs(
            us=[options.peer],
            go=[options.go],
            js=["node", str(Path(options.js) / "peer.mjs")],
        ),
        options.only,
    )
    for foreign in FOREIGN:
        basics(suite, foreign)
        suite.group(
            f"we dial {foreign} from one socket",
            ["us", foreign],
            lambda check, *peers: check("observed address", one_socket, *peers),
        )
        kademlia(suite, foreign)
    for relay, caller, private in RELAYED:
        suite.group(
            f"relay {relay}, {caller} to {private}",
            [relay, f"{private} {CLIENT}", f"{caller} {CLIENT}"],
            relay_cases.circuit,
        )
    for relay, caller, private in (
        ("us", "us", "us"),
        ("go", "us", "us"),
        ("js", "us", "us"),
        ("us", "us", "go"),
        ("us", "go", "us"),
        ("go", "go", "us"),
    ):
        suite.group(
            f"dcutr by {relay}, {caller} to {private}",
            [relay, f"{private} {CLIENT}", f"{caller} {CLIENT}"],
            relay_cases.direct,
        )
    suite.group("kad go-us-js", ["go", "us", "js"], cases.kad_line)
    suite.group("find_peer go-us-js", ["go", "us", "js"], cases.kad_find_peer)
    suite.group("hostile kad", ["us", "go"], kad_hostile)
    suite.group("refusals", ["us", "go"], cases.refusals)
    suite.group("packets", ["us", "go"], packets)
    suite.group(
        "wrong peer id from js",
        ["js", "us"],
        lambda check, *peers: check("js refuses us", cases.wrong_peer_id, *peers),
    )
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
