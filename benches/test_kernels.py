"""Kernels beside NumPy (pytest-benchmark): `pytest benches`. Each result is checked before it is timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kernels import Case, cases, eager, replayed

import lumbre
from lumbre import ops
from lumbre.autograd import kernel

MATMULS = [(2048, 2048, 2048), (32, 784, 128), (128, 784, 256), (768, 128, 512), (64, 64, 64)]


@pytest.mark.benchmark(max_time=0.4, min_rounds=7)
@pytest.mark.parametrize("form", ["NN", "TN", "NT"])
@pytest.mark.parametrize(("m", "k", "n"), MATMULS)
def test_matmul(benchmark: Any, m: int, k: int, n: int, form: str, library: str) -> None:
    """Products, also of transposed views: TN is A transposed, NT is B."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((k, m) if form[0] == "T" else (m, k), "float32")
    b = rng.standard_normal((n, k) if form[1] == "T" else (k, n), "float32")

    def views(x: Any, y: Any) -> tuple[Any, Any]:
        return (x.T if form[0] == "T" else x), (y.T if form[1] == "T" else y)

    name = f"matmul {m}x{k}x{n} {form}"
    cases.setdefault(name, Case(flops=2.0 * m * k * n))
    if library == "numpy":
        eager(benchmark, name, library, np.matmul, *views(a, b))
        return
    ta, tb = lumbre.Tensor(a), lumbre.Tensor(b)
    expected = np.matmul(*views(a, b))
    np.testing.assert_allclose(ops.matmul(*views(ta, tb)).numpy(), expected, rtol=1e-3, atol=1e-3)
    eager(benchmark, name, library, ops.matmul, *views(ta, tb))
    replayed(name, lambda x, y: ops.matmul(*views(x, y)), ta, tb)


def numpy_crossentropy(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shifted = x - x.max(-1, keepdims=True)
    e = np.exp(shifted)
    total = e.sum(-1, keepdims=True)
    rows = np.arange(len(x))
    loss = np.log(total[:, 0]) - shifted[rows, y]
    gradient = e / total
    gradient[rows, y] -= 1.0
    return loss, gradient


def test_softmax_crossentropy(benchmark: Any, limits: dict[str, Any], library: str) -> None:
    """Loss and gradient of 8192 rows of 1000 classes, beside a stream that reads and writes as much."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8192, 1000), "float32"), rng.integers(0, 1000, 8192)
    name = "softmax cross-entropy 8192x1000"
    cases.setdefault(name, Case(stream=limits["copy_8192x1000"]))
    if library == "numpy":
        eager(benchmark, name, library, numpy_crossentropy, x, y)
        return
    tx, ty = lumbre.Tensor(x), lumbre.Tensor(y)

    def ours(x: lumbre.Tensor, y: lumbre.Tensor) -> tuple[Any, ...]:
        return tuple(kernel("softmax_crossentropy_sparse", x, y, gradient=True))

    for got, expected in zip(ours(tx, ty), numpy_crossentropy(x, y), strict=True):
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4, atol=1e-5)
    eager(benchmark, name, library, ours, tx, ty)
    replayed(name, ours, tx, ty)


def numpy_adam(n: int, g: np.ndarray) -> Callable[[], None]:
    """Adam's update in place."""
    p, m, v, t = (np.zeros(n, "float32") for _ in range(4))

    def update() -> None:
        np.multiply(m, 0.9, out=m)
        np.multiply(g, 0.1, out=t)
        np.add(m, t, out=m)
        np.multiply(v, 0.999, out=v)
        np.multiply(g, g, out=t)
        np.multiply(t, 0.001, out=t)
        np.add(v, t, out=v)
        np.sqrt(v, out=t)
        np.add(t, 1e-7, out=t)
        np.divide(m, t, out=t)
        np.multiply(t, 1e-3, out=t)
        np.subtract(p, t, out=p)

    return update


@pytest.mark.parametrize("n", [100_000, 10_000_000])
def test_adam(benchmark: Any, limits: dict[str, Any], n: int, library: str) -> None:
    """One update of n parameters, beside a stream of four reads and three writes; NumPy's in place."""
    g = np.random.default_rng(0).standard_normal(n, "float32")
    name = f"Adam, {n:,} parameters"
    cases.setdefault(name, Case(stream=limits["adam_stream"][str(n)]))
    if library == "numpy":
        eager(benchmark, name, library, numpy_adam(n, g))
        return
    variable = lumbre.Variable(np.zeros(n, "float32"))
    optimizer = lumbre.optimizers.Adam(1e-3)
    optimizer.build([variable])
    gradient = lumbre.Tensor(g)
    optimizer.apply([gradient], [variable])
    assert np.abs(variable.numpy()).max() == pytest.approx(1e-3, rel=1e-3)
    eager(benchmark, name, library, optimizer.apply, [gradient], [variable])
    replayed(name, lambda g: optimizer.apply([g], [variable]), gradient)
