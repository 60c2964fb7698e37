"""Boston Housing: prices of houses in 506 districts of 1978."""

from __future__ import annotations

import os

from lumbre.datasets.housing import check_share, read_split
from lumbre.datasets.source import Split


def load_data(
    path: str | os.PathLike[str] = "boston_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[Split, Split]:
    """506 districts of Boston with 13 features each, and the median price of a house in thousands of dollars.

    One of the features is made from the share of Black residents, with an assumption that their presence
    lowers prices. Use the data to show such things, and `california_housing` for all else.

    `boston_housing.npz` is looked for in `LUMBRE_DATA`, then in Keras's cache, and else downloaded (57 kB).

    Args:
        path: Name of the file in those folders, or an absolute path.
        test_split: The share of rows to test with.
        seed: From which the order of rows follows.

    Returns:
        `((x_train, y_train), (x_test, y_test))`: float64 `(n, 13)` and `(n,)`.

    Raises:
        FileNotFoundError: The file is in none of these places and cannot be downloaded.
        ValueError: `test_split` is no share, or the file is another one.

    Source:
        D. Harrison, D. Rubinfeld, *Hedonic housing prices and the demand for clean air*, 1978.
    """
    check_share(test_split)
    return read_split("boston_housing.npz", path, "Boston Housing", test_split, seed)
