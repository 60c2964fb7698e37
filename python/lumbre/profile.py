"""Where the time of training goes: `lumbre.profile()`.

The programs that replay a step can take the time of each of their calls. A profile switches that on
for the programs it meets while it is open, notes which steps ran in Python instead and why, and puts
both into a table. When none is open nothing is timed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lumbre import _core
from lumbre.capture import Captured, Entry, observe

BETWEEN = "(between steps)"
"""The row of what is no kernel call: gathering the batch, keeping outputs, the barriers around them."""


class Row(NamedTuple):
    """The calls of one kernel on operands of the same shapes, in one step. Times are means over the steps."""

    step: str
    """The program's step."""
    op: str
    """The kernel."""
    shapes: str
    """Shapes of the operands that are read."""
    calls: int
    """Calls in a step."""
    seconds: float
    """Time at work in a step, the first worker's."""
    wait: float
    """Time at the barriers before the calls, in addition."""
    share: float
    """Part of the step's time, waiting included, between 0 and 1."""
    flops: int
    """Floating-point operations in a step."""
    bytes: int
    """Bytes read and written in a step, each operand counted once."""
    shared: bool
    """Whether all workers take part."""
    barriers: int
    """Meetings of the workers before the calls, in a step."""

    @property
    def gflops(self) -> float:
        """10⁹ floating-point operations a second."""
        return self.flops / self.seconds * 1e-9 if self.seconds else 0.0

    @property
    def gbytes(self) -> float:
        """10⁹ bytes a second. More than memory can give means that the operands are in caches."""
        return self.bytes / self.seconds * 1e-9 if self.seconds else 0.0


class Program(NamedTuple):
    """One recorded step: a name and the shapes of its inputs."""

    step: str
    inputs: str
    steps: int
    """Steps replayed."""
    team_steps: int
    """Of these, by all threads; the others were faster, or were tried, on one."""
    seconds: float
    """Mean time of a step."""
    arena_bytes: int
    """Memory for intermediate values."""
    rows: list[Row]
    """What the step does, the longest first."""


class Eager(NamedTuple):
    """Steps that ran in Python."""

    step: str
    steps: int
    reason: str | None
    """Why they cannot be replayed; None if they were recorded, to be replayed from then on."""


@dataclass
class Profile:
    """What `profile()` returns. It fills when its block ends; `print` shows it as a table."""

    seconds: float = 0.0
    """From the beginning of the block to its end."""
    programs: list[Program] = field(default_factory=list)
    """The programs replayed, those with the most time first."""
    eager: list[Eager] = field(default_factory=list)
    """The steps that ran in Python."""
    _met: dict[_core.Program, str] = field(default_factory=dict, repr=False)
    _in_python: dict[Entry, tuple[str, int]] = field(default_factory=dict, repr=False)
    _start: float | None = field(default=None, repr=False)

    @property
    def rows(self) -> list[Row]:
        """The rows of all programs."""
        return [row for program in self.programs for row in program.rows]

    @property
    def replayed(self) -> float:
        """Seconds in replayed steps; the rest of the block is Python, and beginning and ending replays."""
        return sum(program.seconds * program.steps for program in self.programs)

    def __enter__(self) -> Profile:
        global _open
        if _open is not None:
            raise RuntimeError("profile: another profile is open; leave its block before opening the next")
        self.programs, self.eager = [], []
        _open = self
        observe(self._meet)
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: Any) -> None:
        global _open
        assert self._start is not None
        self.seconds = time.perf_counter() - self._start
        _open = None
        observe(None)
        programs = [_summary(program, step) for program, step in self._met.items()]
        self.programs = sorted((p for p in programs if p.steps), key=lambda p: -p.seconds * p.steps)
        self.eager = _eager(self._in_python)
        self._met, self._in_python = {}, {}

    def _meet(self, captured: Captured, entry: Entry) -> None:
        """A step is about to run: replayed if its entry has a program, else in Python."""
        if entry.program is None:
            _, steps = self._in_python.get(entry, ("", 0))
            self._in_python[entry] = captured.name, steps + 1
        elif entry.program not in self._met:
            self._met[entry.program] = captured.name
            entry.program.start_timing()

    def __str__(self) -> str:
        return "\n".join(_lines(self))


_open: Profile | None = None


