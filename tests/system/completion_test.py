#!/usr/bin/env python3
"""Types at real shells in a pseudo-terminal, with the scripts that plasm and plasmd write for them.

usage: completion_test.py BUILD_DIRECTORY; a shell that is not installed is skipped."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

BIN = os.path.join(os.path.abspath(sys.argv.pop(1)), "bin")
SECONDS_MAX = 20
TERMINAL_WIDTH = 200
# What is typed, and the words that the shell runs then: the programs are functions that show them.
TYPED = [
    ("plasm disc\t--prof\tdet\t", ["plasm", "discover", "--profile", "deterministic/1"]),
    ("plasm run hel\t --timeo\t 5", ["plasm", "run", "hello.wasm", "--timeout", "5"]),
    ("plasm verify --stdin no\t", ["plasm", "verify", "--stdin", "notes.txt"]),
    ("plasm completion fi\t", ["plasm", "completion", "fish"]),
    ("plasmd --log-format js\t", ["plasmd", "--log-format", "json"]),
    ("plasmd check-\t", ["plasmd", "check-config"]),
    ("plasmd key ro\t", ["plasmd", "key", "rotate"]),
    ("plasmd au\t--summ\tmo\t", ["plasmd", "audit", "--summary", "module"]),
]
SHOW = ("plasm() { printf '<%s>' plasm ${@//=/'><'}; }; plasmd() { printf '<%s>' plasmd "
        "${@//=/'><'}; }; ")
SHOW_FISH = ("function plasm; printf '<%s>' plasm (string split = -- $argv); end; "
             "function plasmd; printf '<%s>' plasmd (string split = -- $argv); end; ")
ESCAPES = re.compile(r"\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[\[(][0-9;?>=]*[A-Za-z]|\x1b[=>]|[\x07\r]")
# fish asks the terminal what it is, and waits for the answer.
ANSWERS = {b"\x1b[c": b"\x1b[?62;c", b"\x1b[0c": b"\x1b[?62;c"}


class Shell:
    """A shell with a terminal; `said` is what it wrote since the last look, without escapes."""

    def __init__(self, command, directory):
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(directory)
            os.environ.update(PATH=BIN + ":" + os.environ["PATH"], TERM="xterm", HOME=directory,
                              COLUMNS=str(TERMINAL_WIDTH), LINES="60", ZDOTDIR=directory)
            os.execvp(command[0], command)
        self.raw = b""

    def type(self, text):
        self.raw = b""
        os.write(self.terminal, text.encode())

    def wait_for(self, pattern):
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            said = ESCAPES.sub("", self.raw.decode(errors="replace"))
            if re.search(pattern, said, re.S):
                return said
            if select.select([self.terminal], [], [], 0.2)[0]:
                try:
                    piece = os.read(self.terminal, 65536)
                except OSError:
                    break
                self.raw += piece
                for question, answer in ANSWERS.items():
                    if question in piece:
                        os.write(self.terminal, answer)
        raise AssertionError(f"no {pattern!r} in {self.raw!r}")

    def close(self):
        os.close(self.terminal)
        os.waitpid(self.process, 0)


class Completion(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        for name in ("hello.wasm", "notes.txt"):
            with open(os.path.join(self.directory.name, name), "w", encoding="ascii"):
                pass
        for shell in ("bash", "zsh", "fish"):
            for program in ("plasm", "plasmd"):
                if os.path.exists(os.path.join(BIN, program)):
                    with open(os.path.join(self.directory.name, f"{program}.{shell}"), "wb") as out:
                        subprocess.run([os.path.join(BIN, program), "completion", shell],
                                       stdout=out, check=True)

    def tearDown(self):
        self.directory.cleanup()

    def try_out(self, command, prepare):
        if shutil.which(command[0]) is None:
            self.skipTest(f"{command[0]} is not installed")
        shell = Shell(command, self.directory.name)
        try:
            shell.type(prepare + "echo rea''dy\n")
            shell.wait_for(r"\nready")
            for typed, words in TYPED:
                if words[0] == "plasm" or os.path.exists(os.path.join(BIN, "plasmd")):
                    shell.type(typed + "\n")
                    shell.wait_for(re.escape("".join(f"<{word}>" for word in words)))
        finally:
            shell.close()

    def test_bash(self):
        self.try_out(["bash", "--norc", "--noprofile", "-i"],
                     SHOW + "bind 'set enable-bracketed-paste off' 2>/dev/null; . ./plasm.bash; "
                     "[ -e plasmd.bash ] && . ./plasmd.bash; ")

    def test_zsh(self):
        self.try_out(["zsh", "-f", "-i"],
                     SHOW + "unsetopt zle_bracketed_paste; autoload -Uz compinit; compinit -u -D; "
                     ". ./plasm.zsh; [ -e plasmd.zsh ] && . ./plasmd.zsh; ")

    def test_fish(self):
        self.try_out(["fish", "--no-config", "-i"],
                     SHOW_FISH + ". ./plasm.fish; test -e plasmd.fish; and . ./plasmd.fish; ")

    def test_another_shell(self):
        done = subprocess.run([os.path.join(BIN, "plasm"), "completion", "csh"], text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("bash, zsh and fish", done.stderr)


if __name__ == "__main__":
    unittest.main()
