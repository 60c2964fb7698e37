"""The progress bar: what Keras users know, written at most twenty times a second."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lumbre import console

_BOLD, _DONE, _REST, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"

SIGN_OF_LIFE = 60.0
"""Seconds after which a file gets a line of what is not finished; then after twice as long, and so on."""


class Progbar:
    """Shows how far a loop over steps has come, on standard output.

    In a terminal or a notebook one line is rewritten in place, at most once per `interval`. Into a file or a
    pipe only the finished line is written, without colours and carriage returns, and the line as it is after
    1, 2, 4, … minutes. Where the encoding of the output has no `━`, the bar is made of ASCII characters. With
    `config.disable_interactive_logging()` what a file would get goes to Python's `logging`.

    Args:
        target: The number of steps, None if unknown.
        width: Characters in the bar.
        verbose: 0 silent, 1 bar, 2 one line at the end.
        interval: Seconds between two writes.
        stateful_metrics: Names of values that are shown as they come; all others are averaged over
            the steps.
        stateless_metrics: Instead, the names of values that are averaged; all others are shown as
            they come.
        unit_name: What a step is called.

    Raises:
        ValueError: Both lists of names are given.

    Source: `keras.utils.Progbar`.

    Example:
        >>> import lumbre
        >>> bar = lumbre.utils.Progbar(10, verbose=0)
        >>> bar.update(3, [("loss", 0.5)])
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError("Only one of `stateful_metrics` or `stateless_metrics` can be provided.")
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self._stateful = frozenset(stateful_metrics or ())
        self._stateless = None if stateless_metrics is None else frozenset(stateless_metrics)
        self._cell = console.CellLine() if console.is_notebook() else None
        self._dynamic = self._cell is not None or console.is_terminal()
        self._sums: dict[str, tuple[float, int]] = {}  # name -> (sum of values, number of steps)
        self._seen = 0
        self._start = time.time()
        self._first_step_at: float | None = None
        self._last_write = 0.0
        self._last_width = 0
        self._next_line = SIGN_OF_LIFE  # of a file, in seconds from the start

    def due(self) -> bool:
        """Whether an update now would be written, so that its values are worth computing."""
        if self.verbose != 1:
            return False
        if self._first_step_at is None and self._seen == 0:
            return True  # the clock of the step time starts after the first step
        return self._has_waited(time.time())

    def update(
        self,
        current: int,
        values: Sequence[tuple[str, Any]] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Sets the number of finished steps.

        Args:
            current: Steps done so far.
            values: Pairs of a name and its value at the last step.
            finalize: Whether this is the last update; by default, whether the target is reached.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            self._add(name, value, max(current - self._seen, 1), finalize)
        self._seen = current
        now = time.time()
        per_step = self._step_time(current, now)
        if self.verbose == 1:
            if finalize or self._has_waited(now):
                self._write_bar(current, now, per_step, finalize)
                self._last_write = now
        elif self.verbose == 2 and finalize and self.target:
            count = f"{current:{len(str(self.target))}d}/{self.target}"
            elapsed = f"{now - self._start:.0f}s"
            console.show(f"{count} - {elapsed} - {self._rate(per_step)}{self._metrics(signed=True)}")

    def add(self, n: int, values: Sequence[tuple[str, Any]] | None = None) -> None:
        """Moves on by `n` steps."""
        self.update(self._seen + n, values)

    def _has_waited(self, now: float) -> bool:
        """Whether the time for another write has come."""
        if not self._dynamic:
            return now - self._start >= self._next_line
        return now - self._last_write >= self.interval

    def _add(self, name: str, value: Any, steps: int, finalize: bool) -> None:
        value = value if isinstance(value, float) else float(np.mean(value))
        averaged = name not in self._stateful if self._stateless is None else name in self._stateless
        if averaged and not finalize:
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value * steps, count + steps)
        else:
            self._sums[name] = (value, 1)

    def _step_time(self, current: int, now: float) -> float:
        """Seconds per step; the first step, which also builds and records, is left out."""
        if not current:
            return 0.0
        if self._first_step_at is not None and current > 1:
            return (now - self._first_step_at) / (current - 1)
        if current == 1:
            self._first_step_at = now
        return (now - self._start) / current

    def _write_bar(self, current: int, now: float, per_step: float, finalize: bool) -> None:
        bar = self._bar(current)
        if self.target and not finalize:
            clock = _duration(per_step * (self.target - current))
        else:
            clock = f"{now - self._start:.0f}s"
        plain_info = f" {clock} {self._rate(per_step)}{self._metrics(signed=False)}"
        if not self._dynamic:
            console.show(f"{_uncoloured(bar)}{plain_info}")
            while self._next_line <= now - self._start:
                self._next_line *= 2
            return
        room = None if finalize or self._cell is not None else console.columns()
        if room is not None:  # a line that goes on below cannot be rewritten
            plain_info = plain_info[: max(room - 1 - len(_uncoloured(bar)), 0)]
        info = plain_info.replace(clock, f"{_BOLD}{clock}{_PLAIN}", 1)
        if self._cell is not None:
            self._cell.show(bar + info)
            return
        width = len(_uncoloured(bar)) + len(plain_info)
        padding = " " * (self._last_width - width)
        console.show("\b" * self._last_width + "\r" + bar + info + padding, end="\n" if finalize else "")
        self._last_width = width

    def _bar(self, current: int) -> str:
        if not self.target:
            return f"{current:7d}/Unknown"
        count = f"{_BOLD}{current:{int(math.log10(self.target)) + 1}d}/{self.target}{_PLAIN} "
        done = min(int(self.width * current / self.target), self.width)
        if not console.can_write("━"):
            head = ">" if 0 < done < self.width else ""
            return f"{count}[{'=' * (done - len(head))}{head}{'.' * (self.width - done)}]"
        finished = f"{_DONE}{'━' * done}{_PLAIN}" if done else ""
        return f"{count}{finished}{_REST}{'━' * (self.width - done)}{_PLAIN}"

    def _rate(self, per_step: float) -> str:
        if per_step >= 1 or per_step == 0:
            return f"{per_step:.0f}s/{self.unit_name}"
        if per_step >= 1e-3:
            return f"{per_step * 1e3:.0f}ms/{self.unit_name}"
        return f"{per_step * 1e6:.0f}us/{self.unit_name}"

    def _metrics(self, signed: bool) -> str:
        """` - name: value` for each; `signed`: a negative value counts as small (verbose=2)."""
        text = ""
        for name, (total, count) in self._sums.items():
            mean = total / count
            large = (mean if signed else abs(mean)) > 1e-3
            text += f" - {name}: {mean:.4f}" if large else f" - {name}: {mean:.4e}"
        return text


def _uncoloured(text: str) -> str:
    for code in (_BOLD, _DONE, _REST, _PLAIN):
        text = text.replace(code, "")
    return text


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if seconds > 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if seconds > 60 else f"{whole}s"
