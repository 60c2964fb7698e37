"""MNIST, read from a file that is already on this machine."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

Split = tuple[npt.NDArray[Any], npt.NDArray[Any]]

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def load_data(path: str = "mnist.npz") -> tuple[Split, Split]:
    """MNIST's 60,000 training and 10,000 test images of handwritten digits.

    Lumbre downloads nothing. The file is looked for in the folder that the environment variable
    `LUMBRE_DATA` names, then where Keras keeps it: `datasets` in `KERAS_HOME`, or in `~/.keras`.

    Args:
        path: name of the file in those folders, or an absolute path.

    Returns:
        `((x_train, y_train), (x_test, y_test))`. Images are uint8 of shape `(n, 28, 28)` with values
        from 0 to 255, labels uint8 of shape `(n,)` from 0 to 9.

    Raises:
        FileNotFoundError: the file is in none of these places; the message lists them.
        ValueError: the file lacks one of the arrays `x_train`, `y_train`, `x_test`, `y_test`.

    Example:
        >>> from lumbre.datasets import mnist
        >>> mnist.load_data("/no/such/mnist.npz")
        Traceback (most recent call last):
        ...
        FileNotFoundError: MNIST was not found at /no/such/mnist.npz. Put Keras's mnist.npz there, or ...

    Source:
        Y. LeCun, C. Cortes, C. Burges, *The MNIST database of handwritten digits*, CC BY-SA 3.0.
    """
    with np.load(_find(path), allow_pickle=False) as data:
        missing = [name for name in _ARRAYS if name not in data]
        if missing:
            raise ValueError(
                f"{_find(path)} is not MNIST as Keras stores it: expected the arrays "
                f"{', '.join(_ARRAYS)}, and {', '.join(missing)} is missing. Received: {data.files}"
            )
        x_train, y_train, x_test, y_test = (data[name] for name in _ARRAYS)
    return (x_train, y_train), (x_test, y_test)


def _find(path: str) -> str:
    """The first of the places where the file may lie and does."""
    keras = os.environ.get("KERAS_HOME") or os.path.expanduser(os.path.join("~", ".keras"))
    folders = [os.environ.get("LUMBRE_DATA"), os.path.join(keras, "datasets")]
    candidates = list(dict.fromkeys(os.path.join(folder, path) for folder in folders if folder))
    for candidate in candidates:
        if os.path.isfile(candidate):
            return candidate
    raise FileNotFoundError(
        f"MNIST was not found at {' or '.join(candidates)}. Put Keras's mnist.npz there, or "
        f"set the environment variable LUMBRE_DATA to the folder that has it. "
        f"`lumbre.datasets.digits` needs no file."
    )
