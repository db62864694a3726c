"""The status page, the API and the metrics of a real plasmd that has real jobs: true numbers, a page
that Chromium shows without complaint, metrics that promtool likes, and whom the port refuses.
Usage: status_test.py BUILD_DIR"""

import fcntl
import glob
import http.client
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

from worker import Runner, Worker, plasm

BUILD = os.path.abspath(sys.argv.pop(1))
HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
LIMITS = os.path.join(BUILD, "wasm-tests", "limits.wasm")
STREAMS = os.path.join(BUILD, "wasm-tests", "streams.wasm")
TOOLS = os.path.join(BUILD, "status-tools")
PICTURES = os.path.join(BUILD, "status-pictures")
WAIT_SECONDS_MAX = 30


def promtool():
    """The path of promtool, unpacked from Debian's package where it is not installed; or None."""
    found = shutil.which("promtool") or os.path.join(TOOLS, "usr/bin/promtool")
    if os.path.exists(found):
        return found
    if shutil.which("apt-get") is None:
        return None
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        subprocess.run(["apt-get", "download", "-q", "prometheus"], cwd=directory, check=False,
                       capture_output=True, timeout=60)
        for package in glob.glob(os.path.join(directory, "*.deb")):
            os.makedirs(TOOLS, exist_ok=True)
            archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True,
                                     capture_output=True)
            subprocess.run(["tar", "-x", "-C", TOOLS, "./usr/bin/promtool"], input=archive.stdout,
                           check=True)
    return found if os.path.exists(found) else None


