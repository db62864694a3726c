#!/usr/bin/env python3
"""Makes and checks docs/spec/vectors/.

    vectors.py generate DIRECTORY    writes the files
    vectors.py check DIRECTORY       compares every byte, and tries what must be refused
"""

import base64
import copy
import json
import os
import re
import sys

import phase

WORKER = phase.Key(bytes(range(0, 32)))
OTHER = phase.Key(bytes(range(32, 64)))
SECRET = bytes(range(64, 96))
# The smallest WebAssembly module, and one that is too large for an offer.
MODULE = b"\0asm\1\0\0\0"
INPUT = "Hello, World\n".encode()
OUTPUT = "dlroW ,olleH\n".encode()
NOTHING = phase.hash_text(b"")

HELLO = {
    "type": "phase.job/1",
    "job_id": "550e8400-e29b-41d4-a716-446655440000",
    "module_hash": phase.hash_text(MODULE),
    "module_size": len(MODULE),
    "args": [],
    "env": [],
    "stdin_hash": phase.hash_text(INPUT),
    "limits": {"fuel": 0, "memory_bytes": 134217728, "wall_ms": 30000, "output_bytes": 1048576},
    "profile": "wasip1",
    "arch": "",
    "runtime": "",
    "client_nonce": "000102030405060708090a0b0c0d0e0f",
    "fetch_hash": phase.hash_text(SECRET),
    "expires": 1767225600,
}

HELLO_RECEIPT = phase.make_receipt(
    WORKER, HELLO, status="ok", exit_code=0, fuel=0, wall_time_us=234567, runtime="wasmtime-48",
    arch="x86_64", started_ms=1767225000123, stdout_hash=phase.hash_text(OUTPUT), stderr_hash=NOTHING)

# Every escape, characters of one to four bytes, two neighbours that escaping must not confuse.
STRANGE = ["", "plain", "\"\\/\b\f\n\r\t", "\x01\x1f\x7f", "é€😀", "\u2028<&>", "a=b"]

DETERMINISTIC = {
    **HELLO,
    "job_id": "7d444840-9dc0-41d1-b245-5ffdce74fad2",
    "args": STRANGE,
    "env": ["LANG=C.UTF-8", "EMPTY=", "QUOTED=\"x\"\n", "A=1=2"],
    "limits": {"fuel": 1000000000, "memory_bytes": 67108864, "wall_ms": 10000, "output_bytes": 65536},
    "profile": "deterministic/1",
    "arch": "x86_64",
    "runtime": "wasmtime-48",
    "client_nonce": "ffeeddccbbaa99887766554433221100",
    "fetch_hash": "",
    "prev": [phase.hash_text(phase.canonical(HELLO_RECEIPT))],
}

DETERMINISTIC_RECEIPT = phase.make_receipt(
    WORKER, DETERMINISTIC, status="exit", exit_code=7, fuel=123456789, wall_time_us=1000,
    runtime="wasmtime-48", arch="x86_64", started_ms=1767225001000,
    stdout_hash=phase.hash_text(OUTPUT), stderr_hash=phase.hash_text(b"warning\n"))

TIMEOUT_RECEIPT = phase.make_receipt(
    WORKER, HELLO, status="timeout", exit_code=-1, fuel=0, wall_time_us=30000001,
    runtime="wasmtime-48", arch="x86_64", started_ms=1767225000123, stdout_hash=NOTHING,
    stderr_hash=NOTHING)

CASES = [("hello", HELLO, HELLO_RECEIPT), ("deterministic", DETERMINISTIC, DETERMINISTIC_RECEIPT),
         ("timeout", HELLO, TIMEOUT_RECEIPT)]

