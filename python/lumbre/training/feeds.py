"""Feeds: which batches make an epoch, and how many of them run in one call.

A feed stands between the loops and a step runner. `start` begins an epoch; while there is `more`,
`advance` runs batches; `finish` ends the epoch. `ArrayFeed` hands rows of arrays over, many batches
at once; `IterFeed` (in `iterables`) takes one batch after the other from the user.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Protocol

import numpy as np

from lumbre.lookup import users_level
from lumbre.training.data import ArrayData

ROWS_PER_CALL = 1 << 17
"""Row numbers handed over at once, so that there are never as many as the data has rows."""

MANY_ROWS = 1 << 20
"""From here on an order is kept in int32, where that is enough: half the memory, but slower to draw."""


class Feed(Protocol):
    """What the loops need to know of a source of data."""

    num_batches: int | None
    nan_policy: str  # what a step runner does about NaN and infinity in a row

    def start(self, fresh: bool) -> None:
        """Begins an epoch; `fresh`: at the beginning of the data, where that is possible."""

    def more(self) -> bool:
        """Whether the epoch has another batch."""

    def advance(self, runner: Any, most: int | None) -> tuple[int, list[Any]]:
        """Runs between 1 and `most` batches: how many were done, and their outputs."""

    def finish(self) -> None:
        """Ends an epoch, at its end or before."""

    @property
    def resumes_within(self) -> bool:
        """Whether an epoch can be gone on with in the middle, in another process."""

    @property
    def kind(self) -> str:
        """What the data is called."""

    def ended(self) -> bool:
        """Whether the epoch is known to be over, without a look at the data."""

    def describe(self) -> dict[str, Any]:
        """What the data is, as far as another process must have the same."""

    def get_state(self) -> dict[str, Any]:
        """Where the feed is, between two batches."""

    def set_state(self, state: dict[str, Any], within: bool) -> None:
        """Goes to where another feed of the same data was; `within` an epoch, which `start` goes on with.

        NumPy's global generator is left in any state.
        """


def form(array: np.ndarray) -> str:
    """Dtype and shape of an array without the number of samples.

    Example:
        >>> form(np.zeros((9, 2), "float32"))
        'float32 (n, 2)'
    """
    return f"{array.dtype.name} ({', '.join(['n', *map(str, array.shape[1:])])})"


def warn_out_of_data() -> None:
    warnings.warn(
        "Your input ran out of data; interrupting training. Make sure that your dataset or generator "
        "can generate at least `steps_per_epoch * epochs` batches. You may need to use the `.repeat()` "
        "function when building your dataset.",
        stacklevel=users_level(),
    )


class ArrayFeed:
    """Batches of arrays.

    Args:
        data: The arrays.
        batch_size: Samples in a batch; by default 32, or what makes `steps` batches of the data.
        steps: Batches in an epoch; by default one pass. With fewer than a pass has, the next epoch
            continues where this one stopped.
        shuffle: Whether each pass goes through the samples in a new random order, drawn from NumPy's
            global generator; "batch" shuffles only within each batch of consecutive samples.
        nan_policy: What is done about NaN and infinity in the rows: "raise", "warn" or "allow".
    """

    resumes_within = True
    kind = "arrays"

    def __init__(
        self,
        data: ArrayData,
        batch_size: int | None = None,
        steps: int | None = None,
        shuffle: bool | str = False,
        nan_policy: str = "allow",
    ) -> None:
        self.data = data
        self.nan_policy = nan_policy
        self.batch_size = batch_size or (math.ceil(data.n / steps) if steps else 32)
        self.steps = steps
        self.shuffle = shuffle
        self.pass_batches = math.ceil(data.n / self.batch_size)
        self.num_batches: int | None = steps or self.pass_batches
        self._order: np.ndarray | None = None  # of this pass; None: as the rows come
        self._started = False
        self._seen = 0  # batches of this pass
        self._left = 0  # batches until the epoch is over
        self._warned = False
        self._resumed = False
        self._drawn_from: Any = None  # the state of NumPy's generator before it drew the order

    def limit(self, most: int) -> None:
        """Makes epochs no longer than that many batches."""
        self.steps = self.num_batches = min(self.num_batches or most, most)

    @property
    def rows_per_epoch(self) -> int:
        """How many samples an epoch looks at, at most."""
        return (self.steps or self.pass_batches) * self.batch_size

    def start(self, fresh: bool) -> None:
        if self._resumed:
            self._resumed = False
            return
        if fresh or not self._started or self.steps is None or self._seen >= self.pass_batches:
            self._order = None  # given back before the next one is made
            self._drawn_from = np.random.get_state() if self.shuffle else None
            self._order = self._draw_order()
            self._started, self._seen = True, 0
        self._left = self.steps or self.pass_batches

    def more(self) -> bool:
        if self._left == 0:
            return False
        if self._seen >= self.pass_batches:
            if not self._warned:
                self._warned = True
                warn_out_of_data()
            return False
        return True

    def advance(self, runner: Any, most: int | None) -> tuple[int, list[Any]]:
        batches = max(1, ROWS_PER_CALL // self.batch_size)
        most = min(self._left, self.pass_batches - self._seen, most or batches, batches)
        start, stop = self._seen * self.batch_size, min((self._seen + most) * self.batch_size, self.data.n)
        rows = np.arange(start, stop) if self._order is None else self._order[start:stop]
        rows = rows.astype("int64", copy=False)
        done, outputs = done_and_outputs(runner.run(self.data, rows, self.batch_size, most))
        self._seen += done
        self._left -= done
        return done, outputs

    def finish(self) -> None:
        self._left = 0

    def ended(self) -> bool:
        return self._left == 0 or self._seen >= self.pass_batches

    def describe(self) -> dict[str, Any]:
        arrays = zip(self.data.names, self.data.arrays, strict=True)
        return {
            "samples": self.data.n,
            "arrays": {name: form(array) for name, array in arrays},
            "batch_size": self.batch_size,
            "steps_per_epoch": self.steps,
            "shuffle": self.shuffle,
        }

    def get_state(self) -> dict[str, Any]:
        return {
            "drawn_from": self._drawn_from,
            "started": self._started,
            "seen": self._seen,
            "left": self._left,
        }

    def set_state(self, state: dict[str, Any], within: bool) -> None:
        self._drawn_from = state["drawn_from"]
        if self._drawn_from is not None:
            np.random.set_state(self._drawn_from)
            self._order = self._draw_order()
        self._started, self._seen, self._left = state["started"], state["seen"], state["left"]
        self._resumed = within

    def _draw_order(self) -> np.ndarray | None:
        n = self.data.n
        if not self.shuffle:
            return None
        order = np.arange(n, dtype="int32" if MANY_ROWS <= n < 1 << 31 else "int64")
        if self.shuffle == "batch":
            for start in range(0, n, self.batch_size):
                np.random.shuffle(order[start : start + self.batch_size])
        else:
            np.random.shuffle(order)
        return order


def done_and_outputs(result: Any) -> tuple[int, list[Any]]:
    """What a runner returned: the number of batches, when predicting also their outputs."""
    return result if isinstance(result, tuple) else (result, [])
