"""The same elements in another shape or order. What can be a view of the same memory is one."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbre.autograd import Tensor, as_tensor, kernel, record, wrap
from lumbre.ops.axes import normalize_axes, normalize_axis, normalize_shape
from lumbre.ops.table import Bad, Case, In, op

_2D = In((2, 3))
_3D = In((2, 3, 4))
_ONES = np.ones((2, 3), "float32")


def _resolve(x: Tensor, newshape: Any) -> tuple[int, ...]:
    """The new shape with the size that -1 stands for, and the size of the same axis that None does.

    None is what `ops.shape` of a symbolic tensor has where the size is not known.
    """
    given = newshape if isinstance(newshape, (tuple, list)) else (newshape,)
    if None in given:
        given = [n if n is not None else x.shape[i] if i < x.ndim else -1 for i, n in enumerate(given)]
    try:
        sizes = list(map(operator.index, given))
    except TypeError:
        raise TypeError(f"reshape: a shape is made of ints, got {newshape!r}") from None
    size = x.size
    if sizes.count(-1) == 1:
        known = -math.prod(sizes)
        if known > 0 and size % known == 0:
            sizes[sizes.index(-1)] = size // known
    if min(sizes, default=0) < 0 or math.prod(sizes) != size:
        raise ValueError(
            f"reshape: cannot reshape a tensor of shape {x.shape} (size {size}) into shape {tuple(given)}; "
            f"the sizes' product must stay the same, and at most one may be -1"
        )
    return tuple(sizes)


@op(
    ref=np.reshape,
    cases=[
        Case((_3D, (6, 4))),
        Case((_3D, (-1, 2))),
        Case((_3D, -1)),
        Case((In((1, 1)), ())),
        Case((_3D, [3, 1, 8])),
    ],
    bad=[
        Bad(
            (_ONES, (4, 2)),
            ValueError,
            r"cannot reshape a tensor of shape \(2, 3\) \(size 6\) into shape \(4, 2\)",
        ),
        Bad((_ONES, (-1, 4)), ValueError, "reshape: cannot reshape"),
        Bad((_ONES, (-1, -1)), ValueError, "at most one may be -1"),
        Bad((_ONES, (2.0, 3)), TypeError, "made of ints"),
    ],
)
def reshape(x: Any, newshape: Any) -> Tensor:
    """The elements in row-major order in another shape.

    Args:
        x: A tensor.
        newshape: The new sizes; one may be -1 and is what the others leave. None keeps the size of the same
            axis, as in `ops.reshape(x, (ops.shape(x)[0], -1))` of a symbolic tensor.

    Raises:
        ValueError: The sizes do not have the same product.

    Example:
        >>> from lumbre import ops
        >>> ops.reshape([1, 2, 3, 4], (2, -1)).numpy()
        array([[1, 2],
               [3, 4]], dtype=int32)
    """
    x = as_tensor(x)
    old, new = x.shape, _resolve(x, newshape)
    return record(wrap(x._a.reshape(new)), (x,), (lambda g, y: reshape(g, old),), name="reshape")


@op(ref=np.ravel, cases=[Case((_3D,)), Case((In(()),))])
def ravel(x: Any) -> Tensor:
    """The elements in row-major order along one axis.

    Example:
        >>> from lumbre import ops
        >>> ops.ravel([[1, 2], [3, 4]]).numpy()
        array([1, 2, 3, 4], dtype=int32)
    """
    return reshape(x, -1)


@op(
    ref=np.transpose,
    cases=[
        Case((_3D,)),
        Case((_3D, (1, 0, 2))),
        Case((_3D, (-1, 0, 1))),
        Case((In((40, 33)),)),
        Case((In(()),)),
    ],
    bad=[
        Bad((_ONES, (0, 0)), ValueError, r"transpose: axes must name each of the 2 axes once, got \(0, 0\)"),
        Bad((_ONES, (0,)), ValueError, "must name each of the 2 axes once"),
        Bad((_ONES, (0, 2)), IndexError, "axis 2 is out of range"),
    ],
)
def transpose(x: Any, axes: Any = None) -> Tensor:
    """The axes in another order.

    Args:
        x: A tensor.
        axes: For each axis of the result, which axis of x it is; by default the axes in reverse.

    Raises:
        ValueError: An axis is missing or named twice.
        IndexError: An axis is out of range.

    Example:
        >>> from lumbre import ops
        >>> ops.transpose([[1, 2, 3], [4, 5, 6]]).numpy()
        array([[1, 4],
               [2, 5],
               [3, 6]], dtype=int32)
    """
    x = as_tensor(x)
    rank = x.ndim
    given = range(rank)[::-1] if axes is None else axes
    order = [normalize_axis("transpose", a, rank) for a in given]
    back = sorted(range(len(order)), key=order.__getitem__)
    if [order[i] for i in back] != list(range(rank)):
        raise ValueError(f"transpose: axes must name each of the {rank} axes once, got {axes}")
    return record(wrap(x._a.permute(order)), (x,), (lambda g, y: transpose(g, back),), name="transpose")


@op(
    ref=np.swapaxes,
    cases=[Case((_3D, 0, 2)), Case((_3D, -1, 1))],
    bad=[Bad((_ONES, 0, 2), IndexError, "swapaxes: axis 2 is out of range")],
)
def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged.

    Example:
        >>> from lumbre import ops
        >>> ops.swapaxes(ops.zeros((2, 3, 4)), 0, 1).shape
        (3, 2, 4)
    """
    x = as_tensor(x)
    a, b = (normalize_axis("swapaxes", axis, x.ndim) for axis in (axis1, axis2))
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return transpose(x, order)


