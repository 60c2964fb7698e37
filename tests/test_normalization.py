"""Normalization layers against the real Keras: outputs, gradients, moving statistics, masks, modes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import close, jax, keras
from lumbre import layers, ops

RNG = np.random.default_rng(11)
FLAT = RNG.normal(1.5, 2.0, (40, 6)).astype("float32")
CUBE = RNG.normal(-0.5, 1.5, (8, 5, 4)).astype("float32")
IMAGES = RNG.normal(0.5, 1.5, (3, 4, 5, 2)).astype("float32")

Make = Callable[[Any], Any]
BATCH: list[tuple[Make, np.ndarray]] = [
    (lambda lib: lib.layers.BatchNormalization(), FLAT),
    (lambda lib: lib.layers.BatchNormalization(momentum=0.8, epsilon=1e-2), CUBE),
    (lambda lib: lib.layers.BatchNormalization(center=False), FLAT),
    (lambda lib: lib.layers.BatchNormalization(scale=False), FLAT),
    (lambda lib: lib.layers.BatchNormalization(axis=1), CUBE),
    (lambda lib: lib.layers.BatchNormalization(axis=1, center=False, scale=False), IMAGES),
    (lambda lib: lib.layers.BatchNormalization(), IMAGES),
]
ROWS: list[tuple[Make, np.ndarray]] = [
    (lambda lib: lib.layers.LayerNormalization(), FLAT),
    (lambda lib: lib.layers.LayerNormalization(epsilon=1e-2, center=False), CUBE),
    (lambda lib: lib.layers.LayerNormalization(scale=False), CUBE),
    (lambda lib: lib.layers.LayerNormalization(axis=1), CUBE),
    (lambda lib: lib.layers.LayerNormalization(axis=(1, 2)), CUBE),
    (lambda lib: lib.layers.LayerNormalization(axis=[3, 1]), IMAGES),
    (lambda lib: lib.layers.RMSNormalization(), FLAT),
    (lambda lib: lib.layers.RMSNormalization(axis=[-1], epsilon=1e-2), CUBE),
    (lambda lib: lib.layers.UnitNormalization(), FLAT),
]
ALL = [*BATCH, *ROWS]


def both(make: Make, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """The same layer, with the same weights (variances are positive), in Lumbre and in Keras."""
    ours, theirs = make(lumbre), make(keras)
    ours.build(shape)
    theirs.build(shape)
    values = [RNG.uniform(0.5, 1.5, w.shape).astype("float32") for w in theirs.weights]
    ours.set_weights(values)
    theirs.set_weights(values)
    return ours, theirs


def our_gradients(layer: Any, x: np.ndarray, g: np.ndarray, **options: Any) -> tuple[Any, list[Any]]:
    leaf = lumbre.Tensor(x, requires_grad=True)
    y = layer(leaf, **options)
    return y, lumbre.grad((y * g).sum(), [leaf, *layer.trainable_weights])


def their_gradients(layer: Any, x: np.ndarray, g: np.ndarray, **options: Any) -> tuple[Any, list[Any], Any]:
    """Outputs, gradients and the new values of the other variables."""
    trainable = [v.value for v in layer.trainable_variables]
    other = [v.value for v in layer.non_trainable_variables]

    def loss(x: Any, trainable: Any) -> Any:
        y, state = layer.stateless_call(trainable, other, x, **options)
        return (y * g).sum(), (y, state)

    (_, (y, state)), (dx, dw) = jax.value_and_grad(loss, (0, 1), has_aux=True)(
        jax.numpy.asarray(x), trainable
    )
    return y, [dx, *dw], state


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", range(len(ALL)))
def test_outputs_and_gradients(case: int, training: bool) -> None:
    make, x = ALL[case]
    options = {"training": training} if case < len(BATCH) else {}
    ours, theirs = both(make, x.shape)
    g = RNG.normal(size=x.shape).astype("float32")
    expected, gradients, state = their_gradients(theirs, x, g, **options)
    y, got = our_gradients(ours, x, g, **options)
    close(y, expected, rtol=2e-5, atol=5e-6)
    assert len(got) == len(gradients)
    for a, b in zip(got, gradients, strict=True):
        close(a, b, rtol=5e-5, atol=2e-5)
    for variable, value in zip(ours.non_trainable_weights, state, strict=True):
        close(variable, value)


@pytest.mark.parametrize("case", range(len(ALL)))
def test_configs_shapes_and_names(case: int) -> None:
    make, x = ALL[case]
    ours, theirs = make(lumbre), make(keras)
    expected = theirs.get_config()
    assert {**ours.get_config(), "name": expected["name"]} == expected
    assert ours(lumbre.Input(x.shape[1:])).shape == (None, *x.shape[1:])
    assert tuple(ours.compute_output_shape(x.shape)) == x.shape
    theirs.build(x.shape)
    assert [(w.name, w.shape) for w in ours.weights] == [(w.name, w.shape) for w in theirs.weights]
    copy = layers.deserialize(layers.serialize(ours))
    copy.set_weights(ours.get_weights())
    np.testing.assert_array_equal(copy(x).numpy(), ours(x).numpy())


def network(lib: Any) -> Any:
    return lib.Sequential(
        [
            lib.Input((6,)),
            lib.layers.Dense(16, use_bias=False),
            lib.layers.BatchNormalization(momentum=0.9),
            lib.layers.Activation("relu"),
            lib.layers.Dense(8),
            lib.layers.LayerNormalization(),
            lib.layers.Activation("tanh"),
            lib.layers.Dense(1),
        ]
    )


def test_thirty_steps_of_training() -> None:
    """Losses, weights and moving statistics after 30 steps, replayed, and the evaluation with them."""
    x = RNG.normal(size=(30, 32, 6)).astype("float32")
    y = np.sin(x.sum(-1, keepdims=True))
    ours, theirs = network(lumbre), network(keras)
    weights = [
        RNG.uniform(0.5, 1.0, w.shape) if w.ndim == 1 else RNG.normal(0.0, 0.4, w.shape)
        for w in theirs.weights
    ]
    for model, lib in ((ours, lumbre), (theirs, keras)):
        model.set_weights([w.astype("float32") for w in weights])
        model.compile(lib.optimizers.SGD(0.05, momentum=0.9), "mse")
    for i in range(30):
        expected = float(theirs.train_on_batch(x[i], y[i]))
        assert float(ours.train_on_batch(x[i], y[i])) == pytest.approx(expected, rel=1e-4)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.predict(x[0], verbose=0), theirs.predict(x[0], verbose=0), atol=1e-4)


@pytest.mark.parametrize("shape", [(40,), (8, 5)])
def test_masks(shape: tuple[int, ...]) -> None:
    x = FLAT if len(shape) == 1 else CUBE
    mask = RNG.random(shape) < 0.6
    make: Make = lambda lib: lib.layers.BatchNormalization(momentum=0.7)  # noqa: E731
    ours, theirs = both(make, x.shape)
    g = RNG.normal(size=x.shape).astype("float32")
    expected, gradients, state = their_gradients(theirs, x, g, training=True, mask=jax.numpy.asarray(mask))
    y, got = our_gradients(ours, x, g, training=True, mask=mask)
    close(y, expected, rtol=2e-5, atol=5e-6)
    for a, b in zip(got, gradients, strict=True):
        close(a, b, rtol=5e-5, atol=2e-5)
    for variable, value in zip(ours.non_trainable_weights, state, strict=True):
        close(variable, value)


def test_a_mask_arrives_with_the_inputs_and_goes_on() -> None:
    x = CUBE.copy()
    x[:, 3:] = 0.0
    marked = layers.Masking()(x)
    layer = layers.BatchNormalization(momentum=0.0)
    y = layer(marked, training=True)
    np.testing.assert_array_equal(y._mask.numpy(), np.arange(5) < 3 + np.zeros((8, 1)))
    close(layer.moving_mean, x[:, :3].mean((0, 1)))
    close(layer.moving_variance, x[:, :3].var((0, 1)))
    for kind in (layers.LayerNormalization, layers.RMSNormalization, layers.UnitNormalization):
        np.testing.assert_array_equal(kind()(marked)._mask.numpy(), y._mask.numpy())


def test_nothing_is_learned_where_everything_is_masked() -> None:
    layer = layers.BatchNormalization()
    y = layer(FLAT, training=True, mask=np.zeros(40, bool))
    close(layer.moving_mean, np.zeros(6))
    close(layer.moving_variance, np.ones(6))
    assert np.isfinite(y.numpy()).all()


def test_large_means_cost_no_digits() -> None:
    """The variance of values far from zero: sums of plain squares would leave nothing of it."""
    x = (1000.0 + RNG.normal(size=(3000, 3))).astype("float32")
    layer = layers.BatchNormalization(momentum=0.0)
    y = layer(x, training=True).numpy()
    wide = x.astype("float64")
    np.testing.assert_allclose(layer.moving_variance.numpy(), wide.var(0), rtol=1e-5)
    np.testing.assert_allclose(y, (wide - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-3), atol=2e-4)
    rows = (1000.0 + RNG.normal(size=(3, 3000))).astype("float32")
    wide = rows.astype("float64").T
    expected = (wide - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-3)
    np.testing.assert_allclose(layers.LayerNormalization()(rows).numpy().T, expected, atol=2e-4)


def test_a_frozen_layer_uses_its_moving_statistics() -> None:
    layer = layers.BatchNormalization()
    layer.build((None, 6))
    layer.moving_mean.assign(np.full(6, 2.0, "float32"))
    inference = layer(FLAT, training=False).numpy()
    assert np.abs(layer(FLAT, training=True).numpy() - inference).max() > 0.1
    state = layer.get_weights()
    layer.trainable = False
    assert layer.trainable_weights == []
    frozen = layer(FLAT, training=True).numpy()
    for now, then in zip(layer.get_weights(), state, strict=True):
        np.testing.assert_array_equal(now, then)
    np.testing.assert_array_equal(frozen, layer(FLAT, training=False).numpy())


def test_freezing_takes_effect_in_recorded_steps() -> None:
    model = network(lumbre)
    model.compile("sgd", "mse")
    x, y = RNG.normal(size=(64, 6)).astype("float32"), np.ones((64, 1), "float32")
    model.fit(x, y, batch_size=16, epochs=2, verbose=0)
    batch = model.layers[1]
    batch.trainable = False
    model.compile("sgd", "mse")
    before = batch.get_weights()
    model.fit(x, y, batch_size=16, epochs=2, verbose=0)
    for now, then in zip(batch.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    batch.trainable = True
    model.compile("sgd", "mse")
    model.fit(x, y, batch_size=16, epochs=2, verbose=0)
    assert all((now != then).any() for now, then in zip(batch.get_weights(), before, strict=True))


def test_one_pass_of_fit_moves_the_statistics_as_eager_calls_do() -> None:
    x = RNG.normal(size=(70, 6)).astype("float32")  # the last batch is ragged
    model, layer = lumbre.Sequential([layers.BatchNormalization()]), layers.BatchNormalization()
    model.compile(lumbre.optimizers.SGD(0.0), "mse")
    model.fit(x, x, batch_size=16, epochs=3, shuffle=False, verbose=0)
    for _ in range(3):
        for i in range(0, 70, 16):
            layer(x[i : i + 16], training=True)
    for a, b in zip(model.get_weights(), layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_batch_of_one_row_is_warned_of_once() -> None:
    model = lumbre.Sequential([layers.BatchNormalization(name="lonely"), layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = FLAT[:17], np.ones((17, 1), "float32")
    with pytest.warns(UserWarning, match="Layer 'lonely' .* a single value of each feature") as found:
        model.fit(x, y, batch_size=8, epochs=4, verbose=0)
    assert len(found) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(x[:1], verbose=0)
        model.evaluate(x[:1], y[:1], verbose=0)
        layers.BatchNormalization()(CUBE[:1], training=True)  # five values of each feature
        layers.LayerNormalization()(FLAT[:1])
        lumbre.Sequential([lumbre.Input((6,), batch_size=1), layers.BatchNormalization()]).summary(
            print_fn=lambda _: None
        )


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("kind", ["BatchNormalization", "LayerNormalization", "RMSNormalization"])
def test_dtypes(kind: str, dtype: str) -> None:
    x = FLAT.astype("float64" if dtype == "float64" else "float32")
    ours, theirs = (getattr(lib.layers, kind)(dtype=dtype) for lib in (lumbre, keras))
    options = {"training": True} if kind[0] == "B" else {}
    y, expected = ours(x, **options), theirs(x, **options)
    if dtype == "float64":  # JAX computes it in float32
        assert y.dtype == "float64"
    else:
        assert y.dtype == expected.dtype.name
        assert [w.dtype for w in ours.weights] == [w.dtype for w in theirs.weights]
    tolerance = {"float64": 1e-5, "float16": 4e-3, "bfloat16": 4e-2}[dtype]
    np.testing.assert_allclose(
        np.asarray(y, "float32"), np.asarray(expected, "float32"), rtol=tolerance, atol=tolerance
    )
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(np.asarray(a, "float32"), np.asarray(b, "float32"), atol=tolerance)


def test_a_layer_used_twice_learns_from_both() -> None:
    layer = layers.BatchNormalization(momentum=0.5)
    a = lumbre.Input((6,))
    model = lumbre.Model(a, layers.Add()([layer(a), layer(a * 2.0)]))
    model.compile(lumbre.optimizers.SGD(0.0), "mse")
    for step in range(4):
        model.train_on_batch(FLAT, FLAT)
        mean = layer.moving_mean.numpy()
        expected = FLAT.mean(0) * (1.0 + 2.0 / 3.0) * (1.0 - 0.25 ** (step + 1))
        np.testing.assert_allclose(mean, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: layers.BatchNormalization(renorm=True),
            ValueError,
            "does not support batch renormalization",
        ),
        (
            lambda: layers.BatchNormalization(axis=2)(FLAT),
            ValueError,
            "Axis 2 is out of bounds for input shape",
        ),
        (lambda: layers.BatchNormalization()(lumbre.Input((None,))), ValueError, "must be known"),
        (
            lambda: layers.BatchNormalization()(CUBE, training=True, mask=np.ones(8, bool)),
            ValueError,
            "should be one dimension less than the inputs",
        ),
        (
            lambda: layers.BatchNormalization(axis=1)(CUBE, training=True, mask=np.ones((8, 5), bool)),
            ValueError,
            "takes a mask only where the features are the last axis",
        ),
        (lambda: layers.LayerNormalization(rms_scaling=True), ValueError, "use RMSNormalization"),
        (
            lambda: layers.LayerNormalization(axis="last"),
            TypeError,
            "Expected an int or a list/tuple of ints",
        ),
        (lambda: layers.LayerNormalization(axis=[1, 3])(CUBE), ValueError, "Axis 3 is out of bounds"),
        (lambda: layers.UnitNormalization(axis=0.5), TypeError, "Expected an int or a list/tuple of ints"),
        (lambda: layers.RMSNormalization()(lumbre.Input((None,))), ValueError, "must be known"),
    ],
)
def test_bad_input(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_a_wrong_width_leaves_the_statistics_alone() -> None:
    layer = layers.BatchNormalization()
    layer(FLAT, training=True)
    before = layer.get_weights()
    with pytest.raises(ValueError, match="expected axis -1 of input shape to have value 6"):
        layer(FLAT[:, :5], training=True)
    for now, then in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_rms_normalization_over_another_axis() -> None:
    # Keras 3.15's does not broadcast its scale there.
    layer = layers.RMSNormalization(axis=1)
    y = layer(CUBE)
    layer.scale.assign(np.arange(5.0))
    expected = CUBE / np.sqrt((CUBE**2).mean(1, keepdims=True) + 1e-6)
    close(y, expected)
    close(layer(CUBE), expected * np.arange(5.0)[:, None])


def test_replicas_are_one() -> None:
    layer = layers.BatchNormalization(synchronized=True)
    close(layer(FLAT, training=True), layers.BatchNormalization()(FLAT, training=True))
    assert layer.get_config()["synchronized"] is True
    assert ops.moments(FLAT, 0, synchronized=True)[0].shape == (6,)


def test_constant_features() -> None:
    """Variance 0: the outputs are β, and gradients are finite."""
    x = np.full((32, 3), 7.0, "float32")
    layer = layers.BatchNormalization(momentum=0.0)
    y, gradients = our_gradients(layer, x, np.ones((32, 3), "float32"), training=True)
    np.testing.assert_array_equal(y.numpy(), 0.0)
    np.testing.assert_array_equal(layer.moving_variance.numpy(), 0.0)
    assert all(np.isfinite(np.asarray(g)).all() for g in gradients)
