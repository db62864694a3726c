#!/usr/bin/env python3
"""Tests tools/check-style: each rule refuses a file made to break it, and good files pass."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

TOOL = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "check-style")
REPOSITORY = os.path.dirname(os.path.dirname(TOOL))

HEAD = "/* Adds numbers for the tests. */\n"
# Written apart so that this file passes its own check.
UNFINISHED = "TO" "DO"
MACHINE = "/ro" "ot/"


def function(lines):
    """C code of one function with so many lines."""
    return "int add(int a) {\n" + "    a++;\n" * (lines - 3) + "    return a;\n}\n"


class CheckStyle(unittest.TestCase):
    def run_tool(self, files, track=None):
        with tempfile.TemporaryDirectory() as root:
            shutil.copy(os.path.join(REPOSITORY, ".clang-format"), root)
            for path, text in files.items():
                path = os.path.join(root, path)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    file.write(text if isinstance(text, bytes) else text.encode())
            if track is not None:
                subprocess.run(["git", "init", "-q", root], check=True)
                subprocess.run(["git", "-C", root, "add", "--", *track], check=True)
            result = subprocess.run([sys.executable, TOOL, "--root", root], text=True,
                                    stdout=subprocess.PIPE, check=False)
        return result.returncode, result.stdout

    def accepts(self, path, text):
        status, output = self.run_tool({path: text})
        self.assertEqual(status, 0, output)
        self.assertIn("0 violations", output)
        return output

    def refuses(self, path, text, line, rule):
        status, output = self.run_tool({path: text})
        self.assertEqual(status, 1, output)
        self.assertIn("1 violations", output)
        self.assertIn(f"{path}:{line}: ", output)
        self.assertIn(rule, output)

    def test_good_files(self):
        self.accepts("lib/a.c", HEAD + function(70))
        self.accepts("lib/a.h", HEAD + "#ifndef A_H\n#define A_H\n\nint add(int a);\n\n#endif\n")
        self.accepts("php/A.php", "<?php\n\ndeclare(strict_types=1);\n\nnamespace A;\n\nuse B;\n\n"
                     "/** Adds two numbers. */\nfinal class A\n{\n}\n")
        self.accepts("tools/a", "#!/bin/sh\n# Adds two numbers.\nset -eu\n")
        self.accepts("a/CMakeLists.txt", "plasm_module(a)\n")
        self.accepts("README.md", "# A project\n")
        self.accepts("lib/corpus/a/one", b"\0\1 \n ")

    def test_purpose(self):
        rule = "open with a comment"
        self.refuses("lib/a.c", "#include <stddef.h>\n", 1, rule)
        self.refuses("lib/a.c", "/* a.c */\nint a;\n", 1, rule)
        self.refuses("tools/a.py", "#!/usr/bin/env python3\nimport os\n", 1, rule)
        self.refuses("tools/a", "#!/bin/sh\nset -eu\n", 1, rule)
        self.refuses("php/A.php", "<?php\n\ndeclare(strict_types=1);\n\nfinal class A\n{\n}\n", 1,
                     rule)
        self.refuses("tests/a.go", "package main\n\nfunc main() {\n\n\n}\n", 1, rule)

    def test_lengths(self):
        self.assertIn("add() has 71 lines, more than a screen",
                      self.accepts("lib/a.c", HEAD + function(71)))
        self.accepts("lib/a.c", HEAD + function(100))
        self.refuses("lib/a.c", HEAD + "\n" + function(101), 3, "add() has 101 lines, 100 at most")
        table = HEAD + "static const int numbers[] = {\n" + "    1, //\n" * 200 + "};\n"
        self.assertNotIn("warning:", self.accepts("lib/a.c", table))
        inner = ("void f(void) {\n    static const int numbers[] = {\n" + "        1, //\n" * 200 +
                 "    };\n" + "    g(numbers);\n" * 97 + "}\n")
        self.refuses("lib/a.c", HEAD + inner, 2, "f() has 101 lines")
        self.accepts("lib/a.c", HEAD + inner.replace("    g(numbers);\n", "", 1))
        short = "".join(f"int a{i};\n" for i in range(800))
        self.assertIn("more than 800", self.accepts("lib/a.h", HEAD + short))
        self.refuses("lib/a.h", HEAD + "".join(f"int a{i};\n" for i in range(1000)), 1001,
                     "1000 at most")

    def test_two_functions_are_two(self):
        one = function(60)
        output = self.accepts("lib/a.c", HEAD + one + "\n" + one.replace("add", "sub"))
        self.assertNotIn("warning:", output)

    def test_calls(self):
        for call in ("strcpy(a, b)", "strcat(a, b)", "sprintf(a, b)", "gets(a)", "strtok(a, b)",
                     "atoi(a)", "alloca(1)", "system(a)", "rand()"):
            text = HEAD + "void f(char *a, char *b) {\n    (void)" + call + ";\n}\n"
            self.refuses("lib/a.c", text, 3, "banned")
        self.accepts("lib/a.c", HEAD + "void f(char *a) {\n    snprintf(a, 1, \"strcpy(a)\");\n"
                     "    /* strcpy(a, b) */\n    node->system(a);\n    my_rand();\n}\n")

    def test_text(self):
        self.refuses("README.md", "# A \n", 1, "white space")
        self.refuses("README.md", "# A\r\n", 1, "white space")
        self.refuses("README.md", "# A", 1, "no newline")
        self.refuses("README.md", "# A\n\n", 2, "empty lines")
        self.refuses("README.md", f"# A\n{UNFINISHED}: write\n", 2, UNFINISHED)
        self.refuses("README.md", f"Look in {MACHINE}x.\n", 1, "path of one machine")
        self.accepts("README.md", "mktemp /tmp/a.XXXXXX ~/work/a build/work/b\n")
        self.refuses("lib/a.bits", b"\0", 1, "binary")
        self.refuses("a.txt", b"\xff\n", 1, "UTF-8")

    def test_php(self):
        self.refuses("php/A.php", "<?php\n\n/** Adds two numbers. */\nfinal class A\n{\n}\n", 1,
                     "strict_types")

    @unittest.skipUnless(shutil.which("clang-format-14"), "needs clang-format 14")
    def test_format(self):
        self.refuses("lib/a.c", HEAD + "int add(int a)\n{\n    return a;\n}\n", 2, "not formatted")
        self.refuses("lib/a.c", HEAD + "int a;\nint  b;\n", 3, "not formatted")

    @unittest.skipUnless(shutil.which("shellcheck"), "needs shellcheck")
    def test_shell(self):
        self.refuses("tools/a", "#!/bin/sh\n# Adds two numbers.\ncd $1\n", 3, "SC2164")

    def test_only_tracked_files(self):
        files = {"lib/a.c": HEAD, "lib/b.c": "int b;\n", "lib/c.c": "int c;\n"}
        status, output = self.run_tool(files, track=["lib/a.c", "lib/b.c"])
        self.assertEqual(status, 1)
        self.assertIn("lib/b.c:1", output)
        self.assertNotIn("lib/c.c", output)
        self.assertIn("2 files", output)


if __name__ == "__main__":
    unittest.main()
