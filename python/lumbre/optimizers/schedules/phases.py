"""Rates in phases: up, along, down."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.optimizers.schedules.schedule import LearningRateSchedule, as_step, check_steps


class WarmupStableDecay(LearningRateSchedule):
    """Up in a line, then constant for as long as wanted, then down.

    The middle may be extended, or a decay started from any step of it, without training anew. Source:
    Hu et al. 2024, MiniCPM: Unveiling the Potential of Small Language Models; Hägele et al. 2024,
    Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations, for the decay by
    1 - sqrt.

    Args:
        learning_rate: The rate of the middle.
        warmup_steps: How long it rises; may be 0.
        stable_steps: How long it stays.
        decay_steps: How long it falls.
        initial_learning_rate: What it rises from.
        end_learning_rate: What it falls to, and stays at.
        decay: The form of the fall, with p from 0 to 1: "linear" `1 - p`, "cosine"
            `(1 + cos(π p)) / 2` or "sqrt" `1 - sqrt(p)`.
        name: A name.

    Raises:
        ValueError: A number of steps is negative, or 0 where the rate falls; or `decay` is unknown.

    Example:
        >>> import lumbre
        >>> rate = lumbre.optimizers.schedules.WarmupStableDecay(1.0, 4, 10, 4)
        >>> [rate(s).item() for s in (0, 2, 4, 14, 15, 18, 99)]
        [0.0, 0.5, 1.0, 1.0, 0.75, 0.0, 0.0]
    """

    def __init__(
        self,
        learning_rate: float,
        warmup_steps: int,
        stable_steps: int,
        decay_steps: int,
        initial_learning_rate: float = 0.0,
        end_learning_rate: float = 0.0,
        decay: str = "linear",
        name: str = "WarmupStableDecay",
    ) -> None:
        for what, steps in (("warmup_steps", warmup_steps), ("stable_steps", stable_steps)):
            if steps < 0:
                raise ValueError(f"Argument `{what}` must be >= 0. Received: {what}={steps}")
        check_steps("decay_steps", decay_steps)
        _check_form("decay", decay)
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps
        self.stable_steps = stable_steps
        self.decay_steps = decay_steps
        self.initial_learning_rate = initial_learning_rate
        self.end_learning_rate = end_learning_rate
        self.decay = decay
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        step = as_step(step)
        falling_from = float(self.warmup_steps + self.stable_steps)
        p = _progress(step, falling_from, self.decay_steps)
        rate = _between(self.end_learning_rate, self.learning_rate, _FORMS[self.decay](p))
        if not self.warmup_steps:
            return rate
        rising = _between(
            self.initial_learning_rate, self.learning_rate, _progress(step, 0.0, self.warmup_steps)
        )
        return ops.where(ops.less(step, float(self.warmup_steps)), rising, rate)

    def get_config(self) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "stable_steps": self.stable_steps,
            "decay_steps": self.decay_steps,
            "initial_learning_rate": self.initial_learning_rate,
            "end_learning_rate": self.end_learning_rate,
            "decay": self.decay,
            "name": self.name,
        }


class OneCycle(LearningRateSchedule):
    """One rise to a large rate and one long fall to a tiny one: training in few steps.

    From `max_learning_rate / div_factor` up during the share `pct_start` of all steps, then down to
    `max_learning_rate / div_factor / final_div_factor`. Source: Smith and Topin 2018,
    Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates.

    Args:
        max_learning_rate: The rate at the top.
        total_steps: The number of steps of the training; afterwards the rate stays.
        pct_start: The share of the steps during which it rises, between 0 and 1.
        div_factor: How many times smaller the first rate is than the largest.
        final_div_factor: How many times smaller the last is than the first.
        anneal: The form of rise and fall: "cosine", "linear" or "sqrt", as in `WarmupStableDecay`.
        name: A name.

    Raises:
        ValueError: A number of steps or a factor is not positive, `pct_start` is not between 0 and 1,
            or `anneal` is unknown.

    Example:
        >>> import lumbre
        >>> rate = lumbre.optimizers.schedules.OneCycle(1.0, 100, div_factor=10.0, final_div_factor=100.0)
        >>> [round(rate(s).item(), 4) for s in (0, 15, 30, 65, 100)]
        [0.1, 0.55, 1.0, 0.5005, 0.001]
    """

    def __init__(
        self,
        max_learning_rate: float,
        total_steps: int,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        anneal: str = "cosine",
        name: str = "OneCycle",
    ) -> None:
        check_steps("total_steps", total_steps)
        check_steps("div_factor", div_factor)
        check_steps("final_div_factor", final_div_factor)
        if not 0 < pct_start < 1:
            raise ValueError(f"Argument `pct_start` must be between 0 and 1. Received: pct_start={pct_start}")
        _check_form("anneal", anneal)
        self.max_learning_rate = max_learning_rate
        self.total_steps = total_steps
        self.pct_start = pct_start
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        self.anneal = anneal
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        step, top = as_step(step), self.pct_start * self.total_steps
        first = self.max_learning_rate / self.div_factor
        form = _FORMS[self.anneal]
        rising = _between(self.max_learning_rate, first, form(_progress(step, 0.0, top)))
        fall = _progress(step, top, self.total_steps - top)
        falling = _between(first / self.final_div_factor, self.max_learning_rate, form(fall))
        return ops.where(ops.less(step, top), rising, falling)

    def get_config(self) -> dict[str, Any]:
        return {
            "max_learning_rate": self.max_learning_rate,
            "total_steps": self.total_steps,
            "pct_start": self.pct_start,
            "div_factor": self.div_factor,
            "final_div_factor": self.final_div_factor,
            "anneal": self.anneal,
            "name": self.name,
        }


_FORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda p: ops.subtract(1.0, p),
    "cosine": lambda p: ops.multiply(ops.add(ops.cos(ops.multiply(p, math.pi)), 1.0), 0.5),
    "sqrt": lambda p: ops.subtract(1.0, ops.sqrt(p)),
}


def _check_form(name: str, form: str) -> None:
    if form not in _FORMS:
        raise ValueError(f"Argument `{name}` must be one of {list(_FORMS)}. Received: {name}={form!r}")


def _progress(step: Tensor, start: float, length: float) -> Tensor:
    """How far a phase has got, from 0 to 1."""
    return ops.clip(ops.divide(ops.subtract(step, start), float(length)), 0.0, 1.0)


def _between(low: float, high: float, share: Tensor) -> Tensor:
    """`low` at share 0, `high` at 1."""
    return ops.add(ops.multiply(share, high - low), low)
