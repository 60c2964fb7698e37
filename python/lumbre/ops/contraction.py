"""What is made of products of matrices: dot, tensordot, outer, and Einstein's summation."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbre.autograd import Tensor, as_tensor
from lumbre.ops.arithmetic import multiply
from lumbre.ops.dtypes import COMPUTED, promote
from lumbre.ops.products import matmul, product
from lumbre.ops.reduce import sum as sum_
from lumbre.ops.shapes import broadcast_to, reshape, transpose
from lumbre.ops.slicing import getitem
from lumbre.ops.table import Bad, Case, In, op


@op(
    ref=np.dot,
    cases=[
        Case((In((3,)), In((3,)))),
        Case((In((3, 4)), In((4, 5)))),
        Case((In((2, 3, 4)), In((4,)))),
        Case((In((2, 3, 4)), In((6, 4, 5)))),
        Case((2.0, In((4, 5)))),
    ],
    bad=[Bad((np.ones((3, 4)), np.ones((5, 6))), ValueError, r"must match.*\(3, 4\).*\(5, 6\)")],
)
def dot(x1: Any, x2: Any) -> Tensor:
    """The dot product: a sum of products over the last axis of x1 and the last but one of x2.

    With a scalar the product by it; with a one-dimensional x2 the sum over its only axis.

    Args:
        x1: Tensor of shape (..., k), or a scalar.
        x2: Tensor of shape (..., k, n) or (k,), or a scalar.

    Returns:
        A tensor with the axes of x1 but the last, then those of x2 but that of the sum.

    Raises:
        ValueError: The two axes differ in size.

    Example:
        >>> from lumbre import ops
        >>> ops.dot([1.0, 2.0], [3.0, 4.0]).item()
        11.0
    """
    a, b = as_tensor(x1), as_tensor(x2)
    if not a.ndim or not b.ndim:
        return multiply(a, b)
    axis = max(b.ndim - 2, 0)
    if a.shape[-1] != b.shape[axis]:
        raise ValueError(
            f"Shape must match on the last axis of `x1` and second last axis of `x2` when `x1` is N-d "
            f"array while `x2` is M-D, but received `x1.shape={a.shape}` and x2.shape=`{b.shape}`."
        )
    if b.ndim <= 2:
        return matmul(a, b)
    return tensordot(a, b, ((a.ndim - 1,), (axis,)))


def _contracted(axes: Any, a: Tensor, b: Tensor) -> tuple[list[int], list[int]]:
    """The axes that `tensordot` sums over, counted from the front, in the order of those of `a`."""
    if isinstance(axes, int):
        first, second = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        first, second = ([x] if isinstance(x, int) else list(x) for x in axes)
    pairs = sorted((i + a.ndim * (i < 0), j + b.ndim * (j < 0)) for i, j in zip(first, second, strict=False))
    rows, columns = [i for i, _ in pairs], [j for _, j in pairs]
    once = len(first) == len(second) and len(set(rows)) == len(rows) and len(set(columns)) == len(columns)
    fits = once and all(0 <= i < a.ndim and 0 <= j < b.ndim and a.shape[i] == b.shape[j] for i, j in pairs)
    if not fits:
        raise ValueError(
            f"tensordot: the axes of the sum must exist and agree in size, got axes={axes} for "
            f"`x1.shape={a.shape}` and `x2.shape={b.shape}`"
        )
    return rows, columns


@op(
    ref=np.tensordot,
    cases=[
        Case((In((2, 3, 4)), In((3, 4, 5)))),
        Case((In((2, 3, 4)), In((4, 5))), {"axes": 1}),
        Case((In((2, 3)), In((4,))), {"axes": 0}),
        Case((In((2, 3, 4)), In((4, 3, 5))), {"axes": ((1, 2), (1, 0))}),
        Case((In((4, 3, 2)), In((5, 4))), {"axes": ((0,), (1,))}),
        Case((In((2, 3, 4)), In((5, 3))), {"axes": [1, -1]}),
    ],
    bad=[
        Bad((np.ones((2, 3, 4)), np.ones((4, 3, 5))), ValueError, r"tensordot.*\(2, 3, 4\).*\(4, 3, 5\)"),
        Bad((np.ones((2, 3)), np.ones((3, 2))), ValueError, "axes=3", {"axes": 3}),
    ],
)
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Tensor:
    """Sums of products over pairs of axes.

    Args:
        x1: Tensor.
        x2: Tensor.
        axes: How many axes to sum over, the last of x1 and the first of x2, or two lists of as many
            axes of each.

    Returns:
        A tensor with the other axes of x1, then those of x2.

    Raises:
        ValueError: Axes that do not exist or differ in size.

    Example:
        >>> from lumbre import ops
        >>> ops.tensordot(ops.ones((2, 3, 4)), ops.ones((3, 4, 5))).shape
        (2, 5)
    """
    a, b = as_tensor(x1), as_tensor(x2)
    first, second = _contracted(axes, a, b)
    rows = [i for i in range(a.ndim) if i not in first]
    columns = [j for j in range(b.ndim) if j not in second]
    y = _contract(a, (rows, first), b, (second, columns), [])
    return reshape(y, [a.shape[i] for i in rows] + [b.shape[j] for j in columns])


def _contract(
    a: Tensor,
    a_axes: tuple[list[int], list[int]],
    b: Tensor,
    b_axes: tuple[list[int], list[int]],
    batch: list[tuple[int, int]],
) -> Tensor:
    """A batch of products of matrices whose rows and columns are groups of axes; `batch` pairs the others."""
    left, trans_a = _matrices(a, [i for i, _ in batch], *a_axes)
    right, trans_b = _matrices(b, [j for _, j in batch], *b_axes)
    left, right = promote(left, right)
    if left.dtype in COMPUTED:
        return product(left, right, trans_a, trans_b)
    left, right = (_exchanged(x) if flag else x for x, flag in ((left, trans_a), (right, trans_b)))
    return matmul(left, right)


def _exchanged(x: Tensor) -> Tensor:
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _matrices(x: Tensor, batch: list[int], rows: list[int], columns: list[int]) -> tuple[Tensor, bool]:
    """x as [*batch, rows, columns], or with the last two exchanged and True, where that needs no copy."""
    order = batch + rows + columns
    flag = order != sorted(order) and batch + columns + rows == sorted(order)
    if flag:
        rows, columns = columns, rows
    elif order != sorted(order):
        x, batch, rows, columns = _ordered(x, batch, rows, columns)
    sizes = [math.prod(x.shape[i] for i in group) for group in (rows, columns)]
    return reshape(x, [x.shape[i] for i in batch] + sizes), flag


def _ordered(
    x: Tensor, batch: list[int], rows: list[int], columns: list[int]
) -> tuple[Tensor, list[int], list[int], list[int]]:
    x = transpose(x, batch + rows + columns)
    b, r = len(batch), len(batch) + len(rows)
    return x, list(range(b)), list(range(b, r)), list(range(r, x.ndim))


@op(
    ref=np.outer,
    cases=[
        Case((In((3,)), In((4,)))),
        Case((In((2, 3)), In((4,)))),
        Case((2.0, In((4,)))),
        Case((In((0,)), In((4,))), grad=False),
    ],
)
def outer(x1: Any, x2: Any) -> Tensor:
    """The outer product: y[i, j] = x1[i] · x2[j], of both as vectors of all their elements.

    Args:
        x1: Tensor of any shape, of m elements.
        x2: Tensor of any shape, of n elements.

    Returns:
        A tensor of shape (m, n).

    Example:
        >>> from lumbre import ops
        >>> ops.outer([1.0, 2.0], [3.0, 4.0]).numpy()
        array([[3., 4.],
               [6., 8.]], dtype=float32)
    """
    a, b = as_tensor(x1), as_tensor(x2)
    return multiply(reshape(a, (a.size, 1)), reshape(b, (1, b.size)))


def _parse(subscripts: str, operands: Sequence[Tensor]) -> tuple[list[str], str]:
    """One letter for each axis of each operand, and of the result, those of ellipses included."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise ValueError(
            f"Number of einsum subscripts, {len(terms)}, must be equal to the number of operands, "
            f"{len(operands)}."
        )
    spare = "".join(c for c in string.ascii_letters if c not in text)
    labels, ellipsis = [], ""
    for i, (term, x) in enumerate(zip(terms, operands, strict=True)):
        named = term.replace("...", "", 1)
        rest = x.ndim - len(named)
        if named and not (named.isascii() and named.isalpha()):
            raise ValueError(f"einsum: {term!r} in {subscripts!r} is not letters and at most one ellipsis")
        if rest < 0 or (rest and named == term):
            raise ValueError(
                f"Einstein sum subscript {term!r} does not contain the correct number of indices for "
                f"operand {i}, of shape {x.shape}."
            )
        own = spare[:rest][::-1]  # its last axis has the same letter in every operand
        ellipsis = max(ellipsis, own if named != term else "", key=len)
        labels.append(term.replace("...", own, 1))
    return labels, _result(
        subscripts, "".join(labels), ellipsis, right.replace("...", ellipsis, 1), bool(arrow)
    )


