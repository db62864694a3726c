"""Jobs while plasmd, plasm-run and plasm-sign are killed at random points: every acknowledged job ends
in one receipt, the same however often it is asked for, or is said to be lost; none runs twice; the
database stays whole.
Usage: chaos_test.py BUILD_DIR [--jobs N] [--rounds N] [--seed N]"""

import argparse
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid

from worker import Worker

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HELLO = os.path.join(SOURCE, "wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm")
CLIENTS = 4
ANSWER_SECONDS_MAX = 120
# Offers for each job that shall be acknowledged: many meet a worker that is just starting.
ATTEMPTS_MAX = 20
# A client whose worker died hears nothing for a while: it is killed then, as clients are.
COMMAND_SECONDS_MAX = 5
# The daemon itself half of the time; the others as often as each other.
TARGETS = ("plasmd", "plasmd", "plasmd", "plasm-run", "runner", "plasm-sign")


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children(pid):
    """All descendants, by the kernel's lists, with their names."""
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                for child in map(int, file.read().split()):
                    with open(f"/proc/{child}/comm", encoding="ascii", errors="replace") as name:
                        found.append((child, name.read().strip(), pid))
                    found += children(child)
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


class Cluster:
    """One worker that comes back on the same port whenever it was killed."""

    def __init__(self, build, directory, ambushes_max):
        self.ambushes_max = ambushes_max
        self.worker = Worker(build, directory, listen=free_port())
        self.worker.__enter__()
        self.kills = {name: 0 for name in (*TARGETS, "ambush")}
        self.lock = threading.Lock()
        self.ambushed = threading.Event()

    def ambush(self):
        """Kills the daemon right now, when it has just acknowledged something. Whoever watches
        `ambushed` starts it again."""
        if self.lock.acquire(blocking=False):
            if not self.ambushed.is_set() and self.kills["ambush"] < self.ambushes_max:
                self.worker.process.kill()
                self.kills["ambush"] += 1
                self.ambushed.set()
            self.lock.release()

    def strike(self, target):
        with self.lock:
            self.strike_locked("plasmd" if self.ambushed.is_set() else target)
            self.ambushed.clear()

    def strike_locked(self, target):
        """Kills one process of the kind, if there is one."""
        pid = self.worker.process.pid
        if target == "plasmd":
            self.worker.kill()
            self.kills[target] += not self.ambushed.is_set()
            self.worker.__enter__()
            return
        named = [child for child in children(pid)
                 if child[1].startswith("plasm-sign" if target == "plasm-sign" else "plasm-run")]
        if target != "plasm-sign":
            # The zygote is the daemon's own child, runners and compilers are below it.
            top = {child[0] for child in named if child[2] == pid}
            named = [child for child in named if (child[0] in top) == (target == "plasm-run")]
        if named:
            try:
                os.kill(random.choice(named)[0], signal.SIGKILL)
                self.kills[target] += 1
            except ProcessLookupError:
                pass


class Job:
    def __init__(self, job_id):
        self.job_id = job_id
        self.acknowledged = False
        self.receipts = []
        self.lost = False
        self.refusal = ""


