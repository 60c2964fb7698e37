"""Lumbre beside every library that can be found, workload by workload, in one run on this machine.

Each library works in a process of its own, all on the same cores with the same number of threads and, where
they train, from the same weights on the same data. Measurements alternate, one library at a time, and the
median of several counts. The floor of a step is its products' FLOP over the measured rate of FMAs, plus the
optimizer's traffic at the measured rate of such a stream over arrays of the same sizes, plus the barriers.

`one` is `call` and `predict`. `script` is the whole of examples/first_training.py, from the start of its
process to the end, against the same file with Keras. `--other 300-200-77-13/48` measures any network with any
batch: none is special.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import measure
import report
from measure import CannotError, Outcome, Result, Worker
from workloads import WORKLOADS, Workload, other

OURS = "lumbre"
PEERS = {  # name: the packages it needs
    "jax scan": ["jax"],
    "jax jit": ["jax"],
    "keras jax": ["keras", "jax"],
    "keras torch": ["keras", "torch"],
    "keras tensorflow": ["keras", "tensorflow"],
    "torch eager": ["torch"],
    "torch compile": ["torch"],
    "sklearn mlp": ["sklearn"],
}
SCRIPT = measure.ROOT / "examples" / "first_training.py"
OURS_IMPORT = "import lumbre as tf\n"
KERAS_IMPORT = "import keras\nfrom types import SimpleNamespace\ntf = SimpleNamespace(keras=keras)\n"
GROUPS = {"one": ["call", "predict"]}


class Bench:
    """The peers of this run."""

    def __init__(self, python: Path, rounds: int) -> None:
        self.python, self.rounds = str(python), rounds
        self.versions = measure.installed(self.python) if python.exists() else {}
        # Ours compiled to bytecode, as pip leaves what it installs.
        subprocess.run([sys.executable, "-c", "import lumbre"], env=measure.environment(1), check=True)
        self.peers = [name for name, needs in PEERS.items() if all(n in self.versions for n in needs)]

    def train(self, workload: Workload, threads: int) -> Outcome:
        """Any workload but `script`."""
        before = measure.machine(threads, [workload.parameters])
        with ExitStack() as open_workers:
            workers = []
            for worker in self._workers(workload, threads):
                open_workers.callback(worker.close)
                workers.append(worker)
            for _ in range(self.rounds):
                for worker in list(workers):
                    try:
                        worker.measure()
                    except CannotError as why:
                        give_up(workload.name, worker.library, why)
                        workers.remove(worker)
            results = [worker.result() for worker in workers]
        after = measure.machine(threads, [workload.parameters])
        machine = max(before, after, key=lambda m: m["fma"])
        return Outcome(
            workload.name, workload.title, results, workload.flops, measure.floor(workload, machine), machine
        )

    def _workers(self, workload: Workload, threads: int) -> Iterator[Worker]:
        yield Worker(sys.executable, OURS, workload, threads)
        for name in self.peers:
            if workload.peers is None or name in workload.peers:
                try:
                    yield Worker(self.python, name, workload, threads)
                except CannotError as why:
                    give_up(workload.name, name, why)

    def script(self, threads: int) -> Outcome:
        """The mission's script as a user starts it."""
        source = SCRIPT.read_text("utf-8")
        theirs = source.replace(OURS_IMPORT, KERAS_IMPORT)
        runs = {OURS: (sys.executable, source, "")}
        runs |= {n: (self.python, theirs, n.split()[1]) for n in self.peers if n.startswith("keras")}
        results = {name: Result(name, [], 0.0) for name in runs}
        with tempfile.TemporaryDirectory() as folder:
            for round_ in range(-1, self.rounds):  # the first reads files into memory and does not count
                for name, (python, text, backend) in list(runs.items()):
                    time.sleep(measure.SETTLE)
                    try:
                        seconds, memory = measure.run_script(python, text, threads, backend, folder)
                    except CannotError as why:
                        give_up("script", name, why)
                        del runs[name], results[name]
                        continue
                    if round_ >= 0:
                        results[name].seconds.append(seconds)
                        results[name].memory_mb = max(results[name].memory_mb, memory)
        return Outcome("script", "the whole script, 50 epochs, start to end", list(results.values()))


def give_up(workload: str, library: str, why: CannotError) -> None:
    """Goes on without a library, and says so; without ours there is nothing to go on for."""
    if library == OURS:
        raise why
    print(f"  {workload}: without {library} ({why})", flush=True)


def main() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    names = [*WORKLOADS, *GROUPS, "script"]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "workloads", nargs="*", metavar="workload", help=f"of {', '.join(names)}; all by default"
    )
    parser.add_argument(
        "--other", action="append", default=[], metavar="SIZES/BATCH", help="a network of your own"
    )
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (5)")
    parser.add_argument("--threads", type=int, default=cores, help=f"of every library ({cores})")
    parser.add_argument("--peers", default=".venv-peers", help="virtual environment of the other libraries")
    parser.add_argument(
        "--markdown", action="store_true", help="at the end, everything as the README's table"
    )
    options = parser.parse_args()
    if unknown := sorted(set(options.workloads) - set(names)):
        parser.error(f"unknown workloads: {', '.join(unknown)}; there are {', '.join(names)}")
    try:
        others = [other(text) for text in options.other]
    except ValueError as e:
        parser.error(str(e))
    asked = options.workloads or ([] if others else [*WORKLOADS, "script"])
    chosen = [name for group in asked for name in GROUPS.get(group, [group])]

    bench = Bench(Path(options.peers) / "bin" / "python", options.rounds)
    print(f"{measure.processor()}, {options.threads} threads, Python {platform.python_version()}")
    if bench.versions:
        print(", ".join(f"{name} {version}" for name, version in bench.versions.items()), flush=True)
    else:
        print(f"no other libraries: {bench.python} does not exist (make peers)", flush=True)
    outcomes = []
    for workload in [*(WORKLOADS.get(name) for name in chosen), *others]:
        if workload is None:
            outcomes.append(bench.script(options.threads))
        else:
            outcomes.append(bench.train(workload, min(workload.threads or options.threads, options.threads)))
        print(report.table(outcomes[-1]), flush=True)
    if options.markdown:
        print(f"\n{report.markdown(outcomes)}\n\nMade by `{' '.join(['python', *sys.argv])}`.")


if __name__ == "__main__":
    main()
