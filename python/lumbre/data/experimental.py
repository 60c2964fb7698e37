"""Names under which older scripts look for what is in `lumbre.data`."""

from __future__ import annotations

from typing import Any

from lumbre.data.dataset import AUTOTUNE, Dataset
from lumbre.data.stages import INFINITE as INFINITE_CARDINALITY
from lumbre.data.stages import UNKNOWN as UNKNOWN_CARDINALITY

__all__ = ["AUTOTUNE", "INFINITE_CARDINALITY", "UNKNOWN_CARDINALITY", "cardinality"]


def cardinality(dataset: Dataset) -> Any:
    """`dataset.cardinality()`.

    Example:
        >>> from lumbre.data import Dataset, experimental
        >>> int(experimental.cardinality(Dataset.range(5).batch(2)))
        3
    """
    return dataset.cardinality()
