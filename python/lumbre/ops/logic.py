"""Comparisons, tests, logic, and choosing by a condition, element by element. Results are bool."""

from __future__ import annotations

from typing import Any

import numpy as np

from lumbre.autograd import FLOATS, Tensor, as_tensor, kernel, record
from lumbre.ops.dtypes import WIDE, cast, floating, promote
from lumbre.ops.table import Bad, Case, In, op

_A, _B = In((2, 3), grad=False), In((2, 3), grad=False)
_SMALL = In((4, 3), -2, 3, dtype="int32")
_PAIRS = [
    Case((_A, _B)),
    Case((In((4, 1, 5), grad=False), In((3, 1), grad=False))),
    Case((In((70,), grad=False), 0.25)),
    Case((0, _SMALL)),
    Case((_SMALL, In((4, 3), -2, 3, dtype="int32"))),
    Case((In((9,), dtype="bool"), In((9,), dtype="bool"))),
    Case((In((0, 3), grad=False), 1.0)),
]
_BAD = [Bad((np.ones((2, 3)), np.ones((2, 4))), ValueError, "Cannot broadcast shape")]


def _compare(row: str, x1: Any, x2: Any) -> Tensor:
    a, b = promote(x1, x2)
    if a.dtype in WIDE and a.dtype != "bool":
        a, b = cast(a, WIDE[a.dtype]), cast(b, WIDE[b.dtype])
    y: Tensor = kernel(row, a, b)
    return y


@op(ref=np.equal, cases=_PAIRS, bad=_BAD, kernels=["equal"])
def equal(x1: Any, x2: Any) -> Tensor:
    """Whether `x1 = x2`; NaN equals nothing.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.equal([1, 2], 2).numpy()
        array([False,  True])
    """
    return _compare("equal", x1, x2)


@op(ref=np.not_equal, cases=_PAIRS, bad=_BAD, kernels=["not_equal"])
def not_equal(x1: Any, x2: Any) -> Tensor:
    """Whether `x1 ≠ x2`; NaN differs from everything.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.not_equal([1, 2], 2).numpy()
        array([ True, False])
    """
    return _compare("not_equal", x1, x2)


@op(ref=np.less, cases=_PAIRS, bad=_BAD, kernels=["less"])
def less(x1: Any, x2: Any) -> Tensor:
    """Whether `x1 < x2`.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.less([1, 2], 2).numpy()
        array([ True, False])
    """
    return _compare("less", x1, x2)


@op(ref=np.less_equal, cases=_PAIRS, bad=_BAD, kernels=["less_equal"])
def less_equal(x1: Any, x2: Any) -> Tensor:
    """Whether `x1 ≤ x2`.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.less_equal([1, 3], 2).numpy()
        array([ True, False])
    """
    return _compare("less_equal", x1, x2)


@op(ref=np.greater, cases=_PAIRS, bad=_BAD, kernels=["greater"])
def greater(x1: Any, x2: Any) -> Tensor:
    """Whether `x1 > x2`.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.greater([1, 3], 2).numpy()
        array([False,  True])
    """
    return _compare("greater", x1, x2)


@op(ref=np.greater_equal, cases=_PAIRS, bad=_BAD, kernels=["greater_equal"])
def greater_equal(x1: Any, x2: Any) -> Tensor:
    """Whether `x1 ≥ x2`.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.greater_equal([1, 2], 2).numpy()
        array([False,  True])
    """
    return _compare("greater_equal", x1, x2)


_TRUTHS = [
    Case((In((2, 3), dtype="bool"), In((2, 3), dtype="bool"))),
    Case((In((5, 1), dtype="bool"), In((70,), dtype="bool"))),
    Case((In((9,), -1, 2, dtype="int32"), In((9,), dtype="bool"))),
    Case((In((9,), dtype="bool"), True)),
]


@op(ref=np.logical_and, cases=_TRUTHS, bad=_BAD, kernels=["logical_and"])
def logical_and(x1: Any, x2: Any) -> Tensor:
    """Whether both are true, that is, not 0.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.logical_and([True, False], True).numpy()
        array([ True, False])
    """
    y: Tensor = kernel("logical_and", cast(x1, "bool"), cast(x2, "bool"))
    return y


@op(ref=np.logical_or, cases=_TRUTHS, bad=_BAD, kernels=["logical_or"])
def logical_or(x1: Any, x2: Any) -> Tensor:
    """Whether one or both are true, that is, not 0.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.logical_or([True, False], False).numpy()
        array([ True, False])
    """
    y: Tensor = kernel("logical_or", cast(x1, "bool"), cast(x2, "bool"))
    return y


