#!/usr/bin/env python3
"""A seed replays a run exactly, in another process too; another seed makes another run; and what
plasm-sim refuses."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)


def run(*options):
    return subprocess.run([PROGRAM, *options], text=True, check=False, timeout=600,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def report(*options):
    ended = run("--json", *options)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


class Replay(unittest.TestCase):
    small = ("--nodes", "60", "--loss", "3", "--nat", "20", "--settle", "5", "--churn",
             "90", "--steady", "600", "--part", "30", "--part-time", "40",
             "--sybils", "5")

    def test_same_seed(self):
        first = report("--seed", "7", *self.small)
        again = report("--seed", "7", *self.small)
        for key in ("real_s", "events_per_s", "steady_real_s"):
            first.pop(key)
            again.pop(key)
        self.assertEqual(first, again)

    def test_other_seed(self):
        first = report("--seed", "7", *self.small)
        other = report("--seed", "8", *self.small)
        self.assertNotEqual(first["trace_sha256"], other["trace_sha256"])

    def test_trace_file(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "trace")
            shown = report("--seed", "7", "--trace", path, *self.small)
            with open(path, "rb") as file:
                trace = file.read()
        self.assertEqual(hashlib.sha256(trace).hexdigest(), shown["trace_sha256"])
        lines = trace.decode().splitlines()
        self.assertEqual(len(lines), shown["trace_lines"])
        times = [int(line.split()[0]) for line in lines]
        self.assertEqual(times, sorted(times))
        self.assertEqual(sum(line.split()[1] == "die" for line in lines),
                         shown["died"] + shown["came"])

    def test_quic_events(self):
        # TLS draws its own random numbers, so the bytes differ; what happens and when does not.
        options = ("--quic", "--seed", "7", "--nodes", "10", "--loss", "2", "--settle", "5")
        self.assertEqual(report(*options)["trace_sha256"], report(*options)["trace_sha256"])

    def test_too_little_is_a_failure(self):
        # Half of all datagrams lost, and nobody may take his time: something is not found.
        ended = run("--nodes", "40", "--loss", "50", "--dead", "60", "--settle", "0", "--want",
                    "100")
        self.assertEqual(ended.returncode, 1, ended.stdout)
        self.assertIn("less than 100 % was found", ended.stderr)

    def test_refused_options(self):
        for options in (("--nodes", "7"), ("--nodes", "x"), ("--loss", "51"), ("--loss", ""),
                        ("--dead", "-1"), ("--want", "101"), ("--settle", "1e9"), ("--unknown",),
                        ("more",), ("--quic", "--nat", "10")):
            ended = run(*options)
            self.assertEqual(ended.returncode, 2, options)
            self.assertEqual(ended.stdout, "", options)
            self.assertNotEqual(ended.stderr, "", options)
        ended = run("--trace", "/nowhere/at/all", "--nodes", "10")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("/nowhere/at/all", ended.stderr)


if __name__ == "__main__":
    unittest.main()
