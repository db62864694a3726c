"""Phase's own protocol, written from docs/spec/ alone and sharing nothing with the C code.

Canonical JSON, manifests, receipts, receipt files, job frames, capability envelopes, DHT keys. Used
to make and to check the vectors in docs/spec/vectors/.
"""

import base64
import hashlib
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

INTEGER_MAX = 2**53 - 1


class Refused(Exception):
    """What does not hold; the text begins with the field."""


# --- Canonical JSON (docs/spec/canonical-json.md) ---------------------------------------------

SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def canonical_string(text):
    out = []
    for char in text:
        if 0xD800 <= ord(char) <= 0xDFFF:
            raise ValueError("lone surrogate")
        if char in SHORT:
            out.append(SHORT[char])
        elif ord(char) < 0x20:
            out.append("\\u%04x" % ord(char))
        else:
            out.append(char)
    return '"' + "".join(out) + '"'


def canonical_text(value):
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            raise ValueError("integer out of range")
        return str(value)
    if isinstance(value, str):
        return canonical_string(value)
    if isinstance(value, list):
        return "[" + ",".join(canonical_text(item) for item in value) + "]"
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(canonical_string(k) + ":" + canonical_text(value[k]) for k in keys) + "}"
    raise ValueError("no canonical form for %r" % type(value))


def canonical(value):
    return canonical_text(value).encode("utf-8")


def sha256(data):
    return hashlib.sha256(data).digest()


def hash_text(data):
    return "sha256:" + sha256(data).hex()


# --- Keys and peer ids ------------------------------------------------------------------------

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(data):
    number = int.from_bytes(data, "big")
    text = ""
    while number > 0:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + text


def base32(data):
    return base64.b32encode(data).decode().lower().rstrip("=")


def key_protobuf(public_key):
    """libp2p's PublicKey of an Ed25519 key: type 1 in field 1, the 32 bytes in field 2."""
    return b"\x08\x01\x12\x20" + public_key


def peer_id(public_key):
    """The identity multihash of the key's protobuf."""
    encoded = key_protobuf(public_key)
    return b"\x00" + bytes([len(encoded)]) + encoded


class Key:
    """An Ed25519 identity from its seed."""

    def __init__(self, seed):
        self.seed = seed
        self.private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.peer_id = peer_id(self.public)
        self.name = base58(self.peer_id)

    def sign(self, message):
        return self.private.sign(message)


