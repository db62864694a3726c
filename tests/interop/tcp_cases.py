"""The subtests over TCP: what two implementations do with Noise or TLS and Yamux, and what they must
refuse. Each function with `check` is the body of a group (driver.Suite.group).
"""

import os
import socket

import cases
from driver import expect

TCP4 = "--listen /ip4/127.0.0.1/tcp/0"
TCP6 = "--listen /ip6/::1/tcp/0"
SECURITIES = ("noise", "tls")

GOOD_KINDS = {"noise": ("good", "good_early_muxer"), "tls": ("good",)}
BAD_KINDS = {
    "noise": (
        "bad_signature",
        "foreign_signature",
        "no_signature",
        "no_key",
        "empty_payload",
        "garbage_payload",
        "garbage_message",
        "wrong_muxer",
        "wrong_security",
    ),
    "tls": (
        "no_extension",
        "garbage_extension",
        "unknown_critical",
        "expired_certificate",
        "bad_signature",
        "bad_self_signature",
        "two_certificates",
        "no_client_certificate",
        "wrong_muxer",
    ),
}


def pair(check, dialler, listener):
    """Everything two connected peers do but the DHT; bulk on streams of the dialler, both ways."""
    if not check("handshake", cases.handshake, dialler, listener):
        return
    for asker, answerer in ((dialler, listener), (listener, dialler)):
        who = "dialler" if asker is dialler else "listener"
        check(f"identify, asked by the {who}", cases.identified, asker, answerer)
        check(f"{cases.PINGS} pings by the {who}", cases.pinged, asker, answerer)
        check(f"stream by the {who}", cases.raw_stream, asker, answerer)
        check(f"1 MiB echoed to the {who}", cases.echoed, asker, answerer, cases.ECHO_BYTES)
        check(f"empty stream by the {who}", cases.echoed, asker, answerer, 0)
        check(f"{cases.STREAMS} streams by the {who}", cases.many_streams, asker, answerer)
        check(f"unknown protocol by the {who}", cases.unknown_protocol_refused, asker, answerer)
    check("64 MiB echoed, checksummed", cases.echoed, dialler, listener, cases.BULK_BYTES)
    check("perf with 64 MiB each way", cases.measured, dialler, listener)
    check("identify push", cases.pushed, listener, dialler)
    if check("closed by the dialler", cases.closed, dialler, listener):
        check("handshake again", cases.handshake, dialler, listener)
        check("closed by the listener", cases.closed, listener, dialler)


def meeting(check, dialler, listener):
    """A short visit."""
    if check("handshake", cases.handshake, dialler, listener):
        check("identify by the dialler", cases.identified, dialler, listener)
        check("identify by the listener", cases.identified, listener, dialler)
        check("pings by the dialler", cases.pinged, dialler, listener)
        check("pings by the listener", cases.pinged, listener, dialler)
        check("1 MiB echoed", cases.echoed, dialler, listener, cases.ECHO_BYTES)


def kad(check, dialler, listener):
    """Either finds the other as a provider, at its TCP address."""
    if check("routing tables", cases.joined, dialler, listener):
        check("dialler provides, listener finds", cases.provided, dialler, listener)
        check("listener provides, dialler finds", cases.provided, listener, dialler)


# -- refusals --------------------------------------------------------------------------------------


def accepts_dial(server, hostile, security, kind):
    """The control: an end without a flaw is taken."""
    answer = hostile.call("dial_bad_tcp", addr=server.addr, security=security, kind=kind)
    expect(answer["ping_answered"] is True, f"no ping for a faultless end: {answer}")


