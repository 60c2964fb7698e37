"""Metrics made of confusion matrices: the four counts, precision and recall.

What a batch adds is counted in one pass by `ops.threshold_counts`. The state is one float64 Variable,
`counts[truth, (label,) thresholds that a prediction exceeds]`; true and false positives and negatives
at all thresholds are cumulative sums of it, taken when a result is read.

A mask on `y_pred` leaves nothing out here, as in Keras: give `sample_weight`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbre import ops
from lumbre.autograd import Tensor, as_tensor
from lumbre.config import epsilon
from lumbre.losses.loss import pair
from lumbre.metrics.metric import Metric

NEG_INF = -1e10
"""What predictions outside of the `top_k` count as: below every threshold."""


class ThresholdMetric(Metric):
    """Base of what counts predictions above thresholds.

    Args:
        thresholds: Numbers, in any order.
        name: Its name in logs.
        dtype: The dtype of the result.
        build: Whether the state is made now; otherwise `build_counts` makes it.
    """

    def __init__(self, thresholds: Sequence[float], name: str | None, dtype: Any, build: bool = True) -> None:
        super().__init__(name=name, dtype=dtype)
        self.thresholds = list(thresholds)
        order = np.argsort(np.asarray(self.thresholds), kind="stable")
        self._even = evenness(self.thresholds)
        self._sorted = as_tensor(np.asarray(self.thresholds, "float64")[order], self.dtype)
        # The places of the user's thresholds among the sorted ones; None if they are sorted.
        self._places = None if (np.diff(order) > 0).all() else as_tensor(np.argsort(order))
        self.counts: Any = None
        if build:
            self.build_counts()

    def build_counts(self, labels: int | None = None) -> None:
        """Makes the state, for each of `labels` by itself if that is given."""
        buckets = len(self.thresholds) + 1
        shape = (2, buckets) if labels is None else (2, labels, buckets)
        self.counts = self.add_variable(shape, "zeros", dtype="float64", name="counts")

    def count(self, y_true: Any, y_pred: Any, sample_weight: Any, class_id: int | None = None) -> None:
        """Counts a batch.

        Raises:
            ValueError: The shapes do not fit.
        """
        y_true, y_pred = self.truths(y_true, y_pred)
        if class_id is not None:
            y_true, y_pred = of_class(class_id, y_true, y_pred)
        ops.threshold_counts(self.counts, y_true, y_pred, self._sorted, sample_weight, even=self._even)

    def truths(self, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
        """Truths and predictions of the same shape, in the metric's dtype.

        Raises:
            ValueError: The shapes differ by more than a last axis of length 1.
        """
        y_true, y_pred = as_tensor(y_true), as_tensor(y_pred, self.dtype)
        if y_pred.shape[-1:] > (1,) and y_true.shape in (y_pred.shape[:-1], (*y_pred.shape[:-1], 1)):
            raise ValueError(
                f"metric '{self.name}': `y_true` must say of each class whether it is true, in the "
                f"shape of `y_pred`. Received: y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}. "
                "Class numbers become one-hot rows with utils.to_categorical(y)"
            )
        return pair(f"metric '{self.name}'", y_true, y_pred)

    # The confusion matrix at each threshold

    @property
    def true_positives(self) -> Tensor:
        """The weight of positives that were predicted so, at each threshold."""
        return self._shown(self._above(1))

    @property
    def false_positives(self) -> Tensor:
        """The weight of negatives that were predicted positive, at each threshold."""
        return self._shown(self._above(0))

    @property
    def true_negatives(self) -> Tensor:
        """The weight of negatives that were predicted so, at each threshold."""
        return self._shown(self._below(0))

    @property
    def false_negatives(self) -> Tensor:
        """The weight of positives that were predicted negative, at each threshold."""
        return self._shown(self._below(1))

    def _shown(self, values: Tensor) -> Tensor:
        """As Keras has them: (thresholds, labels)."""
        return ops.cast(ops.transpose(values), self.dtype)

    def _above(self, truth: int) -> Any:
        """float64 (..., thresholds): what exceeds each. Sums, not differences: nothing stays 0."""
        counts = self.counts[truth]
        sums: Any = ops.flip(ops.cumsum(ops.flip(counts, -1), -1), -1)
        return self._placed(sums[..., 1:])

    def _below(self, truth: int) -> Any:
        sums: Any = ops.cumsum(self.counts[truth], -1)
        return self._placed(sums[..., :-1])

    def _placed(self, values: Tensor) -> Tensor:
        return values if self._places is None else ops.take(values, self._places, axis=-1)

    def _rate(self, part: Tensor, rest: Tensor) -> Tensor:
        """part / (part + rest), 0 where both are."""
        return ops.divide_no_nan(part, ops.add(part, rest))

    def _recall(self) -> Tensor:
        return self._rate(self._above(1), self._below(1))

    def _precision(self) -> Tensor:
        return self._rate(self._above(1), self._above(0))

    def _specificity(self) -> Tensor:
        return self._rate(self._below(0), self._above(0))

    def _one_or_all(self, values: Any) -> Tensor:
        """A number if there is one threshold, otherwise one for each."""
        return ops.cast(values[0] if len(self.thresholds) == 1 else values, self.dtype)


def evenness(thresholds: Sequence[float]) -> int:
    """How `ops.threshold_counts` is told that thresholds are 0, 1/(n-1), ..., 1; 2 if they begin below 0."""
    n = len(thresholds)
    if n < 3 or not np.allclose(thresholds, np.arange(n) / (n - 1), atol=epsilon()):
        return 0
    return 2 if thresholds[0] < 0 or thresholds[-1] > 1 else 1


def of_class(class_id: int, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """The column of one class, kept as an axis of length 1.

    Raises:
        ValueError: There is no axis of classes, or no such class.
    """
    if y_pred.ndim < 2:
        raise ValueError(
            "When class_id is provided, y_pred must be a 2D array with shape (num_samples, num_classes), "
            f"found shape: {y_pred.shape}"
        )
    if not -y_pred.shape[-1] <= class_id < y_pred.shape[-1]:
        raise ValueError(f"class_id={class_id} is none of the {y_pred.shape[-1]} classes of y_pred")
    place = class_id % y_pred.shape[-1]
    return y_true[..., place : place + 1], y_pred[..., place : place + 1]


def parse_thresholds(thresholds: Any, default: float) -> list[float]:
    """The thresholds of a constructor's argument: a number, several, or None for the default.

    Raises:
        ValueError: One is not between 0 and 1, or there is none.
    """
    if thresholds is None:
        return [default]
    given = list(thresholds) if isinstance(thresholds, (list, tuple, np.ndarray)) else [thresholds]
    wrong = [t for t in given if t is None or not 0 <= t <= 1]
    if wrong:
        raise ValueError(f"Threshold values must be in [0, 1]. Received: {wrong}")
    if not given:
        raise ValueError("Argument `thresholds` must hold at least one threshold. Received: thresholds=[]")
    return given


# ------------------------------------------------------------------------------------------ the four counts


class _ConditionCount(ThresholdMetric):
    """One of the four numbers of a confusion matrix, at one or several thresholds."""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(parse_thresholds(thresholds, 0.5), name, dtype)
        self.init_thresholds = thresholds

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch.

        Args:
            y_true: Truths: all but 0 is true.
            y_pred: Scores, of the same shape.
            sample_weight: A number, or weights whose axes are the first ones of the predictions'.

        Raises:
            ValueError: The shapes do not fit.
        """
        self.count(y_true, y_pred, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(_ConditionCount):
    """How many positives are predicted as such: scores above the threshold.

    Args:
        thresholds: A number in [0, 1] or several; 0.5 by default.

    Raises:
        ValueError: A threshold is not in [0, 1].

    Example:
        >>> import lumbre
        >>> lumbre.metrics.TruePositives()([0, 1, 1, 1], [1, 0, 1, 1]).item()
        2.0
    """

    def result(self) -> Tensor:
        return self._one_or_all(self._above(1))


class FalsePositives(_ConditionCount):
    """How many negatives are predicted to be positive: scores above the threshold.

    Args:
        thresholds: A number in [0, 1] or several; 0.5 by default.

    Raises:
        ValueError: A threshold is not in [0, 1].

    Example:
        >>> import lumbre
        >>> lumbre.metrics.FalsePositives()([0, 1, 0, 0], [0, 0, 1, 1]).item()
        2.0
    """

    def result(self) -> Tensor:
        return self._one_or_all(self._above(0))


class TrueNegatives(_ConditionCount):
    """How many negatives are predicted as such: scores not above the threshold.

    Args:
        thresholds: A number in [0, 1] or several; 0.5 by default.

    Raises:
        ValueError: A threshold is not in [0, 1].

    Example:
        >>> import lumbre
        >>> lumbre.metrics.TrueNegatives()([0, 1, 0, 0], [1, 1, 0, 0]).item()
        2.0
    """

    def result(self) -> Tensor:
        return self._one_or_all(self._below(0))


class FalseNegatives(_ConditionCount):
    """How many positives are predicted to be negative: scores not above the threshold.

    Args:
        thresholds: A number in [0, 1] or several; 0.5 by default.

    Raises:
        ValueError: A threshold is not in [0, 1].

    Example:
        >>> import lumbre
        >>> lumbre.metrics.FalseNegatives()([0, 1, 1, 1], [0, 1, 0, 0]).item()
        2.0
    """

    def result(self) -> Tensor:
        return self._one_or_all(self._below(1))


# ------------------------------------------------------------------------------------- precision and recall


class _ClassScore(ThresholdMetric):
    """What precision and recall share: thresholds, the best k, a single class."""

    _direction = "up"

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(parse_thresholds(thresholds, 0.5 if top_k is None else NEG_INF), name, dtype)
        self.init_thresholds = thresholds
        self.top_k = top_k
        self.class_id = class_id

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch.

        Args:
            y_true: Truths: all but 0 is true.
            y_pred: Scores, of the same shape.
            sample_weight: A number, or weights whose axes are the first ones of the predictions'.

        Raises:
            ValueError: The shapes do not fit, or there are fewer than `top_k` classes.
        """
        y_pred = as_tensor(y_pred, self.dtype)
        if self.top_k is not None:
            y_pred = ops.only_top_k(y_pred, self.top_k, NEG_INF)
        self.count(y_true, y_pred, sample_weight, self.class_id)

    def get_config(self) -> dict[str, Any]:
        own = {"thresholds": self.init_thresholds, "top_k": self.top_k, "class_id": self.class_id}
        return {**super().get_config(), **own}


class Precision(_ClassScore):
    """The share of predicted positives that are positive: `TP / (TP + FP)`, 0 without any.

    Args:
        thresholds: Scores above it are positive: a number in [0, 1], or several; 0.5 by default.
        top_k: Takes the `top_k` greatest scores of each row as the positives instead.
        class_id: Counts the class of this index only.

    Raises:
        ValueError: A threshold is not in [0, 1].

    Example:
        >>> import lumbre
        >>> round(lumbre.metrics.Precision()([0, 1, 1, 1], [1, 0, 1, 1]).item(), 4)
        0.6667
    """

    def result(self) -> Tensor:
        return self._one_or_all(self._precision())


class Recall(_ClassScore):
    """The share of positives that are predicted as such: `TP / (TP + FN)`, 0 without any.

    Args:
        thresholds: Scores above it are positive: a number in [0, 1], or several; 0.5 by default.
        top_k: Takes the `top_k` greatest scores of each row as the positives instead.
        class_id: Counts the class of this index only.

    Raises:
        ValueError: A threshold is not in [0, 1].

    Example:
        >>> import lumbre
        >>> round(lumbre.metrics.Recall()([0, 1, 1, 1], [1, 0, 1, 1]).item(), 4)
        0.6667
    """

    def result(self) -> Tensor:
        return self._one_or_all(self._recall())
