"""Spread, norms and counts: compositions of sums and extremes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lumbre import config
from lumbre.autograd import Tensor, as_tensor
from lumbre.ops import creation
from lumbre.ops import elementwise as ew
from lumbre.ops.axes import normalize_axes, normalize_axis
from lumbre.ops.dtypes import cast
from lumbre.ops.reduce import AXIS_BAD, axis_cases, floating, max, mean, min, sum
from lumbre.ops.shapes import reshape, squeeze
from lumbre.ops.table import Bad, Case, In, op

_3D = In((3, 4, 5))
_INTS = In((3, 4), -9, 9, dtype="int32")
_TINY = float(np.finfo("float32").tiny)  # what is less counts as zero


def _float_ref(f: Any) -> Any:
    """A reference that takes whole numbers as floats."""
    return lambda x, axis=None, keepdims=False: f(np.asarray(x, "float64"), axis=axis, keepdims=keepdims)


@op(ref=_float_ref(np.var), cases=[*axis_cases(16.0), Case((_INTS, 1))], bad=AXIS_BAD)
def var(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The variance mean((x − mean(x))²) over axes (divided by n, not n − 1), in two passes.

    Args:
        x: A tensor. Booleans and integers are taken as float32.
        axis: An axis, several, or None for all.
        keepdims: Whether the axes stay, with size 1.

    Raises:
        IndexError, ValueError: An axis is out of range or named twice.

    Example:
        >>> from lumbre import ops
        >>> ops.var([1.0, 2.0, 3.0, 4.0]).numpy()
        array(1.25, dtype=float32)
    """
    x, dtype = floating(x)
    axes = normalize_axes("var", axis, x.ndim)
    return cast(mean(ew.square(ew.subtract(x, mean(x, axes, True))), axes, keepdims), dtype)


