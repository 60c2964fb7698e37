"""Arithmetic between tensors, element by element.

The operands meet in a common dtype (`result_type`) and shape (NumPy's broadcasting). Integers wrap
around; dividing one by zero gives 0. Floats follow IEEE 754.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lumbre.autograd import FLOATS, Rule, Tensor, kernel, record
from lumbre.ops.dtypes import arithmetic, floating
from lumbre.ops.logic import equal, greater, less, where
from lumbre.ops.table import Bad, Case, In, op

_A, _B = In((2, 3)), In((2, 3))
_POSITIVE = In((2, 3), 0.5, 2.0)
_INTS = In((2, 3), -9, 9, dtype="int32")
_COUNTS = In((2, 3), 1, 9, dtype="int32")
_CASES = [
    Case((_A, _B)),
    Case((In((4, 1, 3)), In((2, 1)))),
    Case((_A, 2.5)),
    Case((-1.5, In((37,)))),
    Case((In((33, 70)), In((70,)))),
    Case((_INTS, _COUNTS)),
    Case((In((), grad=False), In((0, 3), grad=False)), grad=False),
]
_BAD = [
    Bad((np.ones((2, 3)), np.ones((2, 4))), ValueError, "Cannot broadcast shape, the failure dim has value"),
    Bad((np.ones(2), "two"), TypeError, "a tensor holds booleans, integers or floating-point numbers"),
]


def _rules(x: Tensor, *rules: Rule | None) -> tuple[Rule | None, ...]:
    """The rules if the operands have gradients, that is, are floats."""
    return rules if x.dtype in FLOATS else (None,) * len(rules)


@op(ref=np.add, cases=_CASES, bad=_BAD, kernels=["add"])
def add(x1: Any, x2: Any) -> Tensor:
    """`x1 + x2`.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast; for two of bool, the sum is their "or".

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.add([1.0, 2.0], 0.5).numpy()
        array([1.5, 2.5], dtype=float32)
    """
    (a, b), back = arithmetic(x1, x2, truth=True)
    return back(record(kernel("add", a, b), (a, b), _rules(a, lambda g, y: g, lambda g, y: g), name="add"))


@op(ref=np.subtract, cases=_CASES, bad=_BAD, kernels=["subtract"])
def subtract(x1: Any, x2: Any) -> Tensor:
    """`x1 - x2`.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.subtract([1.0, 2.0], 0.5).numpy()
        array([0.5, 1.5], dtype=float32)
    """
    (a, b), back = arithmetic(x1, x2)
    rules = _rules(a, lambda g, y: g, lambda g, y: negative(g))
    return back(record(kernel("subtract", a, b), (a, b), rules, name="subtract"))


@op(ref=np.multiply, cases=_CASES, bad=_BAD, kernels=["multiply"])
def multiply(x1: Any, x2: Any) -> Tensor:
    """`x1 · x2`.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast; for two of bool, the product is their "and".

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.multiply([1.0, 2.0], 0.5).numpy()
        array([0.5, 1. ], dtype=float32)
    """
    (a, b), back = arithmetic(x1, x2, truth=True)
    rules = _rules(a, lambda g, y: multiply(g, b), lambda g, y: multiply(g, a))
    return back(record(kernel("multiply", a, b), (a, b), rules, name="multiply"))


@op(
    ref=np.divide,
    cases=[Case((_A, _POSITIVE)), Case((In((3,)), 4.0)), Case((1.0, _POSITIVE)), Case((_INTS, _COUNTS))],
    bad=_BAD,
    kernels=["divide"],
)
def divide(x1: Any, x2: Any) -> Tensor:
    """`x1 / x2`; integers become floats.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.divide([1, 2], [4, 0]).numpy()
        array([0.25,  inf], dtype=float32)
    """
    (a, b), back = floating(x1, x2)
    rules: tuple[Rule, Rule] = (
        lambda g, y: divide(g, b),
        lambda g, y: negative(divide(multiply(g, y), b)),
    )
    return back(record(kernel("divide", a, b), (a, b), rules, name="divide"))


def true_divide(x1: Any, x2: Any) -> Tensor:
    """`divide` under its other name.

    Example:
        >>> import lumbre
        >>> lumbre.ops.true_divide(1, 4).numpy()
        array(0.25, dtype=float32)
    """
    return divide(x1, x2)


@op(
    ref=lambda a, b: np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=np.asarray(b) != 0),
    cases=[
        Case((_A, _POSITIVE)),
        Case((In((2, 3)), [1.0, 0.0, -2.0])),
        Case((_INTS, In((2, 3), -1, 2, dtype="int32"))),
    ],
    bad=_BAD,
)
def divide_no_nan(x1: Any, x2: Any) -> Tensor:
    """`x1 / x2`, and 0 where `x2` is 0; so are the gradients there.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.divide_no_nan([3.0, 3.0], [2.0, 0.0]).numpy()
        array([1.5, 0. ], dtype=float32)
    """
    (a, b), back = floating(x1, x2)
    zero = equal(b, 0.0)
    return back(where(zero, 0.0, divide(a, where(zero, 1.0, b))))


_SIGNED = [-2.0, 1.5, 3.0]
_QUOTIENTS = [
    Case((In((4, 3), -9, 9, grad=False), _SIGNED)),
    Case((In((5,), -9, 9, grad=False), 2.0)),
    Case((_INTS, _COUNTS)),
    Case((_INTS, -4)),
]


@op(ref=np.floor_divide, cases=_QUOTIENTS, bad=_BAD, kernels=["floor_divide"])
def floor_divide(x1: Any, x2: Any) -> Tensor:
    """`⌊x1 / x2⌋`, of the exact quotient. It is constant between its steps, so it has no gradient.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast; an integer divided by 0 gives 0.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.floor_divide([7, -7], 2).numpy()
        array([ 3, -4], dtype=int32)
    """
    (a, b), back = arithmetic(x1, x2)
    return back(kernel("floor_divide", a, b))


@op(
    ref=np.mod,
    cases=[
        Case((In((3,), 4.1, 5.9), In((3,), 2.9, 3.9))),
        Case((In((3,), -5.9, -4.1), In((3,), 2.9, 3.9))),
        *_QUOTIENTS,
    ],
    bad=_BAD,
    kernels=["mod"],
)
def mod(x1: Any, x2: Any) -> Tensor:
    """The remainder `x1 - x2 · ⌊x1 / x2⌋`, with the sign of `x2`.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast; an integer's remainder by 0 is 0.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.mod([7, -7], 4).numpy()
        array([3, 1], dtype=int32)
    """
    (a, b), back = arithmetic(x1, x2)
    rules = _rules(a, lambda g, y: g, lambda g, y: negative(multiply(g, floor_divide(a, b))))
    return back(record(kernel("mod", a, b), (a, b), rules, name="mod"))


_APART = [
    Case((In((2, 3), 0.5, 1.0), In((2, 3), -1.0, 0.4))),
    Case((In((2, 1), -1.0, 0.4), In((3,), 0.5, 1.0))),
    Case((In((4,), 0.1, 1.0), 0.0)),
    Case((_INTS, _COUNTS)),
]


def _larger(a: Tensor, b: Tensor) -> Rule:
    """The gradient goes to the larger operand; among equal ones, each gets half."""
    return lambda g, y: where(equal(a, b), multiply(g, 0.5), where(greater(a, b), g, 0.0))


def _smaller(a: Tensor, b: Tensor) -> Rule:
    return lambda g, y: where(equal(a, b), multiply(g, 0.5), where(less(a, b), g, 0.0))


@op(ref=np.maximum, cases=_APART, bad=_BAD, kernels=["maximum"])
def maximum(x1: Any, x2: Any) -> Tensor:
    """The larger of `x1` and `x2`; NaN where either is.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.maximum([-1.0, 2.0], 0.0).numpy()
        array([0., 2.], dtype=float32)
    """
    (a, b), back = arithmetic(x1, x2, truth=True)
    rules = _rules(a, _larger(a, b), _larger(b, a))
    return back(record(kernel("maximum", a, b), (a, b), rules, name="maximum"))


@op(ref=np.minimum, cases=_APART, bad=_BAD, kernels=["minimum"])
def minimum(x1: Any, x2: Any) -> Tensor:
    """The smaller of `x1` and `x2`; NaN where either is.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.minimum([-1.0, 2.0], 0.0).numpy()
        array([-1.,  0.], dtype=float32)
    """
    (a, b), back = arithmetic(x1, x2, truth=True)
    rules = _rules(a, _smaller(a, b), _smaller(b, a))
    return back(record(kernel("minimum", a, b), (a, b), rules, name="minimum"))


@op(
    ref=np.clip,
    cases=[
        Case((In((3, 4), -0.9, 0.9), -1.0, 1.0)),
        Case((In((3, 4), 1.1, 2.0), -1.0, 1.0)),
        Case((In((3, 4), -2.0, 2.0, grad=False), np.zeros((4,), "float32"), 1.0)),
        Case((_INTS, -2, 3)),
    ],
    bad=[Bad((np.ones((2, 3)), np.ones(2), 1.0), ValueError, "Cannot broadcast shape")],
)
def clip(x: Any, x_min: Any, x_max: Any) -> Tensor:
    """`min(max(x, x_min), x_max)`.

    Args:
        x, x_min, x_max: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.clip([-2.0, 0.5, 2.0], -1.0, 1.0).numpy()
        array([-1. ,  0.5,  1. ], dtype=float32)
    """
    return minimum(maximum(x, x_min), x_max)


_NUMBERS = [Case((_A,)), Case((In((37,)),)), Case((_INTS,)), Case((In((0, 2)),), grad=False)]


@op(ref=np.negative, cases=_NUMBERS, kernels=["negative"])
def negative(x: Any) -> Tensor:
    """`-x`.

    Args:
        x: A tensor of any dtype.

    Example:
        >>> import lumbre
        >>> lumbre.ops.negative([1.0, -2.0]).numpy()
        array([-1.,  2.], dtype=float32)
    """
    (a,), back = arithmetic(x)
    return back(record(kernel("negative", a), (a,), _rules(a, lambda g, y: negative(g)), name="negative"))


@op(
    ref=np.abs,
    cases=[Case((In((2, 3), 0.1, 2.0),)), Case((In((3,), -2.0, -0.1),)), Case((_INTS,))],
    kernels=["abs"],
)
def abs(x: Any) -> Tensor:
    """`|x|`. Its gradient at 0 is 0.

    Args:
        x: A tensor of any dtype.

    Example:
        >>> import lumbre
        >>> lumbre.ops.abs([1.0, -2.0]).numpy()
        array([1., 2.], dtype=float32)
    """
    (a,), back = arithmetic(x, truth=True)
    return back(record(kernel("abs", a), (a,), _rules(a, lambda g, y: multiply(g, sign(a))), name="abs"))


def absolute(x: Any) -> Tensor:
    """`abs` under its other name.

    Example:
        >>> import lumbre
        >>> lumbre.ops.absolute(-2.0).numpy()
        array(2., dtype=float32)
    """
    return abs(x)


@op(
    ref=np.sign,
    cases=[Case((In((37,), grad=False),)), Case(([0.0, -3.0, 7.0],)), Case((_INTS,))],
    kernels=["sign"],
)
def sign(x: Any) -> Tensor:
    """-1, 0 or 1, as `x` is. It has no gradient.

    Args:
        x: A tensor of any dtype.

    Example:
        >>> import lumbre
        >>> lumbre.ops.sign([3.0, 0.0, -2.0]).numpy()
        array([ 1.,  0., -1.], dtype=float32)
    """
    (a,), back = arithmetic(x)
    return back(kernel("sign", a))


@op(ref=np.square, cases=_NUMBERS, kernels=["square"])
def square(x: Any) -> Tensor:
    """`x²`.

    Args:
        x: A tensor of any dtype.

    Example:
        >>> import lumbre
        >>> lumbre.ops.square([3.0, -2.0]).numpy()
        array([9., 4.], dtype=float32)
    """
    (a,), back = arithmetic(x)
    rules = _rules(a, lambda g, y: multiply(g, multiply(a, 2.0)))
    return back(record(kernel("square", a), (a,), rules, name="square"))
