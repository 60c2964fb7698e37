"""What checkpoints cost and survive: `python benches/checkpoints.py`.

The cost is that of a checkpoint every 50 steps of a network with 10 million parameters and Adam, beside the
same steps without, in one process, in turns; the median of the ratios counts. The last checkpoint of a run,
which nothing overlaps with, is left out: a long run has one of it. The kills are those of tests/killing.py.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import lumbre
from lumbre.saving import Checkpoint

KILLING = Path(__file__).parents[1] / "tests" / "killing.py"
EVERY = 50


class Clock(lumbre.callbacks.Callback):
    """The time from the end of the first epoch to the end of the last one."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 0:
            self.start = time.perf_counter(), time.process_time()
        self.seconds = time.perf_counter() - self.start[0]
        self.processor = time.process_time() - self.start[1]


def network() -> Any:
    layers = lumbre.layers
    hidden = [layers.Dense(2048, activation="relu") for _ in range(3)]
    model = lumbre.Sequential([lumbre.Input((784,)), *hidden, layers.Dense(10)])
    model.compile("adam", lumbre.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def cost(batch: int, rounds: int, checkpoints: int) -> None:
    """Prints the time with checkpoints over that without."""
    rng = np.random.default_rng(0)
    x = rng.random((EVERY * batch, 784), dtype="float32")
    y = rng.integers(0, 10, len(x))
    model = network()

    def run(**more: Any) -> Clock:
        clock = Clock()
        model.fit(x, y, batch, epochs=1 + checkpoints, verbose=0, callbacks=[clock], **more)
        return clock

    run()
    ratios, processor = [], []
    for _ in range(rounds):
        plain = run()
        with tempfile.TemporaryDirectory() as folder:
            saving = run(checkpoint=Checkpoint(folder, every=EVERY))
        ratios.append(saving.seconds / plain.seconds)
        processor.append(saving.processor / plain.processor)
    step = plain.seconds / (EVERY * checkpoints)
    print(
        f"{model.count_params():,} parameters, batch {batch}, {1000 * step:.1f} ms a step: a checkpoint "
        f"every {EVERY} steps takes {100 * (statistics.median(ratios) - 1):+.1f} % time, "
        f"{100 * (statistics.median(processor) - 1):+.1f} % processor time"
    )


def kills(count: int) -> None:
    """Prints what became of runs that were killed."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(KILLING), str(count), "1", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    counts = json.loads(done.stdout)
    print(
        f"killed {counts['killed']} times: {counts['lost']} checkpoints lost, {counts['ended']} runs ended, "
        f"{counts['different']} with other bits"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--checkpoints", type=int, default=4, help="in each round")
    parser.add_argument("--kills", type=int, default=200)
    options = parser.parse_args()
    if options.rounds:
        cost(options.batch, options.rounds, options.checkpoints)
    if options.kills:
        kills(options.kills)
