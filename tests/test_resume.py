"""Going on where another process stopped: after kill -9 at any moment, after SIGTERM, from any batch."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import killing
import lumbre
from lumbre.saving import Checkpoint, checkpoint
from processes import script

fork = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL and fork")


@fork
def test_nothing_is_lost_by_kills(tmp_path: Path) -> None:
    code = (
        "import json, sys, pathlib, killing\n"
        "killing.EPOCHS = 2\n"
        f"print(json.dumps(killing.main(20, 3, pathlib.Path({str(tmp_path)!r}))))"
    )
    counts = json.loads(script(code))
    assert counts["killed"] == 20
    assert counts["ended"] >= 1
    assert counts["lost"] == counts["different"] == 0


class StopAt(lumbre.callbacks.Callback):
    """Breaks training off after so many batches; asks for no batch hook of its own."""

    class Stop(Exception):
        """That."""

    def __init__(self, batches: int) -> None:
        self.batches = batches

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batches -= 1
        if self.batches == 0:
            raise self.Stop


@pytest.mark.parametrize("kind", ["arrays", "batches"])
def test_bits_are_equal_from_any_batch(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(killing, "EPOCHS", 3)
    expected = killing.train(kind)
    assert killing.train(kind, checkpoint=Checkpoint(tmp_path / "whole", 5)) == expected
    for batches in (3, 12, 13, 26):
        folder = tmp_path / str(batches)
        with pytest.raises(StopAt.Stop):
            killing.train(kind, [StopAt(batches)], checkpoint=Checkpoint(folder, every=2))
        assert (
            batches_in(folder) == (batches - 1) // 2 * 2
        )  # the hook comes before the checkpoint of its batch
        np.random.random(5)  # the other process is in another state
        assert killing.train(kind, checkpoint=Checkpoint(folder, every=7), resume=True) == expected


def batches_in(folder: Path) -> int:
    found = checkpoint.newest(str(folder))
    return found.state["position"]["batches"] if found is not None else 0


def schedule_of_the_last_rate(epoch: int, rate: float) -> float:
    return 0.7 * rate


o, c = lumbre.optimizers, lumbre.callbacks
PARTS: dict[str, tuple[Any, Any]] = {  # what has a state between batches: optimizers and callbacks
    "swap": (lambda: o.SGD(0.1, use_ema=True), lambda: [c.SwapEMAWeights(swap_on_epoch=True)]),
    "swap validation": (lambda: o.Adam(0.1, use_ema=True), lambda: [c.SwapEMAWeights()]),
    "plateau": (lambda: o.Adam(0.1), lambda: [c.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=9)]),
    "scheduler": (lambda: o.SGD(0.1, 0.9), lambda: [c.LearningRateScheduler(schedule_of_the_last_rate)]),
    "schedule-free": (lambda: o.ScheduleFreeAdamW(0.1), list),
    "accumulation": (lambda: o.RMSprop(0.01, gradient_accumulation_steps=3), list),
    "loss scale": (lambda: o.LossScaleOptimizer(o.Adam(0.01), dynamic_growth_steps=4), list),
    "muon": (lambda: o.Muon(0.01), list),
    "adafactor": (lambda: o.Adafactor(0.01), list),
}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_goes_on(part: str, tmp_path: Path) -> None:
    optimizer, callbacks = PARTS[part]
    x = np.random.default_rng(0).random((30, 4), dtype="float32")

    def run(*stop: Any, **more: Any) -> Any:
        lumbre.utils.set_random_seed(0)
        model = lumbre.Sequential(
            [lumbre.Input((4,)), lumbre.layers.Dense(6, "relu"), lumbre.layers.Dense(1)]
        )
        model.compile(optimizer(), "mse", metrics=["mae"])
        data = {"x": x, "y": x[:, :1], "validation_split": 0.2, "batch_size": 4}
        model.fit(**data, epochs=4, verbose=0, callbacks=[*callbacks(), *stop], **more)
        state = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
        return repr((model.history.history, state))

    whole = run()
    for batches in (9, 13):  # within the second epoch, and at the beginning of the third
        folder = tmp_path / str(batches)
        with pytest.raises(StopAt.Stop):
            run(StopAt(batches), checkpoint=Checkpoint(folder, every=2))
        assert run(checkpoint=Checkpoint(folder, every=50), resume=True) == whole


PROGRAM = """
import os, signal, sys, time, warnings
import killing, lumbre
from lumbre.saving import Checkpoint

killing.EPOCHS = 4
where = {where!r}

class Tell(lumbre.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if where == "batch" and self.epoch == 1 and batch == 5:
            os.kill(os.getpid(), signal.SIGTERM)
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
    def on_test_batch_begin(self, batch, logs=None):
        if where == "validation" and self.epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)
    def on_epoch_end(self, epoch, logs=None):
        if where == "epoch" and epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)

