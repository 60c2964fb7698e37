"""Initializers, regularizers and constraints against the real Keras and against their definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import close, gradient, keras
from lumbre import constraints, initializers, regularizers

DRAWN: list[tuple[str, dict[str, Any]]] = [
    ("RandomNormal", {"mean": 1.0, "stddev": 2.0}),
    ("RandomUniform", {"minval": -1.0, "maxval": 3.0}),
    ("TruncatedNormal", {"mean": 0.5, "stddev": 2.0}),
    ("GlorotUniform", {}),
    ("GlorotNormal", {}),
    ("HeUniform", {}),
    ("HeNormal", {}),
    ("LecunUniform", {}),
    ("LecunNormal", {}),
    ("VarianceScaling", {"scale": 3.0, "mode": "fan_out", "distribution": "untruncated_normal"}),
    ("VarianceScaling", {"scale": 3.0, "mode": "fan_avg", "distribution": "uniform"}),
    ("VarianceScaling", {"distribution": "normal"}),
]


@pytest.mark.parametrize(("name", "options"), DRAWN)
@pytest.mark.parametrize("shape", [(300, 200), (3, 3, 40, 60)])
def test_distribution_is_kerass(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    ours = getattr(initializers, name)(seed=1, **options)(shape).numpy()
    theirs = np.asarray(getattr(keras.initializers, name)(seed=1, **options)(shape))
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    n = ours.size
    spread = theirs.std()
    assert abs(ours.mean() - theirs.mean()) < 8 * spread / np.sqrt(n)
    assert ours.std() == pytest.approx(spread, rel=0.02)
    levels = np.linspace(0.02, 0.98, 25)
    quantiles = np.quantile(ours, levels) - np.quantile(theirs, levels)
    assert abs(quantiles).max() < 0.06 * spread
    if theirs.std() * 3 > abs(theirs - theirs.mean()).max():  # neither has tails
        assert abs(ours).max() == pytest.approx(abs(theirs).max(), rel=0.01)


CUT = math.erf(math.sqrt(2.0))
LAWS = {
    "uniform": lambda z: np.clip((z / math.sqrt(3.0) + 1) / 2, 0, 1),
    "normal": lambda z: np.array([(1 + math.erf(v / math.sqrt(2))) / 2 for v in z]),
    "truncated": lambda z: np.array(
        [np.clip((CUT + math.erf(0.87962566 * v / math.sqrt(2))) / (2 * CUT), 0, 1) for v in z]
    ),
}
LAW_OF: list[tuple[Any, float, str]] = [
    (initializers.RandomNormal(stddev=2.0, seed=4), 2.0, "normal"),
    (initializers.RandomUniform(-3.0, 3.0, seed=4), math.sqrt(3.0), "uniform"),
    (initializers.TruncatedNormal(stddev=2.0, seed=4), 2.0 * 0.87962566, "truncated"),
    (initializers.GlorotUniform(seed=4), math.sqrt(2 / 500), "uniform"),
    (initializers.GlorotNormal(seed=4), math.sqrt(2 / 500), "truncated"),
    (initializers.HeUniform(seed=4), math.sqrt(2 / 300), "uniform"),
    (initializers.HeNormal(seed=4), math.sqrt(2 / 300), "truncated"),
    (initializers.LecunUniform(seed=4), math.sqrt(1 / 300), "uniform"),
    (initializers.LecunNormal(seed=4), math.sqrt(1 / 300), "truncated"),
    (
        initializers.VarianceScaling(3.0, "fan_out", "untruncated_normal", seed=4),
        math.sqrt(3 / 200),
        "normal",
    ),
]


@pytest.mark.parametrize("case", range(len(LAW_OF)))
def test_distribution_function(case: int) -> None:
    """The test of Kolmogorov and Smirnov against the law itself, at the level of one in a million."""
    initializer, spread, law = LAW_OF[case]
    z = np.sort(initializer((300, 200)).numpy().astype("float64").ravel()) / spread
    expected = LAWS[law](z)
    n = len(z)
    steps = np.arange(n + 1) / n
    distance = max(np.max(steps[1:] - expected), np.max(expected - steps[:-1]))
    assert distance < math.sqrt(math.log(2e6) / (2 * n))


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize(
    "window", ["hann", "hamming", "blackman", "nuttall", "blackmanharris", "boxcar", None]
)
def test_stft(side: str, window: str | None) -> None:
    for scaling in (None, "density", "spectrum"):
        for periodic in (False, True):
            options = {"side": side, "window": window, "scaling": scaling, "periodic": periodic}
            ours, theirs = initializers.STFT(**options), keras.initializers.STFT(**options)
            close(ours((16, 1, 9)), theirs((16, 1, 9)), atol=2e-5)
            assert initializers.serialize(ours) == keras.initializers.serialize(theirs)
            assert initializers.deserialize(initializers.serialize(ours)).get_config() == options
    own = initializers.STFT(window=np.arange(4.0), scaling=None)
    close(own((4, 1, 1))[:, 0, 0], np.arange(4.0))
    assert own.get_config()["window"] == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("family", ["initializers", "regularizers", "constraints", "activations"])
def test_every_name_of_keras_is_there(family: str) -> None:
    ours, theirs = getattr(lumbre, family), getattr(keras, family)
    public = [n for n in dir(theirs) if not n.startswith("_")]
    assert [n for n in public if not hasattr(ours, n)] == []
    for name in set(public) - {"Initializer", "Regularizer", "Constraint", "get", "serialize", "deserialize"}:
        assert ours.get(name) is not None


@pytest.mark.parametrize("axes", [([0], [1]), ([0, 1], [-1]), (None, [2]), ([0, 1], None)])
def test_fans_of_named_axes(axes: tuple[Any, Any]) -> None:
    options: dict[str, Any] = {"seed": 3, "input_axes": axes[0], "output_axes": axes[1]}
    shape = (8, 24, 60)
    ours = initializers.GlorotUniform(**options)(shape).numpy()
    theirs = np.asarray(keras.initializers.GlorotUniform(**options)(shape))
    assert abs(ours).max() == pytest.approx(abs(theirs).max(), rel=0.01)


def test_fans() -> None:
    assert initializers.compute_fans(()) == (1, 1)
    assert initializers.compute_fans((7,)) == (7, 7)
    assert initializers.compute_fans((7, 5)) == (7, 5)
    assert initializers.compute_fans((3, 4, 7, 5)) == (84, 60)


def test_a_seed_fixes_the_values() -> None:
    a, b = initializers.GlorotUniform(seed=5), initializers.GlorotUniform(seed=5)
    np.testing.assert_array_equal(a((4, 4)).numpy(), b((4, 4)).numpy())
    np.testing.assert_array_equal(a((4, 4)).numpy(), a((4, 4)).numpy())
    assert (a((4, 4)).numpy() != initializers.GlorotUniform(seed=6)((4, 4)).numpy()).all()


def test_an_unseeded_instance_repeats_itself_and_others_differ() -> None:
    a, b = initializers.HeNormal(), initializers.HeNormal()
    np.testing.assert_array_equal(a((4, 4)).numpy(), a((4, 4)).numpy())
    assert (a((4, 4)).numpy() != b((4, 4)).numpy()).all()


def test_set_random_seed_fixes_unseeded_instances() -> None:
    lumbre.utils.set_random_seed(3)
    first = [initializers.HeNormal()((2, 2)).numpy() for _ in range(2)]
    lumbre.utils.set_random_seed(3)
    second = [initializers.HeNormal()((2, 2)).numpy() for _ in range(2)]
    np.testing.assert_array_equal(first, second)
    assert (first[0] != first[1]).all()


def test_a_seed_generator_moves_on() -> None:
    init = initializers.RandomNormal(seed=lumbre.random.SeedGenerator(1))
    assert (init((3,)).numpy() != init((3,)).numpy()).any()


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (2, 3, 4)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    w = initializers.Orthogonal(gain=2.0, seed=1)(shape).numpy()
    assert w.shape == shape
    m = w.reshape(-1, shape[-1])
    gram = m.T @ m if m.shape[0] >= m.shape[1] else m @ m.T
    np.testing.assert_allclose(gram, 4.0 * np.eye(len(gram)), atol=1e-5)


def test_constants() -> None:
    close(initializers.Zeros()((2, 3)), np.zeros((2, 3)))
    close(initializers.Ones()((2, 3)), np.ones((2, 3)))
    close(initializers.Constant(3.0)((2, 3)), np.full((2, 3), 3.0))
    close(initializers.Constant([1.0, 2.0, 3.0])((2, 3)), [[1, 2, 3], [1, 2, 3]])
    close(initializers.Identity(2.0)((2, 3)), 2.0 * np.eye(2, 3))
    assert initializers.Zeros()((2,), dtype="int32").dtype == "int32"
    assert initializers.Ones()((2,), dtype="float64").dtype == "float64"
    assert initializers.Orthogonal()((2, 2), dtype="float64").dtype == "float64"


def test_configs_are_kerass() -> None:
    for name, options in [*DRAWN, ("Constant", {"value": 2.0}), ("Orthogonal", {"gain": 2.0}), ("Zeros", {})]:
        ours, theirs = (getattr(m, name)(**options) for m in (initializers, keras.initializers))
        assert initializers.serialize(ours) == keras.initializers.serialize(theirs)
        clone = initializers.deserialize(initializers.serialize(ours))
        assert type(clone) is type(ours)
        assert clone.get_config() == ours.get_config()


def test_get() -> None:
    for name in ("zeros", "ones", "glorot_uniform", "he_normal", "orthogonal", "uniform", "normal", "zero"):
        assert isinstance(initializers.get(name), initializers.Initializer)
    assert isinstance(initializers.get(initializers.HeNormal), initializers.HeNormal)
    assert initializers.get(None) is None
    assert initializers.he_normal is initializers.HeNormal
    close(initializers.get(np.ones((2,), "float32"))((2,)), [1, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: initializers.get("glorot"), "Could not interpret initializer identifier: glorot"),
        (lambda: initializers.Identity()((2, 3, 4)), "Identity matrix initializer can only be used for 2D"),
        (lambda: initializers.Orthogonal()((2,)), "must be at least two-dimensional"),
        (lambda: initializers.VarianceScaling(-1.0), "Argument `scale` must be positive float"),
        (lambda: initializers.VarianceScaling(1.0, "x"), "Invalid `mode` argument: x"),
        (lambda: initializers.VarianceScaling(1.0, "fan_in", "x"), "Invalid `distribution` argument: x"),
        (lambda: initializers.STFT("left"), "side should be 'real' or 'imag'"),
        (lambda: initializers.STFT(window="han"), "Unknown window type: 'han'"),
        (lambda: initializers.STFT(scaling="x"), "Scaling is invalid"),
        (lambda: initializers.STFT(window=[1.0])((2, 1, 2)), "must be equal to"),
        (lambda: initializers.STFT()((2, 2)), "kernels of shape"),
        (lambda: initializers.HeNormal("a"), "`seed` argument should be an instance of"),
        (lambda: regularizers.get("l3"), "Could not interpret regularizer identifier: l3"),
        (lambda: regularizers.L1(-1.0), "Invalid value for argument l1: expected a non-negative float"),
        (lambda: regularizers.L2(float("nan")), "Invalid value for argument l2"),
        (lambda: regularizers.OrthogonalRegularizer(0.1, "x"), "Invalid value for argument `mode`"),
        (lambda: regularizers.OrthogonalRegularizer()([1.0]), "must have rank 2"),
        (lambda: constraints.MaxNorm(-1.0), "must not be negative"),
        (lambda: constraints.MinMaxNorm(2.0, 1.0), "nor the upper one below the lower one"),
        (lambda: constraints.MinMaxNorm(rate=1.5), "`rate` must lie in"),
        (lambda: constraints.get("max"), "Could not interpret constraint identifier: max"),
    ],
)
def test_bad_input(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


W = np.random.default_rng(2).normal(size=(5, 4)).astype("float32")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("L1", (0.25,)),
        ("L2", (0.25,)),
        ("L1L2", (0.25, 0.5)),
        ("L1L2", (0.0, 0.5)),
        ("L1L2", ()),
        ("OrthogonalRegularizer", (0.5,)),
        ("OrthogonalRegularizer", (0.5, "columns")),
    ],
)
def test_regularizer(name: str, arguments: tuple[Any, ...]) -> None:
    ours, theirs = getattr(regularizers, name)(*arguments), getattr(keras.regularizers, name)(*arguments)
    close(ours(W), theirs(keras.ops.convert_to_tensor(W)))
    assert regularizers.serialize(ours) == keras.regularizers.serialize(theirs)
    if any(ours.get_config().values()):
        close(lumbre.grad(ours, W), gradient(theirs, W))


def test_regularizer_strings() -> None:
    assert regularizers.get("l2").get_config() == {"l2": 0.01}
    for name in ("l1", "L1", "l1_l2", "l1l2", "L1L2", "orthogonal_regularizer"):
        assert isinstance(regularizers.get(name), regularizers.Regularizer)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MaxNorm", {"max_value": 1.5}),
        ("MaxNorm", {"max_value": 1.5, "axis": [0, 1]}),
        ("MinMaxNorm", {"min_value": 1.0, "max_value": 1.5, "rate": 0.5}),
        ("NonNeg", {}),
        ("UnitNorm", {"axis": 1}),
    ],
)
def test_constraint(name: str, options: dict[str, Any]) -> None:
    ours, theirs = getattr(constraints, name)(**options), getattr(keras.constraints, name)(**options)
    close(ours(W), theirs(W))
    assert constraints.serialize(ours) == keras.constraints.serialize(theirs)
    assert type(constraints.get(constraints.serialize(ours))) is type(ours)
