"""Tensors put together, taken apart, and padded."""

from __future__ import annotations

import itertools
import operator
from typing import Any

import numpy as np

from lumbre.autograd import Rule, Tensor, as_tensor, kernel, record
from lumbre.ops.axes import normalize_axis
from lumbre.ops.dtypes import cast, result_type
from lumbre.ops.shapes import expand_dims, place, squeeze, take_steps
from lumbre.ops.table import Bad, Case, In, op

_2D = In((2, 3))
_ONES = np.ones((2, 3), "float32")


def _several(name: str, xs: Any) -> list[Tensor]:
    """The tensors of a list, in one dtype."""
    tensors = [as_tensor(x) for x in xs]
    if not tensors:
        raise ValueError(f"{name}: needs at least one tensor, got none")
    dtypes = {t.dtype for t in tensors}
    if len(dtypes) > 1:
        common = result_type(*dtypes)
        tensors = [cast(t, common) for t in tensors]
    return tensors


def _part(axis: int, start: int, count: int) -> Rule:
    """The rule that takes an operand's part out of the gradient."""
    return lambda g, y: _range(g, axis, start, count)


def _range(x: Tensor, axis: int, start: int, count: int) -> Tensor:
    starts, counts = [0] * x.ndim, list(x.shape)
    starts[axis], counts[axis] = start, count
    return take_steps(x, starts, counts, [1] * x.ndim)


@op(
    ref=lambda xs, axis=0: np.concatenate(xs, axis=axis),
    cases=[
        Case(([_2D, In((4, 3))],)),
        Case(([_2D, In((2, 1)), In((2, 0))], -1)),
        Case(([In((2, 3, 4))] * 3, 1)),
        Case(([_2D],)),
        Case(([_2D, In((2, 3), -5, 5, dtype="int32")],)),
    ],
    bad=[
        Bad(([],), ValueError, "concatenate: needs at least one tensor"),
        Bad(([_ONES, np.ones((2, 4), "float32")],), ValueError, r"concatenate: .*\(2, 3\).*\(2, 4\)"),
        Bad(([_ONES, _ONES], 2), IndexError, "concatenate: axis 2 is out of range for a tensor of rank 2"),
        Bad(([_ONES, np.ones(3, "float32")],), ValueError, "concatenate: .*differ"),
    ],
    kernels=["concatenate"],
)
def concatenate(xs: Any, axis: int = 0) -> Tensor:
    """Tensors one after another along an axis.

    Args:
        xs: A list of tensors whose shapes differ along the axis alone. Different dtypes are promoted to a
            common one.
        axis: The axis.

    Raises:
        ValueError: The list is empty, or the shapes differ elsewhere.
        IndexError: The axis is out of range.

    Example:
        >>> from lumbre import ops
        >>> ops.concatenate([[1, 2], [3]]).numpy()
        array([1, 2, 3], dtype=int32)
    """
    tensors = _several("concatenate", xs)
    axis = normalize_axis("concatenate", axis, tensors[0].ndim)
    y = kernel("concatenate", *tensors, axis=axis)  # it checks the shapes
    starts = itertools.accumulate((t.shape[axis] for t in tensors), initial=0)
    rules = tuple(_part(axis, start, t.shape[axis]) for t, start in zip(tensors, starts, strict=False))
    return record(y, tuple(tensors), rules, name="concatenate")


