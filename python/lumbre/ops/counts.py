"""What confusion matrices are made of: predictions counted by thresholds, by greatest, by pairs of classes.

The kernels are in `metric/counts.rs`. Each updates one float64 Variable in place, in one pass over the
predictions and in an order that their number alone fixes.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from lumbre.autograd import FLOATS, Tensor, as_tensor, kernel
from lumbre.ops import elementwise as ew
from lumbre.ops import shapes as sh
from lumbre.ops.dtypes import constant, floating
from lumbre.ops.optimizer import cells_of, results
from lumbre.ops.table import Bad, Case, In, op


def sample_weights(weights: Any, values: Tensor) -> Tensor:
    """Weights as the metric kernels take them: the values' dtype, and their first axes or all of them."""
    if isinstance(weights, (int, float)):
        return constant(float(weights), values.dtype)
    given = as_tensor(weights, values.dtype)
    shape = given.shape
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    repeats = given.ndim == values.ndim and shape != values.shape[: len(shape)]
    if repeats and all(w in (1, v) for w, v in zip(given.shape, values.shape, strict=True)):
        return sh.broadcast_to(given, values.shape)
    return given


# ----------------------------------------------------------------------------------------------- thresholds


def _spread(weights: Any, values: Any) -> Any:
    weights = np.asarray(1.0 if weights is None else weights)
    return weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim)) * np.ones_like(values)


def _counted(counts: Any, truth: Any, weights: Any, buckets: Any) -> list[Any]:
    """The counts with each prediction's weight added: (1 - truth) of it to the negatives."""
    counts = np.array(counts)
    labels = np.broadcast_to(np.arange(truth.shape[-1]) if counts.ndim == 3 else 0, truth.shape)
    table = counts if counts.ndim == 3 else counts[:, None]  # a view
    for side, share in ((0, 1 - truth), (1, truth)):
        np.add.at(table[side], (labels.ravel(), buckets.ravel()), (weights * share).ravel())
    return [counts]


def _threshold_ref(
    counts: Any,
    y_true: Any,
    y_pred: Any,
    thresholds: Any,
    weights: Any = None,
    even: int = 0,
    soft: bool = False,
) -> list[Any]:
    truth = y_true if soft else (y_true != 0).astype("float64")
    buckets = np.sum(y_pred[..., None] > thresholds, axis=-1)
    if even:
        buckets = np.maximum(np.ceil(np.clip(y_pred, 0, 1) * (len(thresholds) - 1)).astype(int), even - 1)
    return _counted(counts, truth, _spread(weights, y_pred), buckets)


_BITS = In((40, 3), 0, 2, "int32", grad=False)
_SHARES = In((40, 3), 0.0, 1.0, grad=False)
_WEIGHTS = In((40,), 0.0, 2.0, grad=False)
_HALF = np.array([0.5], "float32")
_EVEN = np.linspace(0, 1, 200, dtype="float32")
_MANY = np.linspace(0.01, 0.9, 33).astype("float32") ** 2


