"""What the tests of the guides share: pairs of models with the same weights, and a look at how a step ran."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import lumbre
from keras_reference import jax, keras


def assert_captured(model: lumbre.Model, kind: str = "train") -> None:
    """The model's steps of this kind are programs; none of them has to run in Python."""
    entries = list(model._runner(kind)._captured._entries.values())
    assert [e.reason for e in entries if e.reason] == []
    assert any(e.program is not None for e in entries)


class Counted:
    """A captured function that counts how often Python ran it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.runs = 0
        self.function = function
        self.captured = lumbre.capture(self._run)

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        self.runs += 1
        return self.function(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.captured(*args, **kwargs)


def pair(make: Callable[[Any], Any], seed: int = 0) -> tuple[Any, Any]:
    """`make(lumbre)` and `make(keras)` with the same weights."""
    ours, theirs = make(lumbre), make(keras)
    share([ours], [theirs], seed)
    return ours, theirs


def share(ours: Sequence[Any], theirs: Sequence[Any], seed: int = 0) -> None:
    """Gives models of Keras and ours the same weights: matrices are drawn, vectors stay as they are."""
    rng = np.random.default_rng(seed)
    for our, their in zip(ours, theirs, strict=True):
        weights = [
            rng.standard_normal(w.shape).astype("float32") / np.sqrt(w.shape[0]) if w.ndim > 1 else w
            for w in their.get_weights()
        ]
        our.set_weights(weights)
        their.set_weights(weights)


def keras_gradients(
    loss: Callable[..., Any], models: Sequence[Any], wanted: Sequence[Any]
) -> tuple[Any, list[Any]]:
    """A loss of Keras models, and its gradients by the trainable variables of some of them, in their order.

    `loss` receives, in the place of each model, a function that is the model in training.
    """
    values = [[v.value for v in m.trainable_variables] for m in wanted]

    def function(values: list[list[Any]]) -> Any:
        stateless = []
        for m in models:
            mine = [v.value for v in m.trainable_variables]
            for other, replaced in zip(wanted, values, strict=True):
                mine = replaced if other is m else mine
            rest = [v.value for v in m.non_trainable_variables]
            stateless.append(lambda x, m=m, mine=mine, rest=rest: m.stateless_call(mine, rest, x)[0])
        return loss(*stateless)

    value, gradients = jax.value_and_grad(function)(values)
    return value, [g for of_model in gradients for g in of_model]


def keras_step(loss: Callable[..., Any], models: Sequence[Any], wanted: Any, optimizer: Any) -> float:
    """One step of Keras on JAX, by hand: the loss before it."""
    value, gradients = keras_gradients(loss, models, [wanted])
    optimizer.apply(gradients, wanted.trainable_variables)
    return float(value)


def batches(n: int, size: int) -> list[slice]:
    """The places of the batches, the last one smaller."""
    return [slice(i, i + size) for i in range(0, n, size)]


def assert_same_weights(ours: Any, theirs: Any, atol: float = 2e-5) -> None:
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=atol)
