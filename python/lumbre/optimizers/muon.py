"""Orthogonalized momentum for matrices, Adam for everything else."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, Unpack

from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.optimizers.optimizer import Optimizer, Rate, SharedButDecay
from lumbre.tensor import Variable


class Muon(Optimizer):
    """Steps along the nearest orthogonal matrix to the momentum: all its directions are equally long.

    For a matrix (n, k) `m = momentum · m + g`; the step's direction, m or with `nesterov`
    `g + momentum · m`, is divided by its norm and brought near to orthogonal by `ns_steps`
    Newton-Schulz iterations `X = a X + (b A + c A²) X` with `A = X Xᵀ`; then
    `w -= learning_rate · rms_rate · sqrt(max(n, k)) · X`. Other parameters follow `Adam`, with the
    learning rate times `adam_lr_ratio`. Weights decay by default. Source: Jordan et al. 2024, Muon: An
    optimizer for hidden layers in neural networks; Liu et al. 2025, Muon is Scalable for LLM Training,
    for `rms_rate`.

    With n the smaller side, an iteration is three products of 2 n² k, 2 n³ and 2 n² k operations:
    15 products in all, beside which the passes over the memory count little.

    Args:
        learning_rate: A float, a `LearningRateSchedule`, or a function without arguments.
        adam_beta_1, adam_beta_2, epsilon: Adam's constants.
        adam_weight_decay: The weight decay of the parameters that follow Adam.
        weight_decay: The weight decay of the matrices.
        exclude_layers: Regular expressions; matrices in whose path one is found follow Adam (the
            output layer's should).
        exclude_embeddings: Whether matrices with "embedding" in their path follow Adam.
        muon_a, muon_b, muon_c: a, b and c.
        adam_lr_ratio: The factor of the learning rate for Adam.
        momentum: What m keeps of itself at each step.
        ns_steps: How many iterations.
        nesterov: Whether the step looks ahead along the momentum.
        rms_rate: Makes steps as long as Adam's usually are; None for steps of the orthogonal matrix.

    The other arguments are those of `Optimizer`.

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable([[2.0, 0.0], [0.0, 1.0]])
        >>> optimizer = lumbre.optimizers.Muon(0.1, rms_rate=None, weight_decay=None, ns_steps=10)
        >>> optimizer.apply([lumbre.Tensor([[5.0, 0.0], [0.0, 1.0]])], [w])
        >>> w.numpy().round(1)
        array([[1.9, 0. ],
               [0. , 0.9]], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **shared: Unpack[SharedButDecay],
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **shared)
        self.adam_beta_1 = adam_beta_1
        self.adam_beta_2 = adam_beta_2
        self.adam_weight_decay = adam_weight_decay
        self.epsilon = epsilon
        self.exclude_layers = exclude_layers or []
        self.exclude_embeddings = exclude_embeddings
        self.muon_a = muon_a
        self.muon_b = muon_b
        self.muon_c = muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.rms_rate = rms_rate

    def build(self, variables: Iterable[Variable]) -> None:
        if self.built:
            return
        variables = list(variables)
        super().build(variables)
        self._momentums: list[Variable] = []
        self._velocities: list[Variable | None] = []
        for v in variables:
            self._momentums.append(self.add_variable_from_reference(v, "momentum"))
            velocity = self.add_variable_from_reference(v, "velocity") if self._follows_adam(v) else None
            self._velocities.append(velocity)

    def _follows_adam(self, variable: Variable) -> bool:
        excluded = self.exclude_embeddings and "embedding" in variable.path.lower()
        named = any(re.search(pattern, variable.path) for pattern in self.exclude_layers)
        return variable.ndim != 2 or excluded or named

    def update_all(
        self, grads: list[Tensor], variables: list[Variable], learning_rate: Any, **before: Any
    ) -> None:
        others = []
        for g, v in zip(grads, variables, strict=True):
            i = self._get_variable_index(v)
            if self._velocities[i] is None:
                self._muon_step(g, v, self._momentums[i], ops.cast(learning_rate, v.dtype))
            else:
                others.append((v, g, self._momentums[i], self._velocities[i]))
        if others:
            parameters, gradients, *slots = (list(kind) for kind in zip(*others, strict=True))
            ops.optimizer_update(
                *("adam", parameters, gradients, slots),
                ops.multiply(learning_rate, self.adam_lr_ratio),
                self.iterations,
                beta_1=self.adam_beta_1,
                beta_2=self.adam_beta_2,
                epsilon=self.epsilon,
                amsgrad=False,
            )

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        self.update_all([gradient], [variable], learning_rate)

    def _muon_step(self, g: Tensor, variable: Variable, m: Variable, rate: Tensor) -> None:
        m.assign(ops.add(ops.multiply(m, self.momentum), g))
        direction = ops.add(ops.multiply(m, self.momentum), g) if self.nesterov else m.value
        size = 1.0 if self.rms_rate is None else self.rms_rate * math.sqrt(max(variable.shape))
        step = ops.multiply(self._orthogonal(direction), ops.multiply(rate, size))
        variable.assign_sub(step)

    def _orthogonal(self, x: Tensor) -> Tensor:
        """Nearly the orthogonal matrix next to x; on the smaller side, so that no transpose is copied."""
        tall = x.shape[0] > x.shape[1]
        x = ops.divide(x, ops.add(ops.cast(ops.sqrt(ops.sum(ops.square_sums([x]))), x.dtype), 1e-7))
        for _ in range(self.ns_steps):
            t = ops.transpose(x)
            a = ops.matmul(t, x) if tall else ops.matmul(x, t)
            b = ops.add(ops.multiply(a, self.muon_b), ops.matmul(ops.multiply(a, self.muon_c), a))
            x = ops.add(ops.multiply(x, self.muon_a), ops.matmul(x, b) if tall else ops.matmul(b, x))
        return x

    def _decay(self, variables: list[Variable], rate: Any) -> None:
        for adam, share in ((True, self.adam_weight_decay), (False, self.weight_decay)):
            decaying = [v for v in variables if self._decays(v) and self._follows_adam(v) == adam]
            if share is not None:
                ops.optimizer_update("decay", decaying, [], [], rate, weight_decay=share)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "adam_beta_1": self.adam_beta_1,
            "adam_beta_2": self.adam_beta_2,
            "adam_weight_decay": self.adam_weight_decay,
            "epsilon": self.epsilon,
            "exclude_layers": self.exclude_layers,
            "exclude_embeddings": self.exclude_embeddings,
            "muon_a": self.muon_a,
            "muon_b": self.muon_b,
            "muon_c": self.muon_c,
            "adam_lr_ratio": self.adam_lr_ratio,
            "momentum": self.momentum,
            "ns_steps": self.ns_steps,
            "nesterov": self.nesterov,
            "rms_rate": self.rms_rate,
        }
