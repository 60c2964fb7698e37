"""`lumbre.random`: Keras's names and rules, and the distributions themselves, beside SciPy's."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import _core, random

N = 40_000
FAR = 1e-4
"""A p-value below this fails; the seeds are fixed, so a test does not flicker."""

CONTINUOUS: dict[str, tuple[Any, str, tuple[Any, ...]]] = {
    "uniform": (lambda **k: random.uniform((N,), -2.0, 3.0, **k), "uniform", (-2.0, 5.0)),
    "normal": (lambda **k: random.normal((N,), 1.0, 2.0, **k), "norm", (1.0, 2.0)),
    "truncated": (lambda **k: random.truncated_normal((N,), 1.0, 2.0, **k), "truncnorm", (-2, 2, 1.0, 2.0)),
    "gamma 0.2": (lambda **k: random.gamma((N,), 0.2, **k), "gamma", (0.2,)),
    "gamma 0.7": (lambda **k: random.gamma((N,), 0.7, **k), "gamma", (0.7,)),
    "gamma 1": (lambda **k: random.gamma((N,), 1.0, **k), "gamma", (1.0,)),
    "gamma 3.5": (lambda **k: random.gamma((N,), 3.5, **k), "gamma", (3.5,)),
    "gamma 800": (lambda **k: random.gamma((N,), 800.0, **k), "gamma", (800.0,)),
    "beta 0.4 0.6": (lambda **k: random.beta((N,), 0.4, 0.6, **k), "beta", (0.4, 0.6)),
    "beta 2 5": (lambda **k: random.beta((N,), 2.0, 5.0, **k), "beta", (2.0, 5.0)),
    "beta 60 1": (lambda **k: random.beta((N,), 60.0, 1.0, **k), "beta", (60.0, 1.0)),
}
WHOLE: dict[str, tuple[Any, str, tuple[Any, ...]]] = {
    "randint": (lambda **k: random.randint((N,), -3, 4, **k), "randint", (-3, 4)),
    "binomial 1 0.3": (lambda **k: random.binomial((N,), 1, 0.3, **k), "binom", (1, 0.3)),
    "binomial 30 0.2": (lambda **k: random.binomial((N,), 30, 0.2, **k), "binom", (30, 0.2)),
    "binomial 30 0.95": (lambda **k: random.binomial((N,), 30, 0.95, **k), "binom", (30, 0.95)),
    "binomial 50 0.4": (lambda **k: random.binomial((N,), 50, 0.4, **k), "binom", (50, 0.4)),
    "binomial 900 0.7": (lambda **k: random.binomial((N,), 900, 0.7, **k), "binom", (900, 0.7)),
}
DRAWS: dict[str, Any] = {name: row[0] for name, row in {**CONTINUOUS, **WHOLE}.items()}
DRAWS["categorical"] = lambda **k: random.categorical(np.log([[0.1, 0.2, 0.7]]), N, **k)
DRAWS["shuffle"] = lambda **k: random.shuffle(np.arange(N), **k)
DRAWS["dropout"] = lambda **k: random.dropout(np.ones(N, "float32"), 0.25, **k)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_distributions(name: str, dtype: str) -> None:
    stats = pytest.importorskip("scipy.stats")
    draw, family, parameters = CONTINUOUS[name]
    x = draw(seed=11, dtype=dtype).numpy()
    assert x.dtype == dtype
    x = x.astype("float64")
    law = getattr(stats, family)(*parameters)
    assert stats.kstest(x, law.cdf).pvalue > FAR
    assert abs(x.mean() - law.mean()) < 4.5 * law.std() / N**0.5
    # The variance of a sample's variance, (m4 - σ⁴) / n, from the law's own fourth moment.
    spread = np.sqrt((law.stats(moments="k") + 2) / N) * law.var()
    assert abs(x.var() - law.var()) < 5 * spread


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers(name: str) -> None:
    stats = pytest.importorskip("scipy.stats")
    draw, family, parameters = WHOLE[name]
    x = draw(seed=12).numpy().astype("int64")
    values, seen = np.unique(x, return_counts=True)
    law = getattr(stats, family)(*parameters)
    expected = law.pmf(values) * N
    often = expected > 8
    rest = seen[~often].sum(), N - expected[often].sum()
    got, want = np.append(seen[often], rest[0]), np.append(expected[often], rest[1])
    keep = want > 1e-6
    assert got[~keep].sum() == 0, "a value that cannot be"
    assert stats.chisquare(got[keep], want[keep] * got[keep].sum() / want[keep].sum()).pvalue > FAR


def test_parameters_may_be_arrays() -> None:
    x = random.gamma((20_000, 3), [0.5, 2.0, 9.0], seed=1).numpy()
    np.testing.assert_allclose(x.mean(0), [0.5, 2.0, 9.0], rtol=0.05)
    x = random.beta((20_000, 2), np.array([1.0, 3.0]), 1.0, seed=1).numpy()
    np.testing.assert_allclose(x.mean(0), [0.5, 0.75], rtol=0.02)
    x = random.binomial((20_000, 2), [[10, 200]], lumbre.ops.convert_to_tensor([0.5, 0.1]), seed=1).numpy()
    np.testing.assert_allclose(x.mean(0), [5.0, 20.0], rtol=0.02)
    bad = random.gamma((2,), lumbre.ops.convert_to_tensor([-1.0, 1.0]), seed=1).numpy()
    assert np.isnan(bad[0]) and bad[1] > 0


def test_small_beta_parameters_do_not_divide_zero_by_zero() -> None:
    x = random.beta((5000,), 1e-4, 1e-4, seed=1).numpy()
    assert not np.isnan(x).any()
    assert abs((x > 0.5).mean() - 0.5) < 0.03


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_seeds_mean_what_they_mean_in_keras(draw: Any) -> None:
    """An int draws the same at each call, a generator moves on, None follows `set_seed`."""
    np.testing.assert_array_equal(draw(seed=5).numpy(), draw(seed=5).numpy())
    first, second = random.SeedGenerator(5), random.SeedGenerator.from_config({"seed": 5})
    a, b = draw(seed=first).numpy(), draw(seed=first).numpy()
    assert (a != b).any()
    np.testing.assert_array_equal(a, draw(seed=second).numpy())
    np.testing.assert_array_equal(b, draw(seed=second).numpy())
    random.set_seed(9)
    a, b = draw().numpy(), draw().numpy()
    random.set_seed(9)
    np.testing.assert_array_equal(a, draw().numpy())
    assert (a != b).any()


@pytest.mark.parametrize("name", ["gamma 0.2", "beta 2 5", "binomial 50 0.4", "binomial 30 0.2"])
def test_the_number_of_threads_does_not_matter(name: str) -> None:
    threads = lumbre.get_num_threads()
    try:
        drawn = []
        for count in (1, 2, 3):
            lumbre.set_num_threads(count)
            drawn.append(DRAWS[name](seed=3).numpy())
    finally:
        lumbre.set_num_threads(threads)
    for other in drawn[1:]:
        np.testing.assert_array_equal(drawn[0], other)


def test_a_captured_step_draws_what_an_eager_one_draws() -> None:
    def run(wrap: Any) -> list[np.ndarray]:
        generator = random.SeedGenerator(5)

        def step(alpha: Any) -> Any:
            y = random.gamma((50,), alpha, seed=generator) + random.beta((50,), 2.0, alpha, seed=generator)
            return y + random.binomial((50,), 20, 0.3, seed=generator)

        call = wrap(step)
        alphas = np.linspace(0.1, 5, 50, dtype="float32")
        return [call(lumbre.ops.convert_to_tensor(alphas + i)).numpy() for i in range(5)]

    for eager, replayed in zip(run(lambda f: f), run(lumbre.capture), strict=True):
        np.testing.assert_array_equal(eager, replayed)


def test_signatures_are_keras_s() -> None:
    keras = pytest.importorskip("keras")
    names = [name for name in dir(keras.random) if name[0] != "_"]
    for name in names:
        ours, theirs = getattr(random, name), getattr(keras.random, name)
        if inspect.isfunction(theirs):
            ours, theirs = inspect.signature(ours), inspect.signature(theirs)
            assert [(p.name, p.default) for p in ours.parameters.values()] == [
                (p.name, p.default) for p in theirs.parameters.values()
            ], name
    assert {n for n in dir(keras.random.SeedGenerator) if n[0] != "_"} <= set(dir(random.SeedGenerator))


SHAPES: dict[str, Any] = {
    "uniform": lambda r: r.uniform((2, 3), seed=1),
    "normal": lambda r: r.normal([4], dtype="float16", seed=1),
    "truncated_normal": lambda r: r.truncated_normal((), seed=1),
    "randint": lambda r: r.randint((2,), 0, 9, dtype="int64" if r is random else "int32", seed=1),
    "categorical": lambda r: r.categorical(np.zeros((3, 4), "float32"), 5, seed=1),
    "shuffle": lambda r: r.shuffle(np.zeros((3, 4), "float32"), axis=1, seed=1),
    "dropout": lambda r: r.dropout(np.zeros((3, 4), "float32"), 0.5, noise_shape=(3, 1), seed=1),
    "gamma": lambda r: r.gamma((2, 3), 1.5, seed=1),
    "beta": lambda r: r.beta((2, 3), 1.5, [1.0, 2.0, 3.0], seed=1),
    "binomial": lambda r: r.binomial((2, 3), 7, 0.5, seed=1),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_and_dtypes_are_keras_s(name: str) -> None:
    keras = pytest.importorskip("keras")
    ours, theirs = SHAPES[name](random), SHAPES[name](keras.random)
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert name == "randint" or ours.dtype == keras.backend.standardize_dtype(theirs.dtype)


def test_the_generator() -> None:
    generator = random.SeedGenerator(3, name="noise")
    assert generator.name == "noise" and generator.get_config() == {"seed": 3}
    assert generator.next().numpy().tolist() == [3, 0]
    assert generator.next(ordered=False).numpy().tolist() == [3, 1]
    with pytest.raises(ValueError, match=r"Argument `seed` must be an integer\. Received: seed=1\.5"):
        random.SeedGenerator(1.5)
    with pytest.raises(ValueError, match=r"Unrecognized keyword arguments: \{'sed': 1\}"):
        random.SeedGenerator(sed=1)
    for bad in (1.5, "1", True, None):
        with pytest.raises(ValueError, match="Argument `seed` must be an integer"):
            random.set_seed(bad)


def test_set_seed_leaves_numpy_alone() -> None:
    np.random.seed(1)
    expected = np.random.rand()
    np.random.seed(1)
    random.set_seed(4)
    assert np.random.rand() == expected


def test_levels_agree() -> None:
    """Numbers found by trying are computed without vectors: the level has no part in them."""
    level = _core.isa()
    try:
        drawn = []
        for other in _core.isa_levels():
            _core.set_isa(other)
            drawn.append([DRAWS[name](seed=2).numpy().tobytes() for name in ("gamma 0.7", "binomial 50 0.4")])
    finally:
        _core.set_isa(level)
    assert all(d == drawn[0] for d in drawn)
