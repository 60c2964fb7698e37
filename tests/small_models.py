"""Small data and small models, the same in lumbre and in Keras, for the tests of training."""

from __future__ import annotations

from typing import Any

import numpy as np

import lumbre

N, WIDTH, CLASSES = 50, 4, 3
RNG = np.random.default_rng(1)
X = RNG.normal(size=(N, WIDTH)).astype("float32")
LABELS = RNG.integers(0, CLASSES, N)
ONE_HOT = np.eye(CLASSES, dtype="float32")[LABELS]
TARGET = (X @ np.array([[1.0], [-2.0], [0.5], [3.0]], "float32")).astype("float32")
WEIGHTS = RNG.uniform(0.5, 2.0, N).astype("float32")


def build(
    lib: Any, units: int = CLASSES, activation: str | None = "softmax", seed: int = 0, **kw: Any
) -> Any:
    """The same small network, with the same weights, in lumbre or in Keras."""
    dense = lib.layers.Dense
    model = lib.Sequential(
        [lib.Input((WIDTH,)), dense(6, activation="tanh", **kw), dense(units, activation=activation)]
    )
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape).astype("float32") * 0.5 for w in model.get_weights()])
    return model


def two_outputs(lib: Any, as_dict: bool = False) -> Any:
    inputs = lib.Input((WIDTH,), name="input")
    p = lib.layers.Dense(1, name="p")(inputs)
    q = lib.layers.Dense(CLASSES, activation="softmax", name="q")(inputs)
    model = lib.Model(inputs, {"q": q, "p": p} if as_dict else [p, q])
    rng = np.random.default_rng(5)
    model.set_weights([rng.normal(size=w.shape).astype("float32") * 0.5 for w in model.get_weights()])
    return model


def close(ours: Any, theirs: Any) -> None:
    """Two histories, logs or lists of numbers are equal to float32 rounding."""
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        ours, theirs = list(ours.values()), list(theirs.values())
    np.testing.assert_allclose(np.array(ours, "float64"), np.array(theirs, "float64"), rtol=2e-4, atol=1e-6)


def compiled(**options: Any) -> Any:
    model = build(lumbre)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return model


def filled(model: Any, seed: int = 3) -> Any:
    """The model with small weights that depend on their order and shapes only."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape).astype("float32") * 0.4 for w in model.get_weights()])
    return model


def assert_captured(model: Any, *kinds: str) -> None:
    """All steps of these kinds that a model has made, for every shape of batch, are recorded programs."""
    for kind in kinds:
        entries = model._runners[kind, False]._captured._entries.values()
        assert entries, f"no {kind} step was made"
        for entry in entries:
            assert entry.reason is None, entry.reason
            assert entry.program is not None, f"the {kind} step is not recorded yet"


def summary(model: Any) -> str:
    """What `model.summary()` prints."""
    texts: list[str] = []
    model.summary(print_fn=texts.append)
    return texts[0]
