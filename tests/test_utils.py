"""Seeds and labels."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import layers


@pytest.fixture(scope="module")
def keras() -> Any:
    return pytest.importorskip("keras")


def test_set_random_seed() -> None:
    def draw() -> list[Any]:
        lumbre.utils.set_random_seed(11)
        weights = layers.Dense(3)
        weights.build((None, 4))
        return [random.random(), np.random.rand(), weights.get_weights()[0].tolist()]

    assert draw() == draw()
    with pytest.raises(ValueError, match="Expected `seed` argument to be an integer"):
        lumbre.utils.set_random_seed(1.5)
    with pytest.raises(ValueError, match=r"from 0 to 2\*\*32 - 1"):
        lumbre.utils.set_random_seed(-1)


@pytest.mark.parametrize(
    "value", [[0, 2, 1], [[0], [2], [1]], [[0, 2], [1, 1]], np.array([1, 0], "uint8"), 2]
)
@pytest.mark.parametrize("classes", [None, 4])
def test_to_categorical_like_keras(keras: Any, value: Any, classes: int | None) -> None:
    ours = lumbre.utils.to_categorical(value, classes)
    theirs = keras.utils.to_categorical(value, classes)
    np.testing.assert_array_equal(ours, theirs)
    assert ours.dtype == theirs.dtype


def test_to_categorical_refuses() -> None:
    with pytest.raises(ValueError, match=r"classes are 0 to 2, x\[1\] is 3"):
        lumbre.utils.to_categorical([0, 3], 3)
    with pytest.raises(ValueError, match="num_classes must be given"):
        lumbre.utils.to_categorical([])
