"""Checkpoints: what is in them, which are kept, what is refused, and what damage and full disks do."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import layers, optimizers
from lumbre.saving import Checkpoint, checkpoint, safetensors

X = np.random.default_rng(0).random((40, 4), dtype="float32")
Y = X.sum(1, keepdims=True)


def network(units: int = 8, activation: str = "relu", optimizer: Any = None, loss: str = "mse") -> Any:
    lumbre.utils.set_random_seed(0)
    model = lumbre.Sequential([lumbre.Input((4,)), layers.Dense(units, activation), layers.Dense(1)])
    model.compile(optimizer or optimizers.Adam(0.01), loss, metrics=["mae"])
    return model


def fit(model: Any, **more: Any) -> Any:
    return model.fit(X, Y, **{"batch_size": 8, "verbose": 0, "epochs": 2, **more})


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


# What there is


def test_a_run_is_the_same_with_checkpoints(tmp_path: Path) -> None:
    one = network()
    history = fit(one).history
    other = network()
    assert fit(other, checkpoint=Checkpoint(tmp_path, every=3)).history == history
    for v, w in zip(one.weights, other.weights, strict=True):
        assert np.array_equal(v.numpy(), w.numpy())


def test_the_last_ones_are_kept(tmp_path: Path) -> None:
    fit(network(), epochs=5, checkpoint=tmp_path / "epochs")
    assert names(tmp_path / "epochs") == ["checkpoint-000003", "checkpoint-000004", "checkpoint-000005"]
    assert names(tmp_path / "epochs" / "checkpoint-000005") == [
        "manifest.json",
        "state.json",
        "tensors.safetensors",
    ]
    fit(network(), checkpoint=Checkpoint(tmp_path / "steps", every=4, keep=9))
    reached = [
        checkpoint.read(path).state["position"]["batches"]
        for path in checkpoint.folders(str(tmp_path / "steps"))
    ]
    assert reached == [4, 8, 10]


def test_contents(tmp_path: Path) -> None:
    model = network()
    stop = lumbre.callbacks.EarlyStopping("loss", restore_best_weights=True, patience=9)
    history = fit(model, checkpoint=tmp_path, callbacks=[stop])
    found = checkpoint.newest(str(tmp_path))
    assert found is not None
    variables = {name: path for name, path, *_ in found.state["variables"]}
    assert set(variables) <= set(found.tensors)
    for i, variable in enumerate(model.optimizer.variables):
        assert variables[f"optimizer/{i}"] == variable.path
        assert np.array_equal(found.tensors[f"optimizer/{i}"], variable.numpy())
    assert found.state["callbacks"]["1 History"]["history"] == history.history
    best = found.state["callbacks"]["0 EarlyStopping"]["best_weights"]
    assert all(np.array_equal(a, b) for a, b in zip(best, stop.best_weights, strict=True))
    assert found.state["position"]["epoch"] == 2


def test_many_batches_run_in_one_call_between_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lumbre.training import step

    asked = []
    run = step.StepRunner.run

    def noting(self: Any, data: Any, rows: Any, batch_size: int, most: int) -> Any:
        asked.append(most)
        return run(self, data, rows, batch_size, most)

    monkeypatch.setattr(step.StepRunner, "run", noting)
    fit(network(), batch_size=1, epochs=1, checkpoint=Checkpoint(tmp_path, every=10))
    assert max(asked) == 10
    assert len(asked) < 25  # the first batches run one by one, and are compared with eager ones


# Resuming


def test_an_empty_folder_starts_fresh(tmp_path: Path) -> None:
    one = network()
    fit(one)
    other = network()
    fit(other, checkpoint=tmp_path / "new" / "folder", resume=True)
    assert np.array_equal(one.get_weights()[0], other.get_weights()[0])


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    whole = fit(network(), epochs=3, checkpoint=tmp_path)
    model = network()
    ended: list[Any] = []
    again = fit(
        model,
        epochs=3,
        checkpoint=tmp_path,
        resume=True,
        callbacks=[lumbre.callbacks.LambdaCallback(on_train_end=ended.append)],
    )
    assert again.history == whole.history
    assert again.epoch == [0, 1, 2]
    assert ended[0]["loss"] == whole.history["loss"][-1]
    assert (
        fit(network(), epochs=5, checkpoint=tmp_path, resume=True).history == fit(network(), epochs=5).history
    )


def test_a_stopped_run_stays_stopped(tmp_path: Path) -> None:
    def run(**more: Any) -> Any:
        stop = lumbre.callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True, min_delta=9)
        model = network()
        return fit(model, epochs=20, callbacks=[stop], **more), model

    (whole, one), (again, other) = run(checkpoint=tmp_path), run(checkpoint=tmp_path, resume=True)
    assert len(whole.epoch) == 3
    assert again.history == whole.history
    assert np.array_equal(one.get_weights()[0], other.get_weights()[0])


def test_an_interrupted_model_goes_on_in_the_same_process(tmp_path: Path) -> None:
    """The learning rate has fallen since: that is no other optimizer."""
    whole = fit(network(), epochs=4, callbacks=[halving()])
    model = network()

    class Stop(lumbre.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, epochs=4, callbacks=[halving(), Stop()], checkpoint=tmp_path)
    again = fit(model, epochs=4, callbacks=[halving()], checkpoint=tmp_path, resume=True)
    assert again.history == whole.history


def halving() -> Any:
    return lumbre.callbacks.LearningRateScheduler(lambda epoch, rate: 0.5 * rate)


def test_each_callback_gets_its_state(tmp_path: Path) -> None:
    class Counting(lumbre.callbacks.Callback):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seen.append((epoch, np.float32(epoch), np.arange(epoch), None))

        def get_state(self) -> dict[str, Any]:
            return {"seen": self.seen}

        def set_state(self, state: dict[str, Any]) -> None:
            self.seen = state["seen"]

    one, other = Counting(), Counting()
    fit(network(), checkpoint=tmp_path, callbacks=[one, other])
    third = Counting()
    with pytest.warns(UserWarning, match="callbacks that are not there now: Counting$"):
        fit(network(), checkpoint=tmp_path, callbacks=[third], resume=True, epochs=3)
    assert repr(third.seen[:2]) == repr(one.seen)
    assert isinstance(third.seen[1][1], np.float32)
    assert len(third.seen) == 3
    with pytest.warns(UserWarning, match="callbacks that are not there now: Counting"):
        fit(network(), checkpoint=tmp_path, resume=True, epochs=4)


def test_a_state_that_no_file_can_hold(tmp_path: Path) -> None:
    class Odd(lumbre.callbacks.Callback):
        def get_state(self) -> dict[str, Any]:
            return {"thing": object()}

    with pytest.raises(TypeError, match=r"state/callbacks/0 Odd/thing: a checkpoint holds None, booleans"):
        fit(network(), checkpoint=tmp_path, callbacks=[Odd()])


def test_csv_files_have_each_row_once(tmp_path: Path) -> None:
    class Stop(lumbre.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    def log(name: str, append: bool = False) -> Any:
        return lumbre.callbacks.CSVLogger(tmp_path / name, append=append)

    fit(network(), epochs=4, callbacks=[log("whole.csv")])
    for append in (False, True):
        options = {"checkpoint": tmp_path / f"run {append}", "epochs": 4}
        first = log(f"{append}.csv", append)
        with pytest.raises(KeyboardInterrupt):
            fit(network(), callbacks=[first, Stop()], **options)
        first.csv_file.close()
        assert (tmp_path / f"{append}.csv").read_text().count(
            "\n"
        ) == 4  # one more than the checkpoint knows of
        fit(network(), callbacks=[log(f"{append}.csv", append)], resume=True, **options)
        assert (tmp_path / f"{append}.csv").read_text() == (tmp_path / "whole.csv").read_text()


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda: network(units=9),
            r"the layer 'dense\w*' \(Dense\), argument units: 8 in the checkpoint, 9 now",
        ),
        (
            lambda: network(activation="tanh"),
            r"the layer 'dense\w*' \(Dense\), argument activation: 'relu' in the checkpoint, 'tanh' now",
        ),
        (
            lambda: network(optimizer=optimizers.SGD(0.01)),
            r"the optimizer 'sgd\w*' is of the class Adam in the checkpoint and SGD now",
        ),
        (
            lambda: network(optimizer=optimizers.Adam(0.1)),
            r"the optimizer 'adam\w*' \(Adam\), argument learning_rate: 0.0099.* now",
        ),
        (
            lambda: network(optimizer=optimizers.Adam(0.01, beta_1=0.5)),
            "beta_1: 0.9 in the checkpoint, 0.5 now",
        ),
        (lambda: network(loss="mae"), "loss: 'mse' in the checkpoint, 'mae' now"),
    ],
)
def test_another_model_is_refused(change: Any, message: str, tmp_path: Path) -> None:
    fit(network(), checkpoint=tmp_path)
    model = change()
    fit(network(), checkpoint=tmp_path, resume=True)  # which is not another
    model.build((None, 4))
    before = model.get_weights()
    with pytest.raises(ValueError, match=message) as raised:
        fit(model, checkpoint=tmp_path, resume=True)
    assert f"{tmp_path}/checkpoint-000002 is a checkpoint of another run" in str(raised.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_another_number_of_layers_is_refused(tmp_path: Path) -> None:
    fit(network(), checkpoint=tmp_path)
    deeper = lumbre.Sequential(
        [lumbre.Input((4,)), *(layers.Dense(8, "relu") for _ in range(2)), layers.Dense(1)]
    )
    deeper.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"there are 4 layers in the checkpoint .* and 5 now"):
        fit(deeper, checkpoint=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"x": X[:32], "y": Y[:32]}, "data samples: 40 in the checkpoint, 32 now"),
        ({"batch_size": 10}, "data batch_size: 8 in the checkpoint, 10 now"),
        (
            {"x": X.astype("float64")},
            r"data arrays x: 'float32 \(n, 4\)' in the checkpoint, 'float64 \(n, 4\)' now",
        ),
        ({"steps_per_epoch": 3}, "data steps_per_epoch: None in the checkpoint, 3 now"),
        ({"shuffle": False}, "data shuffle: True in the checkpoint, False now"),
    ],
)
def test_other_data_is_refused(data: dict[str, Any], message: str, tmp_path: Path) -> None:
    fit(network(), checkpoint=tmp_path)
    with pytest.raises(ValueError, match=message):
        network().fit(
            **{"x": X, "y": Y, "batch_size": 8, "verbose": 0, **data}, checkpoint=tmp_path, resume=True
        )


def test_checkpoints_of_an_earlier_run_are_not_mixed_with_new_ones(tmp_path: Path) -> None:
    fit(network(), checkpoint=tmp_path)
    with pytest.raises(FileExistsError, match=r"has 2 checkpoints of a run already.*Pass resume=True"):
        fit(network(), checkpoint=tmp_path)
    assert len(names(tmp_path)) == 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"resume": True}, ValueError, "`resume=True` needs to know from where: pass `checkpoint`"),
        ({"checkpoint": 5}, TypeError, "`checkpoint` must be the folder"),
        ({"checkpoint": "a", "resume": "yes"}, ValueError, "`resume` must be True or False"),
    ],
)
def test_arguments(options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path) -> None:
    os.chdir(tmp_path)
    with pytest.raises(error, match=message):
        fit(network(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"directory": ""}, "`directory` is empty"),
        ({"directory": "a", "every": 0}, "`every` must be 'epoch' or a whole number of batches"),
        ({"directory": "a", "every": "day"}, "`every` must be 'epoch' or a whole number of batches"),
        ({"directory": "a", "keep": 0}, "`keep` must be a whole number of at least 1"),
    ],
)
def test_arguments_of_checkpoint(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Checkpoint(**options)


# Damage


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "cut":
        del content[len(content) // 2 :]
    elif how == "empty":
        content.clear()
    else:
        content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["cut", "flip", "empty"])
@pytest.mark.parametrize("file", ["manifest.json", "state.json", "tensors.safetensors"])
def test_a_damaged_one_is_named_and_skipped(how: str, file: str, tmp_path: Path) -> None:
    whole = fit(network(), epochs=3)
    fit(network(), checkpoint=tmp_path)
    damage(tmp_path / "checkpoint-000002" / file, how)
    with pytest.warns(UserWarning, match=rf"{tmp_path}/checkpoint-000002 is damaged and skipped: .*{file}"):
        history = fit(network(), epochs=3, checkpoint=tmp_path, resume=True)
    assert history.history == whole.history
    assert names(tmp_path)[-1] == "checkpoint-000004"


def test_a_missing_file_is_damage(tmp_path: Path) -> None:
    fit(network(), checkpoint=tmp_path)
    for folder in names(tmp_path):
        (tmp_path / folder / "state.json").unlink()
    with pytest.warns(UserWarning, match="damaged and skipped") as given:
        fit(network(), checkpoint=tmp_path, resume=True)
    assert len([w for w in given if "skipped" in str(w.message)]) == 2


def test_every_bit_of_the_manifest_counts(tmp_path: Path) -> None:
    fit(network(), epochs=1, checkpoint=tmp_path)
    path = tmp_path / "checkpoint-000001" / "manifest.json"
    whole = path.read_bytes()
    expected = checkpoint.read(str(path.parent)).state
    undetected = []
    for i in range(len(whole)):
        for bit in (1, 4, 32):
            path.write_bytes(whole[:i] + bytes([whole[i] ^ bit]) + whole[i + 1 :])
            try:
                assert checkpoint.read(str(path.parent)).state == expected
                undetected.append(whole[i : i + 1])
            except (ValueError, OSError):
                pass
    assert set(undetected) <= {b" ", b"\n"}  # the text lies otherwise, and says the same


def test_leftovers_of_killed_processes_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint-000001.0123456789abcdef.tmp").mkdir()
    fit(network(), checkpoint=tmp_path, resume=True)
    assert names(tmp_path) == ["checkpoint-000001", "checkpoint-000002"]


# Errors while writing


@pytest.mark.parametrize("every", [1, "epoch"])
def test_a_full_disk_stops_training_and_leaves_the_older_ones(
    every: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(network(), checkpoint=tmp_path)

    def full(tensors: Any, path: Any, metadata: Any = None) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(safetensors, "save_file", full)
    with pytest.raises(
        OSError, match=r"the disk is full: [\d,]+ bytes are needed, [\d,]+ are free"
    ) as raised:
        fit(network(), epochs=9, checkpoint=Checkpoint(tmp_path, every), resume=True)
    assert raised.value.errno == errno.ENOSPC
    assert str(tmp_path) in str(raised.value)
    assert names(tmp_path) == ["checkpoint-000001", "checkpoint-000002"]
    assert not [t for t in threading.enumerate() if t.name == "lumbre-checkpoint"]
    monkeypatch.undo()
    assert (
        fit(network(), epochs=3, checkpoint=tmp_path, resume=True).history == fit(network(), epochs=3).history
    )


def test_an_error_of_training_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(tensors: Any, path: Any, metadata: Any = None) -> None:
        raise OSError(errno.EIO, "the drive is gone", str(path))

    class Stop(lumbre.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                raise ZeroDivisionError

    monkeypatch.setattr(safetensors, "save_file", broken)
    with pytest.raises(ZeroDivisionError) as raised:
        fit(network(), checkpoint=tmp_path, callbacks=[Stop()])
    assert "the drive is gone" in raised.value.__notes__[0]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        fit(network(), checkpoint=tmp_path / "run")


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        fit(network(), checkpoint=tmp_path / "file")


# BackupAndRestore


def test_backup_and_restore(tmp_path: Path) -> None:
    whole = fit(network(), epochs=3)

    class Stop(lumbre.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if logs["loss"] and self.epoch == 1 and batch == 3:
                raise KeyboardInterrupt

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch

    for freq in ("epoch", 2):
        for double in (False, True):
            folder = tmp_path / f"{freq} {double}"

            def backup(folder: Path = folder, freq: Any = freq, double: bool = double) -> Any:
                return lumbre.callbacks.BackupAndRestore(folder, freq, double)

            with pytest.raises(KeyboardInterrupt):
                fit(network(), epochs=3, callbacks=[backup(), Stop()])
            assert len(names(folder)) == (2 if double and freq == 2 else 1)
            assert fit(network(), epochs=3, callbacks=[backup()]).history == whole.history
            assert not folder.exists()


def test_backup_and_restore_leaves_other_files_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    fit(network(), callbacks=[lumbre.callbacks.BackupAndRestore(tmp_path)])
    assert names(tmp_path) == ["notes.txt"]


def test_backup_and_restore_refuses_what_keras_refuses(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    for arguments in (("",), (str(tmp_path), "day"), (str(tmp_path), 1.5)):
        with pytest.raises(ValueError) as theirs:
            keras.callbacks.BackupAndRestore(*arguments)
        with pytest.raises(ValueError) as ours:
            lumbre.callbacks.BackupAndRestore(*arguments)
        assert str(ours.value) == str(theirs.value)
    backup = lumbre.callbacks.BackupAndRestore(tmp_path)
    with pytest.raises(ValueError, match="is asked for several: `checkpoint`, BackupAndRestore"):
        fit(network(), checkpoint=tmp_path, callbacks=[backup])
    shutil.rmtree(tmp_path)


def test_optimizers_of_a_step_of_ones_own(tmp_path: Path) -> None:
    """Those that live in attributes of the model."""

    class Two(lumbre.Sequential):
        def train_step(self, data: Any) -> Any:
            x, y = data
            loss = self.compute_loss(x, y, self(x, training=True))
            variables = self.trainable_variables
            gradients = lumbre.grad(loss, variables)
            self.optimizer.apply(gradients[:2], variables[:2])
            self.other.apply(gradients[2:], variables[2:])
            self.mean.update_state(loss)
            return {"loss": self.mean.result()}

    def run(stop: bool = False, **more: Any) -> Any:
        lumbre.utils.set_random_seed(0)
        model = Two([lumbre.Input((4,)), layers.Dense(5, "tanh"), layers.Dense(1)])
        model.mean = lumbre.metrics.Mean(name="loss")
        model.other = optimizers.Adam(0.1)
        model.compile(optimizers.SGD(0.1, momentum=0.9), "mse")
        model.other.build(model.trainable_variables[2:])

        def end(batch: int, logs: Any) -> None:
            if stop and batch == 3:
                raise KeyboardInterrupt

        callbacks = [lumbre.callbacks.LambdaCallback(on_train_batch_end=end)] if stop else []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            history = fit(model, callbacks=callbacks, **more).history
        return history, [v.numpy().tolist() for v in (*model.variables, *model.other.variables)]

    whole = run()
    with pytest.raises(KeyboardInterrupt):
        run(stop=True, checkpoint=Checkpoint(tmp_path, every=1))
    assert run(checkpoint=Checkpoint(tmp_path, every=1), resume=True) == whole
