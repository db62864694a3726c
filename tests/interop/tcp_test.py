#!/usr/bin/env python3
"""Our peer against go-libp2p and js-libp2p over TCP, with Noise and with TLS, and Yamux: both
directions, Kademlia, and everything that must be refused.

Run: tcp_test.py --peer PROGRAM --go PROGRAM --js DIRECTORY [--only TEXT]
The peer speaks the commands of README.md; the go peer can stand in for it to check this test.
"""

import argparse
import sys
from pathlib import Path

import tcp_cases
from driver import Programs, Suite
from tcp_cases import SECURITIES, TCP4, TCP6

OTHER_NETWORK = "--prefix /other"  # js dials its DHT neighbours again as soon as they are gone


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", required=True, help="our peer program")
    parser.add_argument("--go", required=True, help="the go peer program")
    parser.add_argument("--js", required=True, help="the directory of the js peer")
    parser.add_argument("--only", help="run only the groups whose name has this text")
    parser.add_argument(
        "--security", choices=SECURITIES, help="only this one; both where it is left out"
    )
    options = parser.parse_args()

    suite = Suite(
        Programs(
            us=[options.peer],
            go=[options.go],
            js=["node", str(Path(options.js) / "peer.mjs")],
        ),
        options.only,
    )
    us = f"us {TCP4}"
    securities = (options.security,) if options.security else SECURITIES
    for name in ("go", "js"):
        for security in securities:
            foreign = f"{name} {TCP4} {OTHER_NETWORK} --security {security}"
            suite.group(f"{name} dials us, {security}", [foreign, us], tcp_cases.pair)
            suite.group(f"we dial {name}, {security}", [us, foreign], tcp_cases.pair)
        foreign = f"{name} {TCP4}"
        suite.group(f"kad {name} joins us", [foreign, us], tcp_cases.kad)
        suite.group(f"kad we join {name}", [us, foreign], tcp_cases.kad)
    suite.group("we dial ourselves", [us, us], tcp_cases.pair)
    suite.group("go dials us by IPv6", [f"go {TCP6}", f"us {TCP6}"], tcp_cases.meeting)
    suite.group("we dial go by IPv6", [f"us {TCP6}", f"go {TCP6}"], tcp_cases.meeting)
    suite.group(
        "refusals",
        [us, f"go {TCP4}"],
        lambda check, *peers: tcp_cases.refusals(check, securities, *peers),
    )
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
