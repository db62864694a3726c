#!/usr/bin/env python3
"""AutoNAT v1 and v2 with go-libp2p, in both roles, and our address book on top of them.

Run: autonat_test.py --peer PROGRAM --go PROGRAM [--js DIRECTORY] [--only TEXT]
go-libp2p dials back to public addresses only: this test gives the loopback interface of a network
namespace of its own some (nothing leaves it), and is skipped where namespaces are refused.
"""

import argparse
import os
import subprocess
import sys

from driver import Programs, Suite, expect

INSIDE = "PLASM_AUTONAT_NAMESPACE"
# Addresses that count as public; each peer listens on one of its own.
ADDRESSES = [f"45.{i}.0.1" for i in range(1, 9)]
SKIPPED = 77


def listen(i):
    return f"--listen /ip4/{ADDRESSES[i]}/udp/0/quic-v1"


def bare(peer):
    return peer.addr.rsplit("/p2p/", 1)[0]


def nobody(address):
    return f"/ip4/{address}/udp/9/quic-v1"


def outcome(asker, server, addrs, version, wanted):
    answer = asker.call("autonat", seconds=70, peer_id=server.id, addrs=addrs, version=version)
    expect(answer["outcome"] == wanted, f"{answer} instead of {wanted}")
    return answer


def prepare(asker, server, version):
    server.call("serve_autonat", version=version)
    asker.call("serve_autonat", version=version)
    asker.call("connect", addr=server.addr)
    wanted = "/libp2p/autonat/1.0.0" if version == 1 else "/libp2p/autonat/2/dial-request"
    asker.until(
        "known",
        lambda answer: wanted in answer["protocols"],
        f"it serves {wanted}",
        peer_id=server.id,
    )


def reached(version):
    def body(check, asker, server):
        if check("connect", prepare, asker, server, version):
            check("its own address", outcome, asker, server, [bare(asker)], version, "reached")

    return body


def nobody_there(version):
    def body(check, asker, server):
        if check("connect", prepare, asker, server, version):
            port_of_nobody = bare(asker).split("/udp/")[0] + "/udp/9/quic-v1"
            check("a closed port", outcome, asker, server, [port_of_nobody], version, "not_reached")

    return body


def elsewhere(check, asker, server):
    """Another IP address than the one the question came from: has to be paid for with data."""
    if check("connect", prepare, asker, server, 2):
        check("paid with data", outcome, asker, server, [nobody("45.99.0.1")], 2, "not_reached")


def private(check, asker, server):
    if check("connect", prepare, asker, server, 2):
        check("not dialled", outcome, asker, server, [nobody("10.1.2.3")], 2, "refused")


def second_choice(check, asker, server):
    if check("connect", prepare, asker, server, 2):

        def ask():
            addrs = [nobody("192.168.7.7"), bare(asker)]
            answer = outcome(asker, server, addrs, 2, "reached")
            expect(answer["index"] == 1, f"{answer}")

        check("the first that may be dialled", ask)


def book(check, us, *servers):
    def learns():
        for server in servers:
            server.call("serve_autonat", version=2)
            us.call("connect", addr=server.addr)
        answer = us.until(
            "addresses",
            lambda answer: answer["reachability"] == "public",
            "its address is proven",
            seconds=30,
        )
        expect(answer["nat"] == "none", f"{answer}")
        return str(answer["addresses"][0])

    check("proven by itself", learns)


def limited(check, asker, server):
    """The thirteenth question of a minute is one too many."""

    def ask():
        prepare(asker, server, 1)
        outcomes = [
            asker.call(
                "autonat", seconds=70, peer_id=server.id, addrs=[bare(asker)], version=1
            )["outcome"]
            for _ in range(13)
        ]
        expect(outcomes == ["reached"] * 12 + ["refused"], f"{outcomes}")

    check("a limit for one peer", ask)


def enter_namespace():
    if os.environ.get(INSIDE):
        for address in ADDRESSES:
            subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        # Who dials from any address must not take the one it dials.
        route = f"local {ADDRESSES[1]} dev lo src {ADDRESSES[0]} table local"
        subprocess.run(["ip", "route", "replace", *route.split()], check=True)
        return
    probe = subprocess.run(
        ["unshare", "--net", "--user", "--map-root-user", "ip", "link", "set", "lo", "up"],
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode != 0:
        print(f"SKIP: no network namespace here: {probe.stderr.strip()}")
        sys.exit(SKIPPED)
    os.environ[INSIDE] = "1"
    command = ["unshare", "--net", "--user", "--map-root-user", sys.executable, "-B", *sys.argv]
    os.execvp(command[0], command)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", required=True)
    parser.add_argument("--go", required=True)
    parser.add_argument("--js")
    parser.add_argument("--only")
    options = parser.parse_args()
    enter_namespace()
    suite = Suite(Programs(us=[options.peer], go=[options.go]), options.only)
    for asker, server in (("us", "go"), ("go", "us"), ("us", "us")):
        name = f"{asker} asks {server}"
        kinds = [f"{asker} {listen(0)}", f"{server} {listen(1)}"]
        for version in (1, 2) if "go" in (asker, server) else (2,):
            suite.group(f"v{version} {name}", kinds, reached(version))
            if (version, server) != (1, "go"):  # which always tries the address it sees, too
                suite.group(f"v{version} {name}, nobody there", kinds, nobody_there(version))
        suite.group(f"v2 {name} to dial elsewhere", kinds, elsewhere)
        if server == "us":  # go is told here to dial private addresses
            suite.group(f"v2 {name}, private first", kinds, second_choice)
    kinds = [f"us {listen(0)}", f"us {listen(1)}"]
    suite.group("v2 us asks us for a private address", kinds, private)
    suite.group("v1 go asks us too often", [f"go {listen(0)}", f"us {listen(1)}"], limited)
    suite.group(
        "address book", [f"us {listen(0)}", f"go {listen(1)}", f"go {listen(2)}"], book
    )
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
