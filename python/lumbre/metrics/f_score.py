"""F scores: means of precision and recall."""

from __future__ import annotations

from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor, as_tensor
from lumbre.config import epsilon
from lumbre.metrics.metric import Metric

_AVERAGES = (None, "micro", "macro", "weighted")


class FBetaScore(Metric):
    """`(1 + beta²) · precision · recall / (beta² · precision + recall)`, of each class.

    Source: van Rijsbergen 1979, Information Retrieval.

    Args:
        average: None for a value per class, "micro" (of all classes' counts together), "macro" (the
            mean over the classes) or "weighted" (by how often each class is true).
        beta: How much recall counts beside precision, above 0.
        threshold: Scores above it are positive; by default the greatest of each row is.

    Raises:
        ValueError: An argument is none of these.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.FBetaScore(beta=2.0, threshold=0.5)
        >>> y_true = [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
        >>> metric(y_true, [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]]).numpy().round(4)
        array([0.3846, 0.9091, 0.8333], dtype=float32)
    """

    _direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if average not in _AVERAGES:
            raise ValueError(
                "Invalid `average` argument value. Expected one of: "
                f"{{None, 'micro', 'macro', 'weighted'}}. Received: average={average}"
            )
        if not isinstance(beta, float):
            raise ValueError(
                "Invalid `beta` argument value. It should be a Python float. "
                f"Received: beta={beta} of type '{type(beta)}'"
            )
        if not beta > 0.0:
            raise ValueError(f"Invalid `beta` argument value. It should be > 0. Received: beta={beta}")
        if threshold is not None:
            if not isinstance(threshold, float):
                raise ValueError(
                    "Invalid `threshold` argument value. It should be a Python float. "
                    f"Received: threshold={threshold} of type '{type(threshold)}'"
                )
            if not 0.0 < threshold <= 1.0:
                raise ValueError(
                    "Invalid `threshold` argument value. It should verify 0 < threshold <= 1. "
                    f"Received: threshold={threshold}"
                )
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self._threshold = None if threshold is None else as_tensor([threshold], self.dtype)
        self.counts: Any = None  # (truth, class, positive), when the first batch has told the classes

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch.

        Args:
            y_true: One-hot or multi-hot targets (b, classes).
            y_pred: Scores (b, classes).
            sample_weight: A number, or a weight for each sample (b,).

        Raises:
            ValueError: The shapes do not fit.
        """
        y_true, y_pred = as_tensor(y_true, self.dtype), as_tensor(y_pred, self.dtype)
        if y_true.ndim != 2 or y_true.shape != y_pred.shape:
            raise ValueError(
                f"{type(self).__name__} expects 2D inputs with shape (batch_size, output_dim). Received "
                f"input shapes: y_pred.shape={y_pred.shape} and y_true.shape={y_true.shape}."
            )
        if self.counts is None:
            shape = (2, y_pred.shape[1], 2)
            self.counts = self.add_variable(shape, "zeros", dtype="float64", name="counts")
        if self._threshold is None:
            ops.greatest_counts(self.counts, y_true, y_pred, sample_weight)
        else:
            ops.threshold_counts(self.counts, y_true, y_pred, self._threshold, sample_weight, soft=True)

    def result(self) -> Tensor:
        if self.counts is None:
            return ops.zeros((), self.dtype)
        fp, fn, tp = self.counts[0, :, 1], self.counts[1, :, 0], self.counts[1, :, 1]
        if self.average == "micro":
            fp, fn, tp = ops.sum(fp), ops.sum(fn), ops.sum(tp)
        precision = ops.divide(tp, ops.add(ops.add(tp, fp), epsilon()))
        recall = ops.divide(tp, ops.add(ops.add(tp, fn), epsilon()))
        below = ops.add(ops.multiply(precision, self.beta**2), recall)
        mean = ops.divide(ops.multiply(precision, recall), ops.add(below, epsilon()))
        score = ops.multiply(mean, 1.0 + self.beta**2)
        if self.average == "weighted":
            true = ops.add(fn, tp)
            score = ops.sum(ops.multiply(score, ops.divide(true, ops.add(ops.sum(true), epsilon()))))
        elif self.average == "macro":
            score = ops.mean(score)
        return ops.cast(score, self.dtype)

    def get_config(self) -> dict[str, Any]:
        own = {"average": self.average, "beta": self.beta, "threshold": self.threshold}
        return {**super().get_config(), **own}


class F1Score(FBetaScore):
    """`2 · precision · recall / (precision + recall)`, of each class. See `FBetaScore`.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.F1Score(threshold=0.5)
        >>> y_true = [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
        >>> metric(y_true, [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]]).numpy().round(4)
        array([0.5   , 0.8   , 0.6667], dtype=float32)
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average=average, beta=1.0, threshold=threshold, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["beta"]
        return config
