"""Rows that are not an array yet: each batch of them is made when it is needed, never the whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

PIECE_BYTES = 1 << 22
"""About so much is made dense at once: it stays in the cache, and is no loss if it was too much."""


class LazyRows:
    """Samples that become an array a few at a time.

    Subclasses say how: `take` by row numbers, `part` by a range, as such rows again.

    Attributes:
        shape: As of an array.
        dtype: That of the arrays that come out, which NumPy can compute with.
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The rows of these numbers."""
        raise NotImplementedError

    def part(self, start: int, stop: int) -> LazyRows:
        """The rows from `start` to before `stop`, still not an array."""
        raise NotImplementedError

    def __getitem__(self, key: slice) -> np.ndarray:
        return self.take(np.arange(*key.indices(len(self))))

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def starts(self) -> range:
        """Where the pieces begin in which all rows can be gone through."""
        row = max(1, self.size // max(1, len(self)) * self.dtype.itemsize)
        return range(0, len(self), max(1, PIECE_BYTES // row))

    def pieces(self) -> Iterator[np.ndarray]:
        """All rows, piece by piece."""
        starts = self.starts()
        return (self[start : start + starts.step] for start in starts)

    def min(self) -> Any:
        """The smallest value, NaN if one is NaN."""
        return np.min([piece.min() for piece in self.pieces()])

    def max(self) -> Any:
        """The largest value, NaN if one is NaN."""
        return np.max([piece.max() for piece in self.pieces()])


class SparseRows(LazyRows):
    """The rows of a sparse matrix of SciPy, in any of its formats: kept as CSR, which has rows."""

    def __init__(self, matrix: Any) -> None:
        self._matrix = matrix.tocsr()
        self.shape = tuple(int(n) for n in self._matrix.shape)
        self.dtype = self._matrix.dtype

    def take(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self._matrix[rows].toarray())

    def part(self, start: int, stop: int) -> SparseRows:
        return SparseRows(self._matrix[start:stop])


class BFloat16Rows(LazyRows):
    """The rows of an array of `ml_dtypes.bfloat16`, as float32, which has all of its numbers."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.shape = array.shape
        self.dtype = np.dtype("float32")

    def take(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self._array[rows], "float32")

    def part(self, start: int, stop: int) -> BFloat16Rows:
        return BFloat16Rows(self._array[start:stop])


def dense(rows: Any) -> Any:
    """All rows as one array: for a batch."""
    return rows[:] if isinstance(rows, LazyRows) else rows


def cut(rows: Any, start: int, stop: int) -> Any:
    """Samples of an array or of lazy rows, without a copy of an array."""
    return rows.part(start, stop) if isinstance(rows, LazyRows) else rows[start:stop]
