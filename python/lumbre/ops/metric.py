"""What metrics are made of: running means in float64, accuracies per sample, the k greatest of a row."""

from __future__ import annotations

from typing import Any

import numpy as np

from lumbre.autograd import FLOATS, Tensor, as_tensor, kernel
from lumbre.ops import elementwise as ew
from lumbre.ops import shapes as sh
from lumbre.ops.counts import sample_weights
from lumbre.ops.dtypes import floating
from lumbre.ops.optimizer import cells_of, results
from lumbre.ops.table import Bad, Case, In, op


def _mean_ref(total: Any, count: Any, values: Any, weights: Any = None) -> Any:
    if weights is None:
        return [total + np.sum(values), count + values.size]
    weights = np.asarray(weights)
    spread = weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim)) * np.ones_like(values)
    return [total + np.sum(values * spread), count + np.sum(spread)]


_ZERO = np.float64(0)
_VALUES = In((40, 3), grad=False)
_LONG = In((3, 5000), grad=False)


@op(
    ref=_mean_ref,
    cases=[
        Case((np.float64(5), np.float64(7), In((40,), grad=False))),
        Case((_ZERO, _ZERO, _LONG), ulp=1),
        Case((_ZERO, _ZERO, _VALUES, In((40,), 0.0, 1.0, grad=False))),
        Case((_ZERO, _ZERO, _VALUES, In((40, 1), 0.0, 1.0, grad=False))),
        Case((_ZERO, _ZERO, _VALUES, In((1, 3), 0.0, 1.0, grad=False))),
        Case((_ZERO, _ZERO, _LONG, In((3, 5000), 0.0, 1.0, grad=False))),
        Case((_ZERO, _ZERO, In((9,), 0, 9, "int32"), 0.5)),
        Case((_ZERO, _ZERO, In((0,), grad=False))),
    ],
    bad=[
        Bad(
            (_ZERO, _ZERO, np.ones((4, 3), "float32"), np.ones(3, "float32")),
            ValueError,
            "one weight for each sample",
        ),
        Bad((np.float32(0), _ZERO, np.ones(4, "float32")), ValueError, "must be float64 scalars"),
    ],
    kernels=["mean_update"],
)
def mean_update(total: Any, count: Any, values: Any, weights: Any = None) -> list[Tensor] | None:
    """total += Σ wᵢ vᵢ, count += Σ wᵢ (or the number of values), in float64 and in a fixed order.

    Args:
        total: A float64 Variable of shape (), which is updated in place; or a value.
        count: Likewise.
        values: Numbers of any shape.
        weights: A number, or weights whose axes are the first ones of the values': each counts for all
            values below it. Axes of length 1 are repeated.

    Returns:
        None for Variables; for values the new total and count.

    Raises:
        ValueError: The weights do not fit the values; nothing is updated then.

    Example:
        >>> import lumbre
        >>> total, count = (lumbre.Variable(0.0, dtype="float64") for _ in range(2))
        >>> lumbre.ops.mean_update(total, count, [1.0, 3.0], weights=[1.0, 0.5])
        >>> total.numpy(), count.numpy()
        (array(2.5), array(1.5))
    """
    (values,), _ = floating(values)
    operands = [values]
    if weights is not None:
        operands.append(sample_weights(weights, values))
    cells, made = cells_of([total, count])
    kernel("mean_update", *operands, inout=cells)
    return results(cells, made)


# ----------------------------------------------------------------------------------------------- accuracies


def _sparse_ref(y_true: Any, y_pred: Any) -> Any:
    return (np.argmax(y_pred, -1) == y_true.reshape(y_pred.shape[:-1])).astype("float32")


def _labels(shape: tuple[int, ...], dtype: str = "int32") -> In:
    return In(shape, 0, 3, dtype, grad=False)


_SCORES = In((20, 3), grad=False)


