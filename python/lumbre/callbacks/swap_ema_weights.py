"""Evaluating with averaged weights."""

from __future__ import annotations

from typing import Any

from lumbre.callbacks.callback import Callback, Logs


class SwapEMAWeights(Callback):
    """Puts the moving averages in the place of the weights for each evaluation, and back afterwards.

    For an optimizer with `use_ema=True`.

    Args:
        swap_on_epoch: Whether the averages stay in place from the end of an epoch to the beginning of the
            next, so that callbacks behind this one see them too.

    Raises:
        ValueError: The optimizer keeps no averages.

    Source: `keras.callbacks.SwapEMAWeights`; Polyak and Juditsky 1992, Acceleration of Stochastic
    Approximation by Averaging.

    Example:
        >>> import lumbre, numpy as np
        >>> model = lumbre.Sequential([lumbre.Input((1,)), lumbre.layers.Dense(1)])
        >>> model.compile(lumbre.optimizers.SGD(0.1, use_ema=True), "mse")
        >>> x = np.ones((64, 1))
        >>> swap = lumbre.callbacks.SwapEMAWeights()
        >>> sorted(model.fit(x, x, validation_data=(x, x), verbose=0, callbacks=[swap]).history)
        ['loss', 'val_loss']
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = swap_on_epoch
        self._averages_in_model = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._put(averages=False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._put(averages=True)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._averages_in_model:
            # The averages become the weights after training: the optimizer must have them by then.
            for variable, average in self._pairs():
                average.assign(variable.value)
            self._averages_in_model = False

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._put(averages=True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._put(averages=False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._put(averages=True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._put(averages=False)

    def get_state(self) -> dict[str, Any]:
        return {"averages_in_model": self._averages_in_model}

    def set_state(self, state: dict[str, Any]) -> None:
        self._averages_in_model = state["averages_in_model"]

    def _put(self, averages: bool) -> None:
        """Sees to it that the model holds the averages, or its own weights."""
        if averages == self._averages_in_model:
            return
        for variable, average in self._pairs():
            value = variable.value
            variable.assign(average.value)
            average.assign(value)
        self._averages_in_model = averages

    def _pairs(self) -> list[tuple[Any, Any]]:
        """Each variable with its average."""
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        averages = getattr(optimizer, "_averages", [])
        if not averages:
            raise ValueError(
                "SwapEMAWeights must be used when `use_ema=True` is set on the optimizer. "
                f"Received: use_ema={getattr(optimizer, 'use_ema', False)}"
            )
        return list(zip(optimizer._trainable_variables, averages, strict=True))
