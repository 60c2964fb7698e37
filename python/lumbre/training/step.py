"""One training, evaluation or prediction step, run eagerly or replayed for many batches at once."""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any

import numpy as np

from lumbre import _core, tree
from lumbre.autograd import Tensor, as_tensor, kernel, wrap
from lumbre.capture import CHECKED_REPLAYS, CHECKING, Captured, Entry, compare, say_eager, unflatten
from lumbre.training.arrays import batch_dtype
from lumbre.training.checks import (
    column_of,
    computes_floats,
    handle_nan,
    may_be_large,
    warn_of_large_integers,
)
from lumbre.training.data import ArrayData

SECONDS_PER_CALL = 0.05
"""A replay comes back to Python this often, for the progress bar, for readers and for Ctrl-C."""


class StepRunner:
    """Runs the batches of one kind of step of a model.

    Args:
        model: Whose `_train_batch(x, y, sample_weight)`, `_test_batch` or `_predict_batch(x)` is the
            step.
        kind: "train", "test" or "predict".
        eager: Whether every batch is to run in Python (`compile(run_eagerly=True)`).

    Attributes:
        nan_policy: What is done about NaN and infinity in the rows of a data set: "raise", "warn" or "allow".
        watched: A cell with a float64 scalar, or None: a run of batches ends after the one that leaves NaN
            or infinity there.
    """

    def __init__(self, model: Any, kind: str, eager: bool = False) -> None:
        self.kind = kind
        # The model has the runner, and the runner the programs: if each kept the other alive, they and all
        # weights would stay until Python looks for cycles.
        self._model = weakref.ref(model)
        self.nan_policy = "allow"
        self._rounds = kind == "train" and computes_floats(model)  # whether integers become floats
        call = weakref.WeakMethod(self._call)
        self._captured = Captured(
            lambda *flat: call()(*flat),  # type: ignore[misc]
            partial(say_eager, f"{kind} steps run"),
            f"{kind} step of '{model.name}'",
            "compile(run_eagerly=True) asks for it" if eager else None,
        )
        self._structure: Any = None  # how the flat arguments of the step make (x, y, sample_weight)
        self.watched: _core.Cell | None = None

    def run(self, data: ArrayData, rows: np.ndarray, batch_size: int, max_steps: int) -> Any:
        """Runs between 1 and `max_steps` batches, consecutive pieces of the row numbers.

        Args:
            data: The arrays.
            rows: int64 row numbers; the last batch may be smaller than the others.
            batch_size: Rows in a batch.
            max_steps: Batches at most.

        Returns:
            The number of batches done; when predicting, also a list of their outputs.

        Raises:
            ValueError: A row has a value that is not finite; its batch has changed nothing.
        """
        batch = min(batch_size, len(rows))
        steps = min(max_steps, len(rows) // batch)
        if not data.readable:
            steps = max(1, min(steps, data.rows_per_piece // batch))
            data, rows = data.picked(rows[: batch * steps]), np.arange(batch * steps)
        sources = data.sources
        arguments = [((batch, *a.shape[1:]), batch_dtype(a.dtype)) for a in data.arrays]
        entry = self._entry(data._places, arguments)
        if entry.program is None:
            result = self._captured.run(entry, self._gather(data, sources, rows[:batch]))
        elif CHECKING and entry.checked < CHECKED_REPLAYS:
            tensors = self._gather(data, sources, rows[:batch])
            result = compare(
                entry,
                lambda: self._replay(entry, data, sources, rows[:batch], batch, 1),
                lambda: self._call(*tensors),
            )
        else:
            return self._replay(entry, data, sources, rows, batch, steps)
        return (1, [_numpy(result)]) if self.kind == "predict" else 1

    def run_batch(self, batch: tuple[Any, Any, Any]) -> Any:
        """Runs one batch given as (x, y, sample_weight) of arrays or tensors; returns what `run` does."""
        places = tree.map_structure(lambda leaf: leaf is not None, batch)
        tensors = [_batch_tensor(leaf) for leaf in tree.flatten(batch) if leaf is not None]
        entry = self._entry(places, [(t.shape, t.dtype) for t in tensors])
        if entry.program is None:
            result = self._captured.run(entry, tensors)
        else:
            _, _, outputs = entry.program.replay([t._a for t in tensors], keep_outputs=self.kind == "predict")
            result = unflatten(entry.outputs, [wrap(a.reshape(a.shape[1:])) for a in outputs])
        return (1, [_numpy(result)]) if self.kind == "predict" else 1

    # Eager

    def _call(self, *flat: Tensor) -> Any:
        leaves = iter(flat)
        x, y, weight = tree.map_structure(lambda there: next(leaves) if there else None, self._structure)
        step = getattr(self._model(), f"_{self.kind}_batch")
        return step(x) if self.kind == "predict" else step(x, y, weight)

    def _gather(self, data: ArrayData, sources: list[_core.Array], rows: np.ndarray) -> list[Tensor]:
        """The batch as tensors, its values checked."""
        picked = as_tensor(np.ascontiguousarray(rows))
        batch = []
        for i, source in enumerate(sources):
            check = self._checks(data, i)
            dtype = batch_dtype(data.arrays[i].dtype)
            values, status = kernel("gather_rows", wrap(source), picked, dtype=dtype, check=check)
            bad = status.item() if check else -1
            if bad >= 0:
                self._met(data, i, int(rows[bad]))
            batch.append(values)
        return batch

    # Replay

    def _replay(
        self,
        entry: Entry,
        data: ArrayData,
        sources: list[_core.Array],
        rows: np.ndarray,
        batch: int,
        steps: int,
    ) -> Any:
        assert entry.program is not None
        picked = _core.from_numpy(np.ascontiguousarray(rows[: batch * steps]))
        predicting = self.kind == "predict"
        feeds = [(source, self._checks(data, i)) for i, source in enumerate(sources)]
        done, bad, outputs = entry.program.replay(
            feeds, picked, batch, steps, SECONDS_PER_CALL, keep_outputs=predicting, watched=self.watched
        )
        if bad is not None and done == 0:  # with batches done before, it is met again by the next call
            self._met(data, bad[0], int(rows[bad[1]]))
        if not predicting:
            return done or self.run(data, rows, batch, 1)
        merged = [wrap(a.reshape((a.shape[0] * a.shape[1], *a.shape[2:]))) for a in outputs]
        return done, [_numpy(unflatten(entry.outputs, merged))]

    def _checks(self, data: ArrayData, i: int) -> bool:
        """Whether the values of array `i` are to be checked while they are gathered.

        Those of the targets and weights were, before the first step.
        """
        if i >= len(data.inputs):
            return False
        if data.arrays[i].dtype.kind == "f":
            return self.nan_policy != "allow"
        return self._rounds and may_be_large(data.arrays[i])

    def _met(self, data: ArrayData, i: int, row: int) -> None:
        """A row was met that has NaN or infinity, or integers that float32 has not.

        Its batch is not trained on, or a warning is given and the array looked at no more.
        """
        if data.arrays[i].dtype.kind == "f":
            state, column = "The batch with this row has changed nothing.", column_of(data.arrays[i], row)
            handle_nan(self._model(), data.names[i], data.number(row), self.nan_policy, state, column)
            self.nan_policy = "allow"
        else:
            warn_of_large_integers(self._model(), data.names[i], data.number(row))
            self._rounds = False

    # Programs

    def _entry(self, places: Any, arguments: list[Any]) -> Entry:
        """What is known of the step for arguments of these shapes and dtypes, in these places."""
        self._structure = places
        return self._captured.entry((repr(places), tuple(arguments)))


def _batch_tensor(leaf: Any) -> Tensor:
    """One member of a user's batch, dense and in the dtype that the model takes."""
    t = as_tensor(leaf)
    kind = np.dtype(t.dtype) if t.dtype != "bfloat16" else None
    if kind is not None and kind.kind == "f":
        t = as_tensor(t, batch_dtype(kind))
    return t if t._a.is_dense else wrap(t._a.reshape(t.shape))


def _numpy(structure: Any) -> Any:
    """Tensors as NumPy arrays."""
    return tree.map_structure(lambda t: t.numpy(), structure)
