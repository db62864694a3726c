"""A real plasmd on a free port of the loopback interface, and the command plasm against it."""

import json
import os
import signal
import subprocess
import tempfile
import time

START_SECONDS_MAX = 60
COMMAND_SECONDS_MAX = 120


class Worker:
    """Runs while it is entered; its state lives in `directory`, which may be used again."""

    def __init__(self, build, directory, *arguments, bootstrap=(), listen=0, environment=None):
        self.build = build
        self.directory = directory
        self.arguments = list(arguments)
        self.listen = listen
        self.environment = environment or {}
        for address in bootstrap:
            self.arguments += ["--bootstrap", address]
        self.process = None
        self.address = None

    def __enter__(self):
        os.makedirs(self.directory, exist_ok=True)
        addresses = os.path.join(self.directory, "addresses")
        if os.path.exists(addresses):
            os.unlink(addresses)
        environment = dict(os.environ) | self.environment
        environment.pop("PLASM_BOOTSTRAP", None)
        self.log_before = os.path.getsize(self.log_path()) if os.path.exists(self.log_path()) else 0
        with open(self.log_path(), "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(self.build, "bin", "plasmd"),
                 "--listen", f"/ip4/127.0.0.1/udp/{self.listen}/quic-v1",
                 "--state-dir", os.path.join(self.directory, "state"),
                 "--print-addresses", addresses, "--status-page", "off", *self.arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + START_SECONDS_MAX
        # A worker that logs less than usual is one that does not say it either.
        quiet = "--log-level" in self.arguments
        while not os.path.exists(addresses) or not (quiet or "Sandbox ready" in self.log_of_this_run()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError("plasmd did not start; it said:\n" + self.log())
            time.sleep(0.02)
        with open(addresses, encoding="utf-8") as file:
            self.address = file.readline().strip()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                try:
                    code = self.process.wait(5)
                except subprocess.TimeoutExpired:  # it waits for jobs: the second signal is for those
                    self.process.terminate()
                    code = self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
            if code != 0:
                raise RuntimeError(f"plasmd ended with {code}; it said:\n" + self.log()[-3000:])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    @property
    def peer_id(self):
        return self.address.rsplit("/", 1)[1]

    def log_path(self):
        return os.path.join(self.directory, "plasmd.log")

    def log_of_this_run(self):
        with open(self.log_path(), "rb") as file:
            file.seek(self.log_before)
            return file.read().decode(errors="replace")

    def log(self):
        with open(self.log_path(), encoding="utf-8", errors="replace") as file:
            return file.read()

    def memory_kib(self):
        """Resident set of plasmd itself."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        raise RuntimeError("no VmRSS")


def plasm(build, *arguments, stdin=b"", timeout=COMMAND_SECONDS_MAX):
    """Runs `plasm` without memory of other runs; (exit code, output, error output)."""
    environment = dict(os.environ)
    environment.pop("PLASM_BOOTSTRAP", None)
    with tempfile.TemporaryDirectory() as home:
        environment["XDG_STATE_HOME"] = home
        done = subprocess.run([os.path.join(build, "bin", "plasm"), *arguments], input=stdin,
                              capture_output=True, timeout=timeout, env=environment, check=False)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


class Runner:
    """Runs modules on one worker and keeps the last receipt."""

    def __init__(self, worker):
        self.worker = worker
        self.receipt_path = os.path.join(worker.directory, "receipt.json")

    def run(self, module, *arguments, flags=(), stdin=b""):
        if os.path.exists(self.receipt_path):
            os.unlink(self.receipt_path)
        return plasm(self.worker.build, "run", module, "--node", self.worker.address, "--receipt",
                     self.receipt_path, *flags, "--", *arguments, stdin=stdin)

    def receipt(self):
        """The last receipt, after `plasm verify` has found it to hold under the worker's key."""
        code, out, error = plasm(self.worker.build, "verify", self.receipt_path, "--key",
                                 self.worker.peer_id)
        if code != 0:
            raise AssertionError(f"plasm verify: {code} {out!r} {error}")
        with open(self.receipt_path, encoding="utf-8") as file:
            return json.load(file)["receipt"]
