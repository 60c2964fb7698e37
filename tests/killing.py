"""Training that is killed at random moments, and what becomes of it: `python killing.py KILLS SEED FOLDER`.

Children of one process, which has imported everything, train and save their state every two steps; each is
killed with SIGKILL after a random time, and the next goes on. Prints, as JSON, how many were killed, after
how many of the kills the newest checkpoint was not whole or older than the one before, how many runs came to
their end, and how many of those had other bits than a run that nobody killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import lumbre
from lumbre.saving import Checkpoint, checkpoint

_RNG = np.random.default_rng(0)
X, Y = _RNG.random((104, 8), dtype="float32"), _RNG.integers(0, 3, 104)
EPOCHS = 12


class Batches:
    """A PyDataset that draws random numbers of its own for each batch."""

    def __len__(self) -> int:
        return 13

    def __getitem__(self, i: int) -> Any:
        rows = slice(8 * i, 8 * i + 8)
        return X[rows] + 0.01 * np.random.random((8, 8)).astype("float32"), Y[rows]


def train(kind: str, callbacks: Sequence[Any] = (), **more: Any) -> str:
    """The digest of everything that a run ends with.

    Args:
        kind: "arrays" or "batches": what it trains on.
        callbacks: Callbacks beside those that it has.
        more: Further arguments of `fit`.
    """
    lumbre.utils.set_random_seed(1)
    layers = lumbre.layers
    model = lumbre.Sequential(
        [
            lumbre.Input((8,)),
            layers.Dense(24, "relu", name="first"),
            layers.BatchNormalization(name="normal"),
            layers.Dropout(0.3, name="dropped"),
            layers.Dense(3, "softmax", name="last"),
        ]
    )
    rate = lumbre.optimizers.schedules.CosineDecay(0.01, 500)
    model.compile(
        lumbre.optimizers.AdamW(rate, use_ema=True, ema_overwrite_frequency=9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    own = [
        lumbre.callbacks.EarlyStopping("val_loss", patience=100, restore_best_weights=True),
        lumbre.callbacks.GradientMonitor(every=3),
    ]
    data: dict[str, Any] = (
        {"x": X, "y": Y, "batch_size": 8, "validation_split": 0.1}
        if kind == "arrays"
        else {"x": Batches(), "validation_data": (X[:16], Y[:16])}
    )
    history = model.fit(**data, epochs=EPOCHS, verbose=0, callbacks=[*own, *callbacks], **more).history
    digest = hashlib.sha256()
    for variable in (*model.variables, *model.optimizer.variables):
        digest.update(variable.numpy().tobytes())
    digest.update(repr((history, np.random.random())).encode())
    return digest.hexdigest()


def child(work: Any) -> tuple[int, int]:
    """A child that does the work and sends what it returns: its process, and where that can be read."""
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.close(read)
            os.write(write, work().encode())
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    os.close(write)
    return process, read


def result(process: int, read: int) -> str | None:
    """What a child has sent; None if it was killed before.

    Raises:
        RuntimeError: It failed.
    """
    with open(read, "rb") as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(process, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        return text
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return None
    raise RuntimeError(f"a child ended with the status {status}")


def batches_of_newest(folder: Path) -> int | None:
    """How far the newest checkpoint is; None if the newest folder is not a whole one."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = checkpoint.newest(str(folder))
        except Warning:
            return None
    return found.state["position"]["batches"] if found is not None else 0


def main(kills: int, seed: int, folder: Path) -> dict[str, int]:
    """Kills so many children, lets the last one live, and counts what was lost."""
    rng = random.Random(seed)
    counts = {"killed": 0, "lost": 0, "ended": 0, "different": 0}
    expected, longest = {}, {}
    for kind in ("arrays", "batches"):
        expected[kind] = result(*child(partial(train, kind)))
        options = Checkpoint(folder / kind, every=2)
        start = time.monotonic()
        digest = result(*child(partial(train, kind, checkpoint=options)))
        counts["different"] += digest != expected[kind]
        longest[kind] = 0.6 * (time.monotonic() - start)
    run = 0
    while counts["killed"] < kills or counts["ended"] < run:
        kind = ("arrays", "batches")[run % 2]
        place, reached = folder / str(run), 0
        run += 1
        while True:
            options = Checkpoint(place, every=2)
            process, read = child(partial(train, kind, checkpoint=options, resume=True))
            if counts["killed"] < kills:
                time.sleep(rng.uniform(0.0, longest[kind]))
                os.kill(process, signal.SIGKILL)
            digest = result(process, read)
            if digest is not None:
                counts["ended"] += 1
                counts["different"] += digest != expected[kind]
                break
            counts["killed"] += 1
            batches = batches_of_newest(place)
            counts["lost"] += batches is None or batches < reached
            reached = batches or 0
    return counts


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))))
