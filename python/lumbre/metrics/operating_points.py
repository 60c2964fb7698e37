"""The best of one rate that leaves another high enough: points on the curves of a moving threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.metrics.confusion import ThresholdMetric


class _AtBest(ThresholdMetric):
    """The greatest value of one rate over the thresholds at which another is at least `value`."""

    _direction = "up"
    _given = ""  # the name of the constructor's argument, and of the attribute

    def __init__(
        self, value: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any
    ) -> None:
        if not 0 <= value <= 1:
            raise ValueError(
                f"Argument `{self._given}` must be in the range [0, 1]. Received: {self._given}={value}"
            )
        if num_thresholds <= 0:
            raise ValueError(
                f"Argument `num_thresholds` must be an integer > 0. Received: num_thresholds={num_thresholds}"
            )
        steps = max(num_thresholds - 1, 1)
        even = [i / steps for i in range(steps + 1)]
        super().__init__([0.5] if num_thresholds == 1 else even, name, dtype)
        self._even = 0 if num_thresholds == 1 else 1
        self.value = value
        self.num_thresholds = num_thresholds
        self.class_id = class_id
        setattr(self, self._given, value)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch.

        Args:
            y_true: Truths: all but 0 is true.
            y_pred: Scores from 0 to 1, of the same shape.
            sample_weight: A number, or weights whose axes are the first ones of the predictions'.

        Raises:
            ValueError: The shapes do not fit.
        """
        self.count(y_true, y_pred, sample_weight, self.class_id)

    def _best(self, wanted: Callable[[], Tensor], constrained: Callable[[], Tensor]) -> Tensor:
        # In the result's dtype, as Keras compares: 0.8 is reached by 4 of 5 in float32.
        met = ops.greater_equal(ops.cast(constrained(), self.dtype), self.value)
        rates = ops.cast(wanted(), self.dtype)
        return ops.max(ops.where(met, rates, ops.zeros_like(rates)))

    def get_config(self) -> dict[str, Any]:
        own = {"num_thresholds": self.num_thresholds, self._given: self.value, "class_id": self.class_id}
        return {**super().get_config(), **own}


class SensitivityAtSpecificity(_AtBest):
    """The greatest `TP / (TP + FN)` over thresholds at which `TN / (TN + FP)` is at least `specificity`.

    Args:
        specificity: From 0 to 1.
        num_thresholds: How many thresholds from 0 to 1 are tried.
        class_id: Counts the class of this index only.

    Raises:
        ValueError: `specificity` is not in [0, 1], or there are no thresholds.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.SensitivityAtSpecificity(0.5)
        >>> metric([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]).item()
        0.5
    """

    _given = "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)

    def result(self) -> Tensor:
        return self._best(self._recall, self._specificity)


class SpecificityAtSensitivity(_AtBest):
    """The greatest `TN / (TN + FP)` over thresholds at which `TP / (TP + FN)` is at least `sensitivity`.

    Args:
        sensitivity: From 0 to 1.
        num_thresholds: How many thresholds from 0 to 1 are tried.
        class_id: Counts the class of this index only.

    Raises:
        ValueError: `sensitivity` is not in [0, 1], or there are no thresholds.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.SpecificityAtSensitivity(0.5)
        >>> round(metric([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]).item(), 4)
        0.6667
    """

    _given = "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)

    def result(self) -> Tensor:
        return self._best(self._specificity, self._recall)


class PrecisionAtRecall(_AtBest):
    """The greatest precision over thresholds at which the recall is at least `recall`.

    Args:
        recall: From 0 to 1.
        num_thresholds: How many thresholds from 0 to 1 are tried.
        class_id: Counts the class of this index only.

    Raises:
        ValueError: `recall` is not in [0, 1], or there are no thresholds.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.PrecisionAtRecall(0.5)
        >>> metric([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]).item()
        0.5
    """

    _given = "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)

    def result(self) -> Tensor:
        return self._best(self._precision, self._recall)


class RecallAtPrecision(_AtBest):
    """The greatest recall over thresholds at which the precision is at least `precision`.

    Args:
        precision: From 0 to 1.
        num_thresholds: How many thresholds from 0 to 1 are tried.
        class_id: Counts the class of this index only.

    Raises:
        ValueError: `precision` is not in [0, 1], or there are no thresholds.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.RecallAtPrecision(0.8)
        >>> metric([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]).item()
        0.5
    """

    _given = "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)

    def result(self) -> Tensor:
        return self._best(self._recall, self._precision)
