"""`.keras`, `.weights.h5` and `.h5` files: written by the real Keras and read here, and the other way."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumbre
from keras_models import MODELS, ROWS, Case, numbers, own_classes
from keras_reference import close, keras
from lumbre import ops, saving
from lumbre.lookup import snake_case
from lumbre.models import keras_ops
from test_layers import CASES

h5py = pytest.importorskip("h5py")

SIDES = {"keras": (keras, lumbre), "lumbre": (lumbre, keras)}  # who writes, who reads


def fit(model: Any, case: Case, epochs: int = 2) -> list[float]:
    history = model.fit(case.x, case.y, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
    return [float(v) for v in history.history["loss"]]


def flat(outputs: Any) -> list[np.ndarray]:
    if isinstance(outputs, dict):
        return [np.asarray(outputs[key]) for key in sorted(outputs)]
    return [np.asarray(o) for o in outputs] if isinstance(outputs, list) else [np.asarray(outputs)]


def same_predictions(a: Any, b: Any, x: Any) -> None:
    for p, q in zip(flat(a.predict(x, verbose=0)), flat(b.predict(x, verbose=0)), strict=True):
        np.testing.assert_allclose(p, q, rtol=0, atol=1e-6 * max(1.0, float(np.abs(p).max())))


def same_state(a: Any, b: Any) -> None:
    """Weights, and what the optimizer keeps, to the bit; in the numbers of Keras's layout."""
    for v, w in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(v, w)
    states: list[dict[str, Any]] = [{}, {}]
    for model, state in zip((a, b), states, strict=True):
        model.optimizer.save_own_variables(state)
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        np.testing.assert_allclose(np.asarray(value), np.asarray(states[1][key]), rtol=1e-6, atol=0)


@pytest.mark.parametrize("writer", SIDES)
@pytest.mark.parametrize("name", MODELS)
def test_ten_models(name: str, writer: str, tmp_path: Path) -> None:
    """Predictions, the optimizer's state, how the model was compiled, and how training goes on."""
    k, other = SIDES[writer]
    case = MODELS[name](k)
    own_classes(other)
    fit(case.model, case)
    path = tmp_path / "m.keras"
    case.model.save(path)
    again = other.saving.load_model(path)
    same_predictions(case.model, again, case.x)
    same_state(case.model, again)
    a, b = case.model, again
    assert type(a.optimizer).__name__ == type(b.optimizer).__name__
    assert a.optimizer.get_config() == b.optimizer.get_config()
    if name != "subclassed":  # whose layers are made, and named, anew
        assert [layer.name for layer in a.layers] == [layer.name for layer in b.layers]
    assert [layer.trainable for layer in a.layers] == [layer.trainable for layer in b.layers]
    if case.repeats:
        np.testing.assert_allclose(fit(case.model, case, 3), fit(again, case, 3), rtol=1e-4)
        same_predictions_closely(case.model, again, case.x)


def same_predictions_closely(a: Any, b: Any, x: Any) -> None:
    for p, q in zip(flat(a.predict(x, verbose=0)), flat(b.predict(x, verbose=0)), strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-3, atol=1e-4)


# Every class


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda o: o.SGD(0.05),
    "SGD momentum": lambda o: o.SGD(0.05, momentum=0.9),
    "Adam amsgrad": lambda o: o.Adam(0.01, amsgrad=True),
    "Adam accumulating": lambda o: o.Adam(0.01, gradient_accumulation_steps=2, global_clipnorm=1.0),
    "AdamW averaging": lambda o: o.AdamW(0.01, use_ema=True, ema_momentum=0.9),
    "Adafactor": lambda o: o.Adafactor(0.01),
    "Adafactor averaging": lambda o: o.Adafactor(0.01, use_ema=True),
    "Adagrad": lambda o: o.Adagrad(0.05),
    "Adadelta": lambda o: o.Adadelta(1.0),
    "Adamax": lambda o: o.Adamax(0.01),
    "Ftrl": lambda o: o.Ftrl(0.05),
    "Lamb": lambda o: o.Lamb(0.01),
    "Lion": lambda o: o.Lion(0.003),
    "LossScale": lambda o: o.LossScaleOptimizer(o.Adam(0.01), initial_scale=64.0, dynamic_growth_steps=3),
    "Muon": lambda o: o.Muon(0.01, exclude_layers=["last"]),
    "Nadam": lambda o: o.Nadam(0.01),
    "RMSprop": lambda o: o.RMSprop(0.005),
    "RMSprop centered": lambda o: o.RMSprop(0.005, momentum=0.5, centered=True),
    "ScheduleFreeAdamW": lambda o: o.ScheduleFreeAdamW(0.01),
    "schedule": lambda o: o.Adam(o.schedules.ExponentialDecay(0.01, 4, 0.7, staircase=True)),
}


