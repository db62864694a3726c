"""A client finds workers on its local network with no configuration at all (mDNS over veth).
Usage: lan_test.py BUILD_DIR"""

import json
import os
import sys
import time
import unittest

import netlab
from labworker import LabWorker, plasm, run_job, until
from netlab import Lab

BUILD = os.path.abspath(sys.argv.pop(1))
SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HELLO = os.path.join(SOURCE, "wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm")
ANSWER = b"dlroW ,olleH"
SKIPPED = 77


def found(host, *options, home=None):
    """Peer ids that `plasm discover` lists."""
    done = plasm(BUILD, host, "discover", "--json", *options, home=home)
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    nodes = [line["peer_id"] for line in lines if line.get("event") == "node"]
    return sorted(nodes), done


class Lan(unittest.TestCase):
    def test_the_guides_client_finds_its_worker(self):
        with Lab() as lab:
            lan = lab.switch("lan")
            worker = LabWorker(BUILD, lab.host("worker", lan, "192.168.7.1/24"))
            client = lab.host("client", lan, "192.168.7.2/24")
            begun = time.monotonic()
            output, receipt = run_job(BUILD, client, HELLO)
            print(f"job on the local network, nothing configured: "
                  f"{time.monotonic() - begun:.3f} s")
            self.assertEqual(output, ANSWER)
            self.assertEqual(receipt["worker"], worker.peer_id)
            self.assertIn("mdns: announced on 1 local network", worker.log())
            worker.stop()


if __name__ == "__main__":
    reason = netlab.unavailable()
    if reason is not None:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
