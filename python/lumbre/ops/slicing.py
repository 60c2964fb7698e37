"""Parts of tensors by position: NumPy's indexing, and blocks."""

from __future__ import annotations

import builtins
import itertools
import math
import operator
from typing import Any

import numpy as np

from lumbre.autograd import Tensor, as_tensor
from lumbre.ops import creation
from lumbre.ops import elementwise as ew
from lumbre.ops.axes import normalize_shape
from lumbre.ops.indexing import checked_indices, flat_index, gather
from lumbre.ops.shapes import broadcast_to, place, reshape, take_steps
from lumbre.ops.table import Bad, Case, In, op

slice_ = builtins.slice  # the op of that name is defined below

_2D = In((3, 4))
_ONES = np.ones((2, 3), "float32")


def _expanded(key: Any, shape: tuple[int, ...]) -> list[Any]:
    """The parts of an index, one per axis and None, with the ellipsis written out and masks as indices."""
    parts: list[Any] = []
    masks: list[tuple[int, tuple[int, ...]]] = []
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, (list, range)):
            part = np.asarray(part, None if len(part) else "int32")
        if getattr(part, "dtype", None) == "bool" or isinstance(part, bool):
            if not isinstance(part, np.ndarray) or part.ndim == 0:
                raise IndexError(
                    "getitem: how much a boolean mask picks cannot be told from its shape; use ops.where, or "
                    "a mask that is a NumPy array"
                )
            masks.append((len(parts), part.shape))
            parts.extend(part.nonzero())
        else:
            parts.append(part)
    dots = [i for i, part in enumerate(parts) if part is Ellipsis]
    axes = sum(part is not None and part is not Ellipsis for part in parts)
    if len(dots) > 1:
        raise IndexError("getitem: an index can only have a single ellipsis ('...')")
    if axes > len(shape):
        raise IndexError(
            f"getitem: too many indices: the tensor has {len(shape)} axes, but {axes} were indexed"
        )
    at = dots[0] if dots else len(parts)
    missing = len(shape) - axes
    for i, mask in masks:
        axis = sum(part is not None and part is not Ellipsis for part in parts[:i]) + (
            missing if i > at else 0
        )
        if shape[axis : axis + len(mask)] != mask:
            raise IndexError(
                f"getitem: a mask of shape {mask} does not fit axis {axis} of a tensor of shape {shape}"
            )
    return parts[:at] + [slice_(None)] * missing + parts[at + len(dots) :]


def _is_array(part: Any) -> bool:
    return isinstance(part, (np.ndarray, Tensor)) or hasattr(part, "__lumbre_tensor__")


@op(
    ref=lambda x, key: x[key],
    cases=[
        Case((_2D, 1)),
        Case((_2D, (slice_(1, None), -1))),
        Case((_2D, (Ellipsis, slice_(None, None, -2)))),
        Case((_2D, (None, slice_(2, 0, -1), None, slice_(0, 0)))),
        Case((In((2, 3, 4)), (slice_(None), 1))),
        Case((In((2, 3, 4)), (Ellipsis, None, 2))),
        Case((_2D, ())),
        Case((_2D, In((5,), -3, 3, dtype="int32"))),
        Case((_2D, (slice_(1, None), In((2, 2), 0, 4, dtype="int64")))),
        Case((_2D, (In((3,), -3, 3, dtype="int32"), In((2, 1), 0, 4, dtype="int32")))),
        Case((In((2, 3, 4)), (slice_(None), 1, In((3,), 0, 4, dtype="int32"), None))),
        Case((In((2, 3, 4)), (In((2,), 0, 2, dtype="int32"), 1, In((2,), 0, 4, dtype="int32")))),
        Case((In((3, 4)), [True, False, True])),
    ],
    bad=[
        Bad((_ONES, 2), IndexError, "getitem: index 2 is out of bounds for axis 0 with size 2"),
        Bad((_ONES, (0, 0, 0)), IndexError, "too many indices: the tensor has 2 axes, but 3 were indexed"),
        Bad((_ONES, (Ellipsis, Ellipsis)), IndexError, "single ellipsis"),
        Bad((_ONES, [0, 5]), IndexError, "getitem: index 5 is out of bounds"),
        Bad((_ONES, 0.5), IndexError, "only integers, slices"),
        Bad((_ONES, slice_(None, None, 0)), ValueError, "slice step cannot be zero"),
        Bad((_ONES, [True, False, True]), IndexError, r"a mask of shape \(3,\) does not fit axis 0"),
        Bad((_ONES, True), IndexError, "boolean mask"),
        Bad((np.ones((2, 3, 4), "float32"), ([0], slice_(None), [1])), IndexError, "must stand together"),
    ],
)
def getitem(x: Any, key: Any) -> Tensor:
    """x[key]: NumPy's indexing, as far as the result's shape depends on shapes alone.

    Integers, slices with any steps, None and an ellipsis make views. Integer arrays, and masks that are NumPy
    arrays, pick elements; several of them are broadcast against each other and must stand together.

    Args:
        x: A tensor.
        key: The index.

    Raises:
        IndexError: Too many indices, one that is out of bounds, or something that is no index.

    Example:
        >>> from lumbre import ops
        >>> ops.getitem(ops.reshape(ops.arange(6), (2, 3)), (Ellipsis, -1)).numpy()
        array([2, 5], dtype=int32)
    """
    x = as_tensor(x)
    parts = _expanded(key, x.shape)
    starts, counts, steps = [0] * x.ndim, list(x.shape), [1] * x.ndim
    axes = [i for i, part in enumerate(parts) if part is not None]
    for axis, part in enumerate(parts[i] for i in axes):
        n = x.shape[axis]
        if isinstance(part, slice_):
            starts[axis], stop, steps[axis] = part.indices(n)
            counts[axis] = len(range(starts[axis], stop, steps[axis]))
        elif not _is_array(part):
            starts[axis], counts[axis] = _place(part, axis, n), 1
    x = take_steps(x, starts, counts, steps)
    arrays = [(axis, i) for axis, i in enumerate(axes) if _is_array(parts[i])]
    if arrays:
        return _pick(x, parts, arrays)
    sizes = iter(x.shape)
    shape = [1 if part is None else next(sizes) for part in parts]
    return reshape(
        x, [n for n, part in zip(shape, parts, strict=True) if part is None or isinstance(part, slice_)]
    )


