"""A full disk, a read-only state directory, and a clock that is set back by an hour: named errors that
say what to do, and nothing acknowledged is lost. Usage: faults_test.py BUILD_DIR"""

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

from worker import Worker, plasm

INSIDE = "--inside"
SKIPPED = 77
BUILD = os.path.abspath(sys.argv.pop(1))
SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HELLO = os.path.join(SOURCE, "wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm")
CLOCK = os.path.join(BUILD, "tests", "libplasm_test_clock.so")
WAIT_SECONDS_MAX = 30


class Client:
    """Keeps its jobs, so that it can ask for them again."""

    def __init__(self, directory):
        self.state = os.path.join(directory, "client")
        self.key = os.path.join(directory, "key")
        self.jobs = []

    def options(self):
        return ("--state-dir", self.state, "--identity", self.key, "--json", "--no-mdns")

    def run(self, worker, job_id=None):
        """The receipt file of a job, or the words of its refusal."""
        job_id = job_id or str(uuid.uuid4())
        _, out, error = plasm(BUILD, "run", HELLO, "--node", worker.address, "--request-json",
                              json.dumps({"job_id": job_id}), *self.options(), stdin=b"abc")
        return self.answer(job_id, out, error)

    def receipt(self, worker, job_id):
        _, out, error = plasm(BUILD, "receipt", job_id, "--node", worker.address, *self.options())
        return self.answer(job_id, out, error)

    def answer(self, job_id, out, error):
        events = [json.loads(line) for line in out.splitlines()]
        for event in events:
            if event["event"] == "result":
                self.jobs.append((job_id, event["file"]))
                return event["file"]
        return next((event["message"] for event in events if event["event"] == "error"), error)


class Disk(unittest.TestCase):
    """In a mount namespace of its own, on a small tmpfs."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.state = os.path.join(self.directory.name, "state")
        self.ballast = os.path.join(self.state, "ballast")
        os.mkdir(self.state, 0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", self.state],
                       check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.state], check=False)
        self.client = Client(self.directory.name)

    def fill(self):
        with open(self.ballast, "ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    pass

    def all_are_there(self, worker):
        for job_id, file in list(self.client.jobs):
            self.assertEqual(self.client.receipt(worker, job_id), file)

    def until_refused(self, worker):
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while time.monotonic() < deadline:
            answer = self.client.run(worker)
            if isinstance(answer, str):
                return answer
        raise AssertionError("jobs are still accepted")

    def test_full_while_it_runs(self):
        with Worker(BUILD, self.directory.name) as worker:
            self.assertIsInstance(self.client.run(worker), dict)
            self.fill()
            self.assertIn("unavailable", self.until_refused(worker))
            self.assertIn("the disk is full: free space", worker.log())
            self.assertIn("nothing acknowledged is lost", worker.log())
            self.all_are_there(worker)
            # There is room again: so it goes on by itself.
            os.unlink(self.ballast)
            deadline = time.monotonic() + WAIT_SECONDS_MAX
            while isinstance(self.client.run(worker), str):
                self.assertLess(time.monotonic(), deadline, worker.log()[-2000:])
                time.sleep(0.2)
            self.fill()
            self.until_refused(worker)
            worker.kill()
        os.unlink(self.ballast)
        with Worker(BUILD, self.directory.name) as worker:
            self.all_are_there(worker)

    def test_full_at_the_start_and_read_only(self):
        with Worker(BUILD, self.directory.name) as worker:
            for _ in range(3):
                self.assertIsInstance(self.client.run(worker), dict)
            worker.kill()
        self.fill()
        worker = Worker(BUILD, self.directory.name)
        try:
            with worker:
                self.all_are_there(worker)
        except RuntimeError as error:
            said = str(error).rsplit("Starting", 1)[1]
            self.assertTrue("disk is full" in said or "No space left" in said, said)
        os.unlink(self.ballast)
        subprocess.run(["mount", "-o", "remount,ro", self.state], check=True)
        with self.assertRaises(RuntimeError) as raised:
            Worker(BUILD, self.directory.name).__enter__()
        said = str(raised.exception).rsplit("Starting", 1)[1]
        self.assertTrue("not writable" in said or "cannot be written" in said, said)
        subprocess.run(["mount", "-o", "remount,rw", self.state], check=True)
        with Worker(BUILD, self.directory.name) as worker:
            self.all_are_there(worker)


class Clock(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.offset = os.path.join(self.directory.name, "offset")
        self.set_back(0)
        self.client = Client(self.directory.name)

    def set_back(self, seconds):
        with open(self.offset, "r+b" if os.path.exists(self.offset) else "wb") as file:
            file.write(struct.pack("=q", -seconds))

    def worker(self):
        return Worker(BUILD, self.directory.name,
                      environment={"LD_PRELOAD": CLOCK, "PLASM_TEST_CLOCK": self.offset,
                                   "ASAN_OPTIONS": "verify_asan_link_order=0"})

    def never_twice(self, worker):
        for job_id, file in list(self.client.jobs):
            self.assertEqual(self.client.receipt(worker, job_id), file)
            self.assertIn("conflict", self.client.run(worker, job_id))

    def test_an_hour_back(self):
        with self.worker() as worker:
            self.assertIsInstance(self.client.run(worker), dict)
            self.set_back(3600)
            # Offers of clients whose clocks are right expire too late by this one.
            self.assertIn("expired", self.client.run(worker))
            self.never_twice(worker)
            worker.kill()
        with self.worker() as worker:
            self.never_twice(worker)
            self.set_back(0)
            self.assertIsInstance(self.client.run(worker), dict)
            self.never_twice(worker)

    def test_started_ahead_and_set_right(self):
        """Further ahead than an hour nobody could connect: its certificate would be of the future."""
        with self.worker() as worker:
            self.assertIsInstance(self.client.run(worker), dict)
            worker.kill()
        self.set_back(-3500)
        with self.worker() as worker:
            self.set_back(0)
            self.never_twice(worker)


def main():
    if not os.path.exists(CLOCK):
        print(f"faults: {CLOCK} is not built")
        return SKIPPED
    if INSIDE not in sys.argv:
        flags = ["-m"] if os.geteuid() == 0 else ["-r", "-m"]
        again = ["unshare", *flags, "--", sys.executable, "-B", os.path.abspath(__file__), BUILD,
                 INSIDE]
        if subprocess.run(["unshare", *flags, "true"], check=False).returncode != 0:
            print("faults: no mount namespace here: the disk's faults are left out")
            unittest.main(verbosity=2, defaultTest="Clock")
        return subprocess.run(again, check=False).returncode
    sys.argv.remove(INSIDE)
    unittest.main(verbosity=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
