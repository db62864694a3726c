"""What networks do to jobs: UDP is blocked, addresses change. Usage: network_test.py BUILD_DIR"""

import os
import sys
import threading
import time
import unittest

import netlab
from labworker import LabWorker, run_job, until
from netlab import Lab

BUILD = os.path.abspath(sys.argv.pop(1))
SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HELLO = os.path.join(SOURCE, "wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm")
STREAMS = os.path.join(BUILD, "wasm-tests", "streams.wasm")
ANSWER = b"dlroW ,olleH"
# How long the DHT may name an address that is gone.
FOUND_AGAIN_SECONDS = 60
SKIPPED = 77


class Networks(unittest.TestCase):
    last = None  # what the latest attempt said

    def test_udp_is_blocked(self):
        """At the client, then at the worker: the job runs over TCP."""
        with Lab() as lab:
            internet = lab.switch("internet")
            worker_host = lab.host("worker", internet, "20.1.0.1/8")
            worker = LabWorker(BUILD, worker_host, "--mdns", "off")
            client = lab.host("client", internet, "20.2.0.1/8")
            for blocked in (client, worker_host):
                with self.subTest(blocked.name):
                    blocked.block("meta l4proto udp")
                    begun = time.monotonic()
                    output, receipt = run_job(BUILD, client, HELLO, "--bootstrap", "20.1.0.1")
                    print(f"UDP blocked at the {blocked.name}: {time.monotonic() - begun:.2f} s")
                    self.assertEqual(output, ANSWER)
                    self.assertEqual(receipt["worker"], worker.peer_id)
                    blocked.unblock()
            worker.stop()

    def test_the_worker_gets_another_address(self):
        """The DHT finds it there within a minute."""
        with Lab() as lab:
            internet = lab.switch("internet")
            meeting = LabWorker(BUILD, lab.host("meeting", internet, "20.1.0.1/8"), "--mdns", "off")
            bootstrap = ("--mdns", "off", "--bootstrap", "20.1.0.1")
            host = lab.host("worker", internet, "20.2.0.1/8")
            worker = LabWorker(BUILD, host, *bootstrap)
            client = lab.host("client", internet, "20.3.0.1/8")

            def job():
                """On this worker alone, found by its peer id."""
                try:
                    return run_job(BUILD, client, HELLO, "--bootstrap", "20.1.0.1", "--node",
                                   worker.peer_id)
                except AssertionError as error:
                    self.last = error
                    return None

            until(job, 10, lambda: f"the worker should be found: {self.last}")
            host.renumber("20.2.0.77/8")
            begun = time.monotonic()
            output, receipt = until(job, FOUND_AGAIN_SECONDS,
                                    lambda: f"{self.last}\n{worker.log()}\n{meeting.log()}")
            print(f"worker at another address: found after {time.monotonic() - begun:.1f} s")
            self.assertEqual(output, ANSWER)
            self.assertEqual(receipt["worker"], worker.peer_id)
            worker.stop()
            meeting.stop()

    def test_the_client_gets_another_address_while_its_job_runs(self):
        """QUIC goes on from there: nothing is lost and the job ends well."""
        with Lab() as lab:
            internet = lab.switch("internet")
            worker = LabWorker(BUILD, lab.host("worker", internet, "20.1.0.1/8"), "--mdns", "off")
            client = lab.host("client", internet, "20.3.0.1/8")
            timer = threading.Timer(1.0, client.renumber, ("20.3.0.77/8",))
            timer.start()
            begun = time.monotonic()
            output, receipt = run_job(BUILD, client, STREAMS, "--bootstrap", "20.1.0.1",
                                      "--timeout", "20", "--", "lines", "40", "100")
            timer.join()
            print(f"client at another address: a job of 4 s took {time.monotonic() - begun:.1f} s")
            self.assertEqual(receipt["status"], "ok")
            self.assertEqual(len(output.splitlines()), 40)
            worker.stop()


if __name__ == "__main__":
    reason = netlab.unavailable()
    if reason is not None:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
