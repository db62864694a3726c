"""The subtests that any two implementations must pass together. Each function here is the body of
a group (driver.Suite.group): it takes `check` and the peers it was started with.
"""

import hashlib
import os
import socket

from driver import Failure, expect
from kadwire import peer_id_of_ed25519

ECHO_PROTOCOL = "/phase/interop/echo/1.0.0"
PING_PROTOCOL = "/ipfs/ping/1.0.0"
IDENTIFY_PROTOCOL = "/ipfs/id/1.0.0"
PUSH_PROTOCOL = "/ipfs/id/push/1.0.0"

ECHO_BYTES = 1 << 20
BULK_BYTES = 64 << 20
STREAMS = 300  # more than the 256 that go and rust let a peer have open: credit must come back
STREAMS_PARALLEL = 30
PINGS = 20
PING_MICROSECONDS_MAX = 1_000_000

# The peer id of the public key in RFC 8032, 7.1, test 1: no peer here has it.
UNUSED_PEER_ID = peer_id_of_ed25519(
    bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
)

# Ends with a flaw that must be refused; the table in README.md says what each is.
BAD_KINDS = (
    "no_extension",
    "garbage_extension",
    "extension_twice",
    "unknown_critical",
    "expired_certificate",
    "not_yet_valid",
    "bad_signature",
    "bad_self_signature",
    "two_certificates",
    "no_client_certificate",
    "wrong_alpn",
    "no_alpn",
)
GOOD_KINDS = ("good", "good_among_several_alpns", "good_retry")
SERVER_ONLY = ("good_retry",)
CLIENT_ONLY = ("no_client_certificate",)

# Where another implementation is known to be laxer than libp2p's TLS specification asks.
ACCEPTED_BY = {"go-libp2p": ("bad_self_signature",)}

CRYPTO_ERRORS = range(0x100, 0x200)  # RFC 9000, 20.1
NO_APPLICATION_PROTOCOL = 0x178  # RFC 9001, 8.1
ODD_ALPN_CODE = {"go-libp2p": 0x150}


def fresh(text):
    """A tag or key nobody used before."""
    return f"{text}:{os.urandom(8).hex()}"


def bare(addr):
    """A multiaddr without a final /p2p."""
    return addr.split("/p2p/", 1)[0]


def connection(peer, other):
    """peer's connections to other, as `peers` lists them."""
    return [entry for entry in peer.call("peers")["peers"] if entry["peer_id"] == other.id]


# -- two peers, one connection ---------------------------------------------------------------------


def secured(peer, other, entry):
    """A TCP connection has the secure channel that one of the two was limited to, and Yamux."""
    wanted = [p.argv[p.argv.index("--security") + 1] for p in (peer, other) if "--security" in p.argv]
    if wanted and "security" in entry:
        found = entry["security"]
        expect(found.split("/")[1] == wanted[0], f"{peer.name} speaks {found}, not {wanted[0]}")
        expect(entry["muxer"] == "/yamux/1.0.0", f"{peer.name} has the muxer {entry['muxer']!r}")


def handshake(dialler, listener):
    answer = dialler.call("connect", addr=listener.addr)
    expect(answer["peer_id"] == listener.id, f"connected to {answer['peer_id']}")
    out = connection(dialler, listener)
    expect(len(out) == 1 and out[0]["direction"] == "outbound", f"the dialler's side is {out}")
    expect(bare(out[0]["addr"]) == listener.listen_addr, f"the dialler's side is {out}")
    listener.until(
        "peers",
        lambda a: [e["direction"] for e in a["peers"] if e["peer_id"] == dialler.id] == ["inbound"],
        "does not list the dialler once, as inbound",
    )
    secured(dialler, listener, out[0])
    secured(listener, dialler, connection(listener, dialler)[0])


