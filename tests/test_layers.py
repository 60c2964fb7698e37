"""Layers: values against the real Keras, building, tracking, masks, penalties, configs, bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import layers, ops
from lumbre.layers import dtype_policy

RNG = np.random.default_rng(3)
FLAT = RNG.normal(size=(4, 6)).astype("float32")
CUBE = RNG.normal(size=(4, 3, 2)).astype("float32")
LONG = RNG.normal(size=(4, 5, 2)).astype("float32")
TALL = RNG.normal(size=(4, 5, 3)).astype("float32")
DEEP = RNG.normal(size=(4, 2, 3, 6)).astype("float32")
POINTS = np.linspace(-3, 3, 24, dtype="float32").reshape(4, 6)


def pair(*arrays: np.ndarray) -> list[np.ndarray]:
    return list(arrays)


CASES: list[tuple[Callable[[Any], Any], Any]] = [
    (lambda lib: lib.layers.Dense(3), FLAT),
    (lambda lib: lib.layers.Dense(3, activation="relu"), FLAT),
    (lambda lib: lib.layers.Dense(3, activation="tanh", use_bias=False), FLAT),
    (lambda lib: lib.layers.Dense(3, activation="softmax"), FLAT),
    (lambda lib: lib.layers.Dense(3, activation="gelu"), FLAT),
    (lambda lib: lib.layers.Dense(5, activation="sigmoid"), CUBE),
    (lambda lib: lib.layers.Dense(3), np.arange(12).reshape(4, 3)),
    (lambda lib: lib.layers.Activation("elu"), POINTS),
    (lambda lib: lib.layers.ReLU(), POINTS),
    (lambda lib: lib.layers.ReLU(max_value=1.5, negative_slope=0.1, threshold=0.5), POINTS),
    (lambda lib: lib.layers.LeakyReLU(), POINTS),
    (lambda lib: lib.layers.ELU(alpha=0.5), POINTS),
    (lambda lib: lib.layers.PReLU(), POINTS),
    (lambda lib: lib.layers.PReLU(shared_axes=[1]), CUBE),
    (lambda lib: lib.layers.Softmax(), FLAT),
    (lambda lib: lib.layers.Softmax(axis=1), CUBE),
    (lambda lib: lib.layers.Softmax(axis=(1, 2)), CUBE),
    (lambda lib: lib.layers.Identity(), FLAT),
    (lambda lib: lib.layers.Lambda(lib.ops.square), FLAT),
    (lambda lib: lib.layers.Flatten(), CUBE),
    (lambda lib: lib.layers.Flatten(), np.ones(4, "float32")),
    (lambda lib: lib.layers.Flatten(data_format="channels_first"), CUBE),
    (lambda lib: lib.layers.Reshape((2, -1)), FLAT),
    (lambda lib: lib.layers.Reshape((6,)), CUBE),
    (lambda lib: lib.layers.Permute((2, 1)), CUBE),
    (lambda lib: lib.layers.RepeatVector(3), FLAT),
    (lambda lib: lib.layers.Dropout(0.5), FLAT),
    (lambda lib: lib.layers.GaussianNoise(0.5), FLAT),
    (lambda lib: lib.layers.GaussianDropout(0.5), FLAT),
    (lambda lib: lib.layers.AlphaDropout(0.5, noise_shape=(None, 1)), FLAT),
    (lambda lib: lib.layers.SpatialDropout1D(0.5), CUBE),
    (lambda lib: lib.layers.SpatialDropout2D(0.5), CUBE[..., None]),
    (lambda lib: lib.layers.SpatialDropout3D(0.5, data_format="channels_first"), CUBE[..., None, None]),
    (lambda lib: lib.layers.ActivityRegularization(0.1, 0.2), FLAT),
    (lambda lib: lib.layers.Add(), pair(FLAT, FLAT + 1, FLAT * 2)),
    (lambda lib: lib.layers.Add(), pair(CUBE, CUBE[:, :1])),
    (lambda lib: lib.layers.Add(), pair(CUBE[:, 0], CUBE)),
    (lambda lib: lib.layers.Subtract(), pair(FLAT, FLAT[:, :1])),
    (lambda lib: lib.layers.Multiply(), pair(FLAT, FLAT + 1)),
    (lambda lib: lib.layers.Average(), pair(FLAT, FLAT + 1, FLAT * 2)),
    (lambda lib: lib.layers.Maximum(), pair(FLAT, -FLAT)),
    (lambda lib: lib.layers.Minimum(), pair(FLAT, -FLAT)),
    (lambda lib: lib.layers.Concatenate(), pair(FLAT, FLAT[:, :2])),
    (lambda lib: lib.layers.Concatenate(axis=1), pair(CUBE, LONG)),
    (lambda lib: lib.layers.Dot(axes=1), pair(FLAT, FLAT + 1)),
    (lambda lib: lib.layers.Dot(axes=-1, normalize=True), pair(FLAT, FLAT - 1)),
    (lambda lib: lib.layers.Dot(axes=(1, 2)), pair(CUBE, TALL)),
    (lambda lib: lib.layers.Dot(axes=(2, 1)), pair(CUBE, FLAT[:, :2])),
    (lambda lib: lib.layers.Dot(axes=(1, 3)), pair(FLAT, DEEP)),
    (lambda lib: lib.layers.UnitNormalization(), CUBE),
    (lambda lib: lib.layers.UnitNormalization(axis=[1, 2]), CUBE),
    (lambda lib: lib.layers.Masking(), np.where(np.abs(CUBE) > 0.4, CUBE, 0)),
]


def shapes(inputs: Any) -> Any:
    return [a.shape for a in inputs] if isinstance(inputs, list) else inputs.shape


def as_inputs(lib: Any, inputs: Any, batch: int | None) -> Any:
    if isinstance(inputs, list):
        return [as_inputs(lib, a, batch) for a in inputs]
    return lib.Input(batch_shape=(batch, *inputs.shape[1:]), dtype=inputs.dtype.name)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_same_as_keras(case: int) -> None:
    from keras_reference import close, keras

    make, inputs = CASES[case]
    ours, theirs = make(lumbre), make(keras)
    ours.build(shapes(inputs))
    theirs.build(shapes(inputs))
    values = [RNG.normal(size=w.shape).astype("float32") for w in theirs.weights]
    ours.set_weights(values)
    theirs.set_weights(values)
    expected = theirs(inputs)
    close(ours(inputs), expected)
    assert ours(inputs).dtype == str(expected.dtype)
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    for ours_loss, theirs_loss in zip(ours.losses, theirs.losses, strict=True):
        close(ours_loss, theirs_loss)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_shapes_without_computing(case: int) -> None:
    make, inputs = CASES[case]
    layer = make(lumbre)
    expected = layer(inputs).shape
    assert tuple(layer.compute_output_shape(shapes(inputs))) == expected
    fresh = make(lumbre)
    for batch in (len(inputs[0] if isinstance(inputs, list) else inputs), None):
        symbol = fresh(as_inputs(lumbre, inputs, batch))
        assert symbol.shape == (batch, *expected[1:])
        assert symbol.dtype == layer(inputs).dtype


@pytest.mark.parametrize("case", range(len(CASES)))
def test_config_makes_an_equal_layer(case: int) -> None:
    make, inputs = CASES[case]
    layer = make(lumbre)
    expected = layer(inputs)
    copy = layers.deserialize(layers.serialize(layer))
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
    assert copy.built == layer.built
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(inputs).numpy(), expected.numpy())


@pytest.mark.parametrize("case", range(len(CASES)))
def test_configs_are_those_of_keras(case: int) -> None:
    from keras_reference import keras

    make, _ = CASES[case]
    theirs = make(keras).get_config()
    theirs.pop("quantization_config", None)
    name = theirs.pop("name")
    ours = make(lumbre).get_config()
    assert name.rstrip("0123456789_") == ours.pop("name").rstrip("0123456789_")
    assert ours == theirs


# Building and tracking


class Scale(layers.Layer):
    """A layer as users write them."""

    def build(self, input_shape: Any) -> None:
        self.seen = input_shape
        self.factor = self.add_weight((input_shape[-1],), "ones", name="factor")

    def call(self, inputs: Any) -> Any:
        return inputs * self.factor


class Block(layers.Layer):
    def __init__(self, units: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.first = layers.Dense(units)
        self.rest = [layers.Dense(units)]
        self.rest.append(layers.Dense(units))
        self.heads = {"b": layers.Dense(1), "a": layers.Dense(1)}
        self.drop = (layers.Dropout(0.5),)

    def call(self, inputs: Any) -> Any:
        x = self.first(inputs)
        for layer in self.rest:
            x = layer(x)
        return self.drop[0](self.heads["a"](x) + self.heads["b"](x))


def test_a_layer_of_ones_own_is_built_with_unknown_sizes() -> None:
    layer = Scale()
    assert layer(lumbre.Input((5,))).shape == (None, 5)
    assert layer.seen == (None, 5)
    assert layer.factor.path == "scale/factor" or layer.factor.path.startswith("scale_")
    assert layer.built and layer.count_params() == 5


def test_layers_in_attributes_lists_and_dicts_belong_to_the_layer() -> None:
    block = Block(name="block")
    assert block(lumbre.Input((4,))).shape == (None, 1)
    assert len(block.weights) == 10
    assert len(block.variables) == 11  # the random state of Dropout
    assert len(block.trainable_weights) == 10
    assert len(block.non_trainable_variables) == 1
    assert block.weights[0].path.startswith("block/dense")
    block.trainable = False
    assert not block.rest[1].trainable
    assert block.trainable_variables == []
    assert len(block.non_trainable_weights) == 10


def test_what_leaves_an_attribute_leaves_the_layer() -> None:
    block = Block()
    block.rest.pop()
    del block.heads["b"]
    block.first = layers.Dense(2)
    assert len(block._layers) == 4
    del block.drop
    assert len(block._layers) == 3


def test_variables_in_attributes_are_weights() -> None:
    layer = layers.Layer()
    layer.v = lumbre.Variable([1.0, 2.0])
    layer.more = [lumbre.Variable([1.0], trainable=False)]
    assert [w.shape for w in layer.weights] == [(2,), (1,)]
    assert [w.shape for w in layer.trainable_weights] == [(2,)]


def test_changes_end_recorded_steps() -> None:
    from lumbre.capture import changes

    block = Block()
    for change in (
        lambda: setattr(block, "units", 4),
        lambda: block.rest.append(layers.Dense(1)),
    ):
        before = changes()
        change()
        assert changes() > before
    block(np.ones((2, 4)))
    before = changes()
    block(np.ones((2, 4)), training=True)
    block.losses  # noqa: B018
    assert changes() == before


def test_a_built_layer_takes_no_more_state() -> None:
    layer = Scale()
    layer(np.ones((1, 2)))
    with pytest.raises(ValueError, match="cannot add new elements of state"):
        layer.more = layers.Dense(2)
    with pytest.raises(ValueError, match="cannot add new elements of state"):
        layer.add_weight((2,))


def test_an_error_while_building_changes_nothing() -> None:
    class Half(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.a = self.add_weight((2,))
            raise ValueError("half way")

    layer = Half()
    with pytest.raises(ValueError, match="half way"):
        layer(np.ones((1, 2)))
    assert not layer.built and layer.weights == [] and not hasattr(layer, "a")


def test_names_count_per_class() -> None:
    lumbre.utils.clear_session()
    names = [layers.Dense(1).name, layers.Dense(1).name, layers.ReLU().name, layers.LeakyReLU().name]
    assert names == ["dense", "dense_1", "re_lu", "leaky_re_lu"]
    assert layers.Input((2,), name="x").name == "x"


def test_several_shapes_reach_build_by_name() -> None:
    class Two(layers.Layer):
        def build(self, query_shape: Any, value_shape: Any) -> None:
            self.shapes = (query_shape, value_shape)

        def call(self, query: Any, value: Any) -> Any:
            return ops.concatenate([query, value], axis=-1)

    layer = Two()
    assert layer(lumbre.Input((2,)), lumbre.Input((3,))).shape == (None, 5)
    assert layer.shapes == ((None, 2), (None, 3))
    assert layer(np.ones((1, 2)), value=np.ones((1, 3))).shape == (1, 5)


# Calling


class Recorder(layers.Layer):
    """Says in which mode it was called."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.__dict__["modes"] = []

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        self.modes.append(training)
        return inputs