@op(
    ref=_sparse_ref,
    cases=[
        Case((_labels((20,)), _SCORES)),
        Case((_labels((20,), "int64"), _SCORES)),
        Case((_labels((20, 1), "uint8"), _SCORES)),
        Case((np.arange(20, dtype="float32") % 3, _SCORES)),
        Case((_labels((4, 5)), In((4, 5, 100), grad=False))),
        Case((_labels((0,)), In((0, 3), grad=False))),
    ],
    bad=[Bad((np.zeros(3, "int32"), np.ones((4, 3), "float32")), ValueError, "one label for each row")],
    kernels=["sparse_categorical_accuracy"],
)
def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the greatest prediction along the last axis (the first of equals) is what the label names.

    Args:
        y_true: Class indices, whole numbers of any dtype, of the shape of `y_pred` without its last axis
            (or with 1 at the end).
        y_pred: Scores.

    Returns:
        float32, a number for each label.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> from lumbre import ops
        >>> ops.sparse_categorical_accuracy([1, 1], [[0.1, 0.9], [0.6, 0.4]]).numpy()
        array([1., 0.], dtype=float32)
    """
    y_true, y_pred = as_tensor(y_true), floating(y_pred)[0][0]
    if y_true.ndim == y_pred.ndim and y_true.shape[-1:] == (1,):
        y_true = sh.squeeze(y_true, -1)
    if y_true.dtype not in ("int32", "int64", "float32", "float64"):
        y_true = ew.cast(y_true, "float32" if y_true.dtype in FLOATS else "int32")
    y: Tensor = kernel("sparse_categorical_accuracy", y_true, y_pred)
    return y


@op(
    ref=lambda y_true, y_pred: (np.argmax(y_true, -1) == np.argmax(y_pred, -1)).astype("float32"),
    cases=[
        Case((In((20, 3), grad=False), _SCORES)),
        Case((In((4, 5, 100), grad=False), In((4, 5, 100), grad=False))),
        Case((In((20, 3), 0, 2, "int32"), _SCORES)),
    ],
    bad=[
        Bad(
            (np.ones((4, 2), "float32"), np.ones((4, 3), "float32")),
            ValueError,
            r"y_true must be float32\(4, 3\)",
        )
    ],
    kernels=["categorical_accuracy"],
)
def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the greatest target and the greatest prediction (the first of equals) have the same place.

    Args:
        y_true: Targets, of the shape of `y_pred`.
        y_pred: Scores.

    Returns:
        float32, of the shape without the last axis.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> from lumbre import ops
        >>> ops.categorical_accuracy([[0, 1], [0, 1]], [[0.1, 0.9], [0.6, 0.4]]).numpy()
        array([1., 0.], dtype=float32)
    """
    (y_pred,), _ = floating(y_pred)
    y: Tensor = kernel("categorical_accuracy", as_tensor(y_true, y_pred.dtype), y_pred)
    return y


