"""Steps of one size, in the direction of a momentum's sign."""

from __future__ import annotations

from typing import Unpack

from lumbre.optimizers.elementwise import Elementwise
from lumbre.optimizers.optimizer import Rate, Shared


class Lion(Elementwise):
    """Moves every weight by the learning rate, up or down, and keeps one slot instead of Adam's two.

    `w -= learning_rate · sign(β₁ m + (1 - β₁) g)`, then `m = β₂ m + (1 - β₂) g`. The learning rate is
    usually 3 to 10 times smaller than Adam's, and weight decay as much larger. Source: Chen et al.
    2023, Symbolic Discovery of Optimization Algorithms.

    Args:
        learning_rate: A float, a `LearningRateSchedule`, or a function without arguments.
        beta_1: How m and the gradient are mixed for the step.
        beta_2: What m keeps of itself at each step.

    The other arguments are those of `Optimizer`.

    Raises:
        ValueError: `beta_1` is not in (0, 1].

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable([1.0, 1.0])
        >>> lumbre.optimizers.Lion(learning_rate=0.25).apply([lumbre.Tensor([4.0, -0.1])], [w])
        >>> w.numpy()
        array([0.75, 1.25], dtype=float32)
    """

    rule = "lion"
    numbers = ("beta_1", "beta_2")
    slots = ("momentum",)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(learning_rate, **shared)
        if beta_1 <= 0 or beta_1 > 1:
            raise ValueError(
                "Argument `beta_1` must be in the [0, 1] range. Otherwise, the optimizer degenerates to "
                f"SignSGD. Received: beta_1={beta_1}."
            )
        self.beta_1 = beta_1
        self.beta_2 = beta_2
