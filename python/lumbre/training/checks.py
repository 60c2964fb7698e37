"""Checks of what goes into a step, made before anything changes."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lumbre import tree
from lumbre.training.data import ArrayData, path_name

POLICIES = ("raise", "warn", "allow")
_CHUNK = 1 << 20  # values looked at together: the temporary array stays small


def nan_message(name: str, row: int) -> str:
    """What is said about a NaN or an infinity in the data."""
    return f"`{name}` contains NaN or infinity, first met in row {row} (counted from 0)"


def refuse_nan(name: str, array: np.ndarray, policy: str) -> None:
    """Raises ValueError, or warns, where an array has a NaN or an infinity.

    Args:
        name: What the array is called.
        array: Of any numeric dtype; samples along the first axis.
        policy: "raise", "warn" or "allow".
    """
    if policy == "allow" or array.dtype.kind != "f":
        return
    row = _first_bad_row(array)
    if row is None:
        return
    if policy == "raise":
        raise ValueError(
            f"{nan_message(name, row)}. Clean the data, or pass compile(nan_policy='warn') or 'allow' to "
            "train on it. Nothing has changed."
        )
    warnings.warn(
        f"{nan_message(name, row)}; training goes on as compile(nan_policy='warn') asks", stacklevel=2
    )


def _first_bad_row(array: np.ndarray) -> int | None:
    per_row = max(1, int(np.prod(array.shape[1:])))
    step = max(1, _CHUNK // per_row)
    for start in range(0, len(array), step):
        finite = np.isfinite(array[start : start + step])
        if not finite.all():
            rows = finite.reshape(len(finite), -1).all(axis=1)
            return start + int(np.argmin(rows))
    return None


def check_targets(y: Any, sample_weight: Any, policy: str) -> None:
    """Refuses NaN and infinity in targets, and weights that are not finite or negative.

    Raises:
        ValueError: Such a value, with the first row that has one.
    """
    for path, array in tree.flatten_with_path(y):
        if array is not None:
            refuse_nan(path_name("y", path), array, policy)
    for path, array in tree.flatten_with_path(sample_weight):
        if array is None:
            continue
        good = np.isfinite(array) & (array >= 0)
        if not good.all():
            row = int(np.argwhere(~good)[0][0])
            raise ValueError(
                f"`{path_name('sample_weight', path)}` must hold finite weights of at least 0, its "
                f"row {row} is {array[row]}"
            )


def check_batch(batch: tuple[Any, Any, Any], policy: str) -> None:
    """What `fit` checks of whole arrays and while gathering, for one batch given by the user.

    Raises:
        ValueError: The batch is empty, or has a value that is not finite.
    """
    x, y, sample_weight = batch
    data = ArrayData(x, y, sample_weight)  # dtypes, numbers of samples
    for path, array in tree.flatten_with_path(data.x):
        if array is not None:
            refuse_nan(path_name("x", path), array, policy)
    check_targets(data.y, data.sample_weight, policy)


def check_class_labels(name: str, y: np.ndarray, classes: int, ignored: int | None) -> None:
    """Refuses class numbers that are not whole or not in `0 ... classes - 1`.

    Args:
        name: What the targets are called.
        y: Class numbers of any shape.
        classes: How many classes the output has.
        ignored: A class number that the loss leaves out.

    Raises:
        ValueError: Such a label, with the first row that has one.
    """
    if y.size == 0 or (ignored is None and y.dtype.kind != "f" and y.min() >= 0 and y.max() < classes):
        return
    good = (y >= 0) & (y < classes)
    if y.dtype.kind == "f":
        good &= y == np.floor(y)
    if ignored is not None:
        good |= y == ignored
    if good.all():
        return
    where = tuple(int(i) for i in np.argwhere(~good)[0])
    raise ValueError(
        f"`{name}` has a label outside the classes: row {where[0]} is {y[where]}, but the output has "
        f"{classes} classes, so sparse categorical labels are whole numbers from 0 to {classes - 1}. "
        f"Labels that start at 1 need `{name} - 1`, other ones a wider last layer"
    )


def check_binary_labels(name: str, y: np.ndarray) -> None:
    """Refuses targets of a binary cross-entropy outside 0 to 1.

    Raises:
        ValueError: Such a label, with the first row that has one.
    """
    if y.size == 0 or (y.min() >= 0 and y.max() <= 1):
        return
    where = tuple(int(i) for i in np.argwhere(~((y >= 0) & (y <= 1)))[0])
    raise ValueError(
        f"`{name}` has a label outside the two classes: row {where[0]} is {y[where]}, but a binary "
        "cross-entropy takes targets from 0 to 1"
    )


def positive_int(name: str, value: Any) -> int | None:
    """The value, if it is None or a whole number above 0.

    Raises:
        ValueError: It is neither.
    """
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"`{name}` must be a positive integer or None. Received: {name}={value!r}")
    return int(value)


@contextlib.contextmanager
def values_kept(variables: Sequence[Any]) -> Iterator[None]:
    """Within it Variables may change; afterwards they have their old values again."""
    saved = [(v, v.value) for v in variables]
    try:
        yield
    finally:
        for v, value in saved:
            v.assign(value)
