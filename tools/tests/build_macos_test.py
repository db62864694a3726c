#!/usr/bin/env python3
"""tools/build-macos with stand-ins for what only a Mac has: which steps it takes, and which not again.

Its real commands need Homebrew; the stand-ins write down how they were called.
"""

import os
import shutil
import subprocess
import tarfile
import tempfile
import unittest

TOOL = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "build-macos")
STAND_INS = {
    "uname": "echo ${SYSTEM:-Darwin}",
    "brew": """echo "brew $*" >>"$LOG"
case $1 in
list) case " $INSTALLED " in *" $3 "*) ;; *) exit 1 ;; esac ;;
--cache) echo "$SOURCE" ;;
esac""",
    "cmake": """echo "cmake $*" >>"$LOG"
case "$1 $2" in
"--build build") mkdir -p build/bin && ln -sf "$(command -v true)" build/bin/plasm ;;
"--build "*) mkdir -p "$2/../lib/pkgconfig" && touch "$2/../lib/pkgconfig/libngtcp2_crypto_gnutls.pc" ;;
"-S "*) test -e "$2/CMakeLists.txt" ;;
esac""",
}
PACKAGES = "cmake ninja pkgconf gnutls libsodium libuv jansson c-ares secp256k1"


class BuildMacos(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = os.path.realpath(temporary.name)
        os.makedirs(self.path("tools"))
        os.makedirs(self.path("stand-ins"))
        shutil.copy(TOOL, self.path("tools"))
        for name, body in STAND_INS.items():
            self.write(f"stand-ins/{name}", f"#!/bin/sh\n{body}\n")
            os.chmod(self.path(f"stand-ins/{name}"), 0o755)
        self.write("CMakeLists.txt", "")
        with tarfile.open(self.path("ngtcp2.tar.xz"), "w:xz") as archive:
            archive.add(self.path("CMakeLists.txt"), "ngtcp2-1.22.1/CMakeLists.txt")

    def path(self, name):
        return os.path.join(self.root, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def run_tool(self, installed=PACKAGES, **settings):
        """Returns the exit code and the calls, of which `brew list` is left out."""
        self.write("log", "")
        environment = {"PATH": f"{self.path('stand-ins')}:{os.environ['PATH']}",
                       "LOG": self.path("log"), "SOURCE": self.path("ngtcp2.tar.xz"),
                       "INSTALLED": installed, **settings}
        result = subprocess.run([self.path("tools/build-macos")], env=environment, check=False,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        with open(self.path("log"), encoding="utf-8") as file:
            calls = [line for line in file.read().splitlines()
                     if not line.startswith("brew list")]
        return result.returncode, calls, result.stdout

    def test_everything_is_missing(self):
        code, calls, output = self.run_tool(installed="")
        self.assertEqual(code, 0, output)
        place = self.path("build/ngtcp2")
        self.assertEqual(calls[:3], [f"brew install {PACKAGES}",
                                     "brew fetch --build-from-source libngtcp2",
                                     "brew --cache --build-from-source libngtcp2"])
        self.assertRegex(calls[3], f"^cmake -S {place}/source -B .*-DENABLE_GNUTLS=ON")
        self.assertEqual(calls[4], f"cmake --build {place}/build --target install")
        self.assertEqual(calls[5], "cmake --preset release -DPLASM_DAEMON=OFF -DPLASM_TESTS=OFF "
                         f"-DCMAKE_PREFIX_PATH={place}")
        self.assertEqual(calls[6:], ["cmake --build build --target programs"])

    def test_what_is_there_stays(self):
        self.run_tool()
        code, calls, _ = self.run_tool()
        self.assertEqual(code, 0)
        self.assertEqual([call.split()[:2] for call in calls],
                         [["cmake", "--preset"], ["cmake", "--build"]])

    def test_only_what_is_missing_is_installed(self):
        _, calls, _ = self.run_tool(installed=PACKAGES.replace("libuv ", "").replace("ninja ", ""))
        self.assertEqual(calls[0], "brew install ninja libuv")

    def test_another_system(self):
        code, calls, output = self.run_tool(SYSTEM="Linux")
        self.assertEqual((code, calls), (2, []))
        self.assertIn("-DPLASM_DAEMON=OFF", output)

    def test_a_step_fails(self):
        os.remove(self.path("ngtcp2.tar.xz"))
        code, calls, _ = self.run_tool()
        self.assertNotEqual(code, 0)
        self.assertEqual(calls[-1], "brew --cache --build-from-source libngtcp2")


if __name__ == "__main__":
    unittest.main()
