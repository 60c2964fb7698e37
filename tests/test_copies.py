"""Copies by `copy.deepcopy` and `pickle`: they go on exactly as the original would, and alone."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import keras
from lumbre import layers
from small_models import LABELS, ONE_HOT, TARGET, WIDTH, X, assert_captured

FIT: dict[str, Any] = {"verbose": 0, "shuffle": False, "epochs": 2, "batch_size": 10}


class AsGraph(lumbre.Model):
    """A subclass that describes itself as a graph, and holds a layer beside it."""

    def __init__(self, units: int = 3) -> None:
        x = lumbre.Input((WIDTH,))
        super().__init__(x, layers.Dense(units)(layers.Dropout(0.3)(x)))
        self.spare = [layers.Dense(1)]


class Held(lumbre.Model):
    """A subclass with layers in lists and dicts, a metric and a penalty."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = [layers.Dense(3), layers.BatchNormalization(), layers.Dropout(0.5)]
        self.named = {"last": layers.Dense(3)}
        self.seen = lumbre.metrics.Mean(name="seen")

    def call(self, x: Any, training: bool = False) -> Any:
        for block in self.blocks:
            x = block(x)
        self.seen.update_state(x)
        self.add_loss(lumbre.ops.mean(lumbre.ops.square(x)))
        return self.named["last"](x)


def chain() -> Any:
    return lumbre.Sequential(
        [
            lumbre.Input((WIDTH,)),
            layers.Dense(5, "relu", kernel_regularizer="l2", kernel_constraint="max_norm"),
            layers.Dropout(0.5),
            layers.Dense(3),
        ]
    )


def unbuilt() -> Any:
    return lumbre.Sequential([layers.Dense(5, "relu"), layers.GaussianNoise(0.1), layers.Dense(3)])


def graph() -> Any:
    inner = chain()
    x = lumbre.Input((WIDTH,), name="x")
    shared = layers.Dense(3, name="shared")
    y = lumbre.ops.relu(inner(x)) + shared(x)[:, :3] * 2.0 + shared(layers.GaussianNoise(0.1)(x))
    return lumbre.Model({"x": x}, y)


def deep() -> Any:
    """A graph of some hundred calls: a copy that followed them one by one would be too deep for Python."""
    x = y = lumbre.Input((WIDTH,))
    for _ in range(150):
        y = layers.Activation("tanh")(y) + x * 0.1
    return lumbre.Model(x, layers.Dense(3)(y))


MODELS: list[Callable[[], Any]] = [chain, unbuilt, graph, deep, Held, AsGraph]
OPTIMIZERS: dict[Callable[[], Any], Callable[[], Any]] = {
    chain: lambda: lumbre.optimizers.AdamW(0.01, weight_decay=0.1),
    unbuilt: lambda: lumbre.optimizers.SGD(lumbre.optimizers.schedules.CosineDecay(0.1, 50), momentum=0.9),
    graph: lambda: lumbre.optimizers.Adam(0.01, use_ema=True, gradient_accumulation_steps=2),
    Held: lambda: lumbre.optimizers.Lion(0.01, clipnorm=1.0),
    AsGraph: lambda: lumbre.optimizers.LossScaleOptimizer(lumbre.optimizers.RMSprop(0.01)),
}
COPIES: list[Callable[[Any], Any]] = [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]


def data(make: Callable[[], Any]) -> Any:
    return {"x": X} if make is graph else X


