"""Stopping a worker that has jobs: nothing that was accepted goes without its receipt. And reading its
configuration again. Usage: drain_test.py BUILD_DIR"""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from worker import Worker, plasm

BUILD = os.path.abspath(sys.argv.pop(1))
SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HELLO = os.path.join(SOURCE, "wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm")
LIMITS = os.path.join(BUILD, "wasm-tests", "limits.wasm")
STREAMS = os.path.join(BUILD, "wasm-tests", "streams.wasm")
RUN_FAILED = 125
WAIT_SECONDS_MAX = 60


class Job:
    """`plasm run` in the background, with its receipt."""

    def __init__(self, worker, name, module, *arguments, flags=()):
        self.worker = worker
        self.receipt_path = os.path.join(worker.directory, name + ".json")
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "bin", "plasm"), "run", module, "--node", worker.address,
             "--state-dir", "", "--receipt", self.receipt_path, *flags, "--", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def wait(self):
        """(exit code, output, error output, verified receipt)"""
        out, error = self.process.communicate(timeout=WAIT_SECONDS_MAX)
        code, said, complaint = plasm(BUILD, "verify", self.receipt_path, "--key",
                                      self.worker.peer_id)
        if code != 0:
            raise AssertionError(f"plasm verify: {said!r} {complaint} after {error!r}")
        with open(self.receipt_path, encoding="utf-8") as file:
            return self.process.returncode, out, error.decode(), json.load(file)["receipt"]


