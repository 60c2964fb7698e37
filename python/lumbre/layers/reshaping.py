"""Layers that move values around."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lumbre import config, ops
from lumbre.layers.input_spec import InputSpec
from lumbre.layers.layer import Layer

Shape = tuple[int | None, ...]


def resolve_target(target: Shape, sizes: Shape, where: str = "target_shape") -> Shape:
    """The target shape with -1 replaced by the size that is left, None if sizes are unknown.

    Raises:
        ValueError: The number of values would change.
    """
    unknown = [i for i, n in enumerate(target) if n == -1]
    if len(unknown) > 1:
        raise ValueError(f"There must be at most one unknown dimension (-1) in {where}. Received: {target}")
    if None in sizes:
        return tuple(None if n == -1 else n for n in target)
    total = math.prod(n for n in sizes if n is not None)
    known = math.prod(n for n in target if n not in (-1, None))
    if not unknown:
        if total != known:
            raise ValueError(
                "The total size of the tensor must be unchanged. "
                f"Received: input_shape={sizes}, {where}={target}"
            )
        return target
    if known == 0 or total % known:
        raise ValueError(
            "The total size of the tensor must be unchanged, however, the input size cannot by divided by "
            f"the specified dimensions in {where}. Received: input_shape={sizes}, {where}={target}"
        )
    return tuple(total // known if n == -1 else n for n in target)


class Flatten(Layer):
    """Puts all axes but the batch into one: (batch, a, b, …) to (batch, a·b·…).

    Args:
        data_format: "channels_last" (the default of the configuration) or "channels_first", which
            moves the channels to the end before.

    Example:
        >>> import lumbre
        >>> lumbre.layers.Flatten()(lumbre.ops.ones((2, 3, 4))).shape
        (2, 12)
    """

    _exact_shapes = True

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        data_format = config.image_data_format() if data_format is None else data_format.lower()
        if data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                "The `data_format` argument must be one of {'channels_first', 'channels_last'}. "
                f"Received: data_format={data_format}"
            )
        self.data_format = data_format
        self.input_spec = InputSpec(min_ndim=1)
        self.built = True

    def call(self, inputs: Any) -> Any:
        shape = inputs.shape
        if self.data_format == "channels_first" and len(shape) > 2:
            inputs = ops.transpose(inputs, (0, *range(2, len(shape)), 1))
        return ops.reshape(inputs, (shape[0], math.prod(shape[1:])))  # (b, values)

    def compute_output_shape(self, input_shape: Any) -> Any:
        rest = input_shape[1:]
        return (input_shape[0], None if None in rest else math.prod(rest))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


class Reshape(Layer):
    """Gives each sample another shape.

    Args:
        target_shape: The shape, without the batch; one size may be -1.

    Raises:
        ValueError: The number of values would change.

    Example:
        >>> import lumbre
        >>> lumbre.layers.Reshape((2, -1))(lumbre.ops.ones((5, 6))).shape
        (5, 2, 3)
    """

    _exact_shapes = True

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)
        if self.target_shape.count(-1) > 1:
            raise ValueError(
                "There must be at most one unknown dimension (-1) in target_shape. "
                f"Received: target_shape={target_shape}."
            )
        self.built = True

    def call(self, inputs: Any) -> Any:
        shape = inputs.shape
        return ops.reshape(inputs, (shape[0], *resolve_target(self.target_shape, shape[1:])))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], *resolve_target(self.target_shape, tuple(input_shape[1:])))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_shape": self.target_shape}


class Permute(Layer):
    """Puts the axes of each sample into another order.

    Args:
        dims: The axes in their new order, counted from 1 (0 is the batch).

    Raises:
        ValueError: `dims` is not a permutation of 1, 2, …

    Example:
        >>> import lumbre
        >>> lumbre.layers.Permute((2, 1))(lumbre.ops.ones((5, 2, 3))).shape
        (5, 3, 2)
    """

    _exact_shapes = True

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                "Invalid permutation argument `dims` for Permute Layer. The set of indices in `dims` must be "
                f"consecutive and start from 1. Received dims={dims}"
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)
        self.built = True

    def call(self, inputs: Any) -> Any:
        return ops.transpose(inputs, (0, *self.dims))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], *(input_shape[d] for d in self.dims))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dims": self.dims}


class RepeatVector(Layer):
    """Repeats each sample n times along a new axis: (batch, features) to (batch, n, features).

    Args:
        n: How often.

    Raises:
        TypeError: `n` is not an integer.
        ValueError: `n` is not positive.

    Example:
        >>> import lumbre
        >>> lumbre.layers.RepeatVector(3)(lumbre.ops.ones((5, 2))).shape
        (5, 3, 2)
    """

    _exact_shapes = True

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(n, int):
            raise TypeError(f"Expected an integer value for `n`, got {type(n)}.")
        if n <= 0:
            raise ValueError(f"Argument `n` should be a positive integer. Received: n={n}")
        self.n = n
        self.input_spec = InputSpec(ndim=2)
        self.built = True

    def call(self, inputs: Any) -> Any:
        batch, width = inputs.shape
        return ops.broadcast_to(ops.expand_dims(inputs, 1), (batch, self.n, width))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], self.n, input_shape[1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}
