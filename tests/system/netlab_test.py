"""The network laboratory itself: each kind of NAT is what it is called. Usage: netlab_test.py"""

import socket
import sys
import unittest

import netlab
from netlab import ADDRESS_RESTRICTED, FULL_CONE, KINDS, PORT_RESTRICTED, SYMMETRIC, Lab

SECONDS = 3
# Long enough for a packet through two routers, short enough to wait for what must not come.
SILENCE_SECONDS = 0.2
INDEPENDENT = "endpoint-independent"
BY_ADDRESS = "address-dependent"
BY_PORT = "address- and port-dependent"
BEHAVIOUR = {  # mapping, filtering
    FULL_CONE: (INDEPENDENT, INDEPENDENT),
    ADDRESS_RESTRICTED: (INDEPENDENT, BY_ADDRESS),
    PORT_RESTRICTED: (INDEPENDENT, BY_PORT),
    SYMMETRIC: (BY_PORT, BY_PORT),
}
SKIPPED = 77
opened = []


def udp(host, address="0.0.0.0", port=0):
    with host.entered():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, port))
    opened.append(made)
    made.settimeout(SECONDS)
    return made


def seen_from(client, server):
    """Which address the server sees the client's socket at."""
    client.sendto(b"hello", server.getsockname())
    return server.recvfrom(64)[1]


def comes_in(server, client, address):
    """Whether a packet of the server to the client's outside address arrives."""
    client.settimeout(SILENCE_SECONDS)
    server.sendto(b"in", address)
    try:
        return client.recvfrom(64)[0] == b"in"
    except socket.timeout:
        return False
    finally:
        client.settimeout(SECONDS)


class Laboratory(unittest.TestCase):
    def tearDown(self):
        while opened:
            opened.pop().close()


class Nats(Laboratory):
    def probe(self, lab, kind):
        """(mapping, filtering) as measured."""
        internet = lab.switch("internet")
        router = lab.router("nat", internet, "20.2.0.1/8", "10.1.0.1/24", nat=kind)
        inside = lab.host("inside", router.inside, "10.1.0.2/24", gateway="10.1.0.1")
        one = lab.host("one", internet, "20.3.0.1/8")
        two = lab.host("two", internet, "20.4.0.1/8")
        servers = [udp(one, "20.3.0.1", 1000), udp(one, "20.3.0.1", 2000),
                   udp(two, "20.4.0.1", 1000)]
        client = udp(inside)
        first, same_address, other_address = (seen_from(client, server) for server in servers)
        for seen in (first, same_address, other_address):
            self.assertEqual(seen[0], "20.2.0.1")
        mapping = (INDEPENDENT if first == other_address == same_address else
                   BY_ADDRESS if first == same_address else BY_PORT)
        client = udp(inside)
        outside = seen_from(client, servers[0])
        self.assertTrue(comes_in(servers[0], client, outside))
        from_port = comes_in(servers[1], client, outside)
        from_address = comes_in(servers[2], client, outside)
        filtering = INDEPENDENT if from_address else BY_ADDRESS if from_port else BY_PORT
        never_used = (outside[0], outside[1] ^ 1)
        self.assertFalse(comes_in(servers[0], client, never_used))
        return mapping, filtering

    def test_each_kind_is_what_it_is_called(self):
        for kind in KINDS:
            with self.subTest(kind), Lab() as lab:
                self.assertEqual(self.probe(lab, kind), BEHAVIOUR[kind])

    def punch(self, first_kind, second_kind):
        """Whether packets get through both ways once both sides have sent to where a third one
        sees the other."""
        with Lab() as lab:
            internet = lab.switch("internet")
            server = udp(lab.host("server", internet, "20.1.0.1/8"), "20.1.0.1", 1000)
            ends = []
            for number, kind in ((2, first_kind), (3, second_kind)):
                router = lab.router(f"nat{number}", internet, f"20.{number}.0.1/8",
                                    f"10.{number}.0.1/24", nat=kind)
                end = udp(lab.host(f"end{number}", router.inside, f"10.{number}.0.2/24",
                                   gateway=f"10.{number}.0.1"))
                ends.append((end, seen_from(end, server)))
            (first, first_seen), (second, second_seen) = ends
            first.sendto(b"punch", second_seen)
            heard = 0
            for _ in range(3):
                second.sendto(b"punch", first_seen)
                first.sendto(b"punch", second_seen)
            for end in (first, second):
                end.settimeout(SILENCE_SECONDS)
                try:
                    end.recvfrom(64)
                    heard += 1
                except socket.timeout:
                    pass
            return heard == 2

    def test_holes_can_be_punched_where_they_should(self):
        cones = (FULL_CONE, ADDRESS_RESTRICTED, PORT_RESTRICTED)
        for first in cones:
            for second in cones:
                with self.subTest(first=first, second=second):
                    self.assertTrue(self.punch(first, second))
        for first, second in ((SYMMETRIC, SYMMETRIC), (SYMMETRIC, PORT_RESTRICTED)):
            with self.subTest(first=first, second=second):
                self.assertFalse(self.punch(first, second))


