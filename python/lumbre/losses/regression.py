"""Losses that measure a distance: squared, absolute, relative, logarithmic, by angle."""

from __future__ import annotations

import math
from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.config import epsilon
from lumbre.losses.loss import LossFunctionWrapper, pair

_MEAN = "sum_over_batch_size"


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """`mean((y_true - y_pred)², axis=-1)`.

    Example:
        >>> import lumbre
        >>> lumbre.losses.mean_squared_error([[0.0, 1.0]], [[1.0, 3.0]]).numpy()
        array([2.5], dtype=float32)
    """
    y_true, y_pred = pair("mean_squared_error", y_true, y_pred)
    return ops.mean(ops.square(ops.subtract(y_true, y_pred)), axis=-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """`mean(|y_true - y_pred|, axis=-1)`.

    Example:
        >>> import lumbre
        >>> lumbre.losses.mean_absolute_error([[0.0, 1.0]], [[1.0, 3.0]]).numpy()
        array([1.5], dtype=float32)
    """
    y_true, y_pred = pair("mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.abs(ops.subtract(y_true, y_pred)), axis=-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """`100 · mean(|y_true - y_pred| / max(|y_true|, 1e-7), axis=-1)`.

    Example:
        >>> import lumbre
        >>> lumbre.losses.mean_absolute_percentage_error([[2.0, 4.0]], [[1.0, 4.0]]).numpy()
        array([25.], dtype=float32)
    """
    y_true, y_pred = pair("mean_absolute_percentage_error", y_true, y_pred)
    share = ops.divide(ops.subtract(y_true, y_pred), ops.maximum(ops.abs(y_true), epsilon()))
    return ops.multiply(ops.mean(ops.abs(share), axis=-1), 100.0)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """`mean((log(1 + y_true) - log(1 + y_pred))², axis=-1)`, with both not below 1e-7.

    Example:
        >>> import lumbre
        >>> lumbre.losses.mean_squared_logarithmic_error([[3.0]], [[3.0]]).numpy()
        array([0.], dtype=float32)
    """
    y_true, y_pred = pair("mean_squared_logarithmic_error", y_true, y_pred)
    logs = [ops.log1p(ops.maximum(y, epsilon())) for y in (y_true, y_pred)]
    return ops.mean(ops.square(ops.subtract(*logs)), axis=-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """The mean over the last axis of `e²/2` where |e| ≤ delta, else `delta · |e| - delta²/2`.

    e is `y_pred - y_true`. Source: Huber 1964, Robust Estimation of a Location Parameter.

    Example:
        >>> import lumbre
        >>> lumbre.losses.huber([[0.0, 0.0]], [[1.0, 3.0]]).numpy()
        array([1.5], dtype=float32)
    """
    y_true, y_pred = pair("huber", y_true, y_pred)
    size = ops.abs(ops.subtract(y_pred, y_true))
    square = ops.multiply(ops.square(size), 0.5)
    line = ops.subtract(ops.multiply(size, delta), 0.5 * delta * delta)
    return ops.mean(ops.where(ops.less_equal(size, delta), square, line), axis=-1)


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """`mean(log(cosh(y_pred - y_true)), axis=-1)`: about e²/2 near 0 and |e| - log 2 far off.

    Example:
        >>> import lumbre
        >>> lumbre.losses.log_cosh([[0.0]], [[0.0]]).numpy()
        array([0.], dtype=float32)
    """
    y_true, y_pred = pair("log_cosh", y_true, y_pred)
    e = ops.subtract(y_pred, y_true)
    # log((exp(e) + exp(-e)) / 2), without the overflow of either.
    value = ops.subtract(ops.add(e, ops.softplus(ops.multiply(e, -2.0))), math.log(2.0))
    return ops.mean(value, axis=-1)


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """`mean(y_pred - y_true · log(y_pred + 1e-7), axis=-1)`: of counts with predicted rates.

    Example:
        >>> import lumbre
        >>> lumbre.losses.poisson([[0.0, 2.0]], [[1.0, 1.0]]).numpy().round(4)
        array([1.], dtype=float32)
    """
    y_true, y_pred = pair("poisson", y_true, y_pred)
    log_rate = ops.log(ops.add(y_pred, epsilon()))
    return ops.mean(ops.subtract(y_pred, ops.multiply(y_true, log_rate)), axis=-1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Minus the cosine of the angle between the two, along `axis`: -1 is the same direction.

    Example:
        >>> import lumbre
        >>> lumbre.losses.cosine_similarity([[0.0, 2.0]], [[0.0, 5.0]]).numpy()
        array([-1.], dtype=float32)
    """
    y_true, y_pred = pair("cosine_similarity", y_true, y_pred)
    product = ops.multiply(unit_vectors(y_true, axis), unit_vectors(y_pred, axis))
    return ops.negative(ops.sum(product, axis=axis))


def unit_vectors(x: Tensor, axis: int) -> Tensor:
    """The tensor divided by its Euclidean norm along `axis`; vectors near zero stay near it."""
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return ops.divide(x, ops.sqrt(ops.maximum(squares, 1e-12)))


class MeanSquaredError(LossFunctionWrapper):
    """The mean of squared differences, `mean((y_true - y_pred)²)`.

    Example:
        >>> import lumbre
        >>> lumbre.losses.MeanSquaredError()([[0.0], [1.0]], [[1.0], [3.0]]).item()
        2.5
    """

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "mean_squared_error", dtype: Any = None
    ) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(LossFunctionWrapper):
    """The mean of absolute differences, `mean(|y_true - y_pred|)`.

    Example:
        >>> import lumbre
        >>> lumbre.losses.MeanAbsoluteError()([[0.0], [1.0]], [[1.0], [3.0]]).item()
        1.5
    """

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "mean_absolute_error", dtype: Any = None
    ) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(LossFunctionWrapper):
    """The mean of absolute differences in percent of the target.

    Example:
        >>> import lumbre
        >>> lumbre.losses.MeanAbsolutePercentageError()([[2.0], [4.0]], [[1.0], [4.0]]).item()
        25.0
    """

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "mean_absolute_percentage_error", dtype: Any = None
    ) -> None:
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """The mean of squared differences of `log(1 + y)`: for targets that span magnitudes.

    Example:
        >>> import lumbre
        >>> lumbre.losses.MeanSquaredLogarithmicError()([[3.0]], [[3.0]]).item()
        0.0
    """

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "mean_squared_logarithmic_error", dtype: Any = None
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


