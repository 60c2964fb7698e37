"""Datasets whose batches are rows of arrays, as row numbers: what training needs to pick them itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from lumbre import tree
from lumbre.data.dataset import Dataset
from lumbre.data.elements import stack
from lumbre.data.stages import INFINITE, Batch, Cache, Repeat, Shuffle, Slices, Stage
from lumbre.data.transforms import Prefetch


class RowBatches(NamedTuple):
    """Batches as row numbers.

    Attributes:
        dataset: The rows that are batched, in their order.
        columns: The structure of arrays that have them; each row is used.
        size: Rows in a batch.
        drop: Whether a smaller last batch is left out.
        batches: Of a pass; None if it is endless.
    """

    dataset: Dataset
    columns: Any
    size: int
    drop: bool
    batches: int | None

    def pieces(self) -> Iterator[np.ndarray]:
        """The row numbers of a new pass, in pieces of any length."""
        return self.dataset._rows()


def row_batches(dataset: Dataset) -> RowBatches | None:
    """The batches of a dataset as row numbers; None if they are made in another way, or there is none."""
    batch = dataset._stage
    while isinstance(batch, Prefetch):
        batch = batch.source
    if not isinstance(batch, Batch) or batch._join is not stack:
        return None
    if not _uses_every_row(batch.source):
        return None
    columns = batch.source.columns()
    leaves = [leaf for leaf in tree.flatten(columns) if leaf is not None] if columns is not None else []
    if not batch.count or not leaves or any(leaf.dtype.kind not in "biuf" for leaf in leaves):
        return None
    count = None if batch.count == INFINITE else batch.count
    return RowBatches(Dataset(batch.source), columns, batch.size, batch.drop, count)


def gives_numbers(dataset: Dataset) -> bool:
    """Whether elements are known to have single numbers in them, as where `batch` was forgotten."""
    columns = dataset._stage.columns()
    return columns is not None and any(leaf is not None and leaf.ndim == 1 for leaf in tree.flatten(columns))


def _uses_every_row(stage: Stage) -> bool:
    while isinstance(stage, Prefetch | Shuffle | Repeat | Cache):
        if isinstance(stage, Cache) and stage.filled:
            return True
        stage = stage.source
    return isinstance(stage, Slices)
