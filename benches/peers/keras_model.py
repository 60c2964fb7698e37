"""The workload's network, for anything with Keras's interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workloads import Workload, data, initial


def build(k: Any, workload: Workload) -> Any:
    """The model, compiled."""
    layers = [k.Input((workload.sizes[0],))]
    for i, n in enumerate(workload.sizes[1:]):
        last = i == len(workload.sizes) - 2
        layers.append(k.layers.Dense(n, activation="softmax" if last else "relu"))
        if workload.dropout and not last:
            layers.append(k.layers.Dropout(workload.dropout))
    model = k.Sequential(layers)
    model.set_weights(initial(workload))
    adam = workload.optimizer == "adam"
    optimizer = k.optimizers.Adam(0.001) if adam else k.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def runner(k: Any, workload: Workload) -> Callable[[int], float]:
    """What `make` returns."""
    model = build(k, workload)
    x, y = data(workload)

    def fit(epochs: int) -> float:
        history = model.fit(x, y, batch_size=workload.batch, epochs=epochs, verbose=0)
        return float(history.history["loss"][-1])

    def call(times: int) -> float:
        for _ in range(times):
            result = model(x)
        return float(result[0, 0])

    def predict(times: int) -> float:
        for _ in range(times):
            result = model.predict(x, verbose=0)
        return float(result[0, 0])

    return {"fit": fit, "call": call, "predict": predict}[workload.task]
