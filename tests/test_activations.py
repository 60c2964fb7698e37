"""Activations against the real Keras: values, gradients, names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import close, gradient, keras
from lumbre import activations

FUNCTIONS: list[tuple[str, dict[str, Any]]] = [
    ("linear", {}),
    ("relu", {}),
    ("relu", {"negative_slope": 0.3}),
    ("relu", {"max_value": 1.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 1.5, "threshold": 0.5}),
    ("leaky_relu", {}),
    ("relu6", {}),
    ("softmax", {}),
    ("softmax", {"axis": 0}),
    ("log_softmax", {}),
    ("sigmoid", {}),
    ("log_sigmoid", {}),
    ("hard_sigmoid", {}),
    ("sparse_sigmoid", {}),
    ("tanh", {}),
    ("hard_tanh", {}),
    ("tanh_shrink", {}),
    ("softplus", {}),
    ("softsign", {}),
    ("sparse_plus", {}),
    ("squareplus", {}),
    ("squareplus", {"b": 2}),
    ("elu", {}),
    ("elu", {"alpha": 0.5}),
    ("celu", {}),
    ("celu", {"alpha": 2.0}),
    ("selu", {}),
    ("gelu", {}),
    ("gelu", {"approximate": True}),
    ("silu", {}),
    ("swish", {}),
    ("hard_silu", {}),
    ("hard_swish", {}),
    ("mish", {}),
    ("exponential", {}),
    ("glu", {}),
    ("hard_shrink", {}),
    ("soft_shrink", {"threshold": 0.25}),
    ("threshold", {"threshold": 0.5, "default_value": -3.0}),
]
X = np.random.default_rng(0).normal(0.0, 2.0, (6, 8)).astype("float32")


@pytest.mark.parametrize(("name", "options"), FUNCTIONS)
def test_value_and_gradient(name: str, options: dict[str, Any]) -> None:
    ours, theirs = getattr(activations, name), getattr(keras.activations, name)
    y = np.asarray(ours(X, **options))
    close(y, theirs(X, **options))
    weights = np.random.default_rng(1).normal(size=y.shape).astype("float32")
    g = lumbre.grad(lambda x: (ours(x, **options) * weights).sum(), X)
    close(g, gradient(lambda x: theirs(x, **options) * weights, X), atol=2e-6)


@pytest.mark.parametrize("axis", [-1, 0])
def test_sparsemax_is_the_nearest_point_of_the_simplex(axis: int) -> None:
    # By its definition: Keras 3.15's does not always sum to one.
    y = np.asarray(activations.sparsemax(X, axis=axis))
    np.testing.assert_allclose(y.sum(axis), 1.0, rtol=1e-6)
    assert (y >= 0.0).all()
    shift = np.where(y > 0.0, X - y, np.nan)
    tau = np.nanmean(shift, axis, keepdims=True)
    np.testing.assert_allclose(y, np.maximum(X - tau, 0.0), atol=1e-6)


def test_far_values_are_finite() -> None:
    x = np.array([-1e4, -200.0, 0.0, 200.0, 1e4], "float32")
    for name in ("sigmoid", "softplus", "log_sigmoid", "mish", "silu", "gelu", "elu", "selu", "softmax"):
        f = getattr(activations, name)
        assert np.isfinite(np.asarray(f(x))).all(), name
        assert np.isfinite(np.asarray(lumbre.grad(lambda t, f=f: f(t).sum(), x))).all(), name


def test_get() -> None:
    assert activations.get(None) is activations.linear
    assert activations.get("swish") is activations.get("silu") is activations.silu
    assert activations.get(activations.relu) is activations.relu
    assert activations.get(activations.serialize(activations.gelu)) is activations.gelu
    for name, _ in FUNCTIONS:
        assert callable(activations.get(name))


@pytest.mark.parametrize("bad", ["reluu", 3])
def test_get_refuses(bad: Any) -> None:
    with pytest.raises(ValueError, match=f"Could not interpret activation function identifier: {bad}"):
        activations.get(bad)


def test_get_hints_at_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="Did you mean 'softmax'"):
        activations.get("softmx")