CAPABILITY = {
    "type": "phase.capability/1",
    "worker": WORKER.name,
    "arch": "x86_64",
    "runtime": "wasmtime-48",
    "profiles": ["wasip1", "deterministic/1"],
    "fuel_max": 0,
    "memory_bytes_max": 134217728,
    "wall_ms_max": 30000,
    "output_bytes_max": 1048576,
    "module_bytes_max": 16777216,
    "stdin_bytes_max": 16777216,
    "free_slots": 4,
    "price": 0,
    "addresses": ["/ip4/192.0.2.7/udp/4001/quic-v1", "/ip6/2001:db8::7/udp/4001/quic-v1"],
    "seq": 1767225000000,
    "expires": 1767225900,
}


def b64(data):
    return base64.b64encode(data).decode()


def keys():
    return {name: {"seed": key.seed.hex(), "public_key": b64(key.public),
                   "public_key_hex": key.public.hex(), "peer_id": key.name,
                   "peer_id_hex": key.peer_id.hex()}
            for name, key in (("worker", WORKER), ("other", OTHER))}


def changed(document, **changes):
    document = copy.deepcopy(document)
    for key, value in changes.items():
        target = document
        *path, last = key.split("__")
        for step in path:
            target = target[step]
        if value is None:
            del target[last]
        else:
            target[last] = value
    return document


def refused_manifests():
    upper = HELLO["module_hash"].upper().replace("SHA256", "sha256")
    good = phase.canonical(HELLO).decode()
    yield "unknown member", phase.canonical(changed(HELLO, zone="eu")).decode()
    yield "unknown member in limits", phase.canonical(changed(HELLO, limits__gpu=1)).decode()
    for key in sorted(HELLO):
        yield "without " + key, phase.canonical(changed(HELLO, **{key: None})).decode()
    for name, changes in (
            ("type of another version", {"type": "phase.job/2"}),
            ("job id of version 1", {"job_id": "550e8400-e29b-11d4-a716-446655440000"}),
            ("job id of another variant", {"job_id": "550e8400-e29b-41d4-c716-446655440000"}),
            ("job id in upper case", {"job_id": "550E8400-E29B-41D4-A716-446655440000"}),
            ("hash in upper case", {"module_hash": upper}),
            ("hash without prefix", {"module_hash": "0" * 71}),
            ("empty stdin hash", {"stdin_hash": ""}),
            ("NUL in an argument", {"args": ["a\0b"]}),
            ("environment without =", {"env": ["PATH"]}),
            ("environment without a name", {"env": ["=x"]}),
            ("too many arguments", {"args": [""] * 1025}),
            ("negative fuel", {"limits__fuel": -1}),
            ("no memory", {"limits__memory_bytes": 0}),
            ("no time", {"limits__wall_ms": 0}),
            ("unknown profile", {"profile": "wasip2"}),
            ("deterministic without fuel", {"profile": "deterministic/1"}),
            ("architecture with a space", {"arch": "x86 64"}),
            ("nonce too short", {"client_nonce": "00"}),
            ("empty prev", {"prev": []}),
            ("too many prev", {"prev": [NOTHING] * 17}),
            ("number as a string", {"module_size": "8"}),
            ("boolean as a number", {"expires": True})):
        yield name, phase.canonical(changed(HELLO, **changes)).decode()
    yield "over 48 KiB", phase.canonical(changed(HELLO, args=["x" * 48 * 1024])).decode()
    yield "not sorted", json.dumps(HELLO, separators=(",", ":"))
    yield "white space", good.replace(",", ", ", 1)
    yield "a newline at the end", good + "\n"
    yield "twice the same key", good.replace('"type":', '"type":"phase.job/1","type":', 1)
    yield "integer over 2^53-1", good.replace(":8,", ":9007199254740992,")
    yield "leading zero", good.replace(":8,", ":08,")
    yield "minus zero", good.replace(":0,", ":-0,")
    yield "real number", good.replace(":8,", ":8.0,")
    yield "exponent", good.replace(":8,", ":8e0,")
    yield "needless escape", good.replace('"wasip1"', '"\\u0077asip1"')
    yield "lone surrogate", good.replace('"args":[]', '"args":["\\ud800"]')
    yield "escaped slash", good.replace('"args":[]', '"args":["\\/"]')
    yield "long escape of a newline", good.replace('"args":[]', '"args":["\\u000a"]')
    yield "escape in upper case", good.replace('"args":[]', '"args":["\\u001F"]')
    yield "raw control character", good.replace('"args":[]', '"args":["\x01"]')
    yield "comma before the end", good.replace('"args":[]', '"args":["x",]')
    yield "null", "null"
    yield "nothing", ""
    yield "truncated", good[:-1]


