#!/usr/bin/env python3
"""Installs the Debian package on a booted machine and follows the guide's worker section.

usage: package_test.py BUILD_DIRECTORY; exits 77 where no machine can be booted.
"""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest

import machine

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODULE = os.path.join(ROOT, "wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm")
NODE = "/ip4/127.0.0.1/udp/4001/quic-v1"
SECONDS_MAX = 30
EXPOSURE_MAX = 1.5  # of systemd-analyze security: 0 is best, 10 worst
# The sandbox's service stands behind every wall that plasm-run knows, but for root's.
WALLS = r"INFO plasmd: Sandbox ready: seccomp, .*Landlock \d+, user namespace, (.*namespace.*){3}"
BUILD = PACKAGE = SYSTEM = LIMITS = None
OLDER = "0.0.9"


def version():
    with open(os.path.join(ROOT, "CMakeLists.txt"), encoding="utf-8") as file:
        return re.search(r"project\(plasm VERSION ([0-9.]+)", file.read()).group(1)


def setUpModule():
    global PACKAGE, SYSTEM, LIMITS
    subprocess.run([os.path.join(ROOT, "tools/build-deb")], check=True, cwd=ROOT)
    packages = glob.glob(os.path.join(ROOT, f"daemon/target/debian/plasm_{version()}_*.deb"))
    assert len(packages) == 1, packages
    PACKAGE = packages[0]
    LIMITS = os.path.join(BUILD, "wasm-tests", "limits.wasm")
    SYSTEM = os.path.join(BUILD, "system", "machine")
    machine.make_root(SYSTEM)


def older_package(directory):
    """The package as a release before this one would have been, which dpkg upgrades from."""
    tree, package = os.path.join(directory, "tree"), os.path.join(directory, "older.deb")
    subprocess.run(["dpkg-deb", "-R", PACKAGE, tree], check=True)
    control = os.path.join(tree, "DEBIAN", "control")
    with open(control, encoding="utf-8") as file:
        text = file.read()
    with open(control, "w", encoding="utf-8") as file:
        file.write(re.sub(r"^Version: .*$", f"Version: {OLDER}", text, flags=re.M))
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, package], check=True,
                   stdout=subprocess.DEVNULL)
    return package


class Installed(unittest.TestCase):
    """What both machines are asked."""

    maxDiff = None
    machine = None

    def succeeds(self, *command, **options):
        result = self.machine.run(*command, **options)
        self.assertEqual(result.returncode, 0, f"{command}: {result.stdout}")
        return result.stdout

    def eventually(self, what, condition):
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.1)
        self.fail(f"{what}; the log:\n{self.machine.journal('plasmd')}")

    def wait_for_log(self, *lines):
        """Waits until the journal has the lines, regular expressions, in this order."""
        pattern = re.compile("^" + "$.*^".join(lines) + "$", re.M | re.S)
        self.eventually(f"the log lacks {lines}",
                        lambda: pattern.search(self.machine.journal("plasmd")))

    def run_hello(self):
        return self.succeeds("plasm", "run", "/srv/hello.wasm", "--node", NODE, stdin="abc\n")

    def property_of(self, name):
        return self.succeeds("systemctl", "show", "-P", name, "plasmd").strip()

    def peer_id(self):
        return re.search(r"12D3Koo\w+", self.succeeds("plasmd", "key", "show", "--state-dir",
                                                      "/var/lib/plasm")).group()


