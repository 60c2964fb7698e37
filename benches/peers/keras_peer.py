"""The real Keras, on the backend that KERAS_BACKEND names: the variant."""

from __future__ import annotations

from collections.abc import Callable

import keras
from workloads import Workload

from peers.keras_model import runner


def make(workload: Workload, variant: str, threads: int) -> Callable[[int], float]:
    if variant == "torch":
        import torch

        torch.set_num_threads(threads)
    return runner(keras, workload)
