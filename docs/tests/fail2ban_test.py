"""The fail2ban filter matches what plasmd writes of offenders, and nothing else it writes.

With fail2ban-regex at hand that judges; its own expressions are tried in any case."""

import configparser
import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FILTER = os.path.join(ROOT, "docs", "fail2ban", "plasmd.conf")
OFFENCES = os.path.join(ROOT, "lib", "util", "admission.c")
# As fail2ban has them, near enough for what is tried here.
ADDRESS = r"(?P<ip>\d+\.\d+\.\d+\.\d+|[0-9a-fA-F:]+)"
OTHERS = [
    "INFO plasmd: Peer discovered: 12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
    "INFO plasmd: Job rejected: busy: abuse from 203.0.113.7: 1 x in 1 s (y)",
    "WARN plasmd: peer: connection refused: abuse from 203.0.113.7: 1 x in 1 s (y)",
    "WARN plasmd: abuse from nobody: 50 refused connections in 3 s (connection rate)",
]


def offenders():
    """What lib/util/admission.c can say, in the places that journald and files put it."""
    with open(OFFENCES, encoding="utf-8") as file:
        kinds = re.findall(r'\{"([a-z ]+)", "([a-z ]+)", \d+\}', file.read())
    lines = []
    for what, why in kinds:
        for address in ("203.0.113.7", "2001:db8::7"):
            text = f"abuse from {address}: 50 {what} in 3 s ({why})"
            lines.append((address, "WARN plasmd: " + text))
            lines.append((address, "host plasmd[7]: WARN plasmd: " + text))
            lines.append((address, '{"time":"2026-11-25T09:00:00.000Z","level":"WARN","topic":"",'
                                   '"message":"' + text + '"}'))
    return kinds, lines


class Filter(unittest.TestCase):
    def setUp(self):
        parser = configparser.RawConfigParser()
        parser.read(FILTER)
        self.rules = [re.compile(rule.strip().replace("<ADDR>", ADDRESS))
                      for rule in parser["Definition"]["failregex"].splitlines()]

    def found(self, line):
        for rule in self.rules:
            match = rule.search(line)
            if match is not None:
                return match.group("ip")
        return None

    def test_expressions(self):
        kinds, lines = offenders()
        self.assertEqual(len(kinds), 7)
        for address, line in lines:
            self.assertEqual(self.found(line), address, line)
        for line in OTHERS:
            self.assertIsNone(self.found(line), line)

    @unittest.skipIf(shutil.which("fail2ban-regex") is None, "fail2ban-regex is not installed")
    def test_fail2ban(self):
        _, lines = offenders()
        with tempfile.NamedTemporaryFile("w", suffix=".log") as log:
            for line in [line for _, line in lines] + OTHERS:
                log.write("2026-11-25 09:00:00 " + line + "\n")
            log.flush()
            done = subprocess.run(["fail2ban-regex", log.name, FILTER], capture_output=True,
                                  text=True, check=True, timeout=60)
        self.assertIn(f"{len(lines)} matched, {len(OTHERS)} missed", done.stdout)


if __name__ == "__main__":
    unittest.main()
