#!/usr/bin/env python3
"""The guide's two machines: PHP and libplasm of arm64, emulated, use a worker of this machine.

usage: arm64_remote_test.py BUILD_DIRECTORY; exits 77 where arm64 cannot be emulated.
"""

import glob
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MODULE = os.path.join(ROOT, "wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm")
EMULATOR = "qemu-aarch64-static"
COMPILER = "aarch64-linux-gnu-gcc"
MACHINE_ARM64 = 183  # e_machine of ELF
START_SECONDS_MAX = 30
CLIENT_SECONDS_MAX = 120
BUILD = None
SYSROOT = None

SCREEN = r"""Phase Remote Execution Test
===========================

Discovering nodes\.\.\.
✓ Node discovered: {peer_id}
  Architecture: {architecture}
  Runtime: wasmtime-48

Submitting job: hello\.wasm
✓ Job submitted: [0-9a-f]{{8}}-[0-9a-f]{{4}}-4[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{12}}

Waiting for execution\.\.\.
✓ Execution complete

Result:
  Output: dlroW ,olleH
  Exit code: 0
  Wall time: \d+ms

Receipt Verification:
✓ Signature valid
✓ Module hash matches
✓ Receipt verified

Test complete!
"""


def prepare():
    """Makes the sysroot and the arm64 client; says why not when a tool is absent."""
    if platform.machine() == "aarch64":
        print("skipped: this machine is arm64 itself")
        sys.exit(77)
    for program in (EMULATOR, COMPILER):
        if shutil.which(program) is None:
            print(f"skipped: needs {program}")
            sys.exit(77)
    result = subprocess.run([os.path.join(HERE, "debian-root"), "this", "arm64", SYSROOT,
                             "php-cli"], check=False)
    if result.returncode != 0:
        sys.exit(result.returncode)
    client = os.path.join(BUILD, "cross/arm64/build")
    if not os.path.exists(os.path.join(client, "build.ninja")):
        subprocess.run(["cmake", "-S", ROOT, "-B", client, "-G", "Ninja",
                        f"-DCMAKE_TOOLCHAIN_FILE={HERE}/debian.cmake",
                        f"-DCMAKE_C_COMPILER={COMPILER}", f"-DPLASM_SYSROOT={SYSROOT}",
                        "-DPLASM_TRIPLET=aarch64-linux-gnu", "-DCMAKE_BUILD_TYPE=Release",
                        "-DPLASM_DAEMON=OFF", "-DPLASM_TESTS=OFF"], check=True)
    subprocess.run(["cmake", "--build", client, "--parallel", "2", "--target", "plasm_shared",
                    "plasm"], check=True)
    return client


def machine_of(path):
    with open(path, "rb") as file:
        return struct.unpack_from("<H", file.read(20), 18)[0]


class RemoteTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.client = os.path.join(BUILD, "cross/arm64/build")
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.start_worker()

    @classmethod
    def start_worker(cls):
        addresses = cls.path("addresses")
        cls.log = open(cls.path("log"), "w+", encoding="utf-8")
        cls.addClassCleanup(cls.log.close)
        cls.worker = subprocess.Popen(
            [os.path.join(BUILD, "bin/plasmd"), "--listen", "/ip4/127.0.0.1/udp/0/quic-v1",
             "--state-dir", cls.path("worker"), "--print-addresses", addresses],
            stdin=subprocess.DEVNULL, stdout=cls.log, stderr=cls.log)
        cls.addClassCleanup(cls.stop_worker)
        deadline = time.monotonic() + START_SECONDS_MAX
        # It writes the file once, when it listens: there is nothing else to wait on.
        while not os.path.exists(addresses) or os.path.getsize(addresses) == 0:
            if cls.worker.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"plasmd does not start: {cls.worker_log()}")
            time.sleep(0.01)
        with open(addresses, encoding="utf-8") as file:
            cls.address = file.readline().strip()

    @classmethod
    def stop_worker(cls):
        cls.worker.terminate()
        try:
            cls.worker.wait(10)
        except subprocess.TimeoutExpired:
            cls.worker.kill()
            cls.worker.wait()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.directory.name, name)

    @classmethod
    def worker_log(cls):
        with open(cls.path("log"), encoding="utf-8") as file:
            return file.read()

    def emulate(self, *command):
        """Runs an arm64 program, with nothing of this machine's settings; it has to succeed."""
        environment = {"PATH": "/nowhere", "HOME": self.path("home"), "PLASM_DRIVER": "ffi",
                       "PLASM_LIBRARY": os.path.join(self.client, "lib/libplasm.so")}
        result = subprocess.run([shutil.which(EMULATOR), "-L", SYSROOT, *command],
                                env=environment, stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                                timeout=CLIENT_SECONDS_MAX)
        self.assertEqual(result.returncode, 0,
                         f"{result.stdout}{result.stderr}{self.worker_log()}")
        return result.stdout, result.stderr

    def php(self, *arguments):
        # No script of the package ran: there is neither the name `php` nor a php.ini.
        interpreter, = glob.glob(f"{SYSROOT}/usr/bin/php[0-9].[0-9]")
        extension, = glob.glob(f"{SYSROOT}/usr/lib/php/*/ffi.so")
        return self.emulate(interpreter, "-n", "-d", f"extension={extension}", *arguments)

    def test_the_client_is_of_arm64(self):
        self.assertEqual(self.php("-r", "echo php_uname('m');")[0], "aarch64")
        for name in ("lib/libplasm.so", "bin/plasm"):
            self.assertEqual(machine_of(os.path.join(self.client, name)), MACHINE_ARM64, name)
        self.assertNotEqual(machine_of(os.path.join(BUILD, "bin/plasmd")), MACHINE_ARM64)

    def test_remote_test_shows_the_screen_of_the_guide(self):
        screen, notes = self.php(os.path.join(ROOT, "examples/remote_test.php"), self.address)
        pattern = SCREEN.format(peer_id=self.address.rsplit("/", 1)[1],
                                architecture=platform.machine())
        self.assertRegex(screen, re.compile(f"\\A{pattern}\\Z"))
        self.assertEqual(notes, "")

    def test_plasm_of_either_machine_verifies_the_receipt(self):
        receipt = self.path("receipt.json")
        plasm = os.path.join(self.client, "bin/plasm")
        output, _ = self.emulate(plasm, "run", MODULE, "--node", self.address, "--receipt", receipt)
        self.assertEqual(output, "dlroW ,olleH")
        verify = ["verify", receipt, "--key", self.address.rsplit("/", 1)[1], "--module", MODULE]
        there, _ = self.emulate(plasm, *verify)
        here = subprocess.run([os.path.join(BUILD, "bin/plasm"), *verify], text=True, check=True,
                              stdout=subprocess.PIPE)
        self.assertEqual(there, here.stdout)


if __name__ == "__main__":
    BUILD = os.path.abspath(sys.argv.pop(1))
    SYSROOT = os.path.join(BUILD, "cross/arm64/root")
    prepare()
    unittest.main()
