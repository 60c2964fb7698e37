"""Adam with steps in proportion to each parameter's norm."""

from __future__ import annotations

from typing import Any, Unpack

from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.optimizers.elementwise import Elementwise
from lumbre.optimizers.optimizer import Rate, Shared
from lumbre.tensor import Variable


class Lamb(Elementwise):
    """Adam's direction for each parameter, as long as the parameter itself times the learning rate.

    With m and v as in `Adam`, `d = m / (1 - β₁ᵗ) / (sqrt(v / (1 - β₂ᵗ)) + epsilon)` and
    `w -= learning_rate · ‖w‖ / ‖d‖ · d`, with 1 in the place of the ratio where a norm is 0: for large
    batches. Source: You et al. 2020, Large Batch Optimization for Deep Learning.

    Since a norm must be known before the first weight moves, this takes two passes, with ten streams of
    memory: one for moments and norms (reads g, w, m, v; writes m, v), one for the step (reads w, m, v;
    writes w).

    Args:
        learning_rate: A float, a `LearningRateSchedule`, or a function without arguments.
        beta_1: What m keeps of itself at each step.
        beta_2: What v keeps of itself at each step.
        epsilon: Keeps the division finite.

    The other arguments are those of `Optimizer`.

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable([2.0, 2.0])
        >>> lumbre.optimizers.Lamb(learning_rate=0.25).apply([lumbre.Tensor([4.0, -0.1])], [w])
        >>> w.numpy().round(4)
        array([1.5, 2.5], dtype=float32)
    """

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

    def update_all(
        self,
        grads: list[Tensor],
        variables: list[Variable],
        learning_rate: Any,
        factors: Any = None,
        clipvalue: float | None = None,
        **decay: Any,
    ) -> None:
        m, v = self._slots_of(variables)
        steps = self.iterations
        sums = ops.lamb_moments(variables, grads, m, v, steps, factors, clipvalue, **self._numbers())
        norms = ops.sqrt(sums)
        of_d, of_w = ops.getitem(norms, 0), ops.getitem(norms, 1)
        if decay:  # which happens in the last call, to w; until then to its norm
            share = ops.multiply(ops.cast(learning_rate, "float64"), decay["weight_decay"])
            kept = ops.subtract(1.0, ops.multiply(share, ops.convert_to_tensor(decay["decayed"], "float64")))
            of_w = ops.multiply(of_w, ops.abs(kept))
        whole = ops.logical_and(ops.greater(of_w, 0), ops.greater(of_d, 0))
        ratio = ops.where(whole, ops.divide(of_w, ops.where(whole, of_d, 1.0)), 1.0)
        ops.optimizer_update(
            "lamb", variables, m, [v], learning_rate, steps, factors=ratio, **decay, **self._numbers()
        )

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        self.update_all([gradient], [variable], learning_rate)
