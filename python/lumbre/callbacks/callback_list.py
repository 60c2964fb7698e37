"""Calls the hooks of several callbacks, and no hook that does nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lumbre import tree
from lumbre.autograd import Tensor
from lumbre.callbacks.callback import Callback, Logs, is_between_runs, is_default
from lumbre.callbacks.history import History
from lumbre.callbacks.progbar_logger import ProgbarLogger
from lumbre.lookup import did_you_mean
from lumbre.watching import Watcher


def pythonify_logs(logs: Logs | None) -> Logs:
    """The logs sorted by name, members of nested dicts beside the others, values as Python floats."""
    result: Logs = {}
    for name, value in sorted((logs or {}).items()):
        if isinstance(value, dict):
            result.update(pythonify_logs(value))
            continue
        if isinstance(value, Tensor) or hasattr(value, "__lumbre_tensor__"):
            value = np.asarray(value)
        if getattr(value, "size", None) == 1:
            value = value.item()
        try:
            result[name] = float(value)
        except (TypeError, ValueError):  # a vector, say: as it came
            result[name] = value
    return result


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))
"""The names of all hooks."""


def check_callback(callback: Any) -> None:
    """Refuses what can be no callback.

    Raises:
        TypeError: It is a class, or has none of the hooks.
    """
    hooks = (*HOOKS, "set_model", "set_params")
    if isinstance(callback, type) or not any(callable(getattr(callback, name, None)) for name in hooks):
        raise TypeError(
            f"`callbacks` has a member without hooks like `on_epoch_end`: {callback!r}.{_hint(callback)}"
        )


def _hint(callback: Any) -> str:
    if isinstance(callback, type):
        return f" It is a class: pass an object, {callback.__name__}(...)"
    if isinstance(callback, str):
        import lumbre.callbacks as known  # which imports this module

        return f" Callbacks have no names: pass the object.{did_you_mean(callback, known.__all__)}"
    if callable(callback):
        return " To call a function, use `callbacks.LambdaCallback`"
    return ""


class CallbackList(Callback):
    """One callback made of several, called in order.

    Members that are no subclass of `Callback` work too: the hooks that they have are called.

    Raises:
        TypeError: A member has no hooks at all, or is a class.

    Args:
        callbacks: A callback, or a list of them.
        add_history: Whether to add a `History`, if none is in the list.
        add_progbar: Whether to add a `ProgbarLogger`, if none is in the list.
        model: The model that the callbacks see.
        params: What `set_params` of each callback receives.

    Source: `keras.callbacks.CallbackList`.

    Example:
        >>> import lumbre
        >>> hooks = lumbre.callbacks.CallbackList([], add_history=True)
        >>> [type(c).__name__ for c in hooks.callbacks]
        ['History']
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        self.callbacks: list[Any] = [c for c in tree.flatten(callbacks or []) if c is not None]
        for callback in self.callbacks:
            check_callback(callback)
        if add_history and not any(isinstance(c, History) for c in self.callbacks):
            self.callbacks.append(History())
        if add_progbar and not any(isinstance(c, ProgbarLogger) for c in self.callbacks):
            self.callbacks.append(ProgbarLogger())
        # A subclass of the logger may want every batch; the logger itself asks only now and then.
        self._bars = [c for c in self.callbacks if type(c) is ProgbarLogger]
        self._others = [c for c in self.callbacks if type(c) is not ProgbarLogger]
        for bar in self._bars:
            bar.unshown = tuple(p for c in self._others for p in getattr(c, "unshown", ()))
        self.set_model(model)
        self.set_params(params)

    def set_params(self, params: dict[str, Any]) -> None:
        """Gives every callback what the run is."""
        self.params = params
        for callback in self.callbacks if params else ():
            if hasattr(callback, "set_params"):
                callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Gives every callback the model."""
        if model is None:
            return
        self._model = model
        for callback in self.callbacks:
            if isinstance(callback, History):
                model.history = callback
            if hasattr(callback, "set_model"):
                callback.set_model(model)

    def wants(self, kind: str, when: str | None = None) -> bool:
        """Whether a callback has a hook before or after each batch.

        Args:
            kind: "train", "test" or "predict".
            when: "begin" or "end"; by default either.
        """
        return any(self._batch_hooks(kind, w, every=True) for w in ([when] if when else ["begin", "end"]))

    def watches(self) -> bool:
        """Whether a progress bar shows the steps as they are done."""
        return any(bar.verbose == 1 for bar in self._bars)

    def tick(self, kind: str, batch: int, logs: Callable[[], Logs]) -> None:
        """Tells the progress bars, and hooks that need not see every batch, that batches are done.

        Args:
            kind: "train", "test" or "predict".
            batch: The number of the last batch, from 0.
            logs: What gives the logs; called only if somebody reads them.
        """
        if not self.wants(kind, "end"):  # otherwise they were called with the others
            hooks = self._batch_hooks(kind, "end")
            if hooks:
                values = pythonify_logs(logs())
                for hook in hooks:
                    hook(batch, values)
        for bar in self._bars:
            bar.count(batch)
            if bar.due():
                getattr(bar, f"on_{kind}_batch_end")(batch, pythonify_logs(logs()))

    @property
    def watchers(self) -> tuple[Watcher, ...]:
        """What watches the training steps from within."""
        found = (getattr(callback, "watcher", None) for callback in self.callbacks)
        return tuple(watcher for watcher in found if watcher is not None)

    @property
    def stops_on_nan(self) -> bool:  # type: ignore[override]
        """Whether a run of batches is to end when the loss is not finite."""
        return any(getattr(callback, "stops_on_nan", False) for callback in self.callbacks)

    def _batch_hooks(self, kind: str, when: str, every: bool = False) -> list[Callable[..., None]]:
        """The hooks at a batch; with `every` only those that must see each."""
        # `on_batch_begin` and `on_batch_end` are other names of the hooks for training.
        names = [f"on_{kind}_batch_{when}", *([f"on_batch_{when}"] if kind == "train" else [])]
        hooks: list[Callable[..., None]] = []
        for callback in self._others:
            own = [getattr(callback, name, None) for name in names]
            hooks += [hook for hook in own if hook is not None and not is_default(hook)][:1]
        return [hook for hook in hooks if not (every and is_between_runs(hook))]

    def _call_batch(self, kind: str, when: str, batch: int, logs: Logs | None) -> None:
        hooks = self._batch_hooks(kind, when)
        if hooks:
            logs = pythonify_logs(logs) if kind != "predict" else (logs or {})
            for hook in hooks:
                hook(batch, logs)

    def _call(self, name: str, *args: Any) -> None:
        for callback in self.callbacks:
            hook = getattr(callback, name, None)
            if hook is not None and not is_default(hook):
                hook(*args)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call_batch("train", "begin", batch, logs)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call_batch("train", "end", batch, logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_begin", epoch, pythonify_logs(logs))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_end", epoch, pythonify_logs(logs))

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call_batch("train", "begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call_batch("train", "end", batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call_batch("test", "begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call_batch("test", "end", batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call_batch("predict", "begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call_batch("predict", "end", batch, logs)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._call("on_train_begin", pythonify_logs(logs))

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._call("on_train_end", pythonify_logs(logs))

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._call("on_test_begin", pythonify_logs(logs))

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._call("on_test_end", pythonify_logs(logs))

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._call("on_predict_begin", pythonify_logs(logs))

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._call("on_predict_end", pythonify_logs(logs))