def _result(subscripts: str, labels: str, ellipsis: str, output: str, given: bool) -> str:
    """The letters of the result: as given, or those that occur once."""
    if not given:
        return ellipsis + "".join(sorted(c for c in set(labels) - set(ellipsis) if labels.count(c) == 1))
    for c in output:
        if c not in labels:
            raise ValueError(
                f"Output character {c!r} did not appear in the input, in einsum({subscripts!r})."
            )
        if output.count(c) > 1:
            raise ValueError(f"Output character {c!r} appeared more than once, in einsum({subscripts!r}).")
    return output


def _sizes(labels: Sequence[str], operands: Sequence[Tensor]) -> dict[str, int]:
    """The size of each label; axes of size 1 repeat."""
    sizes: dict[str, int] = {}
    for i, (term, x) in enumerate(zip(labels, operands, strict=True)):
        for c, n in zip(term, x.shape, strict=True):
            if n != 1 and sizes.get(c, 1) not in (1, n):
                raise ValueError(
                    f"Size of label {c!r} for operand {i} ({n}) does not match previous terms ({sizes[c]})."
                )
            sizes[c] = max(sizes.get(c, 1), n) if n else 0
    return sizes


def _simplified(x: Tensor, labels: str, sizes: dict[str, int], kept: set[str]) -> tuple[Tensor, str]:
    """Without axes that repeat, with diagonals for repeated labels, summed over labels not to be kept."""
    single = [i for i, c in enumerate(labels) if x.shape[i] == 1 and sizes[c] != 1]
    x = reshape(x, [n for i, n in enumerate(x.shape) if i not in single])
    labels = "".join(c for i, c in enumerate(labels) if i not in single)
    for c in dict.fromkeys(labels):
        while labels.count(c) > 1:
            i = labels.index(c)
            j = labels.index(c, i + 1)
            others = [axis for axis in range(x.ndim) if axis not in (i, j)]
            n = x.shape[i]
            x = reshape(transpose(x, [*others, i, j]), [x.shape[a] for a in others] + [n * n])
            x = getitem(x, (..., slice(None, None, n + 1)))
            labels = "".join(labels[a] for a in others) + c
    alone = tuple(i for i, c in enumerate(labels) if c not in kept)
    return (sum_(x, axis=alone) if alone else x), "".join(c for c in labels if c in kept)


