"""Learning rates that change from step to step.

A schedule is called with the number of finished steps, an integer Tensor that is 0 at the first
step, and returns a scalar Tensor. Made of ops, it runs inside the recorded training step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor, as_tensor
from lumbre.capture import Tracked
from lumbre.lookup import Lookup


class LearningRateSchedule(Tracked):
    """A rule `__call__(step)` for the learning rate. Subclasses define it and `get_config`.

    Example:
        >>> import lumbre
        >>> class Halving(lumbre.optimizers.schedules.LearningRateSchedule):
        ...     def __call__(self, step):
        ...         return lumbre.ops.power(0.5, lumbre.ops.cast(step, "float32"))
        >>> Halving()(2).item()
        0.25
    """

    def __call__(self, step: Any) -> Any:
        raise NotImplementedError(
            f"Learning rate schedule '{type(self).__name__}' must override `__call__(self, step)`."
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain Python values."""
        raise NotImplementedError(
            f"Learning rate schedule '{type(self).__name__}' must override `get_config()` in order to be "
            "serializable."
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        """The schedule that `get_config` described."""
        return cls(**config)


class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate · decay_rate ^ (step / decay_steps)`.

    Args:
        initial_learning_rate: The rate at the first step.
        decay_steps: After how many steps it has been multiplied by `decay_rate`.
        decay_rate: The factor.
        staircase: Whether it is multiplied at once, after each `decay_steps` steps.
        name: A name.

    Raises:
        ValueError: `decay_steps` is not positive.

    Example:
        >>> import lumbre
        >>> rate = lumbre.optimizers.schedules.ExponentialDecay(1.0, 10, 0.25)
        >>> rate(0).item(), rate(5).item()
        (1.0, 0.5)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        _check_steps("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        p = ops.divide(_step(step), float(self.decay_steps))
        if self.staircase:
            p = ops.floor(p)
        return ops.multiply(ops.power(self.decay_rate, p), self.initial_learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class InverseTimeDecay(LearningRateSchedule):
    """`initial_learning_rate / (1 + decay_rate · step / decay_steps)`.

    Args:
        initial_learning_rate: The rate at the first step.
        decay_steps: The unit in which steps are counted.
        decay_rate: How fast it falls.
        staircase: Whether it falls only after each `decay_steps` steps.
        name: A name.

    Raises:
        ValueError: `decay_steps` is not positive.

    Example:
        >>> import lumbre
        >>> lumbre.optimizers.schedules.InverseTimeDecay(1.0, 10, 1.0)(10).item()
        0.5
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        _check_steps("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        p = ops.divide(_step(step), float(self.decay_steps))
        if self.staircase:
            p = ops.floor(p)
        return ops.divide(self.initial_learning_rate, ops.add(ops.multiply(p, self.decay_rate), 1.0))

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class PiecewiseConstantDecay(LearningRateSchedule):
    """`values[i]` up to and including step `boundaries[i]`, the last value after the last boundary.

    Args:
        boundaries: Steps, ascending.
        values: Learning rates, one more than boundaries.
        name: A name.

    Raises:
        ValueError: The lengths do not fit.

    Example:
        >>> import lumbre
        >>> rate = lumbre.optimizers.schedules.PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.25])
        >>> rate(10).item(), rate(11).item(), rate(21).item()
        (1.0, 0.5, 0.25)
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "The length of boundaries should be 1 less than the length of values. Received: "
                f"boundaries={boundaries} of length {len(boundaries)}, and values={values} of length "
                f"{len(values)}."
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        step = as_tensor(step)
        rate = as_tensor(float(self.values[-1]))
        for boundary, value in reversed(list(zip(self.boundaries, self.values[:-1], strict=True))):
            rate = ops.where(ops.less_equal(step, boundary), float(value), rate)
        return rate

    def get_config(self) -> dict[str, Any]:
        return {"boundaries": list(self.boundaries), "values": list(self.values), "name": self.name}


class PolynomialDecay(LearningRateSchedule):
    """`(initial - end) · (1 - step / decay_steps) ^ power + end`, and `end` after `decay_steps`.

    Args:
        initial_learning_rate: The rate at the first step.
        decay_steps: How long it falls.
        end_learning_rate: What it falls to.
        power: The exponent: 1 is a straight line.
        cycle: Whether, instead of staying, it jumps up and falls again, each time over the smallest
            multiple of `decay_steps` that the step is within.
        name: A name.

    Raises:
        ValueError: `decay_steps` is not positive.

    Example:
        >>> import lumbre
        >>> rate = lumbre.optimizers.schedules.PolynomialDecay(1.0, 10, end_learning_rate=0.0)
        >>> rate(5).item(), rate(30).item()
        (0.5, 0.0)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        _check_steps("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        step = _step(step)
        length: Any = float(self.decay_steps)
        if self.cycle:
            cycles = ops.maximum(ops.ceil(ops.divide(step, length)), 1.0)  # the step 0 is in the first
            length = ops.multiply(cycles, length)
        p = ops.divide(ops.minimum(step, length), length)
        span = self.initial_learning_rate - self.end_learning_rate
        fallen = ops.power(ops.subtract(1.0, p), self.power)
        return ops.add(ops.multiply(fallen, span), self.end_learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }


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
        _check_steps("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Tensor:
        step = _step(step)
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
        _check_steps("first_decay_steps", first_decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self._t_mul = t_mul
        self._m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        done = ops.divide(_step(step), float(self.first_decay_steps))
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


def _step(step: Any) -> Tensor:
    return as_tensor(step, "float32")


def _check_steps(name: str, steps: float) -> None:
    if steps <= 0:
        raise ValueError(f"Argument `{name}` must be > 0. Received: {name}={steps}")


_lookup = Lookup(
    "learning rate schedule",
    "keras.optimizers.schedules",
    [
        *(CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay),
        *(PiecewiseConstantDecay, PolynomialDecay),
    ],
    bases=(LearningRateSchedule,),
)

serialize = _lookup.serialize
deserialize = _lookup.deserialize
