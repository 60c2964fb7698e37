"""Random draws: what a seed means, how a generator moves on, dropout without a mask, replays that draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.ops import philox
from lumbre.random import SeedGenerator

DRAWS: dict[str, Any] = {
    "uniform": lambda seed: ops.random.uniform((100,), seed=seed),
    "normal": lambda seed: ops.random.normal((100,), seed=seed),
    "truncated_normal": lambda seed: ops.random.truncated_normal((100,), seed=seed),
    "randint": lambda seed: ops.random.randint((100,), 0, 2**31 - 1, seed=seed),
    "dropout": lambda seed: ops.random.dropout(np.ones(100, "float32"), 0.5, seed=seed),
    "shuffle": lambda seed: ops.random.shuffle(np.arange(100), seed=seed),
    "categorical": lambda seed: ops.random.categorical(np.zeros((1, 50), "float32"), 100, seed=seed),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_what_a_seed_means(draw: Any) -> None:
    np.testing.assert_array_equal(draw(1).numpy(), draw(1).numpy())
    assert (draw(1).numpy() != draw(2).numpy()).any()

    first, second = SeedGenerator(1), SeedGenerator(1)
    a, b = draw(first).numpy(), draw(first).numpy()
    assert (a != b).any(), "a generator moves on"
    np.testing.assert_array_equal(a, draw(second).numpy())
    np.testing.assert_array_equal(b, draw(second).numpy())
    np.testing.assert_array_equal(a, draw(1).numpy())

    lumbre.utils.set_random_seed(3)
    a, b = draw(None).numpy(), draw(None).numpy()
    lumbre.utils.set_random_seed(3)
    np.testing.assert_array_equal(a, draw(None).numpy())
    assert (a != b).any()


def test_seeds_of_any_size() -> None:
    draws = [ops.random.uniform((5,), seed=s).numpy() for s in (0, 2**63, -1, 2**32, 2**64 - 2)]
    assert len({d.tobytes() for d in draws}) == len(draws)
    np.testing.assert_array_equal(ops.random.uniform((5,), seed=2**64 + 7), ops.random.uniform((5,), seed=7))


def test_the_reference_has_the_published_answers() -> None:
    """Random123's known answers (key and counter of zeros, and block 0x85a308d3243f6a88 of pi's digits)."""
    assert [hex(w) for w in philox.words(0, 0, 1)[0, :, 0]] == [
        "0x6627e8d5",
        "0xe169c58d",
        "0xbc57ac4c",
        "0x9b00dbd8",
    ]


def test_moments() -> None:
    n = 200_000
    x = ops.random.normal((n,), 3.0, 2.0, seed=1).numpy().astype("float64")
    assert abs(x.mean() - 3) < 0.02 and abs(x.std() - 2) < 0.02
    x = ops.random.truncated_normal((n,), seed=1).numpy().astype("float64")
    assert abs(x.mean()) < 0.01 and abs(x.std() - 0.8796) < 0.005
    counts = np.bincount(ops.random.categorical(np.log([[0.1, 0.2, 0.7]]), n, seed=1).numpy()[0])
    np.testing.assert_allclose(counts / n, [0.1, 0.2, 0.7], atol=0.005)


def test_half_precision_draws() -> None:
    for dtype in ("float16", "bfloat16"):
        assert ops.random.uniform((3,), dtype=dtype, seed=1).dtype == dtype
        assert ops.random.dropout(ops.ones((3,), dtype), 0.5, seed=1).dtype == dtype


def test_dropout_drops_the_gradient_with_the_output() -> None:
    x = Tensor(np.ones((50, 40), "float32"), requires_grad=True)
    y = ops.random.dropout(x, 0.3, seed=SeedGenerator(4))
    g = lumbre.grad((y * y).sum(), x, create_graph=True)
    np.testing.assert_allclose(g.numpy(), 2 * y.numpy() * np.float32(65536 / (65536 - 19661)), rtol=1e-6)
    second = lumbre.grad(g.sum(), x).numpy()
    np.testing.assert_array_equal(second > 0, y.numpy() > 0)


def test_dropout_at_the_ends() -> None:
    x = Tensor(np.array([1.0, np.nan, np.inf], "float32"), requires_grad=True)
    np.testing.assert_array_equal(ops.random.dropout(x, 0.0, seed=1).numpy(), x.numpy())
    np.testing.assert_array_equal(ops.random.dropout(x, 1.0, seed=1).numpy(), np.zeros(3))
    generator = SeedGenerator(1)
    ops.random.dropout(x, 0.0, seed=generator)
    np.testing.assert_array_equal(generator.state.numpy(), [1, 0])


def test_noise_shape_shares_fates() -> None:
    x = np.ones((200, 3, 4), "float32")
    y = ops.random.dropout(x, 0.5, noise_shape=(None, 1, 1), seed=1).numpy()
    assert set(np.unique(y)) == {0.0, 2.0}
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1, :1], y.shape))


def test_replays_draw_what_eager_steps_draw() -> None:
    def run(wrap: Any) -> list[np.ndarray]:
        generator = SeedGenerator(5)
        x = Tensor(np.ones(300, "float32"))

        def step(x: Any) -> Any:
            x = Tensor(x._a) if not isinstance(x, Tensor) else x
            y = ops.random.dropout(x, 0.5, seed=generator)
            return y + ops.random.normal((300,), seed=generator) + ops.random.uniform((300,), seed=7)

        call = wrap(step)
        return [call(x).numpy() for _ in range(6)] + [generator.state.numpy()]

    for eager, replayed in zip(run(lambda f: f), run(lumbre.capture), strict=True):
        np.testing.assert_array_equal(eager, replayed)


def test_bad_seeds() -> None:
    for seed in ("1", 1.5, True, [1, 2]):
        with pytest.raises(ValueError, match="Argument `seed` must be either an integer or an instance"):
            ops.random.uniform((2,), seed=seed)
