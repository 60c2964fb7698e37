"""Running sums and products, and the product whose gradient is made of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lumbre.autograd import FLOATS, Rule, Tensor, as_tensor, kernel, record
from lumbre.ops import creation
from lumbre.ops import elementwise as ew
from lumbre.ops.axes import dtype_name, normalize_axes, normalize_axis
from lumbre.ops.dtypes import cast
from lumbre.ops.joining import concatenate
from lumbre.ops.reduce import AXIS_BAD, computing, fold, kept_shape
from lumbre.ops.shapes import reshape, take_steps, transpose
from lumbre.ops.table import Bad, Case, In, op

_INTS = In((3, 4), -9, 9, dtype="int32")
_3D = In((3, 4, 5))
_SMALL = In((3, 2, 4), 0.5, 1.5)


def _scan(name: str, x: Tensor, axis: int, reverse: bool) -> Tensor:
    """Running sums or products along an axis, from its start or its end."""

    def sums(g: Tensor, y: Tensor) -> Tensor:
        return _scan("cumsum", g, axis, not reverse)

    def products(g: Tensor, y: Tensor) -> Tensor:
        return ew.divide(_scan("cumsum", ew.multiply(g, y), axis, not reverse), x)

    rule: Rule = sums if name == "cumsum" else products
    return record(kernel(name, x, axis=axis, reverse=reverse), (x,), (rule,), name=name)


def _running(name: str, x: Any, axis: Any, dtype: Any) -> Tensor:
    x, came = computing(x if dtype is None else as_tensor(x, dtype_name(dtype)))
    if axis is None:
        x, axis = reshape(x, (x.size,)), 0
    y = _scan(name, x, normalize_axis(name, axis, x.ndim), False)
    return cast(y, came) if came in FLOATS else y


_SCAN_BAD = [
    Bad((np.ones((2, 3), "float32"), 2), IndexError, "axis 2 is out of range for a tensor of rank 2")
]


@op(
    ref=lambda x, axis=None, dtype=None: np.cumsum(x, axis=axis),
    cases=[Case((_3D, axis), ulp=16) for axis in (None, 0, 1, -1)] + [Case((_INTS, 1))],
    bad=_SCAN_BAD,
    kernels=["cumsum"],
)
def cumsum(x: Any, axis: Any = None, dtype: Any = None) -> Tensor:
    """Running sums y[i] = x[0] + … + x[i] along an axis.

    Args:
        x: A tensor. Booleans and integers of up to 16 bits are summed as int32.
        axis: An axis, or None to flatten first.
        dtype: The dtype to compute in and to return, by default the tensor's.

    Raises:
        IndexError, ValueError: The axis is out of range.

    Example:
        >>> from lumbre import ops
        >>> ops.cumsum([1, 2, 3]).numpy()
        array([1, 3, 6], dtype=int32)
    """
    return _running("cumsum", x, axis, dtype)


@op(
    ref=lambda x, axis=None, dtype=None: np.cumprod(x, axis=axis),
    cases=[Case((_SMALL, axis), ulp=32) for axis in (None, 0, 1, -1)],
    bad=_SCAN_BAD,
    kernels=["cumprod"],
)
def cumprod(x: Any, axis: Any = None, dtype: Any = None) -> Tensor:
    """Running products y[i] = x[0] · … · x[i] along an axis. The gradient needs elements that are not zero.

    Arguments and errors as for `cumsum`.

    Example:
        >>> from lumbre import ops
        >>> ops.cumprod([1.0, 2.0, 3.0]).numpy()
        array([1., 2., 6.], dtype=float32)
    """
    return _running("cumprod", x, axis, dtype)


def _others(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """For each element, the product of the other ones that are reduced with it: exact where some are zero."""
    order = tuple(i for i in range(x.ndim) if i not in axes) + axes
    moved = transpose(x, order)
    n = math.prod(x.shape[i] for i in axes)
    lines = reshape(moved, (x.size // n, n))
    edge, rest = creation.ones((lines.shape[0], 1), x.dtype), (lines.shape[0], n - 1)
    before = concatenate([edge, take_steps(_scan("cumprod", lines, 1, False), (0, 0), rest, (1, 1))], axis=1)
    after = concatenate([take_steps(_scan("cumprod", lines, 1, True), (0, 1), rest, (1, 1)), edge], axis=1)
    return transpose(reshape(ew.multiply(before, after), moved.shape), tuple(np.argsort(order)))


@op(
    ref=lambda x, axis=None, keepdims=False, dtype=None: np.prod(x, axis=axis, keepdims=keepdims),
    cases=[
        Case((_SMALL,), ulp=32),
        Case((_SMALL, 1)),
        Case((_SMALL, (0, -1), True), ulp=32),
        Case((_SMALL, ())),
        Case((In((3, 2), 1, 5, dtype="int32"), 0)),
        Case((In((3, 4100), 0.999, 1.001), 1), ulp=512, grad=False),
    ],
    bad=AXIS_BAD,
    kernels=["prod"],
)
def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Tensor:
    """Π x over axes.

    The gradient is exact where elements are zero; its own gradient needs elements that are not.

    Args:
        x: A tensor. Booleans and integers of up to 16 bits are multiplied as int32.
        axis: An axis, several, or None for all.
        keepdims: Whether the axes stay, with size 1.
        dtype: The dtype to compute in and to return, by default the tensor's.

    Raises:
        IndexError, ValueError: An axis is out of range or named twice.

    Example:
        >>> from lumbre import ops
        >>> ops.prod([1.0, 2.0, 3.0]).numpy()
        array(6., dtype=float32)
    """
    x, came = computing(x if dtype is None else as_tensor(x, dtype_name(dtype)))
    axes = normalize_axes("prod", axis, x.ndim)
    kept = kept_shape(x.shape, axes)

    def rule(g: Tensor, y: Tensor) -> Tensor:
        if x.size == 0:
            return creation.zeros(x.shape, x.dtype)
        return ew.multiply(reshape(g, kept), _others(x, axes))

    y = record(fold("prod", x, axes, keepdims), (x,), (rule,), name="prod")
    return cast(y, came) if came in FLOATS else y
