"""Windows that slide over a series, as a dataset."""

from __future__ import annotations

from typing import Any

import numpy as np

from lumbre.data import Dataset
from lumbre.utils.folders import check_format


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Dataset:
    """Windows of a series, with the target of each.

    Window i has the rows `s + j · sampling_rate`, j < sequence_length, from `s = i · sequence_stride` on,
    and the target `targets[s]`. Windows are views of `data`: overlapping ones take no memory.

    Args:
        data: The series (t, ...).
        targets: (t, ...), or None: the dataset then has windows alone.
        sequence_length: Rows in a window.
        sequence_stride: Rows from the start of a window to that of the next.
        sampling_rate: Rows from one row of a window to the next.
        batch_size: Windows in a batch; None for windows one by one.
        shuffle: Whether every pass has a random order; by default that of time.
        seed: From which the orders follow.
        start_index, end_index: Rows of `data` before the first, and from the second on, are not used.
        format: "tf" or "grain", which give the same here.

    Returns:
        A Dataset of `(windows, targets)` or `windows`: (b, sequence_length, ...) and (b, ...).

    Raises:
        ValueError: An index, a stride or the rate is outside the series, or the format is unknown.

    Source: `keras.utils.timeseries_dataset_from_array`.

    Example:
        >>> import numpy as np, lumbre
        >>> series = np.arange(8)
        >>> ds = lumbre.utils.timeseries_dataset_from_array(series[:-3], series[3:], sequence_length=3)
        >>> [(x.tolist(), y.tolist()) for x, y in ds]
        [([[0, 1, 2], [1, 2, 3], [2, 3, 4]], [3, 4, 5])]
    """
    check_format(format)
    data = np.asarray(data)
    n = len(data)
    _check_indices(n, start_index, end_index)
    for name, value in (("sampling_rate", sampling_rate), ("sequence_stride", sequence_stride)):
        if value <= 0:
            raise ValueError(f"`{name}` must be higher than 0. Received: {name}={value}")
        if value >= n:
            raise ValueError(
                f"`{name}` must be lower than the length of the data. Received: {name}={value}, for data of "
                f"length {n}"
            )
    if sequence_length <= 0:
        raise ValueError(f"`sequence_length` must be higher than 0. Received: {sequence_length}")
    part = slice(start_index or 0, end_index or n)
    members = [_windows(data[part], sequence_length, sampling_rate)]
    if targets is not None:
        targets = np.asarray(targets)[part]
        count = min(len(members[0]), len(targets))
        members = [members[0][:count], targets[:count]]
    members = [member[::sequence_stride] for member in members]
    dataset = Dataset.from_tensor_slices(members[0] if targets is None else tuple(members))
    if shuffle and len(dataset):
        dataset = dataset.shuffle(len(dataset), seed=seed)
    return dataset if batch_size is None else dataset.batch(batch_size)


def _windows(data: np.ndarray, length: int, rate: int) -> np.ndarray:
    """All windows of a series, as a view (windows, length, ...)."""
    span = (length - 1) * rate + 1
    if len(data) < span:
        return np.empty((0, length, *data.shape[1:]), data.dtype)
    view = np.lib.stride_tricks.sliding_window_view(data, span, axis=0)  # (windows, ..., span)
    return np.moveaxis(view, -1, 1)[:, ::rate]


def _check_indices(n: int, start: int | None, end: int | None) -> None:
    if start and start < 0:
        raise ValueError(f"`start_index` must be 0 or greater. Received: start_index={start}")
    if start and start >= n:
        raise ValueError(
            "`start_index` must be lower than the length of the data. Received: "
            f"start_index={start}, for data of length {n}"
        )
    if end and start and end <= start:
        raise ValueError(
            f"`end_index` must be higher than `start_index`. Received: start_index={start}, and "
            f"end_index={end} "
        )
    if end and end >= n:
        raise ValueError(
            "`end_index` must be lower than the length of the data. Received: "
            f"end_index={end}, for data of length {n}"
        )
    if end and end <= 0:
        raise ValueError(f"`end_index` must be higher than 0. Received: end_index={end}")