{before}
killing.train({kind!r}, [Tell()], checkpoint=Checkpoint({folder!r}, every=1000))
print("came to its end")
"""


def terminated(
    where: str, folder: Path, kind: str = "arrays", before: str = ""
) -> subprocess.CompletedProcess[str]:
    """A run that is told to end."""
    code = PROGRAM.format(where=where, folder=str(folder), kind=kind, before=before)
    path = [str(Path(killing.__file__).parent), *sys.path]
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("where", "kind", "position"),
    [("batch", "batches", (1, 6)), ("validation", "arrays", (1, 12)), ("epoch", "arrays", (2, 0))],
)
def test_sigterm_saves_the_state_and_ends_the_process(
    where: str, kind: str, position: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = terminated(where, tmp_path, kind)
    assert done.returncode == -signal.SIGTERM, done.stderr
    assert "came to its end" not in done.stdout
    found = checkpoint.newest(str(tmp_path))
    assert found is not None
    assert (found.state["position"]["epoch"], found.state["position"]["step"]) == position
    monkeypatch.setattr(killing, "EPOCHS", 4)
    resumed = killing.train(kind, checkpoint=tmp_path, resume=True)
    assert resumed == killing.train(kind)


def test_the_earlier_handler_of_sigterm_is_called(tmp_path: Path) -> None:
    before = "signal.signal(signal.SIGTERM, lambda *_: print('the handler'))"
    done = terminated("batch", tmp_path, before=before)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert done.stdout.startswith("the handler")
    assert batches_in(tmp_path) == 18


def test_sigterm_stays_ignored(tmp_path: Path) -> None:
    done = terminated("batch", tmp_path, before="signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    assert done.returncode == 0, done.stderr
    assert "came to its end" in done.stdout


def test_handlers_are_as_before_after_training(tmp_path: Path) -> None:
    def handler(number: int, frame: Any) -> None:
        raise AssertionError("not called")

    old = signal.signal(signal.SIGTERM, handler)
    try:
        small(checkpoint=tmp_path / "a")
        assert signal.getsignal(signal.SIGTERM) is handler
        with pytest.raises(StopAt.Stop):
            small(checkpoint=tmp_path / "b", callbacks=[StopAt(1)])
        assert signal.getsignal(signal.SIGTERM) is handler
        thread = threading.Thread(target=small, kwargs={"checkpoint": tmp_path / "c"})
        thread.start()
        thread.join()
        assert len(checkpoint.folders(str(tmp_path / "c"))) == 1
    finally:
        signal.signal(signal.SIGTERM, old)


def small(**more: Any) -> Any:
    """One epoch of five batches."""
    lumbre.utils.set_random_seed(0)
    model = lumbre.Sequential([lumbre.Input((4,)), lumbre.layers.Dense(1)])
    model.compile("adam", "mse")
    x = np.linspace(0, 1, 80, dtype="float32").reshape(20, 4)
    return model.fit(x, x[:, :1], batch_size=4, verbose=0, **more)


# Sources


def test_generators_resume_at_epochs(tmp_path: Path) -> None:
    x = np.ones((4, 4), "float32")

    def endless() -> Any:
        while True:
            yield x, x[:, :1]

    def run(**more: Any) -> Any:
        model = lumbre.Sequential([lumbre.Input((4,)), lumbre.layers.Dense(1, kernel_initializer="ones")])
        model.compile("sgd", "mse")
        options = Checkpoint(tmp_path, every=2)
        return model.fit(
            endless(), steps_per_epoch=5, epochs=3, verbose=0, checkpoint=options, shuffle=False, **more
        )

    with pytest.raises(StopAt.Stop):
        run(callbacks=[StopAt(8)])
    assert batches_in(tmp_path) == 5
    with pytest.warns(UserWarning, match="can only be resumed at their beginnings"):
        history = run(resume=True)
    assert history.epoch == [0, 1, 2]


class Indexed:
    """A source whose order is its own affair, and which says so."""

    def __init__(self) -> None:
        self.order = np.arange(6)
        self.taken: list[int] = []

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, i: int) -> Any:
        self.taken.append(int(self.order[i]))
        x = np.full((2, 4), self.order[i], "float32") / 6
        return x, x[:, :1]

    def on_epoch_end(self) -> None:
        np.random.shuffle(self.order)

    def get_state(self) -> dict[str, Any]:
        return {"order": self.order}

    def set_state(self, state: dict[str, Any]) -> None:
        self.order = state["order"]


def test_a_source_may_have_a_state(tmp_path: Path) -> None:
    def run(**more: Any) -> Indexed:
        lumbre.utils.set_random_seed(0)
        source = Indexed()
        model = lumbre.Sequential([lumbre.Input((4,)), lumbre.layers.Dense(1)])
        model.compile("adam", "mse")
        model.fit(source, epochs=3, verbose=0, shuffle=False, **more)
        return source

    whole = run().taken
    with pytest.raises(StopAt.Stop):
        run(checkpoint=Checkpoint(tmp_path, every=1), callbacks=[StopAt(9)])
    rest = run(checkpoint=Checkpoint(tmp_path, every=1), resume=True).taken
    # The first batch is looked at before anything else, in whatever order the source begins with.
    assert rest[1:] == whole[8:]


def test_passes_that_are_longer_than_epochs(tmp_path: Path) -> None:
    x = np.arange(120, dtype="float32").reshape(30, 4) / 120

    def run(**more: Any) -> np.ndarray:
        lumbre.utils.set_random_seed(0)
        model = lumbre.Sequential([lumbre.Input((4,)), lumbre.layers.Dense(1)])
        model.compile("adam", "mse")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x, x[:, :1], batch_size=2, steps_per_epoch=4, epochs=6, verbose=0, **more)
        return model.get_weights()[0]

    whole = run()
    for batches in (2, 5, 17):
        folder = tmp_path / str(batches)
        with pytest.raises(StopAt.Stop):
            run(checkpoint=Checkpoint(folder, every=1), callbacks=[StopAt(batches)])
        assert np.array_equal(run(checkpoint=Checkpoint(folder, every=9), resume=True), whole)
