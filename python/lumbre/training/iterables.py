"""Batches from the user: generators, iterables, and objects with `batch = source[i]`."""

from __future__ import annotations

import contextlib
import itertools
import random as python_random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lumbre.lookup import users_level
from lumbre.training.arrays import is_array_like, to_arrays
from lumbre.training.data import ArrayData
from lumbre.training.feeds import done_and_outputs, form, warn_out_of_data
from lumbre.training.loading import Pass, indices
from lumbre.utils.packing import unpack_x_y_sample_weight


class IterData:
    """A source of batches `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

    Three kinds: an iterator (a generator), which goes through its data once; an iterable, which
    starts again at every pass; and an object with `__getitem__` and a length (`num_batches` or
    `__len__`), like a PyDataset, whose batches can be shuffled and loaded ahead by its workers, and
    whose `on_epoch_begin` and `on_epoch_end` are called.

    Args:
        source: Such an object.
        shuffle: Whether the batches of the third kind come in random order.

    Raises:
        ValueError: It is none of these.
    """

    def __init__(self, source: Any, shuffle: bool | str = False) -> None:
        self.source = source
        has_count = _length(source) is not None or hasattr(source, "num_batches")
        self.indexed = hasattr(source, "__getitem__") and has_count
        self.once = not self.indexed and hasattr(source, "__next__")
        self._passes = 0
        if not self.indexed and not hasattr(source, "__iter__"):
            hint = ". Collect a lazy frame first: x.collect()" if hasattr(source, "collect") else ""
            raise ValueError(f"Unrecognized data type: x={source} (of type {type(source)}){hint}")
        if self.indexed and any(
            base.__module__.startswith("torch.utils.data") for base in type(source).__mro__
        ):
            raise ValueError(
                f"`x` is a {type(source).__name__} of PyTorch, which gives samples, not batches. Pass a "
                "loader: torch.utils.data.DataLoader(x, batch_size=32)"
            )
        self.kind = "PyDataset" if self.indexed else "generator" if self.once else "dataset"
        self.shuffle = bool(shuffle) and self.indexed
        self.drawn_from: Any = None  # the state of Python's generator before it drew the order
        if shuffle and not self.indexed:
            warnings.warn(
                "`shuffle=True` was passed, but will be ignored since the data `x` was provided as a "
                f"{self.kind}. The {self.kind} is expected to yield already-shuffled data.",
                stacklevel=users_level(),
            )

    @property
    def num_batches(self) -> int | None:
        """Batches in a pass, None if the source does not tell."""
        return None if self.once else _length(self.source)

    def iterate(self, first: int = 0) -> Iterator[Any]:
        """One pass, of an indexed source from its batch `first` on; an iterator goes on where it is."""
        self._passes += 1
        if self.indexed:
            self.drawn_from = python_random.getstate() if self.shuffle else None
            order = itertools.islice(indices(_length(self.source), self.shuffle), first, None)
            return Pass(self.source, order, self._passes)
        as_numpy = getattr(self.source, "as_numpy_iterator", None)
        return iter(self.source if as_numpy is None else as_numpy())

    def notify(self, event: str) -> None:
        """Calls `on_epoch_begin` or `on_epoch_end` of the source, where it has one."""
        hook = getattr(self.source, event, None)
        if self.indexed and callable(hook):
            hook()


def _length(source: Any) -> int | None:
    """The number of batches that a source says it has."""
    if hasattr(source, "num_batches"):
        count = source.num_batches() if callable(source.num_batches) else source.num_batches
        return None if count is None else int(count)
    try:
        return len(source)
    except TypeError:  # no length, or an endless one
        return None


def to_batch(element: Any, kind: str, index: int, weigh: Callable[[Any], np.ndarray] | None) -> ArrayData:
    """What a source yielded, as arrays.

    Args:
        element: It.
        kind: What the source is called.
        index: Which batch of the pass it is.
        weigh: Gives the sample weights for targets, or None.

    Raises:
        ValueError: It has more than three members, no samples, or weights where `weigh` gives them.
        TypeError: It holds no numbers.
    """
    x, y, sample_weight = unpack_x_y_sample_weight(element)
    if x is None:
        raise ValueError(
            f"batch {index} of the {kind} is {element!r}: expected (inputs,), (inputs, targets) or "
            "(inputs, targets, sample_weights)"
        )
    x, y = to_arrays(x, "x"), to_arrays(y, "y")
    if weigh is not None and y is not None:
        if sample_weight is not None:
            raise ValueError("You cannot `class_weight` and `sample_weight` at the same time.")
        sample_weight = weigh(y)
    return ArrayData(x, y, sample_weight)


