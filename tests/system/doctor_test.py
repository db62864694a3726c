#!/usr/bin/env python3
"""plasm doctor: with a worker, with the worker stopped, and where UDP is blocked.

Run: doctor_test.py BUILD_DIR. The part with UDP blocked needs a network namespace and nft; it says
so where it is left out.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest

from worker import Worker

SECONDS_MAX = 90
INSIDE = "PLASM_DOCTOR_NAMESPACE"


def doctor(build, *arguments):
    environment = dict(os.environ)
    environment.pop("PLASM_BOOTSTRAP", None)
    return subprocess.run(
        [os.path.join(build, "bin", "plasm"), "doctor", *arguments],
        capture_output=True, text=True, timeout=SECONDS_MAX, env=environment, check=False)


def examine(build, *arguments):
    """The exit code, and the findings by what they are about (the last one of each)."""
    done = doctor(build, "--json", *arguments)
    report = json.loads(done.stdout)
    assert report["event"] == "doctor", report
    return done.returncode, report, {check["check"]: check for check in report["checks"]}


class Doctor(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def worker(self, *arguments):
        return Worker(BUILD, self.directory.name, "--listen", "/ip4/127.0.0.1/tcp/0", *arguments)

    def test_worker_there(self):
        with self.worker() as worker:
            code, report, found = examine(BUILD, worker.address)
            self.assertEqual(code, 0, report)
            self.assertTrue(report["healthy"])
            self.assertEqual(found["udp"]["status"], "ok")
            self.assertIn(worker.address, found["udp"]["text"])
            self.assertEqual(found["dht"]["status"], "ok", report)
            self.assertEqual(found["nat"]["status"], "ok", report)
            for name in ("clock", "firewall", "router", "worker", "mdns", "autonat", "relay"):
                self.assertIn(name, found)
            text = doctor(BUILD, worker.address)
            self.assertEqual(text.returncode, 0)
            self.assertIn("All that matters works.", text.stdout)

    def test_worker_stopped(self):
        with self.worker() as worker:
            address = worker.address
        code, report, found = examine(BUILD, address)
        self.assertEqual(code, 1, report)
        self.assertFalse(report["healthy"])
        self.assertEqual(found["udp"]["status"], "problem")
        self.assertIn("systemctl status plasmd", found["udp"]["next"])
        self.assertIn("does not work", doctor(BUILD, address).stdout)

    def test_no_node(self):
        code, report, found = examine(BUILD)
        self.assertIn("bootstrap", found)
        if found["mdns"]["status"] != "ok":
            self.assertEqual(code, 1, report)

    @unittest.skipUnless(os.environ.get(INSIDE), "no network namespace to block UDP in")
    def test_udp_blocked(self):
        port = 4001
        with Worker(BUILD, self.directory.name, "--listen", f"/ip4/127.0.0.1/udp/{port}/quic-v1",
                    "--listen", f"/ip4/127.0.0.1/tcp/{port}") as worker:
            node = f"/ip4/127.0.0.1/udp/{port}/quic-v1/p2p/{worker.peer_id}"
            rules = f"table inet doctor {{\n chain input {{\n  type filter hook input priority 0;\n" \
                    f"  udp dport {port} drop\n  udp sport {port} drop\n }}\n}}\n"
            subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
            try:
                _, report, found = examine(BUILD, node)
            finally:
                subprocess.run(["nft", "delete", "table", "inet", "doctor"], check=True)
            self.assertEqual(found["tcp"]["status"], "ok", report)
            self.assertEqual(found["udp"]["status"], "warning", report)
            self.assertIn("UDP is blocked", found["udp"]["text"])


def enter_namespace():
    if os.environ.get(INSIDE) is not None:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=False)
        return
    command = ["unshare", "--net", "--user", "--map-root-user"]
    probe = subprocess.run([*command, "nft", "list", "ruleset"], capture_output=True, check=False)
    if probe.returncode == 0:
        os.environ[INSIDE] = "1"
        os.execvp(command[0], [*command, sys.executable, "-B", *sys.argv])
    print("SKIP: UDP blocked: no network namespace with nftables here")


if __name__ == "__main__":
    enter_namespace()
    BUILD = sys.argv.pop(1)
    unittest.main(verbosity=2)
