"""Conversions of labels and features."""

from __future__ import annotations

from typing import Any

import numpy as np

from lumbre import ops
from lumbre.autograd import Tensor


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """One-hot rows for class numbers: `out[..., c] = 1` where `x[...] = c`, else 0.

    Args:
        x: Whole numbers from 0 to `num_classes - 1`, of any shape; a last axis of size 1 is dropped.
        num_classes: The number of classes; by default the largest number plus one.

    Returns:
        A float64 NumPy array of shape `x.shape + (num_classes,)`; a float32 Tensor for a Tensor.

    Raises:
        ValueError: A number is negative or not below `num_classes`, or `x` is empty and
            `num_classes` is not given.

    Source: `keras.utils.to_categorical`.

    Example:
        >>> import lumbre
        >>> lumbre.utils.to_categorical([0, 2], num_classes=3)
        array([[1., 0., 0.],
               [0., 0., 1.]])
    """
    labels = np.array(x, dtype="int64")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if not num_classes:
        if labels.size == 0:
            raise ValueError("to_categorical: x is empty, so num_classes must be given")
        num_classes = int(labels.max()) + 1
    bad = np.argwhere((labels < 0) | (labels >= num_classes))
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"to_categorical: classes are 0 to {num_classes - 1}, x{list(where)} is {labels[where]}"
        )
    out = np.zeros((*labels.shape, num_classes))
    np.put_along_axis(out, labels[..., np.newaxis], 1.0, axis=-1)
    return Tensor(out.astype("float32")) if isinstance(x, Tensor) else out


def normalize(x: Any, axis: int = -1, order: Any = 2) -> Any:
    """`x / |x|` along an axis, with the norm of that order; a vector of zeros stays as it is.

    Args:
        x: Numbers of any shape.
        axis: Along which the norm is taken.
        order: Of the norm, as in `numpy.linalg.norm`; for a Tensor a whole number from 1.

    Returns:
        A float64 NumPy array (float32 for float32) of x's shape; a Tensor for a Tensor.

    Raises:
        ValueError: `axis` is not one of x's.

    Source: `keras.utils.normalize`.

    Example:
        >>> import lumbre
        >>> lumbre.utils.normalize([[3.0, 4.0], [0.0, 0.0]])
        array([[0.6, 0.8],
               [0. , 0. ]])
    """
    if isinstance(x, Tensor):
        return ops.normalize(x, axis, order)
    x = np.asarray(x)
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    return x / np.where(norm == 0, norm.dtype.type(1), norm)