def plain(k: Any, optimizer: Callable[[Any], Any]) -> Case:
    layers = [
        k.Input((4,)),
        k.layers.Dense(5, "tanh"),
        k.layers.Dense(3, "tanh"),
        k.layers.Dense(1, name="last"),
    ]
    model = k.Sequential(layers)
    model.compile(optimizer(k.optimizers), "mse")
    return Case(model, numbers(20, ROWS, 4), numbers(21, ROWS, 1))


@pytest.mark.parametrize("writer", SIDES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str, writer: str, tmp_path: Path) -> None:
    """The state to the bit, and the next eight steps the same, wherever the file came from."""
    k, other = SIDES[writer]
    case = plain(k, OPTIMIZERS[name])
    fit(case.model, case, 1)
    case.model.save(tmp_path / "m.keras")
    again = other.saving.load_model(tmp_path / "m.keras")
    same_predictions(case.model, again, case.x)
    # Keras's arrays are gone after `use_ema` has overwritten its weights, so that it goes on from its file.
    first = case.model if k is lumbre else k.saving.load_model(tmp_path / "m.keras")
    if name != "ScheduleFreeAdamW":  # ours keeps one Variable more where there is no file
        same_state(first, again)
    elif writer == "lumbre":
        return  # Keras trains on from what we infer with
    np.testing.assert_allclose(fit(first, case), fit(again, case), rtol=1e-4)


def test_schedule_free_goes_on_from_its_own_file(tmp_path: Path) -> None:
    case = plain(lumbre, OPTIMIZERS["ScheduleFreeAdamW"])
    fit(case.model, case)
    case.model.save(tmp_path / "m.keras")
    again = saving.load_model(tmp_path / "m.keras")
    assert fit(again, case) == fit(case.model, case)


LAYERS = [
    *CASES,
    (lambda k: k.layers.BatchNormalization(), numbers(22, 4, 6)),
    (lambda k: k.layers.BatchNormalization(axis=1, center=False), numbers(22, 4, 3, 2)),
    (lambda k: k.layers.LayerNormalization(axis=[1, 2]), numbers(22, 4, 3, 2)),
    (lambda k: k.layers.RMSNormalization(), numbers(22, 4, 6)),
]


@pytest.mark.parametrize("writer", SIDES)
@pytest.mark.parametrize("case", range(len(LAYERS)))
def test_layers(case: int, writer: str, tmp_path: Path) -> None:
    make, x = LAYERS[case]
    if not isinstance(x, list) and x.ndim == 1:
        pytest.skip("a scalar for each sample: Keras makes a column of it")
    if type(make(lumbre)).__name__ == "Lambda" and writer == "lumbre":
        pytest.skip("Keras does not find the function of a `Lambda` that is an op, in its own files neither")
    k, other = SIDES[writer]
    entries = [k.Input(a.shape[1:], dtype=a.dtype.name) for a in (x if isinstance(x, list) else [x])]
    outputs = make(k)(entries if isinstance(x, list) else entries[0])
    model = k.Model(entries, outputs)
    model.set_weights([np.abs(numbers(i, *w.shape)) for i, w in enumerate(model.get_weights())])
    model.save(tmp_path / "m.keras")
    again = other.saving.load_model(tmp_path / "m.keras")
    close(again(x), model(x), rtol=1e-5, atol=2e-6)
    for v, w in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(v, w)