class Package(Installed):
    """On a machine whose changes are thrown away."""

    @classmethod
    def setUpClass(cls):
        cls.machine = machine.Machine(SYSTEM, [PACKAGE, MODULE, LIMITS])
        cls.machine.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.machine.stop()

    def test_life_of_an_installation(self):
        self.succeeds("dpkg", "-i", "/srv/" + os.path.basename(PACKAGE))
        self.succeeds("systemctl", "start", "plasmd")
        self.assertIn("active (running)", self.succeeds("systemctl", "--no-pager", "status",
                                                        "plasmd"))
        self.wait_for_log(rf"INFO plasmd: Starting Phase daemon v{re.escape(version())}",
                          r"INFO plasmd: Local peer ID: 12D3Koo\w+",
                          r"INFO plasmd: Listening on /ip4/0\.0\.0\.0/udp/4001/quic-v1",
                          r"INFO plasmd: Advertising capabilities: arch=\w+, runtime=wasmtime-48")
        self.check_jobs()
        self.check_hardening()
        self.check_configuration()
        self.check_restarts()
        self.check_purge()

    def check_jobs(self):
        self.assertEqual(self.run_hello(), "cba\n")
        self.wait_for_log(r"INFO plasmd: Job offer received: job_id=[0-9a-f]{8}.*",
                          r"INFO plasmd: Accepting job: module_hash=sha256:[0-9a-f]{6}.*",
                          r"INFO plasmd: Executing WASM module: \d+KB, timeout=30s",
                          r"INFO plasmd: Execution complete: exit_code=0, wall_time=\d+ms",
                          r"INFO plasmd: Signed receipt with Ed25519",
                          r"INFO plasmd: Job result sent to client")

    def check_hardening(self):
        pid = self.property_of("MainPID")
        self.assertNotEqual(self.succeeds("stat", "-c", "%u", f"/proc/{pid}").strip(), "0")
        self.assertEqual(self.succeeds("sh", "-c", f"grep CapEff /proc/{pid}/status").split()[1],
                         "0" * 16)
        self.assertEqual(self.succeeds("stat", "-L", "-c", "%a", "/var/lib/plasm").strip(), "700")
        self.check_key()
        self.assertEqual(self.succeeds("systemd-analyze", "verify", "--man=no", "plasmd.service",
                                       "plasm-run.socket", "plasm-run@1.service",
                                       "plasm-sign.socket", "plasm-sign.service"), "")
        sandboxes = self.succeeds("systemctl", "list-units", "--plain", "--no-legend",
                                  "plasm-run@*.service").split()
        for unit in ("plasmd.service", "plasm-sign.service", sandboxes[0]):
            exposure = self.succeeds("systemd-analyze", "--no-pager", "security", unit)
            exposure = float(re.search(r"exposure level for \S+: ([0-9.]+)", exposure).group(1))
            self.assertLessEqual(exposure, EXPOSURE_MAX, unit)
        self.wait_for_log(WALLS)

    def check_key(self):
        """plasm-sign's alone: not for plasmd's user, in no way."""
        key = "/var/lib/plasm-sign/identity.key"
        self.assertEqual(self.succeeds("stat", "-c", "%a %U", key).strip(), "600 plasm-sign")
        self.succeeds("test", "!", "-e", "/var/lib/plasm/identity.key")
        pid = self.succeeds("systemctl", "show", "-P", "MainPID", "plasm-sign.service").strip()
        user = self.succeeds("grep", "^Uid:", f"/proc/{pid}/status").split()[1]
        self.assertEqual(user, self.succeeds("id", "-u", "plasm-sign").strip())
        for path in (key, f"/proc/{pid}/mem", f"/proc/{pid}/environ"):
            command = ["setpriv", "--reuid", "plasm", "--clear-groups", "head", "-c", "1", path]
            refused = self.machine.run(*command)
            self.assertNotEqual(refused.returncode, 0, path)
            self.assertIn("Permission denied", refused.stdout, path)
        self.assertEqual(json.loads(self.succeeds("plasmd", "key", "show", "--json"))["peer_id"],
                         self.peer_id())
        self.succeeds("kill", "-KILL", pid)
        self.assertEqual(self.run_hello(), "cba\n")
        self.wait_for_log(r"ERROR plasmd: sign: plasm-sign ended.*",
                          r"WARN plasmd: sign: plasm-sign is back.*")

    def check_configuration(self):
        path = "/etc/plasm/plasmd.conf"
        self.succeeds("plasmd", "check-config", "--config", path)
        self.succeeds("sh", "-c", f"printf '[limits]\\nmemory_bytes = much\\n' > {path}.bad")
        result = self.machine.run("plasmd", "check-config", "--config", path + ".bad")
        self.assertEqual(result.returncode, 2, result.stdout)
        self.assertIn(f"{path}.bad:2:", result.stdout)
        self.succeeds("rm", path + ".bad")

    def check_stop_under_a_job(self):
        """The sandbox and the signer are there until the job has its receipt."""
        before = self.machine.journal("plasmd").count("Executing WASM module")
        self.succeeds("sh", "-c", f"plasm run /srv/limits.wasm --node {NODE} --timeout 8 --receipt "
                      "/tmp/stopped.json -- loop >/dev/null 2>&1 </dev/null &")
        self.eventually("the job does not run", lambda: before < self.machine.journal(
            "plasmd").count("Executing WASM module"))
        self.succeeds("systemctl", "stop", "plasmd")
        receipt = self.eventually("no receipt", lambda: self.machine.run(
            "sh", "-c", "cat /tmp/stopped.json 2>/dev/null").stdout)
        self.assertEqual(json.loads(receipt)["receipt"]["status"], "timeout")

    def check_restarts(self):
        identity, pid = self.peer_id(), self.property_of("MainPID")
        self.succeeds("kill", "-KILL", pid)
        self.eventually("no restart after SIGKILL", lambda: (
            self.property_of("MainPID") not in ("0", pid) and
            self.property_of("ActiveState") == "active"))
        self.assertEqual(self.run_hello(), "cba\n")
        self.check_stop_under_a_job()
        self.assertEqual(self.property_of("Result"), "success")
        self.succeeds("systemctl", "start", "plasmd")
        self.assertEqual(self.peer_id(), identity)
        # The same version again: an upgrade restarts the service and keeps everything.
        # Its key is where older versions had it: it moves.
        self.succeeds("mv", "/var/lib/plasm-sign/identity.key", "/var/lib/plasm/")
        self.succeeds("chown", "plasm:", "/var/lib/plasm/identity.key")
        pid = self.property_of("MainPID")
        self.succeeds("dpkg", "-i", "/srv/" + os.path.basename(PACKAGE))
        self.eventually("no restart after an upgrade", lambda: (
            self.property_of("MainPID") not in ("0", pid) and
            self.property_of("ActiveState") == "active"))
        self.assertEqual(self.peer_id(), identity)
        self.assertEqual(self.run_hello(), "cba\n")

    def check_purge(self):
        self.succeeds("dpkg", "--remove", "plasm")
        self.succeeds("test", "-e", "/var/lib/plasm-sign/identity.key")
        self.succeeds("dpkg", "--purge", "plasm")
        left = self.machine.run("sh", "-c", "ls -d /var/lib/plasm* /var/lib/private/plasm "
                                "/etc/plasm /etc/ufw/applications.d/plasm "
                                "/usr/bin/plasm* /usr/libexec/plasm 2>/dev/null")
        self.assertEqual(left.stdout, "")