def refuses_dial(server, hostile, security, kind):
    """server refuses what dials it with a flaw (hostile is the go peer)."""
    answer = hostile.call("dial_bad_tcp", addr=server.addr, security=security, kind=kind)
    if kind in cases.ACCEPTED_BY.get(server.hello["implementation"], ()):
        return f"known to accept this: ping answered {answer['ping_answered']}"
    expect(answer["ping_answered"] is False, f"{server.name} answered a ping: {answer}")
    expect(answer["refused"] is True, f"{server.name} did not refuse: {answer}")
    listed = server.call("peers")["peers"]
    expect(listed == [], f"{server.name} lists {listed}")
    return answer["reason"]


def accepts_server(dialler, hostile, security, kind):
    server = hostile.call("serve_bad_tcp", security=security, kind=kind)
    dialler.call("connect", addr=server["addr"])
    dialler.call("ping", peer_id=server["peer_id"], count=2)
    dialler.call("close", peer_id=server["peer_id"])


def refuses_server(dialler, hostile, security, kind):
    """dialler refuses a server with a flaw, and ends the connection."""
    if kind in cases.ACCEPTED_BY.get(dialler.hello["implementation"], ()):
        return "known to accept this"
    server = hostile.call("serve_bad_tcp", security=security, kind=kind)
    error = dialler.fails("connect", addr=server["addr"])
    seen = hostile.until(
        "served_tcp",
        lambda answer: answer["attempts"] > 0 and answer["closes"] == answer["attempts"],
        f"saw no connection from {dialler.name} that was closed",
        server=server["server"],
    )
    expect(seen["handshakes"] == 0, f"{dialler.name} finished the handshake: {seen}")
    listed = dialler.call("peers")["peers"]
    expect(all(e["peer_id"] != server["peer_id"] for e in listed), f"still listed: {listed}")
    return error.splitlines()[-1].strip()[:100]


def nobody_there(dialler):
    """A port where nobody listens: TCP says so at once."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        dialler.fails("connect", 3, addr=f"/ip4/127.0.0.1/tcp/{port}/p2p/{cases.UNUSED_PEER_ID}")


def garbage(peer, other):
    """Connections that speak no libp2p are ended and do no harm to another."""
    _, _, ip, _, port = peer.listen_addr.split("/")
    other.call("connect", addr=peer.addr)
    texts = (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"\xff" * 64,
        b"\x13/multistream/1.0.0\n\x07/noise\n\xff\xff" + os.urandom(200),
        b"\x13/multistream/1.0.0\n\x07/noise\n\x00\x00",
        b"\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n" + os.urandom(200),
    )
    for text in texts:
        with socket.create_connection((ip, int(port)), timeout=5) as raw:
            raw.sendall(text)
            raw.shutdown(socket.SHUT_WR)
            raw.settimeout(12)
            try:
                while raw.recv(4096):
                    pass
            except ConnectionResetError:
                pass
            except TimeoutError:
                expect(False, f"{peer.name} keeps a connection that began with {text[:24]!r}")
    other.call("ping", peer_id=peer.id, count=5)
    other.call("close", peer_id=peer.id)


def refusals(check, securities, target, hostile):
    """target as server and as dialler against the ends it must refuse; hostile is the go peer."""
    for security in securities:
        for kind in GOOD_KINDS[security]:
            check(f"server accepts {security}, {kind}", accepts_dial, target, hostile, security, kind)
            check(
                f"dialler accepts {security}, {kind}", accepts_server, target, hostile, security, kind
            )
        for kind in BAD_KINDS[security]:
            check(f"server refuses {security}, {kind}", refuses_dial, target, hostile, security, kind)
            if kind not in cases.CLIENT_ONLY:
                check(
                    f"dialler refuses {security}, {kind}",
                    refuses_server,
                    target,
                    hostile,
                    security,
                    kind,
                )
    check("dialler refuses a wrong peer id", cases.wrong_peer_id, target, hostile)
    check("another dialler refuses it with a wrong peer id", cases.wrong_peer_id, hostile, target)
    check("dial to nobody fails at once", nobody_there, target)
    check("garbage", garbage, target, hostile)
    check("still takes a good peer", accepts_dial, target, hostile, securities[0], "good")
