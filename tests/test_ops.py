"""Every op of the table at once: values, gradients, layouts, levels, threads, bounds, bad calls, replay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import _core, autograd
from lumbre.autograd import Tensor
from lumbre.ops.table import OPS, Bad, Case, In, Op

LEVELS = _core.isa_levels()


def cases() -> Iterator[Any]:
    for op in OPS.values():
        for i, case in enumerate(op.cases):
            yield pytest.param(op, case, id=f"{op.name}-{i}")


def bad_calls() -> Iterator[Any]:
    for op in OPS.values():
        for i, bad in enumerate(op.bad):
            yield pytest.param(op, bad, id=f"{op.name}-{i}")


def build(spec: Any, rng: np.random.Generator) -> Any:
    """The arguments of a case, with arrays in the places of `In`."""
    if isinstance(spec, In):
        if spec.dtype == "bool":
            return rng.integers(0, 2, spec.shape).astype(bool)
        if "int" in spec.dtype:
            return rng.integers(int(spec.low), int(spec.high), spec.shape).astype(spec.dtype)
        return rng.uniform(spec.low, spec.high, spec.shape).astype(spec.dtype)
    if isinstance(spec, (list, tuple)):
        return type(spec)(build(s, rng) for s in spec)
    return spec


def replace(args: Any, f: Any) -> Any:
    """The arguments with each array replaced by f of it."""
    if isinstance(args, np.ndarray):
        return f(args)
    if isinstance(args, (list, tuple)):
        return type(args)(replace(a, f) for a in args)
    return args


def arrays(args: Any) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    replace(args, lambda a: found.append(a) or a)
    return found


def outputs(result: Any) -> list[Tensor]:
    return [o for o in (result if isinstance(result, (list, tuple)) else [result]) if isinstance(o, Tensor)]


def call(op: Op, case: Case, args: Any) -> list[np.ndarray]:
    return [t.numpy() for t in outputs(op.function(*replace(args, Tensor), **case.kwargs))]


def reference(op: Op, case: Case, args: Any) -> list[np.ndarray]:
    assert op.ref is not None
    wide = replace(args, lambda a: a.astype("float64") if a.dtype.kind == "f" else a)
    result = op.ref(*wide, **case.kwargs)
    return [np.asarray(r) for r in (result if isinstance(result, (list, tuple)) else [result])]


def arguments(op: Op, case: Case) -> Any:
    return build(case.args, np.random.default_rng(sum(map(ord, op.name))))


with_reference = [c for c in cases() if c.values[0].ref is not None]


def test_table_and_kernels_are_the_same_set() -> None:
    used = {k for op in OPS.values() for k in op.kernels}
    known = set(_core.rows())
    assert used - known == set(), "ops name kernels that do not exist"
    # Rows that no op of the table calls: what the loop, the Variables and the random state call themselves.
    assert known - used == {"assign", "copy", "gather_rows", "rng_advance", "increment"} - used


def test_every_op_has_cases() -> None:
    assert [op.name for op in OPS.values() if not op.cases] == []


@pytest.mark.parametrize(("op", "case"), with_reference)
def test_value_and_shape(op: Op, case: Case) -> None:
    args = arguments(op, case)
    got, expected = call(op, case, args), reference(op, case, args)
    assert len(got) == len(expected)
    for g, e in zip(got, expected, strict=True):
        assert g.shape == e.shape
        if g.dtype.kind == "f":
            scale = np.max(np.abs(e[np.isfinite(e)]), initial=1e-30)
            np.testing.assert_allclose(g, e, rtol=0, atol=case.ulp * 2.0**-23 * scale)
        else:
            np.testing.assert_array_equal(g, e)


def strided(a: np.ndarray) -> Tensor:
    """The same values behind strides: every second element, backwards, of a larger array."""
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype) if a.ndim else np.zeros((2,), a.dtype)
    if a.ndim == 0:
        wide[1] = a
        return Tensor(wide)[1]
    wide[..., ::-2] = a
    return Tensor(wide)[..., ::-2]


@pytest.mark.parametrize(("op", "case"), list(cases()))
def test_strided_inputs_give_the_same_bits(op: Op, case: Case) -> None:
    if "seed" in case.kwargs and case.kwargs["seed"] is None:
        pytest.skip("draws anew at each call")
    args = arguments(op, case)
    plain = call(op, case, args)
    got = [t.numpy() for t in outputs(op.function(*replace(args, strided), **case.kwargs))]
    for g, p in zip(got, plain, strict=True):
        np.testing.assert_array_equal(g, p)


@pytest.mark.parametrize(("op", "case"), list(cases()))
def test_levels_threads_and_fences(op: Op, case: Case) -> None:
    """The same bits on every level with 1, 2 and 3 threads, results filled with NaN and fenced before."""
    args = arguments(op, case)
    threads, level = _core.num_threads(), _core.isa()
    results = []
    try:
        _core.set_checking(True)
        for name in LEVELS:
            for n in (1, 2, 3):
                _core.set_isa(name)
                _core.set_num_threads(n)
                results.append(call(op, case, args))
    finally:
        _core.set_checking(False)
        _core.set_isa(level)
        _core.set_num_threads(threads)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def differentiable(case: Case) -> list[bool]:
    flags: list[bool] = []

    def visit(spec: Any) -> None:
        if isinstance(spec, In):
            flags.append(spec.grad and spec.dtype.startswith("float"))
        elif isinstance(spec, np.ndarray):
            flags.append(False)
        elif isinstance(spec, (list, tuple)):
            for s in spec:
                visit(s)

    visit(case.args)
    return flags


with_gradient = [c for c in with_reference if c.values[1].grad and any(differentiable(c.values[1]))]


def substitute(args: Any, new: list[Any]) -> Any:
    """The arguments with other values in the places of the arrays."""
    values = iter(new)
    return replace(args, lambda _: next(values))


@pytest.mark.parametrize(("op", "case"), with_gradient)
def test_gradient(op: Op, case: Case) -> None:
    """Along a random direction: our gradient in float32, the reference's difference quotient in float64."""
    args = arguments(op, case)
    flags = differentiable(case)
    rng = np.random.default_rng(3)
    leaves = arrays(args)
    directions = [rng.standard_normal(a.shape) if f else None for a, f in zip(leaves, flags, strict=True)]
    weights = [rng.standard_normal(e.shape) for e in reference(op, case, args)]

    tensors = [Tensor(a, requires_grad=f) for a, f in zip(leaves, flags, strict=True)]
    outs = outputs(op.function(*substitute(args, tensors), **case.kwargs))
    loss = sum(((o * Tensor(w.astype("float32"))).sum() for o, w in zip(outs, weights, strict=True)), 0.0)
    wanted = [t for t, f in zip(tensors, flags, strict=True) if f]
    grads = autograd.grad(loss, wanted)
    analytic = sum(
        float(np.sum(g.numpy().astype("float64") * d))
        for g, d in zip(grads, [d for d in directions if d is not None], strict=True)
        if g is not None
    )

    def at(h: float) -> float:
        moved = [
            a.astype("float64") + h * d if d is not None else a
            for a, d in zip(leaves, directions, strict=True)
        ]
        assert op.ref is not None
        result = op.ref(*substitute(args, moved), **case.kwargs)
        results = result if isinstance(result, (list, tuple)) else [result]
        return sum(float(np.sum(np.asarray(r) * w)) for r, w in zip(results, weights, strict=True))

    h = 1e-5
    numeric = (at(h) - at(-h)) / (2 * h)
    size = sum(float(np.sum(np.abs(w))) for w in weights)
    scale = max(abs(numeric), abs(analytic), 1e-2 * size, 1e-3)
    assert abs(analytic - numeric) <= 1e-4 * scale, (analytic, numeric)


