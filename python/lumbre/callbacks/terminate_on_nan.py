"""Stopping when the loss is no number any more."""

from __future__ import annotations

import math

from lumbre import console
from lumbre.callbacks.callback import Callback, Logs, between_runs


class TerminateOnNaN(Callback):
    """Stops training at the first batch whose loss is NaN or infinite.

    Training is no slower for it: batches go on running many at once, and a run of batches ends by itself
    after the one that leaves the epoch's loss without a finite value.

    Args:
        raise_error: Whether to raise an error, at which no `on_train_end` is called.

    Raises:
        RuntimeError: The loss is not finite, and `raise_error` is set.

    Source: `keras.callbacks.TerminateOnNaN`.

    Example:
        >>> import lumbre, numpy as np
        >>> model = lumbre.Sequential([lumbre.Input((1,)), lumbre.layers.Dense(1)])
        >>> model.compile(lumbre.optimizers.SGD(1e30), "mse")
        >>> x = np.ones((8, 1))
        >>> history = model.fit(
        ...     x, x, batch_size=1, epochs=9, verbose=0, callbacks=[lumbre.callbacks.TerminateOnNaN()]
        ... )
        Batch 1: Invalid loss, terminating training
        >>> history.epoch
        [0]
    """

    stops_on_nan = True

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    @between_runs
    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                f"NaN or Inf loss encountered at batch {batch}. Loss value: {loss}. Terminating training "
                "immediately."
            )
        console.show(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
