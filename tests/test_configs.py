"""Every class to its config and back; each config beside that of the real Keras."""

from __future__ import annotations

import inspect
import json
import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")

import lumbre  # noqa: E402
from lumbre import layers, registration, saving  # noqa: E402

FAMILIES = (
    *("layers", "losses", "metrics", "optimizers", "optimizers.schedules", "initializers", "regularizers"),
    "constraints",
)
RATE = {"rate": 0.5}
DECAY = {"initial_learning_rate": 0.1, "decay_steps": 10}
CLASSES = {"num_classes": 2, "target_class_ids": [0]}
# What classes cannot be made without.
ARGUMENTS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("Dropout", "GaussianDropout", "AlphaDropout"), RATE),
    **{f"SpatialDropout{n}D": RATE for n in (1, 2, 3)},
    **dict.fromkeys(("PolynomialDecay", "CosineDecay"), DECAY),
    **{name: {**DECAY, "decay_rate": 0.9} for name in ("ExponentialDecay", "InverseTimeDecay")},
    **dict.fromkeys(("IoU", "OneHotIoU"), CLASSES),
    **{name: {"num_classes": 2} for name in ("MeanIoU", "OneHotMeanIoU")},
    "Activation": {"activation": "relu"},
    "CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 10},
    "Dense": {"units": 3, "kernel_regularizer": "l2", "activation": "gelu"},
    "Dot": {"axes": 1},
    "GaussianNoise": {"stddev": 0.1},
    "InputLayer": {"shape": (3,)},
    "Permute": {"dims": (2, 1)},
    "PiecewiseConstantDecay": {"boundaries": [1, 2], "values": [0.1, 0.2, 0.3]},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "RepeatVector": {"n": 2},
    "Reshape": {"target_shape": (2, 3)},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
}
# Options of Keras that are not here.
ABSENT = {"quantization_config"}
ABSTRACT = {"Layer", "Wrapper", "RNN", "Lambda", "MeanMetricWrapper", "LossScaleOptimizer"}


def classes() -> Iterator[Any]:
    for family in FAMILIES:
        theirs = keras
        for part in family.split("."):
            theirs = getattr(theirs, part)
        for name in registration.names_of(family):
            ours = registration.built_in(f"keras.{family}", name)
            theirs_too = getattr(theirs, name, None)
            public = inspect.isclass(ours) and name == ours.__name__ and name not in ABSTRACT
            if public and inspect.isclass(theirs_too):
                yield pytest.param(ours, theirs_too, id=f"{family}.{name}")


def config_of(lib: Any, kind: Any) -> Any:
    """The config of an object of the class, as JSON has it; None where the table lacks its arguments."""
    lib.utils.clear_session()
    try:
        made = kind(**ARGUMENTS.get(kind.__name__, {}))
    except TypeError:
        return None
    return json.loads(json.dumps(lib.saving.serialize_keras_object(made)))


def alike(theirs: Any, ours: Any) -> bool:
    if isinstance(theirs, float) and isinstance(ours, (int, float)):
        return math.isclose(theirs, ours, rel_tol=1e-6)
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return theirs.keys() - ABSENT == ours.keys() and all(alike(theirs[k], ours[k]) for k in ours)
    if isinstance(theirs, list) and isinstance(ours, list):
        return len(theirs) == len(ours) and all(map(alike, theirs, ours))
    return bool(theirs == ours)


@pytest.mark.parametrize(("ours", "theirs"), list(classes()))
def test_configs_are_those_of_keras(ours: Any, theirs: Any) -> None:
    mine, given = config_of(lumbre, ours), config_of(keras, theirs)
    if given is None or mine is None:
        pytest.skip("it is made with other objects")
    # What Keras's `get_config` forgets, but its constructor takes, is kept here.
    further = {k: v for k, v in mine["config"].items() if k not in given["config"]}
    takes = inspect.signature(theirs).parameters
    assert all(key in takes for key in further), further
    rest = {**mine, "config": {k: v for k, v in mine["config"].items() if k not in further}}
    assert alike(given, rest), (given, mine)
    # Each reads the other's, and what was read says the same.
    again = json.loads(json.dumps(saving.serialize_keras_object(saving.deserialize_keras_object(mine))))
    assert again == mine
    from_keras = json.loads(json.dumps(saving.serialize_keras_object(saving.deserialize_keras_object(given))))
    assert alike(
        given, {**from_keras, "config": {k: v for k, v in from_keras["config"].items() if k not in further}}
    )
    assert type(keras.saving.deserialize_keras_object(mine)) is theirs


