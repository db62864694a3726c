"""While a hostile peer attacks a worker, a well-behaved client's jobs stay fast, plasmd's memory stays
bounded, the offender is named once, and afterwards nothing of it is left.
Usage: hostile_test.py BUILD_DIR [--quick] [ATTACK...]

Three hosts of a laboratory of network namespaces: worker, client, attacker, each with an address of
its own, because loopback is exempt from what is tried here. The latency is compared with that of the
same client in the same minute without an attack: quiet, attack, quiet, attack, ..., the median of each.
The machine may do other work meanwhile: an attack that seems to slow the worker is tried again, and
only one that does so every time counts; what each try measured is printed. The attacker runs with low
priority: what it costs to make an attack on the same processors is not the worker's weakness.

--quick: one round of each attack against the same worker, each from another address."""

import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import netlab

BUILD = os.path.abspath(sys.argv[1])
SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HELLO = os.path.join(SOURCE, "wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm")
PORT = 4001
WORKER, CLIENT = "20.1.0.1", "20.2.0.1"
# Of each attack in its turn, so that the worker has heard nothing of the next one.
ATTACKERS = [f"20.{3 + number}.0.1" for number in range(60)]
# A crowd comes from as many addresses as it has connections, of many prefixes.
CROWD_FIRST, CROWD_PREFIX = "20.128.0.0", "20.128.0.0/9"
CROWD_SIZE, CROWD_STEP = 10000, 811
JOBS, QUICK_JOBS = 150, 60
ROUNDS, QUICK_ROUNDS = 3, 1
TRIES = 5
SLOWER_MAX = 3.0
# Below it is the noise of a machine with two cores: a p99 of a quiet run may be 0.4 ms.
P99_FLOOR_MS = 2.0
MEMORY_KIB_MAX = 64 * 1024
# What has been freed stays with the sanitizer for a while.
SANITIZED = os.environ.get("PLASM_SANITIZED") == "1"
# Longer than the idle time-out of connections and the lingering of what was closed.
GONE_SECONDS_MAX = 45
ATTACK_SECONDS, QUICK_SECONDS = 4, 2
# All 10,000 of them are to be made.
LONG_SECONDS = {"connections": 20, "crowd": 25}
QUICK_LONG_SECONDS = 8
# Of plasmd: runners kept for the client may have come.
FILES_MORE_MAX = 8

