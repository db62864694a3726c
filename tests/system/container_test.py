#!/usr/bin/env python3
"""The files for containers agree with the programs: options, configuration, port, user.

usage: container_test.py BUILD_DIRECTORY. No container is started."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DIRECTORY = os.path.join(ROOT, "daemon", "container")
BIN = os.path.join(os.path.abspath(sys.argv.pop(1)), "bin")
PORTS = {("UDP", 4001), ("TCP", 4001)}


def read(name):
    with open(os.path.join(DIRECTORY, name), encoding="utf-8") as file:
        return file.read()


class Container(unittest.TestCase):
    def setUp(self):
        documents = {document["kind"]: document
                     for document in yaml.safe_load_all(read("kubernetes.yaml"))}
        self.configuration = documents["ConfigMap"]["data"]["plasmd.conf"]
        self.pod = documents["StatefulSet"]["spec"]["template"]["spec"]
        self.container = self.pod["containers"][0]

    def test_kubernetes_configuration_is_good(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(self.configuration)
            file.flush()
            arguments = [file.name if word.endswith("plasmd.conf") else word
                         for word in self.container["args"]]
            done = subprocess.run([os.path.join(BIN, "plasmd"), *arguments, "check-config"],
                                  capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_kubernetes_ports_and_privileges(self):
        self.assertEqual({(port["protocol"], port["hostPort"]) for port in
                          self.container["ports"]}, PORTS)
        self.assertTrue(self.pod["securityContext"]["runAsNonRoot"])
        self.assertEqual(self.container["securityContext"]["capabilities"]["drop"], ["ALL"])
        mounts = {mount["name"] for mount in self.container["volumeMounts"]}
        self.assertEqual(mounts, {"state", "configuration", "scratch"})

    def test_kubernetes_probe_is_a_command_of_plasm(self):
        program, command, _, *options = self.container["livenessProbe"]["exec"]["command"]
        self.assertEqual(program, "plasm")
        said = subprocess.run([os.path.join(BIN, "plasm"), command, "--help"], text=True,
                              capture_output=True, check=True).stdout
        for option in options:
            if option.startswith("--"):
                self.assertIn(option, said)

    def test_dockerfile(self):
        text = read("Dockerfile")
        exposed = re.search(r"^EXPOSE (.*)$", text, re.M).group(1).split()
        self.assertEqual({(port.split("/")[1].upper(), int(port.split("/")[0]))
                          for port in exposed}, PORTS)
        with open(os.path.join(ROOT, "daemon/debian/plasm.sysusers"), encoding="utf-8") as file:
            user = file.read().split()[1]
        self.assertIn(f"\nUSER {user}\n", text)


if __name__ == "__main__":
    unittest.main()