def _all_axes(name: str, axes: Any, rank: int) -> list[int]:
    given = axes if isinstance(axes, (tuple, list)) else (axes,)
    found = [normalize_axis(name, a, rank) for a in given]
    if len(set(found)) != len(found):
        raise ValueError(f"{name}: each axis may be named once, got {axes}")
    return found


@op(
    ref=np.moveaxis,
    cases=[Case((_3D, 0, -1)), Case((_3D, (0, 1), (2, 0))), Case((_3D, -1, 0))],
    bad=[
        Bad((_ONES, 2, 0), IndexError, "moveaxis: axis 2 is out of range"),
        Bad((_ONES, (0, 1), 0), ValueError, "moveaxis: source and destination"),
        Bad((_ONES, (0, 0), (0, 1)), ValueError, "named once"),
    ],
)
def moveaxis(x: Any, source: Any, destination: Any) -> Tensor:
    """Some axes moved to other places; the others keep their order.

    Args:
        x: A tensor.
        source: An axis or several.
        destination: Where each of them goes.

    Raises:
        ValueError: There are not as many destinations as sources, or one is named twice.
        IndexError: An axis is out of range.

    Example:
        >>> from lumbre import ops
        >>> ops.moveaxis(ops.zeros((2, 3, 4)), 0, -1).shape
        (3, 4, 2)
    """
    x = as_tensor(x)
    sources, targets = (_all_axes("moveaxis", a, x.ndim) for a in (source, destination))
    if len(sources) != len(targets):
        raise ValueError(
            f"moveaxis: source and destination name as many axes, got {source} and {destination}"
        )
    order = [i for i in range(x.ndim) if i not in sources]
    for target, moved in sorted(zip(targets, sources, strict=True)):
        order.insert(target, moved)
    return transpose(x, order)


@op(
    ref=np.expand_dims,
    cases=[Case((_2D, 0)), Case((_2D, -1)), Case((_2D, (0, 2))), Case((In(()), 0))],
    bad=[Bad((_ONES, 3), IndexError, "expand_dims: axis 3 is out of range for a tensor of rank 3")],
)
def expand_dims(x: Any, axis: Any) -> Tensor:
    """New axes of size 1.

    Args:
        x: A tensor.
        axis: Where in the result they are: an axis or several.

    Raises:
        IndexError, ValueError: An axis is out of range or named twice.

    Example:
        >>> from lumbre import ops
        >>> ops.expand_dims([1, 2], axis=0).shape
        (1, 2)
    """
    x = as_tensor(x)
    new = len(axis) if isinstance(axis, (tuple, list)) else 1
    axes = normalize_axes("expand_dims", axis, x.ndim + new)
    sizes = iter(x.shape)
    return reshape(x, tuple(1 if i in axes else next(sizes) for i in range(x.ndim + new)))


