"""Models of every structure, compiled in every way, train as in the real Keras, and captured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import keras
from model_forms import DICTS, INPUTS, LISTS, OUTPUTS, WEIGHTS, Z, both, forms
from small_models import CLASSES, LABELS, TARGET, WIDTH, X, filled

pytestmark = pytest.mark.filterwarnings("ignore", "error:.*run in Python, several times slower")

METRICS = {  # Keras takes a metric for each output of deep structures in none of its forms
    "list with a dict": [["mae"], ["accuracy"]],
    "dict with a list": None,
    "dict of dicts": None,
}


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
