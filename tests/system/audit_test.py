"""plasmd audit: what ran on a real plasmd, read while it runs; filters, totals, errors. And what plasmd
says of a database that it cannot use. Usage: audit_test.py BUILD_DIR"""

import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

from worker import Runner, Worker, plasm

BUILD = os.path.abspath(sys.argv.pop(1))
SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HELLO = os.path.join(SOURCE, "wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm")
LIMITS = os.path.join(BUILD, "wasm-tests", "limits.wasm")
PLASMD = os.path.join(BUILD, "bin", "plasmd")
WAIT_SECONDS_MAX = 20


def audit(directory, *arguments):
    done = subprocess.run([PLASMD, "audit", "--state-dir", os.path.join(directory, "state"),
                           *arguments], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def rows(directory, *arguments):
    code, out, error = audit(directory, "--json", *arguments)
    if code != 0:
        raise AssertionError(error)
    return [json.loads(line) for line in out.splitlines()]


def wait_for(condition):
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


class Audit(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = self.directory.name

    def run_jobs(self, worker):
        runner = Runner(worker)
        key = os.path.join(self.path, "key")
        self.assertEqual(runner.run(HELLO, flags=("--identity", key), stdin=b"abc")[0], 0)
        self.assertEqual(runner.run(LIMITS, "exit", "7", flags=("--identity", key))[0], 7)
        self.assertEqual(runner.run(HELLO)[0], 0)

    def test_lists_filters_totals(self):
        config = os.path.join(self.path, "plasmd.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write("[node]\nprice = 3\n")
        with Worker(BUILD, self.path, "--config", config) as worker:
            self.run_jobs(worker)
            # While plasmd runs: the batch is written within moments.
            jobs = wait_for(lambda: [found for found in [rows(self.path)] if len(found) == 3 and
                                     all(job["status"] != "running" for job in found)])[0]
        self.assertEqual([job["status"] for job in jobs], ["ok", "exit", "ok"])
        self.assertEqual([job["exit_code"] for job in jobs], [0, 7, 0])
        self.assertEqual([job["cost"] for job in jobs], [3, 3, 3])
        first = jobs[0]
        self.assertEqual((first["prefix"], first["bytes_in"], first["bytes_out"]),
                         ("127.0.0.1", os.path.getsize(HELLO) + 3, 3))
        self.assertTrue(first["module_hash"].startswith("sha256:"))
        self.assertLessEqual(first["accepted_ms"], first["ended_ms"])
        self.assertEqual(rows(self.path, "--client", first["client"]), jobs[:2])
        self.assertEqual(rows(self.path, "--module", first["module_hash"][7:19]),
                         [jobs[0], jobs[2]])
        self.assertEqual(rows(self.path, "--status", "exit"), [jobs[1]])
        self.assertEqual(rows(self.path, "--limit", "1"), [jobs[2]])
        self.assertEqual(rows(self.path, "--since", "1h"), jobs)
        self.assertEqual(rows(self.path, "--until", "1h"), [])
        self.assertEqual(rows(self.path, "--since", "2020-01-01", "--until", "2020-01-02"), [])
        totals = rows(self.path, "--summary", "client")
        self.assertEqual([(row["jobs"], row["cost"]) for row in totals], [(2, 6), (1, 3)])
        self.assertEqual(sum(row["jobs"] for row in rows(self.path, "--summary", "module")), 3)
        code, out, _ = audit(self.path)
        self.assertEqual((code, len(out.splitlines())), (0, 4))
        self.assertIn(first["job_id"], out)

    def test_follows(self):
        with Worker(BUILD, self.path) as worker:
            with subprocess.Popen([PLASMD, "audit", "--state-dir", os.path.join(self.path, "state"),
                                   "--json", "--follow"], stdout=subprocess.PIPE) as process:
                # Each once and in their order, over several looks at the database.
                for _ in range(3):
                    self.assertEqual(Runner(worker).run(HELLO)[0], 0)
                    self.assertEqual(Runner(worker).run(HELLO)[0], 0)
                    time.sleep(0.6)
                seen = [json.loads(process.stdout.readline()) for _ in range(6)]
                self.assertEqual([job["status"] for job in seen], ["ok"] * 6)
                numbers = [job["number"] for job in seen]
                self.assertEqual(numbers, sorted(set(numbers)))
                process.kill()

    def test_errors(self):
        code, _, error = audit(self.path)
        self.assertEqual(code, 1)
        self.assertIn("there is none", error)
        for arguments in (("--client", "x"), ("--module", "xyz"), ("--status", "fine"),
                          ("--since", "soon"), ("--limit", "-1"), ("--summary", "day")):
            with self.subTest(arguments):
                self.assertEqual(audit(self.path, *arguments)[0], 2)


class Damage(unittest.TestCase):
    def test_a_damaged_database_is_named_and_nothing_starts(self):
        with tempfile.TemporaryDirectory() as path:
            with Worker(BUILD, path) as worker:
                self.assertEqual(plasm(BUILD, "bench", HELLO, "--node", worker.address, "--count",
                                       "300", "--concurrency", "16")[0], 0)
            database = os.path.join(path, "state", "store", "plasm.db")
            jobs = rows(path, "--limit", "1000")
            self.assertGreaterEqual(len(jobs), 300)
            with open(database, "rb") as file:
                good = file.read()
            damages = {"head": b"garbage!" * 512 + good[4096:],
                       "half": good[:len(good) // 8192 * 4096],
                       "middle": good[:8192] + os.urandom(65536) + good[8192 + 65536:]}
            for name, bad in damages.items():
                with self.subTest(name):
                    with open(database, "wb") as file:
                        file.write(bad)
                    worker = Worker(BUILD, path)
                    with self.assertRaises(RuntimeError) as raised:
                        worker.__enter__()
                    self.assertIn("damaged", str(raised.exception).rsplit("Starting", 1)[1])
            with open(database, "wb") as file:
                file.write(good)
            with Worker(BUILD, path):
                self.assertEqual(rows(path, "--limit", "1000"), jobs)


if __name__ == "__main__":
    unittest.main(verbosity=2)