def test_the_mode_reaches_layers_within() -> None:
    class Outer(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = Recorder(), Recorder()

        def call(self, inputs: Any) -> Any:
            return self.b(self.a(inputs), training=False)

    outer = Outer()
    x = np.ones((1, 2), "float32")
    for training in (True, False, None, True):
        outer(x, training=training)
    assert outer.a.modes == [True, False, None, True]
    assert outer.b.modes == [False] * 4
    outer(ops.ones((1, 2)), training=True)  # the short way
    outer(ops.ones((1, 2)))
    assert outer.a.modes[-2:] == [True, None]


def test_dropout_only_in_training() -> None:
    x = np.ones((40, 50), "float32")
    layer = layers.Dropout(0.25, seed=1)
    np.testing.assert_array_equal(layer(x).numpy(), x)
    y = layer(x, training=True).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)} or len(np.unique(y.round(4))) == 2
    assert abs((y == 0).mean() - 0.25) < 0.05
    assert (layer(x, training=True).numpy() != y).any()
    rows = layers.Dropout(0.5, noise_shape=(None, 1), seed=1)(x, training=True).numpy()
    assert (rows.std(axis=1) == 0).all() and rows.std() > 0


def test_float_inputs_are_cast_others_are_not() -> None:
    layer = layers.Identity()
    assert layer(np.ones((1, 2))).dtype == "float32"
    assert layer(np.ones((1, 2), "float16")).dtype == "float32"
    assert layer(np.ones((1, 2), "int32")).dtype == "int32"
    assert layer(np.ones((1, 2), bool)).dtype == "bool"
    assert layers.Identity(autocast=False)(np.ones((1, 2))).dtype == "float64"
    assert layers.Dense(2, dtype="float64")(np.ones((1, 2), "float32")).dtype == "float64"
    assert layers.Dense(2, dtype="float64").kernel is None


