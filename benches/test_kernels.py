"""Kernels beside NumPy (pytest-benchmark): `pytest benches`. Each result is checked before it is timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import ops

Bench = Callable[..., Any]

MATMULS = [(2048, 2048, 2048), (32, 784, 128), (128, 784, 256), (768, 128, 512), (64, 64, 64)]


@pytest.fixture(params=["lumbre", "numpy"])
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(("m", "k", "n"), MATMULS)
def test_matmul(benchmark: Bench, library: str, m: int, k: int, n: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k), "float32"), rng.standard_normal((k, n), "float32")
    benchmark.group = f"matmul {m}x{k}x{n}"  # type: ignore[attr-defined]
    if library == "numpy":
        benchmark(np.matmul, a, b)
        return
    ta, tb = lumbre.Tensor(a), lumbre.Tensor(b)
    np.testing.assert_allclose(ops.matmul(ta, tb).numpy(), a @ b, rtol=1e-3, atol=1e-3)
    benchmark(ops.matmul, ta, tb)


def numpy_crossentropy(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shifted = x - x.max(-1, keepdims=True)
    e = np.exp(shifted)
    total = e.sum(-1, keepdims=True)
    rows = np.arange(len(x))
    loss = np.log(total[:, 0]) - shifted[rows, y]
    gradient = e / total
    gradient[rows, y] -= 1.0
    return loss, gradient


def test_softmax_crossentropy(benchmark: Bench, library: str) -> None:
    """Loss and gradient of 8192 rows of 1000 classes."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8192, 1000), "float32"), rng.integers(0, 1000, 8192)
    benchmark.group = "softmax cross-entropy 8192x1000"  # type: ignore[attr-defined]
    if library == "numpy":
        benchmark(numpy_crossentropy, x, y)
        return
    tx, ty = lumbre.Tensor(x), lumbre.Tensor(y)

    def ours() -> tuple[Any, Any]:
        return lumbre.autograd.kernel("softmax_crossentropy_sparse", tx, ty, gradient=True)  # type: ignore[no-any-return]

    for got, expected in zip(ours(), numpy_crossentropy(x, y), strict=True):
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4, atol=1e-5)
    benchmark(ours)


@pytest.mark.parametrize("n", [100_000, 10_000_000])
def test_adam(benchmark: Bench, library: str, n: int) -> None:
    """One update of n parameters; NumPy's in place."""
    rng = np.random.default_rng(0)
    g = rng.standard_normal(n, "float32")
    benchmark.group = f"Adam, {n} parameters"  # type: ignore[attr-defined]
    if library == "numpy":
        p, m, v, t = (
            np.zeros(n, "float32"),
            np.zeros(n, "float32"),
            np.zeros(n, "float32"),
            np.empty(n, "float32"),
        )

        def numpy_adam() -> None:
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

        benchmark(numpy_adam)
        return
    variable = lumbre.Variable(np.zeros(n, "float32"))
    optimizer = lumbre.optimizers.Adam(1e-3)
    optimizer.build([variable])
    gradient = lumbre.Tensor(g)
    optimizer.apply([gradient], [variable])
    assert np.abs(variable.numpy()).max() == pytest.approx(1e-3, rel=1e-3)
    benchmark(optimizer.apply, [gradient], [variable])


STREAMS = {
    "SGD": 3,
    "Adam": 7,
    "AdamW": 7,
    "RMSprop": 5,
    "Nadam": 7,
    "Adamax": 7,
    "Adagrad": 5,
    "Adadelta": 7,
    "Ftrl": 7,
    "Lion": 5,
    "ScheduleFreeAdamW": 7,
    "Lamb": 10,
    "Adafactor": 6,
}
"""How often each optimizer reads or writes an array of the parameters' size: the gradient once (or, where
norms must be known first, twice or thrice), parameters and slots twice."""


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("what", ["update", "stream"])
def test_optimizers(benchmark: Bench, name: str, what: str) -> None:
    """One update of ten million parameters, beside a stream of as many bytes, two read for one written."""
    rng = np.random.default_rng(0)
    rows, cols = 4000, 2500
    benchmark.group = f"{name}, ten million parameters"  # type: ignore[attr-defined]
    if what == "stream":
        shape = (rows * STREAMS[name] // 3, cols)
        average, values = (
            lumbre.Variable(np.zeros(shape, "float32")),
            lumbre.Tensor(np.zeros(shape, "float32")),
        )
        benchmark(ops.optimizer_update, "average", [average], [values], [], 0.5)
        return
    variable = lumbre.Variable(rng.standard_normal((rows, cols), "float32"))
    gradient = lumbre.Tensor(rng.standard_normal((rows, cols), "float32"))
    optimizer = getattr(lumbre.optimizers, name)(1e-3)
    before = variable.numpy()
    optimizer.apply([gradient], [variable])
    assert np.all(np.isfinite(variable.numpy()))
    assert np.any(variable.numpy() != before)
    benchmark(optimizer.apply, [gradient], [variable])


@pytest.mark.parametrize("shape", [(512, 512), (1024, 256)])
@pytest.mark.parametrize("what", ["update", "products"])
def test_muon(benchmark: Bench, shape: tuple[int, int], what: str) -> None:
    """One update of a matrix, beside the fifteen products that it needs."""
    rng = np.random.default_rng(0)
    benchmark.group = f"Muon {shape[0]}x{shape[1]}"  # type: ignore[attr-defined]
    if what == "products":
        n, k = sorted(shape)
        a, b = (lumbre.Tensor(rng.standard_normal((n, m), "float32")) for m in (k, n))

        def products() -> None:
            for _ in range(5):
                ops.matmul(a, ops.transpose(a))
                ops.matmul(b, b)
                ops.matmul(b, a)

        benchmark(products)
        return
    variable, gradient = (
        lumbre.Variable(np.ones(shape, "float32")),
        lumbre.Tensor(rng.random(shape, "float32")),
    )
    optimizer = lumbre.optimizers.Muon(1e-3)
    optimizer.apply([gradient], [variable])
    benchmark(optimizer.apply, [gradient], [variable])


@pytest.mark.parametrize("name", ["Adam", "SGD"])
@pytest.mark.parametrize("what", ["update", "stream"])
def test_global_norm_clipping(benchmark: Bench, name: str, what: str) -> None:
    """Ten million parameters in one update with clipping: the gradient is read once more, for its norm."""
    rng = np.random.default_rng(0)
    benchmark.group = f"{name}, global_clipnorm, ten million parameters"  # type: ignore[attr-defined]
    if what == "stream":
        shape = (4000 * (STREAMS[name] + 1) // 3, 2500)
        average, values = (
            lumbre.Variable(np.zeros(shape, "float32")),
            lumbre.Tensor(np.zeros(shape, "float32")),
        )
        benchmark(ops.optimizer_update, "average", [average], [values], [], 0.5)
        return
    variable = lumbre.Variable(np.zeros(10_000_000, "float32"))
    gradient = lumbre.Tensor(rng.standard_normal(10_000_000, "float32"))
    optimizer = getattr(lumbre.optimizers, name)(1e-3, global_clipnorm=1.0)
    optimizer.apply([gradient], [variable])
    benchmark(optimizer.apply, [gradient], [variable])
