"""Checks of what goes into a step, made before anything changes."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lumbre import tree
from lumbre.autograd import FLOATS
from lumbre.config import floatx
from lumbre.lookup import users_level
from lumbre.training.arrays import path_name

EXACT = 1 << 24
"""The largest number up to which float32 has every integer."""

_CHUNK = 1 << 20  # values looked at together: the temporary array stays small


def warn_once(model: Any, text: str, about: str) -> None:
    """Warns, in the name of the user's own line, of something that was not yet said of this model.

    Args:
        model: Forgets at each `compile` what was said.
        text: The warning.
        about: What it is about: each is said once.
    """
    said: set[str] = model.__dict__.setdefault("_said", set())
    if about not in said:
        said.add(about)
        warnings.warn(text, stacklevel=users_level())


# NaN and infinity


def is_finite(array: np.ndarray) -> bool:
    """Whether all values are finite in the float type in which models compute."""
    if array.dtype.kind != "f" or array.size == 0:
        return True
    limit = _limit()
    # A NaN makes both of them NaN; no array of the size of the data is made.
    return -limit <= float(array.min()) and float(array.max()) <= limit


def _limit() -> float:
    return float(np.finfo("float64" if floatx() == "float64" else "float32").max)


def first_row(array: np.ndarray, good: Callable[[np.ndarray], np.ndarray]) -> int | None:
    """The first row in which not all values are good."""
    per_row = max(1, int(np.prod(array.shape[1:])))
    step = max(1, _CHUNK // per_row)
    for start in range(0, len(array), step):
        fine = good(array[start : start + step])
        if not fine.all():
            rows = fine.reshape(len(fine), -1).all(axis=1)
            return start + int(np.argmin(rows))
    return None


def _finite(array: np.ndarray) -> np.ndarray:
    wide = array if array.dtype.itemsize > 4 else array.astype("float32")
    return np.asarray(np.abs(wide) <= np.array(_limit(), wide.dtype))  # false for NaN, too


def nan_message(name: str, row: int, column: str = "") -> str:
    """What is said about a NaN or an infinity in the data."""
    return (
        f"`{name}` contains NaN or infinity, first met in row {row}{column} (counted from 0; a number too "
        f"large for {floatx()} counts as infinity)"
    )


def column_of(array: Any, row: int) -> str:
    """Which column of a frame is not finite in a row, as part of a sentence; nothing for other arrays."""
    names = getattr(array, "columns", None)
    if names is None:
        return ""
    bad = np.flatnonzero(~_finite(np.asarray(array[row])))
    return f", column {names[int(bad[0])]!r}" if len(bad) else ""


def refuse_nan(model: Any, name: str, array: np.ndarray, policy: str) -> None:
    """Raises ValueError, or warns once, where an array has a NaN or an infinity.

    Args:
        model: The model that would be trained on it.
        name: What the array is called.
        array: Of any numeric dtype; samples along the first axis.
        policy: "raise", "warn" or "allow".
    """
    if policy == "allow" or is_finite(array):
        return
    row = first_row(array, _finite)
    assert row is not None
    handle_nan(model, name, row, policy, "Nothing has changed.", column_of(array, row))


def handle_nan(model: Any, name: str, row: int, policy: str, state: str, column: str = "") -> None:
    """Does what the policy says about a row with NaN or infinity.

    Args:
        model: The model.
        name: What the array is called.
        row: The first such row.
        policy: "raise" or "warn".
        state: What has become of the model, for the error.
        column: Where in the row, as `column_of` says it.
    """
    message = nan_message(name, row, column)
    if policy == "raise":
        raise ValueError(
            f"{message}. Clean the data, or pass compile(nan_policy='warn') or 'allow' to train on it. "
            f"{state}"
        )
    warn_once(model, f"{message}; training goes on as compile(nan_policy='warn') asks", f"nan in {name}")


# Sample weights


def check_weights(model: Any, sample_weight: Any, policy: str) -> None:
    """Refuses sample weights that are no numbers, and warns of those that are negative or all zero.

    Raises:
        ValueError: A weight is NaN, or, if the policy is "raise", infinite.
    """
    for path, array in tree.flatten_with_path(sample_weight):
        if array is None or array.size == 0:
            continue
        name = path_name("sample_weight", path)
        low, high = array.min(), array.max()
        if np.isnan(low):
            row = first_row(array, lambda part: ~np.isnan(part))
            raise ValueError(
                f"`{name}` must hold numbers, its row {row} is NaN. To leave a sample out, give it weight 0"
            )
        refuse_nan(model, name, array, policy)
        if low < 0:
            row = first_row(array, lambda part: part >= 0)
            warn_once(
                model,
                f"`{name}` has negative weights, first in row {row}: training makes the loss of such samples "
                "larger",
                f"negative {name}",
            )
        elif high == 0:
            warn_once(
                model, f"`{name}` is all zeros: nothing can be learned from these samples", f"no {name}"
            )


# Integers


def warn_of_large_integers(model: Any, name: str, row: int) -> None:
    """Warns that integers are rounded where they become float32."""
    warn_once(
        model,
        f"`{name}` has integers beyond 2**24 in magnitude, first in row {row}, which float32 rounds: "
        "different numbers may become equal. Scale or shift them first, or declare an integer input",
        f"integers in {name}",
    )


def computes_floats(model: Any) -> bool:
    """Whether the model makes floating point of all its inputs, as far as that is known."""
    inputs = (getattr(model, "inputs", None) or []) if model.built else []
    return all(str(t.dtype) in FLOATS for t in inputs)


def may_be_large(array: np.ndarray) -> bool:
    """Whether the dtype has integers that float32 has not."""
    return array.dtype.kind in "iu" and array.dtype.itemsize >= 4 and floatx() == "float32"


def check_integers(model: Any, name: str, array: np.ndarray) -> None:
    """Warns once if an array has integers that float32 has not."""
    if may_be_large(array) and array.size and (array.min() < -EXACT or array.max() > EXACT):
        row = first_row(array, lambda part: (part >= -EXACT) & (part <= EXACT))
        assert row is not None
        warn_of_large_integers(model, name, row)


@contextlib.contextmanager
def values_kept(variables: Sequence[Any]) -> Iterator[None]:
    """Within it Variables may change; afterwards they have their old values again."""
    saved = [(v, v.value) for v in variables]
    try:
        yield
    finally:
        for v, value in saved:
            v.assign(value)
