"""Inputs, targets and weights in one value, as steps and data sets pass them on."""

from __future__ import annotations

from typing import Any, cast


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """`(x, y, sample_weight)` of what a train step or a data set has; None for what it has not.

    Args:
        data: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

    Raises:
        ValueError: A tuple has another number of members.

    Example:
        >>> unpack_x_y_sample_weight(([1.0], [0]))
        ([1.0], [0], None)
    """
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            "Data is expected to be in format `x`, `(x,)`, `(x, y)`, or `(x, y, sample_weight)`, "
            f"found: {data}"
        )
    return cast(tuple[Any, Any, Any], (*data, None, None)[:3])


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """What a train step receives: (x, y, sample_weight) without the trailing ones that are None.

    Example:
        >>> pack_x_y_sample_weight([1.0], [0])
        ([1.0], [0])
        >>> pack_x_y_sample_weight({"a": 1.0})
        {'a': 1.0}
    """
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, (list, tuple)) else x
