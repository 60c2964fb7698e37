"""The area under a curve that a moving threshold draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from lumbre import ops
from lumbre.autograd import Tensor, as_tensor
from lumbre.config import epsilon
from lumbre.metrics.confusion import ThresholdMetric, evenness, parse_thresholds

CURVES = ("ROC", "PR", "PRGAIN")
SUMMATIONS = ("interpolation", "majoring", "minoring")


class AUC(ThresholdMetric):
    """The area under the ROC or the precision-recall curve, as a sum over thresholds.

    ROC is the rate of true positives over that of false positives; PR the precision over the recall;
    PRGAIN the same, both rescaled by the share of positives (Flach and Kull 2015, Precision-Recall-Gain
    Curves: PR Analysis Done Right). Between thresholds ROC and PRGAIN are lines ("interpolation"), PR is
    interpolated as Davis and Goadrich do (2006, The Relationship Between Precision-Recall and ROC
    Curves); "minoring" and "majoring" take the smaller and the greater height of each step.

    Args:
        num_thresholds: How many thresholds; the more, the nearer to the area.
        curve: "ROC", "PR" or "PRGAIN".
        summation_method: "interpolation", "minoring" or "majoring".
        thresholds: Thresholds between 0 and 1 in the place of `num_thresholds` even ones.
        multi_label: Whether the area of each label, along the last axis, is taken by itself, and the
            result is their mean.
        num_labels: The number of labels, if `multi_label`; otherwise the first batch tells.
        label_weights: A weight for each label: in the mean if `multi_label`, otherwise of its counts.
        from_logits: Whether predictions are logits.

    Raises:
        ValueError: An option is unknown, or there are fewer than two thresholds.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.AUC(num_thresholds=3)
        >>> metric([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]).item()
        0.75
    """

    _direction = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        curve, summation_method = str(curve).upper(), str(summation_method).lower()
        if curve not in CURVES:
            raise ValueError(
                f'Invalid AUC curve value: "{curve}". Expected values are ["PR", "ROC", "PRGAIN"]'
            )
        if summation_method not in SUMMATIONS:
            raise ValueError(
                f'Invalid AUC summation method value: "{summation_method}". '
                'Expected values are ["interpolation", "majoring", "minoring"]'
            )
        if num_labels and not multi_label:
            raise ValueError("`num_labels` is needed only when `multi_label` is True.")
        inner = None if thresholds is None else sorted(map(float, parse_thresholds(thresholds, 0.5)))
        if inner is None and num_thresholds <= 1:
            raise ValueError(
                f"Argument `num_thresholds` must be an integer > 1. Received: num_thresholds={num_thresholds}"
            )
        between = np.arange(1, num_thresholds - 1) / (num_thresholds - 1) if inner is None else inner
        ends = (0.0 - epsilon(), *map(float, between), 1.0 + epsilon())
        super().__init__(ends, name, dtype, build=not multi_label)
        even = inner is None or evenness([0.0, *inner, 1.0]) > 0
        self._even = 2 if even else 0
        self._inner = inner
        self.num_thresholds = len(ends)
        self.curve = curve
        self.summation_method = summation_method
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else as_tensor(label_weights, self.dtype)
        self._from_logits = from_logits
        if num_labels:
            self.build_counts(num_labels)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch.

        Args:
            y_true: Truths: all but 0 is true.
            y_pred: Scores from 0 to 1 (or logits), of the same shape.
            sample_weight: A number, or weights whose axes are the first ones of the predictions'.

        Raises:
            ValueError: The shapes do not fit.
        """
        y_true, y_pred = self.truths(y_true, y_pred)
        if self.multi_label:
            self._check_labels(y_pred)
            if self.counts is None:
                self.build_counts(y_pred.shape[-1])
        elif self.label_weights is not None:
            sample_weight = self._weighted_labels(y_pred, sample_weight)
        self.count(y_true, ops.sigmoid(y_pred) if self._from_logits else y_pred, sample_weight)

    def result(self) -> Tensor:
        if self.counts is None:
            return ops.zeros((), self.dtype)
        interpolated = self.curve == "PR" and self.summation_method == "interpolation"
        areas = ops.sum(self._pr_steps() if interpolated else self._steps(), axis=-1)
        if self.multi_label:
            weights = self.label_weights
            if weights is None:
                areas = ops.mean(areas)
            else:
                weights = ops.cast(weights, "float64")
                areas = ops.divide_no_nan(ops.sum(ops.multiply(areas, weights)), ops.sum(weights))
        return ops.cast(areas, self.dtype)

    def _curve(self) -> tuple[Any, Any]:
        """x and y at each threshold, x descending."""
        if self.curve == "ROC":
            return self._rate(self._above(0), self._below(0)), self._recall()
        if self.curve == "PR":
            return self._recall(), self._precision()
        tp, fp, fn = self._above(1), self._above(0), self._below(1)
        odds = ops.divide_no_nan(ops.add(tp, fn), ops.add(fp, self._below(0)))
        none = ops.equal(tp, 0.0)

        def gain(errors: Tensor, without: float) -> Tensor:
            value = ops.subtract(1.0, ops.multiply(odds, ops.divide_no_nan(errors, tp)))
            return ops.where(none, ops.full_like(value, without), value)

        return ops.maximum(gain(fn, 0.0), 0.0), gain(fp, 1.0)

    def _steps(self) -> Tensor:
        """The area between neighbouring thresholds."""
        x, y = self._curve()
        left, right = y[..., :-1], y[..., 1:]
        height = {
            "interpolation": lambda: ops.multiply(ops.add(left, right), 0.5),
            "minoring": lambda: ops.minimum(left, right),
            "majoring": lambda: ops.maximum(left, right),
        }[self.summation_method]()
        return ops.multiply(ops.subtract(x[..., :-1], x[..., 1:]), height)

    def _pr_steps(self) -> Tensor:
        """The area under precision over recall where true and false positives move on a line.

        With TP = intercept + slope · P between two thresholds, P being all that is predicted positive,
        it is `slope · (ΔTP + intercept · log(P₁ / P₂)) / positives`.
        """
        tp = self._above(1)
        positives: Any = ops.add(tp, self._below(1))
        p: Any = ops.add(tp, self._above(0))
        here, there = p[..., :-1], p[..., 1:]
        gained = ops.subtract(tp[..., :-1], tp[..., 1:])
        slope = ops.divide_no_nan(gained, ops.maximum(ops.subtract(here, there), 0.0))
        intercept = ops.subtract(tp[..., 1:], ops.multiply(slope, there))
        ratio = ops.where(
            ops.logical_and(ops.greater(here, 0.0), ops.greater(there, 0.0)),
            ops.divide_no_nan(here, there),
            ops.ones_like(there),
        )
        area = ops.multiply(slope, ops.add(gained, ops.multiply(intercept, ops.log(ratio))))
        return ops.divide_no_nan(area, positives[..., 1:])

    def _check_labels(self, y_pred: Tensor) -> None:
        labels = None if self.counts is None else self.counts.shape[1]
        if y_pred.ndim != 2:
            raise ValueError(
                "`y_pred` must have rank 2 when `multi_label=True`. "
                f"Found rank {y_pred.ndim}. Full shape received for `y_pred`: {y_pred.shape}"
            )
        if labels is not None and labels != y_pred.shape[1]:
            raise ValueError(
                f"metric '{self.name}' counts {labels} labels. Received: y_pred.shape={y_pred.shape}"
            )

    def _weighted_labels(self, y_pred: Tensor, sample_weight: Any) -> Tensor:
        """The weight of each prediction: of its label, times that of its sample."""
        labels = ops.broadcast_to(self.label_weights, y_pred.shape)
        if sample_weight is None:
            return labels
        weight = as_tensor(sample_weight, self.dtype)
        if 0 < weight.ndim < y_pred.ndim:
            weight = ops.reshape(weight, weight.shape + (1,) * (y_pred.ndim - weight.ndim))
        return ops.multiply(labels, weight)

    def get_config(self) -> dict[str, Any]:
        weights = self.label_weights
        own = {
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": None if weights is None else weights.numpy().tolist(),
            "from_logits": self._from_logits,
        }
        if self._inner is not None:
            own["thresholds"] = self._inner
        return {**super().get_config(), **own}
