#!/usr/bin/env python3
"""Tests tools/check-symbols on small programs made to pass and to fail."""

import os
import subprocess
import tempfile
import unittest

TOOL = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "check-symbols")


class CheckSymbols(unittest.TestCase):
    def run_tool(self, code, flags=(), arguments=()):
        with tempfile.TemporaryDirectory() as directory:
            program = os.path.join(directory, "program")
            subprocess.run(["cc", "-x", "c", "-", "-x", "none", "-o", program, *flags], check=True,
                           input=code, text=True)
            result = subprocess.run([TOOL, *arguments, program], text=True, check=False,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return result.returncode, result.stdout

    def test_plain_program(self):
        code = "#include <stdio.h>\nint main(void) { return puts(\"\") < 0; }\n"
        status, output = self.run_tool(code)
        self.assertEqual(status, 0, output)
        status, output = self.run_tool(code, arguments=["--glibc", "2.1"])
        self.assertEqual(status, 1)
        self.assertIn("needs GLIBC_2.2.5, 2.1 is the newest allowed: ", output)
        self.assertIn("puts", output)

    def test_gnutls(self):
        code = ("#include <gnutls/gnutls.h>\n"
                "int main(void) { return gnutls_early_prf_hash_get(0) > 0; }\n")
        status, output = self.run_tool(code, ["-lgnutls"])
        self.assertEqual(status, 0, output)
        status, output = self.run_tool(code, ["-lgnutls"], ["--gnutls", "3.7.1"])
        self.assertEqual(status, 1)
        self.assertIn("needs GNUTLS_3_7_2", output)
        self.assertIn("gnutls_early_prf_hash_get", output)

    def test_other_library(self):
        code = "#include <uv.h>\nint main(void) { return uv_version() == 0; }\n"
        status, output = self.run_tool(code, ["-luv"])
        self.assertEqual(status, 1)
        self.assertIn("needs libuv.so.1, which must be linked statically", output)

    def test_static_program(self):
        status, output = self.run_tool("int main(void) { return 0; }\n", ["-static"])
        self.assertEqual(status, 1)
        self.assertIn("not a dynamic object", output)


if __name__ == "__main__":
    unittest.main()