def test_gradients_flow_through_layers() -> None:
    layer = layers.Dense(3, activation="relu")
    x = np.array([[1.0, -2.0]], "float32")
    loss = ops.sum(layer(x))
    gradient = lumbre.grad(loss, layer.kernel).numpy()
    active = (x @ layer.kernel.numpy() > 0).astype("float32")
    np.testing.assert_allclose(gradient, x.T @ active, rtol=1e-6)


def test_the_activation_can_be_replaced() -> None:
    layer = layers.Dense(2, activation="relu")
    x = -np.ones((1, 2), "float32")
    layer(x)
    layer.activation = lumbre.activations.linear
    np.testing.assert_allclose(layer(x).numpy(), x @ layer.kernel.numpy(), rtol=1e-6)


# Masks


def test_masks_travel_with_the_values() -> None:
    x = np.array([[[1.0, 2.0], [0.0, 0.0]]], "float32")
    masked = layers.Masking()(x)
    expected = [[True, False]]
    np.testing.assert_array_equal(masked._mask.numpy(), expected)
    np.testing.assert_array_equal(layers.Dense(3)(masked)._mask.numpy(), expected)
    np.testing.assert_array_equal(layers.Add()([masked, masked])._mask.numpy(), expected)
    assert layers.Add()([masked, ops.convert_to_tensor(x)])._mask is None
    together = layers.Concatenate()([masked, ops.convert_to_tensor(x)])
    np.testing.assert_array_equal(together._mask.numpy(), [[True, True]])
    with pytest.warns(UserWarning, match="does not support masking"):
        assert layers.Flatten()(masked)._mask is None