def manifests():
    valid = [{"name": name, "canonical": phase.canonical(manifest).decode(),
              "hash": phase.hash_text(phase.canonical(manifest)),
              "question_hash": phase.hash_text(phase.canonical(phase.question(manifest)))}
             for name, manifest in (("hello", HELLO), ("deterministic", DETERMINISTIC))]
    return {"valid": valid,
            "refused": [{"name": name, "json": text} for name, text in refused_manifests()]}


def receipts():
    valid = []
    for name, manifest, receipt in CASES:
        text = phase.canonical(receipt)
        short = phase.canonical(phase.summary(receipt))
        question = phase.result(manifest, receipt)
        valid.append({"name": name, "manifest": phase.canonical(manifest).decode(),
                      "canonical": text.decode(), "hash": phase.hash_text(text),
                      "signature": b64(WORKER.sign(text)),
                      "result": phase.canonical(question).decode() if receipt["result_hash"] else "",
                      "result_hash": receipt["result_hash"],
                      "summary": short.decode(), "summary_signature": b64(WORKER.sign(short))})
    good = HELLO_RECEIPT
    refused = [{"name": "without " + key, "json": phase.canonical(changed(good, **{key: None})).decode()}
               for key in sorted(good)]
    for name, changes in (
            ("only the four keys", {key: None for key in good if key not in phase.summary(good)}),
            ("unknown member", {"zone": "eu"}), ("another type", {"type": "phase.result/1"}),
            ("unknown status", {"status": "fine"}), ("exit code with ok", {"exit_code": 1}),
            ("exit without a code", {"status": "exit"}),
            ("exit code over 32 bits", {"status": "exit", "exit_code": 2**32}),
            ("exit code with timeout", {"status": "timeout"}),
            ("wall time rounded down", {"wall_time_ms": 234}), ("negative fuel", {"fuel": -1}),
            ("result hash without a comparable result", {"result_hash": NOTHING}),
            ("empty runtime", {"runtime": ""}), ("worker in hex", {"worker": WORKER.public.hex()}),
            ("hash in upper case", {"stdout_hash": NOTHING.upper()})):
        refused.append({"name": name, "json": phase.canonical(changed(good, **changes)).decode()})
    return {"public_key": b64(WORKER.public), "valid": valid, "refused": refused}


def refused_files():
    good = phase.make_file(WORKER, HELLO, HELLO_RECEIPT)
    yield "another node's key", changed(good, public_key=b64(OTHER.public)), "worker"
    theirs = phase.make_file(OTHER, HELLO, HELLO_RECEIPT)
    yield "signed and shown by another node", theirs, "worker"
    yield ("another node's receipt, which holds",
           phase.make_file(OTHER, HELLO, changed(HELLO_RECEIPT, worker=OTHER.name)), "public_key")
    yield ("another job's receipt",
           changed(good, receipt=DETERMINISTIC_RECEIPT,
                   signature=b64(WORKER.sign(phase.canonical(DETERMINISTIC_RECEIPT)))), "job_id")
    yield "another job's manifest", changed(good, manifest=DETERMINISTIC), "job_id"
    yield ("another question under the same job id", changed(good, manifest__args=["x"]),
           "manifest_hash")
    short = phase.summary(HELLO_RECEIPT)
    yield ("the signed summary as a receipt",
           changed(good, receipt=short, signature=b64(WORKER.sign(phase.canonical(short)))), "type")
    wrong = changed(DETERMINISTIC_RECEIPT, result_hash=NOTHING)
    yield ("a signed lie about the result", phase.make_file(WORKER, DETERMINISTIC, wrong), "result_hash")
    yield "an inclusion proof", changed(good, inclusion={"root": "", "index": 0, "path": []}), "inclusion"
    yield "an unknown member", changed(good, note="x"), "file"
    yield "a signature that is cut", changed(good, signature=good["signature"][:-4]), "signature"
    yield "a signature of another form", changed(good, signature=good["signature"].rstrip("=")), "signature"