def browser_tools():
    """A directory with look.js and what it needs from npm; or None."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return None
    place = os.path.join(TOOLS, "browser")
    os.makedirs(place, exist_ok=True)
    fresh = True
    for name in ("package.json", "package-lock.json", ".npmrc", "look.js"):
        source = os.path.join(HERE, "browser", name)
        target = os.path.join(place, name)
        with open(source, "rb") as file:
            content = file.read()
        if name != "look.js" and os.path.exists(target):
            with open(target, "rb") as file:
                fresh = fresh and file.read() == content
        with open(target, "wb") as file:
            file.write(content)
    modules = os.path.join(place, "node_modules", "axe-core", "axe.js")
    if not fresh or not os.path.exists(modules):
        done = subprocess.run(["npm", "ci", "--prefer-offline", "--ignore-scripts", "--loglevel=error"], cwd=place, check=False,
                              capture_output=True, timeout=120)
        if done.returncode != 0:
            return None
    return place


class Status(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.worker = Worker(BUILD, cls.directory.name, "--mdns", "off", "--status-page", "127.0.0.1:0")
        cls.worker.__enter__()
        cls.runner = Runner(cls.worker)
        cls.url = re.search(r"Status page on (\S+)", cls.worker.log()).group(1)
        cls.port = int(cls.url.rsplit(":", 1)[1].strip("/"))

    @classmethod
    def tearDownClass(cls):
        cls.worker.__exit__()
        cls.directory.cleanup()

    def ask(self, path, method="GET", headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS_MAX)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def metrics(self):
        """{"name{labels}": number}"""
        text = self.ask("/metrics")[2].decode()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                for line in text.splitlines() if not line.startswith("#")}

    def test_numbers_are_true(self):
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while self.metrics()["plasmd_jobs_running"] != 0:  # another test's
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        before = self.metrics()
        self.assertEqual(self.runner.run(LIMITS, "exit", "7")[0], 7)
        self.assertEqual(self.runner.run(LIMITS, "exit", "0")[0], 0)
        self.assertEqual(self.runner.run(LIMITS, "exit", "0")[0], 0)
        self.runner.run(LIMITS, "loop", flags=("--timeout", "1"))
        code, out, _ = self.runner.run(STREAMS, "lines", "5", "1")
        self.assertEqual(code, 0)
        receipt = self.runner.receipt()
        self.assertNotEqual(self.runner.run(LIMITS, "exit", "0", flags=("--memory", "1"))[0], 0)
        after = self.metrics()

        def grown(name):
            return after[name] - before[name]

        self.assertEqual(grown('plasmd_jobs_ended_total{status="ok"}'), 3)
        self.assertEqual(grown('plasmd_jobs_ended_total{status="exit"}'), 1)
        self.assertEqual(grown('plasmd_jobs_ended_total{status="timeout"}'), 1)
        self.assertEqual(grown("plasmd_jobs_accepted_total"),
                         grown("plasmd_receipts_signed_total"))
        self.assertEqual(grown("plasmd_job_output_bytes_total"), len(out))
        self.assertGreaterEqual(grown("plasmd_job_run_seconds_sum"), 1)
        self.assertEqual(grown("plasmd_job_run_seconds_count"),
                         grown('plasmd_job_run_seconds_bucket{le="+Inf"}'))
        self.assertEqual(after["plasmd_jobs_running"], 0)
        self.assertGreater(grown("plasmd_peers_identified_total"), 0)
        jobs = json.loads(self.ask("/api/v1/jobs")[2])["recent"]
        shown = [job for job in jobs if job["job_id"] == receipt["job_id"]]
        self.assertEqual(len(shown), 1)
        self.assertEqual((shown[0]["module_hash"], shown[0]["status"], shown[0]["output_bytes"]),
                         (receipt["module_hash"], "ok", len(out)))
        status = json.loads(self.ask("/api/v1/status")[2])
        self.assertEqual(status["peer_id"], self.worker.peer_id)
        self.assertEqual(status["jobs"]["receipts_signed"], after["plasmd_receipts_signed_total"])
        config = json.loads(self.ask("/api/v1/config")[2])
        self.assertEqual(config["limits"]["wall_ms"], 30000)
        self.assertIn("peers", json.loads(self.ask("/api/v1/peers")[2]))

    def test_promtool(self):
        tool = promtool()
        if tool is None:
            self.skipTest("no promtool, and apt-get cannot download the package prometheus")
        self.runner.run(LIMITS, "exit", "0")
        done = subprocess.run([tool, "check", "metrics"], input=self.ask("/metrics")[2],
                              capture_output=True, check=False, timeout=WAIT_SECONDS_MAX)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        rules = os.path.join(SOURCE, "docs", "prometheus", "plasmd.rules.yml")
        done = subprocess.run([tool, "check", "rules", rules], capture_output=True, check=False,
                              timeout=WAIT_SECONDS_MAX)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(rules, encoding="utf-8") as file:
            names = set(re.findall(r"plasmd_\w+", file.read()))
        known = {name.split("{")[0] for name in self.metrics()}
        self.assertLessEqual(names, known)

    def test_who_is_refused(self):
        for path, method, headers, wanted in (
                ("/", "GET", {}, 200), ("/", "HEAD", {}, 200), ("/nothing", "GET", {}, 404),
                ("/api/v1/status/", "GET", {}, 404), ("/../etc/passwd", "GET", {}, 404),
                ("/", "POST", {}, 405), ("/metrics", "DELETE", {}, 405),
                ("/", "GET", {"Host": "evil.example"}, 421),
                ("/", "GET", {"Host": f"evil.example:{self.port}"}, 421),
                ("/", "GET", {"Host": "127.0.0.1.evil.example"}, 421),
                ("/", "GET", {"Host": f"localhost:{self.port}"}, 200)):
            status, answered, body = self.ask(path, method, headers)
            self.assertEqual(status, wanted, (path, method, headers))
            self.assertIn("default-src 'none'", answered["Content-Security-Policy"])
            self.assertEqual(answered["X-Content-Type-Options"], "nosniff")
            self.assertEqual(answered["Referrer-Policy"], "no-referrer")
            self.assertEqual(body == b"", method == "HEAD")

    def test_slow_and_many(self):
        """Whoever opens connections and says nothing, or little, does not keep others out for
        long."""
        slow = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(40)]
        begun = time.monotonic()
        for connection in slow[:32]:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        self.assertEqual(self.ask("/metrics")[0], 200)
        self.assertLess(time.monotonic() - begun, WAIT_SECONDS_MAX)
        for connection in slow:
            connection.close()

    def test_browser(self):
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        if chromium is None:
            self.skipTest("no chromium")
        place = browser_tools()
        if place is None:
            self.skipTest("no node, or npm cannot install axe-core and puppeteer-core")
        os.makedirs(PICTURES, exist_ok=True)
        for _ in range(3):
            self.runner.run(LIMITS, "exit", "0")
        self.runner.run(LIMITS, "exit", "3")
        self.runner.run(LIMITS, "unreachable")
        job = subprocess.Popen(
            [os.path.join(BUILD, "bin", "plasm"), "run", STREAMS, "--node", self.worker.address,
             "--state-dir", "", "--", "lines", "1000", "25"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + WAIT_SECONDS_MAX
            while self.metrics()["plasmd_jobs_running"] != 1:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)
            done = subprocess.run(["node", os.path.join(place, "look.js"), chromium, self.url,
                                   PICTURES], capture_output=True, check=False, timeout=150)
            self.assertEqual(done.returncode, 0, done.stderr.decode())
        finally:
            job.send_signal(signal.SIGINT)  # cancels the job
            job.wait(WAIT_SECONDS_MAX)
        views = {view["name"]: view for view in json.loads(done.stdout)}
        for name, view in views.items():
            self.assertEqual(view["complaints"], [], name)
            self.assertEqual(view.get("overflow", 0), 0, name)
            self.assertEqual(view.get("axeViolations", []), [], name)
            self.assertIn(self.worker.peer_id, view["html"])
            self.assertIn(">running</span>", view["html"], name)
            self.assertGreater(os.path.getsize(os.path.join(PICTURES, name + ".png")), 10000)
        self.assertGreater(views["phone"]["axePasses"], 10)
        self.assertTrue(views["desktop"]["refreshed"])

    def top(self, *arguments):
        """(process, terminal) of plasm top in a terminal of 30 rows."""
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        before = termios.tcgetattr(follower)
        process = subprocess.Popen(
            [os.path.join(BUILD, "bin", "plasm"), "top", "--node-url", self.url, *arguments],
            stdin=follower, stdout=follower, stderr=follower, start_new_session=True)
        return process, leader, follower, before

    def read_until(self, leader, wanted, seen=b""):
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while wanted not in seen:
            self.assertLess(time.monotonic(), deadline, seen)
            if select.select([leader], [], [], 0.1)[0]:
                seen += os.read(leader, 65536)
        return seen

    def test_top(self):
        self.runner.run(LIMITS, "exit", "0")
        for end in (b"q", signal.SIGINT, signal.SIGTERM, signal.SIGSEGV):
            process, leader, follower, before = self.top()
            try:
                seen = self.read_until(leader, self.worker.peer_id.encode())
                self.assertIn(b"\x1b[?1049h", seen)
                self.assertFalse(termios.tcgetattr(follower)[3] & termios.ECHO)
                fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 20, 0, 0))
                process.send_signal(signal.SIGWINCH)
                # Twenty columns: the peer id is cut.
                self.read_until(leader, b"\x1b[H\x1b[1m" + self.worker.peer_id[:20].encode() +
                                b"\x1b[0m")
                if end == b"q":
                    os.write(leader, end)
                else:
                    process.send_signal(end)
                self.read_until(leader, b"\x1b[?25h\x1b[?1049l")
                code = process.wait(WAIT_SECONDS_MAX)
                self.assertEqual(code, 0 if end == b"q" else -end)
                self.assertEqual(termios.tcgetattr(follower), before)
            finally:
                process.kill()
                process.wait()
                os.close(leader)
                os.close(follower)

    def test_top_for_programs(self):
        code, out, error = plasm(BUILD, "top", "--node-url", self.url, "--json")
        self.assertEqual(code, 0, error)
        seen = json.loads(out)
        self.assertEqual(seen["status"]["peer_id"], self.worker.peer_id)
        self.assertIn("recent", seen["jobs"])
        code, out, error = plasm(BUILD, "top", "--node-url", self.url, "--once")
        self.assertEqual(code, 0, error)
        self.assertIn(self.worker.peer_id.encode(), out)
        self.assertNotIn(b"\x1b", out)
        code, _, error = plasm(BUILD, "top", "--node-url", "http://127.0.0.1:1", "--once")
        self.assertEqual(code, 1)
        self.assertIn("127.0.0.1:1", error)

    def test_unix_socket_and_off(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "status.sock")
            for _ in range(2):  # the second one finds the first one's socket
                with Worker(BUILD, directory, "--mdns", "off", "--status-page", path) as worker:
                    with socket.socket(socket.AF_UNIX) as client:
                        client.settimeout(WAIT_SECONDS_MAX)
                        client.connect(path)
                        client.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
                        answer = b"".join(iter(lambda: client.recv(4096), b""))
                    self.assertIn(worker.peer_id.encode(), answer)
                    self.assertEqual(os.stat(path).st_mode & 0o007, 0)
        with tempfile.TemporaryDirectory() as directory:
            refused = subprocess.run([os.path.join(BUILD, "bin", "plasmd"), "--status-page",
                                      "0.0.0.0:0", "check-config"], capture_output=True,
                                     check=False, timeout=WAIT_SECONDS_MAX)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn(b"allow_remote", refused.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
