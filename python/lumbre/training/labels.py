"""What a loss takes as targets and as outputs, and whether it gets that.

Only losses of the package are known here: what the targets of a loss or a training step of the
user's own may be, is the user's own affair.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from lumbre import losses, ops
from lumbre.autograd import Tensor, as_tensor

_SPARSE = (losses.sparse_categorical_crossentropy, losses.categorical_generalized_cross_entropy)
_BINARY = (losses.binary_crossentropy, losses.binary_focal_crossentropy)
_DISTRIBUTIONS = (losses.categorical_crossentropy, losses.categorical_focal_crossentropy)
_SIGNS = (losses.hinge, losses.squared_hinge)


def is_own(loss: losses.Loss) -> bool:
    """Whether the loss, or the function in it, is the user's own."""
    parts = [type(loss), *([loss.fn] if hasattr(loss, "fn") else [])]
    return not all((getattr(part, "__module__", None) or "").startswith("lumbre.losses") for part in parts)


def function_of(loss: losses.Loss) -> Any:
    """The function of a loss of the package; None for one of the user's own."""
    return None if is_own(loss) else getattr(loss, "fn", None)


def option(loss: losses.Loss, name: str, default: Any) -> Any:
    """An argument that a loss passes to its function."""
    return getattr(loss, "_fn_kwargs", {}).get(name, default)


def takes_indices(loss: losses.Loss) -> bool:
    """Whether the targets are class numbers, which stay integers."""
    return function_of(loss) in _SPARSE


def takes_classes(loss: losses.Loss) -> bool:
    """Whether the targets are classes in any form."""
    return function_of(loss) in (*_SPARSE, *_BINARY, *_DISTRIBUTIONS, *_SIGNS)


def class_count(loss: losses.Loss, shape: tuple[int, ...]) -> int | None:
    """How many classes an output of this shape has; None where the loss does not say.

    Args:
        loss: The loss of the output.
        shape: The output's.
    """
    if not takes_classes(loss) or not shape:
        return None
    count = shape[option(loss, "axis", -1)] if function_of(loss) not in _SIGNS else shape[-1]
    return 2 if count == 1 else count


def check_targets(name: str, y: np.ndarray, weight: Any, loss: losses.Loss, shape: tuple[int, ...]) -> bool:
    """Refuses targets that are no classes, under a loss that takes classes.

    Args:
        name: What the targets are called.
        y: The targets.
        weight: Their sample weights, or None; what has weight 0 may be anything.
        loss: The loss.
        shape: The output's shape.

    Returns:
        Whether there are targets that only their weight 0 excuses.

    Raises:
        ValueError: Such a target; the message names the first.
    """
    function = function_of(loss)
    if function in _SPARSE:
        classes, ignored = shape[option(loss, "axis", -1)], option(loss, "ignore_class", None)
        hint = f"outside the classes: {{}}, but {_class_hint(name, y, classes)}"
        return _check(name, y, weight, (0, classes - 1), True, hint, ignored)
    if function in _BINARY:
        hint = f"outside the two classes: {{}}, but {function.__name__} takes targets from 0 to 1"
        return _check(name, y, weight, (0, 1), False, hint)
    if function in _SIGNS:
        hint = (
            f"outside the two classes: {{}}, but {function.__name__} takes the targets -1 and 1, or 0 and 1"
        )
        return _check(name, y, weight, (-1, 1), True, hint)
    return False


def _class_hint(name: str, y: np.ndarray, classes: int) -> str:
    text = (
        f"the output has {classes} classes, so sparse categorical labels are whole numbers from 0 to "
        f"{classes - 1}. "
    )
    if y.dtype.kind == "u" and y.size and int(y.max()) > np.iinfo(y.dtype).max - 100:
        value = int(y.max())
        return text + f"{value} is what {value - np.iinfo(y.dtype).max - 1} becomes in {y.dtype}"
    return text + f"Labels that start at 1 need `{name} - 1`, other ones a wider last layer"


def _check(
    name: str,
    y: np.ndarray,
    weight: Any,
    limits: tuple[int, int],
    integral: bool,
    problem: str,
    ignored: int | None = None,
) -> bool:
    """As `check_targets`, for targets between limits; `problem` has a place for the first row."""
    if y.size == 0:
        return False
    low, high = limits
    fractions = integral and y.dtype.kind == "f"
    if y.min() >= low and y.max() <= high and not (fractions and (y != np.floor(y)).any()):
        return False
    good = (y >= low) & (y <= high)
    if fractions:
        good &= y == np.floor(y)
    if ignored is not None:
        good |= y == ignored
    if good.all():
        return False
    excused = good | _without_weight(weight, y)
    if excused.all():
        return True
    where = tuple(int(i) for i in np.argwhere(~excused)[0])
    raise ValueError(f"`{name}` has a label " + problem.replace("{}", f"row {where[0]} is {y[where]}", 1))