class Kept(Installed):
    """On a machine that keeps what is written, over reboots."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(dir=os.path.join(BUILD, "system"))
        self.root = os.path.join(self.directory.name, "root")
        machine.copy_root(SYSTEM, self.root)
        self.namespace = f"plasm-package-{os.getpid()}"

    def tearDown(self):
        subprocess.run(["ip", "netns", "delete", self.namespace], check=False,
                       stderr=subprocess.DEVNULL)
        self.directory.cleanup()

    def outside(self, *arguments):
        """plasm in another network namespace, with a memory of its own."""
        self.machine.connect(self.namespace, "10.77.0.2/24", "10.77.0.1/24")
        return subprocess.run(["ip", "netns", "exec", self.namespace,
                               os.path.join(BUILD, "bin", "plasm"), *arguments,
                               "--state-dir", os.path.join(self.directory.name, "client"),
                               "--no-mdns"],
                              input="abc\n", text=True, check=True, timeout=SECONDS_MAX,
                              stdout=subprocess.PIPE).stdout

    def test_upgrade_and_reboot(self):
        older = older_package(self.directory.name)
        receipt = os.path.join(self.directory.name, "receipt.json")
        with machine.Machine(self.root, [older, PACKAGE, MODULE], kept=True) as self.machine:
            self.succeeds("dpkg", "-i", "/srv/older.deb")
            self.succeeds("systemctl", "start", "plasmd")
            identity = self.peer_id()
            node = f"/ip4/10.77.0.1/udp/4001/quic-v1/p2p/{identity}"
            self.assertEqual(self.outside("run", MODULE, "--node", node, "--receipt", receipt),
                             "cba\n")
            with open(receipt, encoding="utf-8") as file:
                job_id = json.load(file)["receipt"]["job_id"]
            # What an operator changed stays; a receipt of the older one is known to the newer.
            self.succeeds("sh", "-c", "echo '# mine' >> /etc/plasm/plasmd.conf")
            pid = self.property_of("MainPID")
            self.succeeds("dpkg", "-i", "--force-confold", "/srv/" + os.path.basename(PACKAGE))
            self.assertEqual(self.succeeds("dpkg-query", "-W", "-f", "${Version}", "plasm"),
                             version())
            self.eventually("no restart after an upgrade", lambda: (
                self.property_of("MainPID") not in ("0", pid) and
                self.property_of("ActiveState") == "active"))
            self.assertIn("# mine", self.succeeds("cat", "/etc/plasm/plasmd.conf"))
            self.assertEqual(self.peer_id(), identity)
            self.succeeds("systemctl", "is-enabled", "plasmd")
        with machine.Machine(self.root, kept=True) as self.machine:
            self.eventually("not started at boot",
                            lambda: self.property_of("ActiveState") == "active")
            self.assertEqual(self.peer_id(), identity)
            self.assertEqual(self.outside("receipt", job_id, "--node", node), "cba\n")
            self.assertEqual(self.run_hello(), "cba\n")


if __name__ == "__main__":
    BUILD = os.path.abspath(sys.argv.pop(1))
    reason = machine.unavailable()
    if reason is not None:
        print(f"skipped: {reason}")
        sys.exit(77)
    unittest.main()
