"""The base of all schedules.

A schedule is called with the number of finished steps, an integer Tensor that is 0 at the first
step, and returns a scalar Tensor. Made of ops, it runs inside the recorded training step.
"""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from lumbre.autograd import Tensor, as_tensor
from lumbre.capture import Tracked


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


def as_step(step: Any) -> Tensor:
    """The number of a step as schedules compute with it."""
    return as_tensor(step, "float32")


def check_steps(name: str, steps: float) -> None:
    """Refuses a number of steps that is not positive."""
    if steps <= 0:
        raise ValueError(f"Argument `{name}` must be > 0. Received: {name}={steps}")


def check_rate(name: str, value: Any) -> None:
    """Refuses a rate that is negative or not finite. What is no Python or NumPy number is not looked at.

    Raises:
        ValueError: It is such a number.
    """
    number = isinstance(value, numbers.Real) or (isinstance(value, np.ndarray) and value.size == 1)
    if number and not 0 <= float(value) < math.inf:
        raise ValueError(f"`{name}` must be a finite number of at least 0. Received: {name}={value}")


def check_schedule(schedule: Any) -> None:
    """Refuses a schedule made with rates that are negative or not finite.

    Raises:
        ValueError: It has such a rate.
    """
    for name, value in vars(schedule).items() if isinstance(schedule, LearningRateSchedule) else ():
        if name.endswith(("learning_rate", "target")):
            check_rate(name, value)
        elif name == "values" and isinstance(value, (list, tuple)):
            for i, rate in enumerate(value):
                check_rate(f"values[{i}]", rate)
