"""Every way a job can end, on a real plasmd: the right status, a receipt that verifies, and the next
job is answered. Usage: jobs_test.py BUILD_DIR"""

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from libplasm import Client, Error, Library
from worker import Runner, Worker, plasm

BUILD = os.path.abspath(sys.argv.pop(1))
SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HELLO = os.path.join(SOURCE, "wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm")
LIMITS = os.path.join(BUILD, "wasm-tests", "limits.wasm")
STREAMS = os.path.join(BUILD, "wasm-tests", "streams.wasm")
WASI = os.path.join(BUILD, "wasm-tests", "wasi.wasm")
RUN_FAILED = 125


class Jobs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.worker = Worker(BUILD, cls.directory.name)
        cls.worker.__enter__()
        cls.runner = Runner(cls.worker)

    @classmethod
    def tearDownClass(cls):
        cls.worker.__exit__()
        cls.directory.cleanup()

    def tearDown(self):
        """Whatever a module did, the next job is answered."""
        code, out, error = self.runner.run(HELLO)
        self.assertEqual((code, out), (0, b"dlroW ,olleH"), error)

    def expect(self, status, exit_code, module, *arguments, flags=(), stdin=b""):
        code, out, error = self.runner.run(module, *arguments, flags=flags, stdin=stdin)
        receipt = self.runner.receipt()
        self.assertEqual(receipt["status"], status, error)
        self.assertEqual(receipt["exit_code"], exit_code)
        self.assertEqual(code, exit_code if exit_code >= 0 else RUN_FAILED, error)
        return receipt, out, error

    def test_ok(self):
        self.expect("ok", 0, HELLO, stdin="grüße\n".encode())

    def test_exit_code(self):
        self.expect("exit", 7, LIMITS, "exit", "7")

    def test_unreachable(self):
        self.expect("trap", -1, LIMITS, "unreachable")

    def test_out_of_bounds(self):
        self.expect("trap", -1, LIMITS, "bounds")

    def test_endless_loop(self):
        begun = time.monotonic()
        receipt, _, _ = self.expect("timeout", -1, LIMITS, "loop", flags=("--timeout", "1"))
        self.assertLess(time.monotonic() - begun, 20)
        self.assertGreaterEqual(receipt["wall_time_ms"], 1000)

    def test_fuel(self):
        self.expect("fuel", -1, LIMITS, "loop", flags=("--fuel", "100000"))

    def test_deep_recursion(self):
        self.expect("stack", -1, LIMITS, "recurse", "100000000")

    def test_memory_up_to_the_limit(self):
        """Growth over the limit is refused to the module, which goes on."""
        _, out, _ = self.expect("ok", 0, LIMITS, "grow", flags=("--memory", "16M"))
        self.assertEqual(out, b"256 pages\n")

    def test_declared_memory_over_the_limit(self):
        self.expect("memory", -1, LIMITS, "grow", flags=("--memory", "64K"))

    def test_a_gibibyte_of_output(self):
        _, out, error = self.expect("output", -1, STREAMS, "count", str(1 << 30), "65536")
        self.assertEqual(len(out), 1 << 20)
        self.assertIn("output", error)

    def test_garbage_truncated_and_empty_modules(self):
        with open(HELLO, "rb") as file:
            hello = file.read()
        for name, content in (("garbage", os.urandom(5000)), ("truncated", hello[:700]),
                              ("empty", b""), ("header", hello[:8])):
            with self.subTest(name):
                path = os.path.join(self.directory.name, name)
                with open(path, "wb") as file:
                    file.write(content)
                self.expect("compile", -1, path)

    def test_files_and_sockets(self):
        """What the walls and the WASI host refuse is an error number to the module, no end."""
        code, _, error = self.runner.run(WASI, "files")
        self.assertIn(self.runner.receipt()["status"], ("ok", "exit"), error)
        self.assertNotEqual(code, RUN_FAILED)

    def test_deterministic_twice(self):
        results = set()
        for _ in range(2):
            receipt, _, _ = self.expect("ok", 0, HELLO, flags=("--profile", "deterministic/1"),
                                        stdin=b"same")
            self.assertGreater(receipt["fuel"], 0)
            results.add((receipt["result_hash"], receipt["fuel"], receipt["stdout_hash"]))
        self.assertEqual(len(results), 1)

    def test_deterministic_refuses_what_is_over_the_limits(self):
        code, _, error = self.runner.run(HELLO, flags=("--profile", "deterministic/1", "--memory",
                                                       "8G"))
        self.assertEqual(code, RUN_FAILED)
        self.assertIn("limit", error)
        self.assertIn("memory_bytes", error)

    def test_large_input_and_output(self):
        data = base64.b64encode(os.urandom(5_000_000))
        code, out, error = self.runner.run(STREAMS, "echo", flags=("--output", "1M"),
                                           stdin=data[:1 << 20])
        self.assertEqual((code, out == data[:1 << 20]), (0, True), error)
        code, out, error = self.runner.run(HELLO, stdin=data[:900_000])
        self.assertEqual((code, out == data[:900_000][::-1]), (0, True), error)

    def test_both_streams_arguments_and_environment(self):
        code, out, error = self.runner.run(STREAMS, "both")
        self.assertEqual((code, out), (0, b"outoutout"), error)
        self.assertIn("errerrerr", error)

    def test_output_arrives_while_the_job_runs(self):
        process = subprocess.Popen(
            [os.path.join(BUILD, "bin", "plasm"), "run", STREAMS, "--node", self.worker.address,
             "--state-dir", "", "--", "lines", "5", "300"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        begun = time.monotonic()
        first = process.stdout.readline()
        first_after = time.monotonic() - begun
        rest, _ = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(first, b"line 0\n")
        self.assertEqual(rest.count(b"line"), 4)
        self.assertLess(first_after, (time.monotonic() - begun) - 0.8)

    def test_a_signal_cancels_and_gives_a_receipt(self):
        path = self.runner.receipt_path
        process = subprocess.Popen(
            [os.path.join(BUILD, "bin", "plasm"), "run", LIMITS, "--node", self.worker.address,
             "--state-dir", "", "--json", "--receipt", path, "--", "loop"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        event = json.loads(process.stdout.readline())
        self.assertEqual(event["event"], "submitted")
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, RUN_FAILED)
        self.assertEqual(self.runner.receipt()["status"], "cancelled")

    def explain(self, *arguments):
        code, out, error = plasm(BUILD, "explain", *arguments, "--node", self.worker.address, "--json")
        answer = json.loads(out)
        self.assertEqual(code, 0 if answer["accepted"] else 1, error)
        self.assertEqual(len(answer["nodes"]), 1)
        return answer["nodes"][0]

    def test_explain_says_why_and_why_not(self):
        module = os.path.join(self.directory.name, "new.wasm")
        with open(HELLO, "rb") as file:
            hello = file.read()
        with open(module, "wb") as file:
            file.write(hello + b"\x00\x15\x04note" + os.urandom(16))
        node = self.explain(module)
        self.assertEqual((node["accepted"], node["module_held"], node["over"], node["queue_position"]),
                         (True, False, [], 0))
        self.assertEqual(node["peer_id"], self.worker.peer_id)
        self.assertEqual(self.runner.run(module)[0], 0)
        node = self.explain(module, "--memory", "4G")
        self.assertEqual((node["accepted"], node["module_held"]), (True, True))
        self.assertEqual(node["limits"]["memory_bytes"], 128 << 20)
        self.assertEqual(node["over"], [{"limit": "memory_bytes", "asked": 4 << 30,
                                         "allowed": 128 << 20}])
        node = self.explain(module, "--memory", "4G", "--timeout", "100", "--arch", "vax", "--profile",
                            "deterministic/1")
        self.assertEqual((node["accepted"], node["code"]), (False, "unsupported"))
        self.assertEqual([over["limit"] for over in node["over"]], ["memory_bytes", "wall_ms"])
        for word in ("vax", "memory_bytes", "wall_ms", "100000 asked", "30000 allowed"):
            self.assertIn(word, node["reason"])
        # The manifest of a job, from its receipt: the question again, though its time is over.
        node = self.explain(self.runner.receipt_path)
        self.assertEqual((node["accepted"], node["module_held"]), (True, True))
        # Nothing of it all was a job.
        code, _, error = plasm(BUILD, "explain", module, "--node", "/ip4/127.0.0.1/udp/1/quic-v1",
                               "--client-json", '{"timeout_ms": 300}')
        self.assertEqual(code, 1, error)

    def test_many_in_flight(self):
        code, out, error = plasm(BUILD, "bench", HELLO, "--node", self.worker.address, "--count",
                                 "1000", "--concurrency", "64", "--json")
        self.assertEqual(code, 0, error)
        result = json.loads(out)
        self.assertEqual((result["jobs"], result["failed"]), (1000, 0))


class Again(unittest.TestCase):
    """A client that was killed, or is another one, fetches what became of its job."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.state = os.path.join(self.directory.name, "client")

    def tearDown(self):
        self.directory.cleanup()

    def ticket(self):
        name, = os.listdir(os.path.join(self.state, "jobs"))
        return os.path.join(self.state, "jobs", name)

    def fetch(self, *arguments, job_id=None):
        job_id = job_id or os.path.basename(self.ticket())
        return plasm(BUILD, "receipt", job_id, "--state-dir", self.state, *arguments)

    def start(self, worker, *arguments):
        return subprocess.Popen(
            [os.path.join(BUILD, "bin", "plasm"), "run", "--node", worker.address, "--state-dir",
             self.state, "--json", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def test_after_the_client_was_killed_and_the_worker_started_anew(self):
        with Worker(BUILD, self.directory.name) as worker:
            process = self.start(worker, STREAMS, "--", "lines", "5", "200")
            self.assertEqual(json.loads(process.stdout.readline())["event"], "submitted")
            process.kill()
            process.communicate()
            self.assertEqual(os.stat(self.ticket()).st_mode & 0o777, 0o600)
            # While it runs the receipt is waited for; then its output is fetched.
            lines = b"".join(b"line %d\n" % number for number in range(5))
            code, out, error = self.fetch()
            self.assertEqual((code, out), (0, lines), error)
            time.sleep(0.1)
            worker.kill()
        port = worker.address.split("/")[4]
        with Worker(BUILD, self.directory.name, listen=port) as worker:
            receipt = os.path.join(self.directory.name, "again.json")
            output = os.path.join(self.directory.name, "output")
            code, out, error = self.fetch("--receipt", receipt, "--output", output)
            self.assertEqual((code, out), (0, b""), error)
            with open(output, "rb") as file:
                self.assertEqual(file.read(), lines)
            self.assertEqual(plasm(BUILD, "verify", receipt, "--key", worker.peer_id)[0], 0)
            self.refusals()

    def refusals(self):
        """Without the true secret and manifest nobody learns whether there is such a job."""
        with open(self.ticket(), encoding="utf-8") as file:
            ticket = json.load(file)
        code, _, error = self.fetch(job_id="550e8400-e29b-41d4-a716-446655440000")
        self.assertEqual(code, RUN_FAILED)
        self.assertIn("nothing is remembered", error)
        ticket["manifest"]["expires"] += 1
        with open(self.ticket(), "w", encoding="utf-8") as file:
            json.dump(ticket, file)
        code, _, error = self.fetch()
        self.assertEqual(code, RUN_FAILED)
        self.assertIn("not_found", error)
        ticket["fetch_secret"] = "00" * 32
        with open(self.ticket(), "w", encoding="utf-8") as file:
            json.dump(ticket, file)
        code, _, error = self.fetch()
        self.assertEqual(code, RUN_FAILED)
        self.assertIn("fetch_secret", error)

    def test_a_large_output_and_one_that_is_not_kept(self):
        config = os.path.join(self.directory.name, "plasmd.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write("[store]\noutput_bytes = 900K\n")
        with Worker(BUILD, self.directory.name, "--config", config) as worker:
            for size, kept in ((900 * 1024, True), (900 * 1024 + 1, False)):
                process = self.start(worker, STREAMS, "--", "count", str(size), "65536")
                process.communicate(timeout=60)
                code, out, error = self.fetch()
                if kept:
                    self.assertEqual((code, len(out)), (0, size), error)
                else:
                    self.assertEqual((code, out), (RUN_FAILED, b""))
                    self.assertIn("does not have the output", error)
                os.unlink(self.ticket())

    def wait_log(self, worker, text, count):
        deadline = time.monotonic() + 20
        while worker.log().count(text) < count:
            self.assertLess(time.monotonic(), deadline, f"not {count} times in the log: {text}")
            time.sleep(0.001)

    def test_an_answer_that_nobody_reads(self):
        """The worker keeps it for a while only, not as long as the connection."""
        config = os.path.join(self.directory.name, "plasmd.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write("[limits]\noutput_bytes = 64M\n[store]\noutput_bytes = 40M\n"
                       "[jobs]\nlost_grace_ms = 1000\n")
        with Worker(BUILD, self.directory.name, "--config", config) as worker:
            process = self.start(worker, "--output", "64M", STREAMS, "--", "count", str(32 << 20),
                                 "65536")
            self.assertGreater(len(process.communicate(timeout=60)[0]), 32 << 20)
            with subprocess.Popen(
                    [os.path.join(BUILD, "bin", "plasm"), "receipt",
                     os.path.basename(self.ticket()), "--state-dir", self.state],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as reader:
                try:
                    self.wait_log(worker, "Job offer received", 2)
                    reader.send_signal(signal.SIGSTOP)
                    self.wait_log(worker, "does not read its answer", 1)
                finally:
                    reader.kill()

    def test_a_job_that_was_lost(self):
        with Worker(BUILD, self.directory.name) as worker:
            process = self.start(worker, LIMITS, "--", "loop")
            self.assertEqual(json.loads(process.stdout.readline())["event"], "submitted")
            worker.kill()
            process.kill()
            process.communicate()
        port = worker.address.split("/")[4]
        with Worker(BUILD, self.directory.name, listen=port) as worker:
            code, out, error = self.fetch()
            self.assertEqual((code, out), (RUN_FAILED, b""))
            self.assertIn("lost", error)
            self.assertIn("1 accepted job had not ended", worker.log())


class Held(unittest.TestCase):
    """What clients make the worker hold. Here, of loopback, each is a share of its own."""

    STDIN = bytes(900 << 10)  # with its module less than a MiB
    HELD_MAX = 4  # of such inputs, by all; half of them by one share

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        config = os.path.join(self.directory.name, "plasmd.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write("[limits]\nmodule_bytes = 1M\nstdin_bytes = 1M\n"
                       f"[jobs]\nqueued_bytes = {self.HELD_MAX}M\nrunning = 4\n")
        self.worker = Worker(BUILD, self.directory.name, "--config", config)
        self.worker.__enter__()
        self.library = Library(BUILD)
        self.clients = []

    def tearDown(self):
        for client in self.clients:
            client.close()
        self.worker.__exit__()
        self.directory.cleanup()

    def client(self):
        self.clients.append(Client(self.library, self.worker.address))
        return self.clients[-1]

    def wait_log(self, text, count):
        deadline = time.monotonic() + 30
        while self.worker.log().count(text) < count:
            self.assertLess(time.monotonic(), deadline, f"not {count} times in the log: {text}")
            time.sleep(0.01)

    def test_a_job_that_ended_holds_nothing(self):
        """Clients that never take note of the end and leave their streams open."""
        with open(STREAMS, "rb") as file:
            module = file.read()
        for number in range(2 * self.HELD_MAX):
            self.client().submit(module, "both", stdin=self.STDIN)
            self.wait_log("Signed receipt", number + 1)
        self.assertNotIn("Job rejected", self.worker.log())

    def test_half_is_left_for_others(self):
        with open(LIMITS, "rb") as file:
            module = file.read()
        greedy = self.client()
        for _ in range(self.HELD_MAX // 2):
            greedy.submit(module, "loop", stdin=self.STDIN)
        with self.assertRaisesRegex(Error, "too many bytes are waiting here"):
            greedy.submit(module, "loop", stdin=self.STDIN)
        self.client().submit(module, "loop", stdin=self.STDIN)


class Restart(unittest.TestCase):
    def test_identity_and_compiled_modules_survive_a_kill(self):
        with tempfile.TemporaryDirectory() as directory:
            with Worker(BUILD, directory) as worker:
                first = worker.peer_id
                self.assertEqual(Runner(worker).run(HELLO)[0], 0)
                time.sleep(0.2)
                worker.kill()
            with Worker(BUILD, directory, "--log-level", "debug") as worker:
                self.assertEqual(worker.peer_id, first)
                runner = Runner(worker)
                code, out, error = runner.run(HELLO)
                self.assertEqual((code, out), (0, b"dlroW ,olleH"), error)
                runner.receipt()
                after = worker.log().rsplit("Starting Phase daemon", 1)[1]
                self.assertNotIn("Module compiled", after)

    def test_stopping_hears_no_other_signal(self):
        """What is asked while everything is being freed is not looked at."""
        with tempfile.TemporaryDirectory() as directory:
            for _ in range(5):
                with Worker(BUILD, directory) as worker:
                    self.assertEqual(Runner(worker).run(HELLO)[0], 0)
                    worker.process.terminate()
                    deadline = time.monotonic() + 20
                    while worker.process.poll() is None and time.monotonic() < deadline:
                        worker.process.send_signal(signal.SIGUSR1)
                        time.sleep(0.0001)
                    self.assertEqual(worker.process.wait(1), 0, worker.log()[-2000:])

    def test_the_log_is_the_guides(self):
        with tempfile.TemporaryDirectory() as directory, Worker(BUILD, directory) as worker:
            self.assertEqual(Runner(worker).run(HELLO)[0], 0)
            time.sleep(0.2)
            log = worker.log()
            for line in ("INFO plasmd: Starting Phase daemon v0.1.0",
                         "INFO plasmd: Local peer ID: 12D3KooW",
                         "INFO plasmd: Listening on /ip4/127.0.0.1/udp/",
                         "INFO plasmd: Advertising capabilities: arch=",
                         "runtime=wasmtime-48",
                         "INFO plasmd: Peer discovered: 12D3KooW",
                         "INFO plasmd: Job offer received: job_id=",
                         "INFO plasmd: Accepting job: module_hash=sha256:",
                         "INFO plasmd: Executing WASM module: 2KB, timeout=30s",
                         "INFO plasmd: Execution complete: exit_code=0, wall_time=",
                         "INFO plasmd: Signed receipt with Ed25519",
                         "INFO plasmd: Job result sent to client",
                         "kad", "bootstrap"):
                self.assertIn(line, log)


if __name__ == "__main__":
    unittest.main(verbosity=2)
