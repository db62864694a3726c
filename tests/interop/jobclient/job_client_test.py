#!/usr/bin/env python3
"""The job client that was written from docs/spec alone, against a real worker: it knows one address,
finds the worker through the DHT, runs hello on it and checks capability and receipt.

Run: job_client_test.py --peer PROGRAM --plasmd PROGRAM --js DIRECTORY --spec DIRECTORY --module FILE
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from driver import Failure, Programs, Suite, expect

WORKER_START_SECONDS = 20
WORKER_STOP_SECONDS = 15
CLIENT_SECONDS = 60
# More than an offer carries, so that the worker has to ask for the module.
MODULE_IN_OFFER_BYTES = 12288
PADDING_BYTES = 100_000


class Worker:
    """A plasmd without privileges, its state in a directory of its own."""

    def __init__(self, program, directory, bootstrap):
        self.addresses = directory / "addresses"
        self.log = directory / "log"
        self.process = subprocess.Popen(
            [
                *(program, "--listen", "/ip4/127.0.0.1/udp/0/quic-v1", "--bootstrap", bootstrap),
                *("--state-dir", str(directory / "state"), "--print-addresses", str(self.addresses)),
            ],
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
        )

    def text(self):
        return self.log.read_text(errors="replace")

    def wait(self):
        """Waits until it listens and is in the DHT."""
        deadline = time.monotonic() + WORKER_START_SECONDS
        while not (self.addresses.exists() and "bootstrap done" in self.text()):
            expect(
                self.process.poll() is None and time.monotonic() < deadline,
                f"the worker does not come into the DHT:\n{self.text()}",
            )
            time.sleep(0.02)
        self.id = self.addresses.read_text().split()[0].rsplit("/p2p/", 1)[1]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=WORKER_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        expect(
            self.process.returncode == 0,
            f"plasmd ended with {self.process.returncode}:\n{self.text()}",
        )


def padded(module):
    """The module with a custom section behind it that no runtime looks at."""
    body = b"\x07padding" + bytes(PADDING_BYTES)
    size, length = len(body), bytearray()
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return module + b"\x00" + bytes(length) + body


def reversed_text(text):
    """What hello answers: the characters in reverse, a final newline stays last."""
    body = text.removesuffix("\n")
    return body[::-1] + text[len(body) :]


def run_client(options, directory, bootstrap, worker, module, text):
    module_file, stdin_file = directory / "module.wasm", directory / "stdin"
    module_file.write_bytes(module)
    stdin_file.write_text(text)
    client = [str(Path(options.js) / "jobclient.mjs"), bootstrap.addr, options.spec]
    try:
        result = subprocess.run(
            ["node", *client, str(module_file), str(stdin_file)],
            capture_output=True,
            timeout=CLIENT_SECONDS,
            text=True,
        )
    except subprocess.TimeoutExpired as expired:
        raise Failure(f"the client does not end: {expired.stderr}\n{worker.text()}") from expired
    expect(result.returncode == 0, f"the client failed:\n{result.stderr}\n{worker.text()}")
    answer = json.loads(result.stdout)
    expect(answer["worker"] == worker.id, f"found {answer['worker']}, not {worker.id}")
    expect(answer["stdout"] == reversed_text(text), f"hello answered {answer['stdout'][:200]!r}")
    receipt = answer["receipt"]
    expect(receipt["status"] == "ok" and receipt["exit_code"] == 0, f"the receipt: {receipt}")
    return f"{receipt['wall_time_us']} µs in the sandbox"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("peer", "plasmd", "js", "spec", "module"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    module = Path(options.module).read_bytes()
    expect(len(module) <= MODULE_IN_OFFER_BYTES, f"{options.module} does not fit an offer")

    def body(check, bootstrap):
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            worker = Worker(options.plasmd, directory, bootstrap.addr)
            if check("worker starts", worker.wait):
                for label, code, text in (
                    ("hello, module in the offer", module, "Hello, World\n"),
                    ("the same module again, held by the worker", module, "Grüße ☃\n"),
                    ("module asked for, much input", padded(module), "0123456789\t" * 20_000),
                ):
                    check(label, run_client, options, directory, bootstrap, worker, code, text)
            check("worker stops", worker.stop)

    suite = Suite(Programs(us=[options.peer]))
    suite.group("job client", ["us"], body)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
