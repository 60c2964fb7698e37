"""Lumbre: `model.fit`."""

from __future__ import annotations

from collections.abc import Callable

from workloads import Workload

VARIANTS = {"fit": "model.fit"}


def make(workload: Workload, variant: str, threads: int) -> Callable[[int], float]:
    import lumbre

    lumbre.set_num_threads(threads)
    model = keras_model(lumbre, workload)
    x, y = workload.data()

    def run(steps: int) -> float:
        history = model.fit(x, y, batch_size=workload.batch, epochs=epochs(workload, steps), verbose=0)
        return float(history.history["loss"][-1])

    return run


def epochs(workload: Workload, steps: int) -> int:
    """The passes through the data that make this many steps."""
    per_epoch = -(-workload.rows // workload.batch)
    return max(1, round(steps / per_epoch))


def keras_model(k: object, workload: Workload) -> object:
    """The workload's network, compiled, for anything with Keras's interface."""
    layers: list[object] = [k.Input((workload.sizes[0],))]  # type: ignore[attr-defined]
    for i, n in enumerate(workload.sizes[1:]):
        last = i == len(workload.sizes) - 2
        layers.append(k.layers.Dense(n, activation="softmax" if last else "relu"))  # type: ignore[attr-defined]
        if workload.dropout and not last:
            layers.append(k.layers.Dropout(workload.dropout))  # type: ignore[attr-defined]
    model = k.Sequential(layers)  # type: ignore[attr-defined]
    model.set_weights(workload.initial())
    optimizers = k.optimizers  # type: ignore[attr-defined]
    optimizer = optimizers.Adam(0.001) if workload.optimizer == "adam" else optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model