def _without_weight(weight: Any, y: np.ndarray) -> np.ndarray:
    """Where the weight of a target is 0."""
    if weight is None:
        return np.zeros(y.shape, bool)
    zero = np.asarray(weight) == 0
    while zero.ndim > y.ndim and zero.shape[-1] == 1:
        zero = zero[..., 0]
    zero = zero.reshape(zero.shape + (1,) * (y.ndim - zero.ndim))
    try:
        return np.broadcast_to(zero, y.shape)
    except ValueError:  # the loss says what is wrong with these weights
        return np.zeros(y.shape, bool)


def excuse(y: Any, weight: Any) -> Any:
    """The targets with 0 in the place of those that have weight 0: a loss can compute with any other."""
    if y is None or weight is None:
        return y
    y, zero = as_tensor(y), ops.equal(weight, 0)
    while zero.ndim > y.ndim and zero.shape[-1] == 1:
        zero = ops.squeeze(zero, -1)
    while zero.ndim < y.ndim:
        zero = ops.expand_dims(zero, -1)
    return ops.where(zero, ops.zeros_like(y), y)


@contextlib.contextmanager
def hints(loss: losses.Loss, y: Any, y_pred: Any) -> Iterator[None]:
    """Within it an error about the shapes of targets says which loss takes them."""
    try:
        yield
    except ValueError as error:
        hint = _other_form(function_of(loss), tuple(np.shape(y)), tuple(y_pred.shape))
        if hint and len(error.args) == 1:
            error.args = (f"{error}. {hint}",)
        raise


def _other_form(function: Any, y: tuple[int, ...], y_pred: tuple[int, ...]) -> str | None:
    if function in _SPARSE and y == y_pred:
        return (
            "One-hot targets need the loss 'categorical_crossentropy', or class numbers in their place: "
            "np.argmax(y, axis=-1)"
        )
    if function in _DISTRIBUTIONS and y in (y_pred[:-1], (*y_pred[:-1], 1)):
        return (
            "Class numbers need the loss 'sparse_categorical_crossentropy', or one-hot rows in their place: "
            "utils.to_categorical(y)"
        )
    return None


def complaint(name: str, y: np.ndarray, loss: losses.Loss) -> str | None:
    """What is odd about targets that a loss of distributions can compute with nevertheless."""
    if function_of(loss) not in _DISTRIBUTIONS or y.size == 0 or (y.min() >= 0 and y.max() <= 1):
        return None
    where = tuple(int(i) for i in np.argwhere(~((y >= 0) & (y <= 1)))[0])
    return (
        f"`{name}` holds no probabilities: row {where[0]} has {y[where]}, but {function_of(loss).__name__} "
        "expects one-hot rows or distributions"
    )


def odd_outputs(name: str, y_pred: Tensor, loss: losses.Loss) -> str | None:
    """What is wrong with outputs under a loss that expects probabilities, or logits.

    Args:
        name: What the output is called.
        y_pred: One batch of it.
        loss: Its loss.
    """
    function = function_of(loss)
    if function not in (*_SPARSE, *_BINARY, *_DISTRIBUTIONS):
        return None
    origin = y_pred._origin[0] if y_pred._origin is not None else None
    if option(loss, "from_logits", False):
        if origin not in ("softmax", "sigmoid"):
            return None
        return (
            f"{name} is the output of a {origin}, but {function.__name__} was told `from_logits=True`: leave "
            "one of them out"
        )
    if origin in ("softmax", "sigmoid"):
        return None
    problem = _no_probabilities(y_pred.numpy(), None if function in _BINARY else option(loss, "axis", -1))
    if problem is None:
        return None
    activation = "sigmoid" if function in _BINARY else "softmax"
    return (
        f"{name} is no probability, as {function.__name__} expects: {problem}. Give the last layer "
        f"activation='{activation}', or the loss `from_logits=True`"
    )


def _no_probabilities(p: np.ndarray, axis: int | None) -> str | None:
    """Why values are no probabilities: their range, or their sums along the axis of the classes."""
    p = p.astype("float64")
    if p.size == 0 or not np.isfinite(p).all():
        return None
    if p.min() < -1e-6 or p.max() > 1 + 1e-6:
        return f"its values go from {p.min():.3g} to {p.max():.3g}"
    if axis is not None:
        sums = p.sum(axis=axis)
        worst = sums.flat[np.argmax(np.abs(sums - 1))]
        if abs(worst - 1) > 1e-3:
            return f"its rows add up to {worst:.3g}, not to 1"
    return None


def numbers_of(y: np.ndarray) -> np.ndarray | None:
    """The classes of samples as one vector, from class numbers (n,) or (n, 1) or one-hot rows (n, k)."""
    if y.ndim == 2:
        y = y[:, 0] if y.shape[1] == 1 else np.argmax(y, axis=1)
    return y if y.ndim == 1 else None


def classes_behind(y: np.ndarray, at: int) -> list[Any]:
    """The classes from row `at` on, if the labels of several classes are sorted; else none."""
    numbers = numbers_of(y)
    if numbers is None or numbers[0] == numbers[-1]:
        return []
    ordered = (numbers[1:] >= numbers[:-1]).all() or (numbers[1:] <= numbers[:-1]).all()
    return sorted(set(numbers[at:].tolist())) if ordered else []