def identified(asker, answerer):
    """asker asks for identify and everything in it is as it should be."""
    info = asker.call("identify", peer_id=answerer.id)
    expect(info["peer_id"] == answerer.id, f"peer_id is {info['peer_id']}")
    expect(info["agent_version"] != "", "no agent version")
    expect(info["public_key_matches"] is True, "the public key is not the peer's")
    wanted = [IDENTIFY_PROTOCOL, PUSH_PROTOCOL, PING_PROTOCOL, ECHO_PROTOCOL]
    if answerer.hello["mode"] == "server":
        wanted.append(answerer.hello["kad_protocol"])
    else:
        served = answerer.hello["kad_protocol"] in info["protocols"]
        expect(not served, "a DHT client serves the DHT")
    missing = [protocol for protocol in wanted if protocol not in info["protocols"]]
    expect(not missing, f"identify lacks {missing}: {info['protocols']}")
    for key in ("listen_addrs", "signed_addrs"):
        addrs = [bare(addr) for addr in info[key]]
        expect(answerer.listen_addr in addrs, f"{answerer.listen_addr} is not in {key}: {addrs}")
    expect(
        info["signed_peer_record"] == "valid",
        f"signed peer record: {info['signed_peer_record']} {info.get('signed_peer_record_error')}",
    )
    seen = [bare(entry["addr"]) for entry in connection(answerer, asker)]
    expect(
        bare(info["observed_addr"]) in seen,
        f"observed address {info['observed_addr']}, but the connection is from {seen}",
    )
    kept = asker.call("known", peer_id=answerer.id)
    expect(kept["signed_record"] is True, "the asker's own identify took no signed peer record")
    expect(kept["agent_version"] == info["agent_version"], f"the stack kept {kept}")


def pinged(asker, answerer):
    rtts = asker.call("ping", peer_id=answerer.id, count=PINGS)["rtts_us"]
    expect(len(rtts) == PINGS, f"{len(rtts)} of {PINGS} round trips")
    expect(all(0 < rtt < PING_MICROSECONDS_MAX for rtt in rtts), f"round trips in µs: {rtts}")
    return f"median {sorted(rtts)[len(rtts) // 2]:.0f} µs"


