"""Optimizer updates: one kernel call for all parameters, in one pass over their memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbre import _core
from lumbre.autograd import Tensor, as_tensor, kernel, wrap
from lumbre.ops.dtypes import constant
from lumbre.ops.table import Bad, Case, In, op


def cells_of(operands: Sequence[Any]) -> tuple[list[_core.Cell], bool]:
    """The cells of Variables; plain values get cells of their own, and True says that there are such."""
    values = [not hasattr(x, "cell") for x in operands]
    made = [_core.Cell(_dense(x)) if new else x.cell for x, new in zip(operands, values, strict=True)]
    return made, any(values)


def _dense(x: Any) -> _core.Array:
    array = as_tensor(x)._a
    return array if array.is_dense else array.reshape(array.shape)


def results(cells: Sequence[_core.Cell], wanted: bool) -> list[Tensor] | None:
    """What the cells hold now, if that is wanted."""
    return [wrap(cell.read()) for cell in cells] if wanted else None


def rate_of(learning_rate: Any) -> Tensor:
    if isinstance(learning_rate, (int, float)):
        return constant(float(learning_rate), "float32")
    t = as_tensor(learning_rate)
    return t if t.dtype in ("float32", "float64") else as_tensor(t, "float32")


def _like(name: str, grads: Sequence[Any], params: Sequence[Any]) -> list[Tensor]:
    if len(grads) != len(params):
        raise ValueError(
            f"{name}: expected a gradient for each parameter, got {len(grads)} for {len(params)}"
        )
    return [as_tensor(g, p.dtype) for g, p in zip(grads, params, strict=True)]


# -------------------------------------------------------------------------------------------------------- SGD


def _sgd_ref(
    params: Any,
    grads: Any,
    velocities: Any,
    learning_rate: Any,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> Any:
    if not momentum:
        return [p - learning_rate * g for p, g in zip(params, grads, strict=True)]
    moved = [momentum * v - learning_rate * g for v, g in zip(velocities, grads, strict=True)]
    steps = (
        [momentum * v - learning_rate * g for v, g in zip(moved, grads, strict=True)] if nesterov else moved
    )
    return [p + s for p, s in zip(params, steps, strict=True)] + moved


_SHAPES = ((3, 4), (5,), (1100,))


def _several(low: float = -2.0, high: float = 2.0) -> list[In]:
    return [In(shape, low, high, grad=False) for shape in _SHAPES]


_P, _SHORT = [np.ones(3, "float32")], [np.ones(2, "float32")]


@op(
    ref=_sgd_ref,
    cases=[
        Case((_several(), _several(), None, 0.01)),
        Case((_several(), _several(), _several(), 0.1), {"momentum": 0.9}),
        Case((_several(), _several(), _several(), 0.1), {"momentum": 0.9, "nesterov": True}),
        Case(([], [], None, 0.1)),
    ],
    bad=[
        Bad((_P, [], None, 0.1), ValueError, "a gradient for each parameter, got 0 for 1"),
        Bad((_P, _SHORT, None, 0.1), ValueError, "the gradient of parameter 0 must be float32"),
        Bad((_P, _P, None, 0.1, 0.9), ValueError, "a velocity for each parameter"),
        Bad(
            (_P, _P, None, np.ones(3, "float32")),
            ValueError,
            "`learning_rate` must be a float32 or float64 scalar",
        ),
    ],
    kernels=["sgd"],
)
def sgd_update(
    params: Sequence[Any],
    grads: Sequence[Any],
    velocities: Sequence[Any] | None,
    learning_rate: Any,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> list[Tensor] | None:
    """p -= η g; with momentum v = μ v - η g, p += v; with Nesterov's look ahead p += μ v - η g.

    Source: Sutskever et al. 2013, On the Importance of Initialization and Momentum in Deep Learning.

    Args:
        params: Variables, which are updated in place; or values.
        grads: A gradient for each.
        velocities: Variables (or values) of the same shapes; not needed without momentum.
        learning_rate: η, a number.
        momentum: μ, from 0 to 1.
        nesterov: Whether to look ahead.

    Returns:
        None for Variables; for values the new ones, parameters first, then velocities.

    Raises:
        ValueError: Numbers of operands or shapes do not fit; nothing is updated then.

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable([1.0, 2.0])
        >>> lumbre.ops.sgd_update([w], [lumbre.Tensor([1.0, 1.0])], None, 0.5)
        >>> w.numpy()
        array([0.5, 1.5], dtype=float32)
    """
    grads = _like("sgd_update", grads, params)
    if momentum and len(velocities or ()) != len(params):
        raise ValueError("sgd_update: momentum needs a velocity for each parameter")
    cells, values = cells_of([*params, *(velocities or ())] if momentum else list(params))
    if cells:
        kernel(
            "sgd",
            rate_of(learning_rate),
            *grads,
            inout=cells,
            momentum=float(momentum),
            nesterov=bool(nesterov),
        )
    return results(cells, values)


# ------------------------------------------------------------------------------------------------------- Adam


def _adam_ref(
    params: Any,
    grads: Any,
    ms: Any,
    vs: Any,
    vhats: Any,
    learning_rate: Any,
    iterations: Any,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> Any:
    t = int(iterations) + 1
    alpha = learning_rate * math.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    ms = [m + (g - m) * (1 - beta_1) for m, g in zip(ms, grads, strict=True)]
    vs = [v + (g * g - v) * (1 - beta_2) for v, g in zip(vs, grads, strict=True)]
    largest = [np.maximum(h, v) for h, v in zip(vhats, vs, strict=True)] if vhats else []
    steps = [alpha * m / (np.sqrt(v) + epsilon) for m, v in zip(ms, largest or vs, strict=True)]
    return [p - s for p, s in zip(params, steps, strict=True)] + ms + vs + largest


def _moments(vhats: bool = False) -> tuple[Any, ...]:
    return _several(), _several(), _several(), _several(0.1, 2.0), _several(0.1, 2.0) if vhats else None


@op(
    ref=_adam_ref,
    cases=[
        Case((*_moments(), 0.01, np.int64(0)), ulp=8),
        Case((*_moments(), 0.01, np.int64(1000)), {"beta_1": 0.8, "epsilon": 1e-3}, ulp=8),
        Case((*_moments(vhats=True), 0.01, np.int64(3)), ulp=8),
    ],
    bad=[
        Bad(
            (_P, _P, [], _P, None, 0.1, np.int64(0)),
            ValueError,
            "expected 3 operands to update for each gradient",
        ),
        Bad(
            (_P, _P, _P, _SHORT, None, 0.1, np.int64(0)),
            ValueError,
            "the second moment of parameter 0 must be",
        ),
        Bad((_P, _P, _P, _P, None, 0.1, 0.5), ValueError, "`iterations` must be a int64 scalar"),
        Bad(
            (_P, _P, _P, _P, None, 0.1, np.int64(0), 1.0), ValueError, r"`beta_1` must lie in \[0, 1\), got 1"
        ),
    ],
    kernels=["adam"],
)
def adam_update(
    params: Sequence[Any],
    grads: Sequence[Any],
    ms: Sequence[Any],
    vs: Sequence[Any],
    vhats: Sequence[Any] | None,
    learning_rate: Any,
    iterations: Any,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> list[Tensor] | None:
    """m += (1 - β₁)(g - m), v += (1 - β₂)(g² - v), p -= α m / (√v + ε) with α = η √(1 - β₂ᵗ) / (1 - β₁ᵗ).

    Source: Kingma and Ba 2015, Adam: A Method for Stochastic Optimization, in the form of the end of its
    section 2; with `vhats` AMSGrad, which divides by the largest v so far: Reddi et al. 2018, On the
    Convergence of Adam and Beyond.

    Args:
        params: Variables, which are updated in place; or values.
        grads: A gradient for each.
        ms: First moments, Variables (or values) of the same shapes.
        vs: Second moments, likewise.
        vhats: Their maxima, likewise; None without AMSGrad.
        learning_rate: η, a number.
        iterations: The number of steps before this one, int64: t is one more.
        beta_1: How much of the first moment stays.
        beta_2: How much of the second moment stays.
        epsilon: ε.

    Returns:
        None for Variables; for values the new ones: parameters, first moments, second moments, maxima.

    Raises:
        ValueError: Numbers of operands, shapes or constants do not fit; nothing is updated then.

    Example:
        >>> import lumbre
        >>> w, m, v = (lumbre.Variable([x]) for x in (1.0, 0.0, 0.0))
        >>> steps = lumbre.Variable(0, dtype="int64")
        >>> lumbre.ops.adam_update([w], [lumbre.Tensor([4.0])], [m], [v], None, 0.5, steps)
        >>> w.numpy().round(4)
        array([0.5], dtype=float32)
    """
    grads = _like("adam_update", grads, params)
    cells, values = cells_of([*params, *ms, *vs, *(vhats or ())])
    constants = {"beta_1": float(beta_1), "beta_2": float(beta_2), "epsilon": float(epsilon)}
    if cells:
        scalars = rate_of(learning_rate), as_tensor(iterations)
        kernel("adam", *scalars, *grads, inout=cells, **constants, amsgrad=vhats is not None)
    return results(cells, values)


# ------------------------------------------------------------------------------------------------------ count


@op(
    ref=lambda variable, by=1: [variable + by],
    cases=[Case((np.int64(41),)), Case((np.float32(1.5), -0.25)), Case((np.int32(7), 3))],
    bad=[Bad((np.ones(2, "float32"),), ValueError, "scalar, got float32")],
    kernels=["increment"],
)
def increment(variable: Any, by: float = 1) -> list[Tensor] | None:
    """Adds a number to a scalar Variable.

    Args:
        variable: A Variable of shape (), which is updated in place; or a value.
        by: What to add.

    Returns:
        None for a Variable; for a value the new one, in a list.

    Raises:
        ValueError: It is no scalar.

    Example:
        >>> import lumbre
        >>> steps = lumbre.Variable(41, dtype="int64")
        >>> lumbre.ops.increment(steps)
        >>> int(steps.numpy())
        42
    """
    cells, values = cells_of([variable])
    kernel("increment", inout=cells, by=by)
    return results(cells, values)
