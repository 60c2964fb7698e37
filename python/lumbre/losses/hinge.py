"""Losses of a margin between classes."""

from __future__ import annotations

from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.losses.loss import LossFunctionWrapper, pair

_MEAN = "sum_over_batch_size"


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """`mean(max(1 - y_true · y_pred, 0), axis=-1)` with targets -1 and 1; 0 and 1 become these.

    Source: Cortes and Vapnik 1995, Support-Vector Networks.

    Example:
        >>> import lumbre
        >>> lumbre.losses.hinge([[0.0, 1.0]], [[0.5, 0.5]]).numpy()
        array([1.], dtype=float32)
    """
    y_true, y_pred = pair("hinge", y_true, y_pred)
    return ops.mean(_shortfall(y_true, y_pred), axis=-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """`mean(max(1 - y_true · y_pred, 0)², axis=-1)` with targets -1 and 1; 0 and 1 become these.

    Example:
        >>> import lumbre
        >>> lumbre.losses.squared_hinge([[0.0, 1.0]], [[0.5, 0.5]]).numpy()
        array([1.25], dtype=float32)
    """
    y_true, y_pred = pair("squared_hinge", y_true, y_pred)
    return ops.mean(ops.square(_shortfall(y_true, y_pred)), axis=-1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """`max(1 + max of the other classes' scores - the right class's score, 0)`, for one-hot targets.

    Example:
        >>> import lumbre
        >>> lumbre.losses.categorical_hinge([[0.0, 1.0]], [[0.5, 0.75]]).numpy()
        array([0.75], dtype=float32)
    """
    y_true, y_pred = pair("categorical_hinge", y_true, y_pred)
    right = ops.sum(ops.multiply(y_true, y_pred), axis=-1)
    other = ops.max(ops.multiply(ops.subtract(1.0, y_true), y_pred), axis=-1)
    return ops.relu(ops.add(ops.subtract(other, right), 1.0))


def _shortfall(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """By how much each prediction stays below the margin 1 on its side."""
    binary = ops.all(ops.logical_or(ops.equal(y_true, 0.0), ops.equal(y_true, 1.0)))
    signs = ops.where(binary, ops.subtract(ops.multiply(y_true, 2.0), 1.0), y_true)
    return ops.relu(ops.subtract(1.0, ops.multiply(signs, y_pred)))


class Hinge(LossFunctionWrapper):
    """The hinge loss of targets -1 and 1 (or 0 and 1). See `hinge`.

    Example:
        >>> import lumbre
        >>> lumbre.losses.Hinge()([[0.0, 1.0]], [[0.5, 0.5]]).item()
        1.0
    """

    def __init__(self, reduction: str | None = _MEAN, name: str = "hinge", dtype: Any = None) -> None:
        super().__init__(hinge, reduction, name, dtype)


class SquaredHinge(LossFunctionWrapper):
    """The squared hinge loss of targets -1 and 1 (or 0 and 1). See `squared_hinge`.

    Example:
        >>> import lumbre
        >>> lumbre.losses.SquaredHinge()([[0.0, 1.0]], [[0.5, 0.5]]).item()
        1.25
    """

    def __init__(self, reduction: str | None = _MEAN, name: str = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(squared_hinge, reduction, name, dtype)


class CategoricalHinge(LossFunctionWrapper):
    """The hinge loss of one-hot targets. See `categorical_hinge`.

    Example:
        >>> import lumbre
        >>> lumbre.losses.CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.75]]).item()
        0.75
    """

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "categorical_hinge", dtype: Any = None
    ) -> None:
        super().__init__(categorical_hinge, reduction, name, dtype)
