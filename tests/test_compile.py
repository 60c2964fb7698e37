"""Losses and metrics of one and several outputs, and steps of the user's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import layers
from small_models import (
    CLASSES,
    LABELS,
    ONE_HOT,
    TARGET,
    WEIGHTS,
    WIDTH,
    N,
    X,
    build,
    close,
    compiled,
    two_outputs,
)


@pytest.fixture(scope="module")
def keras() -> Any:
    return pytest.importorskip("keras")


# Against Keras

COMPILED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # what the model is, what it is compiled with; the data follows from the loss
    "sparse": ({}, {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}),
    "one-hot": ({}, {"loss": "categorical_crossentropy", "metrics": ["acc", "mse"]}),
    "automatic": ({}, {"loss": "crossentropy", "metrics": ["accuracy"]}),
    "binary": (
        {"units": 1, "activation": "sigmoid"},
        {"loss": "binary_crossentropy", "metrics": ["accuracy"], "weighted_metrics": ["accuracy"]},
    ),
    "regression": ({"units": 1, "activation": None}, {"loss": "mse", "metrics": ["mae", "mse"]}),
    "penalty": ({"kernel_regularizer": "l2"}, {"loss": "sparse_categorical_crossentropy"}),
}


def targets(case: str) -> np.ndarray:
    if case == "regression":
        return TARGET
    if case == "binary":
        return (LABELS > 0).astype("float32")
    return ONE_HOT if case == "one-hot" else LABELS


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", COMPILED)
def test_fit_like_keras(keras: Any, case: str, weighted: bool) -> None:
    built, compiled = COMPILED[case]
    results = []
    for lib in (lumbre, keras):
        model = build(lib, **built)
        model.compile(lib.optimizers.SGD(0.1), **compiled)
        y, weight = targets(case), WEIGHTS if weighted else None
        history = model.fit(
            X,
            y,
            batch_size=16,
            epochs=3,
            shuffle=False,
            verbose=0,
            sample_weight=weight,
            validation_data=(X[:20], y[:20], None if weight is None else weight[:20]),
            validation_batch_size=7,
        )
        results.append((history, model.evaluate(X, y, verbose=0, sample_weight=weight), model))
    (ours, value, model), (theirs, expected, reference) = results
    close(ours.history, theirs.history)
    close(value, expected)
    assert ours.epoch == theirs.epoch and ours.params == {**theirs.params}
    assert model.metrics_names == reference.metrics_names
    for w, v in zip(model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(w, v, rtol=1e-4, atol=1e-5)


MULTI: dict[str, dict[str, Any]] = {
    "one for all": {"loss": "mse"},
    "lists": {
        "loss": ["mse", "sparse_categorical_crossentropy"],
        "metrics": [["mae"], ["acc", "accuracy"]],
        "loss_weights": [1.0, 0.5],
    },
    "dicts": {
        "loss": {"p": "mse", "q": "sparse_categorical_crossentropy"},
        "metrics": {"q": "accuracy"},
        "loss_weights": {"p": 2.0, "q": 0.25},
    },
    "weighted twice": {
        "loss": {"p": "mse", "q": "crossentropy"},
        "metrics": {"p": ["mse"]},
        "weighted_metrics": {"p": ["mse", "mse"], "q": "accuracy"},
    },
}


@pytest.mark.parametrize("as_dict", [False, True])
@pytest.mark.parametrize("case", MULTI)
def test_several_outputs_like_keras(keras: Any, case: str, as_dict: bool) -> None:
    if as_dict and case == "lists":
        pytest.skip("a list for a dict of outputs depends on the order of keys")
    results = []
    for lib in (lumbre, keras):
        model = two_outputs(lib, as_dict)
        model.compile(lib.optimizers.SGD(0.05), **MULTI[case])
        q = ONE_HOT if case == "one for all" else LABELS
        y: Any = {"p": TARGET, "q": q} if as_dict else [TARGET, q]
        history = model.fit(X, y, batch_size=16, epochs=2, shuffle=False, verbose=0, sample_weight=WEIGHTS)
        results.append(
            (
                history.history,
                model.evaluate(X, y, verbose=0),
                model.evaluate(X, y, verbose=0, return_dict=True),
                model.train_on_batch(X, y),
                model.test_on_batch(X, y, return_dict=True),
            )
        )
    for ours, theirs in zip(*results, strict=True):
        close(ours, theirs)


def test_targets_by_name_are_those_in_order() -> None:
    model = two_outputs(lumbre)
    model.compile("sgd", ["mse", "sparse_categorical_crossentropy"], metrics={"q": ["ce", "accuracy"]})
    logs = model.evaluate(X, {"q": LABELS, "p": TARGET}, verbose=0, return_dict=True)
    assert logs == model.evaluate(X, (TARGET, LABELS), verbose=0, return_dict=True)
    assert list(logs) == ["loss", "p_loss", "q_accuracy", "q_ce", "q_loss"]
    assert logs["q_ce"] == pytest.approx(logs["q_loss"], rel=1e-5)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_loss_for_one_output_only() -> None:
    model = two_outputs(lumbre)
    model.compile("sgd", loss=["mse", None])
    assert list(model.fit(X, [TARGET, LABELS], verbose=0).history) == ["loss"]
    model.compile("sgd", loss={"p": "mse", "q": None})
    assert list(model.fit(X, TARGET, verbose=0).history) == ["loss"]
    model.compile("sgd", loss={"p": "mse"})
    with pytest.raises(ValueError, match=r"output 'q' has no loss: expected keys .* or None to leave it out"):
        model.fit(X, TARGET, verbose=0)


def test_losses_that_fit_no_output() -> None:
    model = two_outputs(lumbre)
    for loss, text in (
        ({"z": "mse"}, "named"),
        (["mse"] * 3, "3 members"),
        ({"p": "mse", "z": "mse"}, "'z'"),
    ):
        model.compile("sgd", loss=loss)
        with pytest.raises(ValueError, match=text):
            model.fit(X, [TARGET, LABELS], verbose=0)
    model.compile("sgd", loss="mse", loss_weights=[1.0])
    with pytest.raises(
        ValueError, match="`loss_weights` must match the number of losses, got 2 losses and 1"
    ):
        model.fit(X, [TARGET, ONE_HOT], verbose=0)
    model.compile("sgd", loss="mse", metrics=["mae"])
    with pytest.raises(ValueError, match="Invalid `metrics`"):
        model.fit(X, [TARGET, ONE_HOT], verbose=0)
    model.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match="y_true and y_pred have different structures"):
        model.fit(X, [TARGET, ONE_HOT, TARGET], verbose=0)


def test_subclassed_models_have_a_loss_for_each_output() -> None:
    class Two(lumbre.Model):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = layers.Dense(1), layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            return {"left": self.a(inputs), "right": self.b(inputs)}

    model = Two()
    model.compile("sgd", "mse")
    history = model.fit(X, {"left": TARGET, "right": TARGET}, verbose=0).history
    assert list(history) == ["left_loss", "loss", "right_loss"]


def test_class_weight(keras: Any) -> None:
    weights = {0: 1.0, 1: 5.0}
    for y, loss in (
        (LABELS, "sparse_categorical_crossentropy"),
        (LABELS[:, None], "sparse_categorical_crossentropy"),
        (ONE_HOT, "categorical_crossentropy"),
    ):
        results = []
        for lib in (lumbre, keras):
            model = build(lib)
            model.compile(lib.optimizers.SGD(0.1), loss, weighted_metrics=["accuracy"])
            history = model.fit(X, y, class_weight=weights, shuffle=False, verbose=0, epochs=2)
            results.append((history.history, model.train_on_batch(X, y, class_weight=weights)))
        close(results[0][0], results[1][0])
        close(results[0][1], results[1][1])


# Steps of one's own


def test_train_step_and_test_step() -> None:
    class Net(lumbre.Sequential):  # type: ignore[name-defined, misc]
        def train_step(self, data: Any) -> Any:
            x, y = data
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred)
            variables = self.trainable_variables
            self.optimizer.apply(lumbre.grad(loss, variables), variables)
            return {"my_loss": loss, "twice": 2.0 * loss}

        def test_step(self, data: Any) -> Any:
            x, y = data
            return {"error": lumbre.ops.mean(lumbre.ops.abs(self(x, training=False) - y))}

    model = Net([lumbre.Input((WIDTH,)), layers.Dense(1)])
    model.compile(lumbre.optimizers.SGD(0.05), "mse")
    history = model.fit(X, TARGET, batch_size=25, epochs=20, verbose=0, validation_data=(X, TARGET)).history
    assert list(history) == ["my_loss", "twice", "val_error"]
    assert history["my_loss"][-1] < history["my_loss"][0] / 5
    assert history["twice"] == pytest.approx([2 * v for v in history["my_loss"]])
    difference = np.abs(model.predict(X, verbose=0) - TARGET)
    assert model.evaluate(X, TARGET, batch_size=N, verbose=0) == pytest.approx(difference.mean(), rel=1e-4)


def test_a_step_that_logs_a_loss_of_its_own() -> None:
    class Net(lumbre.Sequential):  # type: ignore[name-defined, misc]
        def train_step(self, data: Any) -> Any:
            x, y = data
            loss = self.compute_loss(x, y, self(x, training=True))
            self.optimizer.apply(lumbre.grad(loss, self.trainable_variables), self.trainable_variables)
            return {"loss": loss}

    model = Net([lumbre.Input((WIDTH,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    expected = model.evaluate(X, TARGET, verbose=0)
    history = model.fit(X, TARGET, batch_size=N, verbose=0).history
    assert history["loss"] == pytest.approx([expected], rel=1e-5)


def test_a_step_that_calls_the_default_one() -> None:
    class Net(lumbre.Sequential):  # type: ignore[name-defined, misc]
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    model = Net([lumbre.Input((WIDTH,)), layers.Dense(1)])
    model.set_weights([np.ones((WIDTH, 1), "float32"), np.zeros(1, "float32")])
    model.compile("sgd", "mse", metrics=["mae"])
    reference = lumbre.Sequential([lumbre.Input((WIDTH,)), layers.Dense(1)])
    reference.set_weights([np.ones((WIDTH, 1), "float32"), np.zeros(1, "float32")])
    reference.compile("sgd", "mse", metrics=["mae"])
    options: dict[str, Any] = {"epochs": 3, "batch_size": 20, "shuffle": False, "verbose": 0}
    assert model.fit(X, TARGET, **options).history == reference.fit(X, TARGET, **options).history


def test_predict_step() -> None:
    class Net(lumbre.Sequential):  # type: ignore[name-defined, misc]
        def predict_step(self, data: Any) -> Any:
            return lumbre.ops.argmax(super().predict_step(data), axis=-1)

    model = Net([lumbre.Input((WIDTH,)), layers.Dense(CLASSES)])
    assert model.predict(X, batch_size=20, verbose=0).shape == (N,)


def test_compute_loss_and_compute_metrics() -> None:
    class Net(lumbre.Sequential):  # type: ignore[name-defined, misc]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.worst = lumbre.metrics.Mean(name="worst")

        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return lumbre.ops.mean(lumbre.ops.abs(y - y_pred))

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            self.worst.update_state(lumbre.ops.max(lumbre.ops.abs(y - y_pred)))
            return super().compute_metrics(x, y, y_pred, sample_weight)

    model = Net([lumbre.Input((WIDTH,)), layers.Dense(1)])
    model.compile("sgd", metrics=["mae"])
    history = model.fit(X, TARGET, batch_size=N, epochs=2, verbose=0).history
    assert list(history) == ["loss", "mae", "worst"]
    assert history["loss"] == pytest.approx(history["mae"], rel=1e-5)
    assert model.worst in model.metrics and len(model.worst.variables) == 2


def test_no_loss() -> None:
    model = lumbre.Sequential([lumbre.Input((WIDTH,)), layers.Dense(1)])
    model.compile("sgd", metrics=["mae"])
    with pytest.raises(ValueError, match=r"No loss to compute. Provide a `loss` argument in `compile\(\)`."):
        model.fit(X, TARGET, verbose=0)
    loss, mae = model.evaluate(X, TARGET, verbose=0)
    assert loss == 0.0 and mae > 0


def test_add_loss_only() -> None:
    class Penalty(layers.Layer):
        def call(self, inputs: Any) -> Any:
            self.add_loss(lumbre.ops.mean(lumbre.ops.square(inputs)))
            return inputs

    model = lumbre.Sequential([lumbre.Input((WIDTH,)), layers.Dense(2), Penalty()])
    model.compile(lumbre.optimizers.SGD(0.1))
    history = model.fit(X, epochs=5, verbose=0).history
    assert list(history) == ["loss"] and history["loss"][-1] < history["loss"][0]


# compile


def test_compiling_again_starts_anew() -> None:
    model = compiled()
    model.fit(X, LABELS, verbose=0)
    before = model.get_weights()
    model.compile("sgd", "categorical_crossentropy", metrics=["mse"])
    assert list(model.evaluate(X, ONE_HOT, verbose=0, return_dict=True)) == ["loss", "mse"]
    for w, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(w, b)


def test_trainable_changes_are_noticed() -> None:
    model = compiled()
    model.fit(X, LABELS, verbose=0)
    model.layers[0].trainable = False
    with pytest.warns(
        UserWarning, match="A layer's `trainable` state has changed since the model was compiled"
    ):
        model.fit(X, LABELS, verbose=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    frozen, free = model.layers[0].get_weights(), model.layers[1].get_weights()
    model.fit(X, LABELS, verbose=0)
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], frozen[0])
    assert (model.layers[1].get_weights()[0] != free[0]).any()


def test_a_model_without_weights() -> None:
    model = lumbre.Sequential([lumbre.Input((1,)), layers.ReLU()])
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="does not have any trainable weights"):
        model.fit(TARGET, TARGET, verbose=0)


def test_functions_and_objects() -> None:
    def error(y_true: Any, y_pred: Any) -> Any:
        return lumbre.ops.mean(lumbre.ops.abs(y_true - y_pred), axis=-1)

    model = lumbre.Sequential([lumbre.Input((WIDTH,)), layers.Dense(1)])
    for loss in (error, lumbre.losses.MeanAbsoluteError(), "MeanAbsoluteError", "mae"):
        metrics = [error, lumbre.metrics.MeanAbsoluteError(name="m")]
        model.compile(lumbre.optimizers.SGD(0.0), loss, metrics=metrics)
        logs = model.evaluate(X, TARGET, verbose=0, return_dict=True)
        assert list(logs) == ["error", "loss", "m"]
        assert logs["error"] == pytest.approx(logs["loss"], rel=1e-5) == pytest.approx(logs["m"], rel=1e-5)


def test_unbuilt_models_are_built_by_their_data() -> None:
    for action in (
        lambda m: m.fit(X, LABELS, verbose=0),
        lambda m: m.evaluate(X, LABELS, verbose=0),
        lambda m: m.predict(X, verbose=0),
        lambda m: m.train_on_batch(X, LABELS),
    ):
        model = lumbre.Sequential([layers.Dense(5), layers.Dense(CLASSES, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        action(model)
        assert model.built and model.count_params() == 5 * (WIDTH + 1) + CLASSES * 6


def test_metrics_start_anew() -> None:
    model = compiled()
    a = model.evaluate(X, LABELS, verbose=0)
    assert model.evaluate(X, LABELS, verbose=0) == a
    model.reset_metrics()
    assert float(model.get_metrics_result()["accuracy"]) == 0.0