@op(
    ref=np.squeeze,
    cases=[Case((In((1, 3, 1)),)), Case((In((1, 3, 1)), 0)), Case((In((1, 3, 1)), (0, -1))), Case((_2D,))],
    bad=[
        Bad((_ONES, 1), ValueError, "Cannot squeeze axis=1, because the dimension is not 1"),
        Bad((_ONES, 2), IndexError, "squeeze: axis 2 is out of range"),
    ],
)
def squeeze(x: Any, axis: Any = None) -> Tensor:
    """Without axes of size 1.

    Args:
        x: A tensor.
        axis: Which axes, by default all of size 1.

    Raises:
        ValueError: An axis has another size.
        IndexError: An axis is out of range.

    Example:
        >>> from lumbre import ops
        >>> ops.squeeze([[1, 2]]).shape
        (2,)
    """
    x = as_tensor(x)
    ones = [i for i, n in enumerate(x.shape) if n == 1]
    axes = ones if axis is None else normalize_axes("squeeze", axis, x.ndim)
    for i in axes:
        if x.shape[i] != 1:
            raise ValueError(
                f"Cannot squeeze axis={i}, because the dimension is not 1: the shape is {x.shape}"
            )
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


@op(
    ref=np.broadcast_to,
    cases=[Case((_2D, (4, 2, 3))), Case((In((2, 1)), (2, 5))), Case((In(()), (3,))), Case((_2D, (2, 3)))],
    bad=[
        Bad((_ONES, (2, 4)), ValueError, r"broadcast_to: cannot broadcast shape \(2, 3\) to \(2, 4\)"),
        Bad((_ONES, (3,)), ValueError, "broadcast_to: cannot broadcast"),
    ],
)
def broadcast_to(x: Any, shape: Any) -> Tensor:
    """The elements repeated along new axes in front and axes of size 1.

    Args:
        x: A tensor.
        shape: The new shape.

    Raises:
        ValueError: The shape is not one that x broadcasts to.
        MemoryError: It is too large for any memory.

    Example:
        >>> from lumbre import ops
        >>> ops.broadcast_to([1, 2], (2, 2)).numpy()
        array([[1, 2],
               [1, 2]], dtype=int32)
    """
    t, new = as_tensor(x), normalize_shape("broadcast_to", shape)
    lead = len(new) - t.ndim
    if lead < 0 or not all(n in (1, new[lead + i]) for i, n in enumerate(t.shape)):
        raise ValueError(f"broadcast_to: cannot broadcast shape {t.shape} to {new}; sizes must be equal or 1")
    if new == t.shape:
        return t
    if math.prod(new) >= 2**60:
        raise MemoryError(f"broadcast_to: a tensor of shape {new} is too large")
    # The tape sums the gradient over the repeated axes by itself.
    return record(wrap(t._a.broadcast(new)), (t,), (lambda g, y: g,), name="broadcast_to")


def take_steps(x: Tensor, starts: Sequence[int], counts: Sequence[int], steps: Sequence[int]) -> Tensor:
    """Along each axis `counts` elements from `starts` in steps of `steps`, which may be negative."""
    if tuple(counts) == x.shape and all(s == 1 for s in steps):
        return x
    shape = x.shape
    # A view names a first element even where it takes none.
    firsts = [s if n else 0 for s, n in zip(starts, counts, strict=True)]
    y = wrap(x._a.slice(firsts, counts, steps))
    return record(y, (x,), (lambda g, y: place(g, shape, starts, steps),), name="slice")


def place(
    x: Tensor, shape: Sequence[int], starts: Sequence[int], steps: Sequence[int], value: float | None = None
) -> Tensor:
    """A tensor of that shape full of a value, but x at those places: what `take_steps` undoes."""
    counts = x.shape
    y: Tensor = kernel("place", x, shape=tuple(shape), starts=tuple(starts), steps=tuple(steps), value=value)
    return record(y, (x,), (lambda g, y: take_steps(g, starts, counts, steps),), name="place")


