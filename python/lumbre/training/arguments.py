"""The arguments of `compile`, `fit` and their relatives, checked before anything else happens."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

import numpy as np

from lumbre import config, tree
from lumbre.callbacks.callback_list import HOOKS, CallbackList, check_callback
from lumbre.lookup import did_you_mean, users_level

POLICIES = ("raise", "warn", "allow")


def whole(value: Any) -> bool:
    """Whether a value is an integer, and not a boolean."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def positive_int(name: str, value: Any) -> int | None:
    """The value, if it is None or a whole number above 0.

    Raises:
        ValueError: It is neither.
    """
    if value is None:
        return None
    if not whole(value) or value < 1:
        hint = ". Divide with `//` to get a whole number" if isinstance(value, (float, np.floating)) else ""
        raise ValueError(f"`{name}` must be a positive integer or None. Received: {name}={value!r}{hint}")
    return int(value)


def epoch_range(initial_epoch: Any, epochs: Any) -> range:
    """The numbers of the epochs to train; `config.set_max_epochs` may limit them.

    Raises:
        ValueError: One is no whole number from 0 on, or the first epoch comes after the last.
    """
    for name, value in (("epochs", epochs), ("initial_epoch", initial_epoch)):
        if not whole(value) or value < 0:
            raise ValueError(f"`{name}` must be a whole number, 0 or more. Received: {name}={value!r}")
    if initial_epoch > epochs:
        raise ValueError(
            f"`epochs` is the number of the last epoch, and `initial_epoch` comes after it. Received: "
            f"epochs={epochs}, initial_epoch={initial_epoch}. To train {epochs} more epochs, pass "
            f"epochs={initial_epoch + epochs}"
        )
    most = config.max_epochs()
    if most is not None and most < epochs:
        warnings.warn(f"Limiting epochs to {most}", stacklevel=users_level())
        epochs = most
    return range(int(initial_epoch), int(epochs))


def split_fraction(value: Any) -> float:
    """The part of the data that validates; 0 where None is given.

    Raises:
        ValueError: It is no number from 0 to 1.
    """
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) <= 1:
        raise ValueError(
            "`validation_split` must be a number from 0 to below 1, the part of the samples that "
            f"validates. Received: validation_split={value!r}"
        )
    return float(value)


def frequency(value: Any) -> int | list[int]:
    """When `fit` validates: every so many epochs, or after those in a list.

    Raises:
        ValueError: It is neither, or a number is below 1.
    """
    if whole(value) and value > 0:
        return int(value)
    if isinstance(value, (list, tuple, set, range)):
        if all(whole(epoch) and epoch > 0 for epoch in value):
            return [int(epoch) for epoch in value]
        raise ValueError(
            "the epochs in `validation_freq` count from 1 and are whole numbers. "
            f"Received: validation_freq={value}"
        )
    raise ValueError(
        "Expected `validation_freq` to be a list or int. "
        f"Received: validation_freq={value} of the type {type(value)}."
    )


def one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    """The value, if it is one of those allowed.

    Raises:
        ValueError: It is not.
    """
    if any(value is a or (type(value) is type(a) and value == a) for a in allowed):
        return value
    hint = did_you_mean(value, allowed)
    raise ValueError(f"`{name}` must be one of {allowed}. Received: {name}={value!r}.{hint}")


def plain(value: Any) -> Any:
    """A NumPy number as a Python one; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def check_verbose(value: Any) -> None:
    """Refuses a `verbose` that means nothing."""
    one_of("verbose", plain(value), ("auto", 0, 1, 2, True, False))


def check_shuffle(value: Any) -> None:
    """Refuses a `shuffle` that means nothing."""
    one_of("shuffle", plain(value), (True, False, "batch", None, 0, 1))


def check_loss_weights(weights: Any) -> None:
    """Refuses factors of losses that are no numbers.

    Raises:
        ValueError: Such a factor, or a wrong form.
    """
    if weights is None:
        return
    if not isinstance(weights, (list, tuple, dict, int, float)):
        raise ValueError(
            "Expected `loss_weights` argument to be a float (single output case) or a list, "
            f"tuple, or dict (multiple output case). Received instead: loss_weights={weights} "
            f"of type {type(weights)}"
        )
    for path, weight in tree.flatten_with_path(weights):
        if weight is not None and not (isinstance(weight, numbers.Real) and math.isfinite(weight)):
            place = "".join(f"[{key!r}]" for key in path)
            hint = ". Metrics are given by name: metrics=[...]" if isinstance(weight, str) else ""
            raise ValueError(f"`loss_weights{place}` must be a finite number. Received: {weight!r}{hint}")


def check_class_weight(class_weight: Any) -> None:
    """Refuses what are no weights of classes.

    Raises:
        ValueError: No dict; a class that is no whole number from 0 on; a weight that is not finite or
            negative.
    """
    if class_weight is None or (isinstance(class_weight, str) and class_weight == "balanced"):
        return
    if not isinstance(class_weight, dict):
        raise ValueError(
            "`class_weight` must be a dict from class numbers to weights, or 'balanced'. "
            f"Received: {class_weight!r}"
        )
    for label, weight in class_weight.items():
        if not isinstance(label, numbers.Real) or label != math.floor(label) or label < 0:
            raise ValueError(
                f"`class_weight` has the unknown class {label!r}: classes are whole numbers from 0 on"
            )
        if not isinstance(weight, (numbers.Real, np.ndarray)) or not 0 <= float(weight) < math.inf:
            raise ValueError(
                f"`class_weight` must hold finite weights of at least 0: {{{label}: {weight!r}}}"
            )


# Callbacks


def members(callbacks: Any) -> list[Any]:
    """The callbacks of what `fit` was given."""
    if isinstance(callbacks, CallbackList):
        return list(callbacks.callbacks)
    return [c for c in tree.flatten(callbacks if callbacks is not None else []) if c is not None]


def check_callbacks(callbacks: Any) -> None:
    """Refuses what is no callback, and warns of a method whose name is nearly that of a hook.

    Raises:
        TypeError: A member has none of the hooks.
    """
    for callback in members(callbacks):
        check_callback(callback)
        _warn_of_misspelt_hooks(callback)


def _warn_of_misspelt_hooks(callback: Any) -> None:
    kind = type(callback)
    for name in dir(kind):
        if not name.startswith("on_") or name in HOOKS:
            continue
        hint = did_you_mean(name.replace("_start", "_begin"), HOOKS, cutoff=0.85)
        if hint:
            warnings.warn(
                f"{kind.__name__}.{name} is no hook of a callback, so training does not call it.{hint}",
                stacklevel=users_level(),
            )


def nan_policy(model: Any, callbacks: Any = None) -> str:
    """What training does about NaN and infinity in its data.

    By default an error; but a `TerminateOnNaN` among the callbacks says that they are expected.
    """
    if model.nan_policy is not None:
        return str(model.nan_policy)
    kinds = (kind.__name__ for c in members(callbacks) for kind in type(c).__mro__)
    return "allow" if "TerminateOnNaN" in kinds else "raise"
