"""Dividing by the root of a running mean of squares."""

from __future__ import annotations

from typing import Unpack

from lumbre.optimizers.elementwise import Elementwise
from lumbre.optimizers.optimizer import Rate, Shared
from lumbre.tensor import Variable


class RMSprop(Elementwise):
    """Divides each gradient by the root of a running mean of its square.

    `v = rho · v + (1 - rho) · g²` and `w -= learning_rate · g / sqrt(v + epsilon)`; with `centered`
    the square of the gradient's running mean is taken from v first; with momentum the step is
    collected as in SGD. Source: Hinton, Srivastava and Swersky 2012, Lecture 6e of Neural Networks
    for Machine Learning; Graves 2013 for `centered`.

    Args:
        learning_rate: A float, a `LearningRateSchedule`, or a function without arguments.
        rho: What the running means keep of themselves at each step.
        momentum: From 0 (none) to 1.
        epsilon: Keeps the division finite.
        centered: Whether to divide by an estimate of the standard deviation instead.

    The other arguments are those of `Optimizer`.

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable([1.0])
        >>> lumbre.optimizers.RMSprop(learning_rate=0.1, rho=0.75).apply([lumbre.Tensor([4.0])], [w])
        >>> w.numpy().round(4)
        array([0.8], dtype=float32)
    """

    rule = "rmsprop"
    numbers = ("rho", "momentum", "epsilon", "centered")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(learning_rate, **shared)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def _make_slots(self, variables: list[Variable]) -> list[list[Variable]]:
        # In the order of Keras's variables; the kernel wants the momentum last.
        slots = [self.add_optimizer_variables(variables, "velocity")]
        momentum = [self.add_optimizer_variables(variables, "momentum")] if self.momentum > 0 else []
        if self.centered:
            slots.append(self.add_optimizer_variables(variables, "average_gradient"))
        return slots + momentum
