"""The base of all initializers, and those that draw nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbre import ops
from lumbre.autograd import Tensor, as_tensor
from lumbre.config import floatx
from lumbre.lookup import Options


class Initializer(Options):
    """What fills a new weight. Subclasses define `__call__(shape, dtype=None)` and `get_config`.

    Example:
        >>> import lumbre
        >>> class Sevens(lumbre.initializers.Initializer):
        ...     def __call__(self, shape, dtype=None):
        ...         return lumbre.ops.full(shape, 7.0, dtype=dtype)
        >>> Sevens()((2,)).numpy()
        array([7., 7.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        raise NotImplementedError("Initializer subclasses must implement the `__call__()` method.")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain Python values."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """The initializer that `get_config` described."""
        return cls(**config)

    def clone(self) -> Initializer:
        """Another initializer of the same configuration."""
        return type(self).from_config(self.get_config())


class Zeros(Initializer):
    """All elements are 0.

    Example:
        >>> import lumbre
        >>> lumbre.initializers.Zeros()((2,)).numpy()
        array([0., 0.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        return ops.zeros(tuple(shape), dtype=dtype or floatx())


class Ones(Initializer):
    """All elements are 1.

    Example:
        >>> import lumbre
        >>> lumbre.initializers.Ones()((2,)).numpy()
        array([1., 1.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        return ops.ones(tuple(shape), dtype=dtype or floatx())


class Constant(Initializer):
    """All elements are `value`: a number, or an array that broadcasts to the shape.

    Example:
        >>> import lumbre
        >>> lumbre.initializers.Constant(10.0)((2,)).numpy()
        array([10., 10.], dtype=float32)
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        return ops.broadcast_to(as_tensor(self.value, dtype or floatx()), tuple(shape))

    def get_config(self) -> dict[str, Any]:
        value = self.value
        return {"value": value if isinstance(value, (bool, int, float)) else np.asarray(value).tolist()}


class Identity(Initializer):
    """`gain` times the identity matrix; the shape must have two dimensions.

    Raises:
        ValueError: The shape has another number of dimensions.

    Example:
        >>> import lumbre
        >>> lumbre.initializers.Identity(gain=2.0)((2, 2)).numpy()
        array([[2., 0.],
               [0., 2.]], dtype=float32)
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        if len(shape) != 2:
            raise ValueError(
                "Identity matrix initializer can only be used for 2D matrices. "
                f"Received: shape={shape} of rank {len(shape)}."
            )
        return ops.multiply(ops.eye(shape[0], shape[1], dtype=dtype or floatx()), self.gain)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}
