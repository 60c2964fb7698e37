"""Constraints: what a weight must fulfil after every step of the optimizer.

A constraint is called with a weight and returns the tensor to replace it with. `axis` is the axis, or
the list of axes, along which a norm is taken: 0 for a Dense kernel `(inputs, units)`, whose units
are then constrained one by one, and `[0, 1, 2]` for a convolution's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lumbre import ops
from lumbre.capture import Tracked
from lumbre.config import epsilon
from lumbre.lookup import Lookup


class Constraint(Tracked):
    """A function `__call__(w)` from a weight to the nearest allowed one.

    Example:
        >>> import lumbre
        >>> class AtMostOne(lumbre.constraints.Constraint):
        ...     def __call__(self, w):
        ...         return lumbre.ops.minimum(w, 1.0)
        >>> AtMostOne()([0.5, 2.0]).numpy()
        array([0.5, 1. ], dtype=float32)
    """

    def __call__(self, w: Any) -> Any:
        raise NotImplementedError("Constraint subclasses must implement the `__call__()` method.")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain Python values."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constraint:
        """The constraint that `get_config` described."""
        return cls(**config)


class MaxNorm(Constraint):
    """Shrinks what has a norm above `max_value` to that norm.

    Source: Srivastava et al. 2014, Dropout: A Simple Way to Prevent Neural Networks from Overfitting.

    Raises:
        ValueError: `max_value` is negative.

    Example:
        >>> import lumbre
        >>> lumbre.constraints.MaxNorm(1.0)([[3.0], [4.0]]).numpy().round(4)
        array([[0.6],
               [0.8]], dtype=float32)
    """

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        _check_bounds(0.0, max_value)
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        norms = _norms(w, self.axis)
        desired = ops.clip(norms, 0.0, self.max_value)
        return ops.multiply(w, ops.divide(desired, ops.add(norms, epsilon())))

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


class MinMaxNorm(Constraint):
    """Moves norms into [min_value, max_value], by the share `rate` of the way at each step.

    Raises:
        ValueError: A bound is negative, the upper one is below the lower one, or `rate` is outside [0, 1].

    Example:
        >>> import lumbre
        >>> lumbre.constraints.MinMaxNorm(1.0, 2.0)([[0.3], [0.4]]).numpy().round(4)
        array([[0.6],
               [0.8]], dtype=float32)
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | Sequence[int] = 0,
    ) -> None:
        _check_bounds(min_value, max_value)
        if not 0 <= rate <= 1:
            raise ValueError(f"Argument `rate` must lie in [0, 1]. Received: rate={rate}")
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        norms = _norms(w, self.axis)
        clipped = ops.clip(norms, self.min_value, self.max_value)
        desired = ops.add(ops.multiply(clipped, self.rate), ops.multiply(norms, 1 - self.rate))
        return ops.multiply(w, ops.divide(desired, ops.add(norms, epsilon())))

    def get_config(self) -> dict[str, Any]:
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


class NonNeg(Constraint):
    """Sets negative elements to zero.

    Example:
        >>> import lumbre
        >>> lumbre.constraints.NonNeg()([-1.0, 2.0]).numpy()
        array([0., 2.], dtype=float32)
    """

    def __call__(self, w: Any) -> Any:
        return ops.relu(w)


class UnitNorm(Constraint):
    """Scales to norm 1.

    Example:
        >>> import lumbre
        >>> lumbre.constraints.UnitNorm()([[3.0], [4.0]]).numpy().round(4)
        array([[0.6],
               [0.8]], dtype=float32)
    """

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        return ops.divide(w, ops.add(_norms(w, self.axis), epsilon()))

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


def _check_bounds(low: Any, high: Any) -> None:
    """Refuses bounds that no norm can keep (NaN included)."""
    if not 0 <= low <= high:
        raise ValueError(
            "The bounds of a norm must not be negative, nor the upper one below the lower one. "
            f"Received: min_value={low}, max_value={high}"
        )


def _norms(w: Any, axis: int | Sequence[int]) -> Any:
    along = axis if isinstance(axis, int) else tuple(axis)
    return ops.sqrt(ops.sum(ops.square(w), axis=along, keepdims=True))


max_norm = MaxNorm
min_max_norm = MinMaxNorm
non_neg = NonNeg
unit_norm = UnitNorm

_lookup = Lookup("constraint", "keras.constraints", [MaxNorm, MinMaxNorm, NonNeg, UnitNorm])

get = _lookup.get
serialize = _lookup.serialize
deserialize = _lookup.deserialize
