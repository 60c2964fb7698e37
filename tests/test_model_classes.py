"""Classes of models that describe themselves as graphs or chains: files, copies, clones."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import keras
from lumbre import layers
from lumbre.saving import deserialize_keras_object, load_model, serialize_keras_object
from small_models import TARGET, WIDTH, X

register = lumbre.saving.register_keras_serializable("classes")


def ends(lib: Any, width: int = 1) -> tuple[Any, Any]:
    x = lib.Input((WIDTH,))
    return x, lib.layers.Dense(width)(x)


@register
class Plain(lumbre.Model):
    """A graph from plain arguments."""

    def __init__(self, units: int, **options: Any) -> None:
        x = lumbre.Input((WIDTH,))
        super().__init__(x, layers.Dense(1)(layers.Dense(units)(x)), **options)


@register
class Stepping(lumbre.Model):
    """Made of given ends; trains in its own way."""

    def train_step(self, *data: Any) -> Any:
        return super().train_step(*data)


@register
class Configured(lumbre.Model):
    """With a config of its own, in which there is a layer."""

    def __init__(self, net: Any, name: str | None = None) -> None:
        x = lumbre.Input((WIDTH,))
        super().__init__(x, net(x), name=name)
        self.net = net

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "net": serialize_keras_object(self.net)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        return cls(deserialize_keras_object(config["net"]), name=config["name"])


@register
class Extended(lumbre.Model):
    """With a graph's config and more."""

    def __init__(self, *args: Any, extra: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.extra = extra

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "extra": self.extra}


