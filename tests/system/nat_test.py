"""A client behind one NAT, a worker behind another, a public relay: the job completes.
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
SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HELLO = os.path.join(SOURCE, "wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm")
ANSWER = b"dlroW ,olleH"
RESERVED_SECONDS = 30
SKIPPED = 77


class Nats(unittest.TestCase):
    last = None  # what the latest attempt said

    def job_between(self, client_kind, worker_kind):
        """A job from behind one router to behind the other."""
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
                    return run_job(BUILD, client, HELLO, "--bootstrap", address, "--node",
                                   worker.peer_id)
                except AssertionError as error:
                    self.last = error
                    return None

            begun = time.monotonic()
            output, receipt = until(job, RESERVED_SECONDS,
                                    lambda: f"{self.last}\n{worker.log()}\n{relay.log()}")
            print(f"{client_kind} to {worker_kind}: {time.monotonic() - begun:.2f} s")
            self.assertEqual(output, ANSWER)
            self.assertEqual(receipt["worker"], worker.peer_id)
            worker.stop()
            relay.stop()

    def test_jobs_from_nat_to_nat(self):
        for client, worker in ((SYMMETRIC, SYMMETRIC), (FULL_CONE, FULL_CONE),
                               (FULL_CONE, ADDRESS_RESTRICTED), (ADDRESS_RESTRICTED, FULL_CONE),
                               (PORT_RESTRICTED, PORT_RESTRICTED)):
            with self.subTest(client=client, worker=worker):
                self.job_between(client, worker)


if __name__ == "__main__":
    reason = netlab.unavailable()
    if reason is not None:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
