"""Layers around functions and other layers: Lambda and Wrapper, beside the real Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import close, keras
from lumbre import layers
from small_models import TARGET, WIDTH, X, assert_captured, filled, summary


def halved(x: Any) -> Any:
    return x * 0.5


def first_two(shape: Any) -> Any:
    return (shape[0], 2)


def test_lambdas_are_those_of_keras() -> None:
    def made(lib: Any) -> list[Any]:
        kind = lib.layers.Lambda
        return [
            kind(lambda x: x * 2),
            kind(lambda x, k=1: x * k, arguments={"k": 3}),
            kind(lambda x, training=False: x if training else -x),
            kind(lambda x: x[:, :2], output_shape=(2,)),
            kind(lambda x: x[:, :2], output_shape=first_two),
            kind(lambda x: x[:, :2]),
            kind(lib.ops.relu),
        ]

    for ours, theirs in zip(made(lumbre), made(keras), strict=True):
        close(ours(X), theirs(X))
        close(ours(X, training=True), theirs(X, training=True))
        assert ours.compute_output_shape((None, WIDTH)) == theirs.compute_output_shape((None, WIDTH))
        assert ours(lumbre.Input((WIDTH,))).shape == tuple(theirs(keras.Input((WIDTH,))).shape)
        assert ours.supports_masking == theirs.supports_masking and ours.weights == []


def test_lambdas_train_captured() -> None:
    losses = []
    for lib in (lumbre, keras):
        x = lib.Input((WIDTH,))
        squares = lib.layers.Lambda(lambda t, ops=lib.ops: ops.square(t))(x)
        model = filled(lib.Model(x, lib.layers.Dense(1)(squares)))
        model.compile(lib.optimizers.SGD(0.05), "mse")
        history = model.fit(X, TARGET, batch_size=10, epochs=2, shuffle=False, verbose=0)
        losses.append(history.history["loss"])
        if lib is lumbre:
            assert_captured(model, "train")
            assert "(Lambda)" in summary(model)
    np.testing.assert_allclose(*losses, rtol=2e-4)


def test_a_function_that_reads_values_needs_an_output_shape() -> None:
    def reading(x: Any) -> Any:
        return x if float(lumbre.ops.sum(x)) > -1e9 else -x

    assert layers.Lambda(reading, output_shape=(WIDTH,))(lumbre.Input((WIDTH,))).shape == (None, WIDTH)
    with pytest.raises(ValueError, match="symbolic"):
        layers.Lambda(reading)(lumbre.Input((WIDTH,)))


def test_configs_and_clones() -> None:
    ours, theirs = (
        lib.layers.Lambda(halved, output_shape=(WIDTH,), arguments={}, name="l") for lib in (lumbre, keras)
    )
    assert ours.get_config() == theirs.get_config()
    copy = layers.deserialize(layers.serialize(ours), custom_objects={"halved": halved})
    close(copy(X), 0.5 * X)
    assert copy.compute_output_shape((3, WIDTH)) == (3, WIDTH)
    built_in = layers.deserialize(layers.serialize(layers.Lambda(lumbre.ops.relu)))
    close(built_in(X), np.maximum(X, 0))
    with pytest.raises(ValueError, match=r"Unknown function 'halved'.*custom_objects=\{'halved': halved\}"):
        layers.deserialize(layers.serialize(ours))
    inner = lumbre.Sequential([lumbre.Input((WIDTH,)), layers.Lambda(lambda x: x + 1.0), layers.Dense(1)])
    x = lumbre.Input((WIDTH,))
    model = lumbre.Model(x, layers.Lambda(lambda x: -x)(inner(x)))
    clone = lumbre.models.clone_model(model)  # in one process a lambda can be shared
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(X).numpy(), model(X).numpy())


@pytest.mark.parametrize("part", ["function", "output_shape", "mask"])
def test_lambdas_of_a_config_are_refused(part: str) -> None:
    given = {"function": halved, part: lambda *args: args[0]}
    config = layers.serialize(layers.Lambda(**given))
    assert "code" not in str(config)
    with pytest.raises(
        ValueError, match=r"Requested the deserialization of a `Lambda` layer.*a function with a name"
    ):
        layers.deserialize(config, custom_objects={"halved": halved})
    # Nor is the code run that a config of Keras's brings along.
    code = keras.layers.serialize(keras.layers.Lambda(lambda x: x))
    with pytest.raises(ValueError, match="Requested the deserialization of a `Lambda` layer"):
        layers.deserialize(code)


def test_what_a_lambda_cannot_be_made_of() -> None:
    with pytest.raises(TypeError, match=r"`function` must be callable. Received: 3"):
        layers.Lambda(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`arguments` must be a dict"):
        layers.Lambda(halved, arguments=3)  # type: ignore[arg-type]


def doubled(lib: Any) -> type:
    class Doubled(lib.layers.Wrapper):  # type: ignore[misc,name-defined]
        def call(self, x: Any) -> Any:
            return self.layer(x) * 2

    return Doubled


def test_wrappers_are_those_of_keras() -> None:
    results = []
    for lib in (lumbre, keras):
        kind = doubled(lib)
        wrapper = kind(lib.layers.Dense(3, name="inner"), name="outer")
        x = lib.Input((WIDTH,))
        model = filled(lib.Model(x, lib.layers.Dense(1)(wrapper(x))))
        config = wrapper.get_config()
        again = kind.from_config(wrapper.get_config())
        model.compile(lib.optimizers.SGD(0.05), "mse")
        history = model.fit(X, TARGET, batch_size=10, epochs=2, shuffle=False, verbose=0).history["loss"]
        if lib is lumbre:
            assert_captured(model, "train")
        results.append(
            (
                [w.path for w in wrapper.weights], wrapper.built, wrapper.layer.built, sorted(config),
                config["layer"]["class_name"], again.layer.units, again.layer is wrapper.layer,
                len(model.weights),
            )
        )  # fmt: skip
        results.append(history)
    assert results[0] == results[2]
    np.testing.assert_allclose(results[1], results[3], rtol=2e-4)
    with pytest.raises(ValueError, match="Layer 3 supplied to Wrapper isn't a supported layer type"):
        layers.Wrapper(3)


def test_input_specs_are_those_of_keras() -> None:
    for given in ({"shape": (None, 3)}, {"ndim": 2, "axes": {-1: 4}}, {"min_ndim": 1, "dtype": "float32"}):
        ours, theirs = lumbre.InputSpec(**given), keras.InputSpec(**given)
        assert ours.get_config() == theirs.get_config()
        assert repr(lumbre.InputSpec.from_config(ours.get_config())) == repr(ours)
        assert ours.ndim == theirs.ndim and ours.axes == theirs.axes


def test_reshape_with_sizes_of_a_symbolic_tensor() -> None:
    x = lumbre.Input((6, 4))
    flat = lumbre.ops.reshape(x, (lumbre.ops.shape(x)[0], -1))
    split = lumbre.ops.reshape(x, (lumbre.ops.shape(x)[0], 4, 6))
    assert flat.shape == (None, 24) and split.shape == (None, 4, 6)
    values = np.arange(48, dtype="float32").reshape(2, 6, 4)
    ours = lumbre.Model(x, [flat, split])(values)
    np.testing.assert_array_equal(ours[0], values.reshape(2, 24))
    np.testing.assert_array_equal(ours[1], values.reshape(2, 4, 6))
    with pytest.raises(TypeError, match=r"known in the `call` of a layer"):
        lumbre.ops.zeros((lumbre.ops.shape(x)[0], 4))


FOREIGN = {
    "tensor": lambda: layers.Dense(2)(keras.Input((3,))),
    "layer": lambda: lumbre.Sequential([keras.layers.Dense(2)]),
    "inputs": lambda: lumbre.Model(keras.Input((3,)), keras.Input((3,))),
    "optimizer": lambda: lumbre.Sequential([layers.Dense(1)]).compile(keras.optimizers.Adam(), "mse"),
    "regularizer": lambda: layers.Dense(2, kernel_regularizer=keras.regularizers.L2()),
    "activation": lambda: layers.Dense(2, activation=keras.activations.relu),
    "initializer": lambda: layers.Dense(2, kernel_initializer=keras.initializers.HeNormal()),
    "loss": lambda: lumbre.losses.get(keras.losses.mean_squared_error),
    "metric": lambda: lumbre.metrics.get(keras.metrics.AUC()),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_objects_of_another_keras_are_refused_by_name(what: str) -> None:
    with pytest.raises(ValueError, match=r"belongs to the package 'keras': import it from `lumbre.keras`"):
        FOREIGN[what]()
