#!/usr/bin/env python3
"""Tests that the manual pages name the subcommands and options the programs have, and no others.

usage: options_test.py plasm PROGRAM | plasmd PROGRAM
"""

import os
import re
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NAME, PROGRAM = sys.argv.pop(1), sys.argv.pop(1)


def output(*arguments):
    return subprocess.run([PROGRAM, *arguments], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def page(name):
    with open(os.path.join(ROOT, "docs/man", name), encoding="utf-8") as file:
        return file.read()


def page_options(text):
    """Options that have a place of their own in the page."""
    items = [line for line in text.splitlines() if line.startswith(".It Fl -")]
    return {option for line in items for option in re.findall(r"Fl -([a-z-]+)", line)}


class Options(unittest.TestCase):
    maxDiff = None

    @unittest.skipUnless(NAME == "plasm", "about plasm")
    def test_plasm(self):
        text = page("plasm.1")
        commands = re.findall(r"^  ([a-z]+) ", output("--help"), re.M)
        self.assertGreater(len(commands), 4)
        self.assertEqual(re.findall(r"^\.It Cm ([a-z]+)$", text, re.M), commands)
        self.assertEqual(re.findall(r"^\.Nm\n\.Cm ([a-z]+)$", text, re.M), commands)
        options = {option for command in commands
                   for option in re.findall(r"^  --([a-z-]+)", output(command, "--help"), re.M)}
        self.assertEqual(page_options(text), options | {"help"})

    @unittest.skipUnless(NAME == "plasmd", "about plasmd")
    def test_plasmd(self):
        text = page("plasmd.8")
        usage = output("--help")
        options = set(re.findall(r"--([a-z-]+)", usage))
        self.assertEqual(page_options(text), options)
        commands = re.findall(r"plasmd \[OPTIONS\] ([a-z-]+(?: [a-z]+)?)  ", usage)
        self.assertGreater(len(commands), 1)
        self.assertEqual(re.findall(r"^\.It Cm ([a-z -]+)$", text, re.M), commands)


if __name__ == "__main__":
    unittest.main()
