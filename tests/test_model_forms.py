"""Models in all their forms, beside the real Keras: structures, penalties, metrics, steps of one's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from small_models import CLASSES, LABELS, ONE_HOT, TARGET, WIDTH, X, assert_captured, close, filled

import lumbre
from keras_reference import keras
from lumbre import tree

Z = np.random.default_rng(8).normal(size=X.shape).astype("float32")
WEIGHTS = np.linspace(0.5, 2.0, len(X)).astype("float32")
FIT = {"verbose": 0, "shuffle": False, "epochs": 2, "batch_size": 10}


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message=".*run in Python, several times slower.*")
        yield


def both(make: Callable[[Any], Any], x: Any, y: Any = None, compiled: Any = None, **fit: Any) -> Any:
    """Trains the model of each library the same way and compares everything that comes out; returns ours."""
    models, results = [], []
    for lib in (lumbre, keras):
        model = make(lib)
        options = compiled(lib) if callable(compiled) else compiled or {"loss": "mse"}
        model.compile(lib.optimizers.SGD(0.1), **options)
        history = model.fit(x, y, **{**FIT, **fit}).history
        weights = fit.get("sample_weight")
        logs = model.evaluate(x, y, verbose=0, batch_size=10, sample_weight=weights, return_dict=True)
        values = model.evaluate(x, y, verbose=0, batch_size=10, sample_weight=weights)
        outputs = model.predict(x, verbose=0, batch_size=10)
        models.append(model)
        results.append((history, logs, values, outputs))
    (history, logs, values, outputs), (history_k, logs_k, values_k, outputs_k) = results
    close(history, history_k)
    close(logs, logs_k)
    close(values, values_k)
    tree.assert_same_structure(outputs, outputs_k)
    for a, b in zip(tree.flatten(outputs), tree.flatten(outputs_k), strict=True):
        assert isinstance(a, np.ndarray)
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    for a, b in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    assert_captured(models[0], "train", "test", "predict")
    return models[0]


# Inputs and outputs in every structure

INPUTS: dict[str, Callable[[Any, Any], Any]] = {
    "list": lambda a, b: [a, b],
    "tuple": lambda a, b: (a, b),
    "dict": lambda a, b: {"a": a, "b": b},
    "list with a dict": lambda a, b: [a, {"b": b}],
    "dict with a list": lambda a, b: {"a": a, "rest": [b]},
}
OUTPUTS: dict[str, Callable[[Any, Any], Any]] = {
    "list": lambda p, q: [p, q],
    "tuple": lambda p, q: (p, q),
    "dict": lambda p, q: {"p": p, "q": q},
    "dict with other keys": lambda p, q: {"one": p, "two": q},
    "list with a dict": lambda p, q: [p, {"q": q}],
    "dict with a list": lambda p, q: {"first": p, "rest": [q]},
    "dict of dicts": lambda p, q: {"u": {"p": p}, "v": {"q": q}},
}
METRICS = {  # Keras takes a metric for each output of deep structures in none of its forms
    "list with a dict": [["mae"], ["accuracy"]],
    "dict with a list": None,
    "dict of dicts": None,
}


def forms(inputs: str, outputs: str) -> Callable[[Any], Any]:
    def make(lib: Any) -> Any:
        a, b = lib.Input((WIDTH,), name="a"), lib.Input((WIDTH,), name="b")
        joined = lib.layers.Concatenate(name="join")([a, b])
        h = lib.layers.Dense(3, activation="tanh", name="h")(joined)
        p = lib.layers.Dense(1, name="p")(h)
        q = lib.layers.Dense(CLASSES, activation="softmax", name="q")(h)
        return filled(lib.Model(INPUTS[inputs](a, b), OUTPUTS[outputs](p, q), name="forms"))

    return make


@pytest.mark.parametrize(
    ("inputs", "outputs"), [*((i, "list") for i in INPUTS), *(("dict", o) for o in OUTPUTS if o != "list")]
)
def test_structures_of_functional_models(inputs: str, outputs: str) -> None:
    pack = OUTPUTS[outputs]
    options = {
        "loss": pack("mse", "sparse_categorical_crossentropy"),
        "metrics": METRICS.get(outputs, pack(["mae"], ["accuracy"])),
    }
    model = both(forms(inputs, outputs), INPUTS[inputs](X, Z), pack(TARGET, LABELS), options)
    assert model.output_names == ["p", "q"]


LISTS = {"loss": ["mse", "sparse_categorical_crossentropy"]}
DICTS = {"loss": {"p": "mse", "q": "sparse_categorical_crossentropy"}}
COMPILED: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "loss weights as a list": ("list", {**LISTS, "loss_weights": [0.3, 2.0]}, {}),
    "loss weights as a dict": ("list", {**DICTS, "loss_weights": {"p": 0.3, "q": 2.0}}, {}),
    "loss weights for a dict": ("dict", {**DICTS, "loss_weights": {"p": 0.3, "q": 2.0}}, {}),
    "names of outputs for a list": ("list", {**DICTS, "metrics": {"p": ["mae"], "q": ["accuracy"]}}, {}),
    "loss weights in a structure": (
        "dict with a list",
        {
            "loss": {"first": "mse", "rest": ["sparse_categorical_crossentropy"]},
            "loss_weights": {"first": 0.5, "rest": [2.0]},
        },
        {},
    ),
    "no loss for one": ("list", {"loss": ["mse", None]}, {}),
    "one metric for each": ("list", {**LISTS, "metrics": ["mae", "accuracy"]}, {}),
    "metrics for one": ("list", {**LISTS, "metrics": {"q": "accuracy"}}, {}),
    "metrics with None": ("list", {**LISTS, "metrics": [None, ["accuracy"]]}, {}),
    "weighted metrics": (
        "list",
        {**LISTS, "metrics": [["mae"], ["accuracy"]], "weighted_metrics": [["mae"], ["accuracy"]]},
        {"sample_weight": [WEIGHTS, WEIGHTS[::-1].copy()]},
    ),
    "one weight for all": (
        "list",
        {**LISTS, "weighted_metrics": [[], ["accuracy"]]},
        {"sample_weight": WEIGHTS},
    ),
    "weights as a dict": (
        "dict",
        {**DICTS, "weighted_metrics": {"q": ["accuracy"]}},
        {"sample_weight": {"p": WEIGHTS, "q": WEIGHTS[::-1].copy()}},
    ),
}


@pytest.mark.parametrize("name", COMPILED)
def test_compile_per_output(name: str) -> None:
    outputs, options, fit = COMPILED[name]
    both(forms("list", outputs), [X, Z], OUTPUTS[outputs](TARGET, LABELS), options, **fit)


def test_objects_per_output() -> None:
    def options(lib: Any) -> dict[str, Any]:
        return {
            "loss": [lib.losses.Huber(), lib.losses.SparseCategoricalCrossentropy()],
            "metrics": [
                [lib.metrics.MeanSquaredError(), "mae"],
                [lib.metrics.SparseTopKCategoricalAccuracy(2)],
            ],
        }

    both(forms("list", "list"), [X, Z], [TARGET, LABELS], options)


def one_output(lib: Any) -> Any:
    x = lib.Input((WIDTH,), name="x")
    return filled(lib.Model(x, lib.layers.Dense(1, name="o")(x)))


@pytest.mark.parametrize(
    "options",
    [
        {"loss": {"o": "mse"}, "metrics": {"o": ["mae"]}},
        {"loss": ["mse"], "metrics": [["mae"]]},
        {"loss": "mse", "loss_weights": 0.5},
        {"loss": "mse", "loss_weights": [0.5]},
        {"loss": "mse", "loss_weights": {"o": 0.5}},
        {"loss": "mse", "metrics": ["mae", "mse", "mae"]},
        {"loss": "mse", "weighted_metrics": ["mse", "mae"]},
    ],
)
def test_compile_of_one_output(options: dict[str, Any]) -> None:
    both(one_output, X, TARGET, options, sample_weight=WEIGHTS)


@pytest.mark.parametrize("form", ["dict", "list", "dict with a list"])
def test_structures_of_subclasses(form: str) -> None:
    def make(lib: Any) -> Any:
        class Two(lib.Model):
            def __init__(self) -> None:
                super().__init__()
                self.h = lib.layers.Dense(3, activation="tanh")
                self.p = lib.layers.Dense(1)
                self.q = lib.layers.Dense(CLASSES, activation="softmax")

            def call(self, inputs: Any) -> Any:
                h = self.h(lib.ops.concatenate(lib.tree.flatten(inputs), axis=-1))
                return OUTPUTS[form](self.p(h), self.q(h))

        model = Two()
        model(INPUTS[form](X, Z))
        return filled(model)

    pack = OUTPUTS[form]
    options = {"loss": pack("mse", "sparse_categorical_crossentropy")}
    if form != "dict with a list":
        options["metrics"] = pack(["mae"], ["accuracy"])
    both(make, INPUTS[form](X, Z), pack(TARGET, LABELS), options)


# Layers in layers


def test_shared_layers_and_models_as_layers() -> None:
    def make(lib: Any) -> Any:
        entry = lib.Input((WIDTH,), name="entry")
        inner = lib.Model(entry, lib.layers.Dense(3, activation="relu", name="deep")(entry), name="inner")
        a, b = lib.Input((WIDTH,), name="a"), lib.Input((WIDTH,), name="b")
        shared = lib.layers.Dense(WIDTH, name="shared")
        both_sides = lib.layers.Add(name="add")([inner(shared(a)), inner(shared(b))])
        chain = lib.Sequential(
            [lib.Input((3,)), lib.layers.Dense(2, name="c1"), lib.layers.ReLU(name="r")], name="chain"
        )
        return filled(lib.Model([a, b], lib.layers.Dense(1, name="o")(chain(both_sides)), name="outer"))

    model = both(make, [X, Z], TARGET)
    other = make(keras)
    assert [layer.name for layer in model.layers] == [layer.name for layer in other.layers]
    found, expected = ({x.name.rstrip("_0123456789") for x in m._flatten_layers()} for m in (model, other))
    assert found == expected
    assert [w.path for w in model.weights] == [w.path for w in other.weights]
    assert [w.path for w in model.trainable_weights] == [w.path for w in other.trainable_weights]
    assert [o.name for o in model.operations] == [o.name for o in other.operations]


def test_a_model_of_two_outputs_in_a_chain() -> None:
    def make(lib: Any) -> Any:
        x = lib.Input((WIDTH,))
        heads = lib.Model(x, [lib.layers.Dense(1)(x), lib.layers.Dense(1)(x)])
        return filled(lib.Sequential([lib.Input((WIDTH,)), heads, lib.layers.Add()]))

    both(make, X, TARGET)


def test_one_layer_twice_in_a_chain() -> None:
    def make(lib: Any) -> Any:
        same = lib.layers.Dense(WIDTH, activation="tanh")
        return filled(lib.Sequential([lib.Input((WIDTH,)), same, same, lib.layers.Dense(1)]))

    model = both(make, X, TARGET)
    assert len(model.layers) == 3 and len(model.weights) == 4
    copy = lumbre.models.clone_model(model)
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(X).numpy(), model(X).numpy())


def test_layers_in_lists_and_dicts() -> None:
    def make(lib: Any) -> Any:
        class Held(lib.Model):
            def __init__(self) -> None:
                super().__init__()
                self.blocks = [lib.layers.Dense(3, name=f"b{i}") for i in range(2)]
                self.named = {"x": lib.layers.Dense(2, name="x"), "y": [lib.layers.Dense(2, name="y")]}
                self.last = (lib.layers.Dense(1, name="last"),)

            def call(self, x: Any) -> Any:
                for block in self.blocks:
                    x = block(x)
                return self.last[0](self.named["x"](x) + self.named["y"][0](x))

        model = Held()
        model(X)
        return filled(model)

    model = both(make, X, TARGET)
    assert [layer.name for layer in model.layers] == [layer.name for layer in make(keras).layers]


def test_intermediate_outputs_of_a_model() -> None:
    def make(lib: Any) -> list[np.ndarray]:
        model = forms("list", "dict")(lib)
        middle = lib.Model(model.inputs, model.get_layer("h").output)
        every = lib.Model(inputs=model.input, outputs=[layer.output for layer in model.layers])
        return [np.asarray(t) for t in [middle([X, Z]), *every([X, Z])]]

    for ours, theirs in zip(make(lumbre), make(keras), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


# Trainable


def nested_chain(lib: Any) -> Any:
    dense = lib.layers.Dense
    inner = lib.Sequential(
        [
            lib.Input((WIDTH,)),
            dense(3, name="i1"),
            lib.layers.BatchNormalization(name="bn"),
            dense(3, name="i2"),
        ],
        name="inner",
    )
    x = lib.Input((WIDTH,))
    return filled(lib.Model(x, dense(1, name="o")(inner(x)), name="outer"))


def test_trainable_at_any_level() -> None:
    def states(lib: Any) -> list[Any]:
        model = nested_chain(lib)
        inner = model.get_layer("inner")
        seen = []

        def note() -> None:
            trained = [[w.path for w in ws] for ws in (model.trainable_weights, model.non_trainable_weights)]
            flags = {x.name: x.trainable for x in model._flatten_layers() if "input" not in x.name}
            seen.append((trained, flags))

        note()
        for target, value in (
            (inner, False), (inner.get_layer("i2"), True), (inner, True), (model, False), (inner, True),
            (model, True), (inner.get_layer("i1").kernel, False),
        ):  # fmt: skip
            target.trainable = value
            note()
        return seen

    assert states(lumbre) == states(keras)


def changed(model: Any, before: list[np.ndarray]) -> list[bool]:
    return [bool((a != b).any()) for a, b in zip(before, model.get_weights(), strict=True)]


def test_trainable_takes_effect_at_the_next_compile() -> None:
    model = nested_chain(lumbre)
    inner = model.get_layer("inner")
    model.compile("sgd", "mse")
    model.fit(X, TARGET, **FIT)
    inner.trainable = False
    before = model.get_weights()
    with pytest.warns(
        UserWarning, match="trained as compiled.*Changed layers: .*'inner', .*'i1', 'bn', 'i2'"
    ):
        model.fit(X, TARGET, **FIT)
    assert all(changed(model, before))  # moving statistics, too
    assert not inner.trainable and inner.trainable_weights == []
    before = model.get_weights()
    model.train_on_batch(X, TARGET)
    assert all(changed(model, before))
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(X, TARGET, **FIT)
    assert changed(model, before) == [False] * 8 + [True] * 2
    assert_captured(model, "train")
    inner.trainable = True
    before = model.get_weights()
    with pytest.warns(UserWarning, match="trained as compiled"):
        model.fit(X, TARGET, **FIT)
    assert changed(model, before) == [False] * 8 + [True] * 2
    model.compile("sgd", "mse")
    model.fit(X, TARGET, **FIT)
    assert all(changed(model, before))


def test_frozen_parts_train_as_in_keras() -> None:
    def make(lib: Any) -> Any:
        model = nested_chain(lib)
        model.get_layer("inner").trainable = False
        model.get_layer("inner").get_layer("i2").trainable = True
        model.get_layer("inner").get_layer("bn").set_weights(
            [np.ones(3), np.zeros(3), np.zeros(3), np.ones(3)]
        )
        return model

    both(make, X, TARGET)


# Penalties and metrics


def test_add_loss_of_a_layer() -> None:
    def make(lib: Any) -> Any:
        class Penalty(lib.layers.Layer):
            def call(self, x: Any) -> Any:
                self.add_loss(0.1 * lib.ops.mean(lib.ops.square(x)))
                return x

        x = lib.Input((WIDTH,))
        return filled(lib.Model(x, lib.layers.Dense(1)(Penalty()(lib.layers.Dense(3)(x)))))

    model = both(make, X, TARGET)
    model(X)
    assert len(model.losses) == 1


def test_add_loss_is_enough() -> None:
    def make(lib: Any) -> Any:
        class Penalty(lib.layers.Layer):
            def call(self, x: Any) -> Any:
                self.add_loss(lib.ops.mean(lib.ops.square(x)))
                return x

        x = lib.Input((WIDTH,))
        return filled(lib.Model(x, Penalty()(lib.layers.Dense(2)(x))))

    both(make, X, None, {"loss": None})


def test_add_loss_of_a_subclass() -> None:
    def make(lib: Any) -> Any:
        class Penalized(lib.Model):
            def __init__(self) -> None:
                super().__init__()
                self.d = lib.layers.Dense(1, kernel_regularizer="l2", activity_regularizer="l1")

            def call(self, x: Any, training: bool = False) -> Any:
                y = self.d(x)
                self.add_loss(lib.ops.sum(lib.ops.abs(y)) * 0.01)
                if training:
                    self.add_loss(lib.ops.mean(lib.ops.abs(self.d.kernel)))
                return y

        model = Penalized()
        model(X)
        return filled(model)

    both(make, X, TARGET)


def test_metrics_as_attributes() -> None:
    def make(lib: Any) -> Any:
        class Measured(lib.Model):
            def __init__(self) -> None:
                super().__init__()
                self.d = lib.layers.Dense(1)
                self.seen = lib.metrics.Mean(name="seen")

            def call(self, x: Any) -> Any:
                return self.d(x)

            def compute_loss(
                self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
                training: bool = True,
            ) -> Any:  # fmt: skip
                loss = lib.ops.mean(lib.ops.square(y - y_pred))
                self.seen.update_state(loss)
                return loss

            def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> Any:
                results = super().compute_metrics(x, y, y_pred, sample_weight)
                return {**results, "twice": 2.0 * results["mae"]}

        model = Measured()
        model(X)
        return filled(model)

    model = both(make, X, TARGET, {"loss": None, "metrics": ["mae"]})
    assert [m.name for m in model.metrics] == ["loss", "compile_metrics", "seen"]


def test_a_metric_in_a_layer_counts_each_batch_once() -> None:
    class Counted(lumbre.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.mean = lumbre.metrics.Mean(name="activity")
            self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")

        def call(self, x: Any) -> Any:
            self.mean.update_state(x)
            self.calls.assign_add(1.0)
            return x

    x = lumbre.Input((WIDTH,))
    layer = Counted()
    model = lumbre.Model(x, lumbre.layers.Dense(1)(layer(x)))
    model.compile("sgd", "mse")
    history = model.fit(X, TARGET, **FIT).history
    assert float(layer.calls.numpy()) == 10.0
    np.testing.assert_allclose(history["activity"], [X.mean()] * 2, rtol=1e-4)
    assert_captured(model, "train")


def test_steps_of_ones_own() -> None:
    def make(lib: Any) -> Any:
        class Steps(lib.Model):
            def __init__(self) -> None:
                super().__init__()
                self.d = lib.layers.Dense(1)
                self.error = lib.metrics.Mean(name="error")

            def call(self, x: Any) -> Any:
                return self.d(x)

            @property
            def metrics(self) -> list[Any]:
                return [self.error]

        model = Steps()
        model(X)
        return filled(model)

    class Steps(type(make(lumbre))):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            x, y = data
            loss = lumbre.ops.mean(lumbre.ops.square(self(x, training=True) - y))
            self.optimizer.apply(lumbre.grad(loss, self.trainable_variables), self.trainable_variables)
            self.error.update_state(loss)
            return {m.name: m.result() for m in self.metrics}

        def test_step(self, data: Any) -> Any:
            x, y = data
            self.error.update_state(lumbre.ops.mean(lumbre.ops.square(self(x) - y)))
            return {m.name: m.result() for m in self.metrics}

        def predict_step(self, data: Any) -> Any:
            return 2.0 * self(data)

    ours, theirs = Steps(), make(keras)
    ours(X)
    filled(ours)
    ours.compile(lumbre.optimizers.SGD(0.1))
    theirs.compile(keras.optimizers.SGD(0.1), "mse")
    history = ours.fit(X, TARGET, validation_data=(Z, TARGET), **FIT).history
    theirs.fit(X, TARGET, **FIT)
    assert list(history) == ["error", "val_error"]
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        ours.predict(X, verbose=0, batch_size=10), 2 * theirs.predict(X, verbose=0), rtol=1e-3
    )
    assert_captured(ours, "train", "test", "predict")


# What a model tells of itself


def test_compile_configs() -> None:
    def make(lib: Any) -> Any:
        model = forms("list", "list")(lib)
        options = {
            "loss_weights": [1.0, 2.0],
            "metrics": [["mae"], [lib.metrics.SparseCategoricalAccuracy(name="k")]],
        }
        assert model.get_compile_config() in ({}, None)
        model.compile("adam", ["mse", lib.losses.SparseCategoricalCrossentropy()], **options)
        return model

    import json

    model, reference = make(lumbre), make(keras)
    config = json.loads(json.dumps(model.get_compile_config()))
    theirs = reference.get_compile_config()
    for ours in (config["optimizer"], theirs["optimizer"]):
        ours["config"].pop("name")
        ours["config"]["learning_rate"] = round(ours["config"]["learning_rate"], 6)
    assert sorted(config) == sorted(theirs)
    for name in ("optimizer", "loss_weights", "run_eagerly", "steps_per_execution"):
        assert config[name] == theirs[name]
    assert config["loss"][1]["class_name"] == theirs["loss"][1]["class_name"]
    copy = forms("list", "list")(lumbre)
    copy.compile_from_config(config)
    assert copy.optimizer is not model.optimizer and copy.optimizer.built
    data = ([X, Z], [TARGET, LABELS])
    assert copy.fit(*data, **FIT).history == model.fit(*data, **FIT).history


def test_building_by_shapes() -> None:
    class Held(lumbre.Model):
        def __init__(self) -> None:
            super().__init__()
            self.d = lumbre.layers.Dense(3)

        def call(self, inputs: Any) -> Any:
            return sum(self.d(x) for x in tree.flatten(inputs))

    for shape in ((None, 4), {"a": (None, 4)}, [(None, 4), (None, 4)]):
        model = Held()
        model.build(shape)
        assert model.built and [w.shape for w in model.weights] == [(4, 3), (3,)]
        assert model.compute_output_shape(tree.map_shape_structure(lambda s: (7, *s[1:]), shape)) == (7, 3)
    graph = forms("dict", "dict with a list")(lumbre)
    shapes = graph.compute_output_shape({"a": (7, WIDTH), "b": (7, WIDTH)})
    assert shapes == {"first": (7, 1), "rest": [(7, CLASSES)]}
    spec = graph.compute_output_spec({"a": lumbre.Input((WIDTH,)), "b": lumbre.Input((WIDTH,))})
    assert tree.map_structure(lambda t: t.shape, spec) == {"first": (None, 1), "rest": [(None, CLASSES)]}


@pytest.mark.parametrize(
    "options",
    [
        {"expand_nested": True, "show_trainable": True},
        {"layer_range": ["inner", "o"]},
        {"layer_range": ["i", "inner"], "expand_nested": True},
    ],
)
def test_summaries_with_options(options: Any) -> None:
    texts = []
    for lib in (lumbre, keras):
        lib.utils.clear_session()
        model = nested_chain(lib)
        model.get_layer("inner").get_layer("i1").trainable = False
        model.summary(print_fn=lambda text, **_: texts.append(text.rstrip()), **options)
    assert texts[0] == texts[1]


# Mistakes. Afterwards the model is as it was, and trains.

BAD: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no loss at all": (
        lambda m: (m.compile("sgd"), m.fit([X, Z], [TARGET, LABELS], verbose=0)),
        r"No loss to compute.*model 'forms' has none for its outputs \['p', 'q'\]",
    ),
    "an output without a loss": (
        lambda m: (m.compile("sgd", {"p": "mse"}), m.fit([X, Z], [TARGET, LABELS], verbose=0)),
        r"The output 'q' has no loss: expected keys \['p', 'q'\]",
    ),
    "a loss for no output": (
        lambda m: (m.compile("sgd", {"p": "mse", "qq": "mse"}), m.fit([X, Z], [TARGET, LABELS], verbose=0)),
        "the outputs are named .*Did you mean 'q'",
    ),
    "a loss weight for no output": (
        lambda m: (
            m.compile("sgd", **DICTS, loss_weights={"p": 1.0, "pp": 1.0}),
            m.fit([X, Z], [TARGET, LABELS], verbose=0),
        ),
        "`loss_weights` does not match.*Did you mean 'p'",
    ),
    "metrics for no output": (
        lambda m: (
            m.compile("sgd", **DICTS, metrics={"qq": ["mae"]}),
            m.fit([X, Z], [TARGET, LABELS], verbose=0),
        ),
        "Invalid `metrics`.*Did you mean 'q'",
    ),
    "weighted metrics for no output": (
        lambda m: (
            m.compile("sgd", **DICTS, weighted_metrics={"qq": ["mae"]}),
            m.fit([X, Z], [TARGET, LABELS], verbose=0),
        ),
        "Invalid `weighted_metrics`.*Did you mean 'q'",
    ),
    "an input that does not exist": (
        lambda m: m.fit({"a": X, "bb": Z}, [TARGET, LABELS], verbose=0),
        "Missing data for input \"b\".*Did you mean 'b' by 'bb'",
    ),
    "an input too few": (
        lambda m: m.predict([X], verbose=0),
        r'Layer "forms" expects 2 input\(s\), but it received 1',
    ),
    "targets for no output": (
        lambda m: m.fit([X, Z], {"p": TARGET, "qq": LABELS}, verbose=0),
        r"y_true and y_pred have different structures[\s\S]*Did you mean 'q'",
    ),
    "weights for no output": (
        lambda m: m.fit([X, Z], [TARGET, LABELS], sample_weight={"pp": WEIGHTS}, verbose=0),
        r"sample_weight and y_pred have different structures[\s\S]*Did you mean 'p'",
    ),
    "an input of another model": (
        lambda m: lumbre.Model(
            m.inputs, m.output[0] + lumbre.layers.Dense(1)(lumbre.Input((WIDTH,), name="c"))
        ),
        r"not connected to `inputs`: it is computed from 'c'.*\['a', 'b'\]",
    ),
    "two layers of one name": (
        lambda m: lumbre.Model(m.inputs, lumbre.layers.Dense(1, name="h")(m.output[0])),
        'The name "h" is used 2 times in the model',
    ),
    "a chain in itself": (
        lambda m: (lambda s: s.add(lumbre.Sequential([m, s])))(lumbre.Sequential([lumbre.layers.Dense(1)])),
        "cannot be a layer of itself: .* would make a cycle",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_mistakes(name: str) -> None:
    act, text = BAD[name]
    model = forms("list", "list")(lumbre)
    model.compile(lumbre.optimizers.SGD(0.1), **LISTS)
    expected = forms("list", "list")(lumbre)
    expected.compile(lumbre.optimizers.SGD(0.1), **LISTS)
    before = model.get_weights()
    with pytest.raises(ValueError, match=text):
        act(model)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.compile(lumbre.optimizers.SGD(0.1), **LISTS)
    data = ([X, Z], [TARGET, LABELS])
    assert model.fit(*data, **FIT).history == expected.fit(*data, **FIT).history
    assert_captured(model, "train")


def test_layers_that_call_each_other_in_a_circle() -> None:
    class Asks(lumbre.layers.Layer):
        def call(self, x: Any) -> Any:
            return self.other(x)

    a, b = Asks(name="a"), Asks(name="b")
    a.other, b.other = b, a
    with pytest.raises(RecursionError, match="the layers call each other in a circle, (a → b → a|b → a → b)"):
        a(ONE_HOT)
    with pytest.raises(RecursionError):  # and nothing is left over from the first attempt
        a(ONE_HOT)
    assert lumbre.layers.Dense(2)(ONE_HOT).shape == (len(X), 2)
