"""The steps of a pipeline that say which rows come: slices, order, repetition, batches.

A stage that knows its elements as rows of arrays passes on row numbers, never rows: a shuffle permutes
numbers, and a batch is one pick from each array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from lumbre import tree
from lumbre.data.elements import TensorSpec, each, pick, rows_in, spec_of, stack

if TYPE_CHECKING:  # NumPy imports its generators when they are first asked for
    Rng = np.random.Generator

INFINITE = -1
UNKNOWN = -2


_CHUNK = 1 << 16
"""Row numbers passed on at once."""

_SAMPLE = 3
"""Rows of the batch that stands for all when a specification is asked for."""


class Stage:
    """One step: from the elements of its sources to its own.

    Attributes:
        sources: The stages it reads.
        count: Elements of a pass, `INFINITE` or `UNKNOWN`.
        shuffles: Whether its elements come in another order at another pass.
        draws: Whether it needs the random generator of an iteration.
        calls: Whether it runs functions of the user's, which a background thread may do ahead.
    """

    shuffles = False
    draws = False
    calls = False

    def __init__(self, *sources: Stage) -> None:
        self.sources = sources
        if sources:
            self.source = sources[0]
        self.shuffles = self.shuffles or any(s.shuffles for s in sources)
        self.draws = self.draws or any(s.draws for s in sources)
        self.calls = self.calls or any(s.calls for s in sources)

    @property
    def count(self) -> int:
        return self.source.count

    def columns(self) -> Any:
        """The arrays of which the elements are rows, or None."""
        return None

    def rows(self, rng: Rng) -> Iterator[np.ndarray]:
        """The numbers of the rows of a pass, in pieces; only where there are `columns`."""
        raise NotImplementedError

    def iterate(self, rng: Rng) -> Iterator[Any]:
        """The elements of a pass. `rng` gives what is drawn."""
        columns = self.columns()
        return (pick(columns, i) for piece in self.rows(rng) for i in piece.tolist())

    def sample(self) -> Any:
        """An element like all others.

        Raises:
            ValueError: There is none.
        """
        for first in self.iterate(np.random.default_rng(0)):
            return first
        raise ValueError("The dataset is empty, so nothing is known of its elements")

    def spec(self) -> Any:
        return spec_of(self.sample())


class Slices(Stage):
    """The rows of arrays."""

    def __init__(self, columns: Any) -> None:
        super().__init__()
        self._columns = columns
        self._n = rows_in(columns)

    @property
    def count(self) -> int:
        return self._n

    def columns(self) -> Any:
        return self._columns

    def rows(self, rng: Rng) -> Iterator[np.ndarray]:
        return (np.arange(at, min(at + _CHUNK, self._n)) for at in range(0, self._n, _CHUNK))

    def spec(self) -> Any:
        return tree.map_structure(
            lambda c: c if c is None else TensorSpec(c.shape[1:], c.dtype), self._columns
        )


class SameElements(Stage):
    """A stage whose elements are those of its source, fewer, more or in another order.

    `items` does its work on any sequence: on elements, or on row numbers where the source has them.
    """

    def items(self, items: Iterator[Any], rng: Rng, again: Callable[[], Iterator[Any]]) -> Iterator[Any]:
        """The items of a pass; `again` starts another pass of the source."""
        raise NotImplementedError

    def columns(self) -> Any:
        return self.source.columns()

    def iterate(self, rng: Rng) -> Iterator[Any]:
        if self.columns() is not None:
            return super().iterate(rng)
        return self.items(self.source.iterate(rng), rng, lambda: self.source.iterate(rng))

    def sample(self) -> Any:
        return self.source.sample()

    def spec(self) -> Any:
        return self.source.spec()


class Cut(SameElements):
    """The elements from `start` to before `stop`, every `step`-th of them; a stop of None is the end."""

    def __init__(self, source: Stage, start: int, stop: int | None, step: int = 1) -> None:
        super().__init__(source)
        self.start, self.stop, self.step = start, stop, step

    @property
    def count(self) -> int:
        n = self.source.count
        if n == INFINITE:
            return INFINITE if self.stop is None else len(range(self.start, self.stop, self.step))
        if n == UNKNOWN:
            return 0 if self.stop == 0 else UNKNOWN
        return len(range(self.start, n if self.stop is None else min(n, self.stop), self.step))

    def items(self, items: Iterator[Any], rng: Rng, again: Any) -> Iterator[Any]:
        if self.stop == 0:
            return
        for i, item in enumerate(items):
            if i >= self.start and (i - self.start) % self.step == 0:
                yield item
            if self.stop is not None and i + 1 >= self.stop:
                return

    def rows(self, rng: Rng) -> Iterator[np.ndarray]:
        at = 0
        for piece in self.source.rows(rng):
            if self.stop is not None and at >= self.stop:
                return
            first = self.start - at if at < self.start else -(at - self.start) % self.step
            yield piece[first : None if self.stop is None else self.stop - at : self.step]
            at += len(piece)


class Repeat(SameElements):
    """`times` passes, without end if None."""

    def __init__(self, source: Stage, times: int | None) -> None:
        super().__init__(source)
        self.times = times

    @property
    def count(self) -> int:
        n = self.source.count
        if self.times == 0 or n == 0:
            return 0
        if self.times is None:
            return INFINITE
        return n * self.times if n > 0 else n

    def items(self, items: Iterator[Any], rng: Rng, again: Callable[[], Iterator[Any]]) -> Iterator[Any]:
        done = 0
        while self.times is None or done < self.times:
            some = False
            for item in items if done == 0 else again():
                some = True
                yield item
            if not some:
                return
            done += 1

    def rows(self, rng: Rng) -> Iterator[np.ndarray]:
        return self.items(self.source.rows(rng), rng, lambda: self.source.rows(rng))


class Shuffle(SameElements):
    """A random order: each element is drawn from the next `size` that have not come yet.

    With a seed, pass after pass follows from it; without, from the iteration's generator.
    """

    def __init__(self, source: Stage, size: int, seed: int | None, reshuffle: bool) -> None:
        self.draws = seed is None
        self.shuffles = reshuffle
        super().__init__(source)
        self.size, self.seed, self.reshuffle = size, seed, reshuffle
        self._passes = 0

    def _rng(self, rng: Rng) -> Rng:
        if self.seed is None:
            return rng
        number = self._passes if self.reshuffle else 0
        self._passes += 1
        return np.random.default_rng([self.seed, number])

    def items(self, items: Iterator[Any], rng: Rng, again: Any) -> Iterator[Any]:
        return _shuffled(items, self.size, self._rng(rng))

    def rows(self, rng: Rng) -> Iterator[np.ndarray]:
        own = self._rng(rng)
        n = self.source.count
        pieces = self.source.rows(rng)
        if 0 <= n <= self.size:
            return _permuted(pieces, own)
        return _pieces(_shuffled((i for piece in pieces for i in piece.tolist()), self.size, own))


def _permuted(pieces: Iterator[np.ndarray], rng: Rng) -> Iterator[np.ndarray]:
    every = list(pieces)
    if every:
        yield rng.permutation(np.concatenate(every))


def _shuffled(items: Iterator[Any], size: int, rng: Rng) -> Iterator[Any]:
    waiting: list[Any] = []
    places: list[int] = []
    for item in items:
        if len(waiting) < size:
            waiting.append(item)
            continue
        if not places:
            places = rng.integers(size, size=1024).tolist()
        at = places.pop()
        yield waiting[at]
        waiting[at] = item
    for at in rng.permutation(len(waiting)).tolist():
        yield waiting[at]


def _pieces(numbers: Iterator[int]) -> Iterator[np.ndarray]:
    piece: list[int] = []
    for number in numbers:
        piece.append(number)
        if len(piece) == 1024:
            yield np.array(piece, np.int64)
            piece = []
    if piece:
        yield np.array(piece, np.int64)


class Cache(SameElements):
    """The elements of the first whole pass, from memory at every later one."""

    def __init__(self, source: Stage) -> None:
        super().__init__(source)
        self.shuffles = False  # the order of the first pass is kept
        self._kept: list[Any] | None = None
        self._columns: Any = None

    @property
    def count(self) -> int:
        return self.source.count if self._kept is None else len(self._kept)

    @property
    def filled(self) -> bool:
        """Whether the elements are rows of arrays of its own by now."""
        return self._columns is not None

    def columns(self) -> Any:
        if self._columns is None and not self.source.shuffles:
            return self.source.columns()  # in memory already
        return self._columns

    def rows(self, rng: Rng) -> Iterator[np.ndarray]:
        return self.source.rows(rng) if self._columns is None else Slices(self._columns).rows(rng)

    def iterate(self, rng: Rng) -> Iterator[Any]:
        if self.columns() is not None:
            return Stage.iterate(self, rng)
        return self._fill(rng) if self._kept is None else (each(_copy, e) for e in self._kept)

    def _fill(self, rng: Rng) -> Iterator[Any]:
        kept = []
        for item in self.source.iterate(rng):
            kept.append(each(_copy, item))
            yield item
        if self._kept is None and self._columns is None:
            self._columns = _as_columns(kept)
            self._kept = kept if self._columns is None else [None] * len(kept)


def _copy(leaf: Any) -> Any:
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def _as_columns(elements: list[Any]) -> Any:
    """Elements as rows of arrays, if they are alike; None if not."""
    if not elements or any(not isinstance(leaf, np.ndarray) for leaf in tree.flatten(elements[0])):
        return None
    forms = {tuple((leaf.shape, leaf.dtype) for leaf in tree.flatten(element)) for element in elements}
    return stack(elements) if len(forms) == 1 else None


class Batch(Stage):
    """`size` consecutive elements as one; the last batch may be smaller, or is dropped."""

    def __init__(
        self,
        source: Stage,
        size: int,
        drop_remainder: bool,
        join: Callable[[list[Any]], Any] = stack,
        shapes: Callable[[TensorSpec], tuple[int | None, ...] | None] | None = None,
    ) -> None:
        super().__init__(source)
        self.size, self.drop, self._join = size, drop_remainder, join
        self._shapes = shapes or (lambda spec: spec.shape)

    @property
    def count(self) -> int:
        n = self.source.count
        return n if n < 0 else n // self.size if self.drop else -(-n // self.size)

    def iterate(self, rng: Rng) -> Iterator[Any]:
        if self.source.columns() is not None and self._join is stack:
            return self._from_rows(rng)
        return self._from_elements(rng)

    def _from_rows(self, rng: Rng) -> Iterator[Any]:
        columns = self.source.columns()
        left = np.zeros(0, np.int64)
        for piece in self.source.rows(rng):
            rows = np.concatenate([left, piece]) if len(left) else piece
            whole = len(rows) - len(rows) % self.size
            for at in range(0, whole, self.size):
                yield pick(columns, rows[at : at + self.size])
            left = rows[whole:]
        if len(left) and not self.drop:
            yield pick(columns, left)

    def _from_elements(self, rng: Rng) -> Iterator[Any]:
        waiting: list[Any] = []
        for item in self.source.iterate(rng):
            waiting.append(item)
            if len(waiting) == self.size:
                yield self._join(waiting)
                waiting = []
        if waiting and not self.drop:
            yield self._join(waiting)

    def sample(self) -> Any:
        return self._join([self.source.sample()] * (self.size if self.drop else _SAMPLE))

    def spec(self) -> Any:
        first = self.size if self.drop else None

        def batched(spec: Any) -> Any:
            if not isinstance(spec, TensorSpec):
                return spec
            shape = self._shapes(spec)
            return TensorSpec(None if shape is None else (first, *shape), spec.dtype)

        return tree.map_structure(batched, self.source.spec())