@op(
    ref=np.flip,
    cases=[Case((_3D,)), Case((_3D, 1)), Case((_3D, (0, -1))), Case((In((0, 2)), 0))],
    bad=[Bad((_ONES, 2), IndexError, "flip: axis 2 is out of range")],
)
def flip(x: Any, axis: Any = None) -> Tensor:
    """The order of the elements reversed along axes.

    Args:
        x: A tensor.
        axis: An axis, several, or None for all.

    Raises:
        IndexError, ValueError: An axis is out of range or named twice.

    Example:
        >>> from lumbre import ops
        >>> ops.flip([1, 2, 3]).numpy()
        array([3, 2, 1], dtype=int32)
    """
    x = as_tensor(x)
    axes = normalize_axes("flip", axis, x.ndim)
    starts = [n - 1 if i in axes else 0 for i, n in enumerate(x.shape)]
    return take_steps(x, starts, x.shape, [-1 if i in axes else 1 for i in range(x.ndim)])


@op(
    ref=lambda x, repeats, axis=None: np.repeat(x, repeats, axis=axis),
    cases=[
        Case((_2D, 2)),
        Case((_2D, 3, 0)),
        Case((_2D, 2, -1)),
        Case((_2D, [1, 0, 2], 1)),
        Case((_2D, 0, 1)),
        Case((_2D, [2], 0)),
    ],
    bad=[
        Bad((_ONES, -1, 0), ValueError, "repeat: repeats must not be negative"),
        Bad((_ONES, [1, 2], 1), ValueError, "repeat: repeats has 2 values for 3 elements"),
        Bad((_ONES, 2, 2), IndexError, "repeat: axis 2 is out of range"),
    ],
)
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element several times in a row.

    Args:
        x: A tensor.
        repeats: How many times: an int, or one per element along the axis.
        axis: Along which axis, or None to flatten first.

    Raises:
        ValueError: A number of repeats is negative, or there are not as many as elements.
        IndexError: The axis is out of range.

    Example:
        >>> from lumbre import ops
        >>> ops.repeat([1, 2], 2).numpy()
        array([1, 1, 2, 2], dtype=int32)
    """
    from lumbre.ops.indexing import gather

    x = as_tensor(x)
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalize_axis("repeat", axis, x.ndim)
    counts = np.asarray(repeats)
    if counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ValueError(f"repeat: repeats must not be negative, and ints, got {repeats!r}")
    n = x.shape[axis]
    if counts.size == 1:
        times = int(counts.reshape(()))
        lead, tail = x.shape[:axis], x.shape[axis + 1 :]
        wide = broadcast_to(expand_dims(x, axis + 1), (*lead, n, times, *tail))
        return reshape(wide, (*lead, n * times, *tail))
    if counts.shape != (n,):
        raise ValueError(f"repeat: repeats has {counts.size} values for {n} elements along axis {axis}")
    return gather(x, as_tensor(np.repeat(np.arange(n), counts)), axis)


@op(
    ref=np.tile,
    cases=[
        Case((_2D, 2)),
        Case((_2D, (2, 3))),
        Case((_2D, (2, 1, 2))),
        Case((_3D, (2, 2))),
        Case((_2D, (0, 1))),
    ],
    bad=[Bad((_ONES, (-1,)), ValueError, "tile: a shape has no negative sizes")],
)
def tile(x: Any, repeats: Any) -> Tensor:
    """The tensor several times beside itself.

    Args:
        x: A tensor.
        repeats: How many times along each axis; missing ones in front are 1, as are missing axes of x.

    Raises:
        ValueError: A number of repeats is negative.

    Example:
        >>> from lumbre import ops
        >>> ops.tile([1, 2], 2).numpy()
        array([1, 2, 1, 2], dtype=int32)
    """
    t, times = as_tensor(x), normalize_shape("tile", repeats)
    rank = max(len(times), t.ndim)
    times = (1,) * (rank - len(times)) + times
    t = reshape(t, (1,) * (rank - t.ndim) + t.shape)
    for axis in range(rank):  # one axis at a time: the rank of a tensor is limited
        if times[axis] != 1:
            lead, tail = t.shape[:axis], t.shape[axis:]
            wide = broadcast_to(expand_dims(t, axis), (*lead, times[axis], *tail))
            t = reshape(wide, (*lead, times[axis] * tail[0], *tail[1:]))
    return t
