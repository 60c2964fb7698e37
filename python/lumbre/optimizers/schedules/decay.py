"""Rates that fall: by a factor, as an inverse, in steps, as a power."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor, as_tensor
from lumbre.optimizers.schedules.schedule import LearningRateSchedule, as_step, check_steps


class _ByPeriods(LearningRateSchedule):
    """A rate that falls with the number of periods of `decay_steps` steps, whole ones only as a staircase."""

    def __init__(
        self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool, name: str
    ) -> None:
        check_steps("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def _periods(self, step: Any) -> Tensor:
        p = ops.divide(as_step(step), float(self.decay_steps))
        return ops.floor(p) if self.staircase else p

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class ExponentialDecay(_ByPeriods):
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
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def __call__(self, step: Any) -> Tensor:
        return ops.multiply(ops.power(self.decay_rate, self._periods(step)), self.initial_learning_rate)


class InverseTimeDecay(_ByPeriods):
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
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def __call__(self, step: Any) -> Tensor:
        fall = ops.multiply(self._periods(step), self.decay_rate)
        return ops.divide(self.initial_learning_rate, ops.add(fall, 1.0))


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
        check_steps("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        step = as_step(step)
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
