"""Models of every kind of loss, and calls to make of them, for the tests of what is refused and accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import lumbre
from lumbre import callbacks, layers, losses, ops, optimizers

N, WIDTH, CLASSES = 40, 4, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, WIDTH)).astype("float32")
LABELS = RNG.integers(0, CLASSES, N)
ONE_HOT = np.eye(CLASSES, dtype="float32")[LABELS]
YES_NO = (LABELS > 0).astype("float32")
TARGET = X[:, :1] * 2 - 1
WEIGHTS = np.ones(N, "float32")


def row(array: Any, i: int, value: Any) -> np.ndarray:
    array = np.array(array)
    array[i] = value
    return array


# Models


def classifier(loss: Any = "sparse_categorical_crossentropy", **options: Any) -> Any:
    model = lumbre.Sequential(
        [
            lumbre.Input((WIDTH,)),
            layers.Dense(5, activation="relu"),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    model.compile(optimizers.Adam(), loss, **options)
    return model


def one_hot(**options: Any) -> Any:
    return classifier("categorical_crossentropy", **options)


def ignoring() -> Any:
    return classifier(losses.SparseCategoricalCrossentropy(ignore_class=-1))


def binary(loss: Any = "binary_crossentropy", activation: Any = "sigmoid", units: int = 1) -> Any:
    model = lumbre.Sequential([lumbre.Input((WIDTH,)), layers.Dense(units, activation=activation)])
    model.compile("adam", loss)
    return model


def hinge() -> Any:
    return binary("hinge", None)


def regression(loss: Any = "mse", units: int = 1, **options: Any) -> Any:
    model = lumbre.Sequential([lumbre.Input((WIDTH,)), layers.Dense(units)])
    model.compile("adam", loss, **options)
    return model


def three() -> Any:
    return regression(units=3)


def own_loss(y: Any, p: Any) -> Any:
    known = ops.isfinite(y)
    return ops.mean(ops.square(ops.where(known, y, 0.0) - p * ops.cast(known, "float32")), axis=-1)


def two_outputs(**options: Any) -> Any:
    inputs = lumbre.Input((WIDTH,))
    p, q = layers.Dense(1, name="p")(inputs), layers.Dense(CLASSES, activation="softmax", name="q")(inputs)
    model = lumbre.Model(inputs, {"p": p, "q": q})
    model.compile("adam", {"p": "mse", "q": "sparse_categorical_crossentropy"}, **options)
    return model


def per_step() -> Any:
    """A classifier of each of five steps."""
    model = lumbre.Sequential([lumbre.Input((5, WIDTH)), layers.Dense(CLASSES, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


STEPS = np.repeat(X[:, None], 5, axis=1)
STEP_LABELS = np.repeat(LABELS[:, None], 5, axis=1)


class HasNothing:
    pass


class Misspelt(callbacks.Callback):
    def on_epoch_ended(self, epoch: int, logs: Any = None) -> None:
        pass


class TerminateOnNaN(callbacks.Callback):
    """Known by its name: any class of that name, or derived from one."""


class Hooks:
    """A callback that is no `Callback`."""

    def __init__(self) -> None:
        self.epochs = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs += 1


def batches(*pairs: Any) -> Iterator[Any]:
    yield from pairs


def fit(x: Any, y: Any, **options: Any) -> Callable[[Any], Any]:
    options = {"verbose": 0, "shuffle": False, **options}
    return lambda m: m.fit(x, y, **options)


def option(**options: Any) -> Callable[[Any], Any]:
    return fit(X, LABELS, **options)


def masked(values: np.ndarray, mask: np.ndarray) -> Any:
    tensor = ops.convert_to_tensor(values)
    tensor._mask = ops.convert_to_tensor(mask)
    return tensor


def integer_model() -> Any:
    inputs = lumbre.Input((1,), dtype="int64")
    model = lumbre.Model(inputs, layers.Dense(1)(ops.cast(ops.mod(inputs, 7), "float32")))
    model.compile("adam", "mse")
    return model