ARGUMENTS: dict[str, dict[str, Any]] = {
    "IoU": {"num_classes": 3, "target_class_ids": [0, 2]},
    "MeanIoU": {"num_classes": 3},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": [1]},
    "OneHotMeanIoU": {"num_classes": 3},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "Constant": {"value": 0.5},
    "ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5},
    "InverseTimeDecay": {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5},
    "PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 3},
    "CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 3, "warmup_target": 0.2, "warmup_steps": 2},
    "CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 3},
    "PiecewiseConstantDecay": {"boundaries": [1, 2], "values": [0.1, 0.2, 0.3]},
}
FAMILIES = (
    "losses",
    "metrics",
    "initializers",
    "regularizers",
    "constraints",
    "optimizers.schedules",
    "optimizers",
)
BASES = {"Loss", "Metric", "MeanMetricWrapper", "LossFunctionWrapper", "Initializer", "RandomInitializer"}
BASES |= {"Regularizer", "Constraint", "Optimizer", "LearningRateSchedule", "LossScaleOptimizer"}


def module(k: Any, family: str) -> Any:
    for name in family.split("."):
        k = getattr(k, name)
    return k


CLASSES = [
    (family, name)
    for family in FAMILIES
    for name, kind in sorted(vars(module(lumbre, family)).items())
    if inspect.isclass(kind) and kind.__name__ == name and name not in BASES and not name.startswith("_")
    if hasattr(kind, "get_config") and hasattr(module(keras, family), name)
]


@pytest.mark.parametrize(("family", "name"), CLASSES, ids=[".".join(c) for c in CLASSES])
def test_classes(family: str, name: str) -> None:
    """What one side says of an object makes an equal one on the other, which says the same of it."""
    for k, other in SIDES.values():
        made = getattr(module(k, family), name)(**ARGUMENTS.get(name, {}))
        config = json.loads(json.dumps(k.saving.serialize_keras_object(made)))
        again = other.saving.deserialize_keras_object(config)
        assert type(again).__name__ == name
        said = json.loads(json.dumps(other.saving.serialize_keras_object(again)))
        assert {**said, "config": None} == {**config, "config": None}
        assert k is lumbre or said["config"].keys() >= config["config"].keys()
        for key, value in config["config"].items():
            if (
                key not in said["config"]
            ):  # Keras forgets the delta of `Huber`, the axis of `CosineSimilarity`
                continue
            if isinstance(value, float):
                assert said["config"][key] == pytest.approx(value, rel=1e-6), key
            else:
                assert said["config"][key] == value, key


# Weights alone


@pytest.mark.parametrize("writer", SIDES)
@pytest.mark.parametrize("name", ["shared_and_nested", "subclassed", "penalties"])
def test_weights_files(name: str, writer: str, tmp_path: Path) -> None:
    k, other = SIDES[writer]
    a, b = MODELS[name](k), MODELS[name](other)
    fit(a.model, a, 1)
    fit(b.model, b, 1)
    path = tmp_path / "m.weights.h5"
    a.model.save_weights(path)
    b.model.load_weights(path)
    same_state(a.model, b.model)
    same_predictions(a.model, b.model, a.x)
    a.model.save(tmp_path / "m.keras")
    c = MODELS[name](other)
    c.model.load_weights(tmp_path / "m.keras")
    same_predictions(a.model, c.model, a.x)


def test_the_layout_is_that_of_keras(tmp_path: Path) -> None:
    """Groups, data sets, shapes and attributes, in a file of each."""
    for name, build in MODELS.items():
        found = []
        for k in (keras, lumbre):
            case = build(k)
            case.model.optimizer.build(case.model.trainable_variables)
            case.model.save_weights(tmp_path / "m.weights.h5")
            seen: dict[str, Any] = {}

            def note(path: str, item: Any, seen: dict[str, Any] = seen) -> None:
                data = isinstance(item, h5py.Dataset)
                seen[path] = (item.shape, item.dtype.kind, item.chunks) if data else sorted(item.attrs)

            with h5py.File(tmp_path / "m.weights.h5") as file:
                file.visititems(note)
            found.append(seen)
        assert found[0] == found[1], name


