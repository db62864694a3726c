#!/usr/bin/env python3
"""Tests that plasmd.conf and plasmd.conf(5) name every setting of the daemon's schema, no other,
and the same defaults."""

import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def schema():
    """[(section, key, default)] of the table in config_schema.c."""
    text = read("daemon/plasmd/config_schema.c")
    table = re.search(r"settings\[\] = \{\n(.*?)\n\};", text, re.S).group(1)
    table = re.sub(r'"\n\s*"', "", table)  # literals that stand in two lines
    rows = re.findall(r'\{"(\w+)",\s*"(\w+)",\s*KIND_\w+,\s*FIELD\([\w.]+\),[^"]*?\{(?:NULL|[^}]*)\},'
                      r'\s*((?:"[^"]*"\s*)+|\w+),', table)
    macros = dict(re.findall(r'#define (\w+)\s+("[^"]*")', read("daemon/plasmd/config.h")))
    return [(section, key, re.sub(r'"\s*"', "", macros.get(shown, shown)).strip('" \n'))
            for section, key, shown in rows]


def sections(text, heading, item):
    """[(section, match)] of the items below each heading."""
    found, section = [], None
    for line in text.splitlines():
        match = re.match(heading, line)
        if match is not None:
            section = match.group(1)
            continue
        match = re.match(item, line)
        if match is not None:
            found.append((section,) + match.groups())
    return found


class Settings(unittest.TestCase):
    maxDiff = None

    def test_schema_is_read(self):
        rows = schema()
        self.assertEqual(len(rows), read("daemon/plasmd/config_schema.c").count("     FIELD(") +
                         len(re.findall(r"\{.*KIND_.*FIELD\(", read("daemon/plasmd/config_schema.c"))))
        self.assertIn(("node", "state_dir", "/var/lib/plasm"), rows)

    def test_configuration_file(self):
        shown = sections(read("daemon/debian/plasmd.conf"), r"\[(\w+)\]$", r"#(\w+) = ?(.*)$")
        self.assertEqual(shown, schema())

    def test_manual_page(self):
        shown = sections(read("docs/man/plasmd.conf.5"), r"\.Ss \[(\w+)\]$", r"\.It Cm (\w+)\b")
        self.assertEqual(shown, [row[:2] for row in schema()])


if __name__ == "__main__":
    unittest.main()
