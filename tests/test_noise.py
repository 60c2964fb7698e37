"""Layers of noise: their distributions, gradients with the same draw, seeds, training in recorded steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import layers, ops

X = np.random.default_rng(0).normal(size=(400, 500)).astype("float32")
NOISY = {
    "GaussianNoise": lambda **kw: layers.GaussianNoise(0.3, **kw),
    "GaussianDropout": lambda **kw: layers.GaussianDropout(0.4, **kw),
    "AlphaDropout": lambda **kw: layers.AlphaDropout(0.4, **kw),
    "Dropout": lambda **kw: layers.Dropout(0.4, **kw),
}


def test_gaussian_noise() -> None:
    d = layers.GaussianNoise(0.3, seed=1)(X, training=True).numpy() - X
    assert abs(d.mean()) < 5 * 0.3 / np.sqrt(d.size)
    assert d.std() == pytest.approx(0.3, rel=0.01)


def test_gaussian_dropout() -> None:
    factor = layers.GaussianDropout(0.4, seed=1)(np.ones_like(X), training=True).numpy()
    stddev = np.sqrt(0.4 / 0.6)
    assert factor.mean() == pytest.approx(1.0, abs=5 * stddev / np.sqrt(factor.size))
    assert factor.std() == pytest.approx(stddev, rel=0.01)
    assert ((factor - factor.mean()) ** 3).mean() == pytest.approx(0.0, abs=0.02)
    y = layers.GaussianDropout(0.4, seed=1)(X, training=True).numpy()
    np.testing.assert_allclose(y, X * factor, rtol=1e-6)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_alpha_dropout_keeps_mean_and_variance(rate: float) -> None:
    y = layers.AlphaDropout(rate, seed=1)(X, training=True).numpy()
    assert y.mean() == pytest.approx(0.0, abs=0.02)
    assert y.std() == pytest.approx(1.0, abs=0.02)
    values, counts = np.unique(y, return_counts=True)
    assert counts.max() / y.size == pytest.approx(rate, abs=0.01)  # those that were dropped are all equal
    saturated = values[counts.argmax()]
    a = ((1 - rate) * (1 + rate * 1.7580993**2)) ** -0.5
    assert saturated == pytest.approx(-a * 1.7580993 * (1 - rate), rel=1e-3)
    kept = y != saturated
    np.testing.assert_allclose(y[kept], a * X[kept] + a * 1.7580993 * rate, atol=1e-3)


def test_alpha_dropout_with_a_noise_shape() -> None:
    y = layers.AlphaDropout(0.5, noise_shape=(None, 1), seed=1)(X * 0.0, training=True).numpy()
    assert (y == y[:, :1]).all() and len(np.unique(y)) == 2


def test_spatial_dropout() -> None:
    ones = np.ones((30, 4, 5, 6), "float32")
    y = layers.SpatialDropout2D(0.5, seed=1)(ones, training=True).numpy()
    assert (y == y[:, :1, :1]).all() and set(np.unique(y)) == {0.0, 2.0}
    y = layers.SpatialDropout2D(0.5, "channels_first", seed=1)(ones, training=True).numpy()
    assert (y == y[:, :, :1, :1]).all() and 0.3 < (y == 0).mean() < 0.7
    y = layers.SpatialDropout1D(0.5, seed=1)(ones[..., 0], training=True).numpy()
    assert (y == y[:, :1]).all() and 0.3 < (y == 0).mean() < 0.7
    y = layers.SpatialDropout3D(0.5, seed=1)(ones[..., None], training=True).numpy()
    assert (y == y[:, :1, :1, :1]).all() and 0.2 < (y == 0).mean() < 0.8


@pytest.mark.parametrize("name", NOISY)
def test_only_in_training_and_with_a_seed_of_its_own(name: str) -> None:
    layer = NOISY[name](seed=5)
    np.testing.assert_array_equal(layer(X).numpy(), X)
    first, second = layer(X, training=True).numpy(), layer(X, training=True).numpy()
    assert (first != second).any()
    np.testing.assert_array_equal(NOISY[name](seed=5)(X, training=True).numpy(), first)
    assert len(layer.variables) == 1 and layer.weights == []


@pytest.mark.parametrize("name", ["GaussianDropout", "AlphaDropout", "Dropout"])
def test_the_gradient_sees_the_same_draw(name: str) -> None:
    """Each layer is affine in its inputs: outputs at 0 and the gradient give those elsewhere."""
    x = X[:20, :30]
    at_zero = NOISY[name](seed=3)(x * 0.0, training=True).numpy()
    leaf = lumbre.Tensor(x, requires_grad=True)
    y = NOISY[name](seed=3)(leaf, training=True)
    slope = lumbre.grad(y.sum(), leaf).numpy()
    np.testing.assert_allclose(y.numpy(), at_zero + slope * x, atol=1e-5)


@pytest.mark.parametrize("name", NOISY)
def test_recorded_steps_draw_anew(name: str) -> None:
    """Replayed steps are compared with eager ones (LUMBRE_CHECK), and no two draw the same."""
    model = lumbre.Sequential([lumbre.Input((30,)), NOISY[name](seed=2), layers.Dense(4), layers.Dense(1)])
    model.compile(lumbre.optimizers.SGD(0.0), "mse")
    losses = [float(model.train_on_batch(X[:16, :30], np.ones((16, 1), "float32"))) for _ in range(8)]
    assert len(set(losses)) == 8
    assert int(model.layers[0].seed_generator.state.numpy()[1]) == 8


def test_no_noise_at_rate_zero() -> None:
    for layer in (layers.GaussianDropout(0.0), layers.AlphaDropout(0.0), layers.GaussianNoise(0.0)):
        np.testing.assert_array_equal(layer(X, training=True).numpy(), X)
        assert layer.variables == []


def test_half_width_inputs_stay_half_wide() -> None:
    x = ops.cast(X[:3], "bfloat16")
    assert ops.random.gaussian_dropout(x, 0.5, seed=1).dtype == "bfloat16"
    assert ops.random.alpha_dropout(x, 0.5, seed=1).dtype == "bfloat16"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: layers.GaussianDropout(1.5), "`rate`. Expected a float value between 0 and 1"),
        (lambda: layers.GaussianDropout(1.0), "`rate`. Expected a float value below 1"),
        (lambda: layers.AlphaDropout(1.0), "`rate`. Expected a float value below 1"),
        (
            lambda: layers.AlphaDropout(0.5, noise_shape=(0, 1)),
            "`noise_shape`. Expected an iterable of integers",
        ),
        (lambda: layers.GaussianNoise("much"), "`stddev`. Expected a float value between 0 and 1"),
        (lambda: layers.SpatialDropout2D(0.5, "first"), "The `data_format` argument must be one of"),
        (lambda: layers.SpatialDropout1D(0.5)(X), "expected ndim=3, found ndim=2"),
        (lambda: layers.GaussianDropout(0.5, seed="a"), "`seed` must be an integer"),
    ],
)
def test_bad_input(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()
