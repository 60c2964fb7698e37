"""Elements picked and placed by index.

An index below zero counts from the end. One that is out of range raises IndexError where the indices are host
data (lists, NumPy arrays); in a tensor, whose values are not looked at, it picks NaN (0 from whole numbers).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbre.autograd import Tensor, as_tensor, kernel, record
from lumbre.ops import creation
from lumbre.ops import elementwise as ew
from lumbre.ops.axes import dtype_name, normalize_axis, normalize_shape
from lumbre.ops.dtypes import cast, constant
from lumbre.ops.joining import unstack
from lumbre.ops.shapes import broadcast_to, expand_dims, moveaxis, ravel, reshape
from lumbre.ops.table import Bad, Case, In, op

_NOWHERE = 2**62  # an index that is out of range of everything


def checked_indices(name: str, indices: Any, n: int) -> Tensor:
    """The indices as an int32 or int64 tensor; host data is checked to lie among `n`."""
    if not isinstance(indices, Tensor) and not hasattr(indices, "__lumbre_tensor__"):
        if hasattr(indices, "_keras_history"):
            return as_tensor(indices)  # says that it is symbolic
        host = np.asarray(indices)
        if host.size == 0 and not hasattr(indices, "dtype"):
            host = host.astype("int32")
        if host.dtype.kind in "iu":
            wrong = host[(host < -n) | (host >= n)]
            if wrong.size:
                raise IndexError(f"{name}: index {wrong.flat[0]} is out of bounds for an axis of size {n}")
        indices = host if host.dtype.kind != "i" or host.dtype.itemsize >= 4 else host.astype("int32")
    t = as_tensor(indices)
    if not t.dtype.startswith(("int", "uint")):
        raise TypeError(
            f"{name}: indices must be integers, got {t.dtype}; cast them with ops.cast(indices, 'int32')"
        )
    return (
        t if t.dtype in ("int32", "int64") else cast(t, "int64" if t.dtype[-2:] in ("32", "64") else "int32")
    )


def gather(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    """y[o, j, i] = x[o, indices[j], i] around the axis."""
    n = x.shape[axis]
    y: Tensor = kernel("gather", x, indices, axis=axis)
    return record(y, (x,), (lambda g, y: scatter_add(g, indices, axis, n),), name="take")


def scatter_add(x: Tensor, indices: Tensor, axis: int, size: int) -> Tensor:
    """y[o, indices[j], i] += x[o, j, i], in order of j: the gradient of `gather`, which is this one's."""
    if x.dtype in ("float16", "bfloat16"):
        return cast(scatter_add(cast(x, "float32"), indices, axis, size), x.dtype)
    y: Tensor = kernel("scatter_add", x, indices, axis=axis, size=size)
    return record(y, (x,), (lambda g, y: gather(g, indices, axis),), name="scatter_add")


_2D = In((3, 4))
_ONES = np.ones((2, 3), "float32")


@op(
    ref=np.take,
    cases=[
        Case((_2D, In((5,), -3, 3, dtype="int32"), 0)),
        Case((_2D, In((2, 2), 0, 4, dtype="int64"), -1)),
        Case((_2D, In((), 0, 12, dtype="int32"))),
        Case((_2D, [1, -1], 1)),
        Case((In((3, 4), -9, 9, dtype="int32"), 2, 0)),
        Case((In((50, 70)), In((300,), 0, 50, dtype="int32"), 0)),
        Case((In((2, 3, 4)), In((2,), 0, 3, dtype="uint8"), 1)),
    ],
    bad=[
        Bad((_ONES, [0, 2], 0), IndexError, "take: index 2 is out of bounds for an axis of size 2"),
        Bad((_ONES, [-4], 1), IndexError, "take: index -4 is out of bounds for an axis of size 3"),
        Bad((_ONES, [0.5], 0), TypeError, "take: indices must be integers, got float"),
        Bad((_ONES, [0], 2), IndexError, "take: axis 2 is out of range for a tensor of rank 2"),
    ],
    kernels=["gather", "scatter_add"],
)
def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """Elements or slices by their index along an axis.

    Args:
        x: A tensor.
        indices: Integers of any shape, which the result has in the place of the axis.
        axis: The axis, or None for the flattened tensor.

    Raises:
        IndexError: The axis, or an index that is host data, is out of range. (In a tensor it picks NaN.)
        TypeError: The indices are not integers.

    Example:
        >>> from lumbre import ops
        >>> ops.take([[1, 2], [3, 4], [5, 6]], [2, 0], axis=0).numpy()
        array([[5, 6],
               [1, 2]], dtype=int32)
    """
    x = as_tensor(x)
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalize_axis("take", axis, x.ndim)
    return gather(x, checked_indices("take", indices, x.shape[axis]), axis)


