"""Kademlia messages that no library would send, put on the wire of a DHT server by the go peer's
open_stream. A refusal may be an empty answer or a stream reset; what counts is what is kept.
"""

import os

import kadwire
from driver import CommandFailed, expect

MESSAGE_BYTES_MAX = 16 << 10  # of Kademlia messages here (rust-libp2p has the same)


def tag_multihash():
    """A provider key nobody used: the sha2-256 multihash 0x12 0x20 …."""
    return b"\x12\x20" + os.urandom(32)


def ask(hostile, server, data):
    """Sends raw bytes on one Kademlia stream; returns the answers, or None after a reset."""
    try:
        answer = hostile.call(
            "open_stream",
            peer_id=server.id,
            protocol=server.hello["kad_protocol"],
            hex=data.hex(),
        )
    except CommandFailed:
        return None
    return kadwire.unframe(bytes.fromhex(answer["hex"]))


def answers(hostile, server, data, count):
    got = ask(hostile, server, data)
    expect(got is not None, "the stream was reset")
    expect(len(got) == count, f"{len(got)} answers to {count} requests")
    return got


def alive(hostile, server):
    """The server still answers on the same connection."""
    hostile.call("ping", peer_id=server.id, count=1)
    request = kadwire.message(kadwire.FIND_NODE, os.urandom(32))
    answer = answers(hostile, server, request, 1)[0]
    expect(answer.get(1) == [kadwire.FIND_NODE], f"FIND_NODE was answered by {answer}")


def find_node(hostile, server):
    own = kadwire.peer_id_bytes(server.id)
    answer = answers(hostile, server, kadwire.message(kadwire.FIND_NODE, own), 1)[0]
    expect(answer.get(1) == [kadwire.FIND_NODE], f"answered by {answer}")


def several_requests(hostile, server):
    """Requests on one stream are answered in their order."""
    keys = [tag_multihash() for _ in range(3)]
    data = b"".join(kadwire.message(kadwire.GET_PROVIDERS, key) for key in keys)
    data += kadwire.message(kadwire.FIND_NODE, keys[0])
    kinds = [answer.get(1) for answer in answers(hostile, server, data, 4)]
    expect(
        kinds == [[kadwire.GET_PROVIDERS]] * 3 + [[kadwire.FIND_NODE]],
        f"answers of the types {kinds}",
    )


def put(hostile, server, key, record):
    ask(hostile, server, kadwire.message(kadwire.PUT_VALUE, key, record))


def stored(hostile, server, key):
    got = ask(hostile, server, kadwire.message(kadwire.GET_VALUE, key))
    return None if not got else kadwire.record_value(got[0])


def put_value(hostile, server):
    key = b"/interop/" + os.urandom(8).hex().encode()
    request = kadwire.message(kadwire.PUT_VALUE, key, (key, b"kept"))
    answer = answers(hostile, server, request, 1)[0]
    # Type 0 is protobuf's default and need not be written.
    expect(1 not in answer or answer[1] == [kadwire.PUT_VALUE], f"not an echo: {answer}")
    expect(kadwire.record_value(answer) == b"kept", f"PUT_VALUE was not echoed: {answer}")
    expect(stored(hostile, server, key) == b"kept", "the value was not kept")


def put_refused_value(hostile, server):
    key = b"/interop/" + os.urandom(8).hex().encode()
    put(hostile, server, key, (key, b"refuse: this"))
    expect(stored(hostile, server, key) is None, "kept what its validator refuses")


def put_other_namespace(hostile, server):
    key = b"/elsewhere/" + os.urandom(8).hex().encode()
    put(hostile, server, key, (key, b"value"))
    expect(stored(hostile, server, key) is None, "kept a value that no validator knows")


def put_other_key(hostile, server):
    """The record's key is not the message's: it must not be found under either."""
    key = b"/interop/" + os.urandom(8).hex().encode()
    other = b"/interop/" + os.urandom(8).hex().encode()
    put(hostile, server, key, (other, b"value"))
    expect(stored(hostile, server, key) is None, "kept a record of another key")


