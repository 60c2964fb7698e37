"""One library at one workload in a process of its own, driven line by line over a pipe.

`python worker.py MODULE VARIANT WORKLOAD THREADS` writes a line of JSON at the start, with what setting up
took. To each number of seconds that it reads it works for about so long, and writes how many steps it made
and what they took.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def peak_memory() -> float:
    """The most memory this process has had, in MB."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peak = next((float(line.split()[1]) for line in lines if line.startswith("VmHWM")), None)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if peak is None else peak) / 1024


def timed(run: Callable[[int], float], times: int) -> float:
    start = time.perf_counter()
    run(times)
    return time.perf_counter() - start


def main() -> None:
    module, variant, name, count = sys.argv[1:5]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get between the answers

    def say(**values: object) -> None:
        print(json.dumps(values), file=answers, flush=True)

    from workloads import WORKLOADS, data, initial, other  # with NumPy: the import time is the library's own

    workload = WORKLOADS.get(name) or other(name)
    data(workload), initial(workload)
    start = time.perf_counter()
    peer = importlib.import_module(f"peers.{module}")
    imported = time.perf_counter() - start
    start = time.perf_counter()
    try:
        run = peer.make(workload, variant, int(count))
    except NotImplementedError as why:
        say(cannot=str(why))
        return
    loss = run(1)
    first = time.perf_counter() - start
    times, took = 1, timed(run, 1)
    while took < 0.1:  # until it is warm and its speed is known
        times *= 2
        took = timed(run, times)
    say(import_s=imported, first_s=first, loss=loss)
    for line in sys.stdin:
        times = max(1, round(times * float(line) / took))
        took = timed(run, times)
        say(steps=times * workload.steps, seconds=took, memory_mb=peak_memory())


if __name__ == "__main__":
    main()