@register
class Chain(lumbre.Sequential):
    """A chain that makes its layers."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__([lumbre.Input((WIDTH,)), layers.Dense(units), layers.Dense(1)], **options)


@register
class SteppingChain(lumbre.Sequential):
    """A chain of given layers."""

    def train_step(self, *data: Any) -> Any:
        return super().train_step(*data)


MODELS: dict[type, Callable[[], Any]] = {
    Plain: lambda: Plain(3, name="own"),
    Stepping: lambda: Stepping(*ends(lumbre)),
    Configured: lambda: Configured(layers.Dense(1)),
    Extended: lambda: Extended(*ends(lumbre), extra=5),
    Chain: lambda: Chain(3),
    SteppingChain: lambda: SteppingChain([lumbre.Input((WIDTH,)), layers.Dense(1)]),
}


def through_file(model: Any, tmp_path: Path) -> Any:
    model.save(tmp_path / "m.lumbre")
    return load_model(tmp_path / "m.lumbre")


COPIES: dict[str, Callable[[Any, Path], Any]] = {
    "file": through_file,
    "config": lambda model, _: deserialize_keras_object(serialize_keras_object(model)),
    "deepcopy": lambda model, _: copy.deepcopy(model),
    "pickle": lambda model, _: pickle.loads(pickle.dumps(model)),
    "clone": lambda model, _: lumbre.models.clone_model(model),
}


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
def test_the_class_comes_back(kind: type, way: str, tmp_path: Path) -> None:
    model = MODELS[kind]()
    model.compile("sgd", "mse")
    model.fit(X, TARGET, verbose=0)
    made = COPIES[way](model, tmp_path)
    chain_clone = way == "clone" and issubclass(kind, lumbre.Sequential)  # as in Keras
    assert isinstance(made, lumbre.Sequential if chain_clone else kind)
    assert made.name == model.name and made.compiled
    assert getattr(made, "extra", None) == getattr(model, "extra", None)
    if way in ("config", "clone"):
        made.set_weights(model.get_weights())
    np.testing.assert_array_equal(made(X).numpy(), model(X).numpy())
    made.fit(X, TARGET, verbose=0)
    assert not np.array_equal(made(X).numpy(), model(X).numpy())


def test_what_such_a_class_must_say_itself() -> None:
    class Three(lumbre.Model):
        def __init__(self, inputs: Any, outputs: Any, third: int) -> None:
            super().__init__(inputs, outputs)

    with pytest.raises(NotImplementedError, match="Three must override the method `get_config"):
        serialize_keras_object(Three(*ends(lumbre), third=3))
    assert type(lumbre.models.clone_model(Three(*ends(lumbre), third=3))) is lumbre.models.Functional


# clone_model beside Keras's


def branches(lib: Any) -> Any:
    a, b = lib.Input((WIDTH,), name="a"), lib.Input((WIDTH,), name="b")
    shared = lib.layers.Dense(WIDTH, name="shared")
    y = shared(a) * 2.0 + lib.ops.relu(shared(b))
    return lib.Model([a, b], lib.layers.Dense(1, name="last")(y), name="branches")


def nested(lib: Any) -> Any:
    x = lib.Input((WIDTH,), name="x")
    inner = lib.Sequential(
        [lib.Input((WIDTH,)), lib.layers.Dense(3, name="d1"), lib.layers.Dropout(0.5, name="drop")],
        name="inner",
    )
    y = lib.Input((3,), name="y")
    graph = lib.Model(y, lib.layers.Dense(2, name="d2")(y), name="graph")
    return lib.Model(x, graph(inner(x)), name="outer")


def chain(lib: Any) -> Any:
    same = lib.layers.Dense(WIDTH, name="same")
    made = [lib.Input((WIDTH,), name="x"), same, same, lib.layers.Dense(1, name="one")]
    return lib.Sequential(made, name="chain")


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("make", [branches, nested, chain])
def test_clones_beside_keras(make: Callable[[Any], Any], recursive: bool) -> None:
    found = []
    for lib in (lumbre, keras):
        lib.utils.clear_session()
        seen: list[Any] = []

        def copied(layer: Any, seen: list[Any] = seen) -> Any:
            seen.append(("copied", layer.name))
            return layer.__class__.from_config(layer.get_config())

        def called(layer: Any, *args: Any, seen: list[Any] = seen, **kwargs: Any) -> Any:
            seen.append(("called", layer.name))
            return layer(*args, **kwargs)

        model = make(lib)
        model.compile("adam", "mse", metrics=["mae"])
        call = None if make is chain else called
        clone = lib.models.clone_model(model, clone_function=copied, call_function=call, recursive=recursive)
        assert clone is not model and not {id(w) for w in clone.weights} & {id(w) for w in model.weights}
        clone.set_weights(model.get_weights())
        data = [X, X] if make is branches else X
        np.testing.assert_array_equal(np.asarray(clone(data)), np.asarray(model(data)))
        assert clone.compiled and clone.optimizer is not model.optimizer
        names = [layer.name for layer in clone.layers]
        found.append((seen, names, clone.name, type(clone).__name__, [w.shape for w in clone.weights]))
    assert found[0] == found[1]


def test_a_layer_put_between_by_call_function() -> None:
    for lib in (lumbre, keras):

        def call(layer: Any, *args: Any, lib: Any = lib, **kwargs: Any) -> Any:
            out = layer(*args, **kwargs)
            return lib.layers.Dropout(0.5)(out) if isinstance(layer, lib.layers.Dense) else out

        model = branches(lib)
        clone = lib.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
        assert sum(isinstance(layer, lib.layers.Dropout) for layer in clone.layers) == 3
        assert clone.get_layer("shared") is model.get_layer("shared")


def test_clones_on_given_inputs() -> None:
    for lib in (lumbre, keras):
        z = lib.Input((WIDTH,), name="z")
        start = [z, lib.Input((WIDTH,), name="other")]
        clone = lib.models.clone_model(branches(lib), input_tensors=start)
        assert [t.name for t in clone.inputs] == ["z", "other"]
        one = lib.models.clone_model(chain(lib), input_tensors=z)
        assert type(one) is lib.Sequential and one.output_shape == (None, 1)
        with pytest.raises(ValueError, match=r"same structure as model\.input"):
            lib.models.clone_model(branches(lib), input_tensors=z)
        with pytest.raises(ValueError, match="must be KerasTensors"):
            lib.models.clone_model(branches(lib), input_tensors=[X, X])
        with pytest.raises(ValueError, match=r"must (be|contain) a (single )?"):
            lib.models.clone_model(chain(lib), input_tensors=X)


def test_what_cannot_be_cloned() -> None:
    class Own(lumbre.Model):
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(ValueError, match="only supported for Sequential models or Functional"):
        lumbre.models.clone_model(Own(), clone_function=lambda layer: layer)
    with pytest.raises(ValueError, match="not supported with Sequential models"):
        lumbre.models.clone_model(chain(lumbre), call_function=lambda layer, x: layer(x))
    assert type(lumbre.models.clone_model(Own())) is Own


def test_clones_share_functions_but_no_state() -> None:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return lumbre.ops.mean(lumbre.ops.abs(y_true - y_pred))

    model = chain(lumbre)
    metric = lumbre.metrics.MeanMetricWrapper(lambda y_true, y_pred: y_true - y_pred, name="gap")
    model.compile("adam", loss, metrics=[metric])
    model.fit(X, TARGET, verbose=0)
    clone = lumbre.models.clone_model(model)
    assert clone.loss is loss and not clone.optimizer.built
    clone.fit(X, TARGET, verbose=0)
    (copied,) = clone._compile_config["metrics"]
    assert copied.name == "gap" and copied is not metric


def test_frozen_models_stay_frozen() -> None:
    for make in (branches, chain):
        model = make(lumbre)
        model.trainable = False
        model.layers[-1].trainable = True
        clone = lumbre.models.clone_model(model)
        assert not clone.trainable and clone.layers[-1].trainable and not clone.trainable_weights


# Large graphs


def test_a_graph_in_reverse_order_is_read_in_linear_time() -> None:
    import time

    def config(count: int) -> dict[str, Any]:
        x = lumbre.Input((1,), name="x")
        base = lumbre.Model(x, layers.Activation("linear", name="a")(x)).get_config()
        entry, one = base["layers"]
        before, made = "x", []
        for i in range(count):
            name, source = (
                f"a{i}",
                {**one["inbound_nodes"][0]["args"][0]["config"], "keras_history": [before, 0, 0]},
            )
            call = {"args": [{"class_name": "__keras_tensor__", "config": source}], "kwargs": {}}
            settings = {**one["config"], "name": name}
            made.append({**one, "name": name, "config": settings, "inbound_nodes": [call]})
            before = name
        return {**base, "layers": [*reversed(made), entry], "output_layers": [before, 0, 0]}

    def seconds(count: int) -> float:
        given = config(count)
        start = time.process_time()
        model = lumbre.Model.from_config(given)
        assert len(model.layers) == count + 1
        return time.process_time() - start

    seconds(100)
    small, large = seconds(2000), seconds(20000)
    assert large < 30 * small, (small, large)

    given = config(20)
    given["layers"][-2]["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = ["a19", 0, 0]
    with pytest.raises(ValueError, match=r"connections of the layers a19, .* and 12 more are not complete"):
        lumbre.Model.from_config(given)
