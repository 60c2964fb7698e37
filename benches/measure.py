"""The processes that are measured, the machine, and what is known afterwards."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workloads import Workload

HERE = Path(__file__).parent
ROOT = HERE.parent
SETTLE = 0.5
"""Seconds before each measurement: threads of the library measured before may spin on after their work."""

MEASURE = 0.4
"""Seconds that one measurement takes, about."""


def environment(threads: int, backend: str = "") -> dict[str, str]:
    """What every library runs with: so many threads, the CPU, compiled modules written, no checks."""
    left_out = ("OPENBLAS_", "LUMBRE_CHECK", "PYTHONDONTWRITEBYTECODE")
    env = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    counts = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    env |= dict.fromkeys([*counts, "LUMBRE_NUM_THREADS"], str(threads))
    env |= {
        "KERAS_BACKEND": backend,
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONWARNINGS": "ignore",
    }
    if threads == 1:
        env["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return env


def confine(threads: int) -> None:
    """Gives this process so many cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


@dataclass
class Result:
    """What one library did at one workload."""

    library: str
    seconds: list[float]  # a step, or a run of the script, in each round
    memory_mb: float
    import_s: float = 0.0
    first_s: float = 0.0  # the model made and the first epoch trained, or the first call

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass
class Outcome:
    """What came of a workload: ours is the first result. Without a floor: a script, or a single row."""

    name: str
    title: str
    results: list[Result]
    flops: float = 0.0
    floor: float = 0.0
    machine: dict[str, Any] = field(default_factory=dict)

    @property
    def best_peer(self) -> Result | None:
        return min(self.results[1:], key=lambda r: r.median, default=None)


class CannotError(Exception):
    """A library that does not do a workload."""


class Worker:
    """A library at work in another process."""

    def __init__(self, python: str, library: str, workload: Workload, threads: int) -> None:
        module, _, variant = library.partition(" ")
        self.library, self.steps, self.seconds, self.memory = library, workload.steps, list[float](), 0.0
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `close`
        self.process = subprocess.Popen(
            [python, str(HERE / "worker.py"), f"{module}_peer", variant, workload.name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(threads, variant if module == "keras" else ""),
            preexec_fn=lambda: confine(threads),
        )
        try:
            self.start = self._answer()
        except CannotError:
            self.close()
            raise

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise CannotError(
                f"stopped: {(self._errors.read().strip() or 'without a word').splitlines()[-1]}"
            )
        answer: dict[str, Any] = json.loads(line)
        if "cannot" in answer:
            raise CannotError(answer["cannot"])
        return answer

    def measure(self) -> None:
        assert self.process.stdin is not None
        time.sleep(SETTLE)
        self.process.stdin.write(f"{MEASURE}\n")
        self.process.stdin.flush()
        answer = self._answer()
        self.seconds.append(answer["seconds"] / answer["steps"])
        self.memory = answer["memory_mb"]

    def result(self) -> Result:
        return Result(self.library, self.seconds, self.memory, self.start["import_s"], self.start["first_s"])

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._errors.close()


def machine(threads: int, sizes: list[int]) -> dict[str, Any]:
    """What the processor can do, measured now; streams over so many parameters."""
    command = ["cargo", "run", "--release", "--quiet", "-p", "lumbre-runtime", "--example", "machine", "--"]
    done = subprocess.run(
        [*command, *map(str, [threads, *sizes])], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def floor(workload: Workload, measured: dict[str, Any]) -> float:
    """The least time that a training step can take here, in seconds."""
    if workload.task != "fit":
        return 0.0
    stream = float(measured[f"{workload.optimizer}_stream"][str(workload.parameters)])
    barriers = workload.barriers * measured["barrier"] if measured["threads"] > 1 else 0.0
    return float(workload.flops / measured["fma"] + stream + barriers)


def processor() -> str:
    """The processor's name; virtual machines hide it, so its numbers too."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    fields = dict(part for line in lines if len(part := [s.strip() for s in line.split(":", 1)]) == 2)
    name = fields.get("model name", platform.processor() or platform.machine())
    return f"{name} (family {fields.get('cpu family', '?')}, model {fields.get('model', '?')})"


PACKAGES = {
    "torch": "torch",
    "jax": "jax",
    "keras": "keras",
    "sklearn": "scikit-learn",
    "tensorflow": "tensorflow",
}

VERSIONS = """
import importlib.metadata as m, importlib.util as u, json, sys
found = {k: next((m.version(p) for p in (v, v + "-cpu") if any(True for _ in m.distributions(name=p))), "?")
         for k, v in json.loads(sys.argv[1]).items() if u.find_spec(k)}
print(json.dumps(found))
"""


def installed(python: str) -> dict[str, str]:
    """The libraries that an interpreter has, with their versions."""
    done = subprocess.run(
        [python, "-c", VERSIONS, json.dumps(PACKAGES)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def run_script(python: str, source: str, threads: int, backend: str, folder: str) -> tuple[float, float]:
    """Seconds from the start of a process that runs a script to its end, and the MB that it had at most."""
    path = Path(folder) / "script.py"
    path.write_text(source, "utf-8")
    start = time.perf_counter()
    process = subprocess.Popen(
        [python, str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=environment(threads, backend),
        preexec_fn=lambda: confine(threads),
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise CannotError(f"the script ended with {process.returncode}")
    return seconds, usage.ru_maxrss / 1024
