"""Tensors out of nothing, and conversions from and to other things."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lumbre.autograd import FLOATS, Tensor, as_tensor, kernel
from lumbre.ops import elementwise as ew
from lumbre.ops.axes import dtype_name, normalize_shape
from lumbre.ops.dtypes import COMPUTED, cast
from lumbre.ops.shapes import broadcast_to, expand_dims
from lumbre.ops.table import Bad, Case, In, op

_2D = In((2, 3), grad=False)


def _filled(name: str, shape: Any, value: Any, dtype: Any) -> Tensor:
    kind = dtype_name(dtype)
    sizes = normalize_shape(name, shape)
    if kind in ("float16", "bfloat16"):
        return cast(kernel("fill", shape=sizes, value=float(value), dtype="float32"), kind)
    if kind in FLOATS:
        value = float(value)
    elif kind != "bool":
        value = _fitting(name, int(value), kind)
    y: Tensor = kernel("fill", shape=sizes, value=value, dtype=kind)
    return y


def _fitting(name: str, value: int, dtype: str) -> int:
    """The number, if the integer dtype has it; above 2⁶³ in the two's complement that attributes hold."""
    limits = np.iinfo(dtype)
    if not limits.min <= value <= limits.max:
        raise OverflowError(
            f"{name}: {value} does not fit into {dtype}, which ends at {limits.min} and {limits.max}"
        )
    return value if value < 2**63 else value - 2**64


_SHAPE_BAD = [
    Bad(((2, -1),), ValueError, "a shape has no negative sizes"),
    Bad(((2, 1.5),), TypeError, "a shape is made of ints"),
]


@op(
    ref=lambda shape, dtype=None: np.zeros(shape, dtype),
    cases=[Case(((2, 3),)), Case((4,)), Case(((),)), Case(((2,), "int64")), Case(((0, 2), "bool"))],
    bad=_SHAPE_BAD,
    kernels=["fill"],
)
def zeros(shape: Any, dtype: Any = None) -> Tensor:
    """A tensor full of zeros.

    Args:
        shape: The shape.
        dtype: The dtype, floatx by default.

    Raises:
        ValueError, TypeError: It is not a shape.

    Example:
        >>> from lumbre import ops
        >>> ops.zeros((2,)).numpy()
        array([0., 0.], dtype=float32)
    """
    return _filled("zeros", shape, 0, dtype)


@op(
    ref=lambda shape, dtype=None: np.ones(shape, dtype),
    cases=[Case(((2, 3),)), Case(((2,), "int32")), Case(((3,), "bool"))],
    bad=_SHAPE_BAD,
    kernels=["fill"],
)
def ones(shape: Any, dtype: Any = None) -> Tensor:
    """A tensor full of ones. Arguments and errors as for `zeros`.

    Example:
        >>> from lumbre import ops
        >>> ops.ones((2,), "int32").numpy()
        array([1, 1], dtype=int32)
    """
    return _filled("ones", shape, 1, dtype)


@op(ref=lambda shape, dtype=None: np.zeros(shape, dtype), cases=[Case(((2, 3),))], bad=_SHAPE_BAD)
def empty(shape: Any, dtype: Any = None) -> Tensor:
    """A tensor whose values do not matter (they are zeros). Arguments and errors as for `zeros`.

    Example:
        >>> from lumbre import ops
        >>> ops.empty((2, 3)).shape
        (2, 3)
    """
    return zeros(shape, dtype)


