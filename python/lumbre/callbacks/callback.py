"""The base of callbacks: sixteen hooks that do nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from lumbre.lookup import Options
from lumbre.watching import Watcher

Logs = dict[str, Any]
_Hook = TypeVar("_Hook", bound=Callable[..., None])


def _default(hook: _Hook) -> _Hook:
    """Marks a hook that does nothing: training runs many batches at once unless one is overridden."""
    hook._default_hook = True  # type: ignore[attr-defined]
    return hook


def between_runs(hook: _Hook) -> _Hook:
    """Marks a batch hook that need not see every batch: it is called whenever some are done.

    Training runs many batches at once in spite of it.
    """
    hook._between_runs = True  # type: ignore[attr-defined]
    return hook


def is_between_runs(hook: Any) -> bool:
    """Whether a batch hook is one that need not see every batch."""
    return bool(getattr(hook, "_between_runs", False))


def is_default(hook: Any) -> bool:
    """Whether a hook is the one of the base class, which does nothing."""
    return bool(getattr(hook, "_default_hook", False))


class Callback(Options):
    """Code that runs at the events of training: subclass it and override hooks.

    Every hook receives `logs`, a dict of Python floats sorted by name: the values of the metrics so
    far in the epoch, and at an epoch's end also those of the validation, named `val_...`. What a
    hook adds to the logs at an epoch's end is seen by later callbacks, the history and the progress
    bar. Hooks per batch cost time: where none is overridden, many batches run in one call.

    Attributes:
        model: The model that is being trained, evaluated or used for prediction.
        params: `{"verbose": ..., "epochs": ..., "steps": ...}`.
        stops_on_nan: Whether a run of batches is to end after the one that leaves the loss without a
            finite value.
        watcher: What watches each training step from within (see `lumbre.watching`), or None.
        unshown: Beginnings of names in the logs that progress bars leave out.

    Source: `keras.callbacks.Callback`.

    Example:
        >>> import lumbre
        >>> class StopBelow(lumbre.callbacks.Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         if logs["loss"] < 0.01:
        ...             self.model.stop_training = True
    """

    params: dict[str, Any] | None = None
    stops_on_nan = False
    watcher: Watcher | None = None
    unshown: tuple[str, ...] = ()
    _model: Any = None

    @property
    def model(self) -> Any:
        """The model that is trained; None before the callback is given to one."""
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        """Takes what the run is: `verbose`, `epochs`, `steps`."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Takes the model, before any other method is called."""
        self._model = model

    def get_state(self) -> dict[str, Any] | None:
        """What a checkpoint is to know of the callback (see `fit(checkpoint=...)`); None: nothing.

        A dict of None, booleans, numbers, texts, arrays, and lists, tuples and dicts of them. It is asked for
        between two batches, and before and after the validation of an epoch.
        """
        return None

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on where the callback was that `state` came from.

        Called after `on_train_begin`; where a run resumes within an epoch, again after its `on_epoch_begin`.
        """

    @_default
    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Another name for `on_train_batch_begin`."""

    @_default
    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Another name for `on_train_batch_end`."""

    @_default
    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch of training; epochs count from 0."""

    @_default
    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch of training and its validation."""

    @_default
    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of training; batches count from 0 in every epoch."""
        self.on_batch_begin(batch, logs)

    @_default
    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of training."""
        self.on_batch_end(batch, logs)

    @_default
    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `evaluate`, or of the validation in `fit`."""

    @_default
    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `evaluate`, or of the validation in `fit`."""

    @_default
    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `predict`."""

    @_default
    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `predict`; `logs` is `{"outputs": predictions of the batch}`."""

    @_default
    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    @_default
    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch; `logs` are those of its end. Not called after an exception."""

    @_default
    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before `evaluate`, or the validation in `fit`."""

    @_default
    def on_test_end(self, logs: Logs | None = None) -> None:
        """After `evaluate`, or the validation in `fit`."""

    @_default
    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before `predict`."""

    @_default
    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After `predict`."""
