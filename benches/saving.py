"""Saving and loading 400 MB of weights, beside writing and reading the same bytes.

Run it alone: `python benches/saving.py [folder]`. The folder should be on the disk that is of interest. The
page cache cannot be emptied without being root, so reading is from memory for both: the disk, which is
slower, would hide what checking costs.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import lumbre

LAYERS, WIDTH, ROUNDS = 10, 3200, 5  # ten matrices of 41 MB


def network() -> Any:
    dense = [lumbre.layers.Dense(WIDTH, kernel_initializer="zeros") for _ in range(LAYERS)]
    model = lumbre.Sequential([lumbre.Input((WIDTH,)), *dense])
    rng = np.random.default_rng(0)
    for w in model.weights:
        w.assign(rng.random(w.shape, "float32"))
    return model


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def write(path: str, data: bytearray) -> None:
    with open(path, "wb", buffering=0) as file:
        rest = memoryview(data)
        while len(rest):
            rest = rest[file.write(rest[: 1 << 24]) :]
        os.fsync(file.fileno())


def read(path: str) -> np.ndarray:
    return np.fromfile(path, np.uint8)


def peak() -> float:
    """The most memory that the process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        empty = peak()
        model, raw, saved = network(), f"{folder}/raw", f"{folder}/m.lumbre"
        made = peak()
        model.save_weights(saved)
        after_saving = peak()
        model.load_weights(saved)
        after_loading = peak()
        size = os.path.getsize(saved)
        data = bytearray(size)
        memoryview(data)[:] = np.random.default_rng(1).bytes(size)
        times: dict[str, list[float]] = {"write": [], "save": [], "read": [], "load": []}
        for _ in range(ROUNDS):
            times["write"].append(seconds(lambda: write(raw, data)))
            times["save"].append(seconds(lambda: model.save_weights(saved)))
            times["read"].append(seconds(lambda: read(raw)))
            times["load"].append(seconds(lambda: model.load_weights(saved)))
        median = {name: statistics.median(values) for name, values in times.items()}
    print(f"{size / 1e6:.0f} MB of weights, median of {ROUNDS}")
    print(
        f"write and flush {median['write']:.3f} s, save {median['save']:.3f} s: "
        f"{median['save'] / median['write']:.2f}"
    )
    print(f"read {median['read']:.3f} s, load {median['load']:.3f} s: {median['load'] / median['read']:.2f}")
    print(
        f"memory: {made - empty:.0f} MB at most for making the model, {after_saving - empty:.0f} MB after "
        f"saving it, {after_loading - empty:.0f} MB after loading"
    )


if __name__ == "__main__":
    main()
