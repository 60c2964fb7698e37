"""California Housing: prices of houses in 20,640 districts of 1990."""

from __future__ import annotations

import os

from lumbre.datasets.housing import check_share, read_split
from lumbre.datasets.source import Split

_ROWS = {"small": 600, "large": None}


def load_data(
    version: str = "large",
    path: str | os.PathLike[str] = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
) -> tuple[Split, Split]:
    """20,640 districts of California with 8 features each, and the median price of a house in dollars.

    The features: median income, median age of houses, rooms and bedrooms per household, population, persons
    per household, latitude, longitude.

    `california_housing.npz` is looked for in `LUMBRE_DATA`, then in Keras's cache, and else downloaded.

    Args:
        version: "large", or "small" for the first 600 districts.
        path: Name of the file in those folders, or an absolute path.
        test_split: The share of rows to test with.
        seed: From which the order of rows follows.

    Returns:
        `((x_train, y_train), (x_test, y_test))`: float32 `(n, 8)` and `(n,)`.

    Raises:
        FileNotFoundError: The file is in none of these places and cannot be downloaded.
        ValueError: `test_split` is no share, `version` is unknown, or the file is another one.

    Source:
        R. K. Pace, R. Barry, *Sparse spatial autoregressions*, 1997.
    """
    check_share(test_split)
    if version not in _ROWS:
        raise ValueError(f"Argument `version` must be one of 'small', 'large'. Received: version={version}")
    return read_split("california_housing.npz", path, "California Housing", test_split, seed, _ROWS[version])
