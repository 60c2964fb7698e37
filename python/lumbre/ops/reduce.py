"""Folds over axes: sums, means, extremes and their positions, truth.

The order of additions is fixed by the shape alone (the kernels' contract), so results have the same bits for
any number of threads and on any processor.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lumbre.autograd import FLOATS, Tensor, as_tensor, kernel, record, wrap
from lumbre.ops import creation
from lumbre.ops import elementwise as ew
from lumbre.ops.axes import normalize_axes, normalize_axis
from lumbre.ops.dtypes import WIDE, cast
from lumbre.ops.shapes import broadcast_to, reshape
from lumbre.ops.table import Bad, Case, In, op


def computing(x: Any) -> tuple[Tensor, str]:
    """The operand in a dtype that kernels compute in, and the dtype that it came in."""
    t = as_tensor(x)
    dtype = t.dtype
    return (cast(t, WIDE[dtype]) if dtype in WIDE else t), dtype


def floating(x: Any) -> tuple[Tensor, str]:
    """The operand as float32 or float64, and the dtype that the result is to have."""
    t = as_tensor(x)
    if t.dtype not in FLOATS:
        return cast(t, "float32"), "float32"
    return computing(t)


def kept_shape(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with size 1 in the places of the axes."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _count(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    return math.prod(shape[i] for i in axes)


def fold(name: str, x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """Calls a row that folds over axes."""
    y: Tensor = kernel(name, x, axes=axes)
    return wrap(y._a.reshape(kept_shape(x.shape, axes))) if keepdims else y


_3D = In((3, 4, 5))


def axis_cases(ulp: float = 8.0) -> list[Case]:
    """Every kind of reduction: all axes, the last, the first, several, none; long rows and tall columns."""
    return [
        Case((_3D,), ulp=ulp),
        Case((_3D, -1), ulp=ulp),
        Case((_3D, 0, True), ulp=ulp),
        Case((_3D, (0, 2)), ulp=ulp),
        Case((_3D, (-1, -2), True), ulp=ulp),
        Case((_3D, ()), ulp=ulp),
        Case((In(()),), ulp=ulp),
        Case((In((3, 4100)), 1), ulp=64),
        Case((In((4100, 3)), 0), ulp=64),
    ]


_ONES = np.ones((2, 3), "float32")
AXIS_BAD: list[Bad] = [
    Bad((_ONES, 2), IndexError, r"axis 2 is out of range for a tensor of rank 2"),
    Bad((_ONES, -3), ValueError, r"axis -3 is out of range"),
    Bad((_ONES, (0, -2)), ValueError, "each axis may be named once"),
    Bad((_ONES, 0.5), TypeError, "axis must be an int"),
]
_INTS = In((3, 4), -9, 9, dtype="int32")
_NONE = np.ones((0, 3), "float32")


@op(
    ref=lambda x, axis=None, keepdims=False: np.sum(x, axis=axis, keepdims=keepdims),
    cases=[*axis_cases(), Case((_INTS, 1)), Case((In((4, 3), dtype="bool"), 0))],
    bad=AXIS_BAD,
    kernels=["sum"],
)
def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Σ x over axes.

    Args:
        x: A tensor. Booleans and integers of up to 16 bits are summed as int32.
        axis: An axis, several, or None for all.
        keepdims: Whether the axes stay, with size 1.

    Raises:
        IndexError, ValueError: An axis is out of range or named twice.

    Example:
        >>> from lumbre import ops
        >>> ops.sum([[1.0, 2.0], [3.0, 4.0]], axis=0).numpy()
        array([4., 6.], dtype=float32)
    """
    x, dtype = computing(x)
    shape = x.shape
    axes = normalize_axes("sum", axis, len(shape))

    def rule(g: Tensor, y: Tensor) -> Tensor:
        return broadcast_to(reshape(g, kept_shape(shape, axes)), shape)

    y = record(fold("sum", x, axes, keepdims), (x,), (rule,), name="sum")
    return cast(y, dtype) if dtype in FLOATS else y


