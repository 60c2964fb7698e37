"""Steps of one's own, against plain `fit`: `python benches/loops.py`.

784-512-512-10, batch 128, Adam. Each form trains an epoch in turn with `fit` before and after it; the median
of the ratios counts. The limit for a `train_step` is 1.05.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import lumbre

SIZES = (784, 512, 512, 10)
BATCH = 128


class Plain(lumbre.Model):
    """Trained as `compile` says."""


def measured(model: Any, loss: Any, y: Any, y_pred: Any) -> dict[str, Any]:
    """The end of a step: the metrics take the batch in, and tell their values."""
    for metric in model.metrics:
        if metric.name == "loss":
            metric.update_state(loss)
        else:
            metric.update_state(y, y_pred)
    return {metric.name: metric.result() for metric in model.metrics}


class WithTape(lumbre.Model):
    """The form of Keras's guide to customizing `fit`."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with lumbre.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return measured(self, loss, y, y_pred)


class WithBackward(lumbre.Model):
    """The form that PyTorch's users write."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        self.zero_grad()
        y_pred = self(x, training=True)
        loss = self.compute_loss(y=y, y_pred=y_pred)
        loss.backward()
        with lumbre.no_grad():
            self.optimizer.apply([v.value.grad for v in self.trainable_weights], self.trainable_weights)
        return measured(self, loss, y, y_pred)


def network(kind: type) -> Any:
    inputs = x = lumbre.Input(SIZES[:1])
    for units in SIZES[1:-1]:
        x = lumbre.layers.Dense(units, "relu")(x)
    model = kind(inputs, lumbre.layers.Dense(SIZES[-1], "softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def captured_loop(x: np.ndarray, y: np.ndarray) -> Callable[[], None]:
    """An epoch of a loop from scratch, its step captured."""
    model = network(Plain)
    loss_of = lumbre.losses.SparseCategoricalCrossentropy()
    accuracy = lumbre.metrics.SparseCategoricalAccuracy()

    @lumbre.capture
    def step(x: Any, y: Any) -> Any:
        with lumbre.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = loss_of(y, y_pred)
        model.optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
        accuracy.update_state(y, y_pred)
        return loss

    def epoch() -> None:
        for start in range(0, len(x), BATCH):
            step(x[start : start + BATCH], y[start : start + BATCH])

    return epoch


def fitted(model: Any, x: np.ndarray, y: np.ndarray) -> Callable[[], None]:
    return lambda: model.fit(x, y, BATCH, shuffle=False, verbose=0)


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.random((options.steps * BATCH, SIZES[0]), dtype="float32")
    y = rng.integers(0, SIZES[-1], len(x))
    plain = fitted(network(Plain), x, y)
    forms = {
        "train_step with a tape": fitted(network(WithTape), x, y),
        "train_step with backward()": fitted(network(WithBackward), x, y),
        "captured loop": captured_loop(x, y),
    }
    for work in (plain, *forms.values()):
        work()
        work()
    ratios: dict[str, list[float]] = {name: [] for name in forms}
    before = seconds(plain)
    for _ in range(options.rounds):
        for name, work in forms.items():
            took = seconds(work)
            after = seconds(plain)
            ratios[name].append(2 * took / (before + after))
            before = after
    print(f"fit: {1e6 * before / options.steps:.0f} µs a step")
    for name, found in ratios.items():
        print(f"{name}: {statistics.median(found):.3f} × fit")


if __name__ == "__main__":
    main()