# Attack -> what the log may say of the offender, which follows from what the attack does:
# SILENCE       its address may be forged, or all of it is within bounds
# RATE          it comes more often than new connections of an address may, and does not mind
# HANDSHAKES    its address is proven, and it begins what it does not end, or ends it wrongly. The
#               attacks over TCP below come as often as they may: then nothing else is to be named
# PROTOCOL      what it sends ends the connection: it breaks a protocol's rules, or a bound of the
#               protocol's machine on what asks for nothing
# STREAMS       single streams beyond what the node keeps, or broken, more than a connection may have
# REQUESTS      the job protocol, or the relay, refuses what it asks for
SILENCE = None
RATE, HANDSHAKES, PROTOCOL = "refused connections", "failed handshakes", "protocol errors"
STREAMS, REQUESTS = "refused streams", "refused requests"
ATTACKS = {
    # Datagrams before a handshake is done prove nothing.
    "garbage": {SILENCE},
    "half-open": {SILENCE},
    # QUIC connections that are done: 64 of an address, then no more.
    "connections": {RATE},
    # More than 128 streams of a protocol, or half-negotiated ones that time out.
    "slow-loris": {STREAMS},
    "stream-flood": {STREAMS},
    "rapid-reset": {STREAMS},
    "varints": {STREAMS},
    "identify-flood": {STREAMS},
    # Each is a whole request, which is answered by nothing: what is too much is their number, one
    # stream each. What they say is not believed: kad_service_test.
    "providers": {STREAMS},
    "offers": {REQUESTS},
    "cid-retirement": {PROTOCOL},
    # Within the protocol; the connection ends when its window is used up, and is made anew.
    "path-challenges": {SILENCE, RATE},
    "window-abuse": {PROTOCOL},
    "window-updates": {SILENCE, RATE},
    # As fast as sockets can be made.
    "tcp-silence": {RATE, HANDSHAKES},
    "tcp-garbage": {RATE, HANDSHAKES},
    "tcp-half-open": {RATE, HANDSHAKES},
    # Over TCP, as often as allowed.
    "noise-stalled": {HANDSHAKES},
    "noise-slow": {HANDSHAKES},
    "noise-oversized": {HANDSHAKES},
    "noise-early": {HANDSHAKES},
    "noise-keyless": {HANDSHAKES},
    "tls-stalled": {HANDSHAKES},
    "tls-garbage": {HANDSHAKES},
    "secured-garbage": {PROTOCOL},
    # The muxer and the node have the same bound on streams that are broken; either may be first.
    "yamux-rapid-reset": {PROTOCOL, STREAMS},
    "yamux-born-reset": {PROTOCOL},
    "yamux-stream-flood": {PROTOCOL},
    # 256 streams on each of 8 connections: more than the 1,024 of a peer.
    "yamux-unread-flood": {PROTOCOL, STREAMS},
    "yamux-over-window": {PROTOCOL},
    # 64 streams on each of the 8 connections that a peer may have: within all bounds on numbers.
    "yamux-zero-window": {SILENCE},
    "yamux-huge-credit": {PROTOCOL},
    "yamux-crumbs": {PROTOCOL},
    "yamux-pings": {PROTOCOL},
    "yamux-unread-pings": {PROTOCOL},
    # A goodbye is no offence, and what follows it is not read.
    "yamux-go-away": {SILENCE},
    "yamux-unknown": {PROTOCOL},
    "yamux-stale": {PROTOCOL},
    "yamux-empty": {PROTOCOL},
    # Slow ones hold what they may hold until it times out.
    "yamux-slow": {SILENCE},
    "tcp-slow-streams": {SILENCE},
    "tcp-slow-offers": {SILENCE},
    # As many streams as there can be: too many for the muxer, or for the protocol.
    "tcp-identify-flood": {PROTOCOL, STREAMS},
    # They are refused as well, more than 20 a second.
    "relay-reserve": {PROTOCOL, STREAMS, REQUESTS},
    "relay-connect": {PROTOCOL, STREAMS, REQUESTS},
    "autonat-amplify": {PROTOCOL, STREAMS},
    "autonat-amplify-v2": {PROTOCOL, STREAMS},
    # None of them does anything wrong; the whole is too many.
    "crowd": {SILENCE},
}
# Yamux's Go Away with the code of a protocol error is what an offender hears, if it listens.
HEARS_GOODBYE = {"yamux-born-reset", "yamux-stream-flood", "yamux-over-window", "yamux-huge-credit",
                 "yamux-crumbs", "yamux-pings", "yamux-unknown", "yamux-stale", "yamux-empty"}
GOODBYE_PROTOCOL = 1
# What the last QUIC connection that was ended says of it: a bound that was reached, at last that of
# connections, because it comes again; or the error of the protocol.
TOO_MANY = r"too many (new connections of this address|connections of this (address|peer))"
REASONS = {
    "connections": TOO_MANY,
    "slow-loris": TOO_MANY + r"|too many broken streams",
    "stream-flood": TOO_MANY + r"|too many broken streams",
    "rapid-reset": TOO_MANY + r"|too many broken streams",
    "varints": TOO_MANY + r"|too many broken streams",
    "identify-flood": TOO_MANY + r"|too many broken streams",
    "providers": TOO_MANY + r"|too many broken streams",
    "offers": TOO_MANY + r"|too many refused requests",
    "cid-retirement": TOO_MANY + r"|CONNECTION_ID_LIMIT",
    "window-abuse": TOO_MANY + r"|FLOW_CONTROL",
}
# Where AutoNAT is asked to dial the client, who has not asked for it.
VICTIM_PORTS = "4096-4351"
CONFIG = """[node]
relay_service = on
perf = yes
"""
ABUSE = re.compile(r"WARN plasmd: abuse from (\S+): (\d+) ([a-z ]+) in \d+ s \(([a-z ]+)\)")


