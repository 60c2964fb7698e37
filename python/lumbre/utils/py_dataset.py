"""Data sets that make a batch when asked for it."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any


class PyDataset:
    """A data set in Python code: `data[i]` is batch `i`. Also called `Sequence`.

    Subclasses define `__getitem__`, which returns `(x,)`, `(x, y)` or `(x, y, sample_weight)` of a
    whole batch, and `__len__`, the number of batches (or the property `num_batches`; None there means
    that there is no end, and `fit` needs `steps_per_epoch`).

    With `workers` above 1, `fit`, `evaluate` and `predict` load batches in so many threads while the
    model trains on those before: `__getitem__` is called from several threads then. Batches come in
    the same order for any number of workers, and none is loaded for an epoch before `on_epoch_end` of
    the one before it has returned.

    Args:
        workers: Threads or processes that load. With 0 or 1 thread, batches are loaded when they are
            due, between two steps.
        use_multiprocessing: Whether to load in processes: for `__getitem__` that computes in Python.
            They are forked on Linux, elsewhere spawned (the data set is pickled then). They have a copy
            of the data set as it is when an epoch begins; NumPy's and Python's random numbers are
            seeded there for each batch, so that they do not depend on the number of workers.
        max_queue_size: Batches that may wait, at most.

    Source: `keras.utils.PyDataset`.

    Example:
        >>> import lumbre, numpy as np
        >>> class Sums(lumbre.utils.PyDataset):
        ...     def __len__(self):
        ...         return 20
        ...     def __getitem__(self, i):
        ...         x = np.random.default_rng(i).random((32, 4), dtype="float32")
        ...         return x, x.sum(axis=1)
        >>> model = lumbre.Sequential([lumbre.Input((4,)), lumbre.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> len(model.fit(Sums(workers=2), epochs=3, verbose=0).history["loss"])
        3
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self._loading = (workers, use_multiprocessing, max_queue_size)

    def _option(self, place: int) -> Any:
        """What the constructor was told, or its default where it was not called."""
        if "_loading" not in self.__dict__:
            PyDataset.__init__(self)
            warnings.warn(
                "Your `PyDataset` class should call `super().__init__(**kwargs)` in its constructor. "
                "`**kwargs` can include `workers`, `use_multiprocessing`, `max_queue_size`. Do not pass "
                "these arguments to `fit()`, as they will be ignored.",
                stacklevel=3,
            )
        return self._loading[place]

    def _set_option(self, place: int, value: Any) -> None:
        options = [self._option(i) for i in range(3)]
        options[place] = value
        self._loading = (options[0], options[1], options[2])

    @property
    def workers(self) -> int:
        """Threads or processes that load."""
        return int(self._option(0))

    @workers.setter
    def workers(self, value: int) -> None:
        self._set_option(0, value)

    @property
    def use_multiprocessing(self) -> bool:
        """Whether processes load."""
        return bool(self._option(1))

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        self._set_option(1, value)

    @property
    def max_queue_size(self) -> int:
        """Batches that may wait."""
        return int(self._option(2))

    @max_queue_size.setter
    def max_queue_size(self, value: int) -> None:
        self._set_option(2, value)

    def __getitem__(self, index: int) -> Any:
        """Batch `index`, in the subclass."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(self, index)")

    @property
    def num_batches(self) -> int | None:
        """The number of batches; None: there is no end.

        Raises:
            NotImplementedError: The subclass has neither this property nor `__len__`.
        """
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(
            f"{type(self).__name__} must define __len__(self), the number of batches, or the property "
            "`num_batches`"
        )

    def __iter__(self) -> Iterator[Any]:
        """All batches in order, loaded one after the other."""
        count = self.num_batches
        return (self[i] for i in (itertools.count() if count is None else range(count)))

    def on_epoch_begin(self) -> None:
        """Called when an epoch begins; for subclasses."""

    def on_epoch_end(self) -> None:
        """Called when an epoch is over, before a batch of the next is loaded; for subclasses."""