class Drain(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.directory.cleanup()

    def worker(self, text=""):
        path = os.path.join(self.directory.name, "plasmd.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return Worker(BUILD, self.directory.name, "--config", path, "--mdns", "off")

    def wait_log(self, worker, text, count=1):
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while worker.log().count(text) < count:
            if time.monotonic() > deadline:
                self.fail(f"the log never said {text!r}:\n{worker.log()[-3000:]}")
            time.sleep(0.01)

    def test_a_running_job_ends_in_peace(self):
        with self.worker() as worker:
            job = Job(worker, "job", STREAMS, "lines", "10", "300")
            self.assertEqual(job.process.stdout.readline(), b"line 0\n")
            worker.process.terminate()
            self.wait_log(worker, "Draining: 1 running")
            code, _, error = plasm(BUILD, "run", HELLO, "--node", worker.address)
            self.assertEqual(code, RUN_FAILED)
            self.assertIn("draining", error)
            code, out, error, receipt = job.wait()
            self.assertEqual((code, out.count(b"line"), receipt["status"]), (0, 9, "ok"), error)
            self.assertEqual(worker.process.wait(WAIT_SECONDS_MAX), 0)

    def test_over_the_time_and_in_the_queue(self):
        with self.worker("[jobs]\nrunning = 1\ndrain_timeout_ms = 500\n") as worker:
            running = Job(worker, "running", LIMITS, "loop")
            self.wait_log(worker, "Executing WASM module")
            waiting = Job(worker, "waiting", HELLO)
            self.wait_log(worker, "Accepting job", 2)
            worker.process.terminate()
            code, _, error, receipt = waiting.wait()
            self.assertEqual((code, receipt["status"]), (RUN_FAILED, "failed"))
            self.assertIn("before the job ran", error)
            code, _, error, receipt = running.wait()
            self.assertEqual((code, receipt["status"]), (RUN_FAILED, "failed"))
            self.assertIn("stopped while the job ran", error)
            self.assertGreater(receipt["wall_time_ms"], 0)
            self.assertEqual(worker.process.wait(WAIT_SECONDS_MAX), 0)

    def test_asked_twice_is_at_once(self):
        with self.worker() as worker:
            job = Job(worker, "job", LIMITS, "loop")
            self.wait_log(worker, "Executing WASM module")
            worker.process.terminate()
            self.wait_log(worker, "Draining")
            worker.process.terminate()
            begun = time.monotonic()
            self.assertEqual(worker.process.wait(WAIT_SECONDS_MAX), 0)
            self.assertLess(time.monotonic() - begun, 15)
            code, _, error, receipt = job.wait()
            self.assertEqual((code, receipt["status"]), (RUN_FAILED, "failed"), error)

    def configure(self, text):
        with open(os.path.join(self.directory.name, "plasmd.conf"), "w", encoding="utf-8") as file:
            file.write(text)

    def hup(self, worker, text, says):
        before = worker.log().count(says)
        self.configure(text)
        worker.process.send_signal(signal.SIGHUP)
        self.wait_log(worker, says, before + 1)

    def test_the_operators_rules(self):
        with open(HELLO, "rb") as file:
            name = "sha256:" + hashlib.sha256(file.read()).hexdigest()
        another_day = time.strftime("%a", time.localtime(time.time() + 3 * 24 * 3600))
        with self.worker(f"[policy]\ndeny_modules = {name}\n") as worker:
            run = ("run", HELLO, "--node", worker.address)
            code, _, error = plasm(BUILD, *run)
            self.assertEqual(code, RUN_FAILED)
            self.assertIn("does not run this module", error)
            self.hup(worker, f"[policy]\nallow_modules = {name}\n", "reloaded: [policy]")
            self.assertEqual(plasm(BUILD, *run)[0], 0)
            code, _, error = plasm(BUILD, "run", LIMITS, "--node", worker.address, "--", "nothing")
            self.assertEqual(code, RUN_FAILED)
            self.assertIn("does not run this module", error)

            job = Job(worker, "running", STREAMS, "lines", "10", "200")
            self.assertNotEqual(job.process.wait(WAIT_SECONDS_MAX), 0)
            self.hup(worker, "[policy]\n", "reloaded: [policy]")
            job = Job(worker, "running", STREAMS, "lines", "10", "200")
            self.assertEqual(job.process.stdout.readline(), b"line 0\n")
            self.hup(worker, f"[policy]\nhours = {another_day}\n", "Paused: outside")
            code, _, error = plasm(BUILD, *run)
            self.assertEqual(code, RUN_FAILED)
            self.assertIn("outside this worker's working hours", error)
            code, out, error = plasm(BUILD, "explain", HELLO, "--node", worker.address, "--json")
            self.assertNotEqual(code, 0, error)
            self.assertIn(b"working hours", out)
            code, out, error, receipt = job.wait()  # what runs goes on
            self.assertEqual((code, receipt["status"]), (0, "ok"), error)
            self.hup(worker, "", "Lending again")
            self.assertEqual(plasm(BUILD, *run)[0], 0)

    def test_the_configuration_is_read_again(self):
        with self.worker() as worker:
            flags = ("--timeout", "20")
            job = Job(worker, "job", LIMITS, "loop", flags=flags)
            self.wait_log(worker, "Executing WASM module")
            self.configure("[node]\nperf = yes\n[limits]\nwall_ms = 250\n[nonsense\n")
            worker.process.send_signal(signal.SIGHUP)
            self.wait_log(worker, "Configuration not reloaded, nothing has changed")
            self.assertIn("plasmd.conf:5:", worker.log())
            self.configure("[node]\nperf = yes\n[limits]\nwall_ms = 250\nmemory_bytes = 64M\n")
            worker.process.send_signal(signal.SIGHUP)
            self.wait_log(worker, "reloaded: [limits] memory_bytes, [limits] wall_ms")
            self.wait_log(worker, "a restart is needed for [node] perf")
            self.assertIsNone(job.process.poll())  # what was accepted keeps its limits
            code, _, error = plasm(BUILD, "run", LIMITS, "--node", worker.address, "--", "loop")
            self.assertEqual(code, RUN_FAILED)
            self.assertIn("timeout", error)
            self.assertIn('"wall_ms": 250', error)
            # Over what plasm-run was started for.
            self.configure("[limits]\nmemory_bytes = 1G\n")
            worker.process.send_signal(signal.SIGHUP)
            self.wait_log(worker, "a restart is needed for [limits] memory_bytes")
            # Whoever is denied now loses the connection that there is.
            self.configure("[access]\ndeny = 127.0.0.0/8\n")
            worker.process.send_signal(signal.SIGHUP)
            _, error = job.process.communicate(timeout=WAIT_SECONDS_MAX)
            self.assertEqual(job.process.returncode, RUN_FAILED, error)
            self.assertNotEqual(plasm(BUILD, "run", HELLO, "--node", worker.address)[0], 0)
            self.configure("")
            worker.process.send_signal(signal.SIGHUP)
            self.wait_log(worker, "[access] deny", 2)
            self.assertEqual(plasm(BUILD, "run", HELLO, "--node", worker.address)[0], 0)

    def test_nothing_to_wait_for(self):
        with self.worker() as worker:
            self.assertEqual(plasm(BUILD, "run", HELLO, "--node", worker.address)[0], 0)
            begun = time.monotonic()
            worker.process.send_signal(signal.SIGINT)
            self.assertEqual(worker.process.wait(WAIT_SECONDS_MAX), 0)
            self.assertLess(time.monotonic() - begun, 15)

    def test_systemd_is_told(self):
        path = os.path.join(self.directory.name, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(path)
            listener.settimeout(WAIT_SECONDS_MAX)
            os.environ["NOTIFY_SOCKET"] = path
            try:
                with self.worker("[jobs]\ndrain_timeout_ms = 7000\n") as worker:
                    self.assertEqual(listener.recv(4096), b"READY=1")
                    worker.process.send_signal(signal.SIGHUP)
                    self.assertIn(b"RELOADING=1\n", listener.recv(4096))
                    self.assertEqual(listener.recv(4096), b"READY=1")
                    worker.process.terminate()
                    stopping = listener.recv(4096).decode().split("\n")
                    self.assertEqual(worker.process.wait(WAIT_SECONDS_MAX), 0)
            finally:
                del os.environ["NOTIFY_SOCKET"]
        self.assertIn("STOPPING=1", stopping)
        extend = [line for line in stopping if line.startswith("EXTEND_TIMEOUT_USEC=")]
        self.assertGreaterEqual(int(extend[0].split("=")[1]), 7_000_000)


if __name__ == "__main__":
    unittest.main(verbosity=2)
