"""Kademlia messages by hand: just enough protobuf to send a DHT server what no library would.

Message: type 1, key 2, record 3 {key 1, value 2}, closerPeers 8, providerPeers 9; a peer is
{id 1, addrs 2 (repeated), connection 3}. Spec: libp2p specs, kad-dht, "RPC messages".
"""

PUT_VALUE, GET_VALUE, ADD_PROVIDER, GET_PROVIDERS, FIND_NODE, PING = range(6)

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def uvarint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_uvarint(data, offset):
    number = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, offset


def field(number, value):
    """One protobuf field: an int as varint, bytes with their length."""
    if isinstance(value, int):
        return uvarint(number << 3) + uvarint(value)
    return uvarint(number << 3 | 2) + uvarint(len(value)) + value


def fields(data):
    """The fields of a message: {number: [values]}."""
    found = {}
    offset = 0
    while offset < len(data):
        tag, offset = read_uvarint(data, offset)
        if tag & 7 == 0:
            value, offset = read_uvarint(data, offset)
        elif tag & 7 == 2:
            size, offset = read_uvarint(data, offset)
            value = data[offset : offset + size]
            if len(value) != size:
                raise ValueError("the message is cut off")
            offset += size
        else:
            raise ValueError(f"wire type {tag & 7}")
        found.setdefault(tag >> 3, []).append(value)
    return found


def message(kind, key=b"", record=None, providers=()):
    """One framed message; record is (key, value), a provider is (peer id bytes, [addresses])."""
    body = field(1, kind) + field(10, 1)
    if key:
        body += field(2, key)
    if record is not None:
        body += field(3, field(1, record[0]) + field(2, record[1]))
    for peer, addrs in providers:
        body += field(9, field(1, peer) + b"".join(field(2, addr) for addr in addrs))
    return uvarint(len(body)) + body


def unframe(data):
    """The messages of a stream, each as fields()."""
    messages = []
    offset = 0
    while offset < len(data):
        size, offset = read_uvarint(data, offset)
        if offset + size > len(data):
            raise ValueError("the last message is cut off")
        messages.append(fields(data[offset : offset + size]))
        offset += size
    return messages


def record_value(answer):
    """The value in an answer to GET_VALUE, or None."""
    return fields(answer[3][0]).get(2, [b""])[0] if 3 in answer else None


def peer_ids(answer, number):
    """The ids in the peer list of an answer: 8 is closer peers, 9 is providers."""
    return [fields(peer)[1][0] for peer in answer.get(number, [])]


def peer_id_bytes(text):
    """The bytes of a peer id in base58."""
    number = 0
    for char in text:
        number = number * 58 + BASE58.index(char)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def peer_id_text(data):
    """The base58 text of a peer id's bytes."""
    number = int.from_bytes(data, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def peer_id_of_ed25519(public_key):
    """The peer id that embeds an Ed25519 public key (libp2p specs, peer-ids)."""
    return peer_id_text(b"\x00\x24\x08\x01\x12\x20" + public_key)


def addr_bytes(text):
    """The bytes of an /ip4/A/udp/PORT/quic-v1 multiaddr: codes 4, 273 and 461."""
    _, _, ip, _, port, _ = text.split("/")
    octets = bytes(int(octet) for octet in ip.split("."))
    return b"\x04" + octets + uvarint(273) + int(port).to_bytes(2, "big") + uvarint(461)