def files():
    return {"worker": WORKER.name,
            "valid": [{"name": name, "file": phase.make_file(WORKER, manifest, receipt)}
                      for name, manifest, receipt in CASES],
            "refused": [{"name": name, "file": document, "field": field}
                        for name, document, field in refused_files()]}


def capability():
    domain, kind = b"phase-capability", b"/phase/capability/1"
    payload = phase.canonical(CAPABILITY)
    sealed = phase.envelope(WORKER, domain, kind, payload)
    lie = phase.canonical(changed(CAPABILITY, worker=OTHER.name))
    refused = {
        "another worker's name": phase.envelope(WORKER, domain, kind, lie),
        "another domain": phase.envelope(WORKER, b"libp2p-peer-record", kind, payload),
        "another payload type": phase.envelope(WORKER, domain, b"/phase/capability/2", payload),
        "another type": phase.envelope(WORKER, domain, kind,
                                       phase.canonical(changed(CAPABILITY, type="phase.capability/2"))),
        "slots that are no power of two": phase.envelope(
            WORKER, domain, kind, phase.canonical(changed(CAPABILITY, free_slots=3))),
        "too long a life": phase.envelope(
            WORKER, domain, kind, phase.canonical(changed(CAPABILITY, expires=1767230000))),
    }
    return {"now": 1767225000, "domain": domain.decode(), "payload_type": kind.decode(),
            "payload": payload.decode(),
            "message": phase.envelope_message(domain, kind, payload).hex(), "envelope": sealed.hex(),
            "stream": (phase.varint(len(sealed)) + sealed).hex(),
            "refused": [{"name": name, "envelope": data.hex()} for name, data in refused.items()]}


def discovery():
    tags = ["phase:worker:v1", "phase:arch:x86_64", "phase:arch:aarch64", "phase:runtime:wasmtime-48",
            "phase:worker:v1:" + phase.sha256(WORKER.peer_id).hex()[0]]
    return {"worker": WORKER.name,
            "tags": [{"tag": tag, "cid": phase.cid(tag.encode()),
                      "key": phase.multihash(tag.encode()).hex()} for tag in tags]}


