"""Adam's second moment from its rows' and columns' means, and nothing else kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import numpy as np

from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.optimizers.optimizer import Optimizer, Rate, Shared
from lumbre.tensor import Variable


class Adafactor(Optimizer):
    """Adam without momentum, with a second moment in the memory of its rows and columns.

    With `ρ = 1 - t ^ beta_2_decay` in step t, `r = ρ r + (1 - ρ) mean(g² + epsilon_1)` over the last
    axis, c likewise over the last but one, and `v = r c / mean(r)`; a vector or scalar keeps
    `v = ρ v + (1 - ρ) (g² + epsilon_1)` itself. With `u = g / sqrt(v)`, the step is
    `w -= max(epsilon_2, rms(w)) · min(learning_rate, 1 / sqrt(t)) · u / max(1, rms(u) / clip_threshold)`.
    Source: Shazeer and Stern 2018, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost.

    The least for a matrix are six streams of memory: its gradient is read for the means, for rms(u)
    and for the step, the weight for its rms and for the step, which writes it.

    Args:
        learning_rate: A float, a `LearningRateSchedule`, or a function without arguments.
        beta_2_decay: How ρ approaches 1.
        epsilon_1: Keeps v from 0.
        epsilon_2: The least scale of a parameter.
        clip_threshold: The largest rms(u).
        relative_step: Without effect, as in Keras, where 1 / sqrt(t) bounds every rate.

    The other arguments are those of `Optimizer`. Unlike Keras's, v of a matrix is not kept.

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable([[2.0, 2.0], [2.0, 2.0]])
        >>> lumbre.optimizers.Adafactor(0.5).apply([lumbre.Tensor([[4.0, -4.0], [2.0, -2.0]])], [w])
        >>> w.numpy()
        array([[1., 3.],
               [1., 3.]], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(learning_rate, **shared)
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step

    def build(self, variables: Iterable[Variable]) -> None:
        if self.built:
            return
        variables = list(variables)
        super().build(variables)
        self._slots: list[list[Variable]] = []
        for v in variables:
            if v.ndim < 2:
                self._slots.append([self.add_variable_from_reference(v, "velocity")])
            else:
                rows, columns = v.shape[:-1], (*v.shape[:-2], v.shape[-1])
                self._slots.append(
                    [self.add_variable(s, dtype=v.dtype, name=v.name) for s in (rows, columns)]
                )

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        rate = ops.cast(learning_rate, variable.dtype)
        t = ops.cast(ops.add(self.iterations, 1), variable.dtype)
        bounded = ops.minimum(rate, ops.divide(1.0, ops.sqrt(t)))
        scale = _root_mean(ops.sum(ops.square_sums([variable])), variable)
        alpha = ops.multiply(ops.maximum(self.epsilon_2, scale), bounded)
        rho = ops.subtract(1.0, ops.power(t, self.beta_2_decay))
        slots = self._slots[self._get_variable_index(variable)]
        if variable.ndim < 2:
            v = _move(slots[0], ops.add(ops.square(gradient), self.epsilon_1), rho)
            u = ops.divide(gradient, ops.sqrt(v))
            size = _root_mean(ops.sum(ops.square_sums([u])), variable)
            variable.assign_sub(ops.multiply(u, self._shortened(alpha, size)))
            return
        of_rows, of_columns = ops.square_means(gradient)
        r = _move(slots[0], ops.add(of_rows, self.epsilon_1), rho)
        c = _move(slots[1], ops.add(of_columns, self.epsilon_1), rho)
        # g / sqrt(r c / mean(r)), taken apart into a number for each row and one for each column.
        a = ops.sqrt(ops.divide(ops.mean(r, axis=-1, keepdims=True), r))
        b = ops.divide(1.0, ops.sqrt(c))
        size = _root_mean(ops.factored_square_sum(gradient, a, b), variable)
        ops.adafactor_step(variable, gradient, a, b, self._shortened(alpha, size))

    def save_own_variables(self, store: Any) -> None:
        """Writes all variables into a mapping in Keras's layout, which has r, c and v for each parameter."""
        values: list[Any] = [v.numpy() for v in self._without_slots()]
        for slots in self._slots if self.built else ():
            if len(slots) == 1:
                values += [np.float32(0), np.float32(0), slots[0].numpy()]
                continue
            r, c = (slot.numpy() for slot in slots)
            mean = r.mean(-1, keepdims=True)
            share = np.divide(r, mean, out=np.zeros_like(r), where=mean != 0)
            values += [r, c, share[..., None] * c[..., None, :]]
        for i, value in enumerate(values):
            store[str(i)] = value

    def load_own_variables(self, store: Any) -> None:
        """Sets all variables from what `save_own_variables`, or Keras's, wrote."""
        own: list[Variable | None] = list(self._without_slots())
        for slots in self._slots if self.built else ():
            own += [None, None, *slots] if len(slots) == 1 else [*slots, None]
        self._load(store, own)

    def _without_slots(self) -> list[Variable]:
        slots = {id(v) for kind in self._slots for v in kind} if self.built else set()
        return [v for v in self.variables if id(v) not in slots]

    def _shortened(self, alpha: Tensor, size: Tensor) -> Tensor:
        return ops.divide(alpha, ops.maximum(1.0, ops.divide(size, self.clip_threshold)))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_2_decay": self.beta_2_decay,
            "epsilon_1": self.epsilon_1,
            "epsilon_2": self.epsilon_2,
            "clip_threshold": self.clip_threshold,
            "relative_step": self.relative_step,
        }


def _root_mean(squares: Tensor, variable: Variable) -> Tensor:
    """The root of the mean of as many squares as the variable has elements, from their sum."""
    return ops.cast(ops.sqrt(ops.divide(squares, float(max(variable.size, 1)))), variable.dtype)


def _move(slot: Variable, value: Tensor, rho: Tensor) -> Tensor:
    mean = ops.add(ops.multiply(rho, slot), ops.multiply(ops.subtract(1.0, rho), value))
    slot.assign(mean)
    return mean
