"""Adafactor's passes over a matrix whose second moment is known by its rows and columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from lumbre.autograd import Tensor, as_tensor, kernel
from lumbre.ops.optimizer import cells_of, number_of, results
from lumbre.ops.table import Bad, Case, In, op

_G, _STACK = In((130, 7), grad=False), In((3, 70, 5), grad=False)
_ROWS, _COLUMNS = In((130,), 0.5, 2.0, grad=False), In((7,), 0.5, 2.0, grad=False)
_STACKS = (_STACK, In((3, 70), 0.5, 2.0, grad=False), In((3, 5), 0.5, 2.0, grad=False))
_WIDE = (In((2, 5000), grad=False), In((2,), grad=False), In((5000,), grad=False))
_M, _V3, _V2 = np.ones((2, 3), "float32"), np.ones(3, "float32"), np.ones(2, "float32")


@op(
    ref=lambda gradient: [np.mean(gradient**2, -1), np.mean(gradient**2, -2)],
    cases=[Case((_G,)), Case((_STACK,)), Case((_WIDE[0],), ulp=16)],
    bad=[
        Bad((_V2,), ValueError, r"square_means: expected a float32 or float64 gradient \(…, n, m\)"),
        Bad((np.ones((2, 2), "int32"),), ValueError, r"gradient \(…, n, m\), got int32\(2, 2\)"),
    ],
    kernels=["square_means"],
)
def square_means(gradient: Any) -> tuple[Tensor, Tensor]:
    """The means of the squares of each row and of each column, in one pass.

    Source: Shazeer and Stern 2018, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost.

    Args:
        gradient: float32 or float64 (…, n, m).

    Returns:
        The means over the last axis, (…, n), and over the last but one, (…, m).

    Raises:
        ValueError: The gradient has fewer than two axes or another dtype.

    Example:
        >>> import lumbre
        >>> rows, columns = lumbre.ops.square_means(lumbre.Tensor([[1.0, 3.0], [1.0, 1.0]]))
        >>> rows.numpy(), columns.numpy()
        (array([5., 1.], dtype=float32), array([1., 5.], dtype=float32))
    """
    return kernel("square_means", as_tensor(gradient))  # type: ignore[no-any-return]


def _scaled(gradient: Any, rows: Any, columns: Any) -> Any:
    return gradient * rows[..., :, None] * columns[..., None, :]


@op(
    ref=lambda gradient, rows, columns: np.sum(_scaled(gradient, rows, columns) ** 2),
    cases=[Case((_G, _ROWS, _COLUMNS), ulp=16), Case(_STACKS, ulp=16), Case(_WIDE, ulp=16)],
    bad=[
        Bad((_M, _V3, _V3), ValueError, r"factored_square_sum: the rows' factors must be float32\(2,\)"),
        Bad((_M, _V2, _V2), ValueError, r"the columns' factors must be float32\(3,\), got float32\(2,\)"),
    ],
    kernels=["factored_square_sum"],
)
def factored_square_sum(gradient: Any, rows: Any, columns: Any) -> Tensor:
    """Σ (g_ij a_i b_j)², in one pass.

    Args:
        gradient: g, float32 or float64 (…, n, m).
        rows: a, (…, n).
        columns: b, (…, m).

    Returns:
        A float64 scalar.

    Raises:
        ValueError: Shapes or dtypes do not fit.

    Example:
        >>> import lumbre
        >>> g = lumbre.Tensor([[1.0, 3.0]])
        >>> lumbre.ops.factored_square_sum(g, lumbre.Tensor([2.0]), lumbre.Tensor([1.0, 0.5])).item()
        13.0
    """
    return kernel("factored_square_sum", *map(as_tensor, (gradient, rows, columns)))  # type: ignore[no-any-return]


@op(
    ref=lambda variable, gradient, rows, columns, rate: [variable - rate * _scaled(gradient, rows, columns)],
    cases=[
        Case((_G, _G, _ROWS, _COLUMNS, 0.1)),
        Case((_STACK, *_STACKS, np.float32(0.5))),
        Case((_WIDE[0], *_WIDE, 0.1)),
    ],
    bad=[
        Bad((_M, _M, _V3, _V3, 0.1), ValueError, r"adafactor: the rows' factors must be float32\(2,\)"),
        Bad((_M.T, _M, _V2, _V3, 0.1), ValueError, r"the parameter must be float32\(2, 3\), got"),
        Bad((_M, _M, _V2, _V3, _V3), ValueError, "`rate` must be a float32 or float64 scalar"),
    ],
    kernels=["adafactor"],
)
def adafactor_step(variable: Any, gradient: Any, rows: Any, columns: Any, rate: Any) -> list[Tensor] | None:
    """w_ij -= rate · g_ij a_i b_j, in one pass.

    Args:
        variable: w, a Variable (…, n, m), which is updated in place; or a value.
        gradient: g, of the same shape.
        rows: a, (…, n).
        columns: b, (…, m).
        rate: A number.

    Returns:
        None for a Variable; for a value the new one, in a list.

    Raises:
        ValueError: Shapes or dtypes do not fit; nothing is updated then.

    Example:
        >>> import lumbre
        >>> w, g = lumbre.Variable([[1.0, 1.0]]), lumbre.Tensor([[1.0, 3.0]])
        >>> lumbre.ops.adafactor_step(w, g, lumbre.Tensor([2.0]), lumbre.Tensor([1.0, 0.5]), 0.25)
        >>> w.numpy()
        array([[0.5 , 0.25]], dtype=float32)
    """
    cells, values = cells_of([variable])
    kernel("adafactor", *map(as_tensor, (gradient, rows, columns)), number_of(rate), inout=cells)
    return results(cells, values)