def test_a_mask_reaches_a_call_that_takes_one() -> None:
    class Count(layers.Layer):
        def call(self, inputs: Any, mask: Any = None) -> Any:
            return ops.sum(ops.cast(mask, "float32"), axis=1) if mask is not None else inputs

    x = np.array([[[1.0], [0.0], [3.0]]], "float32")
    model = lumbre.Sequential([lumbre.Input((3, 1)), layers.Masking(), layers.Dense(2), Count()])
    np.testing.assert_array_equal(model(x).numpy(), [2.0])
    own = Count()(ops.convert_to_tensor(x), mask=np.array([[True, False, False]]))
    np.testing.assert_array_equal(own.numpy(), [1.0])


def test_softmax_with_a_mask() -> None:
    mask = np.array([[True, False], [True, True]])
    y = layers.Softmax()(np.zeros((2, 2), "float32"), mask=mask).numpy()
    np.testing.assert_allclose(y, [[1, 0], [0.5, 0.5]])
    from keras_reference import close, keras

    x = RNG.normal(size=(3, 4, 2)).astype("float32")
    for axis in (-1, 1, (1, 2)):
        for shape in ((3, 4, 2), (4, 1), (3, 1, 2)):
            mask = RNG.random(shape) < 0.5
            theirs = keras.layers.Softmax(axis=axis)(keras.ops.array(x), mask=keras.ops.array(mask))
            close(layers.Softmax(axis=axis)(x, mask=mask), theirs)
            close(layers.Softmax(axis=axis)(x, mask=mask.astype("float32")), theirs)
    nothing = layers.Softmax()(x, mask=np.zeros((3, 4, 2), bool)).numpy()
    np.testing.assert_array_equal(nothing, 0.0)
    with pytest.raises(ValueError, match="must be broadcastable to `inputs`"):
        layers.Softmax()(np.zeros((2, 2), "float32"), mask=np.ones((2, 3), bool))


# Penalties


