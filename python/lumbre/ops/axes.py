"""How arguments that name axes, shapes and dtypes are read."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbre import config


def normalize_axis(name: str, axis: Any, rank: int) -> int:
    """The axis counted from the front.

    Args:
        name: The op, for the message.
        axis: A whole number in [-rank, rank).
        rank: The number of axes there are.

    Raises:
        TypeError: It is not a whole number.
        numpy.exceptions.AxisError: It is out of range (a ValueError and an IndexError).

    Example:
        >>> normalize_axis("sum", -1, 3)
        2
    """
    try:
        number = operator.index(axis)
    except TypeError:
        raise TypeError(f"{name}: axis must be an int, got {axis!r} ({type(axis).__name__})") from None
    if not -rank <= number < rank:
        span = f"pass one in [{-rank}, {rank - 1}]" if rank else "a scalar has none"
        raise np.exceptions.AxisError(
            f"{name}: axis {number} is out of range for a tensor of rank {rank}; {span}"
        )
    return number % rank


def normalize_axes(name: str, axis: Any, rank: int) -> tuple[int, ...]:
    """The axes counted from the front, in ascending order.

    Args:
        name: The op, for the message.
        axis: A whole number, several of them, or None for all axes.
        rank: The number of axes there are.

    Raises:
        TypeError: Something else.
        ValueError: An axis is named twice.
        numpy.exceptions.AxisError: An axis is out of range (a ValueError and an IndexError).

    Example:
        >>> normalize_axes("sum", (-1, 0), 3)
        (0, 2)
    """
    if axis is None:
        return tuple(range(rank))
    if not isinstance(axis, (tuple, list)):
        return (normalize_axis(name, axis, rank),)
    axes = sorted(normalize_axis(name, a, rank) for a in axis)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{name}: each axis may be named once, got axis={axis} for a tensor of rank {rank}")
    return tuple(axes)


def normalize_shape(name: str, shape: Any) -> tuple[int, ...]:
    """The shape as a tuple of ints.

    Args:
        name: The op, for the message.
        shape: A size or a sequence of sizes.

    Raises:
        TypeError: A size is not a whole number.
        ValueError: A size is negative.

    Example:
        >>> normalize_shape("zeros", [2, 3])
        (2, 3)
    """
    given: Sequence[Any] = shape if isinstance(shape, (tuple, list)) else (shape,)
    try:
        sizes = tuple(operator.index(n) for n in given)
    except TypeError:
        hint = "; sizes that None stands for are known in the `call` of a layer" if None in given else ""
        raise TypeError(f"{name}: a shape is made of ints, got {shape!r}{hint}") from None
    if any(n < 0 for n in sizes):
        raise ValueError(f"{name}: a shape has no negative sizes, got {shape!r}")
    return sizes


def dtype_name(dtype: Any, default: str | None = None) -> str:
    """The name of a dtype given as a string, a Python type or a NumPy dtype; `default` or floatx for None.

    Example:
        >>> dtype_name(np.int64), dtype_name(float), dtype_name(None, "bool")
        ('int64', 'float32', 'bool')
    """
    if dtype is None:
        return default or config.floatx()
    if not isinstance(dtype, str):  # a NumPy dtype would be equal to the Python type of its width
        dtype = dtype.__name__ if dtype is float or dtype is int else np.dtype(dtype).name
    name: str = dtype
    return {"float": config.floatx(), "int": "int32"}.get(name, name)
