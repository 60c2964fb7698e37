"""Adam and the variant of it that decays weights by default."""

from __future__ import annotations

from typing import Unpack

from lumbre.optimizers.elementwise import Elementwise
from lumbre.optimizers.optimizer import Rate, Shared, SharedButDecay
from lumbre.tensor import Variable


class Adam(Elementwise):
    """A step per weight, by running means of its gradient and of the gradient's square.

    `m = β₁ m + (1 - β₁) g`, `v = β₂ v + (1 - β₂) g²`, and in step t
    `w -= learning_rate · sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (sqrt(v) + epsilon)`. With `amsgrad` the
    largest v so far takes the place of v. Source: Kingma and Ba 2015, Adam: A Method for Stochastic
    Optimization, section 2 (the form with one step size); Reddi et al. 2018 for amsgrad.

    Args:
        learning_rate: A float, a `LearningRateSchedule`, or a function without arguments.
        beta_1: What m keeps of itself at each step.
        beta_2: What v keeps of itself at each step.
        epsilon: Keeps the division finite.
        amsgrad: Whether to divide by the largest v so far.

    The other arguments are those of `Optimizer`.

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable([1.0])
        >>> lumbre.optimizers.Adam(learning_rate=0.5).apply([lumbre.Tensor([4.0])], [w])
        >>> w.numpy().round(4)
        array([0.5], dtype=float32)
    """

    rule = "adam"
    numbers = ("beta_1", "beta_2", "epsilon", "amsgrad")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(learning_rate, **shared)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad

    def _make_slots(self, variables: list[Variable]) -> list[list[Variable]]:
        slots: list[list[Variable]] = self.add_optimizer_variables(variables, ["momentum", "velocity"])
        if self.amsgrad:
            slots.append(self.add_optimizer_variables(variables, "velocity_hat"))
        return slots


class AdamW(Adam):
    """`Adam` with weight decay by default: weights shrink by `weight_decay · learning_rate` each step.

    Source: Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization.

    Raises:
        ValueError: `weight_decay` is None.

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable([1.0])
        >>> optimizer = lumbre.optimizers.AdamW(learning_rate=0.5, weight_decay=0.5)
        >>> optimizer.apply([lumbre.Tensor([4.0])], [w])
        >>> w.numpy().round(4)
        array([0.25], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        weight_decay: float | None = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **shared: Unpack[SharedButDecay],
    ) -> None:
        if weight_decay is None:
            raise ValueError("Argument `weight_decay` must be a float. Received: weight_decay=None")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **shared)
