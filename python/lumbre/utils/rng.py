"""One seed for every source of random numbers."""

from __future__ import annotations

import random as python_random

import numpy as np


def set_random_seed(seed: int) -> None:
    """Makes a program repeatable: seeds Python's `random`, NumPy and lumbre's own generators.

    Initial weights, dropout and the order in which `fit` shuffles follow from it, whatever the
    number of threads.

    Args:
        seed: A whole number from 0 to 2**32 - 1.

    Raises:
        ValueError: `seed` is not such a number.

    Source: `keras.utils.set_random_seed`.

    Example:
        >>> import lumbre
        >>> lumbre.utils.set_random_seed(7)
    """
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ValueError(
            f"Expected `seed` argument to be an integer. Received: seed={seed} (of type {type(seed)})"
        )
    if not 0 <= seed < 2**32:
        raise ValueError(f"Expected `seed` to be from 0 to 2**32 - 1. Received: seed={seed}")
    from lumbre import random  # it stands above utils

    python_random.seed(seed)
    np.random.seed(seed)
    random.set_seed(seed)
