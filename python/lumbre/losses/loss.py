"""The base of all losses: from a value per sample to one number.

A loss has two halves. `call(y_true, y_pred)` gives a value per sample (or per sample and step); what
is here weights these values, leaves masked ones out, and reduces them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from lumbre import ops, tree
from lumbre.autograd import Tensor, as_tensor
from lumbre.capture import Tracked
from lumbre.config import floatx
from lumbre.lookup import auto_name, users_level

_REDUCTIONS = ("none", "sum", "sum_over_batch_size", "mean", "mean_with_sample_weight", None)
_MEANS = ("sum_over_batch_size", "mean")


class Loss(Tracked):
    """A loss: subclasses define `call(y_true, y_pred)`, which returns a value per sample.

    Args:
        name: Its name; by default the class's in snake_case.
        reduction: "sum_over_batch_size", also called "mean" (the mean of all values, whatever their
            weights), "mean_with_sample_weight" (divided by the sum of the weights), "sum", or None,
            also called "none" (the values themselves).
        dtype: The float type to compute in; by default `lumbre.config.floatx()`.

    Raises:
        ValueError: The reduction is none of these.

    Example:
        >>> import lumbre
        >>> class Absolute(lumbre.losses.Loss):
        ...     def call(self, y_true, y_pred):
        ...         return lumbre.ops.mean(lumbre.ops.abs(y_true - y_pred), axis=-1)
        >>> Absolute()([[1.0], [2.0]], [[3.0], [2.0]]).item()
        1.0
    """

    converts_targets = True
    """Whether `y_true` becomes floating point; class indices stay integers."""

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        self.name = name or auto_name(type(self).__name__)
        if reduction not in _REDUCTIONS:
            raise ValueError(
                "Invalid value for argument `reduction`. Expected one of "
                "{'none', 'sum', 'sum_over_batch_size', 'mean', 'mean_with_sample_weight', None}. "
                f"Received: reduction={reduction}"
            )
        self.reduction = None if reduction == "none" else reduction
        self._dtype: str = getattr(dtype, "compute_dtype", dtype) or floatx()

    @property
    def dtype(self) -> str:
        """The dtype that the loss is computed in."""
        return self._dtype

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """A value per sample of targets and predictions."""
        raise NotImplementedError(f"{type(self).__name__} must implement `call(y_true, y_pred)`")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The reduced loss.

        Args:
            y_true: The targets.
            y_pred: The predictions; the mask they may carry leaves values out.
            sample_weight: A number, or a weight per value: of the values' shape, or with 1 in the
                place of some dimension.

        Raises:
            ValueError: Shapes do not fit.
        """
        mask = getattr(y_pred, "_mask", None)
        y_pred = _tensors(y_pred, self.dtype)
        y_true = _tensors(y_true, self.dtype if self.converts_targets else None)
        values = self.call(y_true, y_pred)
        valid = getattr(values, "_mask", None)
        if valid is not None:
            mask = valid if mask is None else ops.logical_and(mask, valid)
        values = as_tensor(values, self.dtype)
        return reduce_weighted(values, sample_weight, mask, self.reduction, self.name)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain Python values."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """The loss that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


class LossFunctionWrapper(Loss):
    """A loss made of a function `fn(y_true, y_pred, **kwargs)` that returns a value per sample.

    Example:
        >>> import lumbre
        >>> wrap = lumbre.losses.LossFunctionWrapper
        >>> wrap(lumbre.losses.mean_squared_error, name="mse")([[1.0]], [[3.0]]).item()
        4.0
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn = fn
        self._fn_kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if isinstance(y_true, Tensor) and isinstance(y_pred, Tensor):
            y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if type(self) is LossFunctionWrapper:
            config["fn"] = self.fn.__name__
        return {**config, **self._fn_kwargs}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        if isinstance(config.get("fn"), str):
            from lumbre import losses

            config = {**config, "fn": losses.get(config["fn"])}
        return cls(**config)

    def __repr__(self) -> str:
        return f"<LossFunctionWrapper({self.fn}, kwargs={self._fn_kwargs})>"


def _tensors(value: Any, dtype: str | None) -> Any:
    """The value as a tensor, or a structure of arrays as one of tensors; lists of numbers are arrays."""
    if tree.is_nested(value) and any(hasattr(leaf, "shape") for leaf in tree.flatten(value)):
        return tree.map_structure(lambda leaf: as_tensor(leaf, dtype), value)
    return as_tensor(value, dtype)


def squeeze_or_expand_to_same_rank(
    x1: Tensor, x2: Tensor, expand_rank_1: bool = True
) -> tuple[Tensor, Tensor]:
    """The two tensors with a last axis of length 1 taken from the one that has it over the other.

    A tensor of rank 1 gets one instead, if `expand_rank_1`. Where the ranks differ otherwise, both
    are returned as they are.
    """
    if x1.ndim == x2.ndim + 1 and x1.shape[-1] == 1:
        if x2.ndim == 1 and expand_rank_1:
            return x1, ops.expand_dims(x2, -1)
        return _without_last_axis(x1), x2
    if x2.ndim == x1.ndim + 1 and x2.shape[-1] == 1:
        if x1.ndim == 1 and expand_rank_1:
            return ops.expand_dims(x1, -1), x2
        return x1, _without_last_axis(x2)
    return x1, x2


def _without_last_axis(x: Tensor) -> Tensor:
    y = ops.squeeze(x, -1)
    if x._origin is not None and x._origin[0] == "sigmoid" and not x._requires:
        # A cross-entropy of it may still work from the logits.
        y._origin = ("sigmoid", ops.squeeze(x._origin[1], -1), x)
    return y


def pair(name: str, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Targets and predictions of the same shape and dtype, or an error: nothing is broadcast.

    Raises:
        ValueError: The shapes differ by more than a last axis of length 1.
    """
    y_pred = as_tensor(y_pred)
    y_true = as_tensor(y_true, y_pred.dtype)
    y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"{name}: `y_true` and `y_pred` must have the same shape. "
            f"Received: y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}. "
            "Nothing is broadcast in a loss: reshape or repeat one of them."
        )
    return y_true, y_pred


