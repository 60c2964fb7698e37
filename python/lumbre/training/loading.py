"""Loading the batches of an indexed source (`source[i]`) while the model trains on those before."""

from __future__ import annotations

import itertools
import random
import signal
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

START = "fork" if sys.platform == "linux" else "spawn"
"""How worker processes begin: forked where that is usual, so that a source need not be importable."""


class Pass:
    """One pass through an indexed source: an iterator over `source[i]` for the `i` of an order.

    Between `start` and `stop` the source's workers load ahead, at most `max_queue_size` batches, if
    it has more than one worker or asks for processes (as in Keras). Batches come in the order asked
    for, however many workers there are.

    Args:
        source: An object with `source[i]`; its `workers`, `use_multiprocessing` and
            `max_queue_size` are looked at where it has them.
        order: The indices of the pass.
        number: Of the pass; makes the random numbers of worker processes differ from pass to pass.
    """

    def __init__(self, source: Any, order: Iterable[int], number: int = 0) -> None:
        self._source = source
        self._order = iter(order)
        self._number = number
        self.entropy: list[int] | None = None
        self._back: deque[int] = deque()  # indices to be asked for (again) before those of the order
        self._loading: deque[tuple[int, Future[Any]]] = deque()
        self._workers: Executor | None = None
        self._to_load = 0  # batches that may still be asked for, until `stop`

    def start(self, most: int | None, entropy: list[int] | None = None) -> None:
        """Begins to load ahead, `most` batches (None: to the end of the order).

        Args:
            most: How many.
            entropy: That of another process, whose worker processes had the same random numbers.
        """
        workers = int(getattr(self._source, "workers", 1) or 0)
        processes = bool(getattr(self._source, "use_multiprocessing", False))
        if self._workers is not None or workers < (1 if processes else 2):
            return
        self._ahead = max(1, int(getattr(self._source, "max_queue_size", 10) or 1))
        self._enough = min(self._ahead - 1, max(workers, self._ahead // 2))
        self._to_load = sys.maxsize if most is None else most
        self._workers = _processes(self._source, workers) if processes else _threads(workers)
        self.entropy = (entropy or _fresh_entropy(self._number)) if processes else None
        self._load = self._source.__getitem__ if self.entropy is None else _SeededLoad(self.entropy)
        self._fill()

    def stop(self) -> None:
        """Ends loading ahead, with no worker left; what was not handed out will be loaded again."""
        if self._workers is None:
            return
        workers, self._workers = self._workers, None
        self._back.extendleft(index for index, _ in reversed(self._loading))
        self._loading.clear()
        workers.shutdown(wait=True, cancel_futures=True)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._loading:
            index, future = self._loading.popleft()
            try:
                batch = future.result()
            except Exception as error:
                raise RuntimeError(
                    f"batch {index} of the {type(self._source).__name__} could not be loaded by a worker: "
                    f"{type(error).__name__}: {error}"
                ) from error
            self._fill()
            return batch
        due = self._next_index()
        if due is None:
            raise StopIteration
        try:
            return self._source[due]
        except StopIteration as error:
            raise RuntimeError(f"{type(self._source).__name__}[{due}] raised StopIteration") from error
        except Exception as error:
            error.add_note(f"It was raised by {type(self._source).__name__}[{due}].")
            raise

    def _next_index(self) -> int | None:
        return self._back.popleft() if self._back else next(self._order, None)

    def _fill(self) -> None:
        """Asks for as many batches as may wait, once that leaves the workers with little to do.

        Several at once: a worker that wakes takes a core from the step that is running.
        """
        if len(self._loading) > self._enough:
            return
        while self._workers is not None and self._to_load and len(self._loading) < self._ahead:
            index = self._next_index()
            if index is None:
                return
            self._to_load -= 1
            try:
                future = self._workers.submit(self._load, index)
            except RuntimeError as error:  # a process died; told when the batch is due, like other errors
                future = _failed(error)
            self._loading.append((index, future))


# What loads in parallel is imported by those who need it: an import of lumbre is quick.


def _threads(workers: int) -> Executor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(workers, "lumbre-loader")


def _processes(source: Any, workers: int) -> Executor:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    pool = ProcessPoolExecutor(workers, multiprocessing.get_context(START), _adopt, (source,))
    with warnings.catch_warnings():
        # The first call forks, from Python 3.12 on with a warning about threads: ours are at rest here.
        warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
        pool.submit(int)
    return pool


def _failed(error: Exception) -> Future[Any]:
    from concurrent.futures import Future

    future: Future[Any] = Future()
    future.set_exception(error)
    return future


_adopted: Any = None  # the source of this worker process


def _adopt(source: Any) -> None:
    global _adopted
    _adopted = source
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C, and ends its workers


def _fresh_entropy(number: int) -> list[int]:
    """What the random numbers of a pass in worker processes follow from."""
    words = np.random.get_state(legacy=False)["state"]
    return [number, int(words["pos"]), *(int(w) for w in words["key"][:4])]


class _SeededLoad:
    """Loads a batch in a worker process, with random numbers that belong to the batch, not to the worker."""

    def __init__(self, entropy: list[int]) -> None:
        self.entropy = entropy

    def __call__(self, index: int) -> Any:
        seed = np.random.SeedSequence([*self.entropy, index]).generate_state(4)
        np.random.seed(seed)
        random.seed(seed.tobytes())
        return _adopted[index]


def indices(count: int | None, shuffle: bool) -> Iterable[int]:
    """The indices of a pass; of an endless source all numbers.

    In random order, if asked, by Python's `random`: Keras's order for the same seed.
    """
    if count is None:
        return itertools.count()
    order = list(range(count))
    if shuffle:
        random.shuffle(order)
    return order
