"""Losses of predicted probabilities: the cross-entropies and the Kullback-Leibler divergence.

A prediction may be probabilities or logits (`from_logits=True`). Probabilities that are the output of
a softmax or sigmoid remember their logits, and the loss is computed from those: exactly, with a
gradient proportional to the error however wrong the prediction is.
"""

from __future__ import annotations

import warnings
from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor, as_tensor
from lumbre.config import epsilon
from lumbre.losses.loss import LossFunctionWrapper, pair, squeeze_or_expand_to_same_rank

_MEAN = "sum_over_batch_size"


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """`-Σ y_true · log(y_pred)` over the classes, for one-hot targets or target distributions.

    Args:
        y_true: The targets, of the shape of `y_pred`.
        y_pred: Probabilities (divided by their sum and clipped to [1e-7, 1 - 1e-7]) or logits.
        from_logits: Whether `y_pred` are logits.
        label_smoothing: s in [0, 1]: the target becomes `(1 - s) · y_true + s / classes`.
        axis: The axis of the classes.

    Raises:
        ValueError: The shapes differ, or `axis` is no integer.

    Example:
        >>> import lumbre
        >>> lumbre.losses.categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).numpy().round(4)
        array([0.6931], dtype=float32)
    """
    _check_axis(axis)
    y_pred = as_tensor(y_pred)
    y_true = as_tensor(y_true, y_pred.dtype)
    _warn_of_one_class("categorical_crossentropy", y_pred)
    if label_smoothing:
        share = label_smoothing / y_pred.shape[axis]
        y_true = ops.add(ops.multiply(y_true, 1.0 - label_smoothing), share)
    return ops.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """`-log(y_pred[y_true])`: the cross-entropy of targets that are class indices.

    Args:
        y_true: Class indices, of the shape of `y_pred` without the axis of the classes (or with
            length 1 there).
        y_pred: Probabilities (divided by their sum and clipped to [1e-7, 1 - 1e-7]) or logits.
        from_logits: Whether `y_pred` are logits.
        ignore_class: An index whose samples count nothing: their loss is 0, and a mean leaves them out.
        axis: The axis of the classes.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import lumbre
        >>> lumbre.losses.sparse_categorical_crossentropy([1], [[0.5, 0.5]]).numpy().round(4)
        array([0.6931], dtype=float32)
    """
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    if 0 < y_true.ndim == y_pred.ndim and y_true.shape[axis] == 1:
        y_true = ops.squeeze(y_true, axis)
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)
    valid = ops.not_equal(y_true, ignore_class)
    y_true = ops.where(valid, y_true, ops.zeros_like(y_true))
    values = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)
    values = ops.where(valid, values, ops.zeros_like(values))
    values._mask = valid
    return values


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """The mean over `axis` of `-y_true · log(y_pred) - (1 - y_true) · log(1 - y_pred)`.

    Args:
        y_true: Targets from 0 to 1, of the shape of `y_pred`.
        y_pred: Probabilities (clipped to [1e-7, 1 - 1e-7]) or logits.
        from_logits: Whether `y_pred` are logits.
        label_smoothing: s in [0, 1]: the target becomes `(1 - s) · y_true + s / 2`.
        axis: The axis of the mean.

    Raises:
        ValueError: The shapes differ by more than a last axis of length 1.

    Example:
        >>> import lumbre
        >>> lumbre.losses.binary_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).numpy().round(4)
        array([0.6931], dtype=float32)
    """
    y_pred = as_tensor(y_pred)
    y_true = as_tensor(y_true, y_pred.dtype)
    y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
    if label_smoothing:
        y_true = ops.add(ops.multiply(y_true, 1.0 - label_smoothing), 0.5 * label_smoothing)
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits), axis=axis)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """The binary cross-entropy times `(1 - p)^gamma`, p being the probability given to the target.

    Easy samples count less; with `apply_class_balancing`, targets 1 are weighted by `alpha` and
    targets 0 by `1 - alpha`. Source: Lin et al. 2017, Focal Loss for Dense Object Detection.

    Example:
        >>> import lumbre
        >>> lumbre.losses.binary_focal_crossentropy([[1.0]], [[0.5]]).numpy().round(4)
        array([0.1733], dtype=float32)
    """
    y_true, y_pred = pair("binary_focal_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = ops.add(ops.multiply(y_true, 1.0 - label_smoothing), 0.5 * label_smoothing)
    if from_logits:
        y_pred = ops.sigmoid(y_pred)
    negative = ops.subtract(1.0, y_true)
    p = ops.add(ops.multiply(y_true, y_pred), ops.multiply(negative, ops.subtract(1.0, y_pred)))
    values = ops.multiply(ops.power(ops.subtract(1.0, p), gamma), ops.binary_crossentropy(y_true, y_pred))
    if apply_class_balancing:
        weight = ops.add(ops.multiply(y_true, alpha), ops.multiply(negative, 1.0 - alpha))
        values = ops.multiply(values, weight)
    return ops.mean(values, axis=axis)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """`-Σ alpha · (1 - y_pred)^gamma · y_true · log(y_pred)` over the classes.

    Source: Lin et al. 2017, Focal Loss for Dense Object Detection.

    Example:
        >>> import lumbre
        >>> lumbre.losses.categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).numpy().round(4)
        array([0.0433], dtype=float32)
    """
    _check_axis(axis)
    y_true, y_pred = pair("categorical_focal_crossentropy", y_true, y_pred)
    _warn_of_one_class("categorical_focal_crossentropy", y_pred)
    if label_smoothing:
        share = label_smoothing / y_pred.shape[axis]
        y_true = ops.add(ops.multiply(y_true, 1.0 - label_smoothing), share)
    p = ops.softmax(y_pred, axis=axis) if from_logits else y_pred
    p = ops.divide(p, ops.sum(p, axis=axis, keepdims=True))
    p = ops.clip(p, epsilon(), 1.0 - epsilon())
    values = ops.multiply(ops.negative(y_true), ops.log(p))
    factor = ops.multiply(ops.power(ops.subtract(1.0, p), gamma), alpha)
    return ops.sum(ops.multiply(factor, values), axis=axis)


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float = 0.5) -> Tensor:
    """`(1 - p^q) / q`, p being the probability given to the target class: wrong labels pull less.

    q near 0 is the cross-entropy, q = 1 the absolute error. Source: Zhang and Sabuncu 2018, Generalized
    Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels.

    Args:
        y_true: Class indices, of the shape of `y_pred` without its last axis (or with 1 there).
        y_pred: Probabilities of the classes along the last axis.
        q: A number between 0 and 1.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import lumbre
        >>> loss = lumbre.losses.categorical_generalized_cross_entropy
        >>> loss([1], [[0.75, 0.25]], q=0.5).numpy()
        array([1.], dtype=float32)
    """
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1:] == (1,):
        y_true = ops.squeeze(y_true, -1)
    if y_true.shape != y_pred.shape[:-1]:
        raise ValueError(
            "categorical_generalized_cross_entropy: `y_true` must hold class indices, of the shape of "
            f"`y_pred` up until the last dimension. Received: y_true.shape={y_true.shape}, "
            f"y_pred.shape={y_pred.shape}"
        )
    target = ops.one_hot(ops.cast(y_true, "int64"), y_pred.shape[-1], dtype=y_pred.dtype)
    p = ops.sum(ops.multiply(y_pred, target), axis=-1)
    return ops.divide(ops.subtract(1.0, ops.power(p, q)), q)


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """`Σ y_true · log(y_true / y_pred)` over the last axis, both clipped to [1e-7, 1].

    Source: Kullback and Leibler 1951, On Information and Sufficiency.

    Example:
        >>> import lumbre
        >>> lumbre.losses.kl_divergence([[0.0, 1.0]], [[0.5, 0.5]]).numpy().round(4)
        array([0.6931], dtype=float32)
    """
    y_true, y_pred = pair("kl_divergence", y_true, y_pred)
    y_true = ops.clip(y_true, epsilon(), 1.0)
    y_pred = ops.clip(y_pred, epsilon(), 1.0)
    return ops.sum(ops.multiply(y_true, ops.log(ops.divide(y_true, y_pred))), axis=-1)


