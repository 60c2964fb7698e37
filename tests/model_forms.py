"""Models of every structure, in Lumbre and in Keras, and one way to train and compare them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import lumbre
from keras_reference import keras
from lumbre import tree
from small_models import CLASSES, WIDTH, X, assert_captured, close, filled

Z = np.random.default_rng(8).normal(size=X.shape).astype("float32")
WEIGHTS = np.linspace(0.5, 2.0, len(X)).astype("float32")
FIT = {"verbose": 0, "shuffle": False, "epochs": 2, "batch_size": 10}
LISTS = {"loss": ["mse", "sparse_categorical_crossentropy"]}
DICTS = {"loss": {"p": "mse", "q": "sparse_categorical_crossentropy"}}

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


def forms(inputs: str, outputs: str) -> Callable[[Any], Any]:
    def make(lib: Any) -> Any:
        a, b = lib.Input((WIDTH,), name="a"), lib.Input((WIDTH,), name="b")
        joined = lib.layers.Concatenate(name="join")([a, b])
        h = lib.layers.Dense(3, activation="tanh", name="h")(joined)
        p = lib.layers.Dense(1, name="p")(h)
        q = lib.layers.Dense(CLASSES, activation="softmax", name="q")(h)
        return filled(lib.Model(INPUTS[inputs](a, b), OUTPUTS[outputs](p, q), name="forms"))

    return make


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
