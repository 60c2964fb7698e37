"""Replayed steps leave the same bits as eager ones: for every layer, loss, optimizer and schedule.

The tables are those that the real Keras is compared with. Each case trains through ragged last
batches and a change of the batch size, for more than three replays of every shape.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import layers, losses, optimizers
from lumbre.optimizers import schedules
from test_layers import CASES, as_inputs
from test_losses import CASES as LOSSES
from test_normalization import ALL as NORMALIZED
from test_optimizer_parity import OPTIMIZERS as MORE_OPTIMIZERS
from test_optimizers import OPTIMIZERS, SCHEDULES, SHARED

LAYERS = [*CASES, *NORMALIZED]

ROWS = 22
BATCHES = (8, 22, 5)
"""22 rows make batches of 8, 8, 6; 22; 5, 5, 5, 5, 2."""

EPOCHS = 6
"""Two recorded steps of every shape, three compared by `LUMBRE_CHECK`, and one that is not."""


class Scale(lumbre.Layer):
    """x · s: gradients have to come through whatever follows."""

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.s = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="s")

    def call(self, inputs: Any) -> Any:
        return lumbre.ops.multiply(inputs, self.s)


def rows(array: np.ndarray) -> np.ndarray:
    """The array's rows again and again, up to `ROWS`."""
    return np.take(array, np.arange(ROWS) % len(array), axis=0)


def assert_replays(make: Callable[[bool], lumbre.Model], x: Any, y: Any, weights: Any = None) -> None:
    """Trains, evaluates and predicts with two equal models, one of them eagerly: their bits are the same."""
    seen = []
    for eager in (True, False):
        lumbre.utils.set_random_seed(1)  # weights, dropout and shuffles
        model = make(eager)
        found: list[Any] = []
        for batch in BATCHES:
            history = model.fit(x, y, batch, EPOCHS, sample_weight=weights, verbose=0).history
            found.append(history)
        for _ in range(EPOCHS):
            found.append(model.evaluate(x, y, 8, sample_weight=weights, verbose=0))
            found.append(model.predict(x, 8, verbose=0))
        found += [v.numpy() for v in [*model.variables, *model.optimizer.variables]]
        seen.append(found)
        for kind in ("train", "test", "predict"):
            entries = model._runner(kind)._captured._entries.values()
            assert len(entries) == (5 if kind == "train" else 2)
            assert all((entry.program is None) == eager for entry in entries)
    np.testing.assert_equal(seen[0], seen[1])


@pytest.mark.filterwarnings("ignore:Layer .flatten:UserWarning")  # which ends a mask
@pytest.mark.parametrize("case", range(len(LAYERS)))
def test_layers(case: int) -> None:
    make, inputs = LAYERS[case]
    inputs = [rows(a) for a in inputs] if isinstance(inputs, list) else rows(inputs)

    def scaled(x: Any) -> Any:
        return Scale()(x) if len(x.shape) > 1 and x.dtype.startswith("float") else x

    def model(eager: bool) -> lumbre.Model:
        x = as_inputs(lumbre, inputs, None)
        y = make(lumbre)([scaled(one) for one in x] if isinstance(x, list) else scaled(x))
        made = lumbre.Model(x, layers.Dense(2)(layers.Flatten()(y)))
        made.compile(optimizers.SGD(0.01, momentum=0.9), "mse", run_eagerly=eager)
        return made

    assert_replays(model, inputs, np.linspace(-1, 1, 2 * ROWS, dtype="float32").reshape(ROWS, 2))


@pytest.mark.filterwarnings("ignore:the output is no probability:UserWarning")  # scaled, it is none
@pytest.mark.parametrize("case", range(len(LOSSES)))
def test_losses(case: int) -> None:
    name, options, y_true, y_pred = LOSSES[case]
    x, y = rows(y_pred), rows(y_true)
    values = getattr(losses, name)(**{**options, "reduction": "none"})(y, x)
    per_row = values.shape[:1] == (ROWS,) and values.ndim == 1
    weights = np.linspace(0, 2, ROWS, dtype="float32") if per_row else None

    def model(eager: bool) -> lumbre.Model:
        made = lumbre.Sequential([lumbre.Input(x.shape[1:]), Scale()])
        made.compile(optimizers.SGD(1e-4), getattr(losses, name)(**options), run_eagerly=eager)
        return made

    assert_replays(model, x, y, weights)


OURS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [  # schedules that Keras does not have
    ("OneCycle", (0.1, 30), {}),
    ("WarmupStableDecay", (0.1, 4, 5, 20), {}),
]
STEPS = [*OPTIMIZERS, *((key.split()[0], options) for key, options in MORE_OPTIMIZERS.items())]
STEPS += [
    ("AdamW" if "weight_decay" in shared else "SGD", {"learning_rate": 0.1, **shared}) for shared in SHARED
]
STEPS += [
    ("Adam", {"learning_rate": getattr(schedules, name)(*arguments, **options)})
    for name, arguments, options in [*SCHEDULES, *OURS]
]


@pytest.mark.parametrize("case", range(len(STEPS)))
def test_optimizers(case: int) -> None:
    name, options = STEPS[case]
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(ROWS, 4)).astype("float32"), rng.integers(0, 3, ROWS)

    def model(eager: bool) -> lumbre.Model:
        made = lumbre.Sequential(
            [
                lumbre.Input((4,)),
                layers.Dense(5, "tanh"),
                layers.Dropout(0.2, seed=2),
                layers.Dense(3, "softmax"),
            ]
        )
        optimizer = getattr(optimizers, name)(**options)
        if case == len(STEPS) - 1:
            optimizer = optimizers.LossScaleOptimizer(optimizer, dynamic_growth_steps=5)
        made.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=eager)
        return made

    assert_replays(model, x, y)


def public(module: Any, base: type) -> set[str]:
    """The classes that a module offers, without those that others derive from."""
    offered = {c for c in vars(module).values() if inspect.isclass(c) and issubclass(c, base)}
    return {c.__name__ for c in offered if not any(o is not c and issubclass(o, c) for o in offered)}


def test_the_tables_are_complete() -> None:
    """A new layer, loss, optimizer or schedule has a line in the table of its tests."""
    made = {type(make(lumbre)).__name__ for make, _ in LAYERS}
    assert public(layers, layers.Layer) - made == {"InputLayer", "Wrapper"}
    assert public(losses, losses.Loss) <= {name for name, *_ in LOSSES}
    stepped = {name for name, _ in STEPS}
    assert public(optimizers, optimizers.Optimizer) <= stepped | {"LossScaleOptimizer"}
    assert public(schedules, schedules.LearningRateSchedule) <= {name for name, *_ in SCHEDULES + OURS}
