"""Drives peer programs that speak the JSON-lines protocol of README.md, and counts subtests.

Everything that waits has a limit. Only processes started here are ended, each by its own pid.
"""

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
import traceback

START_SECONDS = 30
CALL_SECONDS = 15
ANSWER_GRACE_SECONDS = 3
STOP_SECONDS = 10
STDERR_BYTES_SHOWN = 4000
ERROR_CHARACTERS_SHOWN = 600


class Failure(AssertionError):
    """A subtest's expectation that was not met; its text is what the reader sees."""


class CommandFailed(Failure):
    """A peer answered ok: false."""

    def __init__(self, peer, command, error):
        super().__init__(f"{peer.name}: {command} failed: {error[:ERROR_CHARACTERS_SHOWN]}")
        self.error = error


def expect(condition, text):
    """Fails the running subtest with text unless condition holds."""
    if not condition:
        raise Failure(text)


class Peer:
    """One peer process. `id` is its peer id, `addr` its first full multiaddr, once greet() has been
    called."""

    def __init__(self, name, argv, flags=()):
        self.name = name
        self.argv = [*argv, *flags]
        self.stderr = tempfile.TemporaryFile()
        self.lines = queue.Queue()
        self.answers = {}
        self.next_id = 1
        self.exit_code = None
        try:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.stderr,
            )
        except OSError as error:
            raise Failure(f"{name}: cannot start {self.argv[0]}: {error}") from error
        threading.Thread(target=self._read_lines, daemon=True).start()

    def greet(self):
        """Waits until it listens."""
        self.hello = self._next_line(time.monotonic() + START_SECONDS, "its first line")
        expect(
            self.hello.get("event") == "listening" and self.hello.get("addrs"),
            f"{self.name}: the first line is no listening event with addresses: {self.hello}",
        )
        self.id = self.hello["peer_id"]
        self.addr = self.hello["addrs"][0]
        expect(
            self.addr.endswith("/p2p/" + self.id),
            f"{self.name}: {self.addr} does not end in /p2p/{self.id}",
        )

    @property
    def listen_addr(self):
        """The address without its peer id."""
        return self.addr.rsplit("/p2p/", 1)[0]

    def call(self, command, seconds=CALL_SECONDS, **fields):
        """Sends one command and returns its answer; raises CommandFailed on ok: false."""
        return self.result(self.send(command, seconds=seconds, **fields))

    def send(self, command, seconds=CALL_SECONDS, **fields):
        """Sends one command and returns a ticket for result(), so that commands can overlap."""
        ticket = (self.next_id, command, time.monotonic() + seconds + ANSWER_GRACE_SECONDS)
        self.next_id += 1
        line = {"id": ticket[0], "cmd": command, "timeout_ms": int(seconds * 1000), **fields}
        try:
            self.process.stdin.write(json.dumps(line).encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise Failure(f"{self.name}: cannot send {command}: {error}\n{self.log()}") from error
        return ticket

    def result(self, ticket):
        """Waits for the answer to send()."""
        number, command, deadline = ticket
        while number not in self.answers:
            answer = self._next_line(deadline, f"the answer to {command}")
            self.answers[answer.get("id")] = answer
        answer = self.answers.pop(number)
        if answer.get("ok") is not True:
            raise CommandFailed(self, command, str(answer.get("error", f"no error text: {answer}")))
        return answer

    def fails(self, command, seconds=CALL_SECONDS, **fields):
        """Sends a command that must fail within its time, and returns the error text."""
        try:
            answer = self.call(command, seconds=seconds, **fields)
        except CommandFailed as failed:
            return failed.error
        raise Failure(f"{self.name}: {command} should have failed, but answered {answer}")

    def until(self, command, condition, text, seconds=CALL_SECONDS, **fields):
        """Repeats a command until condition(answer) holds; fails with text after `seconds`."""
        deadline = time.monotonic() + seconds
        last = None
        while time.monotonic() < deadline:
            try:
                last = self.call(command, **fields)
                if condition(last):
                    return last
            except CommandFailed as failed:
                last = failed
            time.sleep(0.02)
        raise Failure(f"{self.name}: {text} within {seconds} s; last {command}: {last}")

    def log(self):
        """The end of what the process wrote to standard error."""
        self.stderr.seek(0, 2)
        self.stderr.seek(max(0, self.stderr.tell() - STDERR_BYTES_SHOWN))
        text = self.stderr.read().decode(errors="replace").rstrip()
        return f"--- standard error of {self.name} ---\n{text}" if text else ""

    def stop(self):
        """Asks the process to quit, then insists. Returns its exit code."""
        if self.exit_code is not None:
            return self.exit_code
        with contextlib.suppress(OSError):
            self.process.stdin.write(b'{"id":0,"cmd":"quit"}\n')
            self.process.stdin.flush()
        for insist in (self.process.terminate, self.process.kill, None):
            try:
                self.exit_code = self.process.wait(timeout=STOP_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if insist is not None:
                    insist()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        return self.exit_code

    def _read_lines(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def _next_line(self, deadline, wanted):
        try:
            line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise Failure(f"{self.name}: timed out waiting for {wanted}\n{self.log()}") from None
        if line is None:
            self.lines.put(None)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=STOP_SECONDS)
            raise Failure(
                f"{self.name}: ended (exit code {self.process.returncode}) before {wanted}\n"
                f"{self.log()}"
            )
        try:
            return json.loads(line)
        except ValueError as error:
            raise Failure(f"{self.name}: not a JSON line: {line!r}") from error


class Programs:
    """The peer programs under test, by the kind used in the names of subtests. Node takes seconds to
    start: of what it runs, the next one of a kind starts while this one is used."""

    def __init__(self, **argv_by_kind):
        self.argv_by_kind = argv_by_kind
        self.count = 0
        self.spares = {}

    def start(self, kind):
        """Starts one peer; kind is "go" or, with flags, "go --mode client". It may not listen yet:
        see Peer.greet()."""
        peer = self.spares.pop(kind, None) or self._spawn(kind)
        if peer.argv[0] == "node":
            self.spares[kind] = self._spawn(kind)
        return peer

    def stop_spares(self):
        for peer in self.spares.values():
            peer.stop()
        self.spares = {}

    def _spawn(self, kind):
        self.count += 1
        name, *flags = kind.split()
        return Peer(f"{name}#{self.count}", self.argv_by_kind[name], flags)


class Suite:
    """Runs subtests in groups, prints a line for each and keeps the score."""

    def __init__(self, programs, only=None):
        self.programs = programs
        self.only = only
        self.passed = 0
        self.failed = 0
        self.started = time.monotonic()

    def group(self, name, kinds, body):
        """Starts fresh peers, hands them to body(check, *peers), and stops them. In the body,
        check(label, test, *arguments) runs one subtest and says whether it passed; a text that
        the test returns is printed with it. Starting the peers, and their ending by themselves
        with exit code 0, are subtests too."""
        if self.only is not None and self.only not in name:
            return
        peers = []

        def check(label, test, *arguments):
            return self._run(f"{name}: {label}", test, *arguments)

        def start_all():
            for kind in kinds:
                peers.append(self.programs.start(kind))
            for peer in peers:
                peer.greet()

        def stop_all():
            for peer in peers:
                code = peer.stop()
                expect(code == 0, f"{peer.name} exited with {code}\n{peer.log()}")

        try:
            if check("start", start_all):
                body(check, *peers)
            check("quit", stop_all)
        finally:
            for peer in peers:
                peer.stop()

    def _run(self, name, test, *arguments):
        start = time.monotonic()
        try:
            try:
                detail = test(*arguments)
            except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
                # An answer without a field that the protocol gives it, or with another type.
                raise Failure(traceback.format_exc()) from error
        except Failure as failure:
            self.failed += 1
            print(f"FAIL {name}\n     " + str(failure).rstrip().replace("\n", "\n     "))
            passed = False
        else:
            self.passed += 1
            milliseconds = (time.monotonic() - start) * 1000
            print(f"ok   {name} ({milliseconds:.0f} ms)" + (f": {detail}" if detail else ""))
            passed = True
        sys.stdout.flush()
        return passed

    def finish(self):
        """Prints the score and returns the exit code: a run without a subtest has failed."""
        self.programs.stop_spares()
        print(f"{time.monotonic() - self.started:.1f} s")
        print(f"{self.passed} passed, {self.failed} failed")
        return 0 if self.failed == 0 and self.passed > 0 else 1
