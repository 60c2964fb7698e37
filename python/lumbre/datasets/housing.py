"""What the two data sets of house prices have in common."""

from __future__ import annotations

import os

import numpy as np

from lumbre.datasets.safe import load_npz
from lumbre.datasets.source import Split, locate


def check_share(test_split: float) -> None:
    """Raises ValueError if that is no share of the rows."""
    if not 0 <= test_split < 1:
        raise ValueError(
            f"Invalid `test_split` argument: {test_split}. It must be between 0 and 1 (exclusive of 1)."
        )


def read_split(
    name: str, path: str | os.PathLike[str], what: str, test_split: float, seed: int, rows: int | None = None
) -> tuple[Split, Split]:
    """The first rows of a file in a random order, the last share of them to test with."""
    x, y = load_npz(locate(name, path), ("x", "y"), what)
    order = np.arange(len(x[:rows]))
    np.random.RandomState(seed).shuffle(order)
    at = int(len(order) * (1 - test_split))
    train, test = order[:at], order[at:]
    return (x[train], y[train]), (x[test], y[test])
