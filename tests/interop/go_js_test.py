#!/usr/bin/env python3
"""Proves the go and the js peer against each other, both ways, so that a failure with our own peer
is not the harness's. Run: go_js_test.py --go PROGRAM --js DIRECTORY [--only TEXT]
"""

import argparse
import sys
from pathlib import Path

import cases
import tcp_cases
from driver import Programs, Suite


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--go", required=True, help="the go peer program")
    parser.add_argument("--js", required=True, help="the directory of the js peer")
    parser.add_argument("--only", help="run only the groups whose name has this text")
    options = parser.parse_args()

    programs = Programs(go=[options.go], js=["node", str(Path(options.js) / "peer.mjs")])
    suite = Suite(programs, options.only)
    suite.group("go dials js", ["go", "js"], cases.pair)
    suite.group("js dials go", ["js", "go"], cases.pair)
    suite.group("go dials js, closing", ["go --prefix /other", "js"], cases.closing)
    suite.group("js dials go, closing", ["js --prefix /other", "go"], cases.closing)
    for security in ("noise", "tls"):
        go, js = (f"{name} {tcp_cases.TCP4} --security {security}" for name in ("go", "js"))
        suite.group(f"go dials js over TCP, {security}", [go, js], tcp_cases.meeting)
        suite.group(f"js dials go over TCP, {security}", [js, go], tcp_cases.meeting)
    suite.group("kad go-js", ["go", "js"], cases.kad_pair)
    suite.group("kad js-go", ["js", "go"], cases.kad_pair)
    suite.group("kad go-js-go", ["go", "js", "go"], cases.kad_line)
    suite.group("kad js-go-js", ["js", "go", "js"], cases.kad_line)
    suite.group("find_peer go-js-go", ["go", "js", "go"], cases.kad_find_peer)
    suite.group("find_peer js-go-js", ["js", "go", "js"], cases.kad_find_peer)
    suite.group("client go-js-go", ["go --mode client", "js", "go"], cases.kad_client)
    suite.group("client js-go-js", ["js --mode client", "go", "js"], cases.kad_client)
    suite.group("refusals by js", ["js", "go"], cases.refusals)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