def profile() -> Profile:
    """Measures where the time goes in `fit`, `evaluate`, `predict` and functions of `lumbre.capture`.

    Use it as a context manager, around calls that replay (the first two steps of a shape are
    recorded, in Python). Afterwards `print(p)` shows for each kernel call of the recorded step its
    operands' shapes, time, share of the step, GFLOP/s and GB/s, on how many threads it ran and how
    long it waited for the others; and which steps ran in Python, with the reason. `p.programs`,
    `p.rows` and `p.eager` hold the same to compute with. Taking the times adds some 0.05 µs to each
    call; without an open profile nothing is timed.

    A `model(x)` outside a step runs in Python, and a profile does not see it.

    Raises:
        RuntimeError: Another profile is open, in this thread or another.

    Example:
        >>> import numpy as np, lumbre
        >>> model = lumbre.Sequential([lumbre.Input((4,)), lumbre.layers.Dense(2)])
        >>> model.compile("sgd", "mse")
        >>> with lumbre.profile() as p:
        ...     _ = model.fit(np.ones((96, 4)), np.ones((96, 2)), epochs=2, verbose=0)
        >>> sum(e.steps for e in p.eager) + sum(q.steps for q in p.programs) >= 6
        True
        >>> sorted({row.step for row in p.rows})
        ["train step of 'sequential'"]
    """
    return Profile()


def _summary(program: _core.Program, step: str) -> Program:
    """What a program took, its calls of one kernel and the same shapes added up."""
    times, described = program.times(), program.describe()
    program.stop_timing()
    assert times is not None  # `_meet` has switched it on
    steps, team_steps, between, calls = times
    each = 1 / max(steps, 1)  # none if an error came before the first
    total = (between + sum(work + wait for work, wait in calls)) * each
    groups: dict[tuple[str, str, bool], list[tuple[float, float, int, int, bool]]] = {}
    for (op, shapes, flops, moved, shared, barrier), (work, wait) in zip(described, calls, strict=True):
        call = (work * each, wait * each, flops, moved, barrier)
        groups.setdefault((op, " ".join(shapes), shared), []).append(call)
    groups[BETWEEN, "", False] = [(between * each, 0.0, 0, 0, False)]
    rows = []
    for (op, shown, shared), group in groups.items():
        works, waits, flops_, bytes_, barriers = (sum(column) for column in zip(*group, strict=True))
        share = (works + waits) / total if total else 0.0
        rows.append(Row(step, op, shown, len(group), works, waits, share, flops_, bytes_, shared, barriers))
    rows.sort(key=lambda row: -row.share)
    return Program(step, " ".join(program.inputs()), steps, team_steps, total, program.arena_bytes, rows)


def _eager(met: dict[Entry, tuple[str, int]]) -> list[Eager]:
    """The steps that ran in Python, by name and reason."""
    counts: dict[tuple[str, str | None], int] = {}
    for entry, (step, steps) in met.items():
        counts[step, entry.reason] = counts.get((step, entry.reason), 0) + steps
    return [Eager(step, steps, reason) for (step, reason), steps in counts.items()]


# Printing

HEAD = "  call                         µs a step  share  GFLOP/s   GB/s  threads  waits µs  shapes"
SHAPES = 44
"""Characters for the shapes of a call."""


def _lines(p: Profile) -> Iterator[str]:
    if not p.programs and not p.eager:
        yield (
            "nothing to show: no step of fit, evaluate, predict or a lumbre.capture function ran in the "
            "block (a call such as model(x) runs in Python and is not profiled)"
        )
        return
    yield f"{p.seconds:.3f} s, {p.replayed:.3f} s of it in replayed steps"
    for program in p.programs:
        yield from _table(program)
    for e in p.eager:
        yield f"\n{e.step}: {e.steps} in Python, {_why(e)}"


def _why(e: Eager) -> str:
    if e.reason is not None:
        return f"because {e.reason}"
    return "to be recorded: 2 or 3 for each shape; if there are more, shapes or attributes keep changing"


def _table(program: Program) -> Iterator[str]:
    threads = _core.num_threads()
    if threads == 1 or not any(row.shared for row in program.rows):
        team = "1 thread"
    elif program.team_steps == program.steps:
        team = f"{threads} threads"
    else:
        team = f"{program.team_steps / program.steps:.0%} on {threads} threads, the others faster on 1"
    took = f"{program.steps} steps of {program.seconds * 1e6:.1f} µs"
    yield f"\n{program.step}, {program.inputs}: {took}, {team}"
    yield HEAD
    for row in program.rows:
        name = f"{row.calls} × {row.op}" if row.calls > 1 else row.op
        shapes = row.shapes if len(row.shapes) <= SHAPES else row.shapes[: SHAPES - 1] + "…"
        rate = f"{row.gflops:.1f}" if row.flops else ""
        moved = f"{row.gbytes:.1f}" if row.bytes else ""
        on = "" if row.op == BETWEEN else threads if row.shared and program.team_steps else 1
        waits = f"{row.wait * 1e6:.1f}" if row.wait else ""
        line = f"  {name:<28}{row.seconds * 1e6:>10.1f}{row.share:>7.0%}{rate:>9}{moved:>7}{on:>9}{waits:>10}"
        yield f"{line}  {shapes}".rstrip()
