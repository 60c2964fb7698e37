"""Losses of overlap between areas: of images whose pixels are classified, most of them as background."""

from __future__ import annotations

from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.config import epsilon
from lumbre.losses.loss import LossFunctionWrapper, pair

_MEAN = "sum_over_batch_size"


def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Tensor:
    """`1 - 2 Σ y_true · y_pred / (Σ y_true + Σ y_pred)`, sums over `axis` (all axes by default).

    Source: Milletari et al. 2016, V-Net: Fully Convolutional Neural Networks for Volumetric Medical
    Image Segmentation.

    Args:
        y_true: Targets, usually 0 and 1.
        y_pred: Scores from 0 to 1, of the same shape.
        axis: An axis or several, over which areas are summed.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> import lumbre
        >>> round(lumbre.losses.dice([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]).item(), 4)
        0.3333
    """
    y_true, y_pred = pair("dice", y_true, y_pred)
    overlap = ops.sum(ops.multiply(y_true, y_pred), axis=axis)
    areas = ops.add(ops.sum(y_true, axis=axis), ops.sum(y_pred, axis=axis))
    return ops.subtract(1.0, ops.divide(ops.multiply(overlap, 2.0), ops.add(areas, epsilon())))


def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None) -> Tensor:
    """`1 - o / (o + alpha · missed + beta · wrong)`, with o the overlap `Σ y_true · y_pred`.

    Missed is `Σ (1 - y_pred) · y_true`, wrong `Σ y_pred · (1 - y_true)`; both weights 0.5 give `dice`.
    Source: Salehi et al. 2017, Tversky Loss Function for Image Segmentation Using 3D Fully Convolutional
    Deep Networks.

    Args:
        y_true: Targets, usually 0 and 1.
        y_pred: Scores from 0 to 1, of the same shape.
        alpha: The weight of what is missed.
        beta: The weight of what is wrongly predicted.
        axis: An axis or several, over which areas are summed; all by default.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> import lumbre
        >>> lumbre.losses.tversky([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]], alpha=1.0).numpy()
        array(0.5, dtype=float32)
    """
    y_true, y_pred = pair("tversky", y_true, y_pred)
    overlap = ops.sum(ops.multiply(y_true, y_pred), axis=axis)
    missed = ops.sum(ops.multiply(ops.subtract(1.0, y_pred), y_true), axis=axis)
    wrong = ops.sum(ops.multiply(y_pred, ops.subtract(1.0, y_true)), axis=axis)
    errors = ops.add(ops.multiply(missed, alpha), ops.multiply(wrong, beta))
    whole = ops.add(ops.add(overlap, errors), epsilon())
    return ops.subtract(1.0, ops.divide(overlap, whole))


class Dice(LossFunctionWrapper):
    """One less the overlap of target and predicted areas. See `dice`.

    Example:
        >>> import lumbre
        >>> round(lumbre.losses.Dice()([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]).item(), 4)
        0.3333
    """

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "dice", axis: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(dice, reduction, name, dtype, axis=axis)


class Tversky(LossFunctionWrapper):
    """One less the overlap, with weights of their own for missed and wrong areas. See `tversky`.

    Example:
        >>> import lumbre
        >>> lumbre.losses.Tversky(alpha=1.0)([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]).item()
        0.5
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = _MEAN,
        name: str = "tversky",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)
