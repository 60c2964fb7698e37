"""Optimizer updates: one kernel call for all parameters, in one pass over their memory.

The formulas here are their meaning in float64; `rust/kernels/src/ops/optimizer` has them as kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
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


def number_of(learning_rate: Any) -> Tensor:
    """A number as a scalar operand, float32 unless it is a float64 tensor."""
    if isinstance(learning_rate, (int, float)):
        return constant(float(learning_rate), "float32")
    t = as_tensor(learning_rate)
    return t if t.dtype in ("float32", "float64") else as_tensor(t, "float32")


# ---------------------------------------------------------------------------------------- formulas in float64


def _sgd(c: Any, g: Any, w: Any, *slots: Any) -> Any:
    if not slots:
        return (w - c.rate * g,)
    v = c.momentum * slots[0] - c.rate * g
    return w + (c.momentum * v - c.rate * g if c.nesterov else v), v


def _adam(c: Any, g: Any, w: Any, m: Any, v: Any, *largest: Any) -> Any:
    m, v = _moments(c, g, m, v)
    largest = tuple(np.maximum(h, v) for h in largest)
    alpha = c.rate * math.sqrt(1 - c.beta_2**c.t) / (1 - c.beta_1**c.t)
    return w - alpha * m / (np.sqrt(largest[0] if largest else v) + c.epsilon), m, v, *largest


def _rmsprop(c: Any, g: Any, w: Any, v: Any, *more: Any) -> Any:
    slots = list(more)
    v = c.rho * v + (1 - c.rho) * g * g
    spread = v
    if c.centered:
        slots[0] = c.rho * slots[0] + (1 - c.rho) * g
        spread = v - slots[0] ** 2
    step = c.rate * g / np.sqrt(spread + c.epsilon)
    if c.momentum:
        step = slots[-1] = c.momentum * slots[-1] + step
    return w - step, v, *slots


def _nadam(c: Any, g: Any, w: Any, m: Any, v: Any) -> Any:
    now, following = (c.beta_1 * (1 - 0.5 * 0.96**t) for t in (c.t, c.t + 1))
    m, v = _moments(c, g, m, v)
    of_m, of_g = following / (1 - c.scalars[0] * following), (1 - now) / (1 - c.scalars[0])
    return w - c.rate * (of_m * m + of_g * g) / (np.sqrt(v / (1 - c.beta_2**c.t)) + c.epsilon), m, v


def _adamax(c: Any, g: Any, w: Any, m: Any, u: Any) -> Any:
    m, u = m + (g - m) * (1 - c.beta_1), np.maximum(c.beta_2 * u, np.abs(g))
    return w - c.rate / (1 - c.beta_1**c.t) * m / (u + c.epsilon), m, u


def _adagrad(c: Any, g: Any, w: Any, a: Any) -> Any:
    return w - c.rate * g / np.sqrt(a + g * g + c.epsilon), a + g * g


def _adadelta(c: Any, g: Any, w: Any, a: Any, d: Any) -> Any:
    a = c.rho * a + (1 - c.rho) * g * g
    step = np.sqrt(d + c.epsilon) / np.sqrt(a + c.epsilon) * g
    return w - c.rate * step, a, c.rho * d + (1 - c.rho) * step**2


def _ftrl(c: Any, g: Any, w: Any, a: Any, linear: Any) -> Any:
    p, l2 = -c.learning_rate_power, c.l2 + c.beta / (2 * c.rate)
    after = (a + g * g) ** p
    linear = linear + g + 2 * c.shrinkage * w - (after - a**p) / c.rate * w
    return (np.clip(linear, -c.l1, c.l1) - linear) / (after / c.rate + 2 * l2), a + g * g, linear


def _lion(c: Any, g: Any, w: Any, m: Any) -> Any:
    return w - c.rate * np.sign(c.beta_1 * m + (1 - c.beta_1) * g), c.beta_2 * m + (1 - c.beta_2) * g


def _schedule_free_adamw(c: Any, g: Any, w: Any, z: Any, v: Any) -> Any:
    rate = c.rate * min(c.t / c.warmup_steps, 1.0) if c.warmup_steps else c.rate
    x = w if c.scalars[0] else (w - (1 - c.beta_1) * z) / c.beta_1
    v = v + (g * g - v) * (1 - c.beta_2)
    z = z - rate * g / (np.sqrt(v / (1 - c.beta_2**c.t)) + c.epsilon)
    x = x + (z - x) / c.t
    return (1 - c.beta_1) * z + c.beta_1 * x, z, v


def _moments(c: Any, g: Any, m: Any, v: Any) -> Any:
    return m + (g - m) * (1 - c.beta_1), v + (g * g - v) * (1 - c.beta_2)


def _direction(c: Any, m: Any, v: Any) -> Any:
    return m / (1 - c.beta_1**c.t) / (np.sqrt(v / (1 - c.beta_2**c.t)) + c.epsilon)


_FORMULAS: dict[str, Callable[..., Any]] = {
    "sgd": _sgd,
    "adam": _adam,
    "rmsprop": _rmsprop,
    "nadam": _nadam,
    "adamax": _adamax,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "ftrl": _ftrl,
    "lion": _lion,
    "schedule_free_adamw": _schedule_free_adamw,
    "lamb": lambda c, m, w, v: (w - c.rate * _direction(c, m, v),),
    "average": lambda c, parameter, w: (c.rate * w + (1 - c.rate) * parameter,),
    "decay": lambda c, _, w: (w,),
}


def _update_ref(
    rule: str,
    params: Any,
    grads: Any,
    slots: Any,
    learning_rate: Any,
    iterations: Any = 0,
    scalars: Any = (),
    factors: Any = None,
    clipvalue: float | None = None,
    weight_decay: float | None = None,
    decayed: Any = None,
    **numbers: Any,
) -> Any:
    c = SimpleNamespace(rate=learning_rate, t=int(iterations) + 1, scalars=scalars, **numbers)
    new = []
    for i, w in enumerate(params):
        g: Any = grads[i] if grads else None
        if factors is not None:
            g = g * np.broadcast_to(factors, len(params))[i]
        if clipvalue:
            g = np.clip(g, -clipvalue, clipvalue)
        if weight_decay and (decayed is None or decayed[i]):
            w = w - w * weight_decay * learning_rate
        new.append(_FORMULAS[rule](c, g, w, *(kind[i] for kind in slots)))
    return [x for kind in zip(*new, strict=True) for x in kind]


# ---------------------------------------------------------------------------------------------------- updates

_SHAPES = ((3, 4), (5,), (1100,))


def _several(low: float = -2.0, high: float = 2.0) -> list[In]:
    return [In(shape, low, high, grad=False) for shape in _SHAPES]


def _case(rule: str, *slots: list[In], step: int = 4, ulp: float = 8, **options: Any) -> Case:
    return Case((rule, _several(), _several(), list(slots), 0.01, np.int64(step)), options, ulp=ulp)


_ADAM: Mapping[str, Any] = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
_RHO: Mapping[str, Any] = {"rho": 0.9, "epsilon": 1e-7}
_FTRL: Mapping[str, Any] = {"l1": 0.5, "l2": 0.1, "shrinkage": 0.2, "beta": 0.3}
_P, _SHORT = [np.ones(3, "float32")], [np.ones(2, "float32")]
_FACTORS = np.array([0.5, 1.0, 0.1])
_BAD_LION: tuple[Any, ...] = ("lion", _P, _P, [_P], 0.1, np.int64(0))
_LION: Mapping[str, Any] = {"beta_1": 0.9, "beta_2": 0.99}


@op(
    ref=_update_ref,
    cases=[
        _case("sgd", momentum=0.0, nesterov=False),
        _case("sgd", _several(), momentum=0.9, nesterov=False),
        _case("sgd", _several(), momentum=0.9, nesterov=True),
        _case("adam", _several(), _several(0.1, 2), step=0, **_ADAM, amsgrad=False),
        _case("adam", _several(), _several(0.1, 2), step=1000, **_ADAM, amsgrad=False),
        _case("adam", _several(), _several(0.1, 2), _several(0.1, 2), **_ADAM, amsgrad=True),
        _case("rmsprop", _several(0.5, 2), **_RHO, momentum=0.0, centered=False),
        _case("rmsprop", _several(0.5, 2), _several(), **_RHO, momentum=0.9, centered=False),
        _case("rmsprop", _several(4, 5), _several(-1, 1), **_RHO, momentum=0.0, centered=True),
        _case("rmsprop", _several(4, 5), _several(-1, 1), _several(), **_RHO, momentum=0.9, centered=True),
        _case("nadam", _several(), _several(0.1, 2), scalars=(0.2,), **_ADAM),
        _case("adamax", _several(), _several(0.5, 2), **_ADAM),
        _case("adagrad", _several(0.1, 2), epsilon=1e-7),
        _case("adagrad", _several(0.1, 2), epsilon=1e-7, factors=_FACTORS, clipvalue=0.6, weight_decay=0.3),
        _case("adagrad", _several(0.1, 2), epsilon=1e-7, factors=np.float32(0.5), clipvalue=0.6),
        _case("adagrad", _several(0.1, 2), epsilon=1e-7, weight_decay=0.3, decayed=[1, 0, 1]),
        _case("adadelta", _several(0.1, 2), _several(0.1, 2), **_RHO),
        _case("ftrl", _several(0.1, 2), _several(), learning_rate_power=-0.5, **_FTRL, ulp=64),
        _case("ftrl", _several(0.1, 2), _several(), learning_rate_power=-0.7, **_FTRL, ulp=64),
        _case("lion", _several(), **_LION),
        _case("schedule_free_adamw", _several(), _several(0.1, 2), scalars=(0.0,), **_ADAM, warmup_steps=0),
        _case("schedule_free_adamw", _several(), _several(0.1, 2), scalars=(1.0,), **_ADAM, warmup_steps=9),
        Case(("lamb", _several(), _several(), [_several(0.1, 2)], 0.01, np.int64(4)), _ADAM, ulp=8),
        _case("average"),
        Case(("decay", _several(), [], [], 0.1), {"weight_decay": 0.3, "decayed": [1, 0, 1]}),
        Case(("lion", [], [], [[]], 0.1), _LION),
    ],
    bad=[
        Bad(("adam2", _P, _P, [], 0.1), ValueError, "adam2"),
        Bad(("lion", _P, [], [_P], 0.1), ValueError, "a gradient for each parameter, got 0 for 1", _LION),
        Bad(
            ("lion", _P, _SHORT, [_P], 0.1), ValueError, "the gradient of parameter 0 must be float32", _LION
        ),
        Bad(("lion", _P, _P, [_SHORT], 0.1), ValueError, "the momentum of parameter 0 must be", _LION),
        Bad(
            ("lion", _P, _P, [], 0.1), ValueError, "2 to update .the parameter, momentum., got 1 and 1", _LION
        ),
        Bad(("sgd", _P, _P, [_P], 0.1), ValueError, r"must lie in \[0, 1\], got 1.1", {"momentum": 1.1}),
        Bad(
            ("lion", _P, _P, [_P], np.ones(3, "float32")),
            ValueError,
            "`learning_rate` must be a float32 or float64 scalar",
            _LION,
        ),
        Bad(("lion", _P, _P, [_P], 0.1, 0.5), ValueError, "`iterations` must be a int64 scalar", _LION),
        Bad(_BAD_LION, ValueError, "`beta_1` must be a finite number", {"beta_2": 0.9}),
        Bad(_BAD_LION, ValueError, "`factors` must be", {**_LION, "factors": np.ones(2)}),
        Bad(
            _BAD_LION,
            ValueError,
            "`decayed` must say for each of 1 parameters, got 2",
            {**_LION, "decayed": [1, 0]},
        ),
        Bad(
            ("nadam", _P, _P, [_P, _P], 0.1, 0, (0.5,)),
            ValueError,
            r"`beta_2` must lie in \[0, 1\), got 1",
            {**_ADAM, "beta_2": 1.0},
        ),
        Bad(("lamb", _P, _P, [_SHORT], 0.1), ValueError, "the second moment of parameter 0 must be", _ADAM),
    ],
    kernels=list(_FORMULAS),
)
def optimizer_update(
    rule: str,
    params: Sequence[Any],
    grads: Sequence[Any],
    slots: Sequence[Sequence[Any]],
    learning_rate: Any,
    iterations: Any = 0,
    scalars: Sequence[Any] = (),
    factors: Any = None,
    clipvalue: float | None = None,
    weight_decay: float | None = None,
    decayed: Sequence[int] | None = None,
    **numbers: float,
) -> list[Tensor] | None:
    """One step of an elementwise optimizer for all parameters, in one pass over their memory.

    The optimizer's class has the formula and its source. Before it, each gradient is multiplied by
    its factor and cut to `clipvalue`, and each weight shrinks: `w -= weight_decay · learning_rate · w`.

    Args:
        rule: Which optimizer: "sgd", "adam", "rmsprop", "nadam", "adamax", "adagrad", "adadelta",
            "ftrl", "lion" or "schedule_free_adamw"; "lamb" (m in the place of the gradients, v in that
            of a slot, both of which stay); "average" moves averages (in the place of the parameters)
            towards `grads`, keeping `learning_rate` of themselves; "decay" takes no gradients.
        params: Variables, which are updated in place; or values.
        grads: A gradient for each.
        slots: For each kind of slot a list of Variables (or values), one for each parameter.
        learning_rate: A number.
        iterations: The number of steps before this one, int64.
        scalars: "nadam": the product of its momenta so far; "schedule_free_adamw": 1 if the
            parameters hold the average, 0 if they hold the point where gradients are taken.
        factors: A number for each gradient, or one for all, float32 or float64.
        clipvalue: The bound on the magnitude of a gradient's elements.
        weight_decay: The share, times the learning rate, by which weights shrink before the update.
        decayed: For each parameter 1 if it decays and 0 if not; all do by default.
        numbers: The constants of the rule, by name.

    Returns:
        None for Variables; for values the new ones: parameters, then slot after slot.

    Raises:
        ValueError: The rule is unknown, or numbers of operands, shapes or constants do not fit;
            nothing is updated then.

    Example:
        >>> import lumbre
        >>> w, m = lumbre.Variable([1.0]), lumbre.Variable([0.0])
        >>> g = lumbre.Tensor([4.0])
        >>> lumbre.ops.optimizer_update("lion", [w], [g], [[m]], 0.25, beta_1=0.9, beta_2=0.5)
        >>> w.numpy(), m.numpy()
        (array([0.75], dtype=float32), array([2.], dtype=float32))
    """
    if rule not in _FORMULAS:
        raise ValueError(f"optimizer_update: no rule '{rule}'. There are: {', '.join(_FORMULAS)}")
    if len(grads) != (0 if rule == "decay" else len(params)):
        raise ValueError(
            f"{rule}: expected a gradient for each parameter, got {len(grads)} for {len(params)}"
        )
    streams = [as_tensor(g, p.dtype) for g, p in zip(grads, params, strict=False)]
    if rule == "lamb":
        streams += [as_tensor(v) for kind in slots for v in kind]
        slots = []
    cells, values = cells_of([*params, *(x for kind in slots for x in kind)])
    if not cells:
        return results(cells, values)
    steps = as_tensor(np.int64(iterations) if isinstance(iterations, int) else iterations)
    heads = [number_of(learning_rate), steps, *(number_of(x) for x in scalars)]
    if factors is not None:
        heads.append(as_tensor(factors))
    kernel(
        rule,
        *heads,
        *streams,
        inout=cells,
        factors=factors is not None,
        clipvalue=float(clipvalue or 0.0),
        weight_decay=float(weight_decay or 0.0),
        decayed=None if decayed is None else [int(d) for d in decayed],
        **{name: v if isinstance(v, bool) else float(v) for name, v in numbers.items()},
    )
    return results(cells, values)


# ------------------------------------------------------------------------------------------------------ norms


@op(
    ref=lambda arrays: [np.array([np.sum(x * x) for x in arrays])],
    cases=[
        Case(([*_several(), In((3, 4100), grad=False)],), ulp=16),
        Case(([In((), grad=False), In((0, 3), grad=False)],)),
        Case(([],)),
    ],
    bad=[Bad(([*_P, np.ones(2, "int32")],), TypeError, "square_sums: array 1 must be float32 or float64")],
    kernels=["square_sums"],
)
def square_sums(arrays: Sequence[Any]) -> Tensor:
    """The sum of the squares of each array, in one pass over all of them.

    Args:
        arrays: n float32 or float64 arrays of any shapes.

    Returns:
        float64 (n,).

    Raises:
        TypeError: One of the arrays is of another dtype.

    Example:
        >>> import lumbre
        >>> lumbre.ops.square_sums([lumbre.Tensor([3.0, 4.0]), lumbre.Tensor([[1.0]])]).numpy()
        array([25.,  1.])
    """
    return kernel("square_sums", *(as_tensor(x) for x in arrays))  # type: ignore[no-any-return]


def _lamb_moments_ref(
    params: Any, grads: Any, ms: Any, vs: Any, iterations: Any, clipvalue: Any = None, **numbers: Any
) -> Any:
    c = SimpleNamespace(t=int(iterations) + 1, **numbers)
    grads = [np.clip(g, -clipvalue, clipvalue) if clipvalue else g for g in grads]
    new = [_moments(c, g, m, v) for g, m, v in zip(grads, ms, vs, strict=True)]
    sums = [math.fsum((_direction(c, m, v) ** 2).flat) for m, v in new]
    return [*(m for m, _ in new), *(v for _, v in new), np.array([sums, [np.sum(w * w) for w in params]])]


_LAMB = (_several(), _several(), _several(), _several(0.1, 2))


@op(
    ref=_lamb_moments_ref,
    cases=[
        Case((*_LAMB, np.int64(3)), _ADAM, ulp=16),
        Case((*_LAMB, np.int64(3)), {**_ADAM, "clipvalue": 0.5}, ulp=16),
    ],
    bad=[
        Bad((_P, _P, _P, _SHORT, np.int64(0)), ValueError, r"second moment 0 must be float32\(3,\)", _ADAM),
        Bad((_P, _P, _P, _P, 0.5), ValueError, "`iterations` must be a int64 scalar", _ADAM),
        Bad((_P, _P, _P, [], np.int64(0)), ValueError, "lamb_moments: expected for each parameter", _ADAM),
        Bad((_P, _P, _P, _P, np.int64(0), np.ones(2)), ValueError, "`factors` must be", _ADAM),
    ],
    kernels=["lamb_moments"],
)
def lamb_moments(
    params: Sequence[Any],
    grads: Sequence[Any],
    ms: Sequence[Any],
    vs: Sequence[Any],
    iterations: Any,
    factors: Any = None,
    clipvalue: float | None = None,
    *,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> Any:
    """Lamb's first pass: m += (1 - β₁)(g - m), v += (1 - β₂)(g² - v), then Σ d² and Σ w² of each parameter.

    There `d = m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + ε)`. Source: You et al. 2020, Large Batch
    Optimization for Deep Learning.

    Args:
        params: n parameters w, which stay.
        grads: A gradient for each.
        ms, vs: Their first and second moments, Variables, which are updated in place; or values.
        iterations: The number of steps before this one, int64: t is one more.
        factors, clipvalue: As in `optimizer_update`.
        beta_1, beta_2, epsilon: β₁, β₂, ε.

    Returns:
        float64 (2, n): the sums of d², then those of w². For values a list: the new m, the new v, the
        sums.

    Raises:
        ValueError: Numbers of operands, shapes or constants do not fit; nothing is updated then.

    Example:
        >>> import lumbre, numpy as np
        >>> w, g, m, v = (lumbre.Variable([x, x]) for x in (2.0, 4.0, 0.0, 0.0))
        >>> adam = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
        >>> lumbre.ops.lamb_moments([w], [g], [m], [v], np.int64(0), **adam).numpy().round(3)
        array([[2.],
               [8.]])
    """
    cells, values = cells_of([*ms, *vs])
    heads = [as_tensor(iterations)] if factors is None else [as_tensor(iterations), as_tensor(factors)]
    sums = kernel(
        "lamb_moments",
        *heads,
        *(as_tensor(g, w.dtype) for g, w in zip(grads, params, strict=True)),
        *map(as_tensor, params),
        inout=cells,
        factors=factors is not None,
        clipvalue=float(clipvalue or 0.0),
        beta_1=float(beta_1),
        beta_2=float(beta_2),
        epsilon=float(epsilon),
    )
    return [*(results(cells, values) or ()), sums] if values else sums


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
