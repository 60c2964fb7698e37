"""In which dtype an op computes: JAX's promotion lattice, where Python numbers have no width of their own."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lumbre import config
from lumbre.autograd import FLOATS, Tensor, as_tensor, kernel, record, wrap
from lumbre.ops.axes import dtype_name
from lumbre.ops.table import Bad, Case, In, op

COMPUTED = frozenset({"float32", "float64", "int32", "int64"})
"""The dtypes that arithmetic kernels exist for."""

WIDE = {
    **dict.fromkeys(("float16", "bfloat16"), "float32"),
    **dict.fromkeys(("bool", "int8", "uint8", "int16", "uint16"), "int32"),
    **dict.fromkeys(("uint32", "uint64"), "int64"),
}
"""In which of them the others are computed before they are cast back (uint64 by its two's complement)."""

# Each dtype's next wider ones (docs.jax.dev, "Type promotion semantics"); "int" and "float" are Python's.
_WIDER: dict[str, tuple[str, ...]] = {
    "bool": ("int",),
    "int": ("uint8", "int8"),
    "uint8": ("int16", "uint16"),
    "uint16": ("int32", "uint32"),
    "uint32": ("int64", "uint64"),
    "uint64": ("float",),
    "int8": ("int16",),
    "int16": ("int32",),
    "int32": ("int64",),
    "int64": ("float",),
    "float": ("bfloat16", "float16"),
    "bfloat16": ("float32",),
    "float16": ("float32",),
    "float32": ("float64",),
    "float64": (),
}


@functools.cache
def _above(dtype: str) -> frozenset[str]:
    """The dtype and all that are wider."""
    return frozenset({dtype}).union(*map(_above, _WIDER[dtype]))


@functools.cache
def _least(dtypes: tuple[str, ...]) -> str:
    """The least dtype that is at least as wide as each of them; it may be "int" or "float"."""
    common = frozenset.intersection(*map(_above, dtypes))
    return next(d for d in common if common <= _above(d))


def result_type(*dtypes: Any) -> str:
    """The dtype in which values of these dtypes meet.

    Args:
        dtypes: Names, NumPy dtypes, or Python's bool, int and float (or "int" and "float") for
            numbers, which take the width of what they meet (int32 and floatx among themselves).

    Raises:
        TypeError: One of them is no dtype that tensors have.

    Example:
        >>> from lumbre.ops.dtypes import result_type
        >>> result_type("int32", float), result_type("float16", int), result_type("uint8", "int8")
        ('float32', 'float16', 'int16')
    """
    names = tuple(_name(d) for d in dtypes)
    met = _least(names)
    return {"int": "int32", "float": config.floatx()}.get(met, met)


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype given as a string, a Python type, a NumPy or a PyTorch dtype; None is floatx.

    Raises:
        ValueError: Tensors have no such dtype.

    Example:
        >>> standardize_dtype(int), standardize_dtype(None), standardize_dtype(np.dtype("uint8"))
        ('int32', 'float32', 'uint8')
    """
    name = str(dtype).removeprefix("torch.") if str(dtype).startswith("torch.") else dtype
    try:
        name = dtype_name(name)
    except TypeError:
        name = str(dtype)
    if name == "str":
        name = "string"
    if name not in DTYPES and name != "string":
        raise ValueError(f"Invalid dtype: {dtype}")
    return name


def is_float_dtype(dtype: Any) -> bool:
    """Whether a dtype is one of numbers with a fraction.

    Example:
        >>> is_float_dtype("bfloat16"), is_float_dtype(np.int8)
        (True, False)
    """
    return standardize_dtype(dtype) in FLOATS


def is_int_dtype(dtype: Any) -> bool:
    """Whether a dtype is one of whole numbers.

    Example:
        >>> is_int_dtype("uint8"), is_int_dtype(bool)
        (True, False)
    """
    return standardize_dtype(dtype).removeprefix("u").startswith("int")


def _name(dtype: Any) -> str:
    if dtype is bool or dtype is int or dtype is float:
        dtype = dtype.__name__
    name = dtype if isinstance(dtype, str) else dtype_name(dtype)
    if name not in _WIDER:
        raise TypeError(f"no tensor has the dtype {name}; there are {', '.join(DTYPES)}")
    return name


DTYPES = tuple(d for d in _WIDER if d not in ("int", "float"))


def _kind(value: Any) -> str | None:
    """What a number without a dtype counts as in the lattice; None for everything else."""
    if isinstance(value, (bool, np.bool_)):
        return "bool"
    if isinstance(value, (int, np.integer)):
        return "int"
    return "float" if isinstance(value, (float, np.floating)) else None


@functools.lru_cache(maxsize=4096, typed=True)
def _constant(value: Any, dtype: str, _sign: float) -> Tensor:
    if dtype not in FLOATS and dtype != "bool":
        limits = np.iinfo(dtype)
        if not limits.min <= value <= limits.max:
            raise OverflowError(
                f"{value} does not fit into {dtype}: cast the tensor it meets to a wider dtype"
            )
    return wrap(Tensor(np.asarray(value), dtype)._a)


def constant(value: Any, dtype: str) -> Tensor:
    """A number as a tensor: always the same one, so that all recordings of a step meet the same memory.

    Raises:
        OverflowError: An integer out of the range of an integer dtype.

    Example:
        >>> from lumbre.ops.dtypes import constant
        >>> constant(1.0, "float32") is constant(1.0, "float32")
        True
    """
    sign = math.copysign(1.0, value) if isinstance(value, float) else 1.0  # since -0.0 == 0.0
    return _constant(value, dtype, sign)


def promote(*args: Any) -> tuple[Tensor, ...]:
    """The arguments as tensors of one dtype, by `result_type`.

    Args:
        args: Tensors, Variables, array-likes and numbers; a NumPy scalar counts as a Python number.

    Example:
        >>> from lumbre.ops.dtypes import promote
        >>> import numpy as np
        >>> [t.dtype for t in promote(np.arange(3, dtype="int64"), 0.5)]
        ['float32', 'float32']
    """
    return _ready(args) or _to_one_dtype(args, None)


def _ready(args: tuple[Any, ...]) -> tuple[Tensor, ...] | None:
    """The usual case without a detour: tensors of one computed dtype, and numbers that take it."""
    dtype = None
    ready = True
    for a in args:
        kind = type(a)
        if kind is Tensor:
            own = a._a.dtype
        else:
            ready = False
            if kind is float or kind is int:
                continue
            if not hasattr(a, "__lumbre_tensor__"):
                return None
            own = a.dtype
        if dtype is None:
            dtype = own
        elif own != dtype:
            return None
    if dtype not in COMPUTED:
        return None
    if ready:
        return args
    if dtype not in FLOATS and any(type(a) is float for a in args):
        return None
    return tuple(constant(a, dtype) if type(a) is float or type(a) is int else as_tensor(a) for a in args)


def _to_one_dtype(args: tuple[Any, ...], least: str | None) -> tuple[Tensor, ...]:
    """`promote`, to something at least as wide as `least`."""
    kinds = [_kind(a) for a in args]
    tensors = [a if k is not None else as_tensor(a) for a, k in zip(args, kinds, strict=True)]
    met = [k if k is not None else t.dtype for t, k in zip(tensors, kinds, strict=True)]
    dtype = result_type(*met, least) if least else result_type(*met)
    return tuple(
        constant(t, dtype) if k is not None else t if t.dtype == dtype else cast(t, dtype)
        for t, k in zip(tensors, kinds, strict=True)
    )


Back = Callable[[Tensor], Tensor]


def same(x: Tensor) -> Tensor:
    """x, where there is nothing to be done with a result."""
    return x


def arithmetic(*args: Any, truth: bool = False) -> tuple[tuple[Tensor, ...], Back]:
    """The arguments in the dtype that a kernel computes in, and what to do with its result.

    With `truth`, truth values give a truth value; without, they count as int32.
    """
    tensors = _ready(args)
    if tensors is not None:
        return tensors, same
    tensors = _to_one_dtype(args, None)
    dtype = tensors[0].dtype
    if dtype in COMPUTED:
        return tensors, same
    wide = tuple(cast(t, WIDE[dtype]) for t in tensors)
    return wide, same if dtype == "bool" and not truth else lambda y: cast(y, dtype)


def floating(*args: Any) -> tuple[tuple[Tensor, ...], Back]:
    """`arithmetic` for functions of real numbers: integers become floatx."""
    tensors = _ready(args)
    if tensors is None or tensors[0].dtype not in FLOATS:
        tensors = _to_one_dtype(args, "float")
    dtype = tensors[0].dtype
    if dtype in COMPUTED:
        return tensors, same
    return tuple(cast(t, WIDE[dtype]) for t in tensors), lambda y: cast(y, dtype)


@op(
    ref=lambda x, dtype: np.asarray(x).astype("float64" if dtype in FLOATS else dtype),
    cases=[
        Case((In((2, 3)), "float64")),
        Case((In((5,), dtype="float64"), "float32")),
        Case((In((3,), -4, 4, dtype="int32"), "float32")),
        Case((In((4,), -9, 9, grad=False), "int32"), grad=False),
        Case((In((2, 2), 0, 9, dtype="uint8"), "int64")),
        Case((In((), dtype="int64"), "bool")),
        Case((In((0, 3)), "float64"), grad=False),
    ],
    bad=[
        Bad((np.ones(2, "float32"), "complex64"), TypeError, "no tensor has the dtype complex64"),
        Bad((np.ones(2, "float32"), "floaty"), TypeError, "no tensor has the dtype floaty"),
    ],
    kernels=["cast"],
)
def cast(x: Any, dtype: Any) -> Tensor:
    """`x` in another dtype.

    Floats are rounded to nearest, ties to even. A float becomes an integer without its fraction, held
    within the integer's range, NaN becoming 0; integers keep their lower bits. All but zero is true.

    Args:
        x: A tensor of any dtype.
        dtype: A dtype's name, a NumPy dtype or a Python type.

    Raises:
        TypeError: There is no such dtype.

    Example:
        >>> import lumbre
        >>> lumbre.ops.cast([1.7, -1.7], "int32").numpy()
        array([ 1, -1], dtype=int32)
    """
    target = _target(dtype)
    a = as_tensor(x)
    source = a.dtype
    if source == target:
        return a
    out: Tensor = kernel("cast", a, dtype=target)
    if target in FLOATS and source in FLOATS:
        record(out, (a,), (lambda g, y: cast(g, source),), name="cast")
    return out


def _target(dtype: Any) -> str:
    if isinstance(dtype, str) and dtype in COMPUTED:
        return dtype
    try:
        return _name(dtype_name(dtype))
    except TypeError as e:
        raise TypeError(f"cast: {e}") from None
