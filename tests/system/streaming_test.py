"""Output as it is written, bounded memory when nobody reads it, and how fast a job is stopped.
Usage: streaming_test.py BUILD_DIR"""

import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from libplasm import Client, Library
from worker import Worker, plasm

BUILD = os.path.abspath(sys.argv.pop(1))
LIMITS = os.path.join(BUILD, "wasm-tests", "limits.wasm")
STREAMS = os.path.join(BUILD, "wasm-tests", "streams.wasm")
GIBIBYTE = 1 << 30
WAIT_SECONDS_MAX = 60
# Of each process, while a module that would write a GiB waits for a reader. The windows of a stream
# and a connection are 10 and 15 MB.
GROWTH_KIB_MAX = 48 * 1024
CANCELS = 40
CANCEL_MS_MAX = 50
ATTEMPTS = 4
RUN_FAILED = 125


def resident_kib(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("VmRSS")), 0)
    except OSError:
        return 0


def process_tree(pid):
    pids = [pid]
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            for child in file.read().split():
                pids += process_tree(int(child))
    except OSError:
        pass
    return pids


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


class Streaming(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        config = os.path.join(cls.directory.name, "plasmd.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write("[limits]\noutput_bytes = 2G\nwall_ms = 120000\n"
                       "[jobs]\nlost_grace_ms = 700\nrunning = 4\n[log]\nformat = json\n")
        cls.worker = Worker(BUILD, cls.directory.name, "--config", config, "--mdns", "off",
                            "--listen", "/ip4/127.0.0.1/tcp/0")
        cls.worker.__enter__()
        cls.library = Library(BUILD)

    @classmethod
    def tearDownClass(cls):
        cls.worker.__exit__()
        cls.directory.cleanup()

    def setUp(self):
        self.client = Client(self.library, self.worker.address)

    def tearDown(self):
        self.client.close()

    def ended(self, since):
        """The events of the log that say how a job ended, after so many lines."""
        lines = self.worker.log().splitlines()[since:]
        return [json.loads(line) for line in lines if "Execution complete" in line]

    def wait_ended(self, since):
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not self.ended(since):
            self.assertLess(time.monotonic(), deadline, "the job never ended")
            time.sleep(0.01)
        return self.ended(since)[0]

    def wait_log(self, since, text, count=1):
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while sum(text in line for line in self.worker.log().splitlines()[since:]) < count:
            self.assertLess(time.monotonic(), deadline, f"never in the log: {text}")
            time.sleep(0.01)

    def log_size(self):
        return len(self.worker.log().splitlines())

    def start_writer(self, *flags):
        return subprocess.Popen(
            [os.path.join(BUILD, "bin", "plasm"), "run", STREAMS, "--node", self.worker.address,
             "--state-dir", "", "--output", "2G", "--timeout", "100", *flags, "--", "count",
             str(GIBIBYTE), "65536"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

    def test_a_slow_reader_slows_the_module(self):
        pids = process_tree(self.worker.process.pid)
        before = {pid: resident_kib(pid) for pid in pids}
        receipt = os.path.join(self.directory.name, "slow.json")
        process = self.start_writer("--receipt", receipt)
        read = len(process.stdout.read(1 << 16))
        first = resident_kib(process.pid)
        peak = {}
        for _ in range(100):
            read += len(os.read(process.stdout.fileno(), 1 << 17))
            time.sleep(0.02)
            for pid in [process.pid, *process_tree(self.worker.process.pid)]:
                peak[pid] = max(peak.get(pid, 0), resident_kib(pid))
        self.assertIsNone(process.poll())
        runners = set(peak) - {self.worker.process.pid, process.pid}
        growth = {pid: kib - (first if pid == process.pid else before.get(pid, 0))
                  for pid, kib in peak.items()}
        print(f"{read >> 10} KiB read in 2 s of a GiB: plasmd grew by "
              f"{growth[self.worker.process.pid]} KiB, the client by {growth[process.pid]} KiB, "
              f"plasm-run holds at most {max(peak[pid] for pid in peak if pid in runners)} KiB")
        for pid, kib in growth.items():
            self.assertLess(kib, GROWTH_KIB_MAX, f"process {pid}")
        # It waits in its write, and is stopped there all the same.
        lines = self.log_size()
        process.send_signal(signal.SIGTERM)
        self.assertIn("cancelled", self.wait_ended(lines)["message"])
        _, error = process.communicate(timeout=WAIT_SECONDS_MAX)
        self.assertEqual(process.returncode, RUN_FAILED, error)
        code, _, error = plasm(BUILD, "verify", receipt, "--key", self.worker.peer_id)
        self.assertEqual(code, 0, error)
        self.assertEqual(json.loads(read_file(receipt))["receipt"]["status"], "cancelled")

    def test_nobody_reads_and_the_job_ends_all_the_same(self):
        lines = self.log_size()
        process = self.start_writer("--timeout", "2")
        begun = time.monotonic()
        event = self.wait_ended(lines)
        print(f"a job of 2 s that nobody reads ended after {time.monotonic() - begun:.1f} s")
        self.assertIn("does not read its output", self.worker.log())
        self.assertIn("status=timeout", event["message"])
        self.wait_log(lines, "Signed receipt")
        process.kill()
        process.communicate()

    def test_a_client_that_comes_back_before_its_loss_is_seen(self):
        """The job waits for its first connection to read; when that is lost, it goes on."""
        state = os.path.join(self.directory.name, "back")
        address = next(line for line in
                       read_file(os.path.join(self.directory.name, "addresses")).decode().split()
                       if "/tcp/" in line)
        command = os.path.join(BUILD, "bin", "plasm")
        lines = self.log_size()
        process = subprocess.Popen(
            [command, "run", STREAMS, "--node", address, "--state-dir", state, "--output", "2G",
             "--timeout", "100", "--", "count", str(64 << 20), "65536"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.read(1)
        job_id, = os.listdir(os.path.join(state, "jobs"))
        watcher = subprocess.Popen(
            [command, "receipt", job_id, "--state-dir", state], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.wait_log(lines, "Job offer received", 2)
        self.assertEqual(self.ended(lines), [])
        process.kill()
        process.communicate()
        begun = time.monotonic()
        event = self.wait_ended(lines)
        print(f"the job went on and ended {time.monotonic() - begun:.1f} s after the loss")
        self.assertIn("exit_code=0", event["message"])
        watcher.communicate(timeout=WAIT_SECONDS_MAX)

    def test_streams_keep_their_order_for_a_slow_reader(self):
        """More than any buffer holds, of both streams in turn."""
        job = self.client.submit(read_file(STREAMS), "alternate", str(64 << 20),
                                 limits={"output_bytes": 2 * GIBIBYTE, "memory_bytes": 128 << 20,
                                         "wall_ms": 100000})
        size = 0
        while (piece := job.read()) is not None:
            size += len(piece)
            if size < 20 << 20:
                time.sleep(0.001)
        result = job.result()
        job.free()
        self.assertEqual((result["status"], size), ("ok", 64 << 20), result)

    def cancel_times(self, stop):
        times = []
        module = read_file(LIMITS)
        for _ in range(CANCELS):
            job = self.client.submit(module, "loop", limits={"wall_ms": 60000})
            time.sleep(0.02)
            times.append(stop(job) * 1000)
        times.sort()
        return times

    def fast_enough(self, what, stop):
        """On a busy machine once in a few times, else every job in every attempt."""
        for _ in range(ATTEMPTS):
            times = self.cancel_times(stop)
            print(f"{what}: {len(times)} jobs, median {times[len(times) // 2]:.1f} ms, max "
                  f"{times[-1]:.1f} ms, wanted {CANCEL_MS_MAX} at most")
            if times[-1] <= CANCEL_MS_MAX:
                return
        self.fail(f"{what}: never within {CANCEL_MS_MAX} ms")

    def test_cancelled_by_message(self):
        def stop(job):
            begun = time.perf_counter()
            job.cancel()
            result = job.result()
            took = time.perf_counter() - begun
            self.assertEqual(result["status"], "cancelled")
            job.free()
            return took
        self.fast_enough("cancel by message, until its receipt is checked", stop)

    def test_cancelled_by_reset(self):
        def stop(job):
            lines = self.log_size()
            begun = time.time()
            job.free()  # resets the stream ...
            self.library.c.plasm_client_poll(self.client.handle)  # ... and this sends it
            event = self.wait_ended(lines)
            self.assertIn("status=cancelled", event["message"])
            ended = datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00"))
            return max(0.0, ended.timestamp() - begun)
        self.fast_enough("cancel by reset, until the log says so", stop)

    def test_a_lost_connection_ends_the_job_after_its_grace(self):
        address = next(line for line in
                       read_file(os.path.join(self.directory.name, "addresses")).decode().split()
                       if "/tcp/" in line)
        process = subprocess.Popen(
            [os.path.join(BUILD, "bin", "plasm"), "run", LIMITS, "--node", address, "--state-dir",
             "", "--json", "--", "loop"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.assertEqual(json.loads(process.stdout.readline())["event"], "submitted")
        lines = self.log_size()
        process.kill()
        process.communicate()
        begun = time.monotonic()
        event = self.wait_ended(lines)
        took = time.monotonic() - begun
        print(f"a lost connection ended its job after {took * 1000:.0f} ms, its grace is 700 ms")
        self.assertIn("status=cancelled", event["message"])
        self.assertGreater(took, 0.6)


if __name__ == "__main__":
    unittest.main(verbosity=2)