class Hosts(Laboratory):
    def test_tcp_goes_through_a_nat_and_not_back(self):
        for kind in KINDS:
            with self.subTest(kind), Lab() as lab:
                internet = lab.switch("internet")
                router = lab.router("nat", internet, "20.2.0.1/8", "10.1.0.1/24", nat=kind)
                inside = lab.host("inside", router.inside, "10.1.0.2/24", gateway="10.1.0.1")
                outside = lab.host("outside", internet, "20.3.0.1/8")
                with outside.entered():
                    server = socket.create_server(("20.3.0.1", 1000))
                with inside.entered():
                    client = socket.create_connection(("20.3.0.1", 1000), SECONDS)
                    listener = socket.create_server(("10.1.0.2", 1001))
                accepted, seen = server.accept()
                self.assertEqual(seen[0], "20.2.0.1")
                with outside.entered(), self.assertRaises(OSError):
                    socket.create_connection(("20.2.0.1", 1001), SILENCE_SECONDS)
                opened.extend((server, client, listener, accepted))

    def test_blocking_and_unblocking(self):
        with Lab() as lab:
            lan = lab.switch("lan")
            one = lab.host("one", lan, "10.0.0.1/24")
            two = lab.host("two", lan, "10.0.0.2/24")
            server = udp(two, "10.0.0.2", 1000)
            client = udp(one)
            address = seen_from(client, server)
            two.block("meta l4proto udp")
            client.sendto(b"lost", server.getsockname())
            server.settimeout(SILENCE_SECONDS)
            self.assertRaises(socket.timeout, server.recvfrom, 64)
            server.settimeout(SECONDS)
            two.unblock()
            self.assertEqual(seen_from(client, server), address)

    def test_renumbering(self):
        with Lab() as lab:
            internet = lab.switch("internet")
            router = lab.router("router", internet, "20.2.0.1/8", "20.128.0.1/24")
            one = lab.host("one", router.inside, "20.128.0.2/24", gateway="20.128.0.1")
            server = udp(lab.host("two", internet, "10.0.0.2/24", "20.3.0.1/8",
                                  gateway="20.2.0.1"), "20.3.0.1", 1000)
            self.assertEqual(seen_from(udp(one), server)[0], "20.128.0.2")
            one.renumber("20.128.0.77/24")
            self.assertEqual(seen_from(udp(one), server)[0], "20.128.0.77")

    def test_nothing_is_left(self):
        with Lab() as lab:
            host = lab.host("one", lab.switch("lan"), "10.0.0.1/24")
            process = host.popen(["sleep", "60"])
            namespaces = [node.namespace for node in lab.nodes]
        self.assertIsNotNone(process.poll())
        listed = netlab.command("ip", "netns", "list")
        for namespace in namespaces:
            self.assertNotIn(namespace, listed)


if __name__ == "__main__":
    reason = netlab.unavailable()
    if reason is not None:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
