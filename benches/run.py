"""Lumbre beside every library that can be found, workload by workload, in one run on this machine.

Each library trains in a process of its own, all with the same number of threads; measurements alternate, one
library at a time, and the median of several counts. The floor of a step is its products' FLOP over the
measured FMA rate, plus the optimizer's memory traffic at the measured rate of such a stream, plus the
barriers.

`python benches/run.py [workload ...] [--rounds 5] [--threads N] [--peers FOLDER]`, FOLDER being a virtual
environment with the other libraries (`make peers` makes `.venv-peers`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from workloads import WORKLOADS, Workload

HERE = Path(__file__).parent
PEERS = {
    "torch_peer": ["eager", "compile"],
    "jax_peer": ["jit", "scan"],
    "keras_peer": ["jax", "torch", "tensorflow"],
    "sklearn_peer": ["mlp"],
}
SETTLE = 0.5
"""Seconds before each measurement: threads of the library measured before may spin on after their work."""

BARRIERS = 8
"""Meetings of the workers that a step needs: forward and backward of each layer, and the update."""


class Worker:
    """A library at work in another process."""

    def __init__(self, python: str, module: str, variant: str, workload: Workload, threads: int) -> None:
        self.name = f"{module.removesuffix('_peer')} {variant}"
        self.workload = workload
        self.seconds: list[float] = []
        # OpenBLAS is left to choose its own kernels.
        env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        self.process = subprocess.Popen(
            [python, str(HERE / "worker.py"), module, variant, workload.name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=env,
        )
        self.start: dict[str, float] = self._answer()

    def _answer(self) -> dict[str, float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} stopped")
        answer: dict[str, float] = json.loads(line)
        return answer

    def measure(self) -> None:
        assert self.process.stdin is not None
        time.sleep(SETTLE)
        per_epoch = -(-self.workload.rows // self.workload.batch)
        steps = max(1, round(self.workload.steps / per_epoch)) * per_epoch
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        self.seconds.append(self._answer()["seconds"] / steps)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def machine(threads: int, workload: Workload) -> dict[str, Any]:
    """What the processor can do, measured now."""
    command = ["cargo", "run", "--release", "--quiet", "-p", "lumbre-runtime", "--example", "machine", "--"]
    output = subprocess.run(
        [*command, str(threads), str(workload.parameters)],
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    measured: dict[str, Any] = json.loads(output.stdout.splitlines()[-1])
    return measured


def floor(workload: Workload, measured: dict[str, Any]) -> float:
    """The least time that a step can take here, in seconds."""
    stream = measured["adam_stream"][str(workload.parameters)]
    if workload.optimizer == "momentum":
        stream *= 5 / 7  # three reads and two writes of the four and three
    barriers = BARRIERS * measured["barrier"] if measured["threads"] > 1 else 0.0
    return workload.flops / float(measured["fma"]) + stream + barriers


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    fields = dict(part for line in lines if len(part := [s.strip() for s in line.split(":", 1)]) == 2)
    name = fields.get("model name", platform.processor() or platform.machine())
    return f"{name} (family {fields.get('cpu family', '?')}, model {fields.get('model', '?')})"


def bench(workload: Workload, peers_python: str | None, rounds: int, threads: int) -> None:
    before = machine(threads, workload)
    workers = [Worker(sys.executable, "lumbre_peer", "fit", workload, threads)]
    for module, variants in PEERS.items() if peers_python else ():
        for variant in variants:
            try:
                workers.append(Worker(str(peers_python), module, variant, workload, threads))
            except RuntimeError:
                continue  # not installed, or it cannot do this workload
    for _ in range(rounds):
        for worker in workers:
            worker.measure()
    after = machine(threads, workload)
    measured = before if before["fma"] > after["fma"] else after
    least = floor(workload, measured)
    print(
        f"\n{workload.name}: {'-'.join(map(str, workload.sizes))}, batch {workload.batch}, "
        f"{workload.optimizer}"
        f"{f', dropout {workload.dropout}' if workload.dropout else ''}, {threads} threads\n"
        f"  level {measured['level']}, {measured['fma'] / 1e9:.0f} GFLOP/s measured, barrier "
        f"{measured['barrier'] * 1e6:.2f} µs, floor {least * 1e6:.1f} µs a step\n"
        f"  {'':<18}{'µs a step':>11}{'min':>9}{'max':>9}{'ratio':>8}{'GFLOP/s':>9}{'of floor':>9}"
        f"{'1st epoch s':>12}{'import s':>9}{'MB':>6}"
    )
    ours = workers[0].median
    for w in workers:
        print(
            f"  {w.name:<18}{w.median * 1e6:>11.1f}{min(w.seconds) * 1e6:>9.1f}{max(w.seconds) * 1e6:>9.1f}"
            f"{w.median / ours:>7.2f}×{workload.flops / w.median / 1e9:>9.1f}{least / w.median:>9.0%}"
            f"{w.start['first_epoch_s']:>12.2f}{w.start['import_s']:>9.2f}{w.start['memory_mb']:>6.0f}",
            flush=True,
        )
        w.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", choices=[*WORKLOADS, []], help="all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--peers", default=".venv-peers", help="virtual environment of the other libraries")
    options = parser.parse_args()
    python = Path(options.peers) / "bin" / "python"
    print(f"{processor()}, {options.threads} threads, Python {platform.python_version()}", flush=True)
    if not python.exists():
        print(f"no other libraries: {python} does not exist (make peers)")
    for name in options.workloads or WORKLOADS:
        workload = WORKLOADS[name]
        bench(
            workload,
            str(python) if python.exists() else None,
            options.rounds,
            workload.threads or options.threads,
        )


if __name__ == "__main__":
    main()
