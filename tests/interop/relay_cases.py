"""Subtests on relays: a group takes `check`, the relay, the peer that reserves and the caller."""

from driver import expect

RELAY_HOP = "/libp2p/circuit/relay/0.2.0/hop"
LIMIT_BYTES = 4 << 20
ECHO_BYTES = 200_000


def reserve(relay, private):
    """`private` reserves on `relay`; returns the address it is then reached under."""
    relay.call("serve_relay", size=LIMIT_BYTES)
    private.call("connect", addr=relay.addr)
    private.until(
        "known", lambda known: RELAY_HOP in known["protocols"], "hop listed", peer_id=relay.id
    )
    answer = private.call("reserve", addr=relay.addr)
    addrs = [addr for addr in answer["addrs"] if "/p2p-circuit" in addr]
    expect(addrs, f"no address by the relay in {answer}")
    for addr in addrs:
        expect(f"/p2p/{relay.id}/p2p-circuit/p2p/{private.id}" in addr, f"odd address {addr}")
    if "limit_bytes" in answer:
        expect(answer["limit_bytes"] == LIMIT_BYTES, f"the limit is {answer['limit_bytes']}")
        expect(answer["voucher"], "no voucher")
    return addrs[0]


def reserved_again(relay, private):
    """Refreshing is free of the limits."""
    for _ in range(3):
        private.call("reserve", addr=relay.addr)


def dialled(caller, private, addr):
    answer = caller.call("connect", addr=addr)
    expect(answer["peer_id"] == private.id, f"connected to {answer['peer_id']}")
    found = [entry for entry in caller.call("peers")["peers"] if entry["peer_id"] == private.id]
    expect(len(found) == 1 and "/p2p-circuit" in found[0]["addr"], f"the caller has {found}")


def used(caller, private):
    caller.call("ping", peer_id=private.id, count=3)
    for one, other in ((caller, private), (private, caller)):
        answer = one.call("echo", peer_id=other.id, size=ECHO_BYTES, streams=3, parallel=3)
        expect(answer["size"] == ECHO_BYTES, f"echo answered {answer}")
    answer = caller.call("identify", peer_id=private.id)
    expect(answer["peer_id"] == private.id, f"identify answered {answer}")


def over_the_limit(caller, private):
    """The relay ends a circuit that has carried all it may."""
    caller.fails("echo", peer_id=private.id, size=LIMIT_BYTES + 1)
    caller.until(
        "peers",
        lambda answer: not [
            entry
            for entry in answer["peers"]
            if entry["peer_id"] == private.id and "/p2p-circuit" in entry["addr"]
        ],  # js has dialled directly by then
        "the circuit is gone",
        seconds=40,
    )


def no_reservation(relay, caller, stranger):
    """Nobody reserved for this one: the relay says so."""
    error = caller.fails("connect", addr=f"{relay.addr}/p2p-circuit/p2p/{stranger.id}")
    expect("timed out" not in error, f"slow refusal: {error}")


def circuit(check, relay, private, caller):
    addrs = []
    if not check("reserve", lambda: addrs.append(reserve(relay, private))):
        return
    check("refresh", reserved_again, relay, private)
    check("no reservation", no_reservation, relay, private, caller)
    if check("dial through the relay", dialled, caller, private, addrs[0]):
        check("ping, echo, identify through it", used, caller, private)
        check("limit of bytes", over_the_limit, caller, private)


def upgraded(caller, private):
    """Both ends have a direct connection, and in the end no other."""
    for one, other in ((caller, private), (private, caller)):
        one.until(
            "peers",
            lambda answer, other=other: [
                "/p2p-circuit" in entry["addr"]
                for entry in answer["peers"]
                if entry["peer_id"] == other.id
            ]
            == [False],
            "one direct connection",
            seconds=25,
        )


def direct(check, relay, private, caller):
    """DCUtR: a relayed connection becomes a direct one."""
    addrs = []
    for peer in (private, caller):
        if peer.hello["implementation"] == "go-libp2p":
            peer.call("serve_dcutr")
    if not check("reserve", lambda: addrs.append(reserve(relay, private))):
        return
    if check("dial through the relay", lambda: caller.call("connect", addr=addrs[0])["peer_id"]):
        check("a direct connection comes of it", upgraded, caller, private)
        check("ping, echo, identify on it", used, caller, private)
