"""Lumbre: `model.fit`, `model(x)`, `model.predict`."""

from __future__ import annotations

from collections.abc import Callable

from workloads import Workload

import lumbre
from peers.keras_model import runner


def make(workload: Workload, variant: str, threads: int) -> Callable[[int], float]:
    lumbre.set_num_threads(threads)
    return runner(lumbre, workload)