def apply_mask(sample_weight: Tensor | None, mask: Any, dtype: str, reduction: str | None) -> Tensor | None:
    """The weights with the mask multiplied in.

    For the reductions that divide by the number of values, the mask is scaled by total / valid, so
    that a masked mean is one over the valid values.
    """
    if mask is None:
        return sample_weight
    weight = as_tensor(mask, dtype)
    if reduction in _MEANS:
        total = float(math.prod(weight.shape))
        weight = ops.multiply(weight, ops.divide_no_nan(total, ops.sum(weight)))
    if sample_weight is None:
        return weight
    return ops.multiply(*squeeze_or_expand_to_same_rank(as_tensor(sample_weight, dtype), weight))


def reduce_weighted(
    values: Tensor,
    sample_weight: Any = None,
    mask: Any = None,
    reduction: str | None = "sum_over_batch_size",
    name: str = "loss",
) -> Tensor:
    """A loss's values, weighted, masked and reduced.

    Raises:
        ValueError: The weights do not fit the values.
    """
    weight = None if sample_weight is None else as_tensor(sample_weight, values.dtype)
    if weight is not None and mask is not None:
        check_weight(name, values.shape, weight.shape)
    if mask is not None and not _fits(values.shape, tuple(mask.shape)):
        raise ValueError(
            f"{name}: the mask of the predictions must have the shape of the loss values, {values.shape}. "
            f"Received: mask.shape={tuple(mask.shape)}"
        )
    weight = apply_mask(weight, mask, values.dtype, reduction)
    if weight is not None:
        if values.shape:
            values, weight = squeeze_or_expand_to_same_rank(values, weight)
            check_weight(name, values.shape, weight.shape)
        elif weight.shape:
            warnings.warn(
                f"the loss '{name}' returns one number for a whole batch, so weights of samples and classes "
                "only scale it; to weight them, return one value per sample: ops.mean(..., axis=-1)",
                stacklevel=users_level(),
            )
        values = ops.multiply(values, weight)
    if reduction is None:
        return values
    if reduction == "sum" or values.size == 0:
        return ops.sum(values)
    if reduction == "mean_with_sample_weight" and weight is not None:
        return ops.divide_no_nan(ops.sum(values), ops.sum(weight))
    return ops.mean(values)


def _fits(values: tuple[int, ...], weight: tuple[int, ...]) -> bool:
    """Whether weights of one shape go with values of the other, 1 standing for any size."""
    if len(values) == len(weight) + 1 and values[-1] == 1:
        values = values[:-1]
    if len(weight) == len(values) + 1 and weight[-1] == 1:
        weight = weight[:-1]
    return len(weight) == len(values) and all(w in (1, n) for w, n in zip(weight, values, strict=True))


def check_weight(name: str, values: tuple[int, ...], weight: tuple[int, ...]) -> None:
    """Raises ValueError unless weights of one shape fit values of the other, axis by axis."""
    if weight and not _fits(values, weight):
        raise ValueError(
            f"{name}: `sample_weight` must be a number or have the shape of the loss values, {values}, "
            f"possibly with 1 in the place of some dimension. Received: sample_weight.shape={weight}. "
            "To weight whole samples, give one weight each, of shape "
            f"{(values[:1] + (1,) * (len(values) - 1)) or '()'}."
        )
