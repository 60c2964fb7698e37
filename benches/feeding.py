"""Training from every form of data, against the same numbers as one float32 array in memory.

`python benches/feeding.py` trains 784-512-512-10 in batches of 128 from each form in turn and tells how long
a step takes, as a multiple of a step from the array: the median over rounds, each form against the array
before and after it. `start` is what comes before the first step: checks, and the rows of a frame put
together. Processes send every batch through a pipe: they are for loading that is dearer than that, and have
no limit here. `--memory` trains from a memory map of 4 GB (a sparse file) and tells how much more private
memory that took than a small array. Forms whose library is not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import lumbre

SIZES = (784, 512, 512, 10)
BATCH = 128
LIMIT = 1.1
MAP_BYTES = 4 * 10**9


class Batches:
    """An iterable of batches that are there already."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.batches = [(x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, len(x), BATCH)]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class Slices(lumbre.utils.PyDataset):
    """Batches that are cut out of an array by the workers."""

    def __init__(self, x: np.ndarray, y: np.ndarray, **options: Any) -> None:
        super().__init__(**options)
        self.x, self.y = x, y

    def __len__(self) -> int:
        return -(-len(self.x) // BATCH)

    def __getitem__(self, i: int) -> Any:
        rows = slice(i * BATCH, (i + 1) * BATCH)
        return self.x[rows].copy(), self.y[rows]


def forms(folder: Path, rows: int) -> dict[str, Callable[[], tuple[Any, Any]]]:
    """What makes (x, y) in each form; the numbers are the same, most of them zero."""
    rng = np.random.default_rng(0)
    x = rng.random((rows, SIZES[0]), "float32") * (rng.random((rows, SIZES[0])) < 0.2)
    x, y = x.astype("float32"), rng.integers(0, SIZES[-1], rows)
    names = [f"p{i}" for i in range(SIZES[0])]

    def mapped() -> tuple[Any, Any]:
        np.save(folder / "x.npy", x)
        return np.load(folder / "x.npy", mmap_mode="r"), y

    def pandas() -> tuple[Any, Any]:
        import pandas

        return pandas.DataFrame(x, columns=names), pandas.Series(y)

    def polars() -> tuple[Any, Any]:
        import polars

        return polars.DataFrame(x, schema=names), polars.Series("y", y)

    def scipy() -> tuple[Any, Any]:
        import scipy.sparse

        return scipy.sparse.csr_array(x), y

    known = {
        "array": lambda: (x, y),
        "big-endian array": lambda: (x.astype(">f4"), y),
        "memory map": mapped,
        "pandas frame": pandas,
        "polars frame": polars,
        "scipy sparse matrix": scipy,
        "iterable of batches": lambda: (Batches(x, y), None),
        "PyDataset": lambda: (Slices(x, y), None),
        "PyDataset, 2 workers": lambda: (Slices(x, y, workers=2), None),
        "PyDataset, 2 processes": lambda: (Slices(x, y, workers=2, use_multiprocessing=True), None),
    }
    missing = [n for n in ("pandas", "polars", "scipy") if importlib.util.find_spec(n) is None]
    return {name: make for name, make in known.items() if name.split()[0] not in missing}


def network() -> Any:
    model = lumbre.Sequential([lumbre.Input(SIZES[:1])])
    for units in SIZES[1:-1]:
        model.add(lumbre.layers.Dense(units, activation="relu"))
    model.add(lumbre.layers.Dense(SIZES[-1], activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Clock(lumbre.callbacks.Callback):
    """When training began and ended."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.began = time.perf_counter()

    def on_train_end(self, logs: Any = None) -> None:
        self.ended = time.perf_counter()


def measure(model: Any, x: Any, y: Any, epochs: int) -> tuple[float, float]:
    """Seconds before the first step, and those of all steps."""
    clock, start = Clock(), time.perf_counter()
    options = {"batch_size": BATCH} if y is not None else {"shuffle": isinstance(x, Slices)}
    model.fit(x, y, epochs=epochs, verbose=0, callbacks=[clock], **options)
    return clock.began - start, clock.ended - clock.began


def speed(chosen: list[str], rows: int, epochs: int, rounds: int) -> bool:
    """Prints the table; whether all forms are within the limit."""
    within = True
    with tempfile.TemporaryDirectory() as folder:
        makers = forms(Path(folder), rows)
        data = {name: make() for name, make in makers.items() if name in ["array", *(chosen or makers)]}
        model = network()
        for x, y in data.values():
            measure(model, x, y, 1)
        steps = epochs * -(-rows // BATCH)
        ratios: dict[str, list[float]] = {name: [] for name in data}
        taken: dict[str, list[float]] = {name: [] for name in data}
        starts: dict[str, list[float]] = {name: [] for name in data}
        for _ in range(rounds):
            for name, (x, y) in data.items():
                _, before = measure(model, *data["array"], epochs)
                start, seconds = measure(model, x, y, epochs)
                _, after = measure(model, *data["array"], epochs)
                ratios[name].append(seconds / statistics.mean((before, after)))
                taken[name].append(seconds / steps)
                starts[name].append(start)
        print(f"{'':<24}{'step':>10}{'ratio':>8}{'start':>10}")
        for name in data:
            ratio = statistics.median(ratios[name])
            within = within and (ratio <= LIMIT or "processes" in name)
            step, start = statistics.median(taken[name]) * 1e6, statistics.median(starts[name]) * 1e3
            print(f"{name:<24}{step:>7.0f} µs{ratio:>8.3f}{start:>7.0f} ms")
    return within


def private_memory() -> float:
    """MB of this process that are not pages of a file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def train_on(path: str) -> None:
    """Trains from a mapped file, or a small array if there is none; prints the peak of private memory."""
    x: Any = np.zeros((1024, SIZES[0]), "float32")
    if path:
        x = np.memmap(path, "float32", "r").reshape(-1, SIZES[0])
    y = np.zeros(len(x), "int8")
    peak, done = [private_memory()], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], private_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    model = network()
    for shuffle in (True, False):
        model.fit(x, y, BATCH, verbose=0, shuffle=shuffle, steps_per_epoch=min(400, len(x) // BATCH))
    done.set()
    watcher.join()
    print(peak[0])


def memory() -> bool:
    """Prints how much more memory a mapped file takes than a small array; whether that is little enough."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.bin"
        with path.open("wb") as f:
            f.truncate(MAP_BYTES // (4 * SIZES[0]) * 4 * SIZES[0])
        peaks = [float(in_a_process(text)) for text in ("", str(path))]
    more = peaks[1] - peaks[0]
    print(f"small array {peaks[0]:.0f} MB, memory map of 4 GB {peaks[1]:.0f} MB: {more:+.0f} MB")
    return more <= 50


def in_a_process(path: str) -> str:
    command = [sys.executable, __file__, "--train-on", path]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ).stdout


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("forms", nargs="*", help="the first column of the table; all by default")
    parser.add_argument("--rows", type=int, default=6400, help="of the data set (6400)")
    parser.add_argument("--epochs", type=int, default=2, help="of each measurement (2)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each form (5)")
    parser.add_argument("--memory", action="store_true", help="measure memory instead")
    parser.add_argument("--train-on", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train_on is not None:
        train_on(options.train_on)
    elif not (
        memory() if options.memory else speed(options.forms, options.rows, options.epochs, options.rounds)
    ):
        sys.exit(1)


if __name__ == "__main__":
    main()
