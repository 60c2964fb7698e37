"""Sums and means over everything seen.

Sums are kept in float64: over an epoch of a million samples float32 would lose digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor, as_tensor
from lumbre.losses.loss import apply_mask, squeeze_or_expand_to_same_rank
from lumbre.metrics.metric import Metric


class Sum(Metric):
    """The sum of all values, each times its weight.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.Sum()
        >>> metric.update_state([1.0, 3.0])
        >>> metric.update_state([5.0], sample_weight=2.0)
        >>> metric.result().item()
        14.0
    """

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", dtype="float64", name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Adds `Σ values · sample_weight`.

        Args:
            values: Numbers of any shape.
            sample_weight: A number, or weights whose axes are the first ones of the values'.

        Raises:
            ValueError: The weights do not fit the values.
        """
        values, weight = align(self.name, values, sample_weight, self.dtype, ops.sum)
        if weight is not None:
            values = ops.multiply(values, weight)
        self.total.assign_add(ops.cast(ops.sum(values), "float64"))

    def result(self) -> Tensor:
        return ops.cast(self.total, self.dtype)


class Mean(Metric):
    """The mean of all values, `Σ weight · value / Σ weight`; 0 before the first.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.Mean()
        >>> metric.update_state([1.0, 3.0])
        >>> metric.update_state([5.0], sample_weight=2.0)
        >>> metric.result().item()
        3.5
    """

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", dtype="float64", name="total")
        self.count = self.add_variable((), "zeros", dtype="float64", name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Takes in values, which count once per sample: axes after the first are averaged.

        Args:
            values: Numbers of any shape.
            sample_weight: A number, or weights whose axes are the first ones of the values'.

        Raises:
            ValueError: The weights do not fit the values.
        """
        values, weight = align(self.name, values, sample_weight, self.dtype, ops.mean)
        if weight is None:
            if values.ndim > 1:
                values = ops.mean(values, axis=tuple(range(1, values.ndim)))
        elif weight.ndim > 1:
            # The mean over the other axes, of values and weights alike.
            weight = ops.multiply(weight, 1.0 / max(math.prod(weight.shape[1:]), 1))
        ops.mean_update(self.total, self.count, values, weight)

    def result(self) -> Tensor:
        return ops.cast(ops.divide_no_nan(self.total, self.count), self.dtype)


class MeanMetricWrapper(Mean):
    """The mean of a function `fn(y_true, y_pred, **kwargs)` that returns a value per sample.

    Values that a mask on `y_pred` leaves out do not count.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.MeanMetricWrapper(lambda a, b: abs(a - b), name="distance")
        >>> metric(lumbre.Tensor([0.0, 1.0]), lumbre.Tensor([1.0, 3.0])).item()
        1.5
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name or str(getattr(fn, "__name__", "mean_metric_wrapper")), dtype=dtype)
        self._fn = fn
        self._fn_kwargs = kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Takes in a batch of targets and predictions.

        Args:
            y_true: The targets.
            y_pred: The predictions.
            sample_weight: A number, or weights whose axes are the first ones of the values'.
        """
        mask = getattr(y_pred, "_mask", None)
        values = self._fn(y_true, y_pred, **self._fn_kwargs)
        if mask is not None:
            sample_weight = apply_mask(
                None if sample_weight is None else as_tensor(sample_weight, self.dtype),
                mask,
                self.dtype,
                reduction="sum",
            )
        super().update_state(values, sample_weight=sample_weight)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if type(self) is MeanMetricWrapper:
            config["fn"] = self._fn.__name__
        return {**config, **self._fn_kwargs}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        if isinstance(config.get("fn"), str):
            from lumbre import metrics

            config = {**config, "fn": metrics.function(config["fn"])}
        return cls(**config)


def align(
    name: str, values: Any, sample_weight: Any, dtype: str, reduce: Callable[..., Tensor]
) -> tuple[Tensor, Tensor | None]:
    """Values and weights of the same shape: values are reduced over the axes that share a weight.

    Raises:
        ValueError: The weights do not fit the values.
    """
    mask = getattr(values, "_mask", None)
    values = as_tensor(values, dtype)
    if sample_weight is None:
        return values, None
    weight = as_tensor(sample_weight, dtype)
    if mask is not None:
        masked = apply_mask(weight, mask, dtype, reduction="sum")
        weight = weight if masked is None else masked
    values, weight = squeeze_or_expand_to_same_rank(values, weight)
    sizes = list(zip(weight.shape, values.shape, strict=False))
    fits = weight.ndim <= values.ndim and all(
        w == n or (w == 1 and axis > 0) for axis, (w, n) in enumerate(sizes)
    )
    if not fits:
        raise ValueError(
            f"metric '{name}': `sample_weight` must be a number or have the first axes of the values, "
            f"whose shape is {values.shape}. Received: sample_weight.shape={weight.shape}"
        )
    if values.ndim > weight.ndim:
        values = reduce(values, axis=tuple(range(weight.ndim, values.ndim)))
    shared = tuple(i for i, n in enumerate(values.shape) if weight.shape[i] != n)
    if shared:
        values = reduce(values, axis=shared, keepdims=True)
    return values, weight
