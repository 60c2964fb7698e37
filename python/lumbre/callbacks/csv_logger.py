"""The logs as a file of comma-separated values."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Literal, TextIO

import numpy as np

from lumbre.callbacks.callback import Callback, Logs


class CSVLogger(Callback):
    """Writes a row per epoch: its number, from 0, then the values of the logs in the order of their names.

    The columns are those of the first epoch; where it had no validation, a column `val_...` is kept free
    for each of its names. What an epoch lacks is `NA`.

    Args:
        filename: The file.
        separator: What stands between two values.
        append: Whether to write on where the file ends; by default it begins anew.

    Raises:
        OSError: The file cannot be written.

    Source: `keras.callbacks.CSVLogger`.

    Example:
        >>> import lumbre, numpy as np, pathlib, tempfile
        >>> model = lumbre.Sequential([lumbre.Input((1,)), lumbre.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "log.csv"
        >>> csv = lumbre.callbacks.CSVLogger(path)
        >>> history = model.fit(np.ones((8, 1)), np.ones(8), verbose=0, callbacks=[csv])
        >>> path.read_text().splitlines()[0]
        'epoch,loss,val_loss'
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self.append_header = True
        self.keys: list[str] | None = None
        self.writer: Any = None
        self.csv_file: TextIO | None = None
        self._begins_at = 0  # where in the file the rows of this training begin

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._close()
        # What was there before goes with the first row, not now: a run that is resumed goes on with it.
        mode: Literal["r+", "w"] = "r+" if os.path.isfile(self.filename) else "w"
        self.csv_file = open(self.filename, mode, newline="", encoding="utf-8")  # noqa: SIM115 - in `_close`
        size = os.stat(self.filename).st_size
        self.append_header = not (self.append and size)
        self._begins_at = size if self.append else 0
        self.writer = self.keys = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        assert self.csv_file is not None
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
        if self.writer is None:
            if self.csv_file.seekable():
                self.csv_file.seek(self._begins_at)
                self.csv_file.truncate()
            import csv

            self.writer = csv.writer(self.csv_file, delimiter=self.sep)
            if self.append_header:
                self.writer.writerow(["epoch", *self.keys])
        self.writer.writerow([epoch, *(_cell(logs.get(key, "NA")) for key in self.keys)])
        self.csv_file.flush()

    def get_state(self) -> dict[str, Any] | None:
        if self.csv_file is None or not self.csv_file.seekable():
            return None
        begun = self.writer is not None
        return {
            "keys": self.keys,
            "bytes": os.fstat(self.csv_file.fileno()).st_size if begun else self._begins_at,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        assert self.csv_file is not None
        self.keys, self.writer = state["keys"], None
        size = os.fstat(self.csv_file.fileno()).st_size
        # Rows of epochs that come once more are overwritten; a file that was removed meanwhile begins anew.
        self._begins_at = state["bytes"] if size >= state["bytes"] else 0
        self.append_header = self._begins_at == 0

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close()

    def _close(self) -> None:
        if self.csv_file is not None:
            self.csv_file.close()
        self.csv_file = self.writer = None


def _cell(value: Any) -> Any:
    """A value as it is written: several numbers in brackets."""
    if isinstance(value, str) or not isinstance(value, Iterable) or np.ndim(value) == 0:  # type: ignore[arg-type]
        return value
    return f'"[{", ".join(map(str, value))}]"'
