"""The callback behind the progress bar."""

from __future__ import annotations

from typing import Any

from lumbre import console
from lumbre.callbacks.callback import Callback, Logs
from lumbre.utils.progbar import Progbar


class ProgbarLogger(Callback):
    """Prints the progress of `fit`, `evaluate` and `predict`; they add one unless `verbose=0`.

    Its batch hooks do not slow training down: they are called only when a line is `due`.

    Source: `keras.callbacks.ProgbarLogger`.

    Example:
        >>> import lumbre
        >>> lumbre.callbacks.ProgbarLogger().verbose
        1
    """

    def __init__(self) -> None:
        self.verbose: Any = 1
        self.epochs = 1
        self.target: int | None = None
        self.seen = 0
        self.unshown: tuple[str, ...] = ()
        self._bar: Progbar | None = None
        self._in_fit = False

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params
        self.verbose = 1 if params["verbose"] == "auto" else params["verbose"]
        self.epochs = params["epochs"]
        self.target = params["steps"]

    def due(self) -> bool:
        """Whether the bar would be written if a batch hook were called now."""
        return self._bar is not None and self._bar.due()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._in_fit = True  # the validation is silent

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._start()
        if self.verbose and self.epochs > 1:
            console.show(f"Epoch {epoch + 1}/{self.epochs}")

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._start()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._start()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._update(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._update(batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._update(batch, None)  # the logs are the predictions

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._finish(logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._in_fit = False

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._finish(logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._finish(None)

    def _start(self) -> None:
        self.seen = 0
        self._bar = Progbar(self.target, verbose=self.verbose, stateless_metrics=())

    def count(self, batch: int) -> None:
        """Notes that a batch is done, without writing anything."""
        self.seen = batch + 1

    def _update(self, batch: int, logs: Logs | None) -> None:
        self.count(batch)
        if self._bar is not None and self.verbose == 1:
            self._bar.update(self.seen, self._shown(logs), finalize=False)

    def _finish(self, logs: Logs | None) -> None:
        if self._bar is None:
            return
        if self.target is None:  # the length of an iterable is known after its first pass
            self.target = self._bar.target = self.seen
        self._bar.update(self.target, self._shown(logs), finalize=True)

    def _shown(self, logs: Logs | None) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in (logs or {}).items() if not name.startswith(self.unshown)]