def flat_index(indices: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """One index into the product of the axes for one index per axis; nowhere if one is out of range."""
    flat: Tensor | None = None
    inside: Tensor | None = None
    for index, n in zip(indices, sizes, strict=True):
        i = cast(index, "int64")
        i = ew.where(ew.less(i, 0), ew.add(i, n), i)
        valid = ew.logical_and(ew.greater_equal(i, 0), ew.less(i, n))
        flat = i if flat is None else ew.add(ew.multiply(flat, n), i)
        inside = valid if inside is None else ew.logical_and(inside, valid)
    assert flat is not None
    return ew.where(inside, flat, broadcast_to(constant(_NOWHERE, "int64"), flat.shape))


@op(
    ref=lambda x, indices, axis=None: np.take_along_axis(x, indices, axis),
    cases=[
        Case((_2D, In((3, 2), -4, 4, dtype="int32"), 1)),
        Case((_2D, In((5, 4), 0, 3, dtype="int64"), 0)),
        Case((_2D, In((3,), 0, 12, dtype="int32"), None)),
        Case((In((2, 3, 4)), In((2, 1, 4), 0, 3, dtype="int32"), 1)),
    ],
    bad=[
        Bad((_ONES, [[0, 3]], 1), IndexError, "take_along_axis: index 3 is out of bounds"),
        Bad((_ONES, np.array([0]), 1), ValueError, "take_along_axis: x and indices need as many axes"),
        Bad((_ONES, np.array([[0]]), 2), IndexError, "axis 2 is out of range"),
    ],
)
def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """Along an axis, elements by an index of their own for each line: y[o, j, i] = x[o, indices[o, j, i], i].

    Args:
        x: A tensor.
        indices: Integers, with as many axes as x; along the other axes the two are broadcast.
        axis: The axis, or None for the flattened tensor.

    Raises:
        IndexError: The axis, or an index that is host data, is out of range.
        ValueError: The shapes do not fit.
        TypeError: The indices are not integers.

    Example:
        >>> from lumbre import ops
        >>> ops.take_along_axis([[1, 2], [3, 4]], [[1], [0]], axis=1).numpy()
        array([[2],
               [3]], dtype=int32)
    """
    x = as_tensor(x)
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalize_axis("take_along_axis", axis, x.ndim)
    n = x.shape[axis]
    picked = checked_indices("take_along_axis", indices, n)
    if picked.ndim != x.ndim:
        raise ValueError(
            f"take_along_axis: x and indices need as many axes, got shapes {x.shape} and {picked.shape}"
        )
    x, picked = moveaxis(x, axis, -1), moveaxis(picked, axis, -1)
    lead = np.broadcast_shapes(x.shape[:-1], picked.shape[:-1])
    x, picked = broadcast_to(x, (*lead, n)), broadcast_to(picked, (*lead, picked.shape[-1]))
    lines = math.prod(lead)
    line = expand_dims(creation.arange(lines, dtype="int64"), 1)
    flat = flat_index([line, reshape(picked, (lines, picked.shape[-1]))], [lines, n])
    return moveaxis(reshape(gather(ravel(x), flat, 0), picked.shape), -1, axis)


def _one_hot_ref(x: Any, num_classes: int, axis: int = -1, dtype: Any = None) -> Any:
    hot = (np.asarray(x)[..., None] == np.arange(num_classes)).astype(dtype or "float32")
    return np.moveaxis(hot, -1, axis)


@op(
    ref=_one_hot_ref,
    cases=[
        Case((In((5,), 0, 3, dtype="int32"), 3)),
        Case((In((2, 3), -2, 6, dtype="int64"), 4, 0)),
        Case((In((2, 3), 0, 4, dtype="uint8"), 4, 1, "int32")),
        Case(([0, 1, 2], 3, -1, "bool")),
        Case((2, 4)),
    ],
    bad=[
        Bad(([0, 1], -1), ValueError, "one_hot: num_classes must be"),
        Bad(([0, 1], 2, 2), IndexError, "one_hot: axis 2 is out of range"),
        Bad(([0, 1], 2, -1, "float32", True), ValueError, "sparse=True"),
    ],
    kernels=["one_hot"],
)
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Tensor:
    """Vectors that are 1 at an index and 0 elsewhere; all zeros for an index outside of [0, num_classes).

    Args:
        x: Integers of any shape.
        num_classes: The length of the vectors.
        axis: Where in the result their axis is.
        dtype: The dtype of the result, floatx by default.
        sparse: Must be False: tensors here are dense.

    Raises:
        ValueError: The number of classes is negative, or `sparse` is set.
        IndexError: The axis is out of range.

    Example:
        >>> from lumbre import ops
        >>> ops.one_hot([1, 0], 2).numpy()
        array([[0., 1.],
               [1., 0.]], dtype=float32)
    """
    if sparse:
        raise ValueError("one_hot: tensors here are dense, sparse=True is not supported")
    if not isinstance(num_classes, (int, np.integer)) or num_classes < 0:
        raise ValueError(f"one_hot: num_classes must be an int and not negative, got {num_classes!r}")
    x = as_tensor(x)
    x = x if x.dtype in ("int32", "int64") else cast(x, "int64" if x.dtype.endswith("32") else "int32")
    axis = normalize_axis("one_hot", axis, x.ndim + 1)
    kind = dtype_name(dtype)
    made = kind if kind in ("float32", "float64", "int32", "int64", "bool") else "float32"
    y: Tensor = kernel("one_hot", x, size=int(num_classes), dtype=made)
    y = y if kind == made else cast(y, kind)
    return y if axis == x.ndim else moveaxis(y, -1, axis)


def _scattered(indices: Any, values: Any, shape: Any) -> Any:
    y = np.zeros(shape, np.asarray(values).dtype)
    np.add.at(y, tuple(np.moveaxis(np.asarray(indices), -1, 0)), values)
    return y


@op(
    ref=_scattered,
    cases=[
        Case((In((5, 1), 0, 4, dtype="int32"), In((5,)), (4,))),
        Case((In((6, 2), 0, 3, dtype="int32"), In((6,)), (3, 4))),
        Case((In((2, 3, 1), 0, 4, dtype="int64"), In((2, 3, 2)), (4, 2))),
    ],
    bad=[
        Bad((np.array([[0]]), np.ones((2,), "float32"), (3,)), ValueError, "scatter: values of shape"),
        Bad((np.array([[0, 0]]), np.ones((1,), "float32"), (3,)), ValueError, "scatter: values of shape"),
    ],
)
def scatter(indices: Any, values: Any, shape: Any) -> Tensor:
    """Zeros, with values added at indices: y[indices[j]] += values[j], in order of j.

    Args:
        indices: Integers of shape (..., k): the places along the first k axes of the result. One that is out
            of range adds nothing.
        values: A tensor of shape (..., *shape[k:]).
        shape: The shape of the result.

    Raises:
        ValueError: The shapes do not fit.
        TypeError: The indices are not integers.

    Example:
        >>> from lumbre import ops
        >>> ops.scatter([[0], [2], [0]], [1.0, 2.0, 3.0], (4,)).numpy()
        array([4., 0., 2., 0.], dtype=float32)
    """
    places, x, sizes = as_tensor(indices), as_tensor(values), normalize_shape("scatter", shape)
    if not places.dtype.startswith(("int", "uint")):
        raise TypeError(f"scatter: indices must be integers, got {places.dtype}")
    k = places.shape[-1] if places.ndim else 0
    if not 1 <= k <= len(sizes) or x.shape != places.shape[:-1] + sizes[k:]:
        raise ValueError(
            f"scatter: values of shape {x.shape} at indices of shape {places.shape} do not fit a result of "
            f"shape {sizes}; they need the shape indices.shape[:-1] + shape[k:] with k = indices.shape[-1]"
        )
    count, total = math.prod(places.shape[:-1]), math.prod(sizes[:k])
    flat = flat_index(unstack(reshape(places, (count, k)), axis=1), sizes[:k])
    y = scatter_add(reshape(x, (count, *sizes[k:])), flat, 0, total)
    return reshape(y, sizes)
