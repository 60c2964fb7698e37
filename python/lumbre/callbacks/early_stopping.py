"""Stopping when it gets no better."""

from __future__ import annotations

from typing import Any

import numpy as np

from lumbre import console
from lumbre.callbacks.callback import Logs
from lumbre.callbacks.monitored import MonitorCallback


class EarlyStopping(MonitorCallback):
    """Stops training when a value has not become better for `patience` epochs; never after the first.

    Args:
        monitor: The name of the value in the logs.
        min_delta: By how much it must be better to count.
        patience: Epochs without improvement that are put up with.
        verbose: 1 prints what is done.
        mode: "min", "max" or "auto"; see `MonitorCallback`.
        baseline: Waiting starts anew only at values that beat this one as well.
        restore_best_weights: Whether training ends with the weights of the best epoch, also where it was
            not stopped early.
        start_from_epoch: Epochs before this one (from 0) are not looked at.

    Raises:
        ValueError: With mode "auto", nothing says which direction is better.

    Source: `keras.callbacks.EarlyStopping`; Prechelt 1998, Early Stopping — But When?

    Example:
        >>> import lumbre, numpy as np
        >>> model = lumbre.Sequential([lumbre.Input((1,)), lumbre.layers.Dense(1)])
        >>> model.compile(lumbre.optimizers.SGD(0.0), "mse")
        >>> stop = lumbre.callbacks.EarlyStopping("loss", patience=3)
        >>> x = np.ones((8, 1))
        >>> len(model.fit(x, x, epochs=10, verbose=0, callbacks=[stop]).epoch)
        4
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best: Any = None
        self.best_epoch = 0
        self.best_weights: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        current = self._value(logs or {}, "Early stopping conditioned on")
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._keep(epoch)  # some epoch is restored, even if none beats a NaN
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self._keep(epoch)
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def get_state(self) -> dict[str, Any]:
        return {
            "wait": self.wait,
            "stopped_epoch": self.stopped_epoch,
            "best": self.best,
            "best_epoch": self.best_epoch,
            # Without copies: they are replaced, never written to.
            "best_weights": None if self.best_weights is None else [_read_only(w) for w in self.best_weights],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self.wait = state["wait"]
        self.stopped_epoch = state["stopped_epoch"]
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.best_weights = state["best_weights"]

    def _keep(self, epoch: int) -> None:
        self.best_epoch, self.best_weights = epoch, self.model.get_weights()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            console.show(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                console.show(
                    f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}."
                )
            self.model.set_weights(self.best_weights)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
