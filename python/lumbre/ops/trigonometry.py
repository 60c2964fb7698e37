"""Trigonometric and hyperbolic functions, element by element, in radians.

Floats keep their dtype, everything else becomes floatx. They are computed in float64 and rounded.
`tanh` is among the activations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lumbre.autograd import Rule, Tensor, kernel, record
from lumbre.ops.arithmetic import _BAD, _INTS, add, divide, multiply, negative, square, subtract
from lumbre.ops.dtypes import floating
from lumbre.ops.functions import real, reciprocal, rsqrt
from lumbre.ops.table import Case, In, op

_ANY = [Case((In((2, 3)),)), Case((In((37,), -3.0, 3.0),)), Case((_INTS,)), Case((In((0, 2)),), grad=False)]
_INSIDE = [Case((In((2, 3), -0.9, 0.9),)), Case((In((37,), -0.5, 0.5),))]
_ABOVE_ONE = [Case((In((2, 3), 1.2, 4.0),)), Case((In((3,), 1, 9, dtype="int32"),))]


@op(ref=np.sin, cases=_ANY, kernels=["sin"])
def sin(x: Any) -> Tensor:
    """The sine.

    Args:
        x: A tensor, an angle in radians; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.sin([0.0]).numpy()
        array([0.], dtype=float32)
    """
    return real("sin", x, lambda a, g, y: multiply(g, cos(a)))


@op(ref=np.cos, cases=_ANY, kernels=["cos"])
def cos(x: Any) -> Tensor:
    """The cosine.

    Args:
        x: A tensor, an angle in radians; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.cos([0.0]).numpy()
        array([1.], dtype=float32)
    """
    return real("cos", x, lambda a, g, y: negative(multiply(g, sin(a))))


@op(ref=np.tan, cases=[Case((In((2, 3), -1.2, 1.2),)), Case((In((37,), 2.0, 4.0),))], kernels=["tan"])
def tan(x: Any) -> Tensor:
    """The tangent.

    Args:
        x: A tensor, an angle in radians; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.tan([0.0]).numpy()
        array([0.], dtype=float32)
    """
    return real("tan", x, lambda a, g, y: multiply(g, add(square(y), 1.0)))


@op(ref=np.arcsin, cases=_INSIDE, kernels=["arcsin"])
def arcsin(x: Any) -> Tensor:
    """The angle in [-π/2, π/2] whose sine is `x`; NaN beyond [-1, 1].

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.arcsin([1.0]).numpy()
        array([1.5707964], dtype=float32)
    """
    return real("arcsin", x, lambda a, g, y: multiply(g, rsqrt(subtract(1.0, square(a)))))


@op(ref=np.arccos, cases=_INSIDE, kernels=["arccos"])
def arccos(x: Any) -> Tensor:
    """The angle in [0, π] whose cosine is `x`; NaN beyond [-1, 1].

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.arccos([1.0]).numpy()
        array([0.], dtype=float32)
    """
    return real("arccos", x, lambda a, g, y: negative(multiply(g, rsqrt(subtract(1.0, square(a))))))


@op(ref=np.arctan, cases=_ANY, kernels=["arctan"])
def arctan(x: Any) -> Tensor:
    """The angle in (-π/2, π/2) whose tangent is `x`.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.arctan([1.0]).numpy()
        array([0.7853982], dtype=float32)
    """
    return real("arctan", x, lambda a, g, y: divide(g, add(square(a), 1.0)))


@op(ref=np.sinh, cases=_ANY, kernels=["sinh"])
def sinh(x: Any) -> Tensor:
    """`(eˣ - e⁻ˣ) / 2`.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.sinh([0.0]).numpy()
        array([0.], dtype=float32)
    """
    return real("sinh", x, lambda a, g, y: multiply(g, cosh(a)))


@op(ref=np.cosh, cases=_ANY, kernels=["cosh"])
def cosh(x: Any) -> Tensor:
    """`(eˣ + e⁻ˣ) / 2`.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.cosh([0.0]).numpy()
        array([1.], dtype=float32)
    """
    return real("cosh", x, lambda a, g, y: multiply(g, sinh(a)))


@op(ref=np.arcsinh, cases=_ANY, kernels=["arcsinh"])
def arcsinh(x: Any) -> Tensor:
    """The inverse of `sinh`, `log(x + √(x² + 1))`.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.arcsinh([0.0]).numpy()
        array([0.], dtype=float32)
    """
    return real("arcsinh", x, lambda a, g, y: multiply(g, rsqrt(add(square(a), 1.0))))


@op(ref=np.arccosh, cases=_ABOVE_ONE, kernels=["arccosh"])
def arccosh(x: Any) -> Tensor:
    """The inverse of `cosh`, `log(x + √(x² - 1))`; NaN below 1.

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.arccosh([1.0]).numpy()
        array([0.], dtype=float32)
    """
    rule = lambda a, g, y: multiply(g, rsqrt(multiply(subtract(a, 1.0), add(a, 1.0))))  # noqa: E731
    return real("arccosh", x, rule)


@op(ref=np.arctanh, cases=_INSIDE, kernels=["arctanh"])
def arctanh(x: Any) -> Tensor:
    """The inverse of `tanh`, `log((1 + x) / (1 - x)) / 2`; NaN beyond [-1, 1].

    Args:
        x: A tensor; integers become floats.

    Example:
        >>> import lumbre
        >>> lumbre.ops.arctanh([0.0]).numpy()
        array([0.], dtype=float32)
    """
    return real("arctanh", x, lambda a, g, y: divide(g, subtract(1.0, square(a))))


@op(
    ref=np.arctan2,
    cases=[
        Case((In((2, 3)), In((2, 3), 0.5, 2.0))),
        Case((In((2, 1), 0.5, 2.0), In((3,)))),
        Case((_INTS, In((2, 3), 1, 9, dtype="int32"))),
    ],
    bad=_BAD,
    kernels=["arctan2"],
)
def arctan2(x1: Any, x2: Any) -> Tensor:
    """The angle of the point (x2, x1), in (-π, π].

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.arctan2([0.0, 1.0], [1.0, 0.0]).numpy()
        array([0.       , 1.5707964], dtype=float32)
    """
    (a, b), back = floating(x1, x2)
    rules: tuple[Rule, Rule] = (
        lambda g, y: multiply(g, multiply(b, _inverse_square(a, b))),
        lambda g, y: negative(multiply(g, multiply(a, _inverse_square(a, b)))),
    )
    return back(record(kernel("arctan2", a, b), (a, b), rules, name="arctan2"))


def _inverse_square(a: Tensor, b: Tensor) -> Tensor:
    """1 / (a² + b²)."""
    return reciprocal(add(square(a), square(b)))