def _pair(a: Tensor, la: str, b: Tensor, lb: str, kept: set[str]) -> tuple[Tensor, str]:
    """The product of two operands, summed over the labels that only they have."""
    batch = [c for c in la if c in lb and c in kept]
    inner = [c for c in la if c in lb and c not in kept]
    rows, columns = [c for c in la if c not in lb], [c for c in lb if c not in la]
    labels = "".join(batch + rows + columns)
    if not inner or not (rows or columns):  # element by element: matrices would have one row or column
        a, b = _aligned(a, la, labels + "".join(inner)), _aligned(b, lb, labels + "".join(inner))
        y = multiply(a, b)
        return (sum_(y, axis=tuple(range(len(labels), y.ndim))) if inner else y), labels
    at_a = [la.index(c) for c in rows], [la.index(c) for c in inner]
    at_b = [lb.index(c) for c in inner], [lb.index(c) for c in columns]
    y = _contract(a, at_a, b, at_b, [(la.index(c), lb.index(c)) for c in batch])
    sizes = [a.shape[la.index(c)] for c in batch + rows] + [b.shape[lb.index(c)] for c in columns]
    return reshape(y, sizes), labels


def _aligned(x: Tensor, labels: str, order: str) -> Tensor:
    """x with its axes in this order, and an axis of size 1 for each label that it lacks."""
    axes = [labels.index(c) for c in order if c in labels]
    x = x if axes == sorted(axes) else transpose(x, axes)
    sizes = iter(x.shape)
    return reshape(x, [next(sizes) if c in labels else 1 for c in order])


