"""A client finds workers on its local network with no configuration at all (mDNS over veth).
Usage: lan_test.py BUILD_DIR"""

import json
import os
import select
import socket
import sys
import time
import unittest

import netlab
from labworker import LabWorker, plasm, run_job, until
from netlab import Lab

BUILD = os.path.abspath(sys.argv.pop(1))
SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HELLO = os.path.join(SOURCE, "wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm")
ANSWER = b"dlroW ,olleH"
SKIPPED = 77


def found(host, *options, home=None):
    """Peer ids that `plasm discover` lists."""
    done = plasm(BUILD, host, "discover", "--json", *options, home=home)
    nodes = json.loads(done.stdout)["nodes"]
    return sorted(node["peer_id"] for node in nodes), done


class Lan(unittest.TestCase):
    def test_the_guides_client_finds_its_worker(self):
        with Lab() as lab:
            lan = lab.switch("lan")
            worker = LabWorker(BUILD, lab.host("worker", lan, "192.168.7.1/24"))
            client = lab.host("client", lan, "192.168.7.2/24")
            time.sleep(3)  # its announcements are over: it has to be asked
            begun = time.monotonic()
            output, receipt = run_job(BUILD, client, HELLO)
            print(f"job on the local network, nothing configured: "
                  f"{time.monotonic() - begun:.3f} s")
            self.assertEqual(output, ANSWER)
            self.assertEqual(receipt["worker"], worker.peer_id)
            self.assertIn("mdns: announced on 1 local network", worker.log())
            # By its peer id alone, too.
            output, _ = run_job(BUILD, client, HELLO, "--node", worker.peer_id)
            self.assertEqual(output, ANSWER)
            worker.stop()

    def test_workers_find_each_other(self):
        """Three workers without bootstrap are one network, and all are found."""
        with Lab() as lab:
            lan = lab.switch("lan")
            workers = [LabWorker(BUILD, lab.host(f"worker{i}", lan, f"192.168.7.{i}/24"))
                       for i in range(1, 4)]
            client = lab.host("client", lan, "192.168.7.9/24")
            wanted = sorted(worker.peer_id for worker in workers)
            until(lambda: found(client)[0] == wanted, 20,
                  lambda: f"not all were found: {found(client)}")
            for worker in workers:
                until(lambda log=worker.log: "kad: bootstrap done" in log(), 10,
                      lambda log=worker.log: "no DHT:\n" + log())
                worker.stop()

    def test_turned_off(self):
        """By either side; and the client says what it missed."""
        with Lab() as lab:
            lan = lab.switch("lan")
            silent = LabWorker(BUILD, lab.host("silent", lan, "192.168.7.1/24"), "--mdns", "off")
            client = lab.host("client", lan, "192.168.7.2/24")
            self.assertEqual(found(client)[0], [])
            done = plasm(BUILD, client, "discover")
            self.assertIn(b"nobody on the local network answered", done.stdout + done.stderr)
            silent.stop()
            worker = LabWorker(BUILD, lab.host("worker", lan, "192.168.7.3/24"))
            self.assertEqual(found(client, "--no-mdns")[0], [])
            nodes, done = found(client)
            self.assertEqual(nodes, [worker.peer_id])
            self.assertEqual(json.loads(done.stdout)["nearby"], 1)
            self.assertIn(b"1 peer on the local network", plasm(BUILD, client, "discover").stdout)
            worker.stop()

    def test_ipv6_alone(self):
        with Lab() as lab:
            lan = lab.switch("lan")
            worker = LabWorker(BUILD, lab.host("worker", lan, "fd07::1/64"))
            client = lab.host("client", lan, "fd07::2/64")
            self.assertEqual(found(client)[0], [worker.peer_id])
            worker.stop()

    def test_each_network_hears_of_its_own_addresses(self):
        with Lab() as lab:
            first, second = lab.switch("first"), lab.switch("second")
            host = lab.host("worker", first, "192.168.7.1/24")
            host.plug(second, "192.168.8.1/24")
            worker = LabWorker(BUILD, host)
            self.assertIn("mdns: announced on 2 local networks", worker.log())
            for number, lan in ((7, first), (8, second)):
                client = lab.host(f"client{number}", lan, f"192.168.{number}.2/24")
                self.assertEqual(found(client)[0], [worker.peer_id])
                output, _ = run_job(BUILD, client, HELLO)
                self.assertEqual(output, ANSWER)
            worker.stop()

    def test_a_network_that_comes_later(self):
        with Lab() as lab:
            lan = lab.switch("lan")
            host = lab.host("worker", lan)
            worker = LabWorker(BUILD, host)
            self.assertNotIn("mdns: announced", worker.log())
            host.address_add("192.168.7.1/24")
            client = lab.host("client", lan, "192.168.7.2/24")
            until(lambda: found(client)[0] == [worker.peer_id], 15,
                  lambda: f"not found at its new address:\n{worker.log()}")
            worker.stop()

    def test_beside_another_responder(self):
        """The port is shared, as with avahi: both get the questions, and the other one keeps its
        unicast packets."""
        with Lab() as lab:
            lan = lab.switch("lan")
            host = lab.host("worker", lan, "192.168.7.1/24")
            asker = lab.host("asker", lan, "192.168.7.2/24")
            with host.entered():
                other = responder("192.168.7.1")
            worker = LabWorker(BUILD, host)
            self.assertEqual(found(asker)[0], [worker.peer_id])
            question = other.recvfrom(9000)[0]
            self.assertIn(b"\x04_p2p\x04_udp\x05local", question)
            with asker.entered():
                sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            for number in range(20):
                sender.sendto(b"to you %d" % number, ("192.168.7.1", 5353))
            heard = set()
            while readable(other):
                heard.add(other.recvfrom(9000)[0])
            self.assertTrue({b"to you %d" % number for number in range(20)} <= heard)
            for made in (other, sender):
                made.close()
            worker.stop()


def responder(address):
    """A socket as avahi has it."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("0.0.0.0", 5353))
    made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                    socket.inet_aton("224.0.0.251") + socket.inet_aton(address))
    made.settimeout(3)
    return made


def readable(made):
    return bool(select.select([made], [], [], 0.2)[0])


if __name__ == "__main__":
    reason = netlab.unavailable()
    if reason is not None:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