@op(
    ref=lambda shape, fill_value, dtype=None: np.full(shape, fill_value, dtype),
    cases=[
        Case(((2, 3), 0.5)),
        Case(((2,), -7, "int64")),
        Case(((2, 2), [1.0, 2.0])),
        Case(((2, 3), In((3,)))),
        Case(((2,), In((), -5, 5, dtype="int32", grad=False), "float32"), grad=False),
    ],
    bad=[
        Bad(((2, -1), 0.0), ValueError, "a shape has no negative sizes"),
        Bad(((2,), [1.0, 2.0, 3.0]), ValueError, "cannot broadcast"),
        Bad(((2,), 2**31, "int32"), OverflowError, "full: 2147483648 does not fit into int32"),
        Bad(((2,), -1, "uint8"), OverflowError, "full: -1 does not fit into uint8"),
    ],
    kernels=["fill"],
)
def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """A tensor full of one value.

    Args:
        shape: The shape.
        fill_value: A number, or a tensor that is broadcast to the shape.
        dtype: The dtype, floatx by default.

    Raises:
        ValueError, TypeError: It is not a shape, or the value cannot be broadcast to it.
        OverflowError: The dtype has no such number.

    Example:
        >>> from lumbre import ops
        >>> ops.full((2,), 0.5).numpy()
        array([0.5, 0.5], dtype=float32)
    """
    if isinstance(fill_value, np.generic):
        fill_value = fill_value.item()
    if isinstance(fill_value, (bool, int, float)):
        return _filled("full", shape, fill_value, dtype)
    value = as_tensor(fill_value)
    return broadcast_to(cast(value, dtype_name(dtype)), normalize_shape("full", shape))


@op(
    ref=lambda x, dtype=None: np.zeros_like(x, dtype),
    cases=[Case((_2D,)), Case((_2D, "int32")), Case((In((2,), dtype="int64"),))],
)
def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """Zeros in the shape of a tensor, and in its dtype unless another is given.

    Example:
        >>> from lumbre import ops
        >>> ops.zeros_like([1.5, 2.5]).numpy()
        array([0., 0.], dtype=float32)
    """
    x = as_tensor(x)
    return _filled("zeros_like", x.shape, 0, dtype_name(dtype, x.dtype))


@op(ref=lambda x, dtype=None: np.ones_like(x, dtype), cases=[Case((_2D,)), Case((_2D, "bool"))])
def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """Ones in the shape of a tensor, and in its dtype unless another is given.

    Example:
        >>> from lumbre import ops
        >>> ops.ones_like([1, 2]).numpy()
        array([1, 1], dtype=int32)
    """
    x = as_tensor(x)
    return _filled("ones_like", x.shape, 1, dtype_name(dtype, x.dtype))


@op(
    ref=lambda x, fill_value, dtype=None: np.full_like(x, fill_value, dtype),
    cases=[Case((_2D, 3.5)), Case((_2D, 3, "int32"))],
    bad=[Bad((np.ones(2, "float32"), [1.0, 2.0, 3.0]), ValueError, "cannot broadcast")],
)
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """One value in the shape of a tensor, and in its dtype unless another is given.

    Example:
        >>> from lumbre import ops
        >>> ops.full_like([1, 2], 7).numpy()
        array([7, 7], dtype=int32)
    """
    x = as_tensor(x)
    return full(x.shape, fill_value, dtype_name(dtype, x.dtype))


