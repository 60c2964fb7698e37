"""Saving the model during training."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from lumbre import console
from lumbre.callbacks.callback import Callback, Logs
from lumbre.callbacks.monitored import MonitorCallback
from lumbre.utils.extras import require

_MODELS = (".lumbre", ".keras", ".h5")
_WEIGHTS = (".lumbre", ".weights.h5")


class BatchCounter:
    """Says when `every` more batches are done, whose numbers begin anew at each epoch.

    Args:
        every: How many; "epoch" for never.
    """

    def __init__(self, every: Any) -> None:
        self.every = every
        self.since = 0
        self.last: int | None = None

    def is_due(self, batch: int) -> bool:
        """Whether so many are done after this one since the last that was."""
        if self.every == "epoch":
            return False
        new_epoch = self.last is None or batch <= self.last
        self.since += batch + 1 if new_epoch else batch - (self.last or 0)
        self.last = batch
        if self.since < self.every:
            return False
        self.since = 0
        return True


class ModelCheckpoint(MonitorCallback):
    """Saves the model, or its weights, after each epoch or every few batches.

    The name of the file may have places for the number of the epoch (from 1), that of the batch where it
    is saved after batches, and values of the logs: `"{epoch:02d}-{val_loss:.2f}.lumbre"`. Folders are made.
    A file is written beside and renamed, so an older one of that name stands until the new one is complete.

    To go on with a run that was killed there is `fit(checkpoint=..., resume=True)`.

    Args:
        filepath: The file. A model: `.lumbre`, which needs nothing, `.keras` or `.h5`. Weights alone:
            `.lumbre` or `.weights.h5`. `.keras` and `.h5` need h5py.
        monitor: With `save_best_only`, the name of the value in the logs.
        verbose: 1 prints what is done.
        save_best_only: Whether to save only when the value is better than at all epochs before.
        save_weights_only: Whether to save the weights without the model.
        mode: "min", "max" or "auto"; see `MonitorCallback`.
        save_freq: "epoch", or a number of batches. Batches then run one by one.
        initial_value_threshold: What the first value must be better than.

    Raises:
        ValueError: The name's ending does not fit, `save_freq` means nothing, or with mode "auto" nothing
            says which direction is better.
        ImportError: The ending needs h5py, which is not installed.
        KeyError: The name has a place for a value that the logs lack.
        OSError: The file cannot be written.

    Source: `keras.callbacks.ModelCheckpoint`.

    Example:
        >>> import os, tempfile
        >>> import numpy as np
        >>> import lumbre
        >>> folder = tempfile.mkdtemp()
        >>> save = lumbre.callbacks.ModelCheckpoint(f"{folder}/{{epoch:02d}}.lumbre", monitor="loss")
        >>> model = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> _ = model.fit(np.ones((8, 3)), np.ones((8, 1)), epochs=2, verbose=0, callbacks=[save])
        >>> sorted(os.listdir(folder))
        ['01.lumbre', '02.lumbre']
    """

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.verbose = verbose
        self.filepath = os.fsdecode(os.fspath(filepath))
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._epoch = 0
        self._counter = BatchCounter(save_freq)
        if save_freq != "epoch" and not isinstance(save_freq, int):
            raise ValueError(
                f"Unrecognized save_freq: {save_freq}. Expected save_freq are 'epoch' or integer values"
            )
        self._check_ending()
        if save_freq != "epoch":  # otherwise there is no hook for batches, and nothing is slower
            self.on_train_batch_end = self._on_train_batch_end  # type: ignore[method-assign]

    def _check_ending(self) -> None:
        endings = _WEIGHTS if self.save_weights_only else _MODELS
        if not self.filepath.endswith(endings):
            if self.save_weights_only:
                raise ValueError(
                    "When using `save_weights_only=True` in `ModelCheckpoint`, the filepath provided must "
                    "end in `.weights.h5` (Keras weights format) or `.lumbre` (which needs no further "
                    "package). "
                    f"Received: filepath={self.filepath}"
                )
            raise ValueError(
                "The filepath provided must end in `.keras` (Keras model format) or `.lumbre` (which needs "
                f"no further package). Received: filepath={self.filepath}"
            )
        if not self.filepath.endswith(".lumbre"):
            what = f"ModelCheckpoint({self.filepath!r})"
            try:
                require("h5py", "keras", what)
            except ImportError as error:
                error.msg += ", or save to a file that ends in .lumbre, which needs nothing"
                raise

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def _on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._counter.is_due(batch):
            self._save(self._epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if self.monitor_op is None:
            self._set_monitor_op(logs)
        if self.save_freq == "epoch":
            self._save(epoch, None, logs)

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best, "since": self._counter.since, "last": self._counter.last}

    def set_state(self, state: dict[str, Any]) -> None:
        self.best = state["best"]
        self._counter.since, self._counter.last = state["since"], state["last"]

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        path = self._path(epoch, batch, logs)
        if not self._is_wanted(epoch, logs, path):
            return
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        try:
            if self.save_weights_only:
                self.model.save_weights(path, overwrite=True)
            else:
                self.model.save(path, overwrite=True)
        except IsADirectoryError:
            raise OSError(
                "Please specify a non-directory filepath for ModelCheckpoint. Filepath used is an existing "
                f"directory: {path}"
            ) from None
        if self.verbose > 0:
            console.show(f"\nEpoch {epoch + 1}: finished saving model to {path}")

    def _path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        values: dict[str, Any] = {
            "epoch": epoch + 1,
            **({} if batch is None else {"batch": batch + 1}),
            **logs,
        }
        try:
            return self.filepath.format(**values)
        except KeyError as error:
            raise KeyError(
                f'Failed to format this callback filepath: "{self.filepath}". Reason: {error}'
            ) from None

    def _is_wanted(self, epoch: int, logs: Logs, path: str) -> bool:
        """Whether to save now; says so if asked to."""
        if not self.save_best_only:
            self._say(epoch, f"saving model to {path}")
            return True
        if self.monitor_op is None:
            self._set_monitor_op(logs)
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(f"Can save best model only with {self.monitor} available.", stacklevel=5)
            return True
        if np.ndim(current) > 0:
            warnings.warn(
                f"Can save best model only when `monitor` is a scalar value. Received: {current}. Falling "
                "back to `save_best_only=False`.",
                stacklevel=5,
            )
            return True
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self._is_improvement(current, self.best):
            self._say(epoch, f"{self.monitor} did not improve from {best}")
            return False
        self._say(epoch, f"{self.monitor} improved from {best} to {current:.5f}, saving model to {path}")
        self.best = current
        return True

    def _say(self, epoch: int, what: str) -> None:
        if self.verbose > 0:
            console.show(f"\nEpoch {epoch + 1}: {what}")


class BackupAndRestore(Callback):
    """Saves the state of a run in a folder, and goes on from there if there is a state in it.

    It is `fit(checkpoint=..., resume=True)` under Keras's name: the run ends in the same bits as if it had
    not been interrupted. The folder belongs to this callback alone.

    Args:
        backup_dir: The folder.
        save_freq: "epoch", or after how many batches the state is saved.
        double_checkpoint: Whether the state before the last one is kept, too.
        delete_checkpoint: Whether the folder's checkpoints are removed when training has ended.

    Raises:
        ValueError: The folder's name is empty, or `save_freq` means nothing.

    Source: `keras.callbacks.BackupAndRestore`.

    Example:
        >>> import lumbre, numpy as np, os, tempfile
        >>> model = lumbre.Sequential([lumbre.Input((1,)), lumbre.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> folder = tempfile.mkdtemp()
        >>> backup = lumbre.callbacks.BackupAndRestore(folder, delete_checkpoint=False)
        >>> history = model.fit(np.ones((8, 1)), np.ones(8), epochs=2, verbose=0, callbacks=[backup])
        >>> os.listdir(folder)
        ['checkpoint-000002']
    """

    def __init__(
        self,
        backup_dir: Any,
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        if not backup_dir:
            raise ValueError("Empty `backup_dir` argument passed")
        if save_freq != "epoch" and (not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(
                f"Invalid value for argument `save_freq`. Received: save_freq={save_freq}. Expected either "
                "'epoch' or an integer value."
            )
        self.backup_dir = os.fsdecode(os.fspath(backup_dir))
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint

    @property
    def checkpoint_options(self) -> dict[str, Any]:
        """What `fit` makes its `Checkpoint` of."""
        keep = 2 if self.double_checkpoint else 1
        return {"directory": self.backup_dir, "every": self.save_freq, "keep": keep}
