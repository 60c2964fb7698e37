"""Rates that fall with the squares of the gradients seen: Adagrad and Adadelta."""

from __future__ import annotations

from typing import Any, Unpack

from lumbre import initializers
from lumbre.optimizers.elementwise import Elementwise
from lumbre.optimizers.optimizer import Rate, Shared


class Adagrad(Elementwise):
    """Divides by the root of the sum of all squares so far: frequent features learn ever more slowly.

    `a += g²` and `w -= learning_rate · g / sqrt(a + epsilon)`. Source: Duchi, Hazan and Singer 2011,
    Adaptive Subgradient Methods for Online Learning and Stochastic Optimization.

    Args:
        learning_rate: A float, a `LearningRateSchedule`, or a function without arguments.
        initial_accumulator_value: What a starts from.
        epsilon: Keeps the division finite.

    The other arguments are those of `Optimizer`.

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable([1.0])
        >>> optimizer = lumbre.optimizers.Adagrad(0.5, initial_accumulator_value=9.0)
        >>> optimizer.apply([lumbre.Tensor([4.0])], [w])
        >>> w.numpy().round(4)
        array([0.6], dtype=float32)
    """

    rule = "adagrad"
    numbers = ("epsilon",)
    slots = ("accumulator",)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(learning_rate, **shared)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def _slot_initializers(self) -> Any:
        return initializers.Constant(self.initial_accumulator_value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial_accumulator_value": self.initial_accumulator_value}


class Adadelta(Elementwise):
    """Divides by the root of a running mean of squares, and multiplies by that of its own steps.

    `a = ρ a + (1 - ρ) g²`, `δ = sqrt(d + epsilon) / sqrt(a + epsilon) · g`,
    `d = ρ d + (1 - ρ) δ²` and `w -= learning_rate · δ`; the paper's form has a learning rate of 1.
    Source: Zeiler 2012, ADADELTA: An Adaptive Learning Rate Method.

    Args:
        learning_rate: A float, a `LearningRateSchedule`, or a function without arguments.
        rho: What the running means keep of themselves at each step.
        epsilon: Keeps the division finite, and the first steps from being 0.

    The other arguments are those of `Optimizer`.

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable([1.0])
        >>> optimizer = lumbre.optimizers.Adadelta(1.0, rho=0.75, epsilon=0.01)
        >>> optimizer.apply([lumbre.Tensor([4.0])], [w])
        >>> w.numpy().round(4)
        array([0.8002], dtype=float32)
    """

    rule = "adadelta"
    numbers = ("rho", "epsilon")
    slots = ("accumulated_grad", "accumulated_delta_var")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(learning_rate, **shared)
        self.rho = rho
        self.epsilon = epsilon
