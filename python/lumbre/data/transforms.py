"""The steps of a pipeline that make new elements: functions, generators, windows, several sources."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lumbre import tree
from lumbre.data.elements import TensorSpec, call, dtype_name, normalize, pick, rows_in, spec_of
from lumbre.data.stages import INFINITE, UNKNOWN, SameElements, Stage

if TYPE_CHECKING:
    from lumbre.data.stages import Rng


class One(Stage):
    """One element, or a list of them."""

    def __init__(self, *elements: Any) -> None:
        super().__init__()
        self._elements = elements

    @property
    def count(self) -> int:
        return len(self._elements)

    def iterate(self, rng: Rng) -> Iterator[Any]:
        return iter(self._elements)


class Numbers(Stage):
    """The whole numbers of a range."""

    def __init__(self, numbers: range, dtype: str) -> None:
        super().__init__()
        self.numbers, self.dtype = numbers, np.dtype(dtype)

    @property
    def count(self) -> int:
        return len(self.numbers)

    def iterate(self, rng: Rng) -> Iterator[Any]:
        return (np.asarray(number, self.dtype) for number in self.numbers)

    def spec(self) -> Any:
        return TensorSpec((), self.dtype)


class Generated(Stage):
    """What a function's generators yield, a new one at each pass."""

    calls = True

    def __init__(self, start: Callable[[], Any], signature: Any) -> None:
        super().__init__()
        self.start, self.signature = start, tree.lists_to_tuples(signature)

    @property
    def count(self) -> int:
        return UNKNOWN

    def iterate(self, rng: Rng) -> Iterator[Any]:
        if self.signature is None:
            return map(normalize, self.start())
        return (self._fitted(i, value) for i, value in enumerate(self.start()))

    def _fitted(self, i: int, value: Any) -> Any:
        if isinstance(value, list) and isinstance(self.signature, tuple):  # as scripts yield [x, y]
            value = tuple(value)
        try:
            item = normalize(value)
            tree.assert_same_structure(self.signature, item)
            return tree.map_structure(_as_said, self.signature, item)
        except (ValueError, TypeError) as error:
            error.add_note(f"This was element {i} of the generator; `output_signature` is {self.signature}.")
            raise

    def spec(self) -> Any:
        return super().spec() if self.signature is None else self.signature


def _as_said(spec: TensorSpec, leaf: Any) -> Any:
    """A member of an element in the dtype of its specification.

    Raises:
        TypeError: It cannot be.
        ValueError: It has another shape.
    """
    if not spec.admits(leaf.shape):
        raise ValueError(f"a generator yielded the shape {leaf.shape}, but {spec.shape} was expected")
    if dtype_name(leaf.dtype) == spec.dtype:
        return leaf
    if spec.dtype == "string" or leaf.dtype.kind == "O":
        raise TypeError(f"a generator yielded {leaf!r}, but the dtype {spec.dtype} was expected")
    return leaf.astype(spec.dtype)


class Map(Stage):
    """A function of each element."""

    calls = True

    def __init__(self, source: Stage, function: Callable[..., Any]) -> None:
        super().__init__(source)
        self.function = function

    def iterate(self, rng: Rng) -> Iterator[Any]:
        return map(self._of, self.source.iterate(rng))

    def _of(self, item: Any) -> Any:
        return normalize(call(self.function, item))

    def sample(self) -> Any:
        return self._of(self.source.sample())

    def spec(self) -> Any:
        given = self.source.sample()
        varying = {
            len(leaf)
            for leaf, spec in zip(tree.flatten(given), tree.flatten(self.source.spec()), strict=True)
            if isinstance(spec, TensorSpec) and spec.shape and spec.shape[0] is None
        }

        def of(leaf: Any) -> Any:
            batched = isinstance(leaf, np.ndarray) and leaf.shape and leaf.shape[0] in varying
            return TensorSpec((None, *leaf.shape[1:]), leaf.dtype) if batched else spec_of(leaf)

        return tree.map_structure(of, self._of(given))


class Filter(SameElements):
    """The elements for which a function is true."""

    calls = True

    def __init__(self, source: Stage, predicate: Callable[..., Any]) -> None:
        super().__init__(source)
        self.predicate = predicate

    @property
    def count(self) -> int:
        return INFINITE if self.source.count == INFINITE else UNKNOWN

    def columns(self) -> Any:
        return None

    def iterate(self, rng: Rng) -> Iterator[Any]:
        return (item for item in self.source.iterate(rng) if bool(call(self.predicate, item)))