def test_penalties_of_the_last_call_only() -> None:
    layer = layers.Dense(3, activity_regularizer="l2", kernel_regularizer="l1")
    x = np.ones((4, 3), "float32")
    for _ in range(3):
        y = layer(x).numpy()
        activity, kernel = (loss.item() for loss in layer.losses)
        assert activity == pytest.approx(0.01 * (y**2).sum() / 4, rel=1e-5)
        assert kernel == pytest.approx(0.01 * np.abs(layer.kernel.numpy()).sum(), rel=1e-5)
    layer.trainable = False
    assert len(layer.losses) == 1


def test_add_loss() -> None:
    class Penalty(layers.Layer):
        def call(self, inputs: Any) -> Any:
            self.add_loss(ops.sum(inputs))
            return inputs

    layer = Penalty()
    model = lumbre.Sequential([layer, Penalty(), layers.Dense(1, kernel_regularizer="l2")])
    model.build((None, 3))
    assert len(model.losses) == 1  # a dry run leaves nothing behind
    model(np.ones((2, 3), "float32"))
    model(np.ones((1, 3), "float32"))
    assert [round(loss.item(), 5) for loss in model.losses[:2]] == [3.0, 3.0]
    layer(np.ones((1, 2), "float32"))
    assert [loss.item() for loss in layer.losses] == [2.0]
    with pytest.raises(ValueError, match=r"`add_loss\(\)` can only be called"):
        layer.add_loss(3.0)


# Values


def test_weights_in_and_out() -> None:
    layer = layers.Dense(2)
    with pytest.raises(ValueError, match=r"isn't built. You can build it manually via"):
        layer.count_params()
    layer.build((None, 3))
    kernel, bias = layer.get_weights()
    kernel[:] = 7  # a copy
    assert (layer.kernel.numpy() != 7).all()
    before = layer.get_weights()
    for wrong, text in (
        ([], r"on layer '.*' with a weight list of length 0, but the layer was expecting 2 weights"),
        ([kernel.T, bias], r"weight shape \(3, 2\) is not compatible with provided weight shape \(2, 3\)"),
        ([kernel, bias[:1]], r"weight shape \(2,\) is not compatible with provided weight shape \(1,\)"),
    ):
        with pytest.raises(ValueError, match=text):
            layer.set_weights(wrong)
        for now, then in zip(layer.get_weights(), before, strict=True):
            np.testing.assert_array_equal(now, then)
    layer.set_weights([kernel.astype("float64"), bias])
    assert (layer.kernel.numpy() == 7).all()


def test_a_config_needs_plain_arguments() -> None:
    assert Block(units=5, name="b").get_config() == {
        "units": 5,
        "name": "b",
        "trainable": True,
        "dtype": dtype_policy.serialize(dtype_policy.get("float32")),
    }
    assert Block.from_config(Block(units=5).get_config()).units == 5

    class Holder(layers.Layer):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

    with pytest.raises(NotImplementedError, match=r"must override the method `get_config\(\)`"):
        Holder(layers.Dense(1)).get_config()
    with pytest.raises(TypeError, match="Error when deserializing class 'Dense'"):
        layers.Dense.from_config({"size": 3})
    with pytest.raises(ValueError, match="Could not locate class 'Nothing'"):
        layers.deserialize({"class_name": "Nothing", "config": {}})


# Errors

X = np.ones((2, 3), "float32")


def test_a_wrong_width_names_the_layer_and_changes_nothing() -> None:
    layer = layers.Dense(2, name="narrow")
    layer(X)
    with pytest.raises(
        ValueError,
        match=r"Input 0 with name 'None' of layer 'narrow' is incompatible with the layer: expected axis -1 "
        r"of input shape to have value 3, but received input with shape \(2, 4\)",
    ):
        layer(np.ones((2, 4), "float32"))
    assert layer(X).shape == (2, 2)


def test_an_error_within_call_names_the_layer_and_the_shapes() -> None:
    class Broken(layers.Layer):
        def call(self, inputs: Any) -> Any:
            raise RuntimeError("no luck")

    text = r"(?s)calling Broken.call\(\).*no luck.*layer 'mine'.*shape=\(2, 3\), dtype=float32"
    with pytest.raises(RuntimeError, match=text):
        Broken(name="mine")(X)
    with pytest.raises(RuntimeError, match=r"(?s)no luck.*shape=\(None, 3\)"):
        Broken()(lumbre.Input((3,)))


def test_forgotten_super_init() -> None:
    class Forgetful(layers.Layer):
        def __init__(self) -> None:
            self.inner = layers.Dense(2)

    with pytest.raises(RuntimeError, match=r"'Forgetful', you forgot to call `super\(\).__init__\(\)`"):
        Forgetful()(X)
