"""Batches of a `Dataset` that are rows of arrays: trained on as fast as the arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lumbre.data import INFINITE_CARDINALITY, Dataset
from lumbre.data.rows import RowBatches, gives_numbers, row_batches
from lumbre.training.data import ArrayData, with_class_weight
from lumbre.training.feeds import ROWS_PER_CALL, ArrayFeed, done_and_outputs, warn_out_of_data
from lumbre.utils.packing import unpack_x_y_sample_weight


def pipeline_feed(
    dataset: Dataset, steps: int | None, class_weight: dict[int, float] | None, nan_policy: str
) -> PipelineFeed | None:
    """The feed for a dataset that picks rows; None for one whose elements are made in another way.

    Raises:
        ValueError: The dataset was not batched, or it has no end and `steps` does not say where an epoch
            ends.
    """
    if steps is None and dataset.cardinality() == INFINITE_CARDINALITY:
        raise ValueError(
            "When providing an infinite dataset, you must specify the number of steps to run: pass "
            "`steps_per_epoch` (`steps`, `validation_steps`), or leave out `repeat()`"
        )
    if gives_numbers(dataset):
        raise ValueError(
            "The dataset gives samples one by one, but training takes batches: the arrays must be at least "
            "rank 1. Add `.batch(32)`"
        )
    batches = row_batches(dataset)
    if batches is None:
        return None
    data = ArrayData(*unpack_x_y_sample_weight(batches.columns))
    if class_weight is not None:
        data = with_class_weight(data, class_weight)
    return PipelineFeed(data, batches, steps, nan_policy)


class PipelineFeed(ArrayFeed):
    """Batches of arrays in the order of a dataset.

    Args:
        data: The arrays.
        batches: Which rows make which batch.
        steps: Batches in an epoch; by default a pass. With `steps`, the next epoch continues where this
            one stopped.
        nan_policy: What is done about NaN and infinity in the rows: "raise", "warn" or "allow".
    """

    resumes_within = False  # what its functions and shuffles have drawn is not known
    kind = "dataset"

    def __init__(self, data: ArrayData, batches: RowBatches, steps: int | None, nan_policy: str) -> None:
        super().__init__(data, batches.size, steps, nan_policy=nan_policy)
        self.batches = batches
        self.num_batches = steps or batches.batches
        self._pieces: Iterator[np.ndarray] = iter(())
        self._rows = np.zeros(0, "int64")  # of this pass, not yet trained on
        self._over = True

    @property
    def rows_per_epoch(self) -> int:
        return self.data.n

    def start(self, fresh: bool) -> None:
        if fresh or self._over or self.steps is None:
            self._pieces = self.batches.pieces()
            self._rows = self._rows[:0]
            self._seen, self._over = 0, False
        self._left = self.num_batches or 0

    def more(self) -> bool:
        if self._left == 0:
            return False
        self._take(self.batch_size)
        if len(self._rows) >= (self.batch_size if self.batches.drop else 1):
            return True
        self._over = True
        if not self._warned:
            self._warned = True
            warn_out_of_data()
        return False

    def advance(self, runner: Any, most: int | None) -> tuple[int, list[Any]]:
        most = min(self._left, most or self._left, max(1, ROWS_PER_CALL // self.batch_size))
        self._take(most * self.batch_size)
        rows = self._rows[: most * self.batch_size]
        done, outputs = done_and_outputs(runner.run(self.data, rows, self.batch_size, most))
        self._rows = self._rows[done * self.batch_size :]
        self._seen += done
        self._left -= done
        return done, outputs

    def finish(self) -> None:
        self._over = self._over or self._seen == self.batches.batches
        self._left = 0

    def ended(self) -> bool:
        return self._left == 0

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "batches": self.batches.batches}

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: dict[str, Any], within: bool) -> None:
        """Nothing: each pass begins anew."""

    def _take(self, count: int) -> None:
        """Has that many row numbers ready, if the pass has them."""
        pieces, held = [self._rows], len(self._rows)
        while held < count:
            piece = next(self._pieces, None)
            if piece is None:
                break
            pieces.append(piece)
            held += len(piece)
        if len(pieces) > 1:
            self._rows = np.concatenate(pieces)
