"""Adam in the infinity norm."""

from __future__ import annotations

from typing import Unpack

from lumbre.optimizers.elementwise import Elementwise
from lumbre.optimizers.optimizer import Rate, Shared


class Adamax(Elementwise):
    """Adam with the largest gradient of late in the place of the root of the mean square.

    `m = β₁ m + (1 - β₁) g`, `u = max(β₂ u, |g|)` and in step t
    `w -= learning_rate / (1 - β₁ᵗ) · m / (u + epsilon)`. Source: Kingma and Ba 2015, Adam: A Method
    for Stochastic Optimization, section 7.1.

    Args:
        learning_rate: A float, a `LearningRateSchedule`, or a function without arguments.
        beta_1: What m keeps of itself at each step.
        beta_2: What u keeps of itself at each step.
        epsilon: Keeps the division finite.

    The other arguments are those of `Optimizer`.

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable([1.0])
        >>> lumbre.optimizers.Adamax(learning_rate=0.5).apply([lumbre.Tensor([4.0])], [w])
        >>> w.numpy().round(4)
        array([0.5], dtype=float32)
    """

    rule = "adamax"
    numbers = ("beta_1", "beta_2", "epsilon")
    slots = ("momentum", "norm")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(learning_rate, **shared)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