def signature_holds(public_key, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False


# --- Manifests and receipts (docs/spec/job.md, docs/spec/receipt.md) --------------------------

HASH = re.compile(r"sha256:[0-9a-f]{64}\Z")
JOB_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
NONCE = re.compile(r"[0-9a-f]{32}\Z")
NAME = re.compile(r"[A-Za-z0-9._+/-]+\Z")
PROFILES = ("wasip1", "deterministic/1")
STATUSES = ("ok", "exit", "trap", "fuel", "timeout", "memory", "output", "stack", "compile",
            "cancelled", "failed")
COMPARABLE = ("ok", "exit", "trap", "fuel", "output")


def need(condition, field, text):
    if not condition:
        raise Refused(field + " " + text)


def is_integer(value, low=0, high=INTEGER_MAX):
    return type(value) is int and low <= value <= high


def is_text(value, pattern):
    return isinstance(value, str) and pattern.match(value) is not None


def is_name(value, size_max):
    return is_text(value, NAME) and len(value) <= size_max


def check_strings(value, field):
    need(isinstance(value, list) and len(value) <= 1024, field, "is not a list of at most 1024")
    for item in value:
        need(isinstance(item, str) and "\0" not in item, field, "is not a list of strings without NUL")


def check_members(document, required, optional, what):
    need(isinstance(document, dict), what, "is not an object")
    for key in required:
        need(key in document, key, "is missing")
    for key in document:
        need(key in required or key in optional, what, "has the unknown member " + key)


def check_manifest(manifest):
    check_members(manifest, ("arch", "args", "client_nonce", "env", "expires", "fetch_hash", "job_id",
                             "limits", "module_hash", "module_size", "profile", "runtime",
                             "stdin_hash", "type"), ("prev",), "manifest")
    need(manifest["type"] == "phase.job/1", "type", "is not phase.job/1")
    need(manifest["profile"] in PROFILES, "profile", "is not known")
    need(manifest["arch"] == "" or is_name(manifest["arch"], 32), "arch", "is not a name")
    need(manifest["runtime"] == "" or is_name(manifest["runtime"], 64), "runtime", "is not a name")
    check_strings(manifest["args"], "args")
    check_strings(manifest["env"], "env")
    for entry in manifest["env"]:
        need(entry.find("=") > 0, "env", "has an entry that is not NAME=VALUE")
    need(is_text(manifest["client_nonce"], NONCE), "client_nonce", "is not 32 hex digits")
    need(is_integer(manifest["expires"]), "expires", "is not a time")
    need(manifest["fetch_hash"] == "" or is_text(manifest["fetch_hash"], HASH), "fetch_hash",
         "is not a hash")
    need(is_text(manifest["job_id"], JOB_ID), "job_id", "is not a UUID of version 4")
    check_members(manifest["limits"], ("fuel", "memory_bytes", "output_bytes", "wall_ms"), (), "limits")
    for key, low in (("fuel", int(manifest["profile"] == "deterministic/1")), ("memory_bytes", 1),
                     ("output_bytes", 0), ("wall_ms", 1)):
        need(is_integer(manifest["limits"][key], low), "limits." + key, "is out of range")
    for key in ("module_hash", "stdin_hash"):
        need(is_text(manifest[key], HASH), key, "is not a hash")
    need(is_integer(manifest["module_size"]), "module_size", "is out of range")
    if "prev" in manifest:
        check_prev(manifest["prev"], 1)
    need(len(canonical(manifest)) <= 48 * 1024, "manifest", "is too large")


def check_prev(prev, count_min):
    need(isinstance(prev, list) and count_min <= len(prev) <= 16, "prev", "has a wrong length")
    for item in prev:
        need(is_text(item, HASH), "prev", "is not a list of hashes")


def check_receipt(receipt):
    check_members(receipt, ("arch", "client_nonce", "exit_code", "fuel", "input_hash", "job_id",
                            "manifest_hash", "module_hash", "prev", "profile", "result_hash", "runtime",
                            "started_ms", "status", "stderr_hash", "stdout_hash", "type",
                            "wall_time_ms", "wall_time_us", "worker"), (), "receipt")
    need(receipt["type"] == "phase.receipt/1", "type", "is not phase.receipt/1")
    need(receipt["profile"] in PROFILES, "profile", "is not known")
    need(receipt["status"] in STATUSES, "status", "is not known")
    need(is_name(receipt["arch"], 32), "arch", "is not a name")
    need(is_name(receipt["runtime"], 64), "runtime", "is not a name")
    need(is_text(receipt["client_nonce"], NONCE), "client_nonce", "is not 32 hex digits")
    need(is_text(receipt["job_id"], JOB_ID), "job_id", "is not a UUID of version 4")
    for key in ("input_hash", "manifest_hash", "module_hash", "stdout_hash", "stderr_hash"):
        need(is_text(receipt[key], HASH), key, "is not a hash")
    for key in ("fuel", "started_ms", "wall_time_ms", "wall_time_us"):
        need(is_integer(receipt[key]), key, "is out of range")
    need(receipt["wall_time_ms"] == -(-receipt["wall_time_us"] // 1000), "wall_time_us",
         "does not fit wall_time_ms")
    low, high = {"ok": (0, 0), "exit": (1, 2**32 - 1)}.get(receipt["status"], (-1, -1))
    need(is_integer(receipt["exit_code"], low, high), "exit_code", "does not fit the status")
    check_prev(receipt["prev"], 0)
    need((receipt["result_hash"] != "") == comparable(receipt), "result_hash",
         "does not fit profile and status")
    need(receipt["result_hash"] == "" or is_text(receipt["result_hash"], HASH), "result_hash",
         "is not a hash")
    need(isinstance(receipt["worker"], str) and len(receipt["worker"]) == 52, "worker",
         "is not an Ed25519 peer id")


def comparable(receipt):
    return receipt["profile"] == "deterministic/1" and receipt["status"] in COMPARABLE


def question(manifest):
    limits = manifest["limits"]
    return {
        "type": "phase.question/1",
        "args": manifest["args"],
        "env": manifest["env"],
        "input_hash": manifest["stdin_hash"],
        "limits": {key: limits[key] for key in ("fuel", "memory_bytes", "output_bytes")},
        "module_hash": manifest["module_hash"],
        "profile": manifest["profile"],
    }


def result(manifest, receipt):
    answer = {key: receipt[key] for key in ("exit_code", "fuel", "status", "stdout_hash", "stderr_hash")}
    return {**question(manifest), **answer, "type": "phase.result/1"}


def result_hash(manifest, receipt):
    return hash_text(canonical(result(manifest, receipt))) if comparable(receipt) else ""


def summary(receipt):
    return {key: receipt[key] for key in ("job_id", "module_hash", "exit_code", "wall_time_ms")}


def make_receipt(key, manifest, **answer):
    """A receipt of `manifest` as a worker with `key` would make it."""
    receipt = {
        "type": "phase.receipt/1",
        "job_id": manifest["job_id"],
        "manifest_hash": hash_text(canonical(manifest)),
        "module_hash": manifest["module_hash"],
        "input_hash": manifest["stdin_hash"],
        "profile": manifest["profile"],
        "client_nonce": manifest["client_nonce"],
        "prev": manifest.get("prev", []),
        "worker": key.name,
        **answer,
    }
    receipt["wall_time_ms"] = -(-receipt["wall_time_us"] // 1000)
    receipt["result_hash"] = result_hash(manifest, receipt)
    check_receipt(receipt)
    return receipt


def make_file(key, manifest, receipt):
    return {
        "manifest": manifest,
        "receipt": receipt,
        "signature": base64.b64encode(key.sign(canonical(receipt))).decode(),
        "public_key": base64.b64encode(key.public).decode(),
    }


def verify_file(document, expected_key=None, **expected):
    """Returns "verified" or "unpinned", raises Refused."""
    check_members(document, ("manifest", "receipt", "signature", "public_key"), (), "file")
    manifest, receipt = document["manifest"], document["receipt"]
    need(isinstance(receipt, dict) and "type" in receipt, "type", "is missing")
    check_receipt(receipt)
    check_manifest(manifest)
    try:
        signature = base64.b64decode(document["signature"], validate=True)
        public_key = base64.b64decode(document["public_key"], validate=True)
    except (ValueError, TypeError):
        raise Refused("signature is not base64")
    need(len(signature) == 64 and len(public_key) == 32, "signature", "has a wrong length")
    need(base64.b64encode(signature).decode() == document["signature"], "signature", "is not canonical")
    need(base64.b64encode(public_key).decode() == document["public_key"], "public_key",
         "is not canonical")
    for field, value in expected.items():
        need(receipt[field] == value, field, "is not the expected one")
    for field, source in (("job_id", "job_id"), ("client_nonce", "client_nonce"),
                          ("profile", "profile"), ("module_hash", "module_hash"),
                          ("input_hash", "stdin_hash")):
        need(receipt[field] == manifest[source], field, "is not the manifest's")
    for field in ("arch", "runtime"):
        need(manifest[field] in ("", receipt[field]), field, "is not the manifest's")
    need(receipt["manifest_hash"] == hash_text(canonical(manifest)), "manifest_hash",
         "is not the manifest's")
    need(receipt["prev"] == manifest.get("prev", []), "prev", "is not the manifest's")
    need(receipt["result_hash"] == result_hash(manifest, receipt), "result_hash",
         "is not the hash of this result")
    need(expected_key in (None, public_key), "public_key", "is not the expected worker's")
    need(receipt["worker"] == base58(peer_id(public_key)), "worker",
         "is not the peer id of the public key")
    need(signature_holds(public_key, canonical(receipt), signature), "signature",
         "is not this key's over this receipt")
    return "unpinned" if expected_key is None else "verified"


# --- Job frames (docs/spec/job.md, "Frames") --------------------------------------------------


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field_number(number, value):
    return varint(number << 3) + varint(value) if value else b""


def field_bytes(number, value):
    return varint(number << 3 | 2) + varint(len(value)) + value if value else b""


def field_message(number, body):
    return varint(number << 3 | 2) + varint(len(body)) + body


# Message -> its frame number and its fields: (number, name, kind).
LIMITS = (("fuel", 1), ("memory_bytes", 2), ("wall_ms", 3), ("output_bytes", 4), ("module_bytes", 5),
          ("stdin_bytes", 6))
FRAMES = {
    "offer": (1, ((1, "manifest", "bytes"), (2, "want_summary", "number"), (3, "only_fetch", "number"),
                  (4, "stdin_size", "number"), (5, "module", "bytes"), (6, "fetch_secret", "bytes"),
                  (7, "dry_run", "number"))),
    "module": (2, ((1, "data", "bytes"),)),
    "stdin": (3, ((1, "data", "bytes"),)),
    "cancel": (4, ()),
    "accepted": (8, ((1, "queue_position", "number"), (2, "limits", "limits"), (3, "resumed", "number"),
                     (4, "without_output", "number"))),
    "rejected": (9, ((1, "code", "number"), (2, "text", "bytes"), (3, "limit", "bytes"),
                     (4, "limits", "limits"), (5, "retry_after_ms", "number"))),
    "need_module": (10, ()),
    "output": (11, ((1, "seq", "number"), (2, "stream", "number"), (3, "data", "bytes"))),
    "progress": (12, ((1, "state", "number"), (2, "queue_position", "number"),
                      (3, "elapsed_ms", "number"))),
    "finished": (13, ((1, "receipt", "bytes"), (2, "signature", "bytes"), (3, "public_key", "bytes"),
                      (4, "summary_signature", "bytes"), (5, "message", "bytes"))),
    "estimate": (14, ((1, "queue_position", "number"), (2, "limits", "limits"),
                      (3, "module_held", "number"), (4, "price", "number"))),
}


def frame(kind, **fields):
    """One frame with its length."""
    number, known = FRAMES[kind]
    body = b""
    for field, name, form in known:
        value = fields.pop(name, None)
        if value is None:
            continue
        if form == "number":
            body += field_number(field, int(value))
        elif form == "limits":
            body += field_message(field, b"".join(field_number(n, value.get(key, 0))
                                                  for key, n in LIMITS))
        else:
            body += field_bytes(field, value)
    assert not fields, "no such field: %s" % fields
    payload = field_message(number, body)
    return varint(len(payload)) + payload


# --- Envelopes and DHT keys (docs/spec/discovery.md) ------------------------------------------


def envelope_message(domain, payload_type, payload):
    return b"".join(varint(len(part)) + part for part in (domain, payload_type, payload))


def envelope(key, domain, payload_type, payload):
    signature = key.sign(envelope_message(domain, payload_type, payload))
    return (field_bytes(1, key_protobuf(key.public)) + field_bytes(2, payload_type) +
            field_bytes(3, payload) + field_bytes(5, signature))


def multihash(content):
    return b"\x12\x20" + sha256(content)


def cid(content):
    """CIDv1, raw, sha2-256; as text in base32."""
    return "b" + base32(b"\x01\x55" + multihash(content))