class FlatMap(Stage):
    """The elements of the datasets that a function makes of each element."""

    calls = True

    def __init__(self, source: Stage, function: Callable[..., Any]) -> None:
        super().__init__(source)
        self.function = function

    @property
    def count(self) -> int:
        return UNKNOWN

    def iterate(self, rng: Rng) -> Iterator[Any]:
        for item in self.source.iterate(rng):
            made = call(self.function, item)
            if not getattr(made, "_is_dataset", False):
                raise TypeError(f"The function of `flat_map` must return a Dataset. It returned: {made!r}")
            yield from made._stage.iterate(rng)


class Zip(Stage):
    """One element of each source at a time, in a structure of sources."""

    def __init__(self, structure: Any) -> None:
        super().__init__(*tree.flatten(structure))
        self.structure = structure

    @property
    def count(self) -> int:
        counts = [source.count for source in self.sources]
        finite = [n for n in counts if n >= 0]
        return UNKNOWN if UNKNOWN in counts else min(finite, default=INFINITE)

    def iterate(self, rng: Rng) -> Iterator[Any]:
        passes = [source.iterate(rng) for source in self.sources]
        for items in zip(*passes, strict=False):
            yield self._pack(items)

    def _pack(self, items: Sequence[Any]) -> Any:
        rest = iter(items)
        return tree.map_structure(lambda _: next(rest), self.structure)

    def sample(self) -> Any:
        return self._pack([source.sample() for source in self.sources])

    def spec(self) -> Any:
        return self._pack([source.spec() for source in self.sources])


class Concatenate(Stage):
    """The elements of one source, then those of another."""

    @property
    def count(self) -> int:
        counts = [source.count for source in self.sources]
        return INFINITE if INFINITE in counts else UNKNOWN if UNKNOWN in counts else sum(counts)

    def iterate(self, rng: Rng) -> Iterator[Any]:
        return itertools.chain.from_iterable(source.iterate(rng) for source in self.sources)


class Enumerate(Stage):
    """Each element with its number."""

    def __init__(self, source: Stage, start: int) -> None:
        super().__init__(source)
        self.start = start

    def iterate(self, rng: Rng) -> Iterator[Any]:
        return (
            (np.asarray(i, np.int64), item) for i, item in enumerate(self.source.iterate(rng), self.start)
        )


class Unbatch(Stage):
    """The rows of each element as elements."""

    @property
    def count(self) -> int:
        return INFINITE if self.source.count == INFINITE else UNKNOWN

    def iterate(self, rng: Rng) -> Iterator[Any]:
        for item in self.source.iterate(rng):
            for i in range(rows_in(item)):
                yield pick(item, i)

    def spec(self) -> Any:
        return tree.map_structure(
            lambda spec: TensorSpec(spec.shape[1:], spec.dtype) if spec is not None else None,
            self.source.spec(),
        )


class Window(Stage):
    """Pieces of the sequence of elements, each a dataset (in place of each member of a tuple or dict)."""

    def __init__(
        self, source: Stage, size: int, shift: int, stride: int, drop: bool, wrap: Callable[[Stage], Any]
    ) -> None:
        super().__init__(source)
        self.size, self.shift, self.stride, self.drop, self._wrap = size, shift, stride, drop, wrap

    @property
    def count(self) -> int:
        n = self.source.count
        if n < 0:
            return n
        last = n - (self.size - 1) * self.stride if self.drop else n
        return len(range(0, max(last, 0), self.shift))

    def iterate(self, rng: Rng) -> Iterator[Any]:
        items = self.source.iterate(rng)
        span = (self.size - 1) * self.stride + 1
        held: list[Any] = []
        while True:
            held.extend(itertools.islice(items, span - len(held)))
            if not held or (self.drop and len(held) < span):
                return
            yield self._window(held[: span : self.stride])
            jump = self.shift - len(held)
            held = held[self.shift :]
            if jump > 0:  # over elements that no window has
                next(itertools.islice(items, jump, jump), None)

    def _window(self, items: list[Any]) -> Any:
        return tree.map_structure(lambda *leaves: self._wrap(One(*leaves)), *items)


