"""One dataset as two."""

from __future__ import annotations

import random
from numbers import Integral, Real
from typing import Any

import numpy as np

from lumbre import tree
from lumbre.data import AUTOTUNE, Dataset
from lumbre.data.elements import pick, rows_in, stack
from lumbre.data.stages import INFINITE, Batch, Slices, Stage
from lumbre.data.transforms import Prefetch


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Dataset, Dataset]:
    """Splits samples into the first and the last, both as datasets in memory.

    Args:
        dataset: An array, a list or tuple of arrays with as many rows, or a Dataset; one of batches is
            split by samples, and its parts have batches of the same size.
        left_size: Samples of the first part, as a number or as a share from 0 to 1; by default the rest.
        right_size: Those of the second, likewise.
        shuffle: Whether samples are mixed before.
        seed: From which the order follows; by default Python's global generator.
        preferred_backend: Ignored.

    Raises:
        TypeError: `dataset` is none of these, or a size is no number.
        ValueError: There are no samples, their numbers differ, or a part would be empty.

    Source: `keras.utils.split_dataset`.

    Example:
        >>> import numpy as np, lumbre
        >>> left, right = lumbre.utils.split_dataset(np.arange(10), left_size=0.8)
        >>> len(left), [int(x) for x in right]
        (8, [8, 9])
    """
    if left_size is None and right_size is None:
        raise ValueError(
            "At least one of the `left_size` or `right_size` must be specified. Received: left_size=None and "
            "right_size=None"
        )
    columns, batch_size = _samples(dataset)
    n = rows_in(columns)
    left, right = _sizes(left_size, right_size, n)
    order = list(range(n))
    if shuffle:
        random.Random(random.randint(0, 10**6) if seed is None else seed).shuffle(order)

    def part(rows: list[int]) -> Dataset:
        split = Dataset.from_tensor_slices(pick(columns, np.array(rows, np.int64)))
        return (split if batch_size is None else split.batch(batch_size)).prefetch(AUTOTUNE)

    return part(order[:left]), part(order[n - right :])


def _samples(dataset: Any) -> tuple[Any, int | None]:
    """Columns of samples, and the size of the batches in which they came."""
    if isinstance(dataset, Dataset):
        stage, batch_size = _unbatched(dataset._stage)
        if stage.count == INFINITE:
            raise ValueError(
                "An infinite dataset cannot be split. Split it before `repeat`, or `take` a part"
            )
        if isinstance(stage, Slices):
            return stage.columns(), batch_size
        samples = list(Dataset(stage)._iterate())
        if not samples:
            raise ValueError("Received an empty dataset: there is nothing to split")
        return stack(samples, "split"), batch_size
    if isinstance(dataset, np.ndarray):
        return dataset, None
    if not isinstance(dataset, list | tuple):
        raise TypeError(
            "The `dataset` argument must be a Dataset, an array, or a list/tuple of arrays. Received: "
            f"dataset={dataset} of type {type(dataset)}"
        )
    if not dataset:
        raise ValueError(f"Received an empty {type(dataset).__name__}: give a non-empty one of arrays.")
    for i, member in enumerate(dataset):
        if not isinstance(member, np.ndarray):
            raise ValueError(
                f"Expected a {type(dataset).__name__} of `numpy.ndarray` objects, Received: {type(member)} "
                f"at index {i}."
            )
    return tree.lists_to_tuples(dataset), None


def _unbatched(stage: Stage) -> tuple[Stage, int | None]:
    while isinstance(stage, Prefetch):
        stage = stage.source
    return (stage.source, stage.size) if isinstance(stage, Batch) else (stage, None)


def _sizes(left: Any, right: Any, n: int) -> tuple[int, int]:
    """The numbers of samples of both parts."""
    for name, size in (("left_size", left), ("right_size", right)):
        if size is not None and (isinstance(size, bool) or not isinstance(size, Real)):
            raise TypeError(
                f"Invalid `{name}` Type. Expected: int or float or None, Received: type({name})={type(size)}."
            )
        if size is not None and not 0 < float(size) < (n if isinstance(size, Integral) else 1):
            raise ValueError(
                f"`{name}` should be either a positive integer smaller than {n}, or a float within the range "
                f"`[0, 1]`. Received: {name}={size}"
            )
    shares = [size for size in (left, right) if isinstance(size, Real) and not isinstance(size, Integral)]
    if len(shares) == 2 and sum(map(float, shares)) > 1:
        raise ValueError(
            "The sum of `left_size` and `right_size` is greater than 1. It must be less than or equal to 1."
        )

    def count(size: Any, rest: int) -> int:
        return rest if size is None else int(size) if isinstance(size, Integral) else round(size * n)

    first = count(left, n - count(right, 0))
    second = count(right, n - first)
    if first + second > n:
        raise ValueError(
            f"The sum of `left_size` and `right_size` should be smaller than the {n}. Received: left_size + "
            f"right_size = {first + second} and total_length = {n}"
        )
    if not first or not second:
        side = "right" if first else "left"
        raise ValueError(
            f"With `dataset` of length={n}, `left_size`={first} and `right_size`={second}. Resulting {side} "
            "side dataset split will be empty. Adjust any of the aforementioned parameters"
        )
    return first, second
