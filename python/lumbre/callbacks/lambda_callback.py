"""A callback made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lumbre.callbacks.callback import Callback
from lumbre.callbacks.callback_list import HOOKS
from lumbre.lookup import did_you_mean


class LambdaCallback(Callback):
    """Calls a function at each of the events that it is given for.

    Args:
        on_epoch_begin, on_epoch_end: `f(epoch, logs)`.
        on_train_begin, on_train_end: `f(logs)`.
        on_train_batch_begin, on_train_batch_end: `f(batch, logs)`; batches then run one by one.
        kwargs: Functions for any other hook of `Callback`, by its name.

    Raises:
        TypeError: There is no hook of that name.

    Source: `keras.callbacks.LambdaCallback`.

    Example:
        >>> import lumbre, numpy as np
        >>> model = lumbre.Sequential([lumbre.Input((1,)), lumbre.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> say = lumbre.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, sorted(logs)))
        >>> history = model.fit(np.ones((8, 1)), np.ones(8), epochs=2, verbose=0, callbacks=[say])
        0 ['loss']
        1 ['loss']
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Callable[..., Any],
    ) -> None:
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for name, function in given.items():
            if name not in HOOKS:
                raise TypeError(f"LambdaCallback: there is no hook '{name}'.{did_you_mean(name, HOOKS)}")
            if function is not None:
                setattr(self, name, function)