class Huber(LossFunctionWrapper):
    """Squared near the target, a straight line beyond `delta`: outliers pull less. See `huber`.

    Example:
        >>> import lumbre
        >>> lumbre.losses.Huber()([[0.0], [0.0]], [[1.0], [3.0]]).item()
        1.5
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = _MEAN,
        name: str = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(huber, reduction, name, dtype, delta=delta)


class LogCosh(LossFunctionWrapper):
    """The logarithm of the hyperbolic cosine of the difference: a smooth Huber loss.

    Example:
        >>> import lumbre
        >>> round(lumbre.losses.LogCosh()([[0.0]], [[1.0]]).item(), 4)
        0.4338
    """

    def __init__(self, reduction: str | None = _MEAN, name: str = "log_cosh", dtype: Any = None) -> None:
        super().__init__(log_cosh, reduction, name, dtype)


class Poisson(LossFunctionWrapper):
    """The negative log-likelihood of counts under predicted rates, up to a constant.

    Example:
        >>> import lumbre
        >>> round(lumbre.losses.Poisson()([[2.0]], [[1.0]]).item(), 4)
        1.0
    """

    def __init__(self, reduction: str | None = _MEAN, name: str = "poisson", dtype: Any = None) -> None:
        super().__init__(poisson, reduction, name, dtype)


class CosineSimilarity(LossFunctionWrapper):
    """Minus the cosine of the angle between target and prediction along `axis`.

    Example:
        >>> import lumbre
        >>> lumbre.losses.CosineSimilarity()([[0.0, 2.0]], [[0.0, 5.0]]).item()
        -1.0
    """

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)