@op(
    ref=lambda x, axis=None, keepdims=False: np.mean(x, axis=axis, keepdims=keepdims),
    cases=[*axis_cases(), Case((_INTS, 1))],
    bad=AXIS_BAD,
    kernels=["mean"],
)
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean Σ x / n over axes.

    Args:
        x: A tensor. Booleans and integers are averaged as float32.
        axis: An axis, several, or None for all.
        keepdims: Whether the axes stay, with size 1.

    Returns:
        The means; NaN of no elements.

    Raises:
        IndexError, ValueError: An axis is out of range or named twice.

    Example:
        >>> from lumbre import ops
        >>> ops.mean([1, 2, 4]).numpy()
        array(2.3333333, dtype=float32)
    """
    x, dtype = floating(x)
    shape = x.shape
    axes = normalize_axes("mean", axis, len(shape))

    def rule(g: Tensor, y: Tensor) -> Tensor:
        share = ew.divide(g, float(_count(shape, axes)))
        return broadcast_to(reshape(share, kept_shape(shape, axes)), shape)

    y = record(fold("mean", x, axes, keepdims), (x,), (rule,), name="mean")
    return cast(y, dtype)


def _extreme(name: str, x: Any, axis: Any, keepdims: bool, initial: Any) -> Tensor:
    x, dtype = computing(x)
    axes = normalize_axes(name, axis, x.ndim)
    kept, rest = kept_shape(x.shape, axes), tuple(n for i, n in enumerate(x.shape) if i not in axes)
    better = ew.maximum if name == "max" else ew.minimum
    if _count(x.shape, axes) == 0 and math.prod(rest) > 0:
        if initial is None:
            raise ValueError(
                f"{name}: a tensor of shape {x.shape} has no elements along axis {axis} to take the {name} "
                f"of; pass initial=..."
            )
        return creation.full(kept if keepdims else rest, initial, dtype)

    def rule(g: Tensor, y: Tensor) -> Tensor:
        hits = cast(ew.equal(x, reshape(y, kept)), g.dtype)
        share = ew.divide(reshape(g, kept), sum(hits, axes, keepdims=True))
        return ew.multiply(hits, share)

    y = cast(record(fold(name, x, axes, keepdims), (x,), (rule,), name=name), dtype)
    return y if initial is None else better(y, as_tensor(initial, dtype))


def _extreme_cases() -> list[Case]:
    return [
        *axis_cases(0.0),
        Case((_INTS, 1)),
        Case((_3D, 1, False, 0.5)),
        Case((In((3, 4), dtype="bool"), 1)),
    ]


def _extreme_bad() -> list[Bad]:
    return [*AXIS_BAD, Bad((_NONE, 0), ValueError, "has no elements along axis 0")]


@op(
    ref=lambda x, axis=None, keepdims=False, initial=None: np.max(
        x, axis=axis, keepdims=keepdims, **({} if initial is None else {"initial": initial})
    ),
    cases=_extreme_cases(),
    bad=_extreme_bad(),
    kernels=["max"],
)
def max(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The greatest element over axes; NaN where there is one.

    Equal greatest elements share the gradient equally, as in JAX.

    Args:
        x: A tensor.
        axis: An axis, several, or None for all.
        keepdims: Whether the axes stay, with size 1.
        initial: A number that takes part, and is the result where there are no elements.

    Raises:
        IndexError, ValueError: An axis is out of range or named twice; no elements and no `initial`.

    Example:
        >>> from lumbre import ops
        >>> ops.max([[1, 5], [7, 2]], axis=1).numpy()
        array([5, 7], dtype=int32)
    """
    return _extreme("max", x, axis, keepdims, initial)


