"""Timing kernels: called from Python (by pytest-benchmark), within a replayed step, and both in a table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from measure import machine, processor

import lumbre
from lumbre import _core
from lumbre.capture import Captured

REPLAY = 0.02
"""Seconds that one call of a replay takes, about."""

ROUNDS = 15


@dataclass
class Case:
    """A kernel on operands of given shapes: seconds, and what they are held against."""

    flops: float = 0.0
    stream: float = 0.0  # seconds of a stream with as much traffic
    seconds: dict[str, float] = field(default_factory=dict)  # numpy, eager, replayed


cases: dict[str, Case] = {}


def eager(benchmark: Any, name: str, library: str, run: Callable[..., Any], *arguments: Any) -> None:
    """Times calls from Python, of NumPy or of ours, and notes the median."""
    benchmark.group = name
    benchmark(run, *arguments)
    cases[name].seconds["numpy" if library == "numpy" else "eager"] = benchmark.stats.stats.median


def replayed(name: str, step: Callable[..., Any], *arguments: lumbre.Tensor) -> None:
    """Times a step that is recorded once and played back many times in one native call; notes the median."""
    captured = Captured(step)
    while (entry := captured.entry(name)).program is None:
        assert entry.reason is None, entry.reason
        captured.run(entry, arguments)
    program, arrays = entry.program, [a._a for a in arguments]

    def took(steps: int) -> float:
        start = time.perf_counter()
        done, _, _ = program.replay(arrays, None, 0, steps, 3600.0)
        assert done == steps
        return (time.perf_counter() - start) / steps

    steps = 1
    while (each := took(steps)) * steps < REPLAY:
        steps *= 2
    steps = max(1, round(REPLAY / each))
    for _ in range(3):  # the program tries one worker and the team, and then keeps to the faster
        took(steps)
    cases[name].seconds["replayed"] = statistics.median(took(steps) for _ in range(ROUNDS))


def table(limits: dict[str, Any]) -> Iterator[str]:
    """All cases: products by their rate, what moves more than it computes by its time.

    Args:
        limits: What `machine` measured before.
    """
    threads = lumbre.get_num_threads()
    yield f"{processor()}, {_core.isa()}, {threads} threads; medians"
    if products := {name: case for name, case in cases.items() if case.flops}:
        peak = max(m["fma"] for m in (limits, machine(threads, []))) * 1e-9
        head = f"GFLOP/s, of {peak:.0f} measured"
        yield f"{head:<34}{'NumPy':>9}{'eager':>9}{'replayed':>10}{'of peak':>9}"
        for name, case in products.items():
            numpy, called, played = (case.flops * 1e-9 / s for s in seconds(case))
            yield f"{name:<34}{numpy:>9.1f}{called:>9.1f}{played:>10.1f}{played / peak:>9.0%}"
    if streams := {name: case for name, case in cases.items() if case.stream}:
        yield f"{'µs':<34}{'NumPy':>9}{'eager':>9}{'replayed':>10}{'stream':>9}{'÷ stream':>10}{'NumPy ÷':>9}"
        for name, case in streams.items():
            numpy, called, played = seconds(case)
            times = f"{numpy * 1e6:>9.0f}{called * 1e6:>9.0f}{played * 1e6:>10.0f}{case.stream * 1e6:>9.0f}"
            yield f"{name:<34}{times}{played / case.stream:>10.2f}{numpy / played:>9.1f}"


def seconds(case: Case) -> list[float]:
    """By NumPy, in an eager call and replayed; NaN for what was not run."""
    return [case.seconds.get(how, float("nan")) for how in ("numpy", "eager", "replayed")]
