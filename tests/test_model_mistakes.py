"""What a model tells of itself, and what it says to mistakes, after which it is as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import keras
from lumbre import tree
from model_forms import DICTS, FIT, LISTS, WEIGHTS, Z, forms, nested_chain
from small_models import CLASSES, LABELS, ONE_HOT, TARGET, WIDTH, X, assert_captured

pytestmark = pytest.mark.filterwarnings("ignore", "error:.*run in Python, several times slower")

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
    with pytest.raises(
        RecursionError, match=r"the layers call each other in a circle, (a → b → a|b → a → b)"
    ):
        a(ONE_HOT)
    with pytest.raises(RecursionError):  # and nothing is left over from the first attempt
        a(ONE_HOT)
    assert lumbre.layers.Dense(2)(ONE_HOT).shape == (len(X), 2)
