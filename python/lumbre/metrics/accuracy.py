"""Accuracies: the share of predictions that are right. Each function gives 1 or 0 per sample."""

from __future__ import annotations

from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor, as_tensor
from lumbre.losses.loss import pair
from lumbre.metrics.reduction import MeanMetricWrapper


def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the prediction equals the target, element by element.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.Accuracy()([1, 2, 3, 4], [0, 2, 3, 4]).item()
        0.75
    """
    y_true, y_pred = pair("accuracy", y_true, y_pred)
    return ops.cast(ops.equal(y_true, y_pred), "float32")


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """1 where `y_pred > threshold` agrees with the target 0 or 1, element by element.

    Raises:
        ValueError: The shapes differ by more than a last axis of length 1.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.binary_accuracy([[1], [0]], [[0.9], [0.5]]).numpy()
        array([[1.],
               [1.]], dtype=float32)
    """
    y_true, y_pred = pair("binary_accuracy", y_true, y_pred)
    return ops.binary_accuracy(y_true, y_pred, threshold)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the greatest prediction and the greatest target are of the same class (the last axis).

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.categorical_accuracy([[0, 1], [0, 1]], [[0.1, 0.9], [0.6, 0.4]]).numpy()
        array([1., 0.], dtype=float32)
    """
    y_true, y_pred = pair("categorical_accuracy", y_true, y_pred)
    return ops.categorical_accuracy(y_true, y_pred)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the class of the greatest prediction is the target's class index.

    Args:
        y_true: Class indices, of the shape of `y_pred` without its last axis (or with 1 there).
        y_pred: Scores of the classes along the last axis.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.sparse_categorical_accuracy([1, 1], [[0.1, 0.9], [0.6, 0.4]]).numpy()
        array([1., 0.], dtype=float32)
    """
    y_true, y_pred = _indices("sparse_categorical_accuracy", y_true, y_pred)
    return ops.sparse_categorical_accuracy(y_true, y_pred)


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where the class of the greatest target is among the `k` greatest predictions.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.top_k_categorical_accuracy([[0, 0, 1]], [[0.5, 0.1, 0.4]], k=2).numpy()
        array([1.], dtype=float32)
    """
    y_true, y_pred = pair("top_k_categorical_accuracy", y_true, y_pred)
    return _in_top_k(ops.argmax(y_true, axis=-1), y_pred, k)


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """1 where the target's class index is among those of the `k` greatest predictions.

    With `from_sorted_ids`, `y_pred` holds class indices, the best first, instead of scores.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.sparse_top_k_categorical_accuracy([2], [[0.5, 0.1, 0.4]], k=2).numpy()
        array([1.], dtype=float32)
    """
    y_true, y_pred = _indices("sparse_top_k_categorical_accuracy", y_true, y_pred)
    if not from_sorted_ids:
        return _in_top_k(y_true, y_pred, k)
    same = ops.equal(ops.expand_dims(y_true, -1), ops.cast(y_pred[..., :k], y_true.dtype))
    return ops.cast(ops.any(same, axis=-1), "float32")


def _indices(name: str, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Targets as integers, without the last axis of length 1 that they may have."""
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1:] == (1,):
        y_true = ops.squeeze(y_true, -1)
    if y_true.shape != y_pred.shape[:-1]:
        raise ValueError(
            f"{name}: `y_true` must have the shape of `y_pred` up until the last dimension. "
            f"Received: y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}"
        )
    return (y_true if y_true.dtype in ("int32", "int64") else ops.cast(y_true, "int64")), y_pred


def _in_top_k(target: Tensor, scores: Tensor, k: int) -> Tensor:
    return ops.cast(ops.in_top_k(target, scores, k), "float32")


class Accuracy(MeanMetricWrapper):
    """How often predictions equal targets.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.Accuracy()([1, 2, 3, 4], [0, 2, 3, 4]).item()
        0.75
    """

    _direction = "up"

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """How often `y_pred > threshold` agrees with targets 0 and 1.

    Raises:
        ValueError: The threshold is not between 0 and 1.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.BinaryAccuracy()([[1], [0], [1], [1]], [[0.9], [0.4], [0.6], [0.2]]).item()
        0.75
    """

    _direction = "up"

    def __init__(self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        if threshold is None or not 0.0 <= threshold <= 1.0:
            raise ValueError(
                "Invalid value for argument `threshold`. Expected a value in interval [0, 1]. "
                f"Received: threshold={threshold}"
            )
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(MeanMetricWrapper):
    """How often the greatest prediction is of the one-hot target's class.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.CategoricalAccuracy()
        >>> metric([[0, 1], [0, 1]], [[0.1, 0.9], [0.6, 0.4]]).item()
        0.5
    """

    _direction = "up"

    def __init__(self, name: str = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the greatest prediction is of the target's class index.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.SparseCategoricalAccuracy()([1, 1], [[0.1, 0.9], [0.6, 0.4]]).item()
        0.5
    """

    _direction = "up"

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the one-hot target's class is among the `k` greatest predictions.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.TopKCategoricalAccuracy(k=2)([[0, 0, 1]], [[0.5, 0.1, 0.4]]).item()
        1.0
    """

    _direction = "up"

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the target's class index is among those of the `k` greatest predictions.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.SparseTopKCategoricalAccuracy(k=2)([2], [[0.5, 0.1, 0.4]]).item()
        1.0
    """

    _direction = "up"

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids)
