"""A thousand connections and a thousand jobs do not make plasmd grow.
Usage: leak_test.py BUILD_DIR [ROUNDS]

In a sanitized build freed memory is kept for a while by design: there the leak detector judges, at
the end of plasmd, by its exit code."""

import os
import sys
import tempfile

from worker import Worker, plasm

BUILD = os.path.abspath(sys.argv[1])
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 1
SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HELLO = os.path.join(SOURCE, "wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm")
JOBS = 300
CONNECTIONS = 250  # a round; four rounds are measured
GROWTH_KIB_MAX = 3000
SANITIZED = os.environ.get("PLASM_SANITIZED") == "1"


def jobs(worker):
    code, out, error = plasm(BUILD, "bench", HELLO, "--node", worker.address, "--count", str(JOBS),
                             "--concurrency", "8", "--json")
    if code != 0:
        sys.exit(f"plasm bench: {code} {out!r} {error}")


def connections(worker):
    for _ in range(CONNECTIONS):
        code, _, error = plasm(BUILD, "ping", worker.address, "--count", "1")
        if code != 0:
            sys.exit(f"plasm ping: {code} {error}")


def main():
    with tempfile.TemporaryDirectory() as directory, \
            Worker(BUILD, directory) as worker_:
        jobs(worker_)
        connections(worker_)
        sizes = [worker_.memory_kib()]
        for _ in range(4 * ROUNDS):
            jobs(worker_)
            connections(worker_)
            sizes.append(worker_.memory_kib())
        growth = sizes[-1] - sizes[0]
        print("resident set of plasmd in KiB after each round:", *sizes)
        print(f"{len(sizes) * JOBS} jobs, {len(sizes) * CONNECTIONS} connections, "
              f"{growth} KiB of growth since the first round")
        return 0 if SANITIZED or growth <= GROWTH_KIB_MAX * ROUNDS else 1


if __name__ == "__main__":
    sys.exit(main())