@op(
    ref=_threshold_ref,
    cases=[
        Case((np.zeros((2, 2)), _BITS, _SHARES, _HALF)),
        Case((np.ones((2, 3, 2)), _BITS, _SHARES, _HALF, _WEIGHTS)),
        Case((np.zeros((2, 34)), _BITS, In((40, 3), -1.0, 2.0, grad=False), _MANY)),
        Case((np.zeros((2, 201)), _BITS, In((40, 3), -1.0, 2.0, grad=False), _EVEN), {"even": 1}),
        Case((np.zeros((2, 3, 201)), _BITS, _SHARES, _EVEN, _WEIGHTS), {"even": 2}),
        Case((np.zeros((2, 3, 2)), _SHARES, _SHARES, _HALF, _SHARES), {"soft": True}),
        Case((np.zeros((2, 2)), _BITS, _SHARES, _HALF, In((1, 3), 0.0, 2.0, grad=False))),
        Case((np.zeros((2, 2)), In((70_000,), 0, 2, "int32"), In((70_000,), 0.0, 1.0, grad=False), _HALF)),
        Case(
            (
                np.zeros((2, 7, 201)),
                In((9001, 7), 0, 2, "int32"),
                In((9001, 7), 0.0, 1.0, grad=False),
                _EVEN,
                In((9001,), 0.0, 2.0, grad=False),
            ),
            {"even": 1},
        ),
        Case((np.zeros((2, 2)), In((0, 3), 0, 2, "int32"), In((0, 3), grad=False), _HALF)),
        Case((np.zeros((2, 2)), np.float32(1), np.float32(0.7), _HALF, 3.0)),
    ],
    bad=[
        Bad(
            (np.zeros((2, 2)), np.ones((4, 2), "float32"), np.ones((4, 3), "float32"), _HALF),
            ValueError,
            r"y_true must be float32\(4, 3\)",
        ),
        Bad(
            (np.zeros((2, 3)), np.ones(4, "float32"), np.ones(4, "float32"), _HALF),
            ValueError,
            r"must be float64 of shape \(2, 2\)",
        ),
        Bad(
            (np.zeros((2, 2)), np.ones(4, "float32"), np.ones(4, "float32"), np.ones((1, 1), "float32")),
            ValueError,
            "must be a vector",
        ),
        Bad(
            (np.zeros((2, 2)), np.ones(4, "float32"), np.ones(4, "float32"), _HALF, np.ones(3, "float32")),
            ValueError,
            "one weight for each sample",
        ),
    ],
    kernels=["threshold_counts"],
)
def threshold_counts(
    counts: Any,
    y_true: Any,
    y_pred: Any,
    thresholds: Any,
    weights: Any = None,
    even: int = 0,
    soft: bool = False,
) -> list[Tensor] | None:
    """Adds each prediction's weight to `counts[truth, (label,) thresholds it exceeds]`.

    With the counts c, the predictions that are positive at the i-th threshold are those of the buckets
    above i: `c[1, ..., i + 1:].sum(-1)` true ones, `c[0, ..., i + 1:].sum(-1)` false ones.

    Args:
        counts: A float64 Variable of shape (2, n + 1), or (2, labels, n + 1) with labels along the last
            axis of the predictions, which is updated in place; or a value.
        y_true: Truths, of the shape of `y_pred`: all but 0 is true.
        y_pred: Scores of any shape.
        thresholds: n numbers in ascending order.
        weights: A number, or weights whose axes are the first ones of the predictions'; axes of length
            1 are repeated.
        even: 1 says that the thresholds are 0, 1/(n - 1), ..., 1, which is faster than a search: a
            score s exceeds ⌈(n - 1) · s⌉ of them. 2 says that the first is below 0.
        soft: Whether a truth from 0 to 1 counts for that share.

    Returns:
        None for a Variable; for a value a list of the new counts.

    Raises:
        ValueError: Shapes do not fit; nothing is updated then.

    Example:
        >>> import lumbre
        >>> counts = lumbre.Variable(lumbre.ops.zeros((2, 2), "float64"))
        >>> lumbre.ops.threshold_counts(counts, [0, 1, 1], [0.2, 0.4, 0.9], [0.5])
        >>> counts.numpy()
        array([[1., 0.],
               [1., 1.]])
    """
    (y_pred,), _ = floating(y_pred)
    operands = [as_tensor(y_true, y_pred.dtype), y_pred, as_tensor(thresholds, y_pred.dtype)]
    if weights is not None:
        operands.append(sample_weights(weights, y_pred))
    cells, made = cells_of([counts])
    kernel("threshold_counts", *operands, inout=cells, even=int(even), soft=bool(soft))
    return results(cells, made)


def _greatest_ref(counts: Any, y_true: Any, y_pred: Any, weights: Any = None) -> list[Any]:
    chosen = (y_pred >= y_pred.max(-1, keepdims=True, initial=-np.inf)) & (np.abs(y_pred) > 1e-9)
    return _counted(counts, y_true, _spread(weights, y_pred), chosen.astype(int))


@op(
    ref=_greatest_ref,
    cases=[
        Case((np.zeros((2, 3, 2)), _BITS, _SHARES)),
        Case((np.zeros((2, 2)), _SHARES, _SHARES, _WEIGHTS)),
        Case((np.zeros((2, 3, 2)), _BITS, np.zeros((40, 3), "float32"))),
        Case((np.zeros((2, 300, 2)), In((90, 300), 0, 2, "int32"), In((90, 300), grad=False))),
        Case((np.zeros((2, 3, 2)), In((0, 3), 0, 2, "int32"), In((0, 3), grad=False))),
    ],
    bad=[
        Bad(
            (np.zeros((2, 3)), np.ones((4, 3), "float32"), np.ones((4, 3), "float32")),
            ValueError,
            r"must be float64 of shape \(2, 2\), or \(2, 3, 2\)",
        ),
        Bad((np.zeros((2, 2)), np.float32(1), np.float32(1)), ValueError, "an axis of classes"),
    ],
    kernels=["greatest_counts"],
)
def greatest_counts(counts: Any, y_true: Any, y_pred: Any, weights: Any = None) -> list[Tensor] | None:
    """Adds each prediction's weight to `counts[truth, (label,) chosen]`: the greatest of a row is chosen.

    All that equal the greatest are chosen, but nothing within 1e-9 of 0.

    Args:
        counts: A float64 Variable of shape (2, 2) or (2, labels, 2), which is updated in place; or a value.
        y_true: Truths from 0 to 1, of the shape of `y_pred`; a fraction counts for that share.
        y_pred: Scores of shape (..., labels).
        weights: As in `threshold_counts`.

    Returns:
        None for a Variable; for a value a list of the new counts.

    Raises:
        ValueError: Shapes do not fit; nothing is updated then.

    Example:
        >>> import lumbre
        >>> counts = lumbre.Variable(lumbre.ops.zeros((2, 2), "float64"))
        >>> lumbre.ops.greatest_counts(counts, [[0, 1], [1, 0]], [[0.2, 0.8], [0.1, 0.9]])
        >>> counts.numpy()
        array([[1., 1.],
               [1., 1.]])
    """
    (y_pred,), _ = floating(y_pred)
    operands = [as_tensor(y_true, y_pred.dtype), y_pred]
    if weights is not None:
        operands.append(sample_weights(weights, y_pred))
    cells, made = cells_of([counts])
    kernel("greatest_counts", *operands, inout=cells)
    return results(cells, made)