class Prefetch(SameElements):
    """The elements of a source, made ahead in a background thread.

    Without functions of the user's in the pipeline, an element costs less than handing it from thread to
    thread, and there is no thread.
    """

    def __init__(self, source: Stage, size: int) -> None:
        super().__init__(source)
        self.size = size

    def rows(self, rng: Rng) -> Iterator[np.ndarray]:
        return self.source.rows(rng)

    def iterate(self, rng: Rng) -> Iterator[Any]:
        if self.columns() is not None:
            return super().iterate(rng)
        if not self.calls or self.size == 0:
            return self.source.iterate(rng)
        # A generator of its own: two threads that draw from one would do so in an order that chance decides.
        return _ahead(self.source.iterate(rng.spawn(1)[0]), self.size)


def _ahead(items: Iterator[Any], size: int) -> Iterator[Any]:
    """The items, up to `size` of them made in advance; the thread ends with the iterator."""
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(size)
    stop = threading.Event()

    def work() -> None:
        last: tuple[str, Any] = ("end", None)
        try:
            for item in items:
                ready.put(("item", item))
                if stop.is_set():
                    return
        except BaseException as error:
            last = ("error", error)
        ready.put(last)

    thread = threading.Thread(target=work, name="lumbre-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "item":
                yield value
            elif kind == "error":
                raise value
            else:
                return
    finally:
        stop.set()
        with contextlib.suppress(queue.Empty):
            while True:
                ready.get_nowait()  # makes room, if the thread waits for it
        if thread is not threading.current_thread():  # where this runs, if it collects the iterator
            thread.join(1.0)  # longer only if the source takes longer for an element


def padded(shapes: Any, values: Any) -> Callable[[list[Any]], Any]:
    """How elements of different lengths become a batch: filled up at their ends.

    Args:
        shapes: A shape for each member, with None or -1 for the longest of the batch; None for all.
        values: What they are filled with, for each member or for all; zeros, or empty text.
    """

    def join(items: list[Any]) -> Any:
        first = items[0]
        wanted = _for_each(shapes, first, is_leaf=tree.is_shape)
        fillers = _for_each(values, first, is_leaf=lambda value: not tree.is_nested(value))
        members = [tree.flatten(item) for item in items]
        made = [
            _padded(leaves, shape, value)
            for leaves, shape, value in zip(zip(*members, strict=True), wanted, fillers, strict=True)
        ]
        return tree.pack_sequence_as(first, made)

    return join


def padded_shape(shapes: Any) -> Callable[[TensorSpec], tuple[int | None, ...] | None]:
    """The shape of a member of a padded batch, as far as it is known before."""

    def shape(spec: TensorSpec) -> tuple[int | None, ...] | None:
        if tree.is_shape(shapes):
            return tuple(None if n == -1 else n for n in shapes)
        return None if spec.shape is None else (None,) * len(spec.shape)

    return shape


def _for_each(option: Any, item: Any, is_leaf: Callable[[Any], bool]) -> list[Any]:
    """An option for each member of an element: one for all, or a structure of them."""
    if option is None or is_leaf(option):
        return [option] * len(tree.flatten(item))
    if isinstance(option, dict):
        return [one for key in sorted(option) for one in _for_each(option[key], item[key], is_leaf)]
    return [one for o, i in zip(option, item, strict=True) for one in _for_each(o, i, is_leaf)]


def _padded(leaves: Sequence[np.ndarray], shape: Any, value: Any) -> np.ndarray:
    longest = [max(sizes) for sizes in zip(*(leaf.shape for leaf in leaves), strict=True)]
    wanted = (
        longest
        if shape is None
        else [m if n in (None, -1) else n for n, m in zip(shape, longest, strict=True)]
    )
    if any(m > n for n, m in zip(wanted, longest, strict=True)):
        raise ValueError(
            f"An element of the shape {tuple(longest)} does not fit into the padded shape {tuple(wanted)}"
        )
    text = leaves[0].dtype.kind == "O"
    fill = (b"" if text else 0) if value is None else value
    batch = np.full((len(leaves), *wanted), fill, leaves[0].dtype)
    for i, leaf in enumerate(leaves):
        place: tuple[Any, ...] = (i, *map(slice, leaf.shape))
        batch[place] = leaf
    return batch
