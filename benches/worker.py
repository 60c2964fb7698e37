"""One library training one workload in a process of its own, driven line by line over a pipe.

`python worker.py MODULE VARIANT WORKLOAD THREADS` writes a line of JSON at the start, with what setting up
took, and to each number that it reads one with the seconds that so many steps took.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    module, variant, name, threads = sys.argv[1:5]
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = threads
    if int(threads) == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    import numpy  # noqa: F401 - so that the import time is the library's own

    start = time.perf_counter()
    library = module.removesuffix("_peer")
    if library != "keras":
        importlib.import_module(library)
    imported = time.perf_counter() - start

    from workloads import WORKLOADS

    workload = WORKLOADS[name]
    start = time.perf_counter()
    run = importlib.import_module(f"peers.{module}").make(workload, variant, int(threads))
    per_epoch = workload.rows // workload.batch
    loss = run(per_epoch)
    first = time.perf_counter() - start
    run(per_epoch)

    def say(**values: object) -> None:
        print(json.dumps(values), file=answers, flush=True)

    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(import_s=imported, first_epoch_s=first, loss=loss, memory_mb=memory)
    for line in sys.stdin:
        start = time.perf_counter()
        run(int(line))
        say(seconds=time.perf_counter() - start)


if __name__ == "__main__":
    main()