def test_skip_mismatch_and_objects_to_skip(tmp_path: Path) -> None:
    def model(units: int) -> Any:
        return lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(units), lumbre.layers.Dense(2)])

    a, b = model(4), model(5)
    path = tmp_path / "m.weights.h5"
    a.save_weights(path)
    before = b.get_weights()
    with pytest.raises(
        ValueError, match=r"m\.weights\.h5: 2 objects could not be loaded.*layers/dense.*\(3, 5\)"
    ):
        b.load_weights(path)
    for v, w in zip(before, b.get_weights(), strict=True):
        np.testing.assert_array_equal(v, w)
    c = model(4)
    last = c.layers[1].get_weights()
    c.load_weights(path, objects_to_skip=[c.layers[1]])
    np.testing.assert_array_equal(c.layers[0].get_weights()[0], a.layers[0].get_weights()[0])
    np.testing.assert_array_equal(c.layers[1].get_weights()[0], last[0])
    d = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(4), lumbre.layers.Dense(3)])
    with pytest.warns(UserWarning, match="1 objects could not be loaded"):
        d.load_weights(path, skip_mismatch=True)
    np.testing.assert_array_equal(d.layers[0].get_weights()[0], a.layers[0].get_weights()[0])
    a.save_weights(path, objects_to_skip=[a.layers[0]])
    with pytest.raises(ValueError, match="received 0 variables"):
        a.load_weights(path)
    with pytest.raises(ValueError, match=r"`by_name` is only for files that end in \.h5"):
        a.load_weights(path, by_name=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'evil'"):
        a.load_weights(path, evil=True)


def test_a_compiled_model_gets_the_optimizers_state_with_the_weights(tmp_path: Path) -> None:
    case = plain(lumbre, OPTIMIZERS["Adam amsgrad"])
    fit(case.model, case)
    case.model.save_weights(tmp_path / "m.weights.h5")
    again = plain(lumbre, OPTIMIZERS["Adam amsgrad"])
    again.model.load_weights(tmp_path / "m.weights.h5")
    assert fit(again.model, case) == fit(case.model, case)
    other = plain(lumbre, OPTIMIZERS["Nadam"])
    with pytest.warns(UserWarning, match="Skipping variable loading for optimizer 'nadam"):
        other.model.load_weights(tmp_path / "m.weights.h5")


# Whole models in HDF5


LEGACY = ["sequential", "shared_and_nested", "lists", "penalties", "own_layers"]


@pytest.mark.parametrize("name", LEGACY)
def test_legacy_models_of_keras(name: str, tmp_path: Path) -> None:
    case = MODELS[name](keras)
    own_classes(lumbre)
    fit(case.model, case)
    path = tmp_path / "m.h5"
    case.model.save(path)
    again, fresh = saving.load_model(path), MODELS[name](lumbre).model
    fresh.load_weights(path)
    same_predictions(case.model, again, case.x)
    same_predictions(case.model, fresh, case.x)
    same_state(case.model, again)
    if case.repeats:
        np.testing.assert_allclose(fit(case.model, case), fit(again, case), rtol=1e-4)


@pytest.mark.parametrize("name", LEGACY)
def test_legacy_models_for_keras(name: str, tmp_path: Path) -> None:
    case = MODELS[name](lumbre)
    own_classes(keras)
    fit(case.model, case)
    path = tmp_path / "m.h5"
    case.model.save(path)
    # Keras cannot compile with names like "mse" from such files, nor does it restore the optimizer from them.
    again, fresh = keras.saving.load_model(path, compile=False), MODELS[name](keras).model
    fresh.load_weights(path)
    same_predictions(case.model, again, case.x)
    same_predictions(case.model, fresh, case.x)
    ours = saving.load_model(path)
    same_state(case.model, ours)
    if case.repeats:
        assert fit(ours, case) == fit(case.model, case)


def test_weights_by_name(tmp_path: Path) -> None:
    def model(k: Any, names: list[str]) -> Any:
        return k.Sequential([k.Input((3,)), *(k.layers.Dense(3, name=name) for name in names)])

    a, b = model(keras, ["a", "b"]), model(lumbre, ["b", "c"])
    a.save(tmp_path / "m.h5")
    before = b.layers[1].get_weights()
    b.load_weights(tmp_path / "m.h5", by_name=True)
    np.testing.assert_array_equal(b.layers[0].get_weights()[0], a.layers[1].get_weights()[0])
    np.testing.assert_array_equal(b.layers[1].get_weights()[0], before[0])
    c = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(3)])
    with pytest.raises(ValueError, match="the model has 1 layers with weights, and the file has 2"):
        c.load_weights(tmp_path / "m.h5")


