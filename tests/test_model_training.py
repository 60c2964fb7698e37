"""What is trainable, penalties, metrics and steps of one's own, beside the real Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import keras
from model_forms import FIT, Z, both, nested_chain
from small_models import TARGET, WIDTH, X, assert_captured, filled

pytestmark = pytest.mark.filterwarnings("ignore", "error:.*run in Python, several times slower")

# Trainable


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
    """Which weights have changed; but for a bias in front of a normalization, which has no gradient."""
    return [bool((a != b).any()) for a, b in zip(before, model.get_weights(), strict=True)][2:]


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
    assert all(changed(model, before))  # the moving statistics, too
    assert not inner.trainable and inner.trainable_weights == []
    before = model.get_weights()
    model.train_on_batch(X, TARGET)
    assert all(changed(model, before))
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(X, TARGET, **FIT)
    assert changed(model, before) == [False] * 6 + [True] * 2
    assert_captured(model, "train")
    inner.trainable = True
    before = model.get_weights()
    with pytest.warns(UserWarning, match="trained as compiled"):
        model.fit(X, TARGET, **FIT)
    assert changed(model, before) == [False] * 6 + [True] * 2
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


@pytest.mark.parametrize("names", [("b", "a"), ("a", "b")])
def test_evaluate_lists_losses_in_the_order_of_their_dict(names: tuple[str, str]) -> None:
    x = np.ones((8, 3), "float32")
    results = []
    for k in (keras, lumbre):
        inputs = k.Input((3,))
        model = k.Model(inputs, {name: k.layers.Dense(1, "relu", name=name)(inputs) for name in "ba"})
        model.compile("sgd", dict(zip(names, ("mse", "mae"), strict=True)), metrics={"a": ["mse"]})
        model.set_weights([np.full(w.shape, 0.1 * i, "float32") for i, w in enumerate(model.get_weights())])
        results.append(model.evaluate(x, {"a": x[:, :1], "b": 2 * x[:, 1:2]}, verbose=0))
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5)
