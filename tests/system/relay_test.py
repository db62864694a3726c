#!/usr/bin/env python3
"""Relays and hole punching between NATs: a relay in public, a private peer and a caller behind
routers of their own, in network namespaces. Needs root; skipped with a reason elsewhere.

Run: relay_test.py PLASM_PEER
"""

import sys
import unittest
from pathlib import Path

import netlab

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))
from driver import Peer  # noqa: E402

PEER = "plasm-peer"
EVENS = (netlab.FULL_CONE, netlab.ADDRESS_RESTRICTED, netlab.PORT_RESTRICTED)


class Stage:
    """Relay, private peer and caller, each in its own place."""

    def __init__(self, lab, private_nat, caller_nat, protocol="udp"):
        self.peers = []
        internet = lab.switch("internet")
        places = [lab.host("relay", internet, "20.1.0.1/8")]
        for number, nat in ((2, private_nat), (3, caller_nat)):
            router = lab.router(
                f"router{number}", internet, f"20.{number}.0.1/8", f"10.{number}.0.1/24", nat=nat
            )
            places.append(
                lab.host(
                    f"host{number}",
                    router.inside,
                    f"10.{number}.0.2/24",
                    gateway=f"10.{number}.0.1",
                )
            )
        for place, address in zip(places, ("20.1.0.1", "10.2.0.2", "10.3.0.2")):
            end = "udp/4001/quic-v1" if protocol == "udp" else "tcp/4001"
            argv = place.argv(PEER, "--verbose", "--listen", f"/ip4/{address}/{end}")
            flags = () if place is places[0] else ("--mode", "client")
            self.peers.append(Peer(place.name, argv, flags))
            self.peers[-1].greet()
        self.relay, self.private, self.caller = self.peers

    def connect(self):
        """Reserves and calls; what the caller's connection to the private peer is after a while."""
        self.relay.call("serve_relay")
        addr = self.private.call("reserve", addr=self.relay.addr)["addrs"][0]
        self.caller.call("connect", addr=self.relay.addr)
        self.caller.call("connect", addr=addr)

    def ways(self):
        return [
            "relayed" if "/p2p-circuit" in entry["addr"] else "direct"
            for entry in self.caller.call("peers")["peers"]
            if entry["peer_id"] == self.private.id
        ]

    def stop(self):
        return [peer.stop() for peer in self.peers]


class Relays(unittest.TestCase):
    def ends(self, private_nat, caller_nat, protocol="udp"):
        with netlab.Lab() as lab:
            stage = Stage(lab, private_nat, caller_nat, protocol)
            try:
                stage.connect()
                wanted = "direct"
                if netlab.SYMMETRIC in (private_nat, caller_nat):
                    wanted = "relayed"
                    stage.caller.call("ping", peer_id=stage.private.id, count=1)
                else:
                    stage.caller.until(
                        "peers",
                        lambda _: stage.ways() == ["direct"],
                        "one direct connection",
                        seconds=40,
                    )
                self.assertEqual(stage.ways(), [wanted])
                stage.caller.call("echo", peer_id=stage.private.id, size=100000)
            except Exception as error:
                raise AssertionError(
                    f"{error}\n{stage.private.log()}\n{stage.caller.log()}"
                ) from error
            finally:
                codes = stage.stop()
            self.assertEqual(codes, [0, 0, 0])

    def test_pairs_end_direct(self):
        for private_nat in EVENS:
            for caller_nat in EVENS:
                with self.subTest(private=private_nat, caller=caller_nat):
                    self.ends(private_nat, caller_nat)

    def test_tcp_opens_from_both_sides(self):
        self.ends(netlab.PORT_RESTRICTED, netlab.PORT_RESTRICTED, "tcp")

    def test_symmetric_pairs_stay_relayed(self):
        self.ends(netlab.SYMMETRIC, netlab.SYMMETRIC)


if __name__ == "__main__":
    PEER = sys.argv.pop(1)
    reason = netlab.unavailable()
    if reason:
        print(f"skipped: {reason}")
        sys.exit(77)
    unittest.main(verbosity=2, warnings="ignore")
