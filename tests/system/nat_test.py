"""A client behind one NAT, a worker behind another, a public relay: the job completes, and where the
NATs allow it the two are connected directly before it does.
Usage: nat_test.py BUILD_DIR"""

import os
import sys
import tempfile
import time
import unittest

import netlab
from labworker import LabWorker, run_job, until
from netlab import ADDRESS_RESTRICTED, FULL_CONE, PORT_RESTRICTED, SYMMETRIC, Lab

BUILD = os.path.abspath(sys.argv.pop(1))
STREAMS = os.path.join(BUILD, "wasm-tests", "streams.wasm")
CONES = (FULL_CONE, ADDRESS_RESTRICTED, PORT_RESTRICTED)
RESERVED_SECONDS = 30
SKIPPED = 77


class Nats(unittest.TestCase):
    last = None  # what the latest attempt said

    def job_between(self, client_kind, worker_kind):
        """Runs a job of two seconds from behind one router to behind the other; whether the two
        got a direct connection."""
        with Lab() as lab, tempfile.NamedTemporaryFile("w", suffix=".conf") as settings:
            settings.write("[node]\nrelay_service = on\nmdns = off\n")
            settings.flush()
            internet = lab.switch("internet")
            relay = LabWorker(BUILD, lab.host("relay", internet, "20.1.0.1/8"), "--config",
                              settings.name)
            there = lab.router("there", internet, "20.2.0.1/8", "10.2.0.1/24", nat=worker_kind)
            here = lab.router("here", internet, "20.3.0.1/8", "10.3.0.1/24", nat=client_kind)
            address = next(text for text in relay.addresses if "20.1.0.1/udp" in text)
            worker = LabWorker(
                BUILD, lab.host("worker", there.inside, "10.2.0.2/24", gateway="10.2.0.1"),
                "--mdns", "off", "--bootstrap", address, "--relay", address, "--log-level", "debug")
            client = lab.host("client", here.inside, "10.3.0.2/24", gateway="10.3.0.1")

            def job():
                try:
                    return run_job(BUILD, client, STREAMS, "--bootstrap", address, "--node",
                                   worker.peer_id, "--", "lines", "20", "100")
                except AssertionError as error:
                    self.last = error
                    return None

            begun = time.monotonic()
            output, receipt = until(job, RESERVED_SECONDS,
                                    lambda: f"{self.last}\n{worker.log()}\n{relay.log()}")
            self.assertEqual(len(output.splitlines()), 20)
            self.assertEqual(receipt["worker"], worker.peer_id)
            until(lambda: "dcutr: " in worker.log(), 5, "nobody tried to connect directly")
            worker.stop()
            relay.stop()
            # Not what the worker believes alone: a packet of the client's router came in.
            direct = "connection from 20.3.0.1:" in worker.log()
            self.assertEqual(direct, "connected directly" in worker.log(), worker.log())
            print(f"{client_kind} to {worker_kind}: {'direct' if direct else 'relayed'}, "
                  f"{time.monotonic() - begun:.2f} s")
            return direct

    def test_holes_are_punched(self):
        for client in CONES:
            for worker in CONES:
                with self.subTest(client=client, worker=worker):
                    self.assertTrue(self.job_between(client, worker))

    def test_symmetric_stays_relayed(self):
        self.assertFalse(self.job_between(SYMMETRIC, SYMMETRIC))


if __name__ == "__main__":
    reason = netlab.unavailable()
    if reason is not None:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