def echoed(asker, answerer, size, streams=1, parallel=1):
    answer = asker.call(
        "echo", seconds=30, peer_id=answerer.id, size=size, streams=streams, parallel=parallel
    )
    pattern = bytes(i % 251 for i in range(min(size, 251))) * (size // 251 + 1)
    wanted = hashlib.sha256(pattern[:size]).hexdigest()
    expect(answer["sha256"] == wanted, f"{size} bytes came back changed: {answer}")


def measured(asker, answerer):
    answer = asker.call(
        "perf", seconds=60, peer_id=answerer.id, up=BULK_BYTES, down=BULK_BYTES
    )
    up, down = (BULK_BYTES / max(answer[key], 1) for key in ("up_us", "down_us"))
    return f"{up:.0f} MB/s up, {down:.0f} down"


def nothing_measured(asker, answerer):
    asker.call("perf", peer_id=answerer.id, up=0, down=0)
    asker.call("perf", peer_id=answerer.id, up=1, down=0)
    asker.call("perf", peer_id=answerer.id, up=0, down=1)


def many_streams(asker, answerer):
    echoed(asker, answerer, 1000, STREAMS, STREAMS_PARALLEL)


def unknown_protocol_refused(asker, answerer):
    asker.fails("open_stream", peer_id=answerer.id, protocol="/phase/interop/none/1.0.0", hex="00")
    asker.call("ping", peer_id=answerer.id, count=1)


def raw_stream(asker, answerer):
    answer = asker.call("open_stream", peer_id=answerer.id, protocol=ECHO_PROTOCOL, hex="c0ffee")
    expect(answer["hex"] == "c0ffee", f"c0ffee came back as {answer['hex']!r}")


def pushed(pusher, receiver):
    """A protocol that is served from now on becomes known to the other side without its asking."""
    protocol = fresh("/phase/interop/pushed")
    pusher.call("add_protocol", protocol=protocol)
    receiver.until(
        "known",
        lambda answer: protocol in answer["protocols"],
        f"did not learn by identify push that {pusher.name} serves {protocol}",
        peer_id=pusher.id,
    )
    answer = receiver.call("open_stream", peer_id=pusher.id, protocol=protocol, hex="0a")
    expect(answer["hex"] == "0a", f"the new protocol answered {answer['hex']!r}")


def closed(closer, other):
    closer.call("close", peer_id=other.id)
    for peer, gone in ((closer, other), (other, closer)):
        peer.until(
            "peers",
            lambda answer, gone=gone: all(e["peer_id"] != gone.id for e in answer["peers"]),
            f"still lists {gone.name} after the close",
        )


def pair(check, dialler, listener):
    """Everything two connected peers do but the DHT."""
    if not check("handshake", handshake, dialler, listener):
        return
    for asker, answerer in ((dialler, listener), (listener, dialler)):
        who = "dialler" if asker is dialler else "listener"
        check(f"identify, asked by the {who}", identified, asker, answerer)
        check(f"{PINGS} pings by the {who}", pinged, asker, answerer)
        check(f"stream by the {who}", raw_stream, asker, answerer)
        check(f"1 MiB echoed to the {who}", echoed, asker, answerer, ECHO_BYTES)
        check(f"perf with next to nothing by the {who}", nothing_measured, asker, answerer)
        check(f"empty stream by the {who}", echoed, asker, answerer, 0)
        check(f"{STREAMS} streams by the {who}", many_streams, asker, answerer)
        check(f"unknown protocol by the {who}", unknown_protocol_refused, asker, answerer)
        check(f"identify push to the {who}", pushed, answerer, asker)
    # Both ways on one stream; who dials is another group's.
    check("64 MiB echoed, checksummed", echoed, dialler, listener, BULK_BYTES)
    check("perf with 64 MiB each way", measured, dialler, listener)


def closing(check, dialler, listener):
    """Closing, by each side. The two must be in different DHTs: js dials its DHT neighbours again
    as soon as they are gone.
    """
    if check("handshake", handshake, dialler, listener):
        check("closed by the dialler", closed, dialler, listener)
        check("handshake again", handshake, dialler, listener)
        check("closed by the listener", closed, listener, dialler)


# -- Kademlia --------------------------------------------------------------------------------------


def in_table(peer, other):
    peer.until(
        "routing_table",
        lambda answer: other.id in answer["peers"],
        f"does not take {other.name} into its routing table",
    )


def joined(newcomer, member):
    """newcomer dials member and both know each other as far as their modes allow."""
    newcomer.call("connect", addr=member.addr)
    in_table(newcomer, member)
    if newcomer.hello["mode"] == "server":
        in_table(member, newcomer)


def provided(provider, seeker):
    """seeker finds provider under a tag, with the address it listens on."""
    tag = fresh("phase:worker:v1")
    provider.call("provide", seconds=30, key=tag)
    answer = seeker.until(
        "find_providers",
        lambda found: any(p["peer_id"] == provider.id and p["addrs"] for p in found["providers"]),
        f"does not find {provider.name}",
        key=tag,
        count=1,
    )
    addrs = [bare(addr) for addr in answer["providers"][0]["addrs"]]
    expect(provider.listen_addr in addrs, f"{provider.listen_addr} is not in {addrs}")


def nobody_provides(seeker):
    answer = seeker.call("find_providers", key=fresh("phase:nobody"), count=5)
    expect(answer["providers"] == [], f"found providers of nothing: {answer['providers']}")


def found_peer(seeker, sought):
    # Until, since the sought may have just dialled the seeker: go then knows no address of it
    # before identify has ended.
    seeker.until(
        "find_peer",
        lambda answer: sought.listen_addr in [bare(addr) for addr in answer["addrs"]],
        f"does not find {sought.name} at {sought.listen_addr}",
        peer_id=sought.id,
    )
    seeker.call("connect", addr=f"{sought.listen_addr}/p2p/{sought.id}")
    seeker.call("ping", peer_id=sought.id, count=1)


def finds_nobody(seeker):
    seeker.fails("find_peer", peer_id=UNUSED_PEER_ID)


def value_kept(putter, getter):
    key, value = fresh("/interop/value"), fresh("höher")
    putter.call("put_value", seconds=30, key=key, value=value)
    answer = getter.call("get_value", seconds=30, key=key)
    expect(answer["hex"] == value.encode().hex(), f"put {value!r}, got {answer}")


def binary_value_kept(putter, getter):
    key, value = fresh("/interop/binary"), bytes(range(256)).hex()
    putter.call("put_value", seconds=30, key=key, hex=value)
    answer = getter.call("get_value", seconds=30, key=key)
    expect(answer["hex"] == value, f"got {answer['hex']}")


def better_value_wins(first, second, getter):
    """The validator prefers the greater value, also when the lesser one arrives later."""
    key = fresh("/interop/better")
    first.call("put_value", seconds=30, key=key, value="b-better")
    try:
        second.call("put_value", seconds=30, key=key, value="a-lesser")
    except Failure:
        pass  # an implementation may refuse to replace a better value
    answer = getter.call("get_value", seconds=30, key=key)
    expect(answer["value"] == "b-better", f"got {answer['value']!r}")


def bad_value_refused(putter):
    putter.fails("put_value", key="/nowhere/" + fresh("x"), value="x")


def missing_value(getter):
    getter.fails("get_value", key=fresh("/interop/missing"))


def kad_pair(check, dialler, listener):
    """The DHT of two servers that know each other."""
    if not check("routing tables", joined, dialler, listener):
        return
    for one, other in ((dialler, listener), (listener, dialler)):
        who, whom = ("dialler", "listener") if one is dialler else ("listener", "dialler")
        check(f"{who} provides, {whom} finds", provided, one, other)
        check(f"{who} puts a value, {whom} gets it", value_kept, one, other)
        check(f"{who} finds no provider of nothing", nobody_provides, one)
        check(f"{who} gets no value of nothing", missing_value, one)


def kad_ipfs(check, dialler, listener):
    """Under /ipfs, where values are public keys and names only."""
    if not check("routing tables", joined, dialler, listener):
        return
    check("dialler provides, listener finds", provided, dialler, listener)
    check("listener provides, dialler finds", provided, listener, dialler)
    check("a value of another namespace is refused", bad_value_refused, dialler)


def kad_line(check, left, middle, right):
    """left and right know only the middle; what they learn of each other comes through it."""
    if not check("left joins", joined, left, middle):
        return
    if not check("right joins", joined, right, middle):
        return
    # Provider records first: a lookup makes left and right meet.
    check("left provides, right finds", provided, left, right)
    check("right provides, left finds", provided, right, left)
    check("left provides, middle finds", provided, left, middle)
    check("middle provides, right finds", provided, middle, right)
    check("left puts a value, right gets it", value_kept, left, right)
    check("right puts a binary value, left gets it", binary_value_kept, right, left)
    check("the better of two values wins", better_value_wins, left, right, middle)


def kad_find_peer(check, left, middle, right):
    """left and right are strangers; each is found by its id through the middle."""
    if not check("left joins", joined, left, middle):
        return
    if not check("right joins", joined, right, middle):
        return
    check("left finds right and dials it", found_peer, left, right)
    check("middle finds left", found_peer, middle, left)
    check("right finds left and dials it", found_peer, right, left)
    check("left finds nobody", finds_nobody, left)


def not_in_table(peer, other):
    answer = peer.call("routing_table")
    expect(other.id not in answer["peers"], f"{peer.name} took a DHT client into its table")


def kad_client(check, client, middle, seeker):
    """A node in client mode provides and finds, but is no server to anybody."""
    if not check("client joins", joined, client, middle):
        return
    if not check("seeker joins", joined, seeker, middle):
        return
    check("client provides, seeker finds", provided, client, seeker)
    check("seeker provides, client finds", provided, seeker, client)
    check("client puts a value, seeker gets it", value_kept, client, seeker)
    check("identify of the client", identified, middle, client)
    check("client is in no routing table", not_in_table, middle, client)


# -- refusals --------------------------------------------------------------------------------------


def refuses_dial(server, hostile, kind):
    """server refuses what dials it with a flaw (hostile is the go peer)."""
    answer = hostile.call("dial_bad", addr=server.addr, kind=kind)
    implementation = server.hello["implementation"]
    if kind in ACCEPTED_BY.get(implementation, ()):
        return f"{implementation} is known to accept this: ping answered {answer['ping_answered']}"
    expect(answer["ping_answered"] is False, f"{server.name} answered a ping: {answer}")
    expect(answer["refused"] is True, f"{server.name} did not close the connection: {answer}")
    expect(
        answer["close"] == "transport" and answer["code"] in CRYPTO_ERRORS,
        f"closed, but not with a TLS alert: {answer}",
    )
    if "alpn" in kind:
        wanted = ODD_ALPN_CODE.get(implementation, NO_APPLICATION_PROTOCOL)
        expect(answer["code"] == wanted, f"closed with {answer['code']:#x}, not {wanted:#x}")
    return f"code {answer['code']:#x}"


def accepts_dial(server, hostile, kind):
    """The control: the same end without a flaw is taken."""
    answer = hostile.call("dial_bad", addr=server.addr, kind=kind)
    expect(answer["ping_answered"] is True, f"no ping for a faultless end: {answer}")


def refuses_server(dialler, hostile, kind):
    """dialler refuses a server with a flaw."""
    server = hostile.call("serve_bad", kind=kind)
    implementation = dialler.hello["implementation"]
    if kind in ACCEPTED_BY.get(implementation, ()):
        return f"{implementation} is known to accept this"
    error = dialler.fails("connect", addr=server["addr"])
    seen = hostile.until(
        "served",
        lambda answer: answer["attempts"] > 0 and len(answer["closes"]) > 0,
        f"saw no connection from {dialler.name} that was closed",
        server=server["server"],
    )
    expect(seen["handshakes"] == 0, f"{dialler.name} finished the handshake: {seen}")
    if kind != "wrong_alpn":  # there the server itself has to say no
        close = seen["closes"][0]
        expect(
            close["by_peer"] and close["close"] == "transport" and close["code"] in CRYPTO_ERRORS,
            f"{dialler.name} did not close with a TLS alert: {close}",
        )
    gone = dialler.call("peers")["peers"]
    expect(all(e["peer_id"] != server["peer_id"] for e in gone), f"still listed: {gone}")
    return f"code {seen['closes'][0].get('code', 0):#x}; {error.splitlines()[-1].strip()[:100]}"


def accepts_server(dialler, hostile, kind):
    server = hostile.call("serve_bad", kind=kind)
    dialler.call("connect", addr=server["addr"])
    dialler.call("ping", peer_id=server["peer_id"], count=2)
    dialler.call("close", peer_id=server["peer_id"])


def wrong_peer_id(dialler, listener):
    """Right address, another peer's id: no connection may come of it."""
    error = dialler.fails("connect", addr=f"{listener.listen_addr}/p2p/{UNUSED_PEER_ID}")
    ids = [entry["peer_id"] for entry in dialler.call("peers")["peers"]]
    expect(UNUSED_PEER_ID not in ids and listener.id not in ids, f"connected to {ids}")
    listener.until(
        "peers",
        lambda answer: all(entry["peer_id"] != dialler.id for entry in answer["peers"]),
        f"keeps a connection from {dialler.name}",
    )
    return error.splitlines()[-1].strip()[:100]


def nobody_there(dialler):
    """A dial to a port where nothing listens fails in its time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    dialler.fails("connect", 10, addr=f"/ip4/127.0.0.1/udp/{port}/quic-v1/p2p/{UNUSED_PEER_ID}")


def version_negotiation(peer):
    """An unknown QUIC version is answered with a list that has version 1 (RFC 9000, 6.1), but
    only where the datagram is big enough for an Initial."""
    _, _, ip, _, port, _ = peer.listen_addr.split("/")
    ids = b"\x08" + b"\x11" * 8 + b"\x08" + b"\x22" * 8
    packet = b"\xc0" + bytes.fromhex("1a2a3a4a") + ids
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
        raw.settimeout(5)
        raw.connect((ip, int(port)))
        raw.send(packet)  # too small: no answer may come
        raw.send(packet.ljust(1200, b"\0"))
        try:
            answer = raw.recv(2048)
        except OSError as error:
            raise Failure(f"{peer.name}: no version negotiation: {error}") from error
        expect(answer[0] & 0x80 and answer[1:5] == bytes(4), f"not that packet: {answer.hex()}")
        expect(
            answer[5:23] == b"\x08" + b"\x22" * 8 + b"\x08" + b"\x11" * 8,
            f"the connection ids are not swapped: {answer.hex()}",
        )
        versions = {answer[i : i + 4] for i in range(23, len(answer) - 3, 4)}
        expect(bytes.fromhex("00000001") in versions, f"versions offered: {versions}")
        raw.settimeout(0.3)
        try:
            raise Failure(f"{peer.name}: a small datagram was answered: {raw.recv(2048).hex()}")
        except TimeoutError:
            pass


def garbage_datagrams(peer, other):
    """Datagrams that are no QUIC do no harm to a connection."""
    _, _, ip, _, port, _ = peer.listen_addr.split("/")
    other.call("connect", addr=peer.addr)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
        for size in (0, 1, 7, 20, 21, 100, 1199, 1200, 1472):
            for first in (0x00, 0x40, 0x80, 0xC0, 0xFF):
                raw.sendto((bytes([first]) + os.urandom(size))[:size], (ip, int(port)))
    other.call("ping", peer_id=peer.id, count=5)
    other.call("close", peer_id=peer.id)


def refusals(check, target, hostile):
    """target as server and as dialler against the ends it must refuse; hostile is the go peer."""
    for kind in GOOD_KINDS:
        if kind not in SERVER_ONLY:
            check(f"server accepts {kind}", accepts_dial, target, hostile, kind)
        check(f"dialler accepts {kind}", accepts_server, target, hostile, kind)
    for kind in BAD_KINDS:
        check(f"server refuses {kind}", refuses_dial, target, hostile, kind)
        if kind not in CLIENT_ONLY:
            check(f"dialler refuses {kind}", refuses_server, target, hostile, kind)
    check("dialler refuses a wrong peer id", wrong_peer_id, target, hostile)
    check("another dialler refuses it with a wrong peer id", wrong_peer_id, hostile, target)
    check("garbage datagrams", garbage_datagrams, target, hostile)
    check("still takes a good peer", accepts_dial, target, hostile, "good")
