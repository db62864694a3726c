#!/usr/bin/env python3
"""plasm-sign and plasmd: the key is out of plasmd's reach, and no job is lost when its holder dies.

usage: signer_test.py BUILD
"""

import contextlib
import errno
import json
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from worker import Runner, Worker, plasm

BUILD = os.path.abspath(sys.argv.pop(1))
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HELLO = os.path.join(SOURCE, "wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm")
LIMITS = os.path.join(BUILD, "wasm-tests", "limits.wasm")
SIGN = os.path.join(BUILD, "bin", "plasm-sign")
PATIENCE = 30

IDENTIFY, NOISE, RECEIPT = 0, 2, 6
OK, REFUSED, VERSION = 0, 1, 3


def wait_until(what, condition, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not come about: " + what)
        time.sleep(0.02)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def signer_of(worker):
    """Process id of the worker's plasm-sign, or None."""
    for pid in children(worker.process.pid):
        if name_of(pid) == "plasm-sign":
            return pid
    return None


def stored(directory):
    """Jobs in the store of a worker that has ended, their ids, and their receipts."""
    database = sqlite3.connect(os.path.join(directory, "state", "store", "plasm.db"))
    with contextlib.closing(database):
        return database.execute("SELECT count(*), count(DISTINCT job_id), count(receipt) "
                                "FROM jobs LEFT JOIN receipts USING (number)").fetchone()


def frame(kind, number, payload):
    return struct.pack(">BIH", kind, number, len(payload)) + payload


class Signer:
    """A plasm-sign of our own, spoken to without plasmd."""

    def __init__(self, key):
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen([SIGN, "--fd", str(theirs.fileno()), "--key", key],
                                            pass_fds=[theirs.fileno()])
        self.ours.settimeout(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ours.close()
        self.process.wait(PATIENCE)

    def ask(self, packet):
        """The answers to a packet as (outcome, number, body); None: it hung up."""
        self.ours.send(packet)
        try:
            data = self.ours.recv(65536)
        except ConnectionResetError:
            return None
        answers = []
        while data:
            outcome, number, size = struct.unpack(">BIH", data[:7])
            answers.append((outcome, number, data[7:7 + size]))
            data = data[7 + size:]
        return answers or None


class Slow(unittest.TestCase):
    def test_a_cancelled_job_does_not_run_while_its_receipt_waits(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "plasmd.conf")
            with open(path, "w", encoding="ascii") as file:
                file.write("[jobs]\nrunning = 1\n")
            with Worker(BUILD, directory, "--config", path) as worker:
                def run(*words):
                    return subprocess.Popen(
                        [os.path.join(BUILD, "bin", "plasm"), "run", *words[:1], "--node",
                         worker.address, "--state-dir", "", "--", *words[1:]],
                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

                def said(text, count):
                    wait_until(f"{count} times {text!r}", lambda: worker.log().count(text) >= count)

                running = run(LIMITS, "loop")
                said("Executing WASM module", 1)
                waiting = run(HELLO)
                said("Accepting job", 2)
                signer = signer_of(worker)
                os.kill(signer, signal.SIGSTOP)
                try:
                    waiting.send_signal(signal.SIGINT)
                    said("cancelled before it ran", 1)
                    running.send_signal(signal.SIGINT)
                    said("Execution complete", 2)  # its place is free now
                    worker.process.send_signal(signal.SIGUSR1)
                    said("Status:", 1)
                    self.assertEqual(worker.log().count("Executing WASM module"), 1)
                finally:
                    os.kill(signer, signal.SIGCONT)
                for process in (running, waiting):
                    _, error = process.communicate(timeout=PATIENCE)
                    self.assertIn(b"cancelled", error)
                self.assertEqual(Runner(worker).run(HELLO)[0], 0)
            self.assertEqual(stored(directory), (3, 3, 3))

    def test_asked_twice_a_worker_stops_without_its_signer(self):
        with tempfile.TemporaryDirectory() as directory, Worker(BUILD, directory) as worker:
            job = subprocess.Popen([os.path.join(BUILD, "bin", "plasm"), "run", LIMITS, "--node",
                                    worker.address, "--state-dir", "", "--", "loop"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
            wait_until("a job runs", lambda: "Executing WASM module" in worker.log())
            signer = signer_of(worker)
            os.kill(signer, signal.SIGSTOP)
            try:
                worker.process.terminate()
                wait_until("it drains", lambda: "Draining" in worker.log())
                worker.process.terminate()
                self.assertEqual(worker.process.wait(PATIENCE), 0)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(signer, signal.SIGCONT)
            job.wait(PATIENCE)


class Requests(unittest.TestCase):
    def test_foreign_bytes_are_refused(self):
        with tempfile.TemporaryDirectory() as directory:
            key = os.path.join(directory, "identity.key")
            with Signer(key) as signer:
                (outcome, _, public_key), = signer.ask(frame(IDENTIFY, 1, b"\0\1"))
                self.assertEqual((outcome, len(public_key)), (OK, 32))
                self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
                (outcome, _, signature), = signer.ask(frame(NOISE, 2, bytes(32)))
                self.assertEqual((outcome, len(signature)), (OK, 64))
                receipt = {"type": "phase.receipt/1", "job_id": "x", "exit_code": 0}
                foreign = [b"sign this", b"{}", b'{"arch":"","type":"phase.receipt/1"}',
                           json.dumps(receipt).encode(), bytes(8192)]
                for payload in foreign:
                    for kind in range(1, 8):
                        answers = signer.ask(frame(kind, 3, payload))
                        self.assertEqual(answers[0][:2], (REFUSED, 3), (kind, payload[:20]))
                self.assertEqual(signer.ask(frame(IDENTIFY, 4, b"\0\2"))[0][0], VERSION)
                self.assertEqual(signer.ask(frame(IDENTIFY, 5, b"\0\1"))[0], (OK, 5, public_key))

    def test_what_does_not_decode_is_hung_up_on(self):
        whole = frame(NOISE, 1, bytes(32))
        packets = [whole[:-1], whole + b"\0", frame(8, 1, b"x"), frame(RECEIPT, 1, b""),
                   frame(RECEIPT, 1, bytes(8193)), whole * 65, bytes(100000)]
        with tempfile.TemporaryDirectory() as directory:
            for packet in packets:
                with Signer(os.path.join(directory, "identity.key")) as signer:
                    self.assertIsNone(signer.ask(packet), packet[:20])
                    self.assertEqual(signer.process.wait(PATIENCE), 0)

    def test_it_is_locked_in(self):
        with tempfile.TemporaryDirectory() as directory:
            with Signer(os.path.join(directory, "identity.key")) as signer:
                signer.ask(frame(IDENTIFY, 1, b"\0\1"))
                with open(f"/proc/{signer.process.pid}/status", encoding="ascii") as file:
                    status = dict(line.split(":\t", 1) for line in file)
                self.assertEqual(status["NoNewPrivs"].strip(), "1")
                self.assertEqual(status["Seccomp"].strip(), "2")
                self.assertEqual(status["CapEff"].strip(), "0" * 16)
                with open(f"/proc/{signer.process.pid}/limits", encoding="ascii") as file:
                    limits = file.read()
                self.assertRegex(limits, r"Max core file size +0 +0")
                self.assertRegex(limits, r"Max processes +0 +0")
                signer.process.terminate()
                self.assertEqual(signer.process.wait(PATIENCE), 0)


class Reach(unittest.TestCase):
    def test_plasmd_cannot_get_at_the_key(self):
        """Every thread of a plasmd that works tries."""
        with tempfile.TemporaryDirectory() as directory, Worker(BUILD, directory) as worker:
            if "cannot keep plasmd from its key" in worker.log():
                self.skipTest("this kernel has no Landlock")
            self.assertEqual(Runner(worker).run(HELLO)[0], 0)
            state = os.path.join(directory, "state")
            done = subprocess.run(
                [os.path.join(BUILD, "tests", "plasm-inject"), str(worker.process.pid),
                 str(signer_of(worker)), os.path.join(state, "identity.key"),
                 os.path.join(state, "store", "plasm.db")],
                capture_output=True, text=True, timeout=PATIENCE, check=False)
            if done.returncode == 77:
                self.skipTest("tracing is not allowed here, or another processor: " + done.stderr)
            self.assertEqual(done.returncode, 0, done.stderr)
            threads = {}
            for line in done.stdout.splitlines():
                thread, attempt, error = line.split()
                threads.setdefault(thread, {})[attempt] = int(error)
            self.assertGreater(len(threads), 1, "the store has a thread of its own")
            for attempts in threads.values():
                self.assertEqual(attempts.pop("open_allowed"), 0, "the method works")
                self.assertEqual(len(attempts), 8)
                for attempt, error in attempts.items():
                    self.assertIn(error, (errno.EACCES, errno.EPERM, errno.EXDEV), attempt)
            self.assertEqual(Runner(worker).run(HELLO)[0], 0)
            self.assertIn("empty root", worker.log(), "plasm-run's walls stand all the same")


class Death(unittest.TestCase):
    def test_killed_under_load(self):
        """Every job ends in one valid receipt: the client checks each, the store has each once."""
        count = 2500
        with tempfile.TemporaryDirectory() as directory:
            with Worker(BUILD, directory) as worker:
                kills = self.kill_under_load(worker, count)
            jobs, ids, receipts = stored(directory)
            self.assertTrue(jobs == ids == receipts >= count, (jobs, ids, receipts))
            print(f"{kills} kills, {count} jobs, each with its receipt")

    def kill_under_load(self, worker, count):
        kills = 0
        done = threading.Event()
        result = []

        def load():
            result.append(plasm(BUILD, "bench", HELLO, "--node", worker.address, "--count",
                                str(count), "--concurrency", "32", "--json"))
            done.set()

        thread = threading.Thread(target=load)
        thread.start()
        while not done.wait(0.05):
            pid = signer_of(worker)
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
        thread.join()
        code, out, error = result[0]
        self.assertEqual(code, 0, error)
        bench = json.loads(out.splitlines()[-1])
        self.assertEqual((bench["jobs"], bench["failed"]), (count, 0))
        self.assertGreater(kills, 3)
        log = worker.log()
        self.assertIn("plasm-sign ended (signal 9)", log)
        self.assertIn("plasm-sign is back", log)
        self.assertNotIn("No receipt", log)
        return kills

    def test_the_database_has_each_receipt_once(self):
        with tempfile.TemporaryDirectory() as directory:
            with Worker(BUILD, directory) as worker:
                runner = Runner(worker)
                for _ in range(12):
                    os.kill(signer_of(worker), signal.SIGKILL)
                    code, out, error = runner.run(HELLO)
                    self.assertEqual((code, out), (0, b"dlroW ,olleH"), error)
                    runner.receipt()
                    wait_until("a new plasm-sign", lambda: signer_of(worker) is not None)
            self.assertEqual(stored(directory), (12, 12, 12))

    def test_another_key_is_refused(self):
        with tempfile.TemporaryDirectory() as directory, Worker(BUILD, directory) as worker:
            key = os.path.join(directory, "state", "identity.key")
            runner = Runner(worker)
            self.assertEqual(runner.run(HELLO)[0], 0)
            os.rename(key, key + ".kept")
            os.kill(signer_of(worker), signal.SIGKILL)
            wait_until("another key is noticed", lambda: "has another key now" in worker.log())
            time.sleep(1.1)  # the bound below which offers are still taken
            code, _, error = runner.run(HELLO, flags=["--timeout", "5"])
            self.assertNotEqual(code, 0)
            self.assertIn("nobody is there to sign receipts", error)
            os.rename(key + ".kept", key)
            wait_until("it is back", lambda: "plasm-sign is back" in worker.log())
            self.assertEqual(runner.run(HELLO)[0], 0)
            runner.receipt()

    def test_an_ephemeral_key_survives(self):
        with tempfile.TemporaryDirectory() as directory, \
                Worker(BUILD, directory, "--ephemeral") as worker:
            runner = Runner(worker)
            os.kill(signer_of(worker), signal.SIGKILL)
            self.assertEqual(runner.run(HELLO)[0], 0)
            runner.receipt()
            self.assertFalse(os.path.exists(os.path.join(directory, "state", "identity.key")))

    def test_plasm_run_is_started_again(self):
        """By the starter: plasmd itself may not any more."""
        with tempfile.TemporaryDirectory() as directory, Worker(BUILD, directory) as worker:
            run, = [pid for pid in children(worker.process.pid) if name_of(pid) == "plasm-run"]
            os.kill(run, signal.SIGKILL)
            wait_until("a new sandbox", lambda: worker.log().count("Sandbox ready") == 2)
            self.assertEqual(worker.log().count("empty root"), worker.log().count("Sandbox ready"))
            self.assertEqual(Runner(worker).run(HELLO)[0], 0)


class Service(unittest.TestCase):
    """As systemd does it: a socket that listens, and a plasm-sign for whoever connects."""

    def start(self, listener, key):
        fd = listener.fileno()
        service = subprocess.Popen(
            ["/bin/sh", "-c", f"exec 3<&{fd}; LISTEN_PID=$$ LISTEN_FDS=1 exec {SIGN} --key {key}"],
            pass_fds=[fd])
        self.addCleanup(service.kill)
        return service

    def test_reconnects(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "sign.sock")
            key = os.path.join(directory, "identity.key")
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
                listener.bind(path)
                listener.listen(8)
                service = self.start(listener, key)
                with Worker(BUILD, directory, "--signer", path) as worker:
                    runner = Runner(worker)
                    self.assertEqual(runner.run(HELLO)[0], 0)
                    self.assertIsNone(signer_of(worker))
                    self.assertFalse(
                        os.path.exists(os.path.join(directory, "state", "identity.key")))
                    service.kill()
                    service.wait()
                    wait_until("the death is noticed",
                               lambda: "plasm-sign ended (the connection" in worker.log())
                    service = self.start(listener, key)
                    code, out, error = runner.run(HELLO)
                    self.assertEqual((code, out), (0, b"dlroW ,olleH"), error)
                    runner.receipt()
                    shown = subprocess.run(
                        [os.path.join(BUILD, "bin", "plasmd"), "--signer", path, "key", "show",
                         "--json"], capture_output=True, check=True, timeout=PATIENCE)
                    self.assertEqual(json.loads(shown.stdout)["peer_id"], worker.peer_id)
                service.terminate()
                self.assertEqual(service.wait(PATIENCE), 0)


class Rotate(unittest.TestCase):
    def plasmd(self, state, *words):
        return subprocess.run([os.path.join(BUILD, "bin", "plasmd"), "--state-dir", state, *words],
                              capture_output=True, text=True, timeout=PATIENCE, check=False)

    def test_rotate(self):
        with tempfile.TemporaryDirectory() as directory:
            state = os.path.join(directory, "state")
            os.mkdir(state)
            missing = self.plasmd(state, "key", "show")
            self.assertEqual(missing.returncode, 1)
            self.assertIn("there is no key yet", missing.stderr)
            with Worker(BUILD, directory) as worker:
                first = worker.peer_id
                refused = self.plasmd(state, "key", "rotate")
                self.assertEqual(refused.returncode, 1)
                self.assertIn("a worker uses this key", refused.stderr)
                self.assertIn(first, self.plasmd(state, "key", "show").stdout)
            rotated = self.plasmd(state, "key", "rotate")
            self.assertEqual(rotated.returncode, 0, rotated.stderr)
            self.assertIn(first, rotated.stdout)
            self.assertIn("pinned", rotated.stdout)
            kept = [name for name in os.listdir(state) if name.startswith("identity.key.2")]
            self.assertEqual(len(kept), 1)
            with Worker(BUILD, directory) as worker:
                self.assertNotEqual(worker.peer_id, first)
                self.assertIn(worker.peer_id, rotated.stdout)
                self.assertEqual(Runner(worker).run(HELLO)[0], 0)


if __name__ == "__main__":
    unittest.main()
