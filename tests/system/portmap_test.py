#!/usr/bin/env python3
"""Port forwarding against a real router daemon, miniupnpd, in network namespaces: by UPnP and by
NAT-PMP, and taken back at the end.

Run: portmap_test.py BUILD_DIR. Unpacks the Debian packages of miniupnpd into the build directory
(installing them would start a daemon); skipped where there are none, or no namespaces.
"""

import glob
import os
import subprocess
import sys
import tempfile
import time
import unittest

SKIPPED = 77
# UPnP looks for five kinds of devices, a second each.
SECONDS_MAX = 25
ROUTER, WORKER = f"plasm-{os.getpid()}-r", f"plasm-{os.getpid()}-w"
OUTSIDE, GATEWAY, INSIDE = "45.7.0.1", "192.168.77.1", "192.168.77.2"

TABLES = """
table inet filter {
 chain miniupnpd {
 }
 chain prerouting_miniupnpd {
 }
 chain postrouting_miniupnpd {
 }
 chain forward {
  type filter hook forward priority 0; policy accept;
  jump miniupnpd
 }
 chain prerouting {
  type nat hook prerouting priority -100;
  jump prerouting_miniupnpd
 }
 chain postrouting {
  type nat hook postrouting priority 100;
  jump postrouting_miniupnpd
 }
}
"""

CONFIGURATION = """
ext_ifname=wan0
listening_ip=lan0
enable_natpmp=%s
enable_upnp=%s
secure_mode=yes
uuid=00000000-0000-0000-0000-000000000000
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
upnp_table_name=filter
upnp_nat_table_name=filter
allow 1024-65535 192.168.77.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


def command(text, **options):
    done = subprocess.run(text.split(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, timeout=60, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{text}: {done.stdout.strip()}")
    return done.stdout


def skip(why):
    print(f"SKIP: {why}")
    sys.exit(SKIPPED)


def miniupnpd(build):
    """The program, unpacked once."""
    directory = os.path.join(build, "miniupnpd")
    program = os.path.join(directory, "usr", "sbin", "miniupnpd")
    if not os.path.exists(program):
        os.makedirs(directory, exist_ok=True)
        try:
            command("apt-get download -q miniupnpd miniupnpd-nftables", cwd=directory)
            for package in glob.glob(os.path.join(directory, "*.deb")):
                command(f"dpkg-deb -x {package} {directory}")
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
            skip(f"no miniupnpd to be had: {error}")
    if not os.path.exists(program):
        skip("the package miniupnpd-nftables has no program")
    return program


def build_network():
    for name in (ROUTER, WORKER):
        command(f"ip netns add {name}")
    command(f"ip link add lan0 netns {ROUTER} type veth peer name eth0 netns {WORKER}")
    command(f"ip -n {ROUTER} link add wan0 type veth peer name wan1")
    command(f"ip -n {ROUTER} address add {OUTSIDE}/24 dev wan0")
    command(f"ip -n {ROUTER} address add {GATEWAY}/24 dev lan0")
    command(f"ip -n {WORKER} address add {INSIDE}/24 dev eth0")
    for interface in ("lo", "wan0", "wan1", "lan0"):
        command(f"ip -n {ROUTER} link set {interface} up")
    for interface in ("lo", "eth0"):
        command(f"ip -n {WORKER} link set {interface} up")
    command(f"ip -n {WORKER} route add default via {GATEWAY}")
    command(f"ip netns exec {ROUTER} nft -f -", input=TABLES)


def remove_network():
    for name in (ROUTER, WORKER):
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def forwarded():
    return command(f"ip netns exec {ROUTER} nft list chain inet filter prerouting_miniupnpd")


class Process:
    """A program in a namespace, ended when it is left."""

    def __init__(self, namespace, *argv):
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")
        self.process = subprocess.Popen(["ip", "netns", "exec", namespace, *argv],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        self.log.close()

    def said(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()


class PortMapping(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def router(self, natpmp, upnp):
        path = os.path.join(self.directory.name, "miniupnpd.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(CONFIGURATION % (natpmp, upnp))
        return Process(ROUTER, PROGRAM, "-d", "-f", path, "-P",
                       os.path.join(self.directory.name, "pid"))

    def worker(self):
        return Process(WORKER, os.path.join(BUILD, "bin", "plasmd"), "--state-dir",
                       os.path.join(self.directory.name, "state"), "--listen",
                       "/ip4/0.0.0.0/udp/4001/quic-v1", "--listen", "/ip4/0.0.0.0/tcp/4001")

    def maps(self, natpmp, upnp, method):
        with self.router(natpmp, upnp) as router:
            with self.worker() as worker:
                deadline = time.monotonic() + SECONDS_MAX
                while f"by {method} at {OUTSIDE}" not in worker.said():
                    self.assertLess(time.monotonic(), deadline, worker.said() + router.said())
                    time.sleep(0.1)
                self.assertIn("Port mapping: 2 ports", worker.said())
                self.assertEqual(forwarded().count(f"{INSIDE}:4001"), 2, forwarded())
            self.assertEqual(worker.process.returncode, 0)
            self.assertNotIn(INSIDE, forwarded(), "taken back at the end")

    def test_upnp(self):
        self.maps("no", "yes", "UPnP")

    def test_natpmp(self):
        self.maps("yes", "no", "NAT-PMP")


if __name__ == "__main__":
    BUILD = os.path.abspath(sys.argv.pop(1))
    PROGRAM = miniupnpd(BUILD)
    try:
        build_network()
    except (OSError, RuntimeError) as error:
        remove_network()
        skip(f"no network namespaces here: {error}")
    try:
        unittest.main(verbosity=2)
    finally:
        remove_network()
