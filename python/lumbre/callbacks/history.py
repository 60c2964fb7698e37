"""The record of a training run."""

from __future__ import annotations

import weakref
from typing import Any

from lumbre.callbacks.callback import Callback, Logs


class History(Callback):
    """Collects the logs of every epoch; `fit` adds one, returns it and sets `model.history`.

    Attributes:
        history: For each name, sorted, the list of its values, one Python float per epoch.
        epoch: The numbers of the epochs, from 0.
        params: The parameters of the run.

    Source: `keras.callbacks.History`.

    Example:
        >>> import lumbre
        >>> lumbre.callbacks.History().history
        {}
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    @property
    def model(self) -> Any:
        """The model, while it is in use: a record, which its model holds, does not keep it alive."""
        return None if self._model is None else self._model()

    def set_model(self, model: Any) -> None:
        self._model = weakref.ref(model)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        if self.model is not None:
            self.model.history = self
