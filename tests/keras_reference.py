"""The real Keras, on JAX, to compare with. Importing this skips the tests where it is not installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"  # before Keras is imported for the first time

import numpy as np
import pytest

REASON = "the real Keras and JAX are not installed (pip install 'lumbre[test]')"
jax = pytest.importorskip("jax", reason=REASON)
keras = pytest.importorskip("keras", reason=REASON)


def gradient(f: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """The gradient of a function of Keras's operations that returns a scalar."""
    return np.asarray(jax.grad(lambda t: f(t).sum())(jax.numpy.asarray(x)))


def close(ours: Any, theirs: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Asserts that two results have the same shape and, to float32 rounding, the same values."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)