# ----------------------------------------------------------------------------------------- pairs of classes


def _confusion_ref(
    counts: Any, y_true: Any, y_pred: Any, weights: Any = None, ignored: int | None = None
) -> list[Any]:
    counts = np.array(counts)
    for t, p, w in zip(y_true.ravel(), y_pred.ravel(), _spread(weights, y_true).ravel(), strict=True):
        t, p = int(t), int(p)
        if 0 <= t < len(counts) and 0 <= p < len(counts) and t != ignored:
            counts[t, p] += w
    return [counts]


_CLASSES = functools.partial(In, low=-1, high=5, grad=False)


@op(
    ref=_confusion_ref,
    cases=[
        Case((np.zeros((4, 4)), _CLASSES((40,), dtype="int32"), _CLASSES((40,), dtype="int32"))),
        Case((np.ones((4, 4)), _CLASSES((40, 3), dtype="int64"), _CLASSES((40, 3), dtype="int32"), _WEIGHTS)),
        Case((np.zeros((4, 4)), _CLASSES((9,)), _CLASSES((9,)), 0.5), {"ignored": 2}),
        Case((np.zeros((4, 4)), _CLASSES((90_000,), dtype="int32"), _CLASSES((90_000,), dtype="int32"))),
        Case((np.zeros((1, 1)), _CLASSES((0,), dtype="uint8"), _CLASSES((0,), dtype="uint8"))),
    ],
    bad=[
        Bad((np.zeros((2, 3)), np.ones(3, "int32"), np.ones(3, "int32")), ValueError, "a square matrix"),
        Bad((np.zeros((2, 2)), np.ones(3, "int32"), np.ones(4, "int32")), ValueError, r"must be int32\(4,\)"),
    ],
    kernels=["confusion_counts"],
)
def confusion_counts(
    counts: Any, y_true: Any, y_pred: Any, weights: Any = None, ignored: int | None = None
) -> list[Tensor] | None:
    """Adds the weight of each pair of classes to `counts[true class, predicted class]`.

    Classes outside of the matrix, and NaN, count nothing; fractions of class numbers are dropped.

    Args:
        counts: A float64 Variable of shape (classes, classes), which is updated in place; or a value.
        y_true: Class indices of any dtype and shape.
        y_pred: The same for the predictions.
        weights: A number, or weights whose axes are the first ones of the classes'.
        ignored: A true class that counts nothing.

    Returns:
        None for a Variable; for a value a list of the new counts.

    Raises:
        ValueError: Shapes do not fit; nothing is updated then.

    Example:
        >>> import lumbre
        >>> counts = lumbre.Variable(lumbre.ops.zeros((2, 2), "float64"))
        >>> lumbre.ops.confusion_counts(counts, [0, 1, 1], [0, 0, 1])
        >>> counts.numpy()
        array([[1., 0.],
               [1., 1.]])
    """
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    if y_true.dtype != y_pred.dtype or y_true.dtype not in ("int32", "int64", "float32", "float64"):
        target = "float64" if {y_true.dtype, y_pred.dtype} & FLOATS else "int64"
        y_true, y_pred = ew.cast(y_true, target), ew.cast(y_pred, target)
    operands = [y_true, y_pred]
    if weights is not None:
        wide = ew.cast(as_tensor(weights, None), "float64")
        extra = (1,) * (y_pred.ndim - wide.ndim)
        operands.append(sh.broadcast_to(sh.reshape(wide, wide.shape + extra), y_pred.shape))
    cells, made = cells_of([counts])
    kernel("confusion_counts", *operands, inout=cells, ignored=-1 if ignored is None else int(ignored))
    return results(cells, made)
