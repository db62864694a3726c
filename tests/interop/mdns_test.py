"""Our mDNS against go-libp2p's and js-libp2p's, on an Ethernet of network namespaces: each side finds
the other, and nobody was given an address. Usage: mdns_test.py --peer … --go … --js …"""

import argparse
import os
import sys
from pathlib import Path

from driver import Programs, Suite, expect

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import netlab  # pylint: disable=wrong-import-position

SKIPPED = 77
LISTEN = "--listen /ip4/0.0.0.0/udp/4001/quic-v1 --mdns"
GATEWAY = "192.168.7.250"  # nobody is there, but js wants a route for multicast
HOSTS = {"us": "192.168.7.1", "go": "192.168.7.2", "js": "192.168.7.3"}
# js asks every ten seconds.
FOUND_SECONDS = 15


def they_find_us(us, foreign):
    def heard(answer):
        return any(found["peer_id"] == us.id for found in answer["peers"])

    answer = foreign.until("discovered", heard, "our peer should be found", FOUND_SECONDS)
    (found,) = [found for found in answer["peers"] if found["peer_id"] == us.id]
    bare = [address.split("/p2p/")[0] for address in found["addrs"]]
    expect(bare == [f"/ip4/{HOSTS['us']}/udp/4001/quic-v1"], f"announced {found['addrs']}")


def we_find_them(us, foreign):
    def dialled(answer):
        return any(peer["peer_id"] == foreign.id and peer["direction"] == "outbound"
                   for peer in answer["peers"])

    us.until("peers", dialled, f"{foreign.name} should be found and dialled", FOUND_SECONDS)


def both(check, *peers):
    us, foreign = sorted(peers, key=lambda peer: not peer.name.startswith("us"))
    check("they find us", they_find_us, us, foreign)
    check("we find them, and dial", we_find_them, us, foreign)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", required=True, help="our peer program")
    parser.add_argument("--go", required=True, help="the go peer program")
    parser.add_argument("--js", required=True, help="the directory of the js peer")
    parser.add_argument("--only", help="run only the groups whose name has this text")
    options = parser.parse_args()
    reason = netlab.unavailable()
    if reason is not None:
        print(f"skipped: {reason}")
        return SKIPPED
    commands = {"us": [options.peer], "go": [options.go],
                "js": ["node", str(Path(options.js) / "peer.mjs")]}
    with netlab.Lab() as lab:
        lan = lab.switch("lan")
        hosts = {name: lab.host(name, lan, f"{address}/24", gateway=GATEWAY)
                 for name, address in HOSTS.items()}
        programs = Programs(**{name: hosts[name].argv(*commands[name]) for name in HOSTS})
        suite = Suite(programs, options.only)
        for foreign in ("go", "js"):
            suite.group(f"we come to {foreign}", [f"{foreign} {LISTEN}", f"us {LISTEN}"], both)
            suite.group(f"{foreign} comes to us", [f"us {LISTEN}", f"{foreign} {LISTEN}"], both)
        return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