def frames():
    hello = phase.canonical(HELLO)
    receipt = phase.canonical(HELLO_RECEIPT)
    limits = {"fuel": 5000, "memory_bytes": 1048576, "wall_ms": 1000, "output_bytes": 4096}
    bounds = {**limits, "module_bytes": 16777216, "stdin_bytes": 8388608}
    signed = {"receipt": receipt, "signature": WORKER.sign(receipt), "public_key": WORKER.public}
    short = WORKER.sign(phase.canonical(phase.summary(HELLO_RECEIPT)))
    valid = [
        ("offer", {"manifest": hello, "stdin_size": 13}),
        ("offer", {"manifest": hello, "stdin_size": 13, "module": MODULE, "want_summary": True}),
        ("offer", {"manifest": hello, "only_fetch": True, "fetch_secret": SECRET}),
        ("offer", {"manifest": hello, "only_fetch": True, "stdin_size": 13, "dry_run": True}),
        ("module", {"data": MODULE}),
        ("stdin", {"data": INPUT}),
        ("cancel", {}),
        ("accepted", {}),
        ("accepted", {"queue_position": 3, "limits": limits}),
        ("accepted", {"resumed": True, "without_output": True}),
        ("rejected", {"code": 3, "text": b"memory_bytes is over the worker's limit",
                      "limit": b"memory_bytes", "limits": bounds}),
        ("rejected", {"code": 4, "text": "zu viele Aufträge".encode(), "retry_after_ms": 1500}),
        ("need_module", {}),
        ("output", {"stream": 1, "data": OUTPUT}),
        ("output", {"seq": 300, "stream": 2, "data": b"warning\n"}),
        ("progress", {"state": 1, "queue_position": 12}),
        ("progress", {"state": 3, "elapsed_ms": 1000}),
        ("estimate", {}),
        ("estimate", {"queue_position": 3, "module_held": True, "price": 5,
                      "limits": {"memory_bytes": 65536, "wall_ms": 1, "output_bytes": 7}}),
        ("finished", signed),
        ("finished", {**signed, "summary_signature": short, "message": b"unreachable executed"}),
    ]
    f = phase.frame
    body = phase.field_message
    refused = {
        "empty": b"",
        "no body": b"\x18\x01",
        "unknown body": body(5, b""),
        "two bodies": body(4, b"") + body(10, b""),
        "body of another wire type": b"\x20\x01",
        "body cut short": body(4, b"")[:-1] + b"\x05",
        "offer without a manifest": body(1, phase.field_number(4, 1)),
        "offer with its manifest twice": body(1, phase.field_bytes(1, hello) * 2),
        "manifest over 48 KiB": body(1, phase.field_bytes(1, b"x" * 49153)),
        "module over 12 KiB in an offer": body(1, phase.field_bytes(1, hello) +
                                               phase.field_bytes(5, b"x" * 12289)),
        "fetch secret of 31 bytes": body(1, phase.field_bytes(1, hello) +
                                         phase.field_bytes(6, SECRET[:31])),
        "a bool of 2": body(1, phase.field_bytes(1, hello) + phase.field_number(2, 2)),
        "number over 2^53-1": body(1, phase.field_bytes(1, hello) + phase.field_number(4, 2**53)),
        "empty module chunk": body(2, b""),
        "empty stdin chunk": body(3, phase.field_message(1, b"")),
        "rejected without a code": body(9, b""),
        "rejected with bad UTF-8": body(9, phase.field_number(1, 1) + phase.field_bytes(2, b"\xff")),
        "text over 1 KiB": body(9, phase.field_number(1, 1) + phase.field_bytes(2, b"x" * 1025)),
        "output without a stream": body(11, phase.field_bytes(3, b"x")),
        "output of stream 3": body(11, phase.field_number(2, 3) + phase.field_bytes(3, b"x")),
        "output without data": body(11, phase.field_number(2, 1)),
        "progress of state 4": body(12, phase.field_number(1, 4)),
        "finished without a signature": body(13, phase.field_bytes(1, receipt) +
                                             phase.field_bytes(3, WORKER.public)),
        "finished with a short key": body(13, phase.field_bytes(1, receipt) + phase.field_bytes(
            2, signed["signature"]) + phase.field_bytes(3, WORKER.public[:31])),
        "finished with an inclusion proof": body(
            13, phase.field_bytes(1, receipt) + phase.field_bytes(2, signed["signature"]) +
            phase.field_bytes(3, WORKER.public) + phase.field_bytes(6, b"x")),
    }
    tolerated = {
        "unknown field in a body": body(8, phase.field_number(1, 3) + phase.field_number(99, 7)),
        "zero written out": body(8, b"\x08\x00"),
        "varint with needless bytes": body(8, b"\x08\x83\x00"),
    }
    return {"valid": [{"type": kind, "fields": {name: shown(value) for name, value in fields.items()},
                       "hex": f(kind, **fields).hex()} for kind, fields in valid],
            "refused": [{"name": name, "payload": data.hex()} for name, data in refused.items()],
            "tolerated": [{"name": name, "payload": data.hex()} for name, data in tolerated.items()]}


