"""Means of the regression losses, and the share of variance explained."""

from __future__ import annotations

import warnings
from typing import Any

from lumbre import losses, ops
from lumbre.autograd import Tensor, as_tensor
from lumbre.losses.loss import pair
from lumbre.metrics.metric import Metric
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


class R2Score(Metric):
    """`1 - Σ(y_true - y_pred)² / Σ(y_true - mean)²`: 1 is exact, 0 no better than the mean of the targets.

    Args:
        class_aggregation: "uniform_average" of the outputs, "variance_weighted_average" by the variance
            of their targets, or None for a value per output.
        num_regressors: How many independent variables the model has: if not 0, the score is adjusted
            for them, `1 - (1 - R²)(n - 1) / (n - num_regressors - 1)`.

    Raises:
        ValueError: An argument is none of these.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.R2Score()
        >>> round(metric([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]]).item(), 4)
        0.5714
    """

    _direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        allowed = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in allowed:
            raise ValueError(
                f"Invalid value for argument `class_aggregation`. Expected one of {allowed}. "
                f"Received: class_aggregation={class_aggregation}"
            )
        if num_regressors < 0:
            raise ValueError(
                "Invalid value for argument `num_regressors`. Expected a value >= 0. "
                f"Received: num_regressors={num_regressors}"
            )
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable((), "zeros", dtype="float64", name="num_samples")
        self.squared_sum: Any = None  # these are made when the first batch has told the number of outputs
        self.sum: Any = None
        self.total_mse: Any = None
        self.count: Any = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes in a batch.

        Args:
            y_true: Targets (b, outputs), or (b,) for one output.
            y_pred: Predictions (b, outputs).
            sample_weight: A number, or a weight for each sample (b,) or value (b, outputs).

        Raises:
            ValueError: The shapes do not fit.
        """
        y_true, y_pred = pair(self.name, as_tensor(y_true, "float64"), as_tensor(y_pred, "float64"))
        if y_pred.ndim != 2:
            raise ValueError(
                "R2Score expects 2D inputs with shape (batch_size, output_dim). Received input shapes: "
                f"y_pred.shape={y_pred.shape} and y_true.shape={y_true.shape}."
            )
        if self.count is None:
            self._build(y_pred.shape[1])
        weight = as_tensor(1.0 if sample_weight is None else sample_weight, "float64")
        weight = ops.expand_dims(weight, 1) if weight.ndim == 1 else weight
        weight = ops.broadcast_to(weight, y_true.shape)
        weighted = ops.multiply(y_true, weight)
        errors = ops.multiply(ops.square(ops.subtract(y_true, y_pred)), weight)
        self.sum.assign_add(ops.sum(weighted, axis=0))
        self.squared_sum.assign_add(ops.sum(ops.multiply(y_true, weighted), axis=0))
        self.total_mse.assign_add(ops.sum(errors, axis=0))
        self.count.assign_add(ops.sum(weight, axis=0))
        self.num_samples.assign_add(float(y_true.size))

    def _build(self, outputs: int) -> None:
        def zeros(name: str) -> Any:
            return self.add_variable((outputs,), "zeros", dtype="float64", name=name)

        self.squared_sum, self.sum = zeros("squared_sum"), zeros("sum")
        self.total_mse, self.count = zeros("residual"), zeros("count")

    def result(self) -> Tensor:
        if self.count is None:
            return ops.zeros((), self.dtype)
        total = ops.subtract(self.squared_sum, ops.divide(ops.square(self.sum), self.count))
        scores = ops.subtract(1.0, ops.divide(self.total_mse, total))
        scores = ops.where(ops.isinf(scores), ops.zeros_like(scores), scores)
        if self.class_aggregation == "uniform_average":
            scores = ops.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            scores = ops.divide(ops.sum(ops.multiply(total, scores)), ops.sum(total))
        if self.num_regressors:
            scores = self._adjusted(scores)
        return ops.cast(scores, self.dtype)

    def _adjusted(self, score: Tensor) -> Tensor:
        freedom = self.num_samples.value.item() - self.num_regressors - 1.0
        if freedom > 0:
            unexplained = ops.multiply(ops.subtract(1.0, score), freedom + self.num_regressors)
            return ops.subtract(1.0, ops.divide(unexplained, freedom))
        reason = (
            "Division by zero in Adjusted R2 score."
            if freedom == 0
            else "More independent predictors than datapoints in adjusted R2 score."
        )
        warnings.warn(f"{reason} Falling back to standard R2 score.", stacklevel=3)
        return score

    def get_config(self) -> dict[str, Any]:
        own = {"class_aggregation": self.class_aggregation, "num_regressors": self.num_regressors}
        return {**super().get_config(), **own}