@pytest.mark.parametrize(("op", "case"), with_gradient)
def test_gradient_of_gradient(op: Op, case: Case) -> None:
    """The derivative of v·grad along u equals the difference of v·grad between nearby points."""
    args = arguments(op, case)
    flags = differentiable(case)
    rng = np.random.default_rng(4)
    leaves = [a.astype("float64") if a.dtype.kind == "f" else a for a in arrays(args)]
    moving = [i for i, f in enumerate(flags) if f]
    v = [rng.standard_normal(leaves[i].shape) for i in moving]
    u = [rng.standard_normal(leaves[i].shape) for i in moving]

    def slope(values: list[np.ndarray]) -> tuple[Any, list[Tensor]]:
        tensors = [Tensor(a, requires_grad=f) for a, f in zip(values, flags, strict=True)]
        outs = outputs(op.function(*substitute(args, tensors), **case.kwargs))
        weights = [np.random.default_rng(5).standard_normal(o.shape) for o in outs]
        loss = sum(((o * Tensor(w.astype(o.dtype))).sum() for o, w in zip(outs, weights, strict=True)), 0.0)
        wanted = [tensors[i] for i in moving]
        grads = autograd.grad(loss, wanted, create_graph=True)
        terms = [
            (g * Tensor(d.astype(g.dtype))).sum() for g, d in zip(grads, v, strict=True) if g is not None
        ]
        return sum(terms, 0.0), wanted

    total, wanted = slope(leaves)
    if not isinstance(total, Tensor) or not total.requires_grad:
        analytic = 0.0  # a linear function
    else:
        second = autograd.grad(total, wanted)
        analytic = sum(float(np.sum(s.numpy() * d)) for s, d in zip(second, u, strict=True) if s is not None)

    def at(h: float) -> float:
        values = list(leaves)
        for i, d in zip(moving, u, strict=True):
            values[i] = leaves[i] + h * d
        value = slope(values)[0]
        return float(value.item()) if isinstance(value, Tensor) else float(value)

    h = 1e-4
    numeric = (at(h) - at(-h)) / (2 * h)
    scale = max(abs(numeric), abs(analytic), 1.0)
    assert abs(analytic - numeric) <= 2e-3 * scale, (analytic, numeric)