class IterFeed:
    """Batches of an `IterData`, each checked by `admit`.

    Args:
        data: The source.
        admit: Called with each batch and its number before it runs; raises if the model cannot take it.
        steps: Batches in an epoch; by default a pass, whose length is learned in the first epoch.
            With `steps`, the next epoch continues where this one stopped.
        weigh: Gives the sample weights of a batch for its targets (class weights).
        nan_policy: What a step runner does about NaN and infinity in the inputs.
    """

    def __init__(
        self,
        data: IterData,
        admit: Callable[[ArrayData, int], None],
        steps: int | None = None,
        weigh: Callable[[Any], np.ndarray] | None = None,
        nan_policy: str = "allow",
    ) -> None:
        self.data = data
        self.steps = steps
        self.admit = admit
        self.weigh = weigh
        self.nan_policy = nan_policy
        self.num_batches: int | None = steps or data.num_batches
        self._iterator: Iterator[Any] | None = None
        self._waiting: list[ArrayData] = []  # taken to build the model, not yet trained on
        self._seen = 0  # batches of this pass
        self._done = 0  # batches of this epoch
        self._over = False  # whether the pass is over
        self._warned = False
        self._resumed = False
        self._entropy: list[int] | None = None  # that of the worker processes, in an epoch gone on with
        self._numbers = np.arange(0)

    def admit_first(self, fresh: bool) -> None:
        """Has the first batch admitted; it is also the first that `advance` runs.

        Args:
            fresh: Whether the model has not been trained before. Keras makes a pass of its own to build
                such a model, so the order of batches that it trains on is the second.

        Raises:
            ValueError: There is none.
        """
        if fresh and self.data.shuffle:
            self.data.iterate()
        self._iterator = self.data.iterate()
        batch = self._next()
        if batch is None:
            raise ValueError(
                f"When passing a Python {self.data.kind} to a Keras model, the {self.data.kind} "
                f"must yield at least one batch. Received an empty {self.data.kind}."
            )
        self.admit(batch, 0)
        self._waiting.append(batch)

    def start(self, fresh: bool) -> None:
        if self._resumed:
            self._resumed = False
            self._load_ahead(self._entropy)
            return
        self.data.notify("on_epoch_begin")
        over = fresh or self._over or self.steps is None or self._iterator is None
        if over and not self._waiting:
            self._iterator = self.data.iterate()
            self._seen = 0
        self._done = 0
        self._over = False
        self._load_ahead()

    def _load_ahead(self, entropy: list[int] | None = None) -> None:
        if isinstance(self._iterator, Pass):
            done = self._done + len(self._waiting)
            self._iterator.start(None if self.num_batches is None else self.num_batches - done, entropy)

    def more(self) -> bool:
        if self.num_batches is not None and self._done >= self.num_batches:
            return False
        if not self._waiting:
            batch = self._next()
            if batch is None:
                self._run_out()
                return False
            self._waiting.append(batch)
        return True

    def advance(self, runner: Any, most: int | None) -> tuple[int, list[Any]]:
        batch = self._waiting.pop()
        with self._naming_the_batch():
            self.admit(batch, self._seen)
            result = runner.run(batch, self._rows(batch.n), batch.n, 1)
        self._done += 1
        self._seen += 1
        return done_and_outputs(result)

    def finish(self) -> None:
        if isinstance(self._iterator, Pass):
            self._iterator.stop()
        total = self.data.num_batches
        if total is not None and self._seen >= total:
            self._over = True
        self.data.notify("on_epoch_end")

    @property
    def resumes_within(self) -> bool:
        return self.data.indexed

    @property
    def kind(self) -> str:
        return self.data.kind

    def ended(self) -> bool:
        return self.num_batches is not None and self._done >= self.num_batches

    def describe(self) -> dict[str, Any]:
        first = self._waiting[0]
        return {
            "source": self.data.kind,
            "arrays": {name: form(array) for name, array in zip(first.names, first.arrays, strict=True)},
            "batches": self.data.num_batches,
            "steps_per_epoch": self.steps,
            "shuffle": self.data.shuffle,
        }

    def get_state(self) -> dict[str, Any]:
        own = getattr(self.data.source, "get_state", None) if self.data.indexed else None
        return {
            "drawn_from": self.data.drawn_from,
            "seen": self._seen,
            "done": self._done,
            "over": self._over,
            "started": self._iterator is not None,
            "num_batches": self.num_batches,
            "passes": self.data._passes,
            "entropy": self._iterator.entropy if isinstance(self._iterator, Pass) else None,
            "source": own() if callable(own) else None,
        }

    def set_state(self, state: dict[str, Any], within: bool) -> None:
        self.num_batches = state["num_batches"]
        if not self.data.indexed:
            return
        if within:
            self.data.notify("on_epoch_begin")
        if state["source"] is not None:
            self.data.source.set_state(state["source"])
        if state["drawn_from"] is not None:
            python_random.setstate(state["drawn_from"])
        self._waiting = []
        self.data._passes = state["passes"] - 1
        self._iterator = self.data.iterate(state["seen"]) if state["started"] else None
        self._seen, self._done, self._over = state["seen"], state["done"], state["over"]
        self._entropy = state["entropy"]
        self._resumed = within

    def _run_out(self) -> None:
        """The source ended: the length of a pass if that was not known, else too early."""
        self._over = True
        if self.num_batches is None and self._done:
            self.num_batches = self._done
        elif not self._warned:
            self._warned = True
            warn_out_of_data()

    def _next(self) -> ArrayData | None:
        if self._iterator is None:
            return None
        with self._naming_the_batch():
            try:
                element = next(self._iterator)
            except StopIteration:
                return None
            return to_batch(element, self.data.kind, self._seen, self.weigh)

    def _rows(self, n: int) -> np.ndarray:
        """The numbers of n rows in order."""
        if n > len(self._numbers):
            self._numbers = np.arange(n)
        return self._numbers[:n]

    @contextlib.contextmanager
    def _naming_the_batch(self) -> Iterator[None]:
        """Within it an error gets a note that says at which batch it came."""
        try:
            yield
        except Exception as error:
            error.add_note(f"This was batch {self._seen} of the {self.data.kind} (counted from 0).")
            raise


def is_source(x: Any) -> bool:
    """Whether `x` gives batches, and is not an array or a structure of arrays."""
    return x is not None and not isinstance(x, (list, tuple, dict, ArrayData)) and not is_array_like(x)