KERAS_2 = {
    "class_name": "Model",
    "config": {
        "name": "model_1",
        "layers": [
            {
                "class_name": "InputLayer",
                "config": {"batch_input_shape": [None, 3], "dtype": "float32", "sparse": False, "name": "in"},
                "name": "in",
                "inbound_nodes": [],
            },
            *(
                {
                    "class_name": "Dense",
                    "config": {
                        "name": name,
                        "trainable": True,
                        "dtype": "float32",
                        "units": 3,
                        "activation": "tanh",
                        "use_bias": True,
                        "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
                        "bias_initializer": {"class_name": "Zeros", "config": {}},
                    },
                    "name": name,
                    "inbound_nodes": [[[above, 0, 0, {}]]],
                }
                for name, above in (("a", "in"), ("b", "a"))
            ),
            {
                "class_name": "BatchNormalization",
                "config": {
                    "name": "norm",
                    "trainable": True,
                    "dtype": "float32",
                    "axis": [1],
                    "momentum": 0.9,
                },
                "name": "norm",
                "inbound_nodes": [[["b", 0, 0, {}]]],
            },
            {
                "class_name": "Concatenate",
                "config": {"name": "join", "trainable": True, "dtype": "float32", "axis": -1},
                "name": "join",
                "inbound_nodes": [[["a", 0, 0, {}], ["norm", 0, 0, {}]]],
            },
        ],
        "input_layers": [["in", 0, 0]],
        "output_layers": [["join", 0, 0]],
    },
}


def test_a_file_of_keras_2(tmp_path: Path) -> None:
    """Its config says less of a class, calls are lists, and weights have names with `:0`."""
    path = tmp_path / "old.h5"
    weights = {
        "a": {"a/kernel:0": numbers(1, 3, 3), "a/bias:0": numbers(2, 3)},
        "b": {"b/kernel:0": numbers(3, 3, 3), "b/bias:0": numbers(4, 3)},
        "norm": {
            f"norm/{part}:0": np.abs(numbers(5, 3))
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        },
    }
    with h5py.File(path, "w") as f:
        f.attrs["keras_version"] = "2.9.0"
        f.attrs["model_config"] = json.dumps(KERAS_2)
        training = {
            "loss": "mse",
            "metrics": [
                [{"class_name": "MeanMetricWrapper", "config": {"name": "acc", "fn": "binary_accuracy"}}]
            ],
            "weighted_metrics": None,
            "loss_weights": None,
            "optimizer_config": {
                "class_name": "Adam",
                "config": {"name": "Adam", "learning_rate": 0.01, "decay": 0.0},
            },
        }
        f.attrs["training_config"] = json.dumps(training)
        group = f.create_group("model_weights")
        group.attrs["keras_version"] = b"2.9.0"
        group.attrs["layer_names"] = np.array([b"in", b"a", b"b", b"norm", b"join"])
        for name in ("in", "a", "b", "norm", "join"):
            of = group.create_group(name)
            of.attrs["weight_names"] = np.array([n.encode() for n in weights.get(name, {})])
            for key, value in weights.get(name, {}).items():
                of[key] = value
    model = saving.load_model(path)
    x = numbers(6, 5, 3)
    a = np.tanh(x @ weights["a"]["a/kernel:0"] + weights["a"]["a/bias:0"])
    b = np.tanh(a @ weights["b"]["b/kernel:0"] + weights["b"]["b/bias:0"])
    v = weights["norm"]["norm/gamma:0"]
    expected = np.concatenate([a, (b - v) / np.sqrt(v + 1e-3) * v + v], 1)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)
    assert model.optimizer.get_config()["learning_rate"] == pytest.approx(0.01)


# What is not there