class Client(threading.Thread):
    """Submits its share of the jobs one after the other, as one identity."""

    def __init__(self, build, directory, number, count, seed, cluster):
        super().__init__()
        self.build = build
        self.cluster = cluster
        self.address = cluster.worker.address
        self.random = random.Random(f"{seed}/{number}")
        self.directory = os.path.join(directory, f"client{number}")
        os.makedirs(self.directory)
        self.count = count
        self.jobs = []
        self.faults = []

    def options(self):
        return ("--json", "--no-mdns", "--identity", os.path.join(self.directory, "key"),
                "--state-dir", os.path.join(self.directory, "state"))

    def events(self, *arguments, stdin=b"", ambush=""):
        """What plasm says, to the end; when it says `ambush`, the daemon is killed at once."""
        found = []
        with tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            process = subprocess.Popen(
                [os.path.join(self.build, "bin", "plasm"), *arguments], stdin=file,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            guard = threading.Timer(COMMAND_SECONDS_MAX, process.kill)
            guard.start()
            for line in process.stdout:
                found.append(json.loads(line))
                if found[-1]["event"] == ambush:
                    self.cluster.ambush()
                    process.kill()  # nobody is there to tell it anything
            process.wait()
            process.stdout.close()
            guard.cancel()
        return found

    def module(self):
        """The module and its arguments: quick ones, ones that last a while, and now and then one that
        has to be compiled, made new by a custom section."""
        kind = self.random.random()
        if kind < 0.4:
            return (os.path.join(self.build, "wasm-tests", "streams.wasm"), "--", "lines", "4",
                    str(self.random.randrange(100)))
        if kind < 0.8:
            return (HELLO,)
        path = os.path.join(self.directory, "fresh.wasm")
        with open(HELLO, "rb") as file:
            module = file.read()
        section = b"\x04test" + self.random.randbytes(32)
        with open(path, "wb") as file:
            file.write(module + b"\x00" + bytes([len(section)]) + section)
        return (path,)

    def note(self, job, events):
        for event in events:
            if event["event"] == "submitted":
                job.acknowledged = True
            elif event["event"] == "result":
                job.receipts.append(event["file"])
            elif event["event"] == "error":
                job.refusal = event["message"]

    def submit(self):
        job = Job(str(uuid.UUID(bytes=self.random.randbytes(16), version=4)))
        self.jobs.append(job)
        request = json.dumps({"job_id": job.job_id, "node": self.address, "timeout_ms": 8000})
        stdin = self.random.randbytes(16).hex().encode()
        ambush = self.random.choice(("submitted", "result", "", "", "", ""))
        self.note(job, self.events("run", "--request-json", request, "--stdin", "-",
                                   *self.options(), *self.module(), stdin=stdin, ambush=ambush))
        return job

    def settle(self, job):
        """Asks until the worker has said how an acknowledged job ended."""
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while time.monotonic() < deadline:
            self.note(job, self.events("receipt", *self.options(), job.job_id))
            if job.receipts:
                return
            if job.refusal.startswith("lost"):
                job.lost = True
                return
            if job.refusal.startswith("not_found"):
                break
            time.sleep(0.1)
        self.faults.append(f"{job.job_id}: acknowledged, no answer: {job.refusal}")

    def offer_again(self, job):
        """The same client and job id must never be accepted a second time."""
        again = Job(job.job_id)
        request = json.dumps({"job_id": job.job_id, "node": self.address, "timeout_ms": 8000,
                              "remember": False})
        self.note(again, self.events("run", "--request-json", request, "--stdin", "-",
                                     *self.options(), HELLO, stdin=b"again"))
        if again.acknowledged:
            self.faults.append(f"{job.job_id}: accepted a second time")

    def run(self):
        acknowledged = 0
        for _ in range(ATTEMPTS_MAX * self.count):
            if acknowledged == self.count:
                break
            job = self.submit()
            acknowledged += job.acknowledged
            if not job.acknowledged:
                time.sleep(0.1)
            if job.acknowledged and not job.receipts:
                self.settle(job)
            if job.acknowledged and self.random.random() < 0.2:
                self.offer_again(job)

    def check_again(self):
        """Later, with nothing being killed: the same answers."""
        for job in self.jobs:
            if not job.acknowledged:
                continue
            again = Job(job.job_id)
            self.note(again, self.events("receipt", *self.options(), job.job_id))
            self.note(again, self.events("receipt", *self.options(), job.job_id))
            answers = {json.dumps(file, sort_keys=True) for file in job.receipts + again.receipts}
            if job.lost and not answers and again.refusal.startswith("lost"):
                continue
            if len(answers) != 1 or job.lost or len(again.receipts) != 2:
                self.faults.append(f"{job.job_id}: {len(answers)} different receipts, lost: "
                                   f"{job.lost}, then: {again.refusal}")


def check_database(path, clients):
    faults = []
    known = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def expect(sql, wanted):
        answer = known.execute(sql).fetchall()
        if answer != wanted:
            faults.append(f"{sql}: {answer[:5]}")

    expect("PRAGMA integrity_check", [("ok",)])
    expect("SELECT client, job_id FROM jobs GROUP BY client, job_id HAVING count(*) > 1", [])
    expect("SELECT number FROM receipts WHERE number NOT IN (SELECT number FROM jobs)", [])
    expect("SELECT number FROM receipts JOIN lost USING (number)", [])
    expect("SELECT number FROM jobs LEFT JOIN receipts USING (number) LEFT JOIN lost USING (number)"
           " WHERE receipt IS NULL AND noticed_ms IS NULL", [])
    rows = {job_id for job_id, in known.execute("SELECT job_id FROM jobs")}
    for client in clients:
        faults += [f"{job.job_id}: acknowledged, not in the database" for job in client.jobs
                   if job.acknowledged and job.job_id not in rows]
    known.close()
    return faults


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--jobs", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    build = os.path.abspath(options.build)
    print(f"chaos: --jobs {options.jobs} --rounds {options.rounds} --seed {options.seed}",
          flush=True)
    chance = random.Random(options.seed)
    random.seed(options.seed)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        cluster = Cluster(build, directory, options.rounds // 2)
        clients = [Client(build, directory, number, options.jobs // CLIENTS, options.seed,
                          cluster)
                   for number in range(CLIENTS)]
        for client in clients:
            client.start()
        rounds = 0
        # Rounds over the time that the jobs take, and jobs as long as there are rounds.
        while rounds < options.rounds:
            cluster.ambushed.wait(chance.uniform(0.02, 0.6))
            cluster.strike(chance.choice(TARGETS))
            rounds += 1
            if not any(client.is_alive() for client in clients):
                break
        while any(client.is_alive() for client in clients):
            if cluster.ambushed.wait(0.2):
                cluster.strike("plasmd")
        for client in clients:
            client.check_again()
        cluster.worker.__exit__()
        # Whoever was running at the last kill is settled by a start and a stop in peace.
        with cluster.worker:
            pass
        faults = [fault for client in clients for fault in client.faults]
        faults += check_database(os.path.join(directory, "state", "store", "plasm.db"), clients)
        jobs = [job for client in clients for job in client.jobs]
        acknowledged = [job for job in jobs if job.acknowledged]
        print(f"chaos: {len(jobs)} offers, {len(acknowledged)} acknowledged, "
              f"{sum(1 for job in acknowledged if job.receipts)} with a receipt, "
              f"{sum(1 for job in acknowledged if job.lost)} lost, {rounds} rounds, kills "
              f"{cluster.kills}, {time.monotonic() - begun:.0f} s")
        for fault in faults:
            print("FAULT", fault)
        if faults:
            print(cluster.worker.log()[-4000:])
        return 1 if faults or len(acknowledged) < options.jobs // CLIENTS * CLIENTS else 0


if __name__ == "__main__":
    sys.exit(main())