@op(ref=np.logical_xor, cases=_TRUTHS, bad=_BAD, kernels=["logical_xor"])
def logical_xor(x1: Any, x2: Any) -> Tensor:
    """Whether one is true, that is, not 0, and the other is not.

    Args:
        x1, x2: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import lumbre
        >>> lumbre.ops.logical_xor([True, False], True).numpy()
        array([False,  True])
    """
    y: Tensor = kernel("logical_xor", cast(x1, "bool"), cast(x2, "bool"))
    return y


@op(
    ref=np.logical_not,
    cases=[Case((In((37,), dtype="bool"),)), Case((_SMALL,)), Case((In((0, 2), dtype="bool"),))],
    kernels=["logical_not"],
)
def logical_not(x: Any) -> Tensor:
    """Whether `x` is false, that is, 0.

    Args:
        x: A tensor of any dtype.

    Example:
        >>> import lumbre
        >>> lumbre.ops.logical_not([True, False]).numpy()
        array([False,  True])
    """
    y: Tensor = kernel("logical_not", cast(x, "bool"))
    return y


_ODD = [
    Case((np.array([1.0, np.nan, np.inf, -np.inf, -0.0], "float32"),)),
    Case((np.array([[1.0, np.nan], [np.inf, 0.0]]),)),
    Case((_SMALL,)),
]


@op(ref=np.isnan, cases=_ODD, kernels=["isnan"])
def isnan(x: Any) -> Tensor:
    """Whether `x` is not a number.

    Args:
        x: A tensor of any dtype.

    Example:
        >>> import lumbre
        >>> lumbre.ops.isnan([1.0, float("nan"), float("inf")]).numpy()
        array([False,  True, False])
    """
    (a,), _ = floating(x)
    y: Tensor = kernel("isnan", a)
    return y


@op(ref=np.isinf, cases=_ODD, kernels=["isinf"])
def isinf(x: Any) -> Tensor:
    """Whether `x` is ∞ or -∞.

    Args:
        x: A tensor of any dtype.

    Example:
        >>> import lumbre
        >>> lumbre.ops.isinf([1.0, float("nan"), float("inf")]).numpy()
        array([False, False,  True])
    """
    (a,), _ = floating(x)
    y: Tensor = kernel("isinf", a)
    return y


@op(ref=np.isfinite, cases=_ODD, kernels=["isfinite"])
def isfinite(x: Any) -> Tensor:
    """Whether `x` is neither infinite nor NaN.

    Args:
        x: A tensor of any dtype.

    Example:
        >>> import lumbre
        >>> lumbre.ops.isfinite([1.0, float("nan"), float("inf")]).numpy()
        array([ True, False, False])
    """
    (a,), _ = floating(x)
    y: Tensor = kernel("isfinite", a)
    return y


@op(
    ref=np.where,
    cases=[
        Case((In((2, 3), dtype="bool"), In((2, 3)), In((2, 3)))),
        Case((In((3, 1), dtype="bool"), In((70,)), 0.5)),
        Case((In((4,), dtype="bool"), 1.0, In((2, 4)))),
        Case((In((4,), dtype="bool"), In((4,), -9, 9, dtype="int32"), In((4,), -9, 9, dtype="int32"))),
        Case((In((5,), -1, 2, dtype="int32"), In((5,)), In((1,)))),
    ],
    bad=[
        Bad((np.array([True]), np.ones((2, 3)), np.ones((2, 4))), ValueError, "Cannot broadcast shape"),
        Bad((np.array([True]),), ValueError, "where: pass both x1 and x2"),
    ],
    kernels=["where"],
)
def where(condition: Any, x1: Any = None, x2: Any = None) -> Tensor:
    """`x1` where the condition is true, that is, not 0, else `x2`.

    Args:
        condition, x1, x2: Tensors of any dtype whose shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast, or `x1` or `x2` is missing (how many indices there
            are would depend on the values).

    Example:
        >>> import lumbre
        >>> lumbre.ops.where([True, False], [1.0, 2.0], 0.0).numpy()
        array([1., 0.], dtype=float32)
    """
    if x1 is None or x2 is None:
        raise ValueError("where: pass both x1 and x2; the indices of true elements have no fixed shape")
    c = cast(as_tensor(condition), "bool")
    a, b = promote(x1, x2)
    y: Tensor = kernel("where", c, a, b)
    if a.dtype not in FLOATS:
        return y
    return record(
        y,
        (c, a, b),
        (None, lambda g, y: where(c, g, 0.0), lambda g, y: where(c, 0.0, g)),
        name="where",
    )