def test_without_h5py_files_are_read_and_the_error_says_what_to_install(tmp_path: Path) -> None:
    case = MODELS["sequential"](keras)
    case.model.save(tmp_path / "m.keras")
    expected = case.model.predict(case.x, verbose=0)
    np.save(tmp_path / "x.npy", case.x)
    np.save(tmp_path / "y.npy", expected)
    script = """
import sys
sys.modules["h5py"] = None
import lumbre, numpy as np
model = lumbre.saving.load_model("m.keras")
np.testing.assert_allclose(model.predict(np.load("x.npy"), verbose=0), np.load("y.npy"), atol=1e-6)
for save, path in ((model.save, "n.keras"), (model.save_weights, "n.weights.h5"), (model.save, "n.h5")):
    try:
        save(path)
    except ImportError as error:
        assert "pip install 'lumbre[keras]'" in str(error) and "`.lumbre`" in str(error), error
    else:
        raise AssertionError(path)
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=100)


def test_an_archive_is_what_keras_writes(tmp_path: Path) -> None:
    case = MODELS["dicts"](lumbre)
    case.model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert archive.testzip() is None
        assert json.loads(archive.read("metadata.json")).keys() == {"keras_version", "date_saved"}
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]


# Ops in functional models


def test_the_table_of_ops_is_that_of_keras() -> None:
    """Module, class and constructor's arguments of each op that both have."""
    seen = 0
    for module_name in ("numpy", "nn", "core", "math", "linalg"):
        there = importlib.import_module(f"keras.src.ops.{module_name}")
        for name, kind in vars(there).items():
            op = snake_case(name)
            if not inspect.isclass(kind) or kind.__module__ != there.__name__ or op not in ops.__all__:
                continue
            taken = [
                p
                for p in inspect.signature(kind.__init__).parameters
                if p not in ("self", "name", "args", "kwargs")
            ]
            assert keras_ops.module_of(op) == there.__name__, op
            assert sorted(keras_ops.OPTIONS.get(op, ())) == sorted(taken), op
            seen += 1
    assert seen > 120


OPS: dict[str, Callable[[Any, Any], Any]] = {
    "getitem": lambda o, x: x[:, 1:, None, -1],
    "reshape": lambda o, x: o.reshape(x, (-1, 6)),
    "reductions": lambda o, x: o.max(x, 1) - o.mean(x, axis=1) + o.logsumexp(x, axis=(1,)),
    "einsum": lambda o, x: o.einsum("bij,bik->bjk", x, x),
    "joining": lambda o, x: o.stack(o.split(o.concatenate([x, x * 2], axis=1), 3, axis=1), axis=-1),
    "axes": lambda o, x: o.transpose(o.swapaxes(o.expand_dims(x, 1), 1, 2), (0, 3, 1, 2)),
    "clip": lambda o, x: o.clip(x, -0.5, 0.5) + o.where(x > 0, x, o.exp(x)),
    "activations": lambda o, x: o.softmax(o.leaky_relu(x, 0.3) + o.gelu(x, approximate=False), axis=1),
    "arithmetic": lambda o, x: (1.0 - x) / (o.abs(x) + 1.0) + 2.0**x - (-x) * x,
    "more": lambda o, x: o.take(o.cumsum(o.pad(x, [[0, 0], [1, 1], [0, 0]]), axis=1), [0, 2], axis=1),
}


@pytest.mark.parametrize("writer", SIDES)
@pytest.mark.parametrize("name", OPS)
def test_ops(name: str, writer: str, tmp_path: Path) -> None:
    k, other = SIDES[writer]
    inputs = k.Input((3, 2))
    model = k.Model(inputs, OPS[name](k.ops, inputs))
    model.save(tmp_path / "m.keras")
    x = numbers(30, 4, 3, 2)
    close(other.saving.load_model(tmp_path / "m.keras")(x), model(x))


# Looking into files


def test_inspect(tmp_path: Path) -> None:
    case = MODELS["own_layers"](keras)
    fit(case.model, case, 1)
    for name in ("m.keras", "m.h5"):
        case.model.save(tmp_path / name)
    case.model.save_weights(tmp_path / "m.weights.h5")
    whole, old, weights = (
        "\n".join(saving.inspect_file(tmp_path / name)) for name in ("m.keras", "m.h5", "m.weights.h5")
    )
    assert "Keras's layout of version 3." in whole and "checksum OK" in whole
    for text in (whole, old):
        assert "Sequential" in text and "optimizer: Adamax(" in text and "loss: LogCosh(" in text
    assert "registered as ten_models>Block" in whole
    assert "layers/block/_hidden/vars/0" in whole and "layers/block/_hidden/vars/0" in weights
    assert "weights only" in weights and "weights only" not in old
    sizes = sum(w.nbytes for w in case.model.get_weights())
    assert f"bytes: weights {sizes:,}, optimizer " in whole
