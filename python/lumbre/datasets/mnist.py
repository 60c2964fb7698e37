"""MNIST: handwritten digits."""

from __future__ import annotations

import os

from lumbre.datasets.safe import load_npz
from lumbre.datasets.source import Split, locate


def load_data(path: str | os.PathLike[str] = "mnist.npz") -> tuple[Split, Split]:
    """MNIST's 60,000 training and 10,000 test images of handwritten digits.

    The file is looked for in the folder that the environment variable `LUMBRE_DATA` names, then in Keras's
    cache (`datasets` in `KERAS_HOME`, or in `~/.keras`), and else downloaded (11 MB) into that cache.

    Args:
        path: Name of the file in those folders, or an absolute path.

    Returns:
        `((x_train, y_train), (x_test, y_test))`. Images are uint8 of shape `(n, 28, 28)` with values
        from 0 to 255, labels uint8 of shape `(n,)` from 0 to 9.

    Raises:
        FileNotFoundError: The file is in none of these places and cannot be downloaded; the message has
            them and the URL.
        ValueError: The file is another one.

    Example:
        >>> from lumbre.datasets import mnist
        >>> mnist.load_data("/no/such/mnist.npz")
        Traceback (most recent call last):
        ...
        FileNotFoundError: mnist.npz was not found at /no/such/mnist.npz. It is published at https://...

    Source:
        Y. LeCun, C. Cortes, C. Burges, *The MNIST database of handwritten digits*, CC BY-SA 3.0.
    """
    file = locate("mnist.npz", path)
    x_train, y_train, x_test, y_test = load_npz(file, ("x_train", "y_train", "x_test", "y_test"), "MNIST")
    return (x_train, y_train), (x_test, y_test)