@op(
    ref=np.einsum,
    cases=[
        Case(("ij,jk->ik", In((3, 4)), In((4, 5)))),
        Case(("ij,kj", In((3, 4)), In((5, 4)))),
        Case(("bij,bjk->bik", In((2, 3, 4)), In((2, 4, 5)))),
        Case(("bqhd,bkhd->bhqk", In((2, 3, 2, 4)), In((2, 5, 2, 4)))),
        Case(("abc,cde->abde", In((2, 3, 4)), In((4, 2, 3)))),
        Case(("...ij,...jk->...ik", In((2, 1, 3, 4)), In((5, 4, 2)))),
        Case(("i,j->ij", In((3,)), In((4,)))),
        Case(("bi,bi->b", In((3, 4)), In((3, 4)))),
        Case(("ij->ji", In((3, 4)))),
        Case(("ij->", In((3, 4)))),
        Case(("ii->i", In((4, 4)))),
        Case(("iij->j", In((3, 3, 4)))),
        Case(("i,ij,j->", In((3,)), In((3, 4)), In((4,)))),
        Case(("ij,jk,kl->il", In((2, 3)), In((3, 4)), In((4, 5)))),
        Case(("ij,k->i", In((2, 3)), In((4,)))),
        Case(("ij,jk->ik", In((3, 4), -9, 9, "int32"), In((4, 5), -9, 9, "int32"))),
    ],
    bad=[
        Bad(("ij,jk->ik", np.ones((2, 3)), np.ones((4, 5))), ValueError, r"Size of label 'j' for .* 1 \(4\)"),
        Bad(("ij,jk->iq", np.ones((2, 3)), np.ones((3, 5))), ValueError, "'q' did not appear in the input"),
        Bad(("ij,jk->ik", np.ones((2, 3))), ValueError, "Number of einsum subscripts, 2,"),
        Bad(("ijk,jk->ik", np.ones((2, 3)), np.ones((3, 5))), ValueError, "correct number of indices"),
        Bad(("i1->i", np.ones((2, 3))), ValueError, "not letters"),
    ],
)
def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Tensor:
    """Sums of products in Einstein's notation: axes with the same letter run together.

    Letters that the result lacks are summed over; `...` stands for any further axes, which
    broadcast. Operands are multiplied from left to right, as products of matrices where they are.

    Args:
        subscripts: Letters for the axes of each operand, separated by commas, then, after `->`,
            those of the result; without it, the letters that occur once, in alphabetical order.
        operands: Tensors.
        kwargs: Accepted for Keras's sake (`optimize=...`) and not needed.

    Returns:
        A tensor with the axes that the result's letters name.

    Raises:
        ValueError: Subscripts that are not well formed, or do not fit the operands.

    Example:
        >>> from lumbre import ops
        >>> ops.einsum("ij,kj->ik", ops.ones((2, 3)), ops.ones((4, 3))).shape
        (2, 4)
    """
    tensors = [as_tensor(x) for x in operands]
    labels, output = _parse(subscripts, tensors)
    sizes = _sizes(labels, tensors)
    terms = list(zip(tensors, labels, strict=True))

    def kept(rest: Sequence[tuple[Tensor, str]]) -> set[str]:
        return set(output).union(*(term for _, term in rest))

    result, own = _simplified(*terms[0], sizes, kept(terms[1:]))
    for i in range(1, len(terms)):
        later = kept(terms[i + 1 :])
        x, term = _simplified(*terms[i], sizes, later | set(own))
        result, own = _pair(result, own, x, term, later)
        result, own = _simplified(result, own, sizes, later)
    y = _aligned(result, own, output)
    full = tuple(sizes[c] for c in output)
    return y if y.shape == full else broadcast_to(y, full)
