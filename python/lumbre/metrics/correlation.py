"""How targets and predictions vary together."""

from __future__ import annotations

from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.config import epsilon
from lumbre.losses.loss import pair
from lumbre.metrics.reduction import MeanMetricWrapper


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """The covariance of the two along `axis` over the product of their standard deviations.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.pearson_correlation([[0.0, 1.0, 2.0]], [[1.0, 3.0, 5.0]]).numpy().round(4)
        array([1.], dtype=float32)
    """
    y_true, y_pred = pair("pearson_correlation", y_true, y_pred)
    product = ops.multiply(_standardized(y_true, axis), _standardized(y_pred, axis))
    return ops.mean(product, axis=axis)


def _standardized(x: Tensor, axis: int) -> Tensor:
    centred = ops.subtract(x, ops.mean(x, axis=axis, keepdims=True))
    return ops.divide(centred, ops.std(centred, axis=axis, keepdims=True))


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """`2 · cov / (var(y_true) + var(y_pred) + (mean(y_true) - mean(y_pred))²)` along `axis`.

    1 where they agree; unlike a correlation it is less where one is a multiple of the other, or moved.
    Source: Lin 1989, A Concordance Correlation Coefficient to Evaluate Reproducibility.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.concordance_correlation([[0.0, 1.0, 2.0]], [[1.0, 3.0, 5.0]]).numpy().round(4)
        array([0.3636], dtype=float32)
    """
    y_true, y_pred = pair("concordance_correlation", y_true, y_pred)
    true_mean = ops.mean(y_true, axis=axis, keepdims=True)
    pred_mean = ops.mean(y_pred, axis=axis, keepdims=True)
    true_off, pred_off = ops.subtract(y_true, true_mean), ops.subtract(y_pred, pred_mean)
    variances = ops.add(
        ops.var(true_off, axis=axis, keepdims=True), ops.var(pred_off, axis=axis, keepdims=True)
    )
    norm = ops.add(ops.add(variances, ops.square(ops.subtract(true_mean, pred_mean))), epsilon())
    return ops.mean(ops.divide(ops.multiply(ops.multiply(true_off, pred_off), 2.0), norm), axis=axis)


class PearsonCorrelation(MeanMetricWrapper):
    """The mean of the Pearson correlation of targets and predictions along `axis`.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.PearsonCorrelation()
        >>> round(metric([[0.0, 1.0, 0.5], [1.0, 1.0, 0.2]], [[0.1, 0.9, 0.5], [1.0, 0.9, 0.2]]).item(), 4)
        0.9967
    """

    _direction = "up"

    def __init__(self, name: str = "pearson_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(MeanMetricWrapper):
    """The mean of the concordance correlation of targets and predictions along `axis`.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.ConcordanceCorrelation()
        >>> round(metric([[0.0, 1.0, 0.5], [1.0, 1.0, 0.2]], [[0.1, 0.9, 0.5], [1.0, 0.9, 0.2]]).item(), 4)
        0.9816
    """

    _direction = "up"

    def __init__(self, name: str = "concordance_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)
