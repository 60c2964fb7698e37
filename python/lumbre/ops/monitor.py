"""What is watched inside a training step: norms per layer, and how many activations are dead or saturated.

Each of these ops has a clock and works at every so-manieth step only, so that a recorded step stays the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbre.autograd import Tensor, as_tensor, kernel
from lumbre.ops.optimizer import cells_of, results
from lumbre.ops.table import Bad, Case, In, op

_SHAPES = ((3, 4), (5,), (5000,))
_GROUPS = [0, 1, 0]


def _several() -> list[In]:
    return [In(shape, grad=False) for shape in _SHAPES]


def _clock(step: Any) -> Tensor:
    return as_tensor(step, "int64")


# --------------------------------------------------------------------------------------------------- snapshot


@op(
    ref=lambda copies, values, step, every=1: values if int(step) % every == 0 else copies,
    cases=[
        Case((_several(), _several(), np.int64(3))),
        Case((_several(), _several(), np.int64(3)), {"every": 2}),
        Case(([], [], np.int64(3))),
    ],
    bad=[
        Bad(([np.ones(2, "float32")], [np.ones(3, "float32")], 0), ValueError, "a place of its shape"),
        Bad(
            ([np.ones(2, "float32")], [np.ones(2, "float32")], 0, 0), ValueError, "`every` must be at least 1"
        ),
    ],
    kernels=["snapshot"],
)
def snapshot(copies: Sequence[Any], values: Sequence[Any], step: Any, every: int = 1) -> list[Tensor] | None:
    """Copies tensors at every `every`-th step, and does nothing at the others.

    Args:
        copies: Variables, which are updated in place; or values.
        values: A tensor of the same shape and dtype, float32 or float64, for each.
        step: The number of this step, from 0.
        every: Steps from one copy to the next.

    Returns:
        None for Variables; for values the new ones.

    Raises:
        ValueError: Shapes do not fit, or `every` is less than 1; nothing is copied then.

    Example:
        >>> import lumbre
        >>> kept = lumbre.Variable([0.0, 0.0])
        >>> lumbre.ops.snapshot([kept], [lumbre.Tensor([1.0, 2.0])], step=4, every=2)
        >>> kept.numpy()
        array([1., 2.], dtype=float32)
    """
    tensors = [as_tensor(v) for v in values]
    cells, made = cells_of(list(copies))
    if cells:
        kernel("snapshot", _clock(step), *tensors, inout=cells, every=int(every))
    return results(cells, made)


# ------------------------------------------------------------------------------------------------------ norms


def _norms_ref(
    totals: Any, gradients: Any, params: Any, before: Any, groups: Any, step: Any, every: int = 1
) -> Any:
    if int(step) % every:
        return [totals]
    kinds = (gradients, before, [p - b for p, b in zip(params, before, strict=True)])
    squares = np.zeros(totals.shape)
    for k, tensors in enumerate(kinds):
        for t, g in zip(tensors, groups, strict=True):
            squares[g, k] += np.sum(t * t)
    return [totals + np.sqrt(squares)]


_TOTALS = np.ones((2, 3))
_ONE = [np.ones(3, "float32")]


@op(
    ref=_norms_ref,
    cases=[
        Case((_TOTALS, _several(), _several(), _several(), _GROUPS, np.int64(0))),
        Case((_TOTALS, _several(), _several(), _several(), _GROUPS, np.int64(3)), {"every": 3}),
        Case((_TOTALS, _several(), _several(), _several(), _GROUPS, np.int64(4)), {"every": 3}),
        Case((_TOTALS, [], [], [], [], np.int64(0))),
    ],
    bad=[
        Bad((_TOTALS, _ONE, _ONE, [np.ones(2, "float32")], [0], 0), ValueError, "as many parameters"),
        Bad((_TOTALS, _ONE, _ONE, _ONE, [2], 0), ValueError, "the number of its group, from 0 to 2"),
        Bad((np.ones(3), _ONE, _ONE, _ONE, [0], 0), ValueError, r"float64 of shape \(groups, 3\)"),
    ],
    kernels=["norms_update"],
)
def norms_update(
    totals: Any,
    gradients: Sequence[Any],
    params: Sequence[Any],
    before: Sequence[Any],
    groups: Sequence[int],
    step: Any,
    every: int = 1,
) -> list[Tensor] | None:
    """Adds, for each group of parameters, ‖g‖, ‖w‖ and ‖w' - w‖ to three totals, at every `every`-th step.

    w are the parameters before the update and w' after it. All in one pass; the squares of gradients are
    summed in float64.

    Args:
        totals: A float64 Variable of shape (groups, 3), which is updated in place; or a value.
        gradients: g, float32 or float64 tensors.
        params: w', of the same shapes and dtypes.
        before: w, likewise.
        groups: For each parameter the number of its group.
        step: The number of this step, from 0.
        every: Steps from one measurement to the next.

    Returns:
        None for a Variable; for a value the new totals, in a list.

    Raises:
        ValueError: Shapes or groups do not fit, or `every` is less than 1; nothing is updated then.

    Example:
        >>> import lumbre
        >>> totals = lumbre.Variable([[0.0, 0.0, 0.0]], dtype="float64")
        >>> lumbre.ops.norms_update(totals, [[3.0, 4.0]], [[0.0, 1.0]], [[0.0, 2.0]], [0], step=0)
        >>> totals.numpy()
        array([[5., 2., 1.]])
    """
    tensors = [as_tensor(t) for t in (*gradients, *params, *before)]
    cells, made = cells_of([totals])
    kernel(
        "norms_update", _clock(step), *tensors, inout=cells, every=int(every), groups=[int(g) for g in groups]
    )
    return results(cells, made)


# --------------------------------------------------------------------------------------------------- activity

RANGES = {"zeros": 0, "unit": 1, "signed": 2}
"""What counts: values that are 0; within 0.01 of 0 or 1 or beyond; within 0.01 of -1 or 1 or beyond."""


def _activity_ref(totals: Any, outputs: Any, groups: Any, ranges: Any, step: Any, every: int = 1) -> Any:
    if int(step) % every:
        return [totals]
    hits, sizes = np.zeros(totals.shape), np.zeros(totals.shape)
    for y, g in zip(outputs, groups, strict=True):
        low, high = np.float32(0.01), np.float32(0.99)
        hit = {
            "zeros": y == 0,
            "unit": (y <= low) | (y >= high),
            "signed": np.abs(y) >= high,
        }[ranges[g]]
        hits[g] += hit.sum()
        sizes[g] += hit.size
    return [totals + np.divide(hits, sizes, out=np.zeros_like(hits), where=sizes > 0)]


@op(
    ref=_activity_ref,
    cases=[
        Case(
            (
                np.ones(3),
                [In((7, 5), grad=False), In((70, 90), -1.2, 1.2, grad=False), In((3, 9), grad=False)],
                [0, 1, 2],
                ["zeros", "unit", "signed"],
                np.int64(0),
            )
        ),
        Case(
            (
                np.ones(2),
                [np.zeros((4, 5), "float32"), In((4, 5), grad=False)],
                [1, 1],
                ["unit", "zeros"],
                np.int64(6),
            ),
            {"every": 3},
        ),
        Case((np.ones(1), [In((4, 5), grad=False)], [0], ["signed"], np.int64(5)), {"every": 3}),
    ],
    bad=[
        Bad((np.ones(1), _ONE, [0], ["all"], 0), ValueError, "range 'all' is none of"),
        Bad((np.ones(1), _ONE, [1], ["unit"], 0), ValueError, "the number of its group, from 0 to 1"),
        Bad((np.ones(2), _ONE, [1], ["unit"], 0), ValueError, "for each of 2 groups what is counted"),
        Bad(
            (np.ones(1), [np.ones(3, "int32")], [0], ["unit"], 0),
            TypeError,
            "`output` must be float32 or float64",
        ),
    ],
    kernels=["activity_update"],
)
def activity_update(
    totals: Any,
    outputs: Sequence[Any],
    groups: Sequence[int],
    ranges: Sequence[str],
    step: Any,
    every: int = 1,
) -> list[Tensor] | None:
    """Adds, for each group of tensors, the share of values that are dead or saturated to a total.

    Args:
        totals: A float64 Variable of shape (groups,), which is updated in place; or a value.
        outputs: float32 or float64 tensors.
        groups: For each tensor the number of its group.
        ranges: For each group what is counted: "zeros", values that are 0; "unit", values within 0.01 of 0
            or 1, or beyond, where a sigmoid is flat; "signed", values within 0.01 of ±1, or beyond.
        step: The number of this step, from 0.
        every: Steps from one measurement to the next.

    Returns:
        None for a Variable; for a value the new totals, in a list.

    Raises:
        ValueError: Groups do not fit, a range is unknown, or `every` is less than 1; nothing is updated then.
        TypeError: An output does not hold float32 or float64 values.

    Example:
        >>> import lumbre
        >>> totals = lumbre.Variable([0.0], dtype="float64")
        >>> lumbre.ops.activity_update(totals, [[0.0, 0.0, 3.0, 1.0]], [0], ["zeros"], step=0)
        >>> totals.numpy()
        array([0.5])
    """
    unknown = [r for r in ranges if r not in RANGES]
    if unknown:
        raise ValueError(f"activity_update: range {unknown[0]!r} is none of {', '.join(RANGES)}")
    tensors = [as_tensor(t) for t in outputs]
    cells, made = cells_of([totals])
    kernel(
        "activity_update",
        _clock(step),
        *tensors,
        inout=cells,
        every=int(every),
        groups=[int(g) for g in groups],
        ranges=[RANGES[r] for r in ranges],
    )
    return results(cells, made)
