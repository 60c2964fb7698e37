"""Functions of real numbers, element by element: powers, exponentials, logarithms, steps.

Floats keep their dtype, everything else becomes floatx. float32 results are within 2 units in the
last place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lumbre.autograd import FLOATS, Rule, Tensor, as_tensor, kernel, record
from lumbre.ops.arithmetic import _BAD, _INTS, _rules, add, divide, multiply, negative, square, subtract
from lumbre.ops.dtypes import arithmetic, cast, floating
from lumbre.ops.logic import equal, where
from lumbre.ops.table import Case, In, op

_ALL = [Case((In((2, 3)),)), Case((In((37,), -9.0, 9.0),)), Case((_INTS,)), Case((In((0, 2)),), grad=False)]
_ABOVE = [Case((In((2, 3), 0.3, 3.0),)), Case((In((37,), 0.3, 9.0),)), Case((In((4,), 1, 9, dtype="int32"),))]


def real(row: str, x: Any, rule: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """The function of a real number that a row computes; `rule(x, g, y)` is the gradient by x."""
    (a,), back = floating(x)
    return back(record(kernel(row, a), (a,), (lambda g, y: rule(a, g, y),), name=row))


@op(ref=np.sqrt, cases=_ABOVE, kernels=["sqrt"])
def sqrt(x: Any) -> Tensor:
    """`√x`; NaN below 0.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.sqrt([4.0, 9.0]).numpy()
        array([2., 3.], dtype=float32)
    """
    return real("sqrt", x, lambda a, g, y: divide(multiply(g, 0.5), y))


@op(ref=lambda x: 1 / np.sqrt(x), cases=_ABOVE, kernels=["rsqrt"])
def rsqrt(x: Any) -> Tensor:
    """`1 / √x`.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.rsqrt([4.0, 16.0]).numpy()
        array([0.5 , 0.25], dtype=float32)
    """
    return real("rsqrt", x, lambda a, g, y: multiply(g, multiply(divide(y, a), -0.5)))


@op(ref=lambda x: 1 / np.asarray(x), cases=_ABOVE, kernels=["reciprocal"])
def reciprocal(x: Any) -> Tensor:
    """`1 / x`.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.reciprocal([4.0, 0.5]).numpy()
        array([0.25, 2.  ], dtype=float32)
    """
    return real("reciprocal", x, lambda a, g, y: multiply(g, negative(square(y))))


@op(ref=np.exp, cases=_ALL, kernels=["exp"])
def exp(x: Any) -> Tensor:
    """`eˣ`.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.exp([0.0, -1000.0]).numpy()
        array([1., 0.], dtype=float32)
    """
    return real("exp", x, lambda a, g, y: multiply(g, y))


@op(ref=np.expm1, cases=_ALL, kernels=["expm1"])
def expm1(x: Any) -> Tensor:
    """`eˣ - 1`, exact near 0 too.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.expm1([1e-8]).numpy()
        array([1.e-08], dtype=float32)
    """
    return real("expm1", x, lambda a, g, y: multiply(g, add(y, 1.0)))


@op(ref=np.log, cases=_ABOVE, kernels=["log"])
def log(x: Any) -> Tensor:
    """The natural logarithm: -∞ at 0, NaN below.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.log([1.0, 0.0]).numpy()
        array([  0., -inf], dtype=float32)
    """
    return real("log", x, lambda a, g, y: divide(g, a))


@op(ref=np.log1p, cases=_ABOVE, kernels=["log1p"])
def log1p(x: Any) -> Tensor:
    """`log(1 + x)`, exact near 0 too.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.log1p([1e-8]).numpy()
        array([1.e-08], dtype=float32)
    """
    return real("log1p", x, lambda a, g, y: divide(g, add(a, 1.0)))


@op(ref=np.log2, cases=_ABOVE, kernels=["log2"])
def log2(x: Any) -> Tensor:
    """The logarithm to base 2.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.log2([8.0]).numpy()
        array([3.], dtype=float32)
    """
    return real("log2", x, lambda a, g, y: divide(g, multiply(a, math.log(2.0))))


@op(ref=np.log10, cases=_ABOVE, kernels=["log10"])
def log10(x: Any) -> Tensor:
    """The logarithm to base 10.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.log10([1000.0]).numpy()
        array([3.], dtype=float32)
    """
    return real("log10", x, lambda a, g, y: divide(g, multiply(a, math.log(10.0))))


@op(ref=np.vectorize(math.erf, otypes=["float64"]), cases=_ALL, kernels=["erf"])
def erf(x: Any) -> Tensor:
    """The error function, `2/√π · ∫₀ˣ exp(-t²) dt`.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.erf([0.0, 9.0]).numpy()
        array([0., 1.], dtype=float32)
    """
    factor = 2.0 / math.sqrt(math.pi)
    return real("erf", x, lambda a, g, y: multiply(g, multiply(exp(negative(square(a))), factor)))


@op(
    ref=np.power,
    cases=[
        Case((In((2, 3), 0.5, 2.0), In((2, 3)))),
        Case((In((2, 3)), 2)),
        Case((In((2, 3)), 3)),
        Case((In((2, 3), 0.5, 2.0), -0.5)),
        Case((In((2, 3), 0.5, 2.0), 1.0)),
        Case((In((2, 3)), 0.0)),
        Case((2.0, In((2, 3)))),
        Case((_INTS, 2)),
        Case((_INTS, In((2, 3), 0, 5, dtype="int32"))),
        Case((In((2, 3)), [0.0, 1.0, 2.0])),
    ],
    bad=_BAD,
    kernels=["power"],
)
def power(x1: Any, x2: Any) -> Tensor:
    """`x1` to the power of `x2`.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast; of an integer's negative power, what lies
            behind the point is cut off.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.power([1.0, 2.0, 3.0], 2).numpy()
        array([1., 4., 9.], dtype=float32)
    """
    (a, b), back = arithmetic(x1, x2)
    number = x2 if isinstance(x2, (int, float)) else None
    if number == 2:
        return back(square(a))
    slope: Rule
    if number is None:
        slope = lambda g, y: multiply(g, _slope(a, b))  # noqa: E731 - one of two short rules
    else:
        slope = lambda g, y: multiply(g, multiply(power(a, number - 1), number) if number else 0.0)  # noqa: E731
    rules = _rules(a, slope, lambda g, y: multiply(g, multiply(y, log(where(equal(a, 0.0), 1.0, a)))))
    return back(record(kernel("power", a, b), (a, b), rules, name="power"))


def _slope(a: Tensor, b: Tensor) -> Tensor:
    """b · a^(b - 1), and 0 for b = 0, where the power may be infinite."""
    constant = equal(b, 0.0)
    below = power(a, where(constant, 1.0, subtract(b, 1.0)))
    return where(constant, 0.0, multiply(b, below))


_STEPS = [
    Case((In((3, 5), -9.0, 9.0, grad=False),)),
    Case(([-1.5, -0.5, 0.5, 1.5, 2.5],)),
    Case((_INTS,)),
]


@op(ref=np.floor, cases=_STEPS, kernels=["floor"])
def floor(x: Any) -> Tensor:
    """The largest whole number not above `x`. It has no gradient.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.floor([1.7, -1.7]).numpy()
        array([ 1., -2.], dtype=float32)
    """
    (a,), back = floating(x)
    return back(kernel("floor", a))


@op(ref=np.ceil, cases=_STEPS, kernels=["ceil"])
def ceil(x: Any) -> Tensor:
    """The smallest whole number not below `x`. It has no gradient.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.ceil([1.2, -1.2]).numpy()
        array([ 2., -1.], dtype=float32)
    """
    (a,), back = floating(x)
    return back(kernel("ceil", a))


@op(
    ref=np.round,
    cases=[
        *_STEPS,
        Case((In((7,), -9.0, 9.0, grad=False),), {"decimals": 1}),
        Case((_INTS,), {"decimals": -1}),
    ],
    kernels=["round"],
)
def round(x: Any, decimals: int = 0) -> Tensor:
    """`x` with so many decimals, ties to even. It has no gradient.

    Args:
        x: A tensor of any dtype.
        decimals: How many digits stay behind the point; negative ones go before it.

    Example:
        >>> import lumbre
        >>> lumbre.ops.round([0.5, 1.5, 2.25], decimals=0).numpy()
        array([0., 2., 2.], dtype=float32)
    """
    a = as_tensor(x)
    if a.dtype not in FLOATS:
        return a if decimals >= 0 else cast(round(cast(a, "float64"), decimals), a.dtype)
    (a,), back = floating(a)
    if not decimals:
        return back(kernel("round", a))
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        return back(divide(kernel("round", multiply(a, scale)), scale))
    return back(multiply(kernel("round", divide(a, scale)), scale))
