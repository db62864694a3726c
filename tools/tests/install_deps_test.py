#!/usr/bin/env python3
"""Tests tools/install-deps against a made-up system: fake dpkg-query, apt-get, apt-cache, cargo."""

import os
import shutil
import subprocess
import tempfile
import time
import unittest

TOOL = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "install-deps")
COMMANDS = ("sh", "sed", "grep", "sort", "head", "cut", "cat", "env", "id")

FAKES = {
    # Knows every package but those in $LACKS; fails for those, as the real one does.
    "dpkg-query": """shift 3
for package in "$@"; do
    case " $LACKS " in *" $package "*) status=1 ;; *) echo "ii  $package" ;; esac
done
exit ${status:-0}""",
    "apt-get": """echo "apt-get DEBIAN_FRONTEND=$DEBIAN_FRONTEND $*" >> "$LOG" """,
    "apt-cache": """echo "  Candidate: $CANDIDATE" """,
    "cargo": """echo "cargo $CARGO (abc 2026-01-01)" """,
    "go": """echo "go$GO" """,
    "node": """echo "v$NODE" """,
    "clang": """echo 14.0.6""",
    "id": """echo "$USER_ID" """,
    "sudo": """echo sudo >> "$LOG"; exec "$@" """,
}


class InstallDeps(unittest.TestCase):
    def run_tool(self, *arguments, lacks="", without=(), **settings):
        """Returns (exit status, output, what apt-get was called with)."""
        with tempfile.TemporaryDirectory() as directory:
            for name in COMMANDS:
                os.symlink(shutil.which(name), os.path.join(directory, name))
            for name, body in FAKES.items():
                path = os.path.join(directory, name)
                if name in without:
                    continue
                if os.path.islink(path):
                    os.unlink(path)
                with open(path, "w", encoding="utf-8") as file:
                    file.write("#!/bin/sh\n" + body + "\n")
                os.chmod(path, 0o755)
            log = os.path.join(directory, "log")
            environment = {"PATH": directory, "LOG": log, "LACKS": lacks, "CARGO": "1.95.0",
                           "GO": "1.26.1", "NODE": "20.1.0", "CANDIDATE": "1:1.19~1",
                           "USER_ID": "0", **settings}
            result = subprocess.run([TOOL, *arguments], env=environment, text=True, check=False,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            calls = []
            if os.path.exists(log):
                with open(log, encoding="utf-8") as file:
                    calls = file.read().splitlines()
        return result.returncode, result.stdout, calls

    def test_nothing_missing_is_fast_and_silent_to_apt(self):
        started = time.monotonic()
        status, output, calls = self.run_tool("build", "daemon", "demo", "test", "interop", "deb")
        self.assertLess(time.monotonic() - started, 2)
        self.assertEqual((status, calls), (0, []))
        self.assertIn("nothing to install", output)

    def test_installs_exactly_what_is_missing(self):
        status, output, calls = self.run_tool("build", lacks="libuv1-dev cmake libcmocka-dev")
        self.assertEqual(status, 0, output)
        self.assertIn("installing cmake libuv1-dev\n", output)
        self.assertEqual(len(calls), 2)
        self.assertIn(" update", calls[0])
        self.assertTrue(calls[1].endswith("--no-install-recommends cmake libuv1-dev"), calls)
        self.assertIn("DEBIAN_FRONTEND=noninteractive", calls[1])

    def test_dry_run(self):
        status, output, calls = self.run_tool("--dry-run", "build", lacks="cmake")
        self.assertEqual((status, calls), (0, []))
        self.assertIn("installing cmake\n", output)

    def test_sudo_where_not_root(self):
        status, output, calls = self.run_tool("build", lacks="cmake", USER_ID="1000")
        self.assertEqual(status, 0, output)
        self.assertEqual([line.split()[0] for line in calls], ["sudo", "apt-get"] * 2)
        status, output, calls = self.run_tool("build", lacks="cmake", USER_ID="1000",
                                              without=("sudo",))
        self.assertEqual((status, calls), (1, []))
        self.assertIn("as root, run: apt-get install cmake", output)

    def test_cargo_is_explained_never_fetched(self):
        for settings in ({"CARGO": "1.63.0"}, {"without": ("cargo",)}):
            status, output, calls = self.run_tool("build", "daemon", **settings)
            self.assertEqual((status, calls), (1, []))
            self.assertIn("Rust 1.95 or newer", output)
        status, _, _ = self.run_tool("build", CARGO="1.63.0")
        self.assertEqual(status, 0)
        status, _, _ = self.run_tool("daemon", CARGO="1.100.0")
        self.assertEqual(status, 0)

    def test_old_go_and_node_are_skipped_with_a_reason(self):
        status, output, calls = self.run_tool("interop", GO="1.19.8", NODE="18.19.0")
        self.assertEqual((status, calls), (0, []))
        self.assertIn("go 1.19.8, 1.26 or newer is needed", output)
        self.assertIn("node 18.19.0, 20 or newer is needed", output)
        status, output, calls = self.run_tool("interop", without=("go", "node"))
        self.assertEqual((status, calls), (0, []))
        self.assertIn("go is missing", output)
        status, output, calls = self.run_tool("interop", without=("go", "node"),
                                              CANDIDATE="2:1.27~2")
        self.assertEqual(status, 0)
        self.assertTrue(calls[1].endswith(" golang-go"), calls)

    def test_clang_runtime_follows_clang(self):
        _, output, _ = self.run_tool("--dry-run", "test",
                                     lacks="libclang-rt-14-dev libclang-rt-18-dev")
        self.assertIn("installing libclang-rt-14-dev\n", output)

    def test_no_apt(self):
        status, output, _ = self.run_tool("build", without=("dpkg-query", "apt-get"))
        self.assertEqual(status, 1)
        self.assertIn("libngtcp2-dev", output)

    def test_unknown_group(self):
        status, output, _ = self.run_tool("bulid")
        self.assertEqual(status, 2)
        self.assertIn("unknown group bulid", output)


if __name__ == "__main__":
    unittest.main()