def shown(value):
    return value.hex() if isinstance(value, bytes) else value


def conversations():
    f = phase.frame
    hello = phase.canonical(HELLO)
    receipt = phase.canonical(HELLO_RECEIPT)
    done = f("finished", receipt=receipt, signature=WORKER.sign(receipt), public_key=WORKER.public)
    summed = f("finished", receipt=receipt, signature=WORKER.sign(receipt), public_key=WORKER.public,
               summary_signature=WORKER.sign(phase.canonical(phase.summary(HELLO_RECEIPT))))
    stdin = f("stdin", data=INPUT)
    output = f("output", stream=1, data=OUTPUT)
    large = phase.canonical({**HELLO, "module_hash": phase.hash_text(large_module()),
                             "module_size": len(large_module())})
    large_receipt = phase.make_receipt(
        WORKER, json.loads(large), status="ok", exit_code=0, fuel=0, wall_time_us=1, arch="x86_64",
        runtime="wasmtime-48", started_ms=1767225000123, stdout_hash=phase.hash_text(OUTPUT),
        stderr_hash=NOTHING)
    large_text = phase.canonical(large_receipt)
    large_done = f("finished", receipt=large_text, signature=WORKER.sign(large_text),
                   public_key=WORKER.public)
    chunk = 65504
    return {
        "hello": [("client", f("offer", manifest=hello, stdin_size=13, module=MODULE) + stdin),
                  ("worker", f("accepted") + output + done)],
        "hello_summary": [
            ("client", f("offer", manifest=hello, want_summary=True, stdin_size=13, module=MODULE) + stdin),
            ("worker", f("accepted") + output + summed)],
        "large_module": [
            ("client", f("offer", manifest=large, stdin_size=13) + stdin),
            ("worker", f("need_module")),
            ("client", b"".join(f("module", data=large_module()[at:at + chunk])
                                for at in range(0, len(large_module()), chunk))),
            ("worker", f("accepted") + f("progress", state=2) + output + large_done)],
        "rejected": [("client", f("offer", manifest=hello, stdin_size=13, module=MODULE) + stdin),
                     ("worker", f("rejected", code=4, text=b"the queue is full", retry_after_ms=250))],
        "fetched": [("client", f("offer", manifest=hello, only_fetch=True, fetch_secret=SECRET)),
                    ("worker", f("accepted", resumed=True, without_output=True) + done)],
        "explained": [("client", f("offer", manifest=hello, only_fetch=True, stdin_size=13, dry_run=True)),
                      ("worker", f("estimate", queue_position=2, module_held=True, price=5))],
        "cancelled": [("client", f("offer", manifest=hello, stdin_size=13, module=MODULE) + stdin),
                      ("worker", f("accepted", queue_position=2)),
                      ("client", f("cancel")),
                      ("worker", cancelled_frame())],
    }


def large_module():
    """70,000 bytes in a pattern: two chunks."""
    return MODULE + bytes((i * 7 + (i >> 8)) & 255 for i in range(70000 - len(MODULE)))


def cancelled_frame():
    receipt = phase.make_receipt(
        WORKER, HELLO, status="cancelled", exit_code=-1, fuel=0, wall_time_us=0, runtime="wasmtime-48",
        arch="x86_64", started_ms=1767225000123, stdout_hash=NOTHING, stderr_hash=NOTHING)
    text = phase.canonical(receipt)
    return phase.frame("finished", receipt=text, signature=WORKER.sign(text), public_key=WORKER.public)


