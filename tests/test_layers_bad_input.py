"""What layers refuse, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import layers

X = np.ones((2, 3), "float32")
BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: layers.Dense(0),
        ValueError,
        "invalid value for `units`, expected a positive integer",
    ),
    (lambda: layers.Dense(2.5), ValueError, "invalid value for `units`"),  # type: ignore[arg-type]
    (
        lambda: layers.Dense(2, foo=1),
        ValueError,
        "keyword arguments passed to Dense: {'foo': 1}",
    ),
    (lambda: layers.Dense(2, activation="rel"), ValueError, "activation function identifier: rel"),
    (lambda: layers.Dense(2, name="a/b"), ValueError, "must be a string and cannot contain character `/`"),
    (lambda: layers.Dense(2, trainable=3), ValueError, "Expected `trainable` to be a boolean"),
    (
        lambda: layers.Dense(2, dtype="foo"),
        ValueError,
        "Cannot convert 'foo' to a mixed precision",
    ),
    (
        lambda: layers.Dense(2)(X[0]),
        ValueError,
        r"expected min_ndim=2, found ndim=1. Full shape",
    ),
    (lambda: layers.Dense(2)(lumbre.Input((None,))), ValueError, "last dimension of the inputs to layer"),
    (lambda: layers.Dense(2)("text"), ValueError, "should be passed as a keyword argument: text"),
    (lambda: layers.Dense(2)(3), ValueError, "Only input tensors may be passed as positional arguments"),
    (lambda: layers.Dense(2)(X, foo=1), TypeError, "unexpected keyword argument 'foo'"),
    (lambda: layers.Dense(2)(np.array([["a"]])), TypeError, "dtype"),
    (lambda: layers.Dropout(2), ValueError, "argument `rate`. Expected a float value between 0 and 1"),
    (lambda: layers.Dropout(0.5, noise_shape=3), ValueError, "argument `noise_shape`"),  # type: ignore[arg-type]
    (lambda: layers.Dropout(0.5, seed="a"), ValueError, "Argument `seed` must be an integer"),  # type: ignore[arg-type]
    (lambda: layers.GaussianNoise(-1), ValueError, "argument `stddev`"),
    (lambda: layers.ReLU(max_value=-1), ValueError, "max_value of a ReLU layer cannot be a negative value"),
    (
        lambda: layers.ReLU(negative_slope=-1),
        ValueError,
        "negative_slope of a ReLU layer cannot be None",
    ),
    (lambda: layers.ReLU(threshold=-1), ValueError, "threshold of a ReLU layer cannot be None or a negative"),
    (lambda: layers.LeakyReLU(negative_slope=-1), ValueError, "value of a Leaky ReLU layer cannot be None"),
    (lambda: layers.Reshape((3, 3))(X), ValueError, "total size of the tensor must be unchanged"),
    (lambda: layers.Reshape((2, -1))(X), ValueError, "cannot by divided by the specified dimensions"),
    (lambda: layers.Reshape((-1, -1)), ValueError, "at most one unknown dimension"),
    (lambda: layers.Permute((1, 3)), ValueError, "indices in `dims` must be consecutive and start from 1"),
    (lambda: layers.Permute((2, 1))(X), ValueError, "expected ndim=3, found ndim=2"),
    (lambda: layers.RepeatVector(2.0), TypeError, "Expected an integer value for `n`"),  # type: ignore[arg-type]
    (lambda: layers.RepeatVector(0), ValueError, "Argument `n` should be a positive integer"),
    (lambda: layers.Flatten(data_format="foo"), ValueError, "`data_format` argument must be one of"),
    (lambda: layers.Add()(X), ValueError, "A merge layer should be called on a list of inputs"),
    (lambda: layers.Add()([X, X[:1]]), ValueError, "Cannot merge tensors with different batch sizes"),
    (lambda: layers.Add()([X, X[:, :2]]), ValueError, "Inputs have incompatible shapes. Received shapes"),
    (lambda: layers.Subtract()([X]), ValueError, "`Subtract` layer should be called on exactly 2 inputs"),
    (lambda: layers.Concatenate()([X, X[:1]]), ValueError, "requires inputs with matching shapes except for"),
    (lambda: layers.Concatenate()(X), ValueError, "should be called on a list of at least 1 input"),
    (lambda: layers.Concatenate(axis=5)([X, X]), ValueError, "axis=5"),
    (lambda: layers.Layer()(X), NotImplementedError, "does not have a `call` method implemented"),
    (lambda: lumbre.Input(), ValueError, "You must pass a `shape` argument"),
    (lambda: lumbre.Input(3), ValueError, "Cannot convert '3' to a shape"),  # type: ignore[arg-type]
    (
        lambda: lumbre.Input((2,), batch_shape=(1, 2)),
        ValueError,
        "both `shape` and `batch_shape`",
    ),
    (lambda: np.asarray(lumbre.Input((2,))), ValueError, "A KerasTensor is symbolic: it's a placeholder for"),
    (lambda: bool(lumbre.Input((2,))), TypeError, "cannot be used as a boolean"),
    (lambda: float(lumbre.Input((2,))), ValueError, "cannot convert it to a float"),
    (lambda: list(lumbre.Input((2,))), NotImplementedError, "Iterating over a symbolic KerasTensor"),
    (lambda: layers.Dense(2).output, AttributeError, "has never been called and thus has no defined output"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_bad_input(case: int) -> None:
    attempt, kind, text = BAD[case]
    with pytest.raises(kind, match=text):
        attempt()


def test_input_shape_argument_warns() -> None:
    with pytest.warns(UserWarning, match="Do not pass an `input_shape`/`input_dim` argument to a layer"):
        layer = layers.Dense(2, input_dim=3)
    model = lumbre.Sequential([layer])
    assert model.built and model.input_shape == (None, 3)