def _binary_ref(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    return ((y_pred > threshold) == (y_true == 1)).astype("float32")


@op(
    ref=_binary_ref,
    cases=[
        Case((In((20, 3), 0, 2, "int32"), In((20, 3), 0.0, 1.0, grad=False))),
        Case((In((300,), dtype="bool"), In((300,), 0.0, 1.0, grad=False), 0.25)),
        Case((np.float32(1), np.float32(0.5))),
    ],
    bad=[
        Bad(
            (np.ones((4, 2), "float32"), np.ones((4, 3), "float32")),
            ValueError,
            r"y_true must be float32\(4, 3\)",
        )
    ],
    kernels=["binary_accuracy"],
)
def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """1 where (y_pred > threshold) agrees with the target 0 or 1, element by element.

    Args:
        y_true: Targets, of the shape of `y_pred`.
        y_pred: Scores.
        threshold: What a score must exceed to count as 1.

    Returns:
        float32, of the same shape.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> from lumbre import ops
        >>> ops.binary_accuracy([1, 0], [0.9, 0.5]).numpy()
        array([1., 1.], dtype=float32)
    """
    (y_pred,), _ = floating(y_pred)
    y: Tensor = kernel("binary_accuracy", as_tensor(y_true, y_pred.dtype), y_pred, threshold=float(threshold))
    return y


# ------------------------------------------------------------------------------------------- the k greatest


def _in_top_k_ref(targets: Any, predictions: Any, k: int) -> Any:
    inside = (targets >= 0) & (targets < predictions.shape[-1])
    target = np.where(inside, targets, 0)[..., None].astype("int64")
    score = np.take_along_axis(predictions, target, -1)
    return inside & (np.sum(predictions > score, -1) < k)


@op(
    ref=_in_top_k_ref,
    cases=[
        Case((_labels((20,)), _SCORES, 2)),
        Case((_labels((20,), "uint8"), _SCORES, 1)),
        Case((In((4, 5), -3, 120, "int64"), In((4, 5, 100), grad=False), 50)),
        Case((np.array([0, 1, 2, 3], "int32"), np.ones((4, 3), "float32"), 1)),
        Case((_labels((0,)), In((0, 3), grad=False), 2)),
    ],
    bad=[
        Bad((np.zeros(3, "int32"), np.ones((4, 3), "float32"), 1), ValueError, "one target for each row"),
        Bad(
            (np.zeros(4, "int32"), np.ones((4, 3), "float32"), 0),
            ValueError,
            "`k` must be a positive integer",
        ),
    ],
    kernels=["in_top_k"],
)
def in_top_k(targets: Any, predictions: Any, k: int) -> Tensor:
    """Whether fewer than `k` predictions of a row are greater than the target's.

    So all that equal the k-th greatest are among the first k. A target outside of the classes is not,
    nor is one whose prediction is NaN.

    Args:
        targets: Class indices of shape (...).
        predictions: Scores of shape (..., classes).
        k: How many count.

    Returns:
        bool, of the shape of the targets.

    Raises:
        ValueError: The shapes do not fit, or `k` is no positive integer.

    Source: `keras.ops.in_top_k`.

    Example:
        >>> from lumbre import ops
        >>> ops.in_top_k([2, 1], [[0.5, 0.1, 0.4], [0.5, 0.1, 0.4]], 2).numpy()
        array([ True, False])
    """
    targets, predictions = as_tensor(targets), floating(predictions)[0][0]
    if targets.dtype not in ("int32", "int64"):
        targets = ew.cast(targets, "int64")
    y: Tensor = kernel("in_top_k", targets, predictions, k=_positive("in_top_k", k))
    return y


def _positive(name: str, k: Any) -> int:
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"{name}: `k` must be a positive integer. Received: k={k!r}")
    return int(k)


def _only_top_k_ref(x: Any, k: int, fill: float = 0.0) -> Any:
    order = np.argsort(-x, -1, kind="stable")
    ranks = np.argsort(order, -1, kind="stable")
    return np.where(ranks < k, x, fill)


@op(
    ref=_only_top_k_ref,
    cases=[
        Case((_SCORES, 2)),
        Case((In((7, 100), grad=False), 9, -1e10)),
        Case((np.ones((4, 3), "float32"), 2)),
        Case((In((4, 5, 6), 0, 3, "int32"), 3)),
        Case((In((0, 3), grad=False), 3)),
    ],
    bad=[
        Bad((np.ones((4, 3), "float32"), 4), ValueError, "`k` must be from 1 to the number of classes, 3"),
        Bad((np.ones((4, 3), "float32"), 1.5), ValueError, "`k` must be a positive integer"),
    ],
    kernels=["only_top_k"],
)
def only_top_k(x: Any, k: int, fill: float = 0.0) -> Tensor:
    """The `k` greatest of each row where they stand (the first of equals), and `fill` for all others.

    Args:
        x: Scores of shape (..., classes).
        k: How many are kept, at most as many as there are classes.
        fill: What replaces the others.

    Raises:
        ValueError: There are no `k` classes.

    Example:
        >>> from lumbre import ops
        >>> ops.only_top_k([[0.5, 0.1, 0.4]], 2).numpy()
        array([[0.5, 0. , 0.4]], dtype=float32)
    """
    (x,), _ = floating(x)
    y: Tensor = kernel("only_top_k", x, k=_positive("only_top_k", k), fill=float(fill))
    return y
