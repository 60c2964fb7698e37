"""Masks: from the layer that makes them, through graphs, chains and subclasses, to losses and metrics."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import close, keras
from small_models import assert_captured, filled

RNG = np.random.default_rng(4)
N, STEPS, FEATURES, CLASSES = 40, 5, 2, 3
X = np.where(RNG.random((N, STEPS, 1)) > 0.4, RNG.normal(size=(N, STEPS, FEATURES)), 0).astype("float32")
Y = RNG.normal(size=(N, STEPS, 1)).astype("float32")
ONE = RNG.normal(size=(N, 1)).astype("float32")
LABELS = RNG.integers(0, CLASSES, (N, STEPS))
WEIGHTS = RNG.random((N, STEPS)).astype("float32")
KEPT = (X != 0).any(-1)
FIXED = np.array([[1, 0, 1, 0, 1]] * N, bool)


def graph(lib: Any) -> Any:
    x = lib.Input((STEPS, FEATURES))
    return lib.Model(x, lib.layers.Dense(1)(lib.layers.Masking()(x)))


def two_outputs(lib: Any) -> Any:
    x = lib.Input((STEPS, FEATURES))
    h = lib.layers.Dense(3, activation="tanh")(lib.layers.Masking()(x))
    p = lib.layers.Dense(1, name="p")(h)
    q = lib.layers.Dense(CLASSES, activation="softmax", name="q")(h)
    free = lib.layers.Dense(1, name="free")(x)
    return lib.Model(x, [p, q, free])


def chain(lib: Any) -> Any:
    return lib.Sequential(
        [
            lib.Input((STEPS, FEATURES)),
            lib.layers.Masking(),
            lib.layers.Dense(3),
            lib.layers.Activation("tanh"),
            lib.layers.Dropout(0.0),
            lib.layers.Dense(1),
        ]
    )


def nested(lib: Any) -> Any:
    inner = lib.Sequential([lib.Input((STEPS, FEATURES)), lib.layers.Masking(), lib.layers.Dense(3)])
    x = lib.Input((STEPS, FEATURES))
    return lib.Model(x, lib.layers.Dense(1)(inner(x)))


def subclass(lib: Any) -> Any:
    class Masked(lib.Model):
        def __init__(self) -> None:
            super().__init__()
            self.mask = lib.layers.Masking()
            self.d = lib.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.d(self.mask(x))

    model = Masked()
    model(X)
    return model


def merged(lib: Any) -> Any:
    x = lib.Input((STEPS, FEATURES))
    a, b = lib.layers.Masking()(x), lib.layers.Dense(FEATURES)(x)
    joined = lib.layers.Concatenate()([a, b])
    return lib.Model(x, lib.layers.Dense(1)(lib.layers.Add()([joined, joined])))


def consumer(lib: Any) -> Any:
    """A layer whose `call` needs the mask, also while the model is put together."""

    class Pool(lib.layers.Layer):
        def call(self, x: Any, mask: Any = None) -> Any:
            weights = lib.ops.expand_dims(lib.ops.cast(mask, "float32"), -1)
            count = lib.ops.maximum(lib.ops.sum(weights, axis=1), 1.0)
            return lib.ops.sum(x * weights, axis=1) / count

    x = lib.Input((STEPS, FEATURES))
    return lib.Model(x, lib.layers.Dense(1)(Pool()(lib.layers.Masking()(x))))


def producer(lib: Any) -> Any:
    """A layer that says with `compute_mask` what is to be left out."""

    class Positive(lib.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.supports_masking = True

        def call(self, x: Any) -> Any:
            return x * 2.0

        def compute_mask(self, x: Any, mask: Any = None) -> Any:
            return lib.ops.greater(x[..., 0], 0.0)

    x = lib.Input((STEPS, FEATURES))
    return lib.Model(x, lib.layers.Dense(1)(Positive()(x)))


MODELS: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
    "graph": (graph, Y, "mse"),
    "two outputs": (two_outputs, [Y, LABELS, Y], ["mse", "sparse_categorical_crossentropy", "mse"]),
    "chain": (chain, Y, "mse"),
    "nested": (nested, Y, "mse"),
    "subclass": (subclass, Y, "mse"),
    "merged": (merged, Y, "mse"),
    "consumer": (consumer, ONE, "mse"),
    "producer": (producer, Y, "mse"),
}


@pytest.mark.parametrize("name", MODELS)
def test_masks_reach_losses_and_metrics(name: str) -> None:
    make, y, loss = MODELS[name]
    metrics = [["mae"], ["accuracy"], ["mae"]] if isinstance(y, list) else ["mae"]
    results = []
    for lib in (lumbre, keras):
        model = filled(make(lib))
        model.compile(lib.optimizers.SGD(0.1), loss, metrics=metrics)
        with warnings.catch_warnings():
            # Keras warns of layers that use a mask and do not pass it on.
            warnings.simplefilter("error" if lib is lumbre else "ignore")
            history = model.fit(X, y, batch_size=10, epochs=2, shuffle=False, verbose=0).history
        # While training, Keras's metrics lose the mask on JAX; evaluation has it.
        results.append((history["loss"], model.evaluate(X, y, batch_size=10, verbose=0), model.get_weights()))
        if lib is lumbre:
            assert_captured(model, "train", "test")
    (losses, values, weights), (losses_k, values_k, weights_k) = results
    np.testing.assert_allclose(losses, losses_k, rtol=2e-4)
    np.testing.assert_allclose(values, values_k, rtol=2e-4)
    for a, b in zip(weights, weights_k, strict=True):
        close(a, b, rtol=1e-3, atol=1e-5)


def test_masks_and_sample_weights() -> None:
    histories = []
    for lib in (lumbre, keras):
        model = filled(graph(lib))
        model.compile(lib.optimizers.SGD(0.1), "mse")
        fit = model.fit(X, Y, sample_weight=WEIGHTS, batch_size=10, epochs=2, shuffle=False, verbose=0)
        histories.append(fit.history["loss"])
    np.testing.assert_allclose(*histories, rtol=2e-4)


def test_what_is_masked_does_not_count() -> None:
    """Beside Keras: the loss and its gradient are the same whatever the targets of masked steps."""
    wild = np.where(KEPT[..., None], Y, 1e3).astype("float32")
    weights = []
    for y in (Y, wild):
        model = filled(graph(lumbre))
        model.compile("sgd", "mse", metrics=["mae"])
        model.fit(X, y, batch_size=10, shuffle=False, verbose=0)
        weights.append((model.get_weights(), model.evaluate(X, y, verbose=0)))
    assert weights[0][1] == weights[1][1]
    for a, b in zip(weights[0][0], weights[1][0], strict=True):
        np.testing.assert_array_equal(a, b)
    expected = np.abs(model.predict(X, verbose=0) - Y)[..., 0][KEPT].mean()
    assert weights[1][1][1] == pytest.approx(expected, rel=1e-4)


class Uses:
    """Layers of either library that show which masks they got."""

    def __init__(self, lib: Any) -> None:
        ops = lib.ops

        def weigh(x: Any, mask: Any) -> Any:
            return x if mask is None else x * ops.expand_dims(ops.cast(mask, "float32"), -1)

        class One(lib.layers.Layer):
            def call(self, x: Any, mask: Any = None) -> Any:
                return weigh(x, mask)

        class Several(lib.layers.Layer):
            def call(self, inputs: Any, mask: Any = None) -> Any:
                found = [0.0 if m is None else 1.0 for m in mask or [None, None]]
                return inputs[0] * 0.0 + found[0] + 10.0 * found[1]

        class Named(lib.layers.Layer):
            def call(self, query: Any, value: Any, query_mask: Any = None, value_mask: Any = None) -> Any:
                return weigh(query, query_mask) + 10.0 * weigh(value, value_mask)

        self.lib, self.one, self.several, self.named = lib, One, Several, Named
        self.x = lib.Input((STEPS, FEATURES))
        self.masked = lib.layers.Masking()(self.x)

    def model(self, outputs: Any) -> Any:
        return self.lib.Model(self.x, outputs)


CALLS: dict[str, Callable[[Uses], Any]] = {
    "given": lambda u: u.one()(X, mask=u.lib.ops.convert_to_tensor(FIXED)),
    "given to a model": lambda u: u.model(u.one()(u.lib.layers.Dense(2, kernel_initializer="ones")(u.x)))(
        X, mask=u.lib.ops.convert_to_tensor(FIXED)
    ),
    "of several inputs": lambda u: u.model(u.several()([u.masked, u.x]))(X),
    "of several inputs, reversed": lambda u: u.model(u.several()([u.x, u.masked]))(X),
    "by name": lambda u: u.model(u.named()(u.masked, u.x))(X),
    "by name, the other": lambda u: u.model(u.named()(u.x, u.masked))(X),
    "by name, both": lambda u: u.model(u.named()(u.masked, value=u.masked))(X),
    "of a model": lambda u: u.one()(u.model(u.lib.layers.Dense(2, kernel_initializer="ones")(u.masked))(X)),
    "stopped": lambda u: u.one()(u.lib.layers.Reshape((STEPS, FEATURES))(u.lib.layers.Masking()(X))),
    "lambda": lambda u: u.one()(
        u.lib.layers.Lambda(lambda x, mask=None: x + 1.0, mask=lambda x, mask: mask)(
            u.lib.layers.Masking()(X)
        )
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_where_masks_arrive(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a layer that drops a mask says so
        close(CALLS[name](Uses(lumbre)), CALLS[name](Uses(keras)))


def test_a_mask_as_an_input() -> None:
    results = []
    for lib in (lumbre, keras):
        uses = Uses(lib)
        mask = lib.Input((STEPS,), dtype="bool")
        model = lib.Model([uses.x, mask], uses.one()(uses.x, mask=mask))
        results.append(model([X, FIXED]))
    close(*results)


def test_symbolic_masks_can_be_looked_at() -> None:
    x = lumbre.Input((STEPS, FEATURES))
    masked = lumbre.layers.Masking()(x)
    assert masked._keras_mask.shape == (None, STEPS) and masked._keras_mask.dtype == "bool"
    assert lumbre.layers.Dense(3)(masked)._keras_mask.shape == (None, STEPS)
    assert x._keras_mask is None
    np.testing.assert_array_equal(lumbre.layers.Masking()(X)._keras_mask.numpy(), KEPT)


def test_a_lost_mask_is_told() -> None:
    class Plain(lumbre.layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    with pytest.warns(UserWarning, match="Layer 'plain.*does not support masking and will therefore destroy"):
        Plain()(lumbre.layers.Masking()(X))