def _place(part: Any, axis: int, n: int) -> int:
    """An integer of an index, counted from the front."""
    try:
        place = operator.index(part)
    except TypeError:
        raise IndexError(
            "getitem: only integers, slices (`:`), ellipsis (`...`), None and integer arrays are valid "
            f"indices, got {part!r}"
        ) from None
    if not -n <= place < n:
        raise IndexError(f"getitem: index {place} is out of bounds for axis {axis} with size {n}")
    return place % n


def _pick(x: Tensor, parts: list[Any], arrays: list[tuple[int, int]]) -> Tensor:
    """What is left of an index once its integers and slices are done: `arrays` are the (axis, part) pairs."""
    advanced = [i for i, part in enumerate(parts) if part is not None and not isinstance(part, slice_)]
    if advanced != list(range(advanced[0], advanced[-1] + 1)):
        raise IndexError("getitem: index arrays, and integers beside them, must stand together")
    first = arrays[0][0]
    sizes = [x.shape[axis] for axis, _ in arrays]
    indices = [checked_indices("getitem", parts[i], x.shape[axis]) for axis, i in arrays]
    if len(indices) == 1:
        index = indices[0]
    else:
        common = np.broadcast_shapes(*(i.shape for i in indices))
        index = flat_index([broadcast_to(i, common) for i in indices], sizes)
        # Integers between the arrays left axes of size 1, which change nothing.
        x = reshape(x, (*x.shape[:first], math.prod(sizes), *x.shape[arrays[-1][0] + 1 :]))
    y = gather(x, index, first)
    rest = itertools.chain(x.shape[:first], x.shape[first + 1 :])
    shape: list[int] = []
    for i, part in enumerate(parts):
        if part is None:
            shape.append(1)
        elif isinstance(part, slice_):
            shape.append(next(rest))
        elif i == arrays[0][1]:
            shape.extend(index.shape)
        elif not _is_array(part) and not arrays[0][1] < i < arrays[-1][1]:
            next(rest)  # an integer's axis of size 1
    return reshape(y, shape)


def _block(name: str, start_indices: Any, block: tuple[int, ...], shape: tuple[int, ...]) -> list[int]:
    """Where a block begins, checked to lie inside of a tensor of that shape."""
    starts = [operator.index(i) for i in start_indices]
    inside = len(starts) == len(block) == len(shape) and all(
        0 <= s <= n - c for s, c, n in zip(starts, block, shape, strict=True)
    )
    if not inside:
        raise ValueError(
            f"{name}: a block of shape {block} at {tuple(starts)} is not inside of shape {shape}"
        )
    return starts


@op(
    ref=lambda inputs, start_indices, shape: inputs[
        tuple(slice_(s, s + n) for s, n in zip(start_indices, shape, strict=True))
    ],
    cases=[Case((_2D, (1, 0), (2, 3))), Case((In((5,)), [2], [0]))],
    bad=[
        Bad(
            (_ONES, (1, 0), (2, 3)), ValueError, r"slice: a block of shape \(2, 3\) at \(1, 0\) is not inside"
        ),
        Bad((_ONES, (0,), (2, 3)), ValueError, "is not inside of shape"),
    ],
)
def slice(inputs: Any, start_indices: Any, shape: Any) -> Tensor:
    """A block of a tensor.

    Args:
        inputs: A tensor.
        start_indices: Where it begins, along each axis.
        shape: Its shape.

    Raises:
        ValueError: The block is not inside of the tensor.

    Example:
        >>> from lumbre import ops
        >>> ops.slice([[1, 2], [3, 4]], (1, 0), (1, 2)).numpy()
        array([[3, 4]], dtype=int32)
    """
    x, sizes = as_tensor(inputs), normalize_shape("slice", shape)
    return take_steps(x, _block("slice", start_indices, sizes, x.shape), sizes, [1] * x.ndim)


def _updated(inputs: Any, start_indices: Any, updates: Any) -> Any:
    y = np.array(inputs)
    y[tuple(slice_(s, s + n) for s, n in zip(start_indices, np.shape(updates), strict=True))] = updates
    return y


@op(
    ref=_updated,
    cases=[Case((_2D, (1, 2), In((2, 2)))), Case((In((3,), -9, 9, dtype="int32"), (0,), [7]))],
    bad=[Bad((_ONES, (1, 0), _ONES), ValueError, "slice_update: a block of shape")],
)
def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Tensor:
    """A tensor with a block replaced.

    Args:
        inputs: A tensor.
        start_indices: Where the block begins, along each axis.
        updates: The block, which is cast to the tensor's dtype.

    Raises:
        ValueError: The block is not inside of the tensor.

    Example:
        >>> from lumbre import ops
        >>> ops.slice_update([1, 2, 3], (1,), [9]).numpy()
        array([1, 9, 3], dtype=int32)
    """
    x = as_tensor(inputs)
    block = as_tensor(updates, x.dtype)
    starts, steps = _block("slice_update", start_indices, block.shape, x.shape), [1] * x.ndim
    there = place(creation.ones(block.shape, "bool"), x.shape, starts, steps)
    return ew.where(there, place(block, x.shape, starts, steps), x)
