"""Adam with Nesterov's look ahead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Unpack

from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.optimizers.elementwise import Elementwise
from lumbre.optimizers.optimizer import Rate, Shared
from lumbre.tensor import Variable

_DECAY = 0.96  # the paper's, and Keras's


class Nadam(Elementwise):
    """Adam whose momentum looks one step ahead, with a momentum that warms up.

    With m and v as in `Adam`, `u = β₁ (1 - 0.96ᵗ / 2)`, u' the same for the next step and U the
    product of all u so far: `w -= learning_rate · (u' m / (1 - U u') + (1 - u) g / (1 - U)) /
    (sqrt(v / (1 - β₂ᵗ)) + epsilon)`. Source: Dozat 2016, Incorporating Nesterov Momentum into Adam.

    Args:
        learning_rate: A float, a `LearningRateSchedule`, or a function without arguments.
        beta_1: What m keeps of itself at each step.
        beta_2: What v keeps of itself at each step.
        epsilon: Keeps the division finite.

    The other arguments are those of `Optimizer`.

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable([1.0])
        >>> lumbre.optimizers.Nadam(learning_rate=0.5).apply([lumbre.Tensor([4.0])], [w])
        >>> w.numpy().round(3)
        array([0.469], dtype=float32)
    """

    rule = "nadam"
    numbers = ("beta_1", "beta_2", "epsilon")
    slots = ("momentum", "velocity")

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

    def build(self, variables: Iterable[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._u_product = self.add_variable((), "ones", name="u_product")

    def _scalars(self) -> Sequence[Any]:
        return (self._u_product,)

    def _update(self, grads: list[Tensor], variables: list[Variable]) -> None:
        t = ops.cast(ops.add(self.iterations, 1), self._u_product.dtype)
        u = ops.multiply(ops.subtract(1.0, ops.multiply(ops.power(_DECAY, t), 0.5)), self.beta_1)
        self._u_product.assign(ops.multiply(self._u_product, u))
        super()._update(grads, variables)