def put_lesser_value(hostile, server):
    """A value that the validator finds worse does not replace a better one."""
    key = b"/interop/" + os.urandom(8).hex().encode()
    put(hostile, server, key, (key, b"b-better"))
    put(hostile, server, key, (key, b"a-lesser"))
    expect(stored(hostile, server, key) == b"b-better", "a worse value replaced a better one")


def providers_of(hostile, server, key):
    got = answers(hostile, server, kadwire.message(kadwire.GET_PROVIDERS, key), 1)[0]
    return kadwire.peer_ids(got, 9)


def add_provider(hostile, server):
    """The sender itself, with an address: kept and given out. ADD_PROVIDER has no answer."""
    key = tag_multihash()
    own = kadwire.peer_id_bytes(hostile.id)
    provider = (own, [kadwire.addr_bytes(hostile.listen_addr)])
    got = ask(hostile, server, kadwire.message(kadwire.ADD_PROVIDER, key, providers=[provider]))
    expect(not got, f"ADD_PROVIDER was answered: {got}")
    expect(own in providers_of(hostile, server, key), "the provider was not kept")


def add_provider_for_another(hostile, server):
    key = tag_multihash()
    other = b"\x00\x24\x08\x01\x12\x20" + os.urandom(32)
    provider = (other, [kadwire.addr_bytes(hostile.listen_addr)])
    ask(hostile, server, kadwire.message(kadwire.ADD_PROVIDER, key, providers=[provider]))
    expect(other not in providers_of(hostile, server, key), "kept a record for somebody else")


HARMFUL = {
    "GET_PROVIDERS without key": kadwire.message(kadwire.GET_PROVIDERS),
    "FIND_NODE without key": kadwire.message(kadwire.FIND_NODE),
    "PUT_VALUE without record": kadwire.message(kadwire.PUT_VALUE, b"/interop/x"),
    "ADD_PROVIDER without provider": kadwire.message(kadwire.ADD_PROVIDER, b"\x12\x20" + bytes(32)),
    "an unknown message type": kadwire.message(77, b"key"),
    "PING": kadwire.message(kadwire.PING),
    "an empty message": b"\x00",
    "an empty stream": b"",
    "a length alone": kadwire.uvarint(100),
    "a message cut off": kadwire.message(kadwire.FIND_NODE, b"k" * 32)[:-5],
    "a length of 1 GiB": kadwire.uvarint(1 << 30) + b"x" * 100,
    "a length of 70 bits": b"\xff" * 10 + b"\x01",
    "a message over the limit": kadwire.message(kadwire.FIND_NODE, b"k" * MESSAGE_BYTES_MAX * 300),
    "no protobuf": kadwire.uvarint(64) + b"\xff" * 64,
    "a provider without id": kadwire.message(
        kadwire.ADD_PROVIDER, b"\x12\x20" + bytes(32), providers=[(b"", [b"\xff\xff"])]
    ),
}


def harmless(hostile, server, data):
    ask(hostile, server, data)
    alive(hostile, server)


def connected(hostile, server):
    hostile.call("connect", addr=server.addr)
    alive(hostile, server)


def kad_hostile(check, server, hostile):
    """The body of a group: server is a DHT server; hostile is the go peer."""
    if not check("connect", connected, hostile, server):
        return
    check("FIND_NODE for the server's own id", find_node, hostile, server)
    check("several requests on one stream", several_requests, hostile, server)
    check("PUT_VALUE is echoed and kept", put_value, hostile, server)
    check("PUT_VALUE the validator refuses", put_refused_value, hostile, server)
    check("PUT_VALUE in an unknown namespace", put_other_namespace, hostile, server)
    check("PUT_VALUE with another record key", put_other_key, hostile, server)
    check("PUT_VALUE of a worse value", put_lesser_value, hostile, server)
    check("ADD_PROVIDER by the provider", add_provider, hostile, server)
    check("ADD_PROVIDER for somebody else", add_provider_for_another, hostile, server)
    for name, data in HARMFUL.items():
        check(f"survives {name}", harmless, hostile, server, data)
