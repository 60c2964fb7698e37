"""Regularizers: penalties on weights or activations, added to the loss.

A regularizer is called with a tensor and returns a scalar Tensor. Any callable will do; the classes
here can also be named and saved.
"""

from __future__ import annotations

import math
from typing import Any

from lumbre import ops
from lumbre.autograd import as_tensor
from lumbre.capture import Tracked
from lumbre.lookup import Lookup


class Regularizer(Tracked):
    """A penalty `__call__(x)` on a tensor. Subclasses define it and `get_config`.

    Example:
        >>> import lumbre
        >>> class Mean(lumbre.regularizers.Regularizer):
        ...     def __call__(self, x):
        ...         return 0.5 * lumbre.ops.mean(lumbre.ops.abs(x))
        >>> Mean()([[2.0, -4.0]]).item()
        1.5
    """

    def __call__(self, x: Any) -> Any:
        return 0.0

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain Python values."""
        raise NotImplementedError(f"{type(self).__name__} does not implement get_config()")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        """The regularizer that `get_config` described."""
        return cls(**config)


class L1(Regularizer):
    """`l1 · Σ|x|`, which draws weights to exactly zero.

    Raises:
        ValueError: The factor is negative or no number.

    Example:
        >>> import lumbre
        >>> lumbre.regularizers.L1(0.5)([1.0, -2.0]).item()
        1.5
    """

    def __init__(self, l1: float | None = 0.01) -> None:
        self.l1 = _factor(0.01 if l1 is None else l1, "l1")

    def __call__(self, x: Any) -> Any:
        return ops.multiply(ops.sum(ops.abs(x)), self.l1)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(Regularizer):
    """`l2 · Σx²` (without a ½), also known as weight decay or ridge.

    Raises:
        ValueError: The factor is negative or no number.

    Example:
        >>> import lumbre
        >>> lumbre.regularizers.L2(0.5)([1.0, -2.0]).item()
        2.5
    """

    def __init__(self, l2: float | None = 0.01) -> None:
        self.l2 = _factor(0.01 if l2 is None else l2, "l2")

    def __call__(self, x: Any) -> Any:
        return ops.multiply(ops.sum(ops.square(x)), self.l2)

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


class L1L2(Regularizer):
    """`l1 · Σ|x| + l2 · Σx²`.

    Raises:
        ValueError: A factor is negative or no number.

    Example:
        >>> import lumbre
        >>> lumbre.regularizers.L1L2(l1=1.0, l2=0.5)([1.0, -2.0]).item()
        5.5
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _factor(l1 or 0.0, "l1")
        self.l2 = _factor(l2 or 0.0, "l2")

    def __call__(self, x: Any) -> Any:
        terms = []
        if self.l1:
            terms.append(ops.multiply(ops.sum(ops.abs(x)), self.l1))
        if self.l2:
            terms.append(ops.multiply(ops.sum(ops.square(x)), self.l2))
        if not terms:
            return as_tensor(0.0)
        return terms[0] if len(terms) == 1 else ops.add(*terms)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean |cosine| between different rows (or columns) of a matrix.

    It is smallest where they are orthogonal. The input must have two dimensions.

    Args:
        factor: The factor, not negative.
        mode: "rows" or "columns".

    Raises:
        ValueError: An argument is none of these, or the input is no matrix.

    Example:
        >>> import lumbre
        >>> regularizer = lumbre.regularizers.OrthogonalRegularizer(factor=1.0)
        >>> regularizer([[1.0, 0.0], [0.0, 2.0]]).item()
        0.0
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor(factor, "factor")
        if mode not in ("rows", "columns"):
            raise ValueError(
                'Invalid value for argument `mode`. Expected one of {"rows", "columns"}. '
                f"Received: mode={mode}"
            )
        self.mode = mode

    def __call__(self, x: Any) -> Any:
        x = as_tensor(x)
        if x.ndim != 2:
            raise ValueError(
                f"Inputs to OrthogonalRegularizer must have rank 2. Received: inputs.shape={x.shape}"
            )
        axis, n = (1, x.shape[0]) if self.mode == "rows" else (0, x.shape[1])
        squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
        unit = ops.divide(x, ops.sqrt(ops.maximum(squares, 1e-12)))
        pairs = [unit, ops.transpose(unit)] if axis == 1 else [ops.transpose(unit), unit]
        cosines = ops.multiply(ops.matmul(*pairs), ops.subtract(1.0, ops.eye(n, dtype=x.dtype)))
        # Each pair stands in the matrix twice; a single row has no pair and no penalty.
        total = ops.multiply(ops.sum(ops.abs(cosines)), 0.5 * self.factor)
        return ops.divide(total, max(n * (n - 1) / 2.0, 1.0))

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


def _factor(value: Any, name: str) -> float:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not good or value < 0:
        raise ValueError(
            f"Invalid value for argument {name}: expected a non-negative float. Received: {name}={value}"
        )
    return float(value)


l1 = L1
l2 = L2
l1_l2 = L1L2
orthogonal_regularizer = OrthogonalRegularizer

_lookup = Lookup(
    "regularizer",
    "keras.regularizers",
    [L1, L2, L1L2, OrthogonalRegularizer],
    aliases={"l1_l2": L1L2},
)

get = _lookup.get
serialize = _lookup.serialize
deserialize = _lookup.deserialize
