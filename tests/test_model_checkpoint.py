"""`ModelCheckpoint` against the real Keras: when it saves, under which names, and what it says."""

from __future__ import annotations

import contextlib
import io
import math
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import keras

LOSSES = (1.0, 0.8, 0.79, 0.85, math.nan, 0.7, 0.9)


class Recorder:
    """A model that writes down where it is saved, for both libraries."""

    metrics: tuple[Any, ...] = ()
    optimizer = None
    stop_training = False

    def __init__(self) -> None:
        self.saved: list[Any] = []

    def save(self, path: Any, overwrite: bool) -> None:
        self.saved.append(("model", str(path), overwrite))

    def save_weights(self, path: Any, overwrite: bool) -> None:
        self.saved.append(("weights", str(path), overwrite))


def drive(k: Any, arguments: dict[str, Any], epochs: int = 7, batches: int = 4, step: int = 1) -> Any:
    """What a callback does when it is fed logs: where it saves, what it prints, what it warns of."""
    model = Recorder()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        callback = k.callbacks.ModelCheckpoint(**arguments)
        callback.set_model(model)
        callback.on_train_begin()
        for epoch in range(epochs):
            callback.on_epoch_begin(epoch)
            for batch in range(step - 1, batches, step):
                callback.on_train_batch_end(batch, {"loss": LOSSES[epoch], "mae": 0.1 * batch})
            logs = {"loss": LOSSES[epoch], "val_loss": 2 * LOSSES[epoch], "mae": 1.0, "vector": np.ones(2)}
            callback.on_epoch_end(epoch, logs)
        callback.on_train_end()
    return model.saved, printed.getvalue(), [str(w.message) for w in caught if w.category is UserWarning]


CASES: dict[str, dict[str, Any]] = {
    "each epoch": {},
    "said": {"verbose": 1},
    "best": {"save_best_only": True, "verbose": 1},
    "weights": {"save_weights_only": True, "filepath": "w-{epoch:02d}.weights.h5"},
    "names": {"filepath": "runs/{epoch:03d}-{val_loss:.2f}-{mae}.keras"},
    "greatest": {"save_best_only": True, "mode": "max", "monitor": "val_loss", "verbose": 1},
    "threshold": {"save_best_only": True, "initial_value_threshold": 1.59, "verbose": 1},
    "missing": {"save_best_only": True, "monitor": "val_f1", "mode": "max", "verbose": 1},
    "vector": {"save_best_only": True, "monitor": "vector", "mode": "min"},
    "mode": {"save_best_only": True, "mode": "least"},
    "batches": {"save_freq": 3, "filepath": "{epoch}-{batch}.keras", "verbose": 1},
    "batches of several epochs": {"save_freq": 9},
}