@op(
    ref=lambda x, axis=0: np.stack(x, axis=axis),
    cases=[Case(([_2D, _2D],)), Case(([_2D] * 3, -1)), Case(([In(()), In(())],))],
    bad=[
        Bad(([],), ValueError, "stack: needs at least one tensor"),
        Bad(([_ONES, np.ones((3, 2), "float32")],), ValueError, r"stack: .*\(2, 3\).*\(3, 2\)"),
        Bad(([_ONES], 3), IndexError, "stack: axis 3 is out of range for a tensor of rank 3"),
    ],
)
def stack(x: Any, axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis.

    Args:
        x: A list of tensors.
        axis: Where in the result the new axis is.

    Raises:
        ValueError: The list is empty, or the shapes differ.
        IndexError: The axis is out of range.

    Example:
        >>> from lumbre import ops
        >>> ops.stack([[1, 2], [3, 4]], axis=1).numpy()
        array([[1, 3],
               [2, 4]], dtype=int32)
    """
    tensors = _several("stack", x)
    axis = normalize_axis("stack", axis, tensors[0].ndim + 1)
    for t in tensors:
        if t.shape != tensors[0].shape:
            raise ValueError(f"stack: tensors of one shape are needed, got {tensors[0].shape} and {t.shape}")
    return concatenate([expand_dims(t, axis) for t in tensors], axis)


@op(
    ref=lambda x, indices_or_sections, axis=0: np.split(x, indices_or_sections, axis=axis),
    cases=[
        Case((In((6, 2)), 3)),
        Case((In((2, 6)), [1, 4], 1)),
        Case((In((4,)), [0, 9])),
        Case((In((2, 4)), 2, -1)),
    ],
    bad=[
        Bad((_ONES, 2, 1), ValueError, "split: axis 1 of size 3 is not divisible into 2 equal parts"),
        Bad((_ONES, 0), ValueError, "split: .* 0 equal parts"),
        Bad((_ONES, 1, 2), IndexError, "split: axis 2 is out of range"),
    ],
)
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Consecutive parts along an axis.

    Args:
        x: A tensor.
        indices_or_sections: The number of parts of equal size, or the places to cut at.
        axis: The axis.

    Raises:
        ValueError: The axis cannot be cut into so many equal parts.
        IndexError: The axis is out of range.

    Example:
        >>> from lumbre import ops
        >>> [part.numpy().tolist() for part in ops.split([1, 2, 3, 4], 2)]
        [[1, 2], [3, 4]]
    """
    x = as_tensor(x)
    axis = normalize_axis("split", axis, x.ndim)
    n = x.shape[axis]
    if isinstance(indices_or_sections, (int, np.integer)):
        parts = int(indices_or_sections)
        if parts < 1 or n % parts:
            raise ValueError(f"split: axis {axis} of size {n} is not divisible into {parts} equal parts")
        cuts = [i * (n // parts) for i in range(parts + 1)]
    else:
        given = [operator.index(i) for i in indices_or_sections]
        cuts = [0, *(min(max(i + n if i < 0 else i, 0), n) for i in given), n]
    return [_range(x, axis, a, max(b - a, 0)) for a, b in itertools.pairwise(cuts)]


@op(
    ref=lambda x, num=None, axis=0: [np.take(x, i, axis=axis) for i in range(x.shape[axis])],
    cases=[Case((_2D,)), Case((_2D, 3, 1))],
    bad=[Bad((_ONES, 3), ValueError, "unstack: num=3, but axis 0 has size 2")],
)
def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The tensors along an axis, one by one.

    Args:
        x: A tensor.
        num: How many there are, by default the axis's size.
        axis: The axis.

    Raises:
        ValueError: There are not `num`.
        IndexError: The axis is out of range.

    Example:
        >>> from lumbre import ops
        >>> [t.numpy().tolist() for t in ops.unstack([[1, 2], [3, 4]])]
        [[1, 2], [3, 4]]
    """
    x = as_tensor(x)
    axis = normalize_axis("unstack", axis, x.ndim)
    if num is not None and num != x.shape[axis]:
        raise ValueError(f"unstack: num={num}, but axis {axis} has size {x.shape[axis]}")
    return [squeeze(_range(x, axis, i, 1), axis) for i in range(x.shape[axis])]


def _widths(pad_width: Any, rank: int) -> list[tuple[int, int]]:
    """How much to put before and after each axis."""
    try:
        widths = np.broadcast_to(np.asarray(pad_width), (rank, 2))
    except ValueError:
        widths = np.array("")
    if widths.dtype.kind not in "iu" or (widths < 0).any():
        raise ValueError(
            f"pad: pad_width must be an int, a pair (before, after), or one pair per axis of the {rank}, "
            f"none negative, got {pad_width!r}"
        )
    return [(int(a), int(b)) for a, b in widths]


def _pad_ref(x: Any, pad_width: Any, mode: Any = "constant", constant_values: Any = None) -> Any:
    extra: Any = {} if constant_values is None else {"constant_values": constant_values}
    return np.pad(x, pad_width, mode, **extra)


@op(
    ref=_pad_ref,
    cases=[
        Case((_2D, 1)),
        Case((_2D, ((0, 1), (2, 0)), "constant", 0.5)),
        Case((In((0, 2)), (1, 0))),
        Case((In((3, 4)), ((1, 2), (2, 1)), "reflect")),
        Case((In((3, 4)), ((1, 2), (2, 1)), "symmetric")),
        Case((_2D, 1, "edge")),
        Case((In((2, 3), -5, 5, dtype="int32"), 1, "constant", 7)),
    ],
    bad=[
        Bad((_ONES, ((1, 1), (1, 1), (1, 1))), ValueError, "pad: pad_width must be"),
        Bad((_ONES, -1), ValueError, "none negative"),
        Bad((_ONES, 1, "smooth"), ValueError, "pad: mode"),
        Bad((_ONES, 1, "edge", 2.0), ValueError, r"can only be provided when `mode == 'constant'`"),
    ],
    kernels=["place"],
)
def pad(x: Any, pad_width: Any, mode: Any = "constant", constant_values: Any = None) -> Tensor:
    """A tensor with a border.

    Args:
        x: A tensor.
        pad_width: How much before and after each axis: an int, a pair, or one pair per axis.
        mode: "constant", "reflect" (without the edge), "symmetric" (with it) or "edge".
        constant_values: The number that the border is made of in mode "constant", 0 by default.

    Raises:
        ValueError: A width, the mode or a combination of them is not one of these.

    Example:
        >>> from lumbre import ops
        >>> ops.pad([1, 2], 1).numpy()
        array([0, 1, 2, 0], dtype=int32)
    """
    from lumbre.ops.indexing import gather

    t = as_tensor(x)
    widths = _widths(pad_width, t.ndim)
    if mode == "constant":
        value = 0 if constant_values is None else np.asarray(constant_values).item()
        shape = [n + a + b for n, (a, b) in zip(t.shape, widths, strict=True)]
        return place(t, shape, [a for a, _ in widths], [1] * t.ndim, value)
    if constant_values is not None:
        raise ValueError(
            "Argument `constant_values` can only be provided when `mode == 'constant'`. "
            f"Received: mode={mode}"
        )
    if mode not in ("reflect", "symmetric", "edge"):
        raise ValueError(f"pad: mode must be 'constant', 'reflect', 'symmetric' or 'edge', got {mode!r}")
    for axis, width in enumerate(widths):
        if width != (0, 0):
            places = np.pad(np.arange(t.shape[axis]), width, mode)
            t = gather(t, as_tensor(places), axis)
    return t