@pytest.mark.parametrize(("op", "bad"), list(bad_calls()))
def test_bad_calls_raise(op: Op, bad: Bad) -> None:
    args = build(bad.args, np.random.default_rng(0))
    with pytest.raises(bad.error, match=bad.match):
        op.function(*replace(args, Tensor), **bad.kwargs)


# An op that updates Variables makes new ones of values, and then stays in Python (tests/test_update_ops.py).
@pytest.mark.filterwarnings("ignore:calls of the captured function.*because it used other variables")
@pytest.mark.parametrize(("op", "case"), list(cases()))
def test_replay_equals_eager(op: Op, case: Case) -> None:
    """Recorded twice and replayed twice on new values, results and gradients have the bits of eager calls."""
    flags = differentiable(case)

    def step(*tensors: Tensor) -> Any:
        leaves = [autograd.wrap(t._a) for t in tensors]
        for leaf, f in zip(leaves, flags, strict=True):
            leaf._requires = f and case.grad
        outs = outputs(op.function(*substitute(args, leaves), **case.kwargs))
        floats = [o for o in outs if o.requires_grad]
        if not floats:
            return [o.detach() for o in outs]
        loss = sum((o.sum() for o in floats), 0.0)
        grads = autograd.grad(loss, [leaf for leaf in leaves if leaf._requires])
        return [o.detach() for o in outs] + [g for g in grads if g is not None]

    args = arguments(op, case)
    lumbre.utils.set_random_seed(7)
    replayed = lumbre.capture(step)
    for i in range(4):
        values = [Tensor(a) for a in arrays(build(case.args, np.random.default_rng(i)))]
        state = np.random.get_state()
        if "seed" not in case.kwargs:  # ops that draw are compared in the tests of random
            for a, b in zip(step(*values), replayed(*values), strict=True):
                np.testing.assert_array_equal(a.numpy(), b.numpy())
        np.random.set_state(state)
