"""Ten models, written once and built with the real Keras and with Lumbre: what users have, small."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

ROWS = 32


class Case(NamedTuple):
    """A model, compiled, and what it is trained on."""

    model: Any
    x: Any
    y: Any
    repeats: bool = True  # whether training draws no random numbers


def numbers(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@functools.cache
def own_classes(k: Any) -> SimpleNamespace:
    """Classes as users write and register them, of one of the libraries."""

    @k.saving.register_keras_serializable("ten_models")
    class Scale(k.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, start: float = 1.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.start = start

        def build(self, input_shape: Any) -> None:
            start = k.initializers.Constant(self.start)
            self.factor = self.add_weight(shape=(input_shape[-1],), initializer=start, name="factor")
            self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False, name="seen")

        def call(self, inputs: Any) -> Any:
            return inputs * self.factor

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "start": self.start}

    @k.saving.register_keras_serializable("ten_models")
    class Block(k.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, units: int = 4, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units = units
            self.steps = [k.layers.Dense(units), [k.layers.Dense(units), (k.layers.Dense(units),)]]
            self.heads = {"b": k.layers.Dense(units), "a": k.layers.Dense(units)}
            self._hidden = k.layers.Dense(units, activation="tanh")
            self.factor = Scale(0.5)

        def build(self, input_shape: Any) -> None:
            inner = (*input_shape[:-1], self.units)
            self.steps[0].build(input_shape)
            for layer in (
                self.steps[1][0],
                self.steps[1][1][0],
                *self.heads.values(),
                self._hidden,
                self.factor,
            ):
                layer.build(inner)
            self.shift = self.add_weight(shape=(self.units,), initializer="ones", name="shift")

        def call(self, inputs: Any) -> Any:
            x = self.steps[1][1][0](self.steps[1][0](self.steps[0](inputs)))
            x = self.heads["a"](x) - self.heads["b"](x)
            return self.factor(self._hidden(x)) + self.shift

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "units": self.units}

    @k.saving.register_keras_serializable("ten_models")
    class Net(k.Model):  # type: ignore[misc, name-defined]
        def __init__(self, units: int = 4, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units = units
            self.block = Block(units)
            self.norm = k.layers.BatchNormalization()
            self.out = k.layers.Dense(1, name="the_output")

        def build(self, input_shape: Any) -> None:
            self.norm.build(input_shape)
            self.block.build(input_shape)
            self.out.build((*input_shape[:-1], self.units))

        def call(self, inputs: Any, training: Any = None) -> Any:
            return self.out(self.block(self.norm(inputs, training=training)))

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "units": self.units}

    return SimpleNamespace(Scale=Scale, Block=Block, Net=Net)


def sequential(k: Any) -> Case:
    model = k.Sequential(
        [
            k.Input((6,)),
            k.layers.Dense(8, activation="relu", name="first"),
            k.layers.BatchNormalization(),
            k.layers.Dropout(0.25),
            k.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(k.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Case(model, numbers(0, ROWS, 6), np.arange(ROWS) % 3, repeats=False)


def shared_and_nested(k: Any) -> Case:
    inputs = k.Input((5,), name="in")
    shared = k.layers.Dense(5, activation="tanh")
    inner = k.Sequential([k.Input((5,)), k.layers.Dense(5), k.layers.LayerNormalization()], name="inner")
    hidden = k.Input((5,))
    graph = k.Model(hidden, k.layers.Add()([k.layers.Dense(5)(hidden), hidden]), name="graph")
    x = shared(graph(inner(shared(inputs))))
    model = k.Model(inputs, k.layers.Dense(2)(k.layers.Concatenate()([x, graph(x)])))
    rate = k.optimizers.schedules.CosineDecay(0.05, 40, alpha=0.1)
    model.compile(k.optimizers.SGD(rate, momentum=0.9, nesterov=True), "huber")
    return Case(model, numbers(1, ROWS, 5), numbers(2, ROWS, 2))


def lists(k: Any) -> Case:
    a, b = k.Input((3,), name="a"), k.Input((4,), name="b")
    both = k.layers.Concatenate()([k.layers.Dense(4, "relu")(a), b])
    one = k.layers.Dense(1, name="one")(both)
    two = k.layers.Dense(3, activation="softmax", name="two")(both)
    model = k.Model([a, b], [one, two])
    model.compile(
        k.optimizers.RMSprop(0.005, momentum=0.5, centered=True),
        ["mse", "categorical_crossentropy"],
        loss_weights=[0.5, 2.0],
        metrics=[["mae"], ["accuracy", k.metrics.TopKCategoricalAccuracy(2, name="top")]],
    )
    y = [numbers(5, ROWS, 1), np.eye(3, dtype="float32")[np.arange(ROWS) % 3]]
    return Case(model, [numbers(3, ROWS, 3), numbers(4, ROWS, 4)], y)


def dicts(k: Any) -> Case:
    inputs = {"p": k.Input((3,), name="p"), "q": k.Input((3,), name="q")}
    x = k.layers.Multiply()([k.layers.Dense(3)(inputs["p"]), k.layers.Dense(3)(inputs["q"])])
    outputs = {
        "u": k.layers.Dense(1, activation="sigmoid", name="u")(x),
        "v": k.layers.Dense(2, name="v")(k.layers.Average()([x, inputs["p"]])),
    }
    model = k.Model(inputs, outputs)
    model.compile(
        k.optimizers.AdamW(0.01, weight_decay=0.01),
        {"u": k.losses.BinaryCrossentropy(label_smoothing=0.1), "v": "mae"},
        metrics={"u": ["binary_accuracy"], "v": [k.metrics.RootMeanSquaredError()]},
    )
    y = {"u": (np.arange(ROWS) % 2).astype("float32")[:, None], "v": numbers(8, ROWS, 2)}
    return Case(model, {"p": numbers(6, ROWS, 3), "q": numbers(7, ROWS, 3)}, y)


def subclassed(k: Any) -> Case:
    model = own_classes(k).Net(4)
    model.compile(k.optimizers.Nadam(0.01), "mse", metrics=["mae"])
    x = numbers(9, ROWS, 5)
    model.build((None, 5))
    return Case(model, x, x.sum(1, keepdims=True))


def own_layers(k: Any) -> Case:
    own = own_classes(k)
    model = k.Sequential([own.Block(4), own.Scale(2.0), k.layers.Dense(1)])
    model.build((None, 3))
    model.compile(k.optimizers.Adamax(0.02), k.losses.LogCosh(), weighted_metrics=["mse"])
    x = numbers(10, ROWS, 3)
    return Case(model, x, x[:, :1])


def activations(k: Any) -> Case:
    model = k.Sequential(
        [
            k.Input((4, 3)),
            k.layers.PReLU(shared_axes=[1], alpha_initializer=k.initializers.Constant(0.2)),
            k.layers.Dense(3),
            k.layers.LeakyReLU(negative_slope=0.1),
            k.layers.Permute((2, 1)),
            k.layers.ELU(0.7),
            k.layers.Reshape((6, 2)),
            k.layers.ReLU(max_value=4.0),
            k.layers.Flatten(),
            k.layers.UnitNormalization(),
            k.layers.Dense(5, activation="gelu"),
            k.layers.RMSNormalization(),
            k.layers.Activation("selu"),
            k.layers.Dense(2),
            k.layers.Softmax(),
        ]
    )
    model.compile(k.optimizers.Adagrad(0.05), k.losses.CategoricalCrossentropy())
    return Case(model, numbers(11, ROWS, 4, 3), np.eye(2, dtype="float32")[np.arange(ROWS) % 2])


def masks(k: Any) -> Case:
    inputs = k.Input((5, 3))
    x = k.layers.Masking(0.0)(inputs)
    x = k.layers.Dense(4, activation="softsign")(x)
    x = k.layers.Activation("tanh")(k.layers.Dense(4)(x))
    model = k.Model(inputs, k.layers.Dense(1)(k.layers.Dropout(0.0)(x)))
    model.compile(k.optimizers.Adadelta(1.0), "mse")
    data = numbers(12, ROWS, 5, 3)
    data[:, 3:] = 0
    return Case(model, data, numbers(13, ROWS, 5, 1))


def penalties(k: Any) -> Case:
    layers, penalty = k.layers, k.regularizers
    model = k.Sequential(
        [
            k.Input((6,)),
            layers.Dense(
                7,
                kernel_initializer=k.initializers.HeNormal(seed=3),
                bias_initializer="ones",
                kernel_regularizer=penalty.L1L2(1e-3, 1e-2),
                kernel_constraint=k.constraints.MaxNorm(1.5),
                activity_regularizer=penalty.L2(1e-3),
                activation="relu",
            ),
            layers.Dense(
                4,
                kernel_initializer=k.initializers.VarianceScaling(2.0, "fan_avg", "uniform", seed=4),
                bias_regularizer="l1",
                kernel_constraint=k.constraints.NonNeg(),
                trainable=False,
            ),
            layers.BatchNormalization(
                momentum=0.8, gamma_initializer=k.initializers.RandomUniform(0.5, 1.5, 5)
            ),
            layers.ActivityRegularization(l2=1e-3),
            layers.Dense(1, use_bias=False, kernel_initializer="orthogonal", kernel_constraint="unit_norm"),
        ]
    )
    model.compile(k.optimizers.Lion(0.003, clipnorm=1.0), "mse")
    return Case(model, numbers(14, ROWS, 6), numbers(15, ROWS, 1))


def with_ops(k: Any) -> Case:
    inputs = k.Input((6,))
    x = k.layers.Dense(6)(inputs)
    x = k.ops.relu(x) * 2 - inputs[:, :1]
    x = k.ops.concatenate([x, k.ops.square(inputs)], axis=-1)
    x = k.ops.add(k.layers.Dense(4)(x), 1.5)
    model = k.Model(inputs, k.layers.Dense(1)(k.ops.tanh(x / 3)))
    model.compile(k.optimizers.Ftrl(0.05, l2_regularization_strength=0.01), "mse")
    return Case(model, numbers(16, ROWS, 6), numbers(17, ROWS, 1))


MODELS: dict[str, Callable[[Any], Case]] = {
    f.__name__: f
    for f in (
        *(sequential, shared_and_nested, lists, dicts, subclassed),
        *(own_layers, activations, masks, penalties, with_ops),
    )
}
