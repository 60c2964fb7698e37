"""Rates along a cosine, once or with restarts."""

from __future__ import annotations

import math
from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.optimizers.schedules.schedule import LearningRateSchedule, as_step, check_steps


class CosineDecay(LearningRateSchedule):
    """Half a cosine from the initial rate to `alpha` times it, optionally after a linear warm-up.

    With p = step / decay_steps, `rate · ((1 - alpha) · (1 + cos(π p)) / 2 + alpha)`; the warm-up goes
    from `initial_learning_rate` to `warmup_target`, from which the cosine then starts. Source:
    Loshchilov and Hutter 2017, SGDR: Stochastic Gradient Descent with Warm Restarts.

    Args:
        initial_learning_rate: The rate at the first step.
        decay_steps: How many steps the cosine takes.
        alpha: The share of the rate that remains.
        name: A name.
        warmup_target: The rate at the end of the warm-up; None for no warm-up.
        warmup_steps: How many steps the warm-up takes.

    Raises:
        ValueError: `decay_steps` is not positive.

    Example:
        >>> import lumbre
        >>> rate = lumbre.optimizers.schedules.CosineDecay(0.0, 10, warmup_target=1.0, warmup_steps=2)
        >>> [round(rate(s).item(), 4) for s in (0, 1, 2, 7, 12)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        check_steps("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Tensor:
        step = as_step(step)
        if self.warmup_target is None:
            return self._cosine(step, self.initial_learning_rate)
        if not self.warmup_steps:
            return self._cosine(step, self.warmup_target)
        slope = (self.warmup_target - self.initial_learning_rate) / self.warmup_steps
        rising = ops.add(ops.multiply(step, slope), self.initial_learning_rate)
        falling = self._cosine(ops.subtract(step, float(self.warmup_steps)), self.warmup_target)
        return ops.where(ops.less(step, float(self.warmup_steps)), rising, falling)

    def _cosine(self, step: Tensor, rate: float) -> Tensor:
        p = ops.divide(ops.minimum(step, float(self.decay_steps)), float(self.decay_steps))
        wave = ops.multiply(ops.add(ops.cos(ops.multiply(p, math.pi)), 1.0), 0.5 * (1.0 - self.alpha))
        return ops.multiply(ops.add(wave, self.alpha), rate)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


class CosineDecayRestarts(LearningRateSchedule):
    """Half cosines one after the other, each `t_mul` times as long and `m_mul` times as high.

    Source: Loshchilov and Hutter 2017, SGDR: Stochastic Gradient Descent with Warm Restarts.

    Args:
        initial_learning_rate: The rate at the first step.
        first_decay_steps: How long the first period is.
        t_mul: The factor from the length of a period to the next one's.
        m_mul: The factor from the initial rate of a period to the next one's.
        alpha: The share of the initial rate that remains at the end of a period.
        name: A name.

    Raises:
        ValueError: `first_decay_steps` is not positive.

    Example:
        >>> import lumbre
        >>> rate = lumbre.optimizers.schedules.CosineDecayRestarts(1.0, 10, m_mul=0.5)
        >>> [round(rate(s).item(), 4) for s in (0, 5, 20, 50)]
        [1.0, 0.5, 0.25, 0.125]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        check_steps("first_decay_steps", first_decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self._t_mul = t_mul
        self._m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        done = ops.divide(as_step(step), float(self.first_decay_steps))
        t = float(self._t_mul)
        if t == 1.0:
            period = ops.floor(done)
            p = ops.subtract(done, period)
        else:
            # Period i starts after the lengths 1 + t + … + t^(i-1) = (t^i - 1) / (t - 1).
            # A little is added, so that a rounded logarithm does not delay a restart by a step.
            logs = ops.log(ops.add(ops.multiply(done, t - 1.0), 1.0))
            period = ops.floor(ops.add(ops.divide(logs, math.log(t)), 1e-6))
            length = ops.power(t, period)
            p = ops.divide(ops.subtract(done, ops.divide(ops.subtract(length, 1.0), t - 1.0)), length)
        wave = ops.multiply(ops.add(ops.cos(ops.multiply(p, math.pi)), 1.0), 0.5 * (1.0 - self.alpha))
        height = ops.power(float(self._m_mul), period)
        return ops.multiply(ops.add(ops.multiply(wave, height), self.alpha), self.initial_learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_decay_steps": self.first_decay_steps,
            "t_mul": self._t_mul,
            "m_mul": self._m_mul,
            "alpha": self.alpha,
            "name": self.name,
        }
