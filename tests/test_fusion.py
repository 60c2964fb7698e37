"""Calls that a program joins: the bits are those of the separate calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import Tensor, ops

RNG = np.random.default_rng(0)
X = RNG.standard_normal((130, 130)).astype("float32")  # more than a piece, and no multiple of it
BIAS = RNG.standard_normal(130).astype("float32")


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = lumbre.get_num_threads()
    yield
    lumbre.set_num_threads(before)


def leaky(x: Tensor) -> Tensor:
    return ops.where(ops.greater(x, 0.0), x, ops.multiply(x, 0.1))


def one_element(x: Tensor) -> Tensor:
    """Reads, at all places, what the call before writes at one."""
    y = ops.multiply(x, 2.0)
    return ops.add(ops.add(y, y[5, 7]), y[0:1, 0:1])


def mirrored(x: Tensor) -> Tensor:
    y = ops.multiply(x, 2.0)
    return ops.exp(ops.multiply(ops.add(y, ops.transpose(y)), 0.1))


def biased(x: Tensor) -> Tensor:
    return ops.tanh(ops.add(ops.multiply(x, 2.0), Tensor(BIAS)))


def counted(x: Tensor) -> Tensor:
    return ops.multiply(ops.cast(ops.less(ops.square(x), 1.0), "float64"), 0.5)


CHAINS: dict[str, tuple[Callable[[Tensor], Tensor], list[str]]] = {
    "a formula": (
        lambda x: ops.multiply(ops.tanh(ops.add(ops.multiply(x, 2.0), 1.0)), x),
        ["multiply + add + tanh + multiply"],
    ),
    "a choice": (leaky, ["greater + multiply + where"]),
    "dtypes": (counted, ["square + less + cast + multiply"]),
    "an element of the chain's": (one_element, ["multiply", "add + add"]),
    "a transpose of the chain's": (mirrored, ["multiply", "add", "multiply + exp"]),
    "rows repeated": (biased, ["multiply", "add", "tanh"]),
}


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("case", CHAINS)
def test_chains(case: str, count: int) -> None:
    lumbre.set_num_threads(count)
    function, expected = CHAINS[case]
    captured = lumbre.capture(function)
    for step in range(5):
        x = Tensor(X + np.float32(step))
        np.testing.assert_array_equal(captured(x).numpy(), function(x).numpy())
    with lumbre.profile() as profile:
        captured(Tensor(X))
    assert sorted(row.op for row in profile.rows if row.op != "(between steps)") == sorted(expected)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_derivatives_of_relu_and_dropout_are_in_the_product(rate: float) -> None:
    def model() -> Any:
        lumbre.utils.set_random_seed(0)
        layers = [lumbre.Input((20,)), lumbre.layers.Dense(70, "relu")]
        layers += [lumbre.layers.Dropout(rate)] if rate else []
        layers += [lumbre.layers.Dense(50, "relu"), lumbre.layers.Dense(3)]
        made = lumbre.Sequential(layers)
        made.compile("adam", "mse")
        return made

    x, y = RNG.standard_normal((96, 20)), RNG.standard_normal((96, 3))
    replayed, eager = model(), model()
    eager.run_eagerly = True
    for one in (replayed, eager):
        lumbre.utils.set_random_seed(1)  # shuffles
        one.fit(x, y, epochs=3, verbose=0)
    for a, b in zip(replayed.get_weights(), eager.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with lumbre.profile() as profile:
        replayed.fit(x, y, epochs=1, verbose=0)
    names = [row.op for row in profile.rows]
    assert names.count("linear_grad_input") == 2
    assert not any("activation_grad" in name for name in names)
    assert names.count("dropout") == (1 if rate else 0)


def test_transposed_matrices_are_read_where_they_lie() -> None:
    """Eager and replayed, with gradients: as if they had been copied first."""
    a, b = (RNG.standard_normal((90, 90)).astype("float32") for _ in range(2))

    def grads(x: Tensor, y: Tensor) -> list[Tensor]:
        x, y = (Tensor(t, requires_grad=True) for t in (x, y))
        z = ops.matmul(ops.transpose(x), ops.transpose(y))
        return [z.detach(), *lumbre.grad(ops.sum(ops.multiply(z, z)), [x, y])]

    expected = a.T.astype("float64") @ b.T.astype("float64")
    found = grads(Tensor(a), Tensor(b))
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-4, atol=1e-4)
    copied = ops.matmul(Tensor(a.T.copy()), Tensor(b.T.copy()))
    np.testing.assert_array_equal(found[0].numpy(), copied.numpy())
    np.testing.assert_allclose(found[1].numpy(), (2 * expected @ b).T, rtol=1e-3, atol=1e-3)
    captured = lumbre.capture(lambda x, y: ops.matmul(ops.transpose(x), ops.transpose(y)))
    for _ in range(4):
        np.testing.assert_array_equal(captured(Tensor(a), Tensor(b)).numpy(), copied.numpy())
    with lumbre.profile() as profile:
        captured(Tensor(a), Tensor(b))
    assert [row.op for row in profile.rows if row.op != "(between steps)"] == ["matmul"]