def _warn_of_one_class(name: str, y_pred: Tensor) -> None:
    if y_pred.shape[-1:] == (1,):
        warnings.warn(
            f"In loss {name}, expected y_pred.shape to be (batch_size, num_classes) "
            f"with num_classes > 1. Received: y_pred.shape={y_pred.shape}. "
            "Consider using 'binary_crossentropy' if you only have 2 classes.",
            SyntaxWarning,
            stacklevel=3,
        )


def _check_axis(axis: Any) -> None:
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise ValueError(f"`axis` must be of type `int`. Received: axis={axis} of type {type(axis)}")


class CategoricalCrossentropy(LossFunctionWrapper):
    """The cross-entropy of one-hot targets. See `categorical_crossentropy`.

    Example:
        >>> import lumbre
        >>> loss = lumbre.losses.CategoricalCrossentropy()
        >>> round(loss([[0.0, 1.0], [1.0, 0.0]], [[0.5, 0.5], [0.5, 0.5]]).item(), 4)
        0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        options: dict[str, Any] = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(categorical_crossentropy, reduction, name, dtype, axis=axis, **options)


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """The cross-entropy of class indices. See `sparse_categorical_crossentropy`.

    Example:
        >>> import lumbre
        >>> loss = lumbre.losses.SparseCategoricalCrossentropy()
        >>> round(loss([1, 0], [[0.5, 0.5], [0.5, 0.5]]).item(), 4)
        0.6931
    """

    converts_targets = False

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = _MEAN,
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        options: dict[str, Any] = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(sparse_categorical_crossentropy, reduction, name, dtype, **options)


class BinaryCrossentropy(LossFunctionWrapper):
    """The cross-entropy of yes-or-no targets. See `binary_crossentropy`.

    Example:
        >>> import lumbre
        >>> loss = lumbre.losses.BinaryCrossentropy(from_logits=True)
        >>> round(loss([[1.0], [0.0]], [[0.0], [0.0]]).item(), 4)
        0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        options: dict[str, Any] = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(binary_crossentropy, reduction, name, dtype, axis=axis, **options)