FILES = {
    "keys.json": keys,
    "manifests.json": manifests,
    "receipts.json": receipts,
    "receipt-files.json": files,
    "capability.json": capability,
    "discovery.json": discovery,
    "frames.json": frames,
    "conversations.json": lambda: {
        "module": MODULE.hex(), "stdin": INPUT.hex(), "stdout": OUTPUT.hex(), "fetch_secret": SECRET.hex(),
        "conversations": [{"name": name, "steps": [{"from": who, "hex": data.hex()} for who, data in steps]}
                          for name, steps in conversations().items()]},
    "hello.receipt.json": lambda: phase.make_file(WORKER, HELLO, HELLO_RECEIPT),
}


def text_of(make):
    return json.dumps(make(), indent=1, ensure_ascii=True, sort_keys=False) + "\n"


def generate(directory):
    for name, make in FILES.items():
        with open(os.path.join(directory, name), "w", encoding="ascii") as file:
            file.write(text_of(make))


def must_refuse(document, what, key=WORKER.public):
    try:
        phase.verify_file(document, key)
    except (phase.Refused, ValueError):
        return
    sys.exit("not refused: " + what)


def leaves(node, path=()):
    """Every string and integer of a document, with its path."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, path + (key,))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from leaves(value, path + (index,))
    else:
        yield path, node


def with_leaf(document, path, value):
    document = copy.deepcopy(document)
    target = document
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return document


def flips(value):
    """The value with one byte flipped, at every byte; integers by one."""
    if isinstance(value, str):
        for at, char in enumerate(value):
            yield value[:at] + chr(ord(char) ^ 1) + value[at + 1:]
    else:
        yield value + 1
        yield value ^ 1


def check_pages(directory):
    """Every hash, key and CID that the pages beside the vectors show is one of the vectors'."""
    known = "".join(text_of(make) for make in FILES.values()) + NOTHING
    pages = os.path.dirname(os.path.abspath(directory))
    count = 0
    for name in sorted(os.listdir(pages)):
        if not name.endswith(".md"):
            continue
        text = open(os.path.join(pages, name), encoding="utf-8").read()
        for value in re.findall(r"sha256:[0-9a-f]{64}|\b1220[0-9a-f]{64}|\bbafk[a-z2-7]{50,}|12D3KooW\w{44}|"
                                r"[A-Za-z0-9+/]{86}==", text):
            if value not in known:
                sys.exit("%s shows %s, which is in no vector" % (name, value))
            count += 1
    return count


def check(directory):
    stale = [name for name, make in FILES.items()
             if open(os.path.join(directory, name), encoding="ascii").read() != text_of(make)]
    if stale:
        sys.exit("differ from what this implementation makes: " + ", ".join(stale))
    for name, text in refused_manifests():
        try:
            manifest = json.loads(text)
            phase.check_manifest(manifest)
            if phase.canonical(manifest) == text.encode():
                sys.exit("not refused: manifest " + name)
        except (phase.Refused, ValueError):
            pass
    for case in receipts()["refused"]:
        try:
            phase.check_receipt(json.loads(case["json"]))
            sys.exit("not refused: receipt " + case["name"])
        except phase.Refused:
            pass
    for name, document, _ in refused_files():
        must_refuse(document, name)
    count = 0
    for name, manifest, receipt in CASES:
        document = phase.make_file(WORKER, manifest, receipt)
        assert phase.verify_file(document, WORKER.public) == "verified"
        assert phase.verify_file(document) == "unpinned"
        must_refuse(document, "under another key", OTHER.public)
        for path, value in leaves(document):
            for flipped in flips(value):
                must_refuse(with_leaf(document, path, flipped), "%s with %s changed" % (name, path))
                count += 1
    print("%d files are as made here, %d changed bytes refused, %d values shown in the pages are right" %
          (len(FILES), count, check_pages(directory)))


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("generate", "check"):
        sys.exit(__doc__)
    {"generate": generate, "check": check}[sys.argv[1]](sys.argv[2])


if __name__ == "__main__":
    main()