@op(
    ref=lambda x, axis=None, keepdims=False, initial=None: np.min(
        x, axis=axis, keepdims=keepdims, **({} if initial is None else {"initial": initial})
    ),
    cases=_extreme_cases(),
    bad=_extreme_bad(),
    kernels=["min"],
)
def min(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The least element over axes; NaN where there is one. Arguments and errors as for `max`.

    Example:
        >>> from lumbre import ops
        >>> ops.min([[1, 5], [7, 2]], axis=0).numpy()
        array([1, 2], dtype=int32)
    """
    return _extreme("min", x, axis, keepdims, initial)


def _truth(name: str, x: Any, axis: Any, keepdims: bool) -> Tensor:
    t = as_tensor(x)
    t = t if t.dtype == "bool" else cast(t, "bool")
    return fold(name, t, normalize_axes(name, axis, t.ndim), keepdims)


_BOOLS = [Case((In((3, 4), dtype="bool"), axis)) for axis in (None, 0, (1,))]
_BOOLS += [Case((In((3, 2), -1, 2, dtype="int32"), 1, True)), Case((In((2, 3)), -1), grad=False)]


@op(
    ref=lambda x, axis=None, keepdims=False: np.any(x, axis=axis, keepdims=keepdims),
    cases=_BOOLS,
    bad=AXIS_BAD,
    kernels=["any"],
)
def any(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether any element is true, that is, not zero (NaN is true), over axes; false of no elements.

    Args:
        x: A tensor.
        axis: An axis, several, or None for all.
        keepdims: Whether the axes stay, with size 1.

    Raises:
        IndexError, ValueError: An axis is out of range or named twice.

    Example:
        >>> from lumbre import ops
        >>> ops.any([[0, 2], [0, 0]], axis=1).numpy()
        array([ True, False])
    """
    return _truth("any", x, axis, keepdims)


@op(
    ref=lambda x, axis=None, keepdims=False: np.all(x, axis=axis, keepdims=keepdims),
    cases=_BOOLS,
    bad=AXIS_BAD,
    kernels=["all"],
)
def all(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether all elements are true, that is, not zero (NaN is true), over axes; true of no elements.

    Arguments and errors as for `any`.

    Example:
        >>> from lumbre import ops
        >>> ops.all([[1, 2], [0, 3]], axis=1).numpy()
        array([ True, False])
    """
    return _truth("all", x, axis, keepdims)


def _position(name: str, x: Any, axis: Any, keepdims: bool) -> Tensor:
    x, _ = computing(x)
    shape = x.shape
    if axis is None:
        x, along, kept = reshape(x, (x.size,)), 0, (1,) * len(shape)
    else:
        along = normalize_axis(name, axis, x.ndim)
        kept = kept_shape(shape, (along,))
    if x.shape[along] == 0 and math.prod(kept) > 0:
        raise ValueError(f"{name}: a tensor of shape {shape} has no elements along axis {axis}")
    y: Tensor = kernel(name, x, axis=along)
    return wrap(y._a.reshape(kept)) if keepdims else y


_ARG_CASES = [
    *[Case((_3D, axis), grad=False) for axis in (None, 0, 1, -1)],
    Case((In((3, 4)), 1, True), grad=False),
    Case((In((3, 4)), None, True), grad=False),
    Case((In((5, 200), 0, 9, dtype="int32"), 1)),
    Case((In((200, 5), 0, 9, dtype="int32"), 0)),
    Case((In((3, 4), dtype="bool"), 1)),
    Case((In(()),), grad=False),
]
_ARG_BAD = [
    Bad((np.ones((2, 3), "float32"), 2), IndexError, "axis 2 is out of range for a tensor of rank 2"),
    Bad((np.ones((2, 3), "float32"), "0"), TypeError, "axis must be an int"),
    Bad((_NONE, 0), ValueError, "no elements along axis 0"),
]


@op(
    ref=lambda x, axis=None, keepdims=False: np.argmax(x, axis=axis, keepdims=keepdims),
    cases=_ARG_CASES,
    bad=_ARG_BAD,
    kernels=["argmax"],
)
def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The position of the greatest element along an axis, int32: the first of equals, or the first NaN.

    Args:
        x: A tensor.
        axis: An axis, or None for the position in the flattened tensor.
        keepdims: Whether the axis stays, with size 1.

    Raises:
        IndexError, ValueError: The axis is out of range, or has no elements.

    Example:
        >>> from lumbre import ops
        >>> ops.argmax([[1.0, 3.0], [5.0, 2.0]], axis=1).numpy()
        array([1, 0], dtype=int32)
    """
    return _position("argmax", x, axis, keepdims)


@op(
    ref=lambda x, axis=None, keepdims=False: np.argmin(x, axis=axis, keepdims=keepdims),
    cases=_ARG_CASES,
    bad=_ARG_BAD,
    kernels=["argmin"],
)
def argmin(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The position of the least element along an axis, int32: the first of equals, or the first NaN.

    Arguments and errors as for `argmax`.

    Example:
        >>> from lumbre import ops
        >>> ops.argmin([[1.0, 3.0], [5.0, 2.0]], axis=1).numpy()
        array([0, 1], dtype=int32)
    """
    return _position("argmin", x, axis, keepdims)
