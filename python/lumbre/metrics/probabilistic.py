"""Means of the losses of predicted probabilities."""

from __future__ import annotations

from typing import Any

from lumbre import losses
from lumbre.metrics.reduction import MeanMetricWrapper


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of yes-or-no targets.

    Example:
        >>> import lumbre
        >>> round(lumbre.metrics.BinaryCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]).item(), 4)
        0.6931
    """

    _direction = "down"

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        options: dict[str, Any] = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(losses.binary_crossentropy, name, dtype, **options)


class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of one-hot targets.

    Example:
        >>> import lumbre
        >>> round(lumbre.metrics.CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]).item(), 4)
        0.6931
    """

    _direction = "down"

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        options: dict[str, Any] = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(losses.categorical_crossentropy, name, dtype, axis=axis, **options)


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of targets that are class indices.

    Example:
        >>> import lumbre
        >>> round(lumbre.metrics.SparseCategoricalCrossentropy()([1], [[0.5, 0.5]]).item(), 4)
        0.6931
    """

    _direction = "down"

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        options: dict[str, Any] = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(losses.sparse_categorical_crossentropy, name, dtype, **options)


class KLDivergence(MeanMetricWrapper):
    """The mean Kullback-Leibler divergence of predicted from target distributions.

    Example:
        >>> import lumbre
        >>> round(lumbre.metrics.KLDivergence()([[0.0, 1.0]], [[0.5, 0.5]]).item(), 4)
        0.6931
    """

    _direction = "down"

    def __init__(self, name: str = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(losses.kl_divergence, name, dtype)


class Poisson(MeanMetricWrapper):
    """The mean of `y_pred - y_true · log(y_pred)`.

    Example:
        >>> import lumbre
        >>> round(lumbre.metrics.Poisson()([[2.0]], [[1.0]]).item(), 4)
        1.0
    """

    _direction = "down"

    def __init__(self, name: str = "poisson", dtype: Any = None) -> None:
        super().__init__(losses.poisson, name, dtype)
