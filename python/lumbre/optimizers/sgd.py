"""Gradient descent, plain and with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.optimizers.optimizer import Optimizer, Rate
from lumbre.tensor import Variable


class SGD(Optimizer):
    """Stochastic gradient descent: `w -= learning_rate · g`.

    With momentum, `v = momentum · v - learning_rate · g` and `w += v`; with `nesterov` as well,
    `w += momentum · v - learning_rate · g`. Source: Polyak 1964; Nesterov 1983; in this form Sutskever
    et al. 2013, On the Importance of Initialization and Momentum in Deep Learning.

    Args:
        learning_rate: A float, a `LearningRateSchedule`, or a function without arguments.
        momentum: From 0 (none) to 1.
        nesterov: Whether the step looks ahead along the velocity.

    The other arguments are those of `Optimizer`.

    Raises:
        ValueError: The momentum is not in [0, 1].

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable([1.0])
        >>> lumbre.optimizers.SGD(learning_rate=0.5).apply([lumbre.Tensor([1.0])], [w])
        >>> w.numpy()
        array([0.5], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
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
        if not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must be a float between [0, 1]. Received: momentum={momentum}")
        self.momentum = float(momentum)
        self.nesterov = bool(nesterov)
        self._velocities: list[Variable] = []

    def build(self, variables: Iterable[Variable]) -> None:
        if self.built:
            return
        variables = list(variables)
        super().build(variables)
        if self.momentum:
            self._velocities = self.add_optimizer_variables(variables, "momentum")

    def update_all(self, grads: list[Tensor], variables: list[Variable], learning_rate: Any) -> None:
        velocities = None
        if self.momentum:
            velocities = [self._velocities[self._get_variable_index(v)] for v in variables]
        ops.sgd_update(variables, grads, velocities, learning_rate, self.momentum, self.nesterov)

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        self.update_all([gradient], [variable], learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}
