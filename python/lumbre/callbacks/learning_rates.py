"""Callbacks that set the learning rate between epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lumbre import console
from lumbre.callbacks.callback import Callback, Logs
from lumbre.callbacks.monitored import MonitorCallback


def rate_of(optimizer: Any) -> float:
    """The present learning rate.

    Raises:
        ValueError: There is none.
    """
    if not hasattr(optimizer, "learning_rate"):
        raise ValueError('Optimizer must have a "learning_rate" attribute.')
    return float(np.asarray(optimizer.learning_rate))


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by `factor` when a value has not become better for `patience` epochs.

    It adds `learning_rate` to the logs, before a change.

    Args:
        monitor: The name of the value in the logs.
        factor: What the learning rate is multiplied by, less than 1.
        patience: Epochs without improvement before that.
        verbose: 1 prints each change.
        mode: "min", "max" or "auto"; see `MonitorCallback`.
        min_delta: By how much the value must be better to count.
        cooldown: Epochs after a change in which none is counted as without improvement.
        min_lr: What the learning rate does not go below.

    Raises:
        ValueError: The factor is 1 or more; or, with mode "auto", nothing says which direction is better.
        TypeError: The optimizer's learning rate is a schedule or a function.

    Source: `keras.callbacks.ReduceLROnPlateau`.

    Example:
        >>> import lumbre, numpy as np
        >>> model = lumbre.Sequential([lumbre.Input((1,)), lumbre.layers.Dense(1)])
        >>> model.compile(lumbre.optimizers.SGD(1e-9), "mse")
        >>> lower = lumbre.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=2)
        >>> x = np.ones((8, 1))
        >>> history = model.fit(x, x, epochs=4, verbose=0, callbacks=[lower]).history
        >>> [f"{rate:.2e}" for rate in history["learning_rate"]]
        ['1.00e-09', '1.00e-09', '1.00e-09', '5.00e-10']
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau does not support a factor >= 1.0. Received factor={factor}")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best: Any = None
        self.cooldown_counter = 0
        self.wait = 0

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best, "wait": self.wait, "cooldown_counter": self.cooldown_counter}

    def set_state(self, state: dict[str, Any]) -> None:
        self.best, self.wait = state["best"], state["wait"]
        self.cooldown_counter = state["cooldown_counter"]

    def in_cooldown(self) -> bool:
        """Whether epochs are not counted now."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        logs["learning_rate"] = rate_of(self.model.optimizer)
        current = self._value(logs, "Learning rate reduction is conditioned on")
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def _reduce(self, epoch: int) -> bool:
        optimizer = self.model.optimizer
        rate = rate_of(optimizer)
        if rate <= np.float32(self.min_lr):
            return False
        new = max(rate * self.factor, self.min_lr)
        optimizer.learning_rate = new
        if self.verbose > 0:
            console.show(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new}.")
        return True


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of every epoch; adds it to the logs.

    Args:
        schedule: `schedule(epoch, rate)`, or `schedule(epoch)`, which returns the new rate as a float;
            epochs count from 0.
        verbose: 1 prints each rate.

    Raises:
        ValueError: What the schedule returns is no float, or the optimizer has no learning rate.
        TypeError: The optimizer's learning rate is a schedule or a function.

    Source: `keras.callbacks.LearningRateScheduler`.

    Example:
        >>> import lumbre, numpy as np
        >>> model = lumbre.Sequential([lumbre.Input((1,)), lumbre.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> halve = lumbre.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2, verbose=1)
        >>> history = model.fit(np.ones((8, 1)), np.ones(8), verbose=0, callbacks=[halve])
        <BLANKLINE>
        Epoch 1: LearningRateScheduler setting learning rate to 0.004999999888241291.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        try:
            rate = self.schedule(epoch, rate_of(optimizer))
        except TypeError:  # a schedule of the epoch alone
            rate = self.schedule(epoch)
        if not isinstance(rate, (float, np.float32, np.float64)):
            raise ValueError(f"The output of the `schedule` function should be a float. Got: {rate}")
        optimizer.learning_rate = rate
        if self.verbose > 0:
            console.show(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = rate_of(self.model.optimizer)
