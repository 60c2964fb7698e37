"""The same training as the real Keras: same weights and batches in, same losses and weights out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import keras

STEPS, BATCH = 50, 32


def network(k: Any) -> Any:
    return k.Sequential(
        [
            k.Input((784,)),
            k.layers.Dense(512, activation="relu"),
            k.layers.Dense(512, activation="relu"),
            k.layers.Dense(10, activation="softmax"),
        ]
    )


OPTIMIZERS = {
    "sgd": lambda k: k.optimizers.SGD(0.05),
    "nesterov": lambda k: k.optimizers.SGD(0.02, momentum=0.9, nesterov=True),
    "adam": lambda k: k.optimizers.Adam(0.001),
}

# Where a unit's input comes within rounding of zero, two correct programs may take different sides of ReLU's
# kink and part for good. With these seeds, in float64, no input comes closer than 1e-6 in any of the steps.
SEEDS = {"sgd": 0, "nesterov": 10, "adam": 7}


def initial(rng: np.random.Generator) -> list[np.ndarray]:
    weights: list[np.ndarray] = []
    for a, b in ((784, 512), (512, 512), (512, 10)):
        limit = np.sqrt(6 / (a + b))
        weights += [rng.uniform(-limit, limit, (a, b)).astype("float32"), np.zeros(b, "float32")]
    return weights


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fifty_steps(name: str) -> None:
    """Losses within 1e-4 relative, weights within 1e-4, after 50 steps on 784-512-512-10."""
    rng = np.random.default_rng(SEEDS[name])
    x = rng.uniform(0, 1, (STEPS, BATCH, 784)).astype("float32")
    y = rng.integers(0, 10, (STEPS, BATCH))
    weights = initial(rng)
    theirs, ours = network(keras), network(lumbre)
    for model, k in ((theirs, keras), (ours, lumbre)):
        model.set_weights(weights)
        model.compile(OPTIMIZERS[name](k), "sparse_categorical_crossentropy")
    for i in range(STEPS):
        expected = float(theirs.train_on_batch(x[i], y[i]))
        assert float(ours.train_on_batch(x[i], y[i])) == pytest.approx(expected, rel=1e-4)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4)