def _arange_ref(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    ends: Any = (0, start) if stop is None else (start, stop)
    arguments: Any = (*ends, 1 if step is None else step, dtype)
    return np.arange(*arguments)


@op(
    ref=_arange_ref,
    cases=[
        Case((5,)),
        Case((2, 7, 2)),
        Case((7, 2, -2)),
        Case((0.0, 1.0, 0.25)),
        Case((3, 1)),
        Case((0, 4, 1, "float32")),
        Case((3, None, None, "int64")),
    ],
    bad=[
        Bad((0, 5, 0), ValueError, "arange: step must not be 0"),
        Bad(("5",), TypeError, "arange: .* numbers"),
        Bad((0, float("inf")), ValueError, "arange: .* finite"),
        Bad((2**31 - 1, 2**31 + 1), OverflowError, "arange: 2147483648 does not fit into int32"),
    ],
    kernels=["iota"],
)
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Tensor:
    """The numbers start, start + step, … before stop.

    Args:
        start: The first number; with `stop` left out, what is not reached any more, and the first is 0.
        stop: What is not reached any more.
        step: The distance, 1 by default.
        dtype: The dtype; by default int32 if all of the numbers are whole, else floatx.

    Raises:
        ValueError: The step is 0, or something is not finite.
        TypeError: Something is not a number.
        OverflowError: The dtype does not have all of the numbers.

    Example:
        >>> from lumbre import ops
        >>> ops.arange(3).numpy()
        array([0, 1, 2], dtype=int32)
    """
    given = [start, 0 if stop is None else stop, 1 if step is None else step]
    first, last, by = (v.item() if isinstance(v, (np.generic, np.ndarray, Tensor)) else v for v in given)
    if stop is None:
        first, last = 0, first
    if not all(isinstance(v, (int, float)) for v in (first, last, by)):
        raise TypeError(f"arange: start, stop and step are numbers, got {start!r}, {stop!r}, {step!r}")
    if by == 0 or not all(math.isfinite(v) for v in (first, last, by)):
        raise ValueError(f"arange: step must not be 0, and all finite, got {start!r}, {stop!r}, {step!r}")
    whole = all(isinstance(v, int) for v in (first, last, by))
    kind = dtype_name(dtype, "int32" if whole else None)
    size = max(0, -((first - last) // by) if whole else math.ceil((last - first) / by))
    if size and kind not in FLOATS and kind != "bool":
        _fitting("arange", int(first), kind)
        _fitting("arange", int(first + (size - 1) * by), kind)
    made = kind if kind in COMPUTED else "int64" if whole else "float32"
    if made in FLOATS:
        first, by = float(first), float(by)
    if size >= 2**60:
        raise MemoryError(f"arange: {size} numbers are too many")
    return cast(kernel("iota", size=size, start=first, step=by, dtype=made), kind)


@op(
    ref=lambda N, M=None, k=0, dtype=None: np.eye(N, M, k, dtype or "float32"),
    cases=[Case((3,)), Case((2, 4, 1)), Case((4, 2, -1)), Case((2, None, 0, "int32")), Case((3, 3, 7))],
    bad=[Bad((-2,), ValueError, "eye: a shape has no negative sizes")],
)
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """A matrix with ones on a diagonal and zeros elsewhere.

    Args:
        N: The number of rows.
        M: The number of columns, as many by default.
        k: Which diagonal: 0 the main one, above it the positive ones.
        dtype: The dtype, floatx by default.

    Raises:
        ValueError, TypeError: A size is negative or not a whole number.

    Example:
        >>> from lumbre import ops
        >>> ops.eye(2).numpy()
        array([[1., 0.],
               [0., 1.]], dtype=float32)
    """
    from lumbre.ops.indexing import one_hot

    rows, columns = normalize_shape("eye", (N, N if M is None else M))
    return one_hot(arange(k, rows + k), columns, dtype=dtype)


@op(ref=lambda n, dtype=None: np.eye(n, dtype=dtype or "float32"), cases=[Case((3,))])
def identity(n: int, dtype: Any = None) -> Tensor:
    """A square matrix with ones on the main diagonal. Errors as for `eye`.

    Example:
        >>> from lumbre import ops
        >>> ops.identity(2).shape
        (2, 2)
    """
    return eye(n, dtype=dtype)


def _triangle(name: str, x: Any, k: int, lower: bool) -> Tensor:
    x = as_tensor(x)
    if x.ndim < 2:
        raise ValueError(f"{name}: needs a tensor with at least 2 axes, got shape {x.shape}")
    rows = expand_dims(arange(x.shape[-2]), 1)
    columns = arange(-k, x.shape[-1] - k)
    inside = ew.greater_equal(rows, columns) if lower else ew.less_equal(rows, columns)
    return ew.where(inside, x, zeros_like(x))


_TRIANGLE = [Case((In((3, 4)),)), Case((In((2, 3, 3)), 1)), Case((In((4, 3)), -1))]
_FLAT = [Bad((np.ones(3, "float32"),), ValueError, "at least 2 axes")]


@op(ref=np.tril, cases=_TRIANGLE, bad=_FLAT)
def tril(x: Any, k: int = 0) -> Tensor:
    """Matrices with zeros above diagonal `k`.

    Args:
        x: A tensor; its last two axes are the matrices'.
        k: The last diagonal to keep: 0 the main one, above it the positive ones.

    Raises:
        ValueError: There are fewer than two axes.

    Example:
        >>> from lumbre import ops
        >>> ops.tril([[1, 2], [3, 4]]).numpy()
        array([[1, 0],
               [3, 4]], dtype=int32)
    """
    return _triangle("tril", x, k, lower=True)


@op(ref=np.triu, cases=_TRIANGLE, bad=_FLAT)
def triu(x: Any, k: int = 0) -> Tensor:
    """Matrices with zeros below diagonal `k`. Arguments and errors as for `tril`.

    Example:
        >>> from lumbre import ops
        >>> ops.triu([[1, 2], [3, 4]]).numpy()
        array([[1, 2],
               [0, 4]], dtype=int32)
    """
    return _triangle("triu", x, k, lower=False)


@op(ref=lambda variable: variable, cases=[Case((_2D,), grad=False)])
def stop_gradient(variable: Any) -> Tensor:
    """The same values, through which no gradient flows.

    Example:
        >>> from lumbre import ops
        >>> ops.stop_gradient(ops.ones(2)).requires_grad
        False
    """
    return as_tensor(variable).detach()


def convert_to_tensor(
    x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None
) -> Any:
    """The value as a tensor.

    Args:
        x: A tensor, a Variable, anything array-like, or a number; symbolic tensors stay what they are.
        dtype: The dtype to convert to; by default the value's own, and float32 for Python floats.
        sparse: Accepted as in Keras: tensors here are dense.
        ragged: As `sparse`.

    Raises:
        TypeError: The value is not made of numbers.

    Example:
        >>> from lumbre import ops
        >>> ops.convert_to_tensor([1.0, 2.0]).dtype
        'float32'
    """
    if hasattr(x, "_keras_history"):
        return x if dtype is None or x.dtype == dtype_name(dtype) else cast(x, dtype_name(dtype))
    return as_tensor(x, None if dtype is None else dtype_name(dtype))


def convert_to_numpy(x: Any) -> np.ndarray:
    """A copy of the values as a NumPy array.

    Example:
        >>> from lumbre import ops
        >>> ops.convert_to_numpy(ops.ones(2))
        array([1., 1.], dtype=float32)
    """
    return as_tensor(x).numpy()


def is_tensor(x: Any) -> bool:
    """Whether it is a tensor (a Variable is not one).

    Example:
        >>> from lumbre import ops
        >>> ops.is_tensor(ops.ones(2)), ops.is_tensor([1.0])
        (True, False)
    """
    return isinstance(x, Tensor) or hasattr(x, "_keras_history")


def shape(x: Any) -> tuple[int | None, ...]:
    """The sizes of the axes; None for one that a symbolic tensor leaves open.

    Example:
        >>> from lumbre import ops
        >>> ops.shape(ops.zeros((2, 3)))
        (2, 3)
    """
    return tuple(x.shape) if hasattr(x, "shape") else as_tensor(x).shape


def size(x: Any) -> int:
    """The number of elements.

    Example:
        >>> from lumbre import ops
        >>> ops.size(ops.zeros((2, 3)))
        6
    """
    return math.prod(n or 0 for n in shape(x))


def ndim(x: Any) -> int:
    """The number of axes.

    Example:
        >>> from lumbre import ops
        >>> ops.ndim(ops.zeros((2, 3)))
        2
    """
    return len(shape(x))
