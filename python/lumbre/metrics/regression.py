"""Means of the regression losses, and what derives from them."""

from __future__ import annotations

from typing import Any

from lumbre import losses, ops
from lumbre.autograd import Tensor
from lumbre.losses.loss import pair
from lumbre.metrics.reduction import Mean, MeanMetricWrapper


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """The cosine of the angle between the two along `axis`: 1 is the same direction.

    Example:
        >>> from lumbre.metrics.regression import cosine_similarity
        >>> cosine_similarity([[0.0, 2.0]], [[0.0, 5.0]]).numpy()
        array([1.], dtype=float32)
    """
    return ops.negative(losses.cosine_similarity(y_true, y_pred, axis=axis))


class MeanSquaredError(MeanMetricWrapper):
    """The mean of `(y_true - y_pred)²`.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.MeanSquaredError()([[0.0], [1.0]], [[1.0], [3.0]]).item()
        2.5
    """

    _direction = "down"

    def __init__(self, name: str = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_error, name, dtype)


class RootMeanSquaredError(Mean):
    """The square root of the mean of `(y_true - y_pred)²`.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.RootMeanSquaredError()([[0.0], [0.0]], [[2.0], [2.0]]).item()
        2.0
    """

    _direction = "down"

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Takes in a batch of targets and predictions."""
        y_true, y_pred = pair(self.name, y_true, y_pred)
        super().update_state(ops.square(ops.subtract(y_pred, y_true)), sample_weight=sample_weight)

    def result(self) -> Tensor:
        return ops.sqrt(super().result())


class MeanAbsoluteError(MeanMetricWrapper):
    """The mean of `|y_true - y_pred|`.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.MeanAbsoluteError()([[0.0], [1.0]], [[1.0], [3.0]]).item()
        1.5
    """

    _direction = "down"

    def __init__(self, name: str = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(MeanMetricWrapper):
    """The mean of `|y_true - y_pred|` in percent of the target.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.MeanAbsolutePercentageError()([[2.0], [4.0]], [[1.0], [4.0]]).item()
        25.0
    """

    _direction = "down"

    def __init__(self, name: str = "mean_absolute_percentage_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """The mean of the squared difference of `log(1 + y)`.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.MeanSquaredLogarithmicError()([[3.0]], [[3.0]]).item()
        0.0
    """

    _direction = "down"

    def __init__(self, name: str = "mean_squared_logarithmic_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_logarithmic_error, name, dtype)


class LogCoshError(MeanMetricWrapper):
    """The mean of `log(cosh(y_pred - y_true))`.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.LogCoshError()([[0.0]], [[0.0]]).item()
        0.0
    """

    _direction = "down"

    def __init__(self, name: str = "logcosh", dtype: Any = None) -> None:
        super().__init__(losses.log_cosh, name, dtype)


class CosineSimilarity(MeanMetricWrapper):
    """The mean cosine of the angle between targets and predictions along `axis`.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.CosineSimilarity()([[0.0, 2.0]], [[0.0, 5.0]]).item()
        1.0
    """

    _direction = "up"

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(cosine_similarity, name, dtype, axis=axis)
