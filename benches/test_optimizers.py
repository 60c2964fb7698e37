"""Updates of optimizers beside streams of the bytes that they must move, and beside their products.

`make bench` runs them; alone: `pytest benches/test_optimizers.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import ops

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
def test_optimizers(benchmark: Any, name: str, what: str) -> None:
    """One update of ten million parameters, beside a stream of as many bytes, two read for one written."""
    rng = np.random.default_rng(0)
    rows, cols = 4000, 2500
    benchmark.group = f"{name}, ten million parameters"
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
def test_muon(benchmark: Any, shape: tuple[int, int], what: str) -> None:
    """One update of a matrix, beside the fifteen products that it needs."""
    rng = np.random.default_rng(0)
    benchmark.group = f"Muon {shape[0]}x{shape[1]}"
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
def test_global_norm_clipping(benchmark: Any, name: str, what: str) -> None:
    """Ten million parameters in one update with clipping: the gradient is read once more, for its norm."""
    rng = np.random.default_rng(0)
    benchmark.group = f"{name}, global_clipnorm, ten million parameters"
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