class BinaryFocalCrossentropy(LossFunctionWrapper):
    """The focal loss of yes-or-no targets. See `binary_focal_crossentropy`.

    Example:
        >>> import lumbre
        >>> round(lumbre.losses.BinaryFocalCrossentropy()([[1.0]], [[0.5]]).item(), 4)
        0.1733
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        options: dict[str, Any] = {"apply_class_balancing": apply_class_balancing, "alpha": alpha}
        options |= {"gamma": gamma, "from_logits": from_logits}
        options |= {"label_smoothing": label_smoothing, "axis": axis}
        super().__init__(binary_focal_crossentropy, reduction, name, dtype, **options)


class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """The focal loss of one-hot targets. See `categorical_focal_crossentropy`.

    Example:
        >>> import lumbre
        >>> loss = lumbre.losses.CategoricalFocalCrossentropy()
        >>> round(loss([[0.0, 1.0]], [[0.5, 0.5]]).item(), 4)
        0.0433
    """

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        options: dict[str, Any] = {"alpha": alpha, "gamma": gamma, "from_logits": from_logits}
        options |= {"label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_focal_crossentropy, reduction, name, dtype, **options)


class CategoricalGeneralizedCrossEntropy(LossFunctionWrapper):
    """A cross-entropy for noisy class indices. See `categorical_generalized_cross_entropy`.

    Raises:
        ValueError: q is not between 0 and 1.

    Example:
        >>> import lumbre
        >>> loss = lumbre.losses.CategoricalGeneralizedCrossEntropy(q=0.5)
        >>> loss([1, 0], [[0.75, 0.25], [1.0, 0.0]]).item()
        0.5
    """

    converts_targets = False

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = _MEAN,
        name: str = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        if not 0 < q < 1:
            raise ValueError(f"q must be in the interval (0, 1). Received: q={q}")
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)


class KLDivergence(LossFunctionWrapper):
    """The Kullback-Leibler divergence of predicted from target distributions. See `kl_divergence`.

    Example:
        >>> import lumbre
        >>> round(lumbre.losses.KLDivergence()([[0.0, 1.0]], [[0.5, 0.5]]).item(), 4)
        0.6931
    """

    def __init__(self, reduction: str | None = _MEAN, name: str = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(kl_divergence, reduction, name, dtype)
