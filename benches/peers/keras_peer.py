"""The real Keras, on the backend that KERAS_BACKEND names."""

from __future__ import annotations

import os
from collections.abc import Callable

from workloads import Workload

from peers.lumbre_peer import epochs, keras_model

VARIANTS = {
    "jax": "model.fit on JAX",
    "torch": "model.fit on PyTorch",
    "tensorflow": "model.fit on TensorFlow",
}


def make(workload: Workload, variant: str, threads: int) -> Callable[[int], float]:
    os.environ["KERAS_BACKEND"] = variant
    __import__(variant)
    import keras

    if variant == "torch":
        import torch

        torch.set_num_threads(threads)
    model = keras_model(keras, workload)
    x, y = workload.data()

    def run(steps: int) -> float:
        n = epochs(workload, steps)
        history = model.fit(x, y, batch_size=workload.batch, epochs=n, verbose=0)  # type: ignore[attr-defined]
        return float(history.history["loss"][-1])

    return run
