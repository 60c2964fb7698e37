"""Adam and the variant of it that decays weights by default."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.optimizers.optimizer import Optimizer, Rate
from lumbre.tensor import Variable


class Adam(Optimizer):
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

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
            name=name,
            **kwargs,
        )
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad
        self._momentums: list[Variable] = []
        self._velocities: list[Variable] = []
        self._velocity_hats: list[Variable] = []

    def build(self, variables: Iterable[Variable]) -> None:
        if self.built:
            return
        variables = list(variables)
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])
        if self.amsgrad:
            self._velocity_hats = self.add_optimizer_variables(variables, "velocity_hat")

    def update_all(self, grads: list[Tensor], variables: list[Variable], learning_rate: Any) -> None:
        at = [self._get_variable_index(v) for v in variables]
        ops.adam_update(
            variables,
            grads,
            [self._momentums[i] for i in at],
            [self._velocities[i] for i in at],
            [self._velocity_hats[i] for i in at] if self.amsgrad else None,
            learning_rate,
            self.iterations,
            self.beta_1,
            self.beta_2,
            self.epsilon,
        )

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        self.update_all([gradient], [variable], learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }


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
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if weight_decay is None:
            raise ValueError("Argument `weight_decay` must be a float. Received: weight_decay=None")
        super().__init__(
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
            name=name,
            **kwargs,
        )
