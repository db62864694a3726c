#!/usr/bin/env python3
"""Writes messages.txt: DHT messages encoded by Google's protobuf library, not by ours.

The schema is the one of libp2p/specs kad-dht/README.md with the two fields of a record that only
rust-libp2p knows (666 publisher, 777 ttl). Needs the PyPI package protobuf. Run it by hand; the
output is committed:  python3 make_messages.py > messages.txt
"""

import google.protobuf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FIELD = descriptor_pb2.FieldDescriptorProto


def build_schema():
    file = descriptor_pb2.FileDescriptorProto(name="dht.proto", package="dht", syntax="proto3")

    def message(name, fields):
        descriptor = file.message_type.add(name=name)
        for number, field, kind, label, type_name in fields:
            descriptor.field.add(name=field, number=number, type=kind, label=label,
                                 type_name=type_name)

    one, many = FIELD.LABEL_OPTIONAL, FIELD.LABEL_REPEATED
    message("Record", [(1, "key", FIELD.TYPE_BYTES, one, None),
                       (2, "value", FIELD.TYPE_BYTES, one, None),
                       (5, "timeReceived", FIELD.TYPE_STRING, one, None),
                       (666, "publisher", FIELD.TYPE_BYTES, one, None),
                       (777, "ttl", FIELD.TYPE_UINT32, one, None)])
    message("Peer", [(1, "id", FIELD.TYPE_BYTES, one, None),
                     (2, "addrs", FIELD.TYPE_BYTES, many, None),
                     (3, "connection", FIELD.TYPE_INT32, one, None)])
    message("Message", [(1, "type", FIELD.TYPE_INT32, one, None),
                        (10, "clusterLevelRaw", FIELD.TYPE_INT32, one, None),
                        (2, "key", FIELD.TYPE_BYTES, one, None),
                        (3, "record", FIELD.TYPE_MESSAGE, one, ".dht.Record"),
                        (8, "closerPeers", FIELD.TYPE_MESSAGE, many, ".dht.Peer"),
                        (9, "providerPeers", FIELD.TYPE_MESSAGE, many, ".dht.Peer")])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName("dht." + name))
            for name in ("Record", "Peer", "Message")]


Record, Peer, Message = build_schema()
PUT_VALUE, GET_VALUE, ADD_PROVIDER, GET_PROVIDERS, FIND_NODE, PING = range(6)


def peer_id(byte):
    return bytes.fromhex("002408011220") + bytes([byte]) * 32


def quic(ip, port):
    """/ip4/<ip>/udp/<port>/quic-v1 by the multiaddr table's codes 4, 273, 461."""
    return (bytes([4]) + bytes(int(part) for part in ip.split(".")) +
            b"\x91\x02" + port.to_bytes(2, "big") + b"\xcd\x03")


def with_peer(address, peer):
    """…/p2p/<peer>, code 421."""
    return address + b"\xa5\x03" + bytes([len(peer)]) + peer


KEY = bytes([0x12, 0x20]) + bytes(range(32))
A, B = peer_id(0xAA), peer_id(0xBB)
PUBLIC_KEY = A[2:]
PK = b"/pk/" + A

MESSAGES = {
    "find_node_request": Message(type=FIND_NODE, key=A),
    "find_node_answer_go": Message(type=FIND_NODE, closerPeers=[
        Peer(id=A, addrs=[quic("192.0.2.1", 4001), quic("10.0.0.1", 4001)], connection=1),
        Peer(id=B, addrs=[quic("198.51.100.7", 4002)], connection=2)]),
    "find_node_answer_rust": Message(type=FIND_NODE, closerPeers=[
        Peer(id=A, addrs=[with_peer(quic("192.0.2.1", 4001), A)], connection=1),
        Peer(id=B, addrs=[with_peer(quic("198.51.100.7", 4002), B)])]),
    "add_provider": Message(type=ADD_PROVIDER, key=KEY, providerPeers=[
        Peer(id=A, addrs=[quic("192.0.2.1", 4001)], connection=1)]),
    "get_providers_request": Message(type=GET_PROVIDERS, key=KEY),
    "get_providers_answer": Message(
        type=GET_PROVIDERS, key=KEY,
        closerPeers=[Peer(id=B, addrs=[quic("198.51.100.7", 4002)])],
        providerPeers=[Peer(id=A, addrs=[quic("192.0.2.1", 4001)], connection=2)]),
    "put_value": Message(key=PK, record=Record(key=PK, value=PUBLIC_KEY)),
    "get_value_request": Message(type=GET_VALUE, key=PK),
    "get_value_answer_rust": Message(type=GET_VALUE, record=Record(
        key=PK, value=PUBLIC_KEY, publisher=B, ttl=3600, timeReceived="2024-01-01T00:00:00Z")),
    "ping": Message(type=PING, clusterLevelRaw=-1),
}

print(f"# Made by make_messages.py with PyPI protobuf {google.protobuf.__version__}: name, bytes.")
for name, message in MESSAGES.items():
    print(name, message.SerializeToString(deterministic=True).hex())
