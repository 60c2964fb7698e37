"""Merging layers against the real Keras: masks, broadcasting, gradients, functions, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import close, keras
from lumbre import layers

RNG = np.random.default_rng(5)
A = RNG.normal(size=(4, 3, 2)).astype("float32")
B = RNG.normal(size=(4, 3, 2)).astype("float32")
NAMES = ["add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("masked", ["both", "first"])
def test_masks_are_merged_as_in_keras(name: str, masked: str) -> None:
    rows = [RNG.random((4, 3)) < 0.5 for _ in range(2)]
    masks: list[Any] = [rows[0], rows[1] if masked == "both" else None]
    kind = name.capitalize()
    ours, theirs = getattr(layers, kind)(), getattr(keras.layers, kind)()
    theirs_mask = theirs.compute_mask([A, B], [None if m is None else keras.ops.array(m) for m in masks])
    ours_mask = ours.compute_mask(
        [lumbre.Tensor(A), lumbre.Tensor(B)], [None if m is None else lumbre.Tensor(m) for m in masks]
    )
    if theirs_mask is None:
        assert ours_mask is None
    else:
        np.testing.assert_array_equal(ours_mask.numpy(), np.asarray(theirs_mask))


@pytest.mark.parametrize("name", [*NAMES, "dot"])
def test_functions_call_layers(name: str) -> None:
    options = {"axes": (1, 1)} if name == "dot" else {}
    ours = getattr(layers, name)([A, B], **options)
    close(ours, getattr(keras.layers, name)([keras.ops.array(A), keras.ops.array(B)], **options))
    symbols = [lumbre.Input((3, 2)), lumbre.Input((3, 2))]
    model = lumbre.Model(symbols, getattr(layers, name)(symbols, name="merged", **options))
    close(model.predict([A, B], verbose=0), ours)
    assert model.layers[-1].name == "merged"


@pytest.mark.parametrize("shapes", [((4, 3, 2), (4, 1, 2)), ((4, 2), (4, 3, 2)), ((4, 1, 1), (4, 3, 2))])
def test_gradients_of_what_was_broadcast(shapes: Any) -> None:
    a, b = (RNG.normal(size=s).astype("float32") for s in shapes)
    for name in ("Add", "Subtract", "Multiply", "Average"):
        x, y = lumbre.Tensor(a, requires_grad=True), lumbre.Tensor(b, requires_grad=True)
        z = getattr(layers, name)()([x, y])
        gx, gy = lumbre.grad((z * z).sum(), [x, y])
        assert (gx.shape, gy.shape) == shapes
        shown = [np.expand_dims(v, tuple(range(1, 4 - v.ndim))) for v in (a, b)]
        full = {"Add": sum(shown), "Subtract": shown[0] - shown[1], "Multiply": shown[0] * shown[1]}
        value = full.get(name, sum(shown) / 2)
        close(z, value)
        inner = {"Subtract": 1.0, "Multiply": shown[1], "Average": 0.5}.get(name, 1.0)
        axes = tuple(i for i in (1, 2) if shown[0].shape[i] == 1 and value.shape[i] > 1)
        close(gx, (2 * value * inner).sum(axes, keepdims=True).reshape(shapes[0]), rtol=1e-4)


def test_a_residual_network_trains() -> None:
    inputs = lumbre.Input((8,))
    x = layers.Dense(8, activation="relu")(inputs)
    for _ in range(3):
        inner = layers.Dense(8)(layers.LayerNormalization()(x))
        x = layers.add([x, layers.GaussianNoise(0.01, seed=1)(inner)])
    model = lumbre.Model(inputs, layers.Dense(1)(x))
    model.compile(lumbre.optimizers.Adam(0.01), "mse")
    x = RNG.normal(size=(256, 8)).astype("float32")
    y = np.tanh(x[:, :1] * x[:, 1:2])
    loss = model.fit(x, y, epochs=30, verbose=0).history["loss"]
    assert loss[-1] < 0.2 * loss[0]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: layers.Dot("1"), TypeError, "it should be a list or an int"),
        (lambda: layers.Dot((1, 2, 3)), ValueError, "it should contain two elements"),
        (lambda: layers.Dot((1, "2")), ValueError, "list elements should be integers"),
        (lambda: layers.Dot(1)([A, A[:, :2]]), ValueError, r"axis values 3 \(at axis 1\) != 2 \(at axis 1\)"),
        (lambda: layers.Dot(0)([A, B]), ValueError, "not axis 0, the batch"),
        (lambda: layers.Dot(3)([A, B]), ValueError, "cannot sum over axis 3"),
        (lambda: layers.Dot(1)([A, B, A]), ValueError, "exactly 2 inputs"),
        (lambda: layers.Dot(1)([A, B[:2]]), ValueError, "different batch sizes"),
        (lambda: layers.Dot(1)(A), ValueError, "should be called on a list of inputs"),
        (lambda: layers.Subtract()([A, B, A]), ValueError, "exactly 2 inputs"),
        (lambda: layers.Add()([A, B[:, :2]]), ValueError, "Inputs have incompatible shapes"),
        (
            lambda: layers.Concatenate()([A, B[:, :2]]),
            ValueError,
            "matching shapes except for the concatenation",
        ),
    ],
)
def test_bad_input(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
