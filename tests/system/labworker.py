"""plasmd and plasm on the hosts of a network laboratory."""

import json
import os
import subprocess
import tempfile
import time

START_SECONDS_MAX = 30
PAUSE_SECONDS = 0.05


def environment(home):
    """Nothing of this machine's own configuration."""
    made = {key: value for key, value in os.environ.items() if not key.startswith("PLASM_")}
    made["XDG_STATE_HOME"] = home
    return made


def until(condition, seconds, text, pause=PAUSE_SECONDS):
    """Repeats `condition` until it gives something; AssertionError with `text` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{text() if callable(text) else text} (within {seconds} s)")
        time.sleep(pause)


class LabWorker:
    """plasmd on a host, on the usual ports of every address, until it is stopped or the laboratory
    ends. More options as on its command line."""

    def __init__(self, build, host, *options):
        self.build = build
        self.host = host
        self.directory = tempfile.TemporaryDirectory()
        host.cleanups.append(self.directory.cleanup)
        self.addresses_path = os.path.join(self.directory.name, "addresses")
        self.log_path = os.path.join(self.directory.name, "log")
        with open(self.log_path, "wb") as log:
            self.process = host.popen(
                [os.path.join(build, "bin", "plasmd"), "--state-dir",
                 os.path.join(self.directory.name, "state"), "--print-addresses",
                 self.addresses_path, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment(self.directory.name))
        until(lambda: os.path.exists(self.addresses_path) and "Sandbox ready" in self.log()
              or self.process.poll() is not None, START_SECONDS_MAX,
              lambda: "plasmd did not start; it said:\n" + self.log())
        if self.process.poll() is not None:
            raise AssertionError("plasmd ended; it said:\n" + self.log())

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    @property
    def addresses(self):
        """Full multiaddrs at the start."""
        with open(self.addresses_path, encoding="utf-8") as file:
            return file.read().split()

    @property
    def peer_id(self):
        return self.addresses[0].rsplit("/", 1)[1]

    def stop(self):
        self.process.terminate()
        code = self.process.wait(START_SECONDS_MAX)
        if code != 0:
            raise AssertionError(f"plasmd ended with {code}; it said:\n" + self.log()[-3000:])


def plasm(build, host, *arguments, stdin=b"", home=None):
    """Runs `plasm` on a host, without memory of other runs unless `home` is given."""
    with tempfile.TemporaryDirectory() as fresh:
        return host.run(os.path.join(build, "bin", "plasm"), *arguments, input=stdin,
                        env=environment(home or fresh))


def run_job(build, host, module, *options, stdin=b"", home=None):
    """Runs a module; its output and its receipt. AssertionError with what was said otherwise."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "receipt.json")
        done = plasm(build, host, "run", "--receipt", path, module, *options, stdin=stdin,
                     home=home)
        if done.returncode != 0:
            raise AssertionError(f"plasm run: {done.returncode}\n{done.stderr.decode()}")
        with open(path, encoding="utf-8") as file:
            return done.stdout, json.load(file)["receipt"]
