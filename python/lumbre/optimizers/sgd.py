"""Gradient descent, plain and with momentum."""

from __future__ import annotations

from typing import Unpack

from lumbre.optimizers.elementwise import Elementwise
from lumbre.optimizers.optimizer import Rate, Shared
from lumbre.tensor import Variable


class SGD(Elementwise):
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

    rule = "sgd"
    numbers = ("momentum", "nesterov")

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(learning_rate, **shared)
        if not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must be a float between [0, 1]. Received: momentum={momentum}")
        self.momentum = float(momentum)
        self.nesterov = bool(nesterov)

    def _make_slots(self, variables: list[Variable]) -> list[list[Variable]]:
        return [self.add_optimizer_variables(variables, "momentum")] if self.momentum else []