@pytest.mark.parametrize("copied", COPIES, ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("make", MODELS)
def test_a_copy_goes_on_as_the_original(make: Callable[[], Any], copied: Callable[[Any], Any]) -> None:
    model, x = make(), data(make)
    optimizer = OPTIMIZERS.get(make, lambda: lumbre.optimizers.Adam(0.01))()
    model.compile(optimizer, "mse", metrics=["mae"])
    model.fit(x, ONE_HOT, **FIT)
    twin = copied(model)
    assert type(twin) is type(model) and twin.compiled and twin.optimizer is not model.optimizer
    assert [layer.name for layer in twin.layers] == [layer.name for layer in model.layers]
    assert [w.path for w in twin.variables] == [w.path for w in model.variables]
    assert not {id(v) for v in twin.variables} & {id(v) for v in model.variables}
    history = model.fit(x, ONE_HOT, **FIT).history
    after = [v.numpy() for v in [*model.variables, *model.optimizer.variables]]
    assert twin.fit(x, ONE_HOT, **FIT).history == history
    for a, b in zip(after, [*twin.variables, *twin.optimizer.variables], strict=True):
        np.testing.assert_array_equal(a, b.numpy())
    assert_captured(twin, "train")
    twin.fit(x, ONE_HOT, **FIT)  # which the original does not notice
    for a, b in zip(after, [*model.variables, *model.optimizer.variables], strict=True):
        np.testing.assert_array_equal(a, b.numpy())
    assert twin.evaluate(x, ONE_HOT, verbose=0) != model.evaluate(x, ONE_HOT, verbose=0)


@pytest.mark.parametrize("copied", COPIES, ids=["deepcopy", "pickle"])
def test_a_copy_can_be_changed_and_looked_at(copied: Callable[[Any], Any]) -> None:
    twin = copied(graph())
    assert twin.input_shape == (None, WIDTH) and twin.output_shape == (None, 3)
    assert twin.get_layer("shared").output.shape == (None, 3)
    part = lumbre.Model(twin.inputs, twin.get_layer("shared").output)
    assert part(X).shape == (len(X), 3)
    assert lumbre.models.model_from_json(twin.to_json()).count_params() == twin.count_params()
    more = copied(chain())
    more.add(layers.Dense(1))
    assert more.output_shape == (None, 1)
    more.pop()
    held = copied(Held())
    held.blocks.append(layers.Dense(3))  # the copy's list follows what is put into it
    held(X)
    assert len(held.layers) == 5 and held.built
    held.trainable = False
    assert held.trainable_weights == [] and not held.blocks[-1].trainable


def test_copies_do_what_copies_in_keras_do() -> None:
    for lib in (lumbre, keras):
        model = lib.Sequential([lib.Input((WIDTH,)), lib.layers.Dense(3, name="d")], name="s")
        model.compile("adam", "mse")
        model.fit(X, ONE_HOT, verbose=0)
        for copied in COPIES:
            twin = copied(model)
            assert twin.name == "s" and twin.layers[0].name == "d" and twin.compiled
            np.testing.assert_array_equal(twin.predict(X, verbose=0), model.predict(X, verbose=0))


PARTS: dict[str, Callable[[], Any]] = {
    "Dense": lambda: layers.Dense(3),
    "BatchNormalization": lambda: layers.BatchNormalization(),
    "Dropout": lambda: layers.Dropout(0.5, seed=3),
    "Lambda": lambda: layers.Lambda(np.negative),
}


@pytest.mark.parametrize("copied", COPIES, ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("name", PARTS)
def test_layers(name: str, copied: Callable[[Any], Any]) -> None:
    layer = PARTS[name]()
    for state in ("unbuilt", "built"):
        twin = copied(layer)
        assert twin.get_config() == layer.get_config() and twin.built == layer.built, state
        if layer.built:
            for training in (True, True, False):
                np.testing.assert_array_equal(twin(X, training=training), layer(X, training=training))
        layer(X)


@pytest.mark.parametrize("copied", COPIES, ids=["deepcopy", "pickle"])
def test_metrics_losses_and_generators(copied: Callable[[Any], Any]) -> None:
    metric = lumbre.metrics.AUC()
    metric.update_state([0.0, 1.0, 1.0], [0.2, 0.7, 0.1])
    twin = copied(metric)
    assert float(twin.result()) == float(metric.result())
    twin.update_state([0.0], [0.9])
    assert float(twin.result()) != float(metric.result())
    loss = copied(lumbre.losses.Huber(delta=0.3))
    assert loss(TARGET, TARGET + 1).item() == lumbre.losses.Huber(delta=0.3)(TARGET, TARGET + 1).item()
    generator = lumbre.random.SeedGenerator(3)
    generator.next()
    other = copied(generator)
    for _ in range(2):
        np.testing.assert_array_equal(
            lumbre.random.normal((4,), seed=generator), lumbre.random.normal((4,), seed=other)
        )


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int64", "bool"])
@pytest.mark.parametrize("copied", COPIES, ids=["deepcopy", "pickle"])
def test_variables_and_tensors(copied: Callable[[Any], Any], dtype: str) -> None:
    values = np.array([[0.0, 1.0], [2.0, 0.5]])
    variable = lumbre.Variable(values, dtype=dtype, name="v", trainable=dtype.startswith("float"))
    twin = copied(variable)
    assert (twin.dtype, twin.path, twin.trainable) == (dtype, "v", variable.trainable)
    np.testing.assert_array_equal(twin.numpy(), variable.numpy())
    twin.assign(np.zeros((2, 2)))
    assert variable.numpy().any()
    tensor = copied(variable.value)
    assert tensor.dtype == dtype and tensor.shape == (2, 2)
    np.testing.assert_array_equal(tensor.numpy(), variable.numpy())


def test_a_copy_of_an_optimizer_knows_its_own_variables() -> None:
    v = lumbre.Variable([1.0, 2.0], name="bias")
    optimizer = lumbre.optimizers.Adam(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[v])
    optimizer.build([v])
    optimizer.apply([lumbre.ops.ones((2,))], [v])
    twin, w = copy.deepcopy((optimizer, v))
    for o, x in ((optimizer, v), (twin, w)):
        o.apply([lumbre.ops.ones((2,))], [x])
    np.testing.assert_array_equal(v.numpy(), w.numpy())
    with pytest.raises(ValueError, match="Unknown variable"):
        twin.apply([lumbre.ops.ones((2,))], [v])


def test_two_models_that_share_a_layer_are_copied_together() -> None:
    x = lumbre.Input((WIDTH,))
    h = layers.Dense(3, name="h")(x)
    encoder, whole = lumbre.Model(x, h), lumbre.Model(x, layers.Dense(1)(h))
    encoder2, whole2 = copy.deepcopy((encoder, whole))
    assert encoder2.get_layer("h") is whole2.get_layer("h") is not encoder.get_layer("h")
    whole2.compile("sgd", "mse")
    before = encoder2(X).numpy()
    whole2.fit(X, LABELS, verbose=0)
    assert (encoder2(X).numpy() != before).any()
    np.testing.assert_array_equal(encoder(X).numpy(), before)
