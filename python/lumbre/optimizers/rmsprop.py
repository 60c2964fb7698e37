"""RMSprop, as a composition of ops: what an optimizer without a kernel of its own looks like."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.optimizers.optimizer import Optimizer, Rate
from lumbre.tensor import Variable


class RMSprop(Optimizer):
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

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
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
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered
        self._velocities: list[Variable] = []
        self._momentums: list[Variable] = []
        self._average_gradients: list[Variable] = []

    def build(self, variables: Iterable[Variable]) -> None:
        if self.built:
            return
        variables = list(variables)
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")
        if self.momentum > 0:
            self._momentums = self.add_optimizer_variables(variables, "momentum")
        if self.centered:
            self._average_gradients = self.add_optimizer_variables(variables, "average_gradient")

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        i = self._get_variable_index(variable)
        rate = ops.cast(learning_rate, variable.dtype)
        v = self._running_mean(self._velocities[i], ops.square(gradient))
        if self.centered:
            v = ops.subtract(v, ops.square(self._running_mean(self._average_gradients[i], gradient)))
        step = ops.divide(ops.multiply(gradient, rate), ops.sqrt(ops.add(v, self.epsilon)))
        if self.momentum > 0:
            step = ops.add(ops.multiply(self._momentums[i], self.momentum), step)
            self._momentums[i].assign(step)
        variable.assign_sub(step)

    def _running_mean(self, slot: Variable, value: Tensor) -> Tensor:
        mean = ops.add(ops.multiply(slot, self.rho), ops.multiply(value, 1.0 - self.rho))
        slot.assign(mean)
        return mean

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }
