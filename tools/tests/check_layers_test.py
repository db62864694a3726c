#!/usr/bin/env python3
"""Tests tools/check-layers: each rule refuses a tree made to break it, and nothing else."""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import sys
import tempfile
import unittest
from unittest import mock

TOOL = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "check-layers")


def load_tool():
    """The tool as a module: hundreds of runs in one process."""
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("check_layers", TOOL)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


CHECK_LAYERS = load_tool()

GOOD = {
    "lib/include/plasm.h": "",
    "lib/util/bytes.h": '#include "plasm.h"\n#include <stddef.h>\n',
    "lib/crypto/hash.h": '#include "util/bytes.h"\n',
    "lib/crypto/hash.c": '#include "crypto/hash.h"\n#include <sodium.h>\n',
    "lib/wire/json.h": '#include "util/bytes.h"\n',
    "lib/identity/key.h": '#include "crypto/hash.h"\n',
    "lib/receipt/receipt.h": '#include "wire/json.h"\n',
    "lib/proto/kad/kad.h": '#include "identity/key.h"\n',
    "lib/proto/job/job.h": '#include "receipt/receipt.h"\n',
    "lib/peer/peer.h": '#include "proto/kad/kad.h"\n',
    "lib/client/core/core.h": '#include "peer/peer.h"\n',
    "lib/host/host.h": '#include "peer/peer.h"\n#include <uv.h>\n#include <sys/socket.h>\n',
    "lib/client/client.h": '#include "client/core/core.h"\n#include "host/host.h"\n',
    "sim/world.c": '#include "client/core/core.h"\n',
    "daemon/config.h": "",
    "daemon/main.c": '#include "config.h"\n#include "host/host.h"\n#include <unistd.h>\n',
    "daemon/runner/run.c": '#include "runner/protocol.h"\n#include <wasmtime.h>\n',
    "daemon/runner/protocol.h": '#include "util/bytes.h"\n',
    "daemon/queue.c": '#include "runner/protocol.h"\n',
}


class CheckLayers(unittest.TestCase):
    def run_tool(self, extra):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**GOOD, **extra}.items():
                path = os.path.join(root, path)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            output = io.StringIO()
            with mock.patch.object(sys, "argv", [TOOL, "--root", root]), \
                    contextlib.redirect_stdout(output):
                status = CHECK_LAYERS.main()
        return status, output.getvalue().splitlines()

    def accepts(self, path, text):
        status, lines = self.run_tool({path: text})
        self.assertEqual((status, lines[:-1]), (0, []))

    def refuses(self, path, text, line, rule):
        status, lines = self.run_tool({path: text})
        self.assertEqual(status, 1)
        self.assertEqual(len(lines), 2, lines)
        self.assertTrue(lines[0].startswith(f"{path}:{line}: "), lines[0])
        self.assertIn(rule, lines[0])

    def test_good_tree_passes(self):
        status, lines = self.run_tool({})
        self.assertEqual((status, lines), (0, [f"check-layers: {len(GOOD)} files, 0 violations"]))

    def test_upward_include(self):
        self.refuses("lib/util/map.c", '/* Map. */\n#include "crypto/hash.h"\n', 2,
                     "lib/util (layer 0) may include only lower layers, lib/crypto is layer 1")
        self.refuses("lib/proto/kad/a.c", '#include "peer/peer.h"\n', 1, "layer 4")
        self.refuses("lib/client/core/a.c", '#include "host/host.h"\n', 1, "layer 5")
        self.refuses("lib/host/a.c", '#include "client/core/core.h"\n', 1, "does not know clients")
        self.refuses("lib/client/a.c", '#include "daemon/config.h"\n', 1, "no such file under lib/")

    def test_same_layer(self):
        self.refuses("lib/crypto/a.c", '#include "wire/json.h"\n', 1, "layer 1")
        self.refuses("lib/receipt/a.c", '#include "proto/job/job.h"\n', 1, "layer 3")
        self.refuses("lib/proto/kad/a.c", '#include "receipt/receipt.h"\n', 1, "layer 3")

    def test_protocols_are_apart(self):
        self.refuses("lib/proto/ping/a.c", '#include "proto/kad/kad.h"\n', 1, "no other protocol")
        self.refuses("lib/proto/job/a.c", '#include "proto/kad/kad.h"\n', 1, "no other protocol")

    def test_sans_io(self):
        for header in ("sys/socket.h", "time.h", "netinet/in.h", "pthread.h", "sys/random.h",
                       "unistd.h", "fcntl.h"):
            for path in ("lib/proto/kad/a.c", "lib/peer/a.c", "lib/util/a.c", "sim/a.c",
                         "lib/client/core/a.c"):
                self.refuses(path, f"#include <{header}>\n", 1, "belong in lib/host")
            self.accepts("lib/host/a.c", f"#include <{header}>\n")
            self.accepts("daemon/a.c", f"#include <{header}>\n")
            self.accepts("lib/peer/a_bench.c", f"#include <{header}>\n")
        self.refuses("lib/peer/a_test.c", "#include <time.h>\n", 1, "belong in lib/host")
        self.accepts("lib/peer/a_test.c", "#include <fcntl.h>\n")
        self.accepts("lib/client/a_test.c", "#include <time.h>\n")

    def test_exceptions_reach_no_further(self):
        self.accepts("lib/client/a.c", "#include <unistd.h>\n")
        self.refuses("lib/client/a.c", "#include <fcntl.h>\n", 1, "belong in lib/host")
        self.accepts("lib/util/netaddr.c", "#include <arpa/inet.h>\n")
        self.refuses("lib/util/a.c", "#include <arpa/inet.h>\n", 1, "belong in lib/host")
        self.accepts("lib/wire/multihash.c", '#include "crypto/hash.h"\n')

    def test_homes(self):
        self.refuses("lib/client/a.c", "#include <uv.h>\n", 1, "only lib/host may")
        self.refuses("daemon/a.c", "#include <wasmtime.h>\n", 1, "only daemon/runner may")
        self.refuses("daemon/a.c", '#include "wasmtime.h"\n', 1, "only daemon/runner may")
        self.refuses("lib/peer/a.c", "#include <ngtcp2/ngtcp2.h>\n", 1, "only lib/proto/quic")
        self.refuses("lib/receipt/a.c", "#include <sodium.h>\n", 1, "only lib/crypto")

    def test_simulator_and_runner(self):
        self.refuses("sim/a.c", '#include "host/host.h"\n', 1, "simulator must not touch host/")
        self.refuses("daemon/runner/a.c", '#include "identity/key.h"\n', 1, "no keys")
        self.refuses("daemon/runner/a.c", '#include "host/host.h"\n', 1, "no network")
        self.refuses("sim/a.c", '#include "daemon/config.h"\n', 1, "layer 7")
        self.refuses("cli/a.c", '#include "daemon/config.h"\n', 1, "layer 7")

    def test_way_of_writing(self):
        self.refuses("lib/util/a.c", '#include "bytes.h"\n', 1, "no such file under lib/")
        self.refuses("lib/util/a.c", '#include "../util/bytes.h"\n', 1, "without ..")
        self.refuses("lib/util/a.c", '  #  include "crypto/hash.h"\n', 1, "layer 1")

    def test_unknown_directory(self):
        self.refuses("lib/misc/a.c", "/* Things. */\n", 1, "not in the layer table")
        self.refuses("lib/proto/gossip/a.c", "/* Gossip. */\n", 1, "not in the layer table")


if __name__ == "__main__":
    unittest.main()