@op(
    ref=_float_ref(np.std),
    cases=[Case((_3D,)), Case((_3D, -1)), Case((_3D, (0, 1), True)), Case((_INTS, 1))],
    bad=AXIS_BAD,
)
def std(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The standard deviation √var(x) over axes. Arguments and errors as for `var`.

    Example:
        >>> from lumbre import ops
        >>> ops.std([2.0, 4.0]).numpy()
        array(1., dtype=float32)
    """
    x, dtype = floating(x)
    return cast(ew.sqrt(var(x, normalize_axes("std", axis, x.ndim), keepdims)), dtype)


def _logsumexp_ref(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    m = np.max(x, axis=axis, keepdims=True)
    total = np.log(np.sum(np.exp(x - m), axis=axis, keepdims=True)) + m
    return total if keepdims else np.squeeze(total, axis=axis)


@op(
    ref=_logsumexp_ref,
    cases=[Case((_3D,)), Case((_3D, 1)), Case((_3D, (0, -1), True)), Case((In((2, 3), 80, 200), -1))],
    bad=AXIS_BAD,
)
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """log Σ exp(x) over axes, without overflow: the greatest element is taken out first.

    Args:
        x: A tensor. Booleans and integers are taken as float32.
        axis: An axis, several, or None for all.
        keepdims: Whether the axes stay, with size 1.

    Raises:
        IndexError, ValueError: An axis is out of range or named twice; there are no elements.

    Example:
        >>> from lumbre import ops
        >>> ops.logsumexp([1000.0, 1000.0]).numpy()
        array(1000.6932, dtype=float32)
    """
    x, dtype = floating(x)
    axes = normalize_axes("logsumexp", axis, x.ndim)
    greatest = max(creation.stop_gradient(x), axes, keepdims=True)
    greatest = ew.where(ew.isfinite(greatest), greatest, creation.zeros_like(greatest))
    total = ew.add(ew.log(sum(ew.exp(ew.subtract(x, greatest)), axes, keepdims=True)), greatest)
    return cast(total if keepdims else squeeze(total, axes), dtype)


def _vector_norm(x: Tensor, order: Any, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    if order in (None, 2):
        return ew.sqrt(sum(ew.square(x), axes, keepdims))
    if order == math.inf:
        return max(ew.abs(x), axes, keepdims)
    if order == -math.inf:
        return min(ew.abs(x), axes, keepdims)
    if order == 0:
        return sum(cast(ew.not_equal(x, 0.0), x.dtype), axes, keepdims)
    if order == 1:
        return sum(ew.abs(x), axes, keepdims)
    powers = sum(ew.power(ew.abs(x), float(order)), axes, keepdims)
    return ew.power(powers, 1.0 / order)


def _matrix_norm(x: Tensor, order: Any, axes: tuple[int, int], keepdims: bool) -> Tensor:
    if order in (None, "fro"):
        return _vector_norm(x, 2, axes, keepdims)
    outer, inner = (max if order > 0 else min), (axes[0] if abs(order) == 1 else axes[1])
    lines = sum(ew.abs(x), inner, keepdims=True)
    return outer(lines if keepdims else squeeze(lines, inner), _left(axes, inner, keepdims), keepdims)


def _left(axes: tuple[int, int], inner: int, keepdims: bool) -> int:
    """Where the other one of two axes is once the inner one is gone."""
    other = axes[0] + axes[1] - inner
    return other if keepdims or other < inner else other - 1


@op(
    ref=lambda x, ord=None, axis=None, keepdims=False: np.linalg.norm(
        np.asarray(x, "float64"), ord=ord, axis=axis, keepdims=keepdims
    ),
    cases=[
        Case((_3D,), ulp=8),
        Case((_3D, None, 1)),
        *[Case((In((3, 4)), order, axis)) for order in (1, 2, np.inf, -np.inf) for axis in (0, -1)],
        Case((In((3, 4), 0.5, 2.0), 3, 1), ulp=16),
        Case((In((3, 4), dtype="int32"), 0, 1)),
        *[
            Case((In((4, 3)), order, None, keep))
            for order in (1, -1, np.inf, -np.inf, "fro")
            for keep in (False, True)
        ],
        Case((_3D, 1, (2, 0))),
        Case((_3D, np.inf, (0, 2))),
    ],
    bad=[
        Bad((np.ones((2, 3), "float32"), "nuc"), ValueError, "norm: ord='nuc'"),
        Bad((np.ones((2, 3), "float32"), 2), ValueError, "norm: ord=2"),
        Bad((np.ones((2, 3), "float32"), "fro", 1), ValueError, "norm: ord='fro'"),
        Bad((np.ones((2, 3, 4), "float32"), 1), ValueError, "one axis or two"),
        Bad((np.ones((2, 3), "float32"), 1, 2), IndexError, "axis 2 is out of range"),
    ],
)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The norm of vectors (one axis) or matrices (two axes).

    | `ord` | vectors | matrices |
    |---|---|---|
    | None | √Σx² | √Σx² |
    | "fro" | | √Σx² |
    | inf, -inf | greatest, least \\|x\\| | greatest, least sum of \\|x\\| along rows |
    | 1, -1 | Σ\\|x\\|, (Σ 1/\\|x\\|)⁻¹ | greatest, least sum of \\|x\\| along columns |
    | 0 | number of elements that are not 0 | |
    | p | (Σ\\|x\\|ᵖ)^(1/p) | |

    Args:
        x: A tensor. Booleans and integers are taken as float32.
        ord: Which norm.
        axis: The vectors' axis or the matrices' two (rows, columns). By default, without `ord`, all axes as
            one vector; with it, x is one vector or one matrix.
        keepdims: Whether the axes stay, with size 1.

    Raises:
        ValueError: There is no such norm here ("nuc", 2 and -2 of matrices need a decomposition).
        IndexError, ValueError: An axis is out of range or named twice.

    Example:
        >>> from lumbre import ops
        >>> ops.norm([3.0, 4.0]).numpy()
        array(5., dtype=float32)
    """
    x, dtype = floating(x)
    given = (axis,) if isinstance(axis, int) else axis
    axes = tuple(range(x.ndim)) if given is None else tuple(normalize_axis("norm", a, x.ndim) for a in given)
    normalize_axes("norm", axes, x.ndim)
    if ord is None:
        return cast(_vector_norm(x, None, tuple(sorted(axes)), keepdims), dtype)
    if len(axes) not in (1, 2):
        raise ValueError(
            f"norm: with ord={ord!r} it takes one axis or two, got axis={axis} for shape {x.shape}"
        )
    known = (1, -1, math.inf, -math.inf, "fro") if len(axes) == 2 else ()
    if (len(axes) == 2 and ord not in known) or (len(axes) == 1 and isinstance(ord, str)):
        kind = "a vector" if len(axes) == 1 else "a matrix"
        raise ValueError(
            f"norm: ord={ord!r} is no norm of {kind} here, expected one of {known or 'a number'}"
        )
    if len(axes) == 1:
        return cast(_vector_norm(x, ord, axes, keepdims), dtype)
    return cast(_matrix_norm(x, ord, (axes[0], axes[1]), keepdims), dtype)


@op(
    ref=lambda x, axis=None: np.count_nonzero(x, axis=axis),
    cases=[Case((In((3, 4), -2, 2, dtype="int32"), axis)) for axis in (None, 0, (0, 1))]
    + [Case((_3D, 1), grad=False)],
    bad=AXIS_BAD,
)
def count_nonzero(x: Any, axis: Any = None) -> Tensor:
    """How many elements are not zero over axes, int32.

    Args:
        x: A tensor.
        axis: An axis, several, or None for all.

    Raises:
        IndexError, ValueError: An axis is out of range or named twice.

    Example:
        >>> from lumbre import ops
        >>> ops.count_nonzero([[0, 1], [2, 3]], axis=0).numpy()
        array([1, 2], dtype=int32)
    """
    t = as_tensor(x)
    axes = normalize_axes("count_nonzero", axis, t.ndim)
    return sum(t if t.dtype == "bool" else cast(t, "bool"), axes)


@op(
    ref=lambda x, axes, keepdims=False: (
        np.mean(x, axis=axes, keepdims=keepdims),
        np.var(x, axis=axes, keepdims=keepdims),
    ),
    cases=[Case((_3D, 1)), Case((_3D, (0, -1), True)), Case((In((40, 3)), 0), ulp=16)],
    bad=[Bad((np.ones((2, 3), "float32"), 2), IndexError, "axis 2 is out of range")],
)
def moments(x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False) -> tuple[Tensor, Tensor]:
    """The mean and the (biased) variance over axes.

    Args:
        x: A tensor.
        axes: An axis, several, or None for all.
        keepdims: Whether the axes stay, with size 1.
        synchronized: Accepted as in Keras: there is one replica.

    Raises:
        IndexError, ValueError: An axis is out of range or named twice.

    Example:
        >>> from lumbre import ops
        >>> mean, variance = ops.moments([1.0, 2.0, 3.0, 4.0], axes=0)
        >>> mean.item(), variance.item()
        (2.5, 1.25)
    """
    t = as_tensor(x)
    normalize_axes("moments", axes, t.ndim)
    return mean(t, axes, keepdims), var(t, axes, keepdims)


def _normalize_ref(x: Any, axis: Any = -1, order: int = 2, epsilon: float = 1e-7) -> Any:
    size = np.sum(np.abs(x) ** order, axis=axis, keepdims=True) ** (1 / order)
    return x / np.maximum(size, epsilon)


@op(
    ref=_normalize_ref,
    cases=[
        Case((_3D,)),
        Case((_3D, 1)),
        Case((_3D, (0, 2))),
        Case((_3D, -1, 1)),
        Case((In((3, 4), 0.5, 2.0), 0, 3), ulp=16),
        Case((In((0, 3)),)),
    ],
    bad=[Bad((np.ones(3, "float32"), -1, 0), ValueError, "`order` must be an int >= 1. Received: order=0")],
)
def normalize(x: Any, axis: Any = -1, order: int = 2, epsilon: float | None = None) -> Tensor:
    """x / max(‖x‖, ε), with the norm of an order over axes.

    Args:
        x: A tensor.
        axis: The axis, or several.
        order: 2 for √Σx², in general (Σ|x|ᵖ)^(1/p).
        epsilon: ε, `config.epsilon()` by default.

    Raises:
        ValueError: `order` is no positive whole number.
        IndexError, ValueError: An axis is out of range or named twice.

    Example:
        >>> from lumbre import ops
        >>> ops.normalize([3.0, 4.0]).numpy()
        array([0.6, 0.8], dtype=float32)
    """
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"Argument `order` must be an int >= 1. Received: order={order}")
    epsilon = config.epsilon() if epsilon is None else epsilon
    t, dtype = floating(x)
    if t.ndim == 0:
        t = reshape(t, (1,))
    if order == 2:
        # At 0 the least square takes the place of the sum, so that the gradient is finite there.
        least = epsilon**2 if epsilon**2 > _TINY else _TINY
        return cast(ew.multiply(t, ew.rsqrt(ew.maximum(sum(ew.square(t), axis, True), least))), dtype)
    return cast(ew.divide(t, ew.maximum(norm(t, order, axis, keepdims=True), epsilon)), dtype)
