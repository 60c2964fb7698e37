"""`Dataset`: a pipeline of elements, with the methods of `tf.data.Dataset`."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lumbre import tree
from lumbre.data import stages, transforms
from lumbre.data.elements import Element, TensorSpec, call, each, element, normalize
from lumbre.data.stages import INFINITE, UNKNOWN, Stage

AUTOTUNE = -1
"""Leaves the size of a buffer, or the number of parallel calls, to us."""


class Dataset:
    """A lazy, repeatable sequence of elements, which `fit`, `evaluate` and `predict` take as batches.

    A dataset is made by one of its static methods, and every other method gives a new one. Nothing is
    computed until it is iterated, and each iteration starts from the beginning. An element is an array, or a
    tuple or dict of arrays (nested as one likes); `(x, y)` or `(x, y, sample_weight)` for training.

    Iterating gives NumPy arrays, which also have `.numpy()`. A function given to `map` or `filter` gets
    tensors, so that ops and operators of tensors work in it, and the members of a tuple as arguments of
    their own; what it returns becomes arrays again. Where no `map` comes between, slicing, `shuffle` and
    `batch` pass row numbers on, so that a batch costs one pick from each array; `prefetch` runs functions of
    `map` and generators ahead, in a background thread.

    Orders drawn without a seed follow from `lumbre.utils.set_random_seed`.

    Source: `tf.data.Dataset`, whose names, defaults and orders of elements these are.

    Example:
        >>> import numpy as np
        >>> from lumbre.data import AUTOTUNE, Dataset
        >>> x, y = np.arange(10.0).reshape(5, 2), np.arange(5, dtype="uint8")
        >>> ds = Dataset.from_tensor_slices((x, y)).map(lambda x, y: (x / 2, y)).batch(2).prefetch(AUTOTUNE)
        >>> len(ds)
        3
        >>> next(ds.as_numpy_iterator())
        (array([[0. , 0.5],
               [1. , 1.5]]), array([0, 1], dtype=uint8))
    """

    _is_dataset = True
    class_names: list[str] | None
    """Names of the classes, where the dataset was made of folders."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    # Where elements come from

    @staticmethod
    def from_tensor_slices(tensors: Any, name: str | None = None) -> Dataset:
        """The rows of arrays: element i has row i of each. The arrays are not copied.

        Args:
            tensors: An array, or a tuple or dict of arrays; a list is one array.
            name: Ignored.

        Raises:
            ValueError: The arrays have different numbers of rows, or one has none.

        Example:
            >>> from lumbre.data import Dataset
            >>> next(Dataset.from_tensor_slices({"x": [[1, 2], [3, 4]]}).as_numpy_iterator())
            {'x': array([1, 2], dtype=int32)}
        """
        return Dataset(stages.Slices(normalize(tensors)))

    @staticmethod
    def from_tensors(tensors: Any, name: str | None = None) -> Dataset:
        """One element."""
        return Dataset(transforms.One(normalize(tensors)))

    @staticmethod
    def from_generator(
        generator: Callable[..., Any],
        output_types: Any = None,
        output_shapes: Any = None,
        args: Sequence[Any] | None = None,
        output_signature: Any = None,
        name: str | None = None,
    ) -> Dataset:
        """What `generator(*args)` yields; it is called at every pass.

        Args:
            generator: A function that returns an iterable.
            output_types: Instead of a signature: the dtypes of an element's members.
            output_shapes: With `output_types`: their shapes.
            args: Its arguments.
            output_signature: A `TensorSpec` for each member. By default elements are taken as they come.
            name: Ignored.

        Raises:
            TypeError: `generator` cannot be called.
            ValueError, TypeError: While iterating: an element is not what the signature says.

        Example:
            >>> from lumbre.data import Dataset
            >>> ds = Dataset.from_generator(lambda n: (i * i for i in range(n)), args=(4,))
            >>> [int(i) for i in ds], [int(i) for i in ds]
            ([0, 1, 4, 9], [0, 1, 4, 9])
        """
        if not callable(generator):
            raise TypeError(
                f"`generator` must be callable. Received: {generator!r}. Pass the function, not its result"
            )
        if output_signature is None and output_types is not None:
            output_signature = _signature(output_types, output_shapes)
        arguments = tuple(args or ())
        return Dataset(transforms.Generated(lambda: generator(*arguments), output_signature))

    @staticmethod
    def range(*args: int, output_type: Any = "int64", name: str | None = None) -> Dataset:
        """Whole numbers, as Python's `range`.

        Example:
            >>> from lumbre.data import Dataset
            >>> [int(i) for i in Dataset.range(2, 8, 3)]
            [2, 5]
        """
        return Dataset(transforms.Numbers(builtins.range(*args), np.dtype(output_type).name))

    @staticmethod
    def zip(*args: Any, datasets: Any = None, name: str | None = None) -> Dataset:
        """Elements of several datasets side by side, until the shortest ends.

        Args:
            args: Datasets, or one tuple or dict of them.
            datasets: The same, by name.
            name: Ignored.

        Example:
            >>> from lumbre.data import Dataset
            >>> [(int(a), int(b)) for a, b in Dataset.zip(Dataset.range(5), Dataset.range(10, 13))]
            [(0, 10), (1, 11), (2, 12)]
        """
        structure = datasets if datasets is not None else args[0] if len(args) == 1 else args
        return Dataset(transforms.Zip(tree.map_structure(lambda ds: _stage_of(ds, "zip"), structure)))

    # Which elements, and in which order

    def take(self, count: int, name: str | None = None) -> Dataset:
        """The first `count` elements; all with -1.

        Example:
            >>> from lumbre.data import Dataset
            >>> [int(i) for i in Dataset.range(5).skip(1).take(2)]
            [1, 2]
        """
        return self._cut(0, None if count == -1 else int(count))

    def skip(self, count: int, name: str | None = None) -> Dataset:
        """All but the first `count` elements; none with -1."""
        return self.take(0) if count == -1 else self._cut(int(count), None)

    def shard(self, num_shards: int, index: int, name: str | None = None) -> Dataset:
        """Every `num_shards`-th element, from number `index` on.

        Raises:
            ValueError: `index` is not from 0 to `num_shards` - 1.

        Example:
            >>> from lumbre.data import Dataset
            >>> [int(i) for i in Dataset.range(7).shard(3, 1)]
            [1, 4]
        """
        if not 0 <= index < num_shards:
            raise ValueError(f"`index` must be from 0 to {num_shards - 1}. Received: index={index}")
        return self._cut(index, None, num_shards)

    def _cut(self, start: int, stop: int | None, step: int = 1) -> Dataset:
        if isinstance(self._stage, stages.Slices):
            part = slice(start, stop, step)
            return Dataset(
                stages.Slices(
                    tree.map_structure(lambda c: c if c is None else c[part], self._stage.columns())
                )
            )
        return Dataset(stages.Cut(self._stage, start, stop, step))

    def repeat(self, count: int | None = None, name: str | None = None) -> Dataset:
        """`count` passes one after the other; without end with None or -1.

        Example:
            >>> from lumbre.data import Dataset
            >>> [int(i) for i in Dataset.range(2).repeat(3)]
            [0, 1, 0, 1, 0, 1]
        """
        return Dataset(stages.Repeat(self._stage, None if count in (None, -1) else count))

    def shuffle(
        self,
        buffer_size: int,
        seed: int | None = None,
        reshuffle_each_iteration: bool | None = True,
        name: str | None = None,
    ) -> Dataset:
        """A random order: each element is drawn from the next `buffer_size` that have not come yet.

        Only a buffer of all elements makes every order equally likely.

        Args:
            buffer_size: A whole number from 1; with all elements in memory it costs nothing.
            seed: From which the order of every pass follows; by default NumPy's global generator.
            reshuffle_each_iteration: Whether each pass has an order of its own.
            name: Ignored.

        Raises:
            ValueError: `buffer_size` is below 1.

        Example:
            >>> from lumbre.data import Dataset
            >>> sorted(int(i) for i in Dataset.range(5).shuffle(5, seed=0))
            [0, 1, 2, 3, 4]
        """
        size = _positive(buffer_size, "buffer_size")
        reshuffle = reshuffle_each_iteration is not False
        if seed is None and not reshuffle:
            seed = int(np.random.randint(1 << 31))
        return Dataset(stages.Shuffle(self._stage, size, None if seed is None else abs(int(seed)), reshuffle))

    def cache(self, filename: str = "", name: str | None = None) -> Dataset:
        """The elements of the first whole pass, at every later one from memory.

        Raises:
            ValueError: A file is named.
        """
        if filename:
            raise ValueError(
                f"`cache` keeps elements in memory, not in a file. Received: filename={filename!r}. Use "
                "`cache()`, or save arrays with `numpy.save` and read them with `numpy.load(mmap_mode='r')`"
            )
        return Dataset(stages.Cache(self._stage))

    def prefetch(self, buffer_size: int, name: str | None = None) -> Dataset:
        """Makes up to `buffer_size` elements ahead in a background thread, two with AUTOTUNE.

        Raises:
            ValueError: `buffer_size` is below 0, and not AUTOTUNE.
        """
        size = 2 if buffer_size == AUTOTUNE else int(buffer_size)
        if size < 0:
            raise ValueError(f"`buffer_size` must be 0 or more, or AUTOTUNE. Received: {buffer_size}")
        return Dataset(transforms.Prefetch(self._stage, size))

    def concatenate(self, dataset: Dataset, name: str | None = None) -> Dataset:
        """These elements, then those of another dataset."""
        return Dataset(transforms.Concatenate(self._stage, _stage_of(dataset, "concatenate")))

    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """The elements for which `predicate` is true.

        Example:
            >>> from lumbre.data import Dataset
            >>> [int(i) for i in Dataset.range(6).filter(lambda i: i % 2 == 0)]
            [0, 2, 4]
        """
        return Dataset(transforms.Filter(self._stage, predicate))

    # New elements

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """A function of each element.

        Args:
            map_func: Gets tensors (text as arrays of bytes), and returns tensors, arrays or numbers, in a
                tuple or dict if several.
            num_parallel_calls: Accepted; calls come one after the other, with `prefetch` in the background.
            deterministic: Accepted; the order is always kept.
            name: Ignored.

        Example:
            >>> from lumbre.data import Dataset
            >>> [int(i) for i in Dataset.range(4).map(lambda i: i * i)]
            [0, 1, 4, 9]
        """
        return Dataset(transforms.Map(self._stage, map_func))

    def flat_map(self, map_func: Callable[..., Any], name: str | None = None) -> Dataset:
        """The elements of the datasets that `map_func` makes, one dataset after the other.

        Example:
            >>> from lumbre.data import Dataset
            >>> [int(i) for i in Dataset.range(4).flat_map(lambda n: Dataset.range(int(n)))]
            [0, 0, 1, 0, 1, 2]
        """
        return Dataset(transforms.FlatMap(self._stage, map_func))

    def enumerate(self, start: int = 0, name: str | None = None) -> Dataset:
        """`(i, element)` for each element."""
        return Dataset(transforms.Enumerate(self._stage, int(start)))

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """`batch_size` consecutive elements as one, along a new first axis.

        Args:
            batch_size: A whole number from 1.
            drop_remainder: Whether a smaller last batch is left out.
            num_parallel_calls: Accepted.
            deterministic: Accepted; the order is always kept.
            name: Ignored.

        Raises:
            ValueError: `batch_size` is below 1; while iterating: elements differ in shape.

        Example:
            >>> from lumbre.data import Dataset
            >>> [batch.tolist() for batch in Dataset.range(5).batch(2)]
            [[0, 1], [2, 3], [4]]
        """
        return Dataset(stages.Batch(self._stage, _positive(batch_size, "batch_size"), bool(drop_remainder)))

    def padded_batch(
        self,
        batch_size: int,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Dataset:
        """A batch of elements of different lengths, filled up at their ends.

        Args:
            batch_size: A whole number from 1.
            padded_shapes: A shape for each member, None in it for the longest of the batch.
            padding_values: What they are filled with; 0, or empty text.
            drop_remainder: Whether a smaller last batch is left out.
            name: Ignored.

        Example:
            >>> from lumbre.data import Dataset
            >>> ds = Dataset.from_generator(lambda: [[1], [2, 3], [4, 5, 6]]).padded_batch(2)
            >>> [batch.tolist() for batch in ds]
            [[[1, 0], [2, 3]], [[4, 5, 6]]]
        """
        size = _positive(batch_size, "batch_size")
        join = transforms.padded(padded_shapes, padding_values)
        shapes = transforms.padded_shape(padded_shapes)
        return Dataset(stages.Batch(self._stage, size, bool(drop_remainder), join, shapes))

    def unbatch(self, name: str | None = None) -> Dataset:
        """The rows of each element as elements."""
        return Dataset(transforms.Unbatch(self._stage))

    def window(
        self,
        size: int,
        shift: int | None = None,
        stride: int = 1,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Dataset:
        """Datasets of `size` elements each, one for each member of a tuple or dict.

        Args:
            size: Elements in a window.
            shift: From the start of a window to that of the next; by default `size`.
            stride: From one element of a window to the next.
            drop_remainder: Whether smaller windows at the end are left out.
            name: Ignored.

        Example:
            >>> from lumbre.data import Dataset
            >>> ds = Dataset.range(5).window(3, shift=1, drop_remainder=True).flat_map(lambda w: w.batch(3))
            >>> [batch.tolist() for batch in ds]
            [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
        """
        size, stride = _positive(size, "size"), _positive(stride, "stride")
        shift = size if shift is None else _positive(shift, "shift")
        return Dataset(transforms.Window(self._stage, size, shift, stride, bool(drop_remainder), Dataset))

    def apply(self, transformation_func: Callable[[Dataset], Dataset], name: str | None = None) -> Dataset:
        """What a function makes of the dataset."""
        return transformation_func(self)

    def reduce(self, initial_state: Any, reduce_func: Callable[..., Any], name: str | None = None) -> Any:
        """The state after `state = reduce_func(state, element)` for all elements.

        Example:
            >>> from lumbre.data import Dataset
            >>> int(Dataset.range(5).reduce(0, lambda total, x: total + x))
            10
        """
        state = normalize(initial_state)
        for item in self._iterate():
            state = normalize(call(reduce_func, (state, item)))
        return each(_shown, state)

    # What it holds

    def __iter__(self) -> Iterator[Any]:
        return (each(_shown, item) for item in self._iterate())

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The elements as plain NumPy arrays, numbers and bytes."""
        return (each(_plain, item) for item in self._iterate())

    def cardinality(self, name: str | None = None) -> Any:
        """The number of elements, INFINITE_CARDINALITY or UNKNOWN_CARDINALITY.

        Example:
            >>> from lumbre.data import Dataset
            >>> int(Dataset.range(5).batch(2).cardinality())
            3
        """
        return element(np.int64(self._stage.count))

    def __len__(self) -> int:
        """The number of elements.

        Raises:
            TypeError: It is infinite or not known.
        """
        count = self._stage.count
        if count == INFINITE:
            raise TypeError("The dataset is infinite.")
        if count == UNKNOWN:
            raise TypeError("The dataset length is unknown.")
        return count

    def __bool__(self) -> bool:
        return True

    @property
    def element_spec(self) -> Any:
        """A `TensorSpec` for each member of an element; None in a shape is a size that varies."""
        return self._stage.spec()

    def __repr__(self) -> str:
        kind = f"{type(self._stage).__name__}Dataset"
        # To know what functions give, they would have to be called.
        return f"<{kind}>" if self._stage.calls else f"<{kind} element_spec={self.element_spec}>"

    def _iterate(self) -> Iterator[Any]:
        return self._stage.iterate(self._rng())

    def _rows(self) -> Iterator[np.ndarray]:
        return self._stage.rows(self._rng())

    def _rng(self) -> np.random.Generator:
        """What a pass draws from, settled at its beginning and not when a thread comes to it."""
        seed = np.random.randint(1 << 31, size=2).tolist() if self._stage.draws else 0
        return np.random.default_rng(seed)


def _shown(leaf: Any) -> Any:
    return element(leaf) if isinstance(leaf, np.ndarray) and not isinstance(leaf, Element) else leaf


def _plain(leaf: Any) -> Any:
    if isinstance(leaf, Dataset):
        return leaf
    return leaf if leaf is None else np.asarray(leaf)[()]


def _positive(value: Any, name: str) -> int:
    if isinstance(value, float) or int(value) < 1:
        raise ValueError(f"`{name}` must be a whole number from 1. Received: {name}={value}")
    return int(value)


def _stage_of(dataset: Any, method: str) -> Stage:
    if not isinstance(dataset, Dataset):
        raise TypeError(f"`{method}` takes datasets. Received: {dataset!r} (of type {type(dataset)})")
    return dataset._stage


def _signature(types: Any, shapes: Any) -> Any:
    """A structure of specifications from dtypes and shapes given apart."""
    if shapes is None:
        return tree.map_structure(lambda dtype: TensorSpec(None, dtype), types)
    if not tree.is_nested(types):
        return TensorSpec(shapes, types)
    if isinstance(types, dict):
        return {key: _signature(types[key], shapes[key]) for key in types}
    return tuple(_signature(t, s) for t, s in zip(types, shapes, strict=True))
