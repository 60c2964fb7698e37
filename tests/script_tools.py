"""What the scripts in `scripts/` share: data from a seed, and the same first weights in every library."""

from __future__ import annotations

from typing import Any

import numpy as np


def blobs(n: int = 256, features: int = 8, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points around one centre for each class, (n, features) in float32, and their classes (n,) in int64."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 2, (classes, features))
    y = rng.integers(0, classes, n)
    return (centres[y] + rng.normal(0, 1, (n, features))).astype("float32"), y


def plane(n: int = 256, features: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, features), and a noisy linear function of them (n, 1), in float32."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (n, features))
    y = x @ rng.normal(0, 1, (features, 1)) + 0.5 + rng.normal(0, 0.1, (n, 1))
    return x.astype("float32"), y.astype("float32")


def same_start(model: Any, seed: int = 0) -> None:
    """Sets the matrices of a built model to Glorot's uniform numbers from a seed."""
    rng = np.random.default_rng(seed)
    weights = []
    for value in model.get_weights():
        if value.ndim >= 2:
            limit = np.sqrt(6 / (value.shape[-2] + value.shape[-1]))
            value = rng.uniform(-limit, limit, value.shape).astype(value.dtype)
        weights.append(value)
    model.set_weights(weights)