def test_values() -> None:
    def f(x: Any) -> Any:
        return x

    given = {
        "t": (1, 2),
        "n": np.float32(1.5),
        "a": np.arange(3),
        "s": slice(1, None),
        "b": b"x",
        "e": ...,
        "l": [None],
    }
    mine, theirs = saving.serialize_keras_object(given), keras.saving.serialize_keras_object(given)
    assert mine == theirs
    read = saving.deserialize_keras_object(json.loads(json.dumps(mine)))
    np.testing.assert_array_equal(read.pop("a"), np.arange(3))
    assert read == {"t": [1, 2], "n": 1.5, "s": slice(1, None), "b": b"x", "e": ..., "l": [None]}
    for family in ("activations", "losses", "metrics"):
        assert getattr(lumbre, family).serialize(f) == getattr(keras, family).serialize(f)
    assert lumbre.activations.serialize(lumbre.activations.relu) == "relu"
    mse = lumbre.losses.serialize(lumbre.losses.mean_squared_error)
    assert mse == keras.losses.serialize(keras.losses.mean_squared_error)
    assert lumbre.losses.deserialize(mse) is lumbre.losses.mean_squared_error
    with pytest.raises(ValueError, match="a lambda cannot be written"):
        saving.serialize_keras_object(lambda x: x)
    with pytest.raises(ValueError, match="never run here, neither with `safe_mode=False` nor"):
        saving.deserialize_keras_object({"class_name": "__lambda__", "config": {}}, safe_mode=False)


def test_names_of_keras_s_own_modules() -> None:
    for module, name, kind in (
        ("keras.src.layers.core.dense", "Dense", layers.Dense),
        ("keras.src.models.functional", "Functional", lumbre.models.Functional),
        ("keras.src.models.sequential", "Sequential", lumbre.Sequential),
        ("keras.src.optimizers.adam", "Adam", lumbre.optimizers.Adam),
        ("keras.src.optimizers.schedules.learning_rate_schedule", "CosineDecay", None),
        ("keras.src.losses.losses", "MeanSquaredError", lumbre.losses.MeanSquaredError),
        ("keras.src.dtype_policies.dtype_policy", "DTypePolicy", layers.DTypePolicy),
    ):
        found = registration.built_in(module, name)
        assert found is (kind or lumbre.optimizers.schedules.CosineDecay), module
    for module, name in (
        ("os", "system"),
        ("keras", "ops"),
        ("builtins", "eval"),
        ("lumbre.saving", "load_model"),
    ):
        assert registration.built_in(module, name) is None


def test_registered_names_and_scopes() -> None:
    @saving.register_keras_serializable("mine", "Twice")
    class Double(layers.Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

    config = layers.serialize(Double(name="d"))
    assert config["registered_name"] == "mine>Twice"
    assert saving.get_registered_object("mine>Twice") is Double
    assert saving.get_custom_objects()["mine>Twice"] is Double
    assert type(layers.deserialize(config)) is Double
    with pytest.raises(ValueError, match=r"does not have a get_config\(\)"):
        saving.register_keras_serializable()(int)

    def loss(y_true: Any, y_pred: Any) -> Any:
        return y_true

    with pytest.raises(ValueError, match="Could not interpret loss identifier"):
        lumbre.losses.get("my_loss")
    with saving.custom_object_scope({"my_loss": loss}), saving.custom_object_scope({"other": loss}):
        assert lumbre.losses.get("my_loss") is loss
    with pytest.raises(ValueError, match="Could not interpret loss identifier"):
        lumbre.losses.get("my_loss")


def test_an_object_in_two_places_is_one_again() -> None:
    from lumbre.serialization import sharing

    penalty = lumbre.regularizers.L2(0.5)
    with sharing():
        config = json.loads(
            json.dumps(saving.serialize_keras_object([penalty, penalty, lumbre.regularizers.L2(0.5)]))
        )
    assert config[0]["shared_object_id"] == config[1]["shared_object_id"]
    assert "shared_object_id" not in config[2]
    with sharing():
        a, b, c = saving.deserialize_keras_object(config)
    assert a is b and a is not c


def test_models_through_json() -> None:
    x = lumbre.Input((4,))
    y = layers.Dense(3)(x)
    model = lumbre.Model(x, y[:, :2] * 2.0 + y[:, ::2])
    model.compile("adam", lumbre.losses.Huber(2.0), metrics=["mae"], loss_weights=0.5)
    again = lumbre.models.model_from_json(model.to_json())
    assert json.loads(again.to_json()) == json.loads(model.to_json())
    assert again.compiled and again.loss.get_config()["delta"] == 2.0
    copy = lumbre.models.clone_model(model)
    assert [w.shape for w in copy.weights] == [w.shape for w in model.weights]