@pytest.mark.parametrize("case", CASES)
def test_as_in_keras(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = {"filepath": "m.keras", **CASES[case]}
    assert drive(lumbre, arguments) == drive(keras, arguments)


def test_the_best_of_batches() -> None:
    """Keras fails here: before the end of the first epoch it does not know which direction is better."""
    arguments = {
        "filepath": "m.lumbre",
        "save_freq": 4,
        "save_best_only": True,
        "monitor": "loss",
        "verbose": 1,
    }
    saved, printed, _ = drive(lumbre, arguments)
    assert len(saved) == 4
    assert printed.count("improved from") == 4
    assert "Epoch 3: loss improved from 0.80000 to 0.79000, saving model to m.lumbre" in printed


def test_steps_per_execution_as_in_keras() -> None:
    arguments = {"filepath": "{epoch}-{batch}.keras", "save_freq": 5}
    ours, theirs = (drive(k, arguments, batches=12, step=3) for k in (lumbre, keras))
    assert ours == theirs
    assert len(ours[0]) > 5


@pytest.mark.parametrize(
    "arguments",
    [
        {"filepath": "m.keras", "save_freq": "batch"},
        {"filepath": "m.keras", "monitor": "val_f1"},
        {"filepath": "{epoch}-{f1}.keras"},
    ],
)
def test_errors_are_those_of_keras(arguments: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError)) as theirs:
        drive(keras, arguments)
    with pytest.raises(theirs.type) as ours:
        drive(lumbre, arguments)
    # Keras lists the metrics of the model, which here are none; we list the logs.
    assert str(ours.value).partition(" Available")[0] == str(theirs.value).partition(" Available")[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filepath": "m.txt"}, r"must end in `.keras` \(Keras model format\) or `.lumbre` \(which needs no"),
        ({"filepath": "m.lumbre2", "save_weights_only": True}, r"must end in `.weights.h5` .*or `.lumbre`"),
        ({"filepath": "m.keras", "save_weights_only": True}, r"must end in `.weights.h5` .*or `.lumbre`"),
    ],
)
def test_endings(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lumbre.callbacks.ModelCheckpoint(**arguments)


@pytest.mark.parametrize("ending", ["best.keras", "best.h5", "best.weights.h5"])
def test_h5py_is_asked_for_in_time(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(
        ImportError, match=r"Run: pip install 'lumbre\[keras\]', or save to a file .* \.lumbre"
    ) as error:
        lumbre.callbacks.ModelCheckpoint(ending, save_weights_only="weights" in ending)
    assert ending in str(error.value)
    lumbre.callbacks.ModelCheckpoint("best.lumbre")


def model() -> Any:
    lumbre.utils.set_random_seed(0)
    made = lumbre.Sequential([lumbre.Input((4,)), lumbre.layers.Dense(3, "tanh"), lumbre.layers.Dense(1)])
    made.compile(lumbre.optimizers.Adam(0.1), "mse")
    return made


X = np.random.default_rng(0).random((24, 4), dtype="float32")


def test_files_are_the_best_model(tmp_path: Path) -> None:
    """In training: the file has the weights of the epoch with the least loss."""
    at_each_epoch = []

    class Note(lumbre.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            at_each_epoch.append((logs["val_loss"], self.model.get_weights()))

    for only_weights in (False, True):
        at_each_epoch.clear()
        path = tmp_path / "new" / f"{only_weights}.lumbre"
        save = lumbre.callbacks.ModelCheckpoint(path, save_best_only=True, save_weights_only=only_weights)
        trained = model()
        trained.fit(X, X[:, :1], epochs=8, validation_split=0.3, verbose=0, callbacks=[Note(), save])
        loss, weights = min(at_each_epoch, key=lambda noted: noted[0])
        assert save.best == loss
        loaded = model()
        if only_weights:
            loaded.load_weights(path)
        else:
            loaded = lumbre.saving.load_model(path)
        for a, b in zip(weights, loaded.get_weights(), strict=True):
            assert np.array_equal(a, b)


def test_files_after_batches(tmp_path: Path) -> None:
    save = lumbre.callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch:02d}.lumbre", save_freq=4)
    model().fit(X, X[:, :1], batch_size=4, epochs=2, verbose=0, callbacks=[save])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1-04.lumbre", "2-02.lumbre", "2-06.lumbre"]


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "m.lumbre").mkdir()
    save = lumbre.callbacks.ModelCheckpoint(tmp_path / "m.lumbre")
    with pytest.raises(OSError, match="Please specify a non-directory filepath for ModelCheckpoint"):
        model().fit(X, X[:, :1], verbose=0, callbacks=[save])


def test_the_best_so_far_is_resumed(tmp_path: Path) -> None:
    def run(epochs: int, **more: Any) -> Any:
        save = lumbre.callbacks.ModelCheckpoint(
            tmp_path / "best.lumbre", monitor="loss", save_best_only=True, save_freq=5
        )
        model().fit(X, X[:, :1], batch_size=4, epochs=epochs, verbose=0, callbacks=[save], **more)
        return save.get_state()

    run(2, checkpoint=tmp_path / "run")
    resumed = run(3, checkpoint=tmp_path / "run", resume=True)
    assert resumed == run(3)