class Worker:
    def __init__(self, host, directory, *arguments):
        self.path = os.path.join(directory, "plasmd.log")
        addresses = os.path.join(directory, "addresses")
        config = os.path.join(directory, "plasmd.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG)
        with open(self.path, "wb") as log:
            self.process = host.popen(
                [os.path.join(BUILD, "bin/plasmd"), "--config", config, "--listen",
                 f"/ip4/{WORKER}/udp/{PORT}/quic-v1", "--listen", f"/ip4/{WORKER}/tcp/{PORT}",
                 "--state-dir", os.path.join(directory, "state"), "--print-addresses", addresses,
                 *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not os.path.exists(addresses) or "Sandbox ready" not in self.log():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("plasmd did not start:\n" + self.log())
            time.sleep(0.05)
        with open(addresses, encoding="utf-8") as file:
            self.address = file.readline().strip()

    def log(self):
        with open(self.path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def named(self, address):
        """Each line about that address: (count, what, why)."""
        return [named[1:] for named in ABUSE.findall(self.log()) if named[0] == address]

    def status(self, key):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(rf"^{key}:\s+(\d+)", file.read(), re.M).group(1))

    def cpu_ms(self):
        """Processor time it has used."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1000 // os.sysconf("SC_CLK_TCK")

    def now(self):
        """(connections, streams, handshakes, open files) as they are."""
        asked = len(self.log())
        self.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            match = re.search(r"Status: (\d+) connections, (\d+) streams, (\d+) QUIC handshakes",
                              self.log()[asked:])
            if match is not None:
                return (*map(int, match.groups()), len(os.listdir(f"/proc/{self.process.pid}/fd")))
            time.sleep(0.05)
        raise RuntimeError("plasmd does not answer SIGUSR1")

    def left(self, before):
        """What is left of an attack after a while, or None."""
        deadline = time.monotonic() + GONE_SECONDS_MAX
        while (left := self.now())[:3] != (0, 0, 0) or left[3] > before[3] + FILES_MORE_MAX:
            if time.monotonic() > deadline:
                return f"left of it: {left}, before {before}"
            time.sleep(1)
        return None

    def stop(self):
        self.process.terminate()
        code = self.process.wait(30)
        if code != 0:
            raise RuntimeError(f"plasmd ended with {code}:\n" + self.log()[-3000:])


class Field:
    """The hosts, and how long things are to take."""

    def __init__(self, lab, quick):
        self.lab = lab
        self.internet = lab.switch("internet")
        self.worker = lab.host("worker", self.internet, WORKER + "/8")
        self.client = lab.host("client", self.internet, CLIENT + "/8")
        self.client.nft("add counter inet firewall unwanted")
        for protocol in ("tcp", "udp"):
            self.client.nft(f"add rule inet firewall blocked ip saddr {WORKER} {protocol} dport "
                            f"{VICTIM_PORTS} counter name unwanted drop")
        self.jobs = QUICK_JOBS if quick else JOBS
        self.rounds = QUICK_ROUNDS if quick else ROUNDS
        self.seconds = QUICK_SECONDS if quick else ATTACK_SECONDS
        self.long_seconds = {name: QUICK_LONG_SECONDS if quick else seconds
                             for name, seconds in LONG_SECONDS.items()}
        self.attackers = 0

    def unwanted(self):
        """Packets of the worker that came to the client's ports where nobody asked for any."""
        shown = self.client.shell("nft list counter inet firewall unwanted")
        return int(re.search(r"packets (\d+)", shown).group(1))

    def attacker(self, name):
        """(host, address, what plasm-hostile is told of addresses)."""
        address = ATTACKERS[self.attackers]
        host = self.lab.host(f"bad{self.attackers}", self.internet, address + "/8")
        self.attackers += 1
        if name != "crowd":
            return host, address, []
        # The whole prefix is its own; the worker finds it behind its address.
        host.shell(f"ip route add local {CROWD_PREFIX} dev lo")
        self.worker.shell(f"ip route replace {CROWD_PREFIX} via {address}")
        return host, address, [CROWD_FIRST, str(CROWD_SIZE), str(CROWD_STEP)]

    def latency(self, worker):
        """p99 of a job in ms; a job that fails is an error."""
        done = self.client.run(os.path.join(BUILD, "bin/plasm"), "bench", HELLO, "--node",
                               worker.address, "--count", str(self.jobs), "--concurrency", "1",
                               "--state-dir", "", "--no-mdns", "--json", text=True)
        if done.returncode != 0:
            raise RuntimeError(f"plasm bench: {done.stdout}{done.stderr}")
        report = json.loads(done.stdout.strip().splitlines()[-1])
        return report["p99_us"] / 1000

    @staticmethod
    def begin(attacker, name, seconds, sources, prefix):
        return attacker.popen([*prefix, os.path.join(BUILD, "bin/plasm-hostile"), name, WORKER,
                               str(PORT), str(seconds), *sources],
                              stdout=subprocess.PIPE, text=True)

    @staticmethod
    def end(process, name, seconds):
        """What the attacker says when its time is over."""
        out, _ = process.communicate(timeout=seconds + 60)
        if process.returncode != 0:
            raise RuntimeError(f"plasm-hostile {name}: {process.returncode}")
        return json.loads(out)

    def run(self, attacker, name, seconds, sources, prefix):
        return self.end(self.begin(attacker, name, seconds, sources, prefix), name, seconds)

    def compare(self, worker, name, attacker, sources):
        """(quiet, attacked, what the attacker says): medians of the rounds, and the processor time
        that plasmd used in one, jobs included."""
        quiet, attacked, said = [], [], []
        cpu_ms = 0
        seconds = self.long_seconds.get(name, self.seconds)
        for _ in range(self.rounds):
            quiet.append(self.latency(worker))
            if name in self.long_seconds:  # the worse of two, as below
                quiet[-1] = max(quiet[-1], self.latency(worker))
            cpu_ms -= worker.cpu_ms()
            process = self.begin(attacker, name, seconds, sources, ["nice", "-n", "19"])
            time.sleep(0.3)
            attacked.append(self.latency(worker))
            if name in self.long_seconds:  # once more when it has got far
                time.sleep(seconds / 2)
                attacked[-1] = max(attacked[-1], self.latency(worker))
            said.append(self.end(process, name, seconds))
            cpu_ms += worker.cpu_ms()
        said[-1]["worker_cpu_ms"] = cpu_ms // self.rounds
        return statistics.median(quiet), statistics.median(attacked), said[-1]

    def attack(self, worker, name):
        """The faults that it showed."""
        host, address, sources = self.attacker(name)
        faults, tries, slower = [], [], 0.0
        unwanted = self.unwanted()
        for _ in range(TRIES):
            quiet, attacked, said = self.compare(worker, name, host, sources)
            slower = attacked / max(quiet, P99_FLOOR_MS)
            tries.append(f"{quiet:.2f} -> {attacked:.2f} ({slower:.1f})")
            if slower <= SLOWER_MAX:
                break
        else:
            faults.append(f"{slower:.1f} times slower")
        named = worker.named(address)
        for _ in range(TRIES):  # on a busy machine it may not have come to much yet
            if named or SILENCE in ATTACKS[name]:
                break
            said = self.run(host, name, self.seconds, sources, [])
            named = worker.named(address)
        memory = worker.status("VmHWM")
        if memory > MEMORY_KIB_MAX and not SANITIZED:
            faults.append(f"{memory} KiB of memory")
        what = named[0][1] if len(named) == 1 else SILENCE
        if len(named) > 1 or what not in ATTACKS[name]:
            faults.append(f"expected {ATTACKS[name]} at most once, the log names {named}")
        if name in HEARS_GOODBYE and (said["goodbyes"] == 0 or
                                      said["goodbye_code"] != GOODBYE_PROTOCOL):
            faults.append(f"it hears {said['goodbyes']} goodbyes of code {said['goodbye_code']}")
        if name in REASONS and said["closed"] > 0 and not re.search(REASONS[name], said["reason"]):
            faults.append(f"it is told {said['reason']!r}")
        if self.unwanted() != unwanted:
            faults.append(f"the worker dials who has not asked: {self.unwanted() - unwanted} packets")
        if said["dialled"] == 0 and said["datagrams"] == 0:
            faults.append("it did nothing")
        print(f"{name:18} p99 {', '.join(tries)} ms, memory at most {memory // 1024} MiB, "
              f"named {named}, {json.dumps(said)}", flush=True)
        host.stop()
        return faults


def counts_unwanted(field):
    """Whether what the worker's machine sends there would be seen."""
    before = field.unwanted()
    with field.worker.entered(), socket.socket(socket.AF_INET, socket.SOCK_STREAM) as dialling:
        dialling.setblocking(False)
        dialling.connect_ex((CLIENT, int(VICTIM_PORTS.split("-", maxsplit=1)[0])))
        deadline = time.monotonic() + 10
        while field.unwanted() == before and time.monotonic() < deadline:
            time.sleep(0.05)
    return field.unwanted() > before


def stood(field, names):
    """Whether one worker stood these attacks."""
    with tempfile.TemporaryDirectory() as directory:
        worker = Worker(field.worker, directory)
        field.latency(worker)  # the module is there and compiled
        before = worker.now()
        faults = [f"{name}: FAILED: {fault}" for name in names
                  for fault in field.attack(worker, name)]
        left = worker.left(before)
        if left is not None:
            faults.append(f"{names}: FAILED: {left}")
        innocent = [named for named in ABUSE.findall(worker.log()) if named[0] not in ATTACKERS]
        if innocent:
            faults.append(f"{names}: FAILED: an innocent one is named: {innocent}")
        worker.stop()
    for fault in faults:
        print(fault, flush=True)
    return not faults


def gated(field, *arguments, by_address=True):
    """Whether the operator's lists keep the attacker out, and nobody else: before it costs a
    handshake where addresses are denied. Where all are, a peer might be an exception."""
    with tempfile.TemporaryDirectory() as directory:
        host, address, _ = field.attacker("yamux-pings")
        worker = Worker(field.worker, directory, *(argument.format(address, CLIENT)
                                                   for argument in arguments))
        field.latency(worker)
        done = host.run(os.path.join(BUILD, "bin/plasm-hostile"), "yamux-pings", WORKER, str(PORT),
                        "2", text=True)
        said = json.loads(done.stdout)
        field.latency(worker)
        named = worker.named(address)
        worker.stop()
        host.stop()
    good = said["dialled"] > 0 and (said["connected"] == 0) == by_address and \
        said["closed"] >= said["connected"] and len(named) == 1 and \
        named[0][1:] == (RATE, "denied")
    print(f"{' '.join(arguments).format(address, CLIENT)}: named {named}, {json.dumps(said)}"
          f"{'' if good else ' FAILED'}", flush=True)
    return good


def main():
    reason = netlab.unavailable()
    if reason is not None:
        print("skipped:", reason)
        return 77
    quick = "--quick" in sys.argv[2:]
    names = [name for name in sys.argv[2:] if name != "--quick"] or list(ATTACKS)
    with netlab.Lab() as lab:
        field = Field(lab, quick)
        if not counts_unwanted(field):
            raise RuntimeError("packets to the client are not counted")
        good = [stood(field, names)] if quick else [stood(field, [name]) for name in names]
        good.append(gated(field, "--deny", "{0}/32"))
        if not quick:
            good.append(gated(field, "--deny", "20.0.0.0/8", "--allow", "{1}/32"))
            good.append(gated(field, "--deny", "all", "--allow", "{1}/16", by_address=False))
    print(f"{sum(good)} of {len(good)} stood")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
