"""CIFAR-100: small colour images of a hundred kinds of things."""

from __future__ import annotations

import numpy as np

from lumbre.datasets.cifar import column, read_batches
from lumbre.datasets.source import Split


def load_data(label_mode: str = "fine") -> tuple[Split, Split]:
    """CIFAR-100's 50,000 training and 10,000 test images.

    `cifar-100-python.tar.gz` is looked for in `LUMBRE_DATA`, then in Keras's cache, and else downloaded
    (169 MB). Its pickles are read by a reader that knows arrays and nothing else.

    Args:
        label_mode: "fine" for the 100 classes, "coarse" for the 20 that they belong to.

    Returns:
        `((x_train, y_train), (x_test, y_test))`. Images are uint8 of shape `(n, 32, 32, 3)` (or
        `(n, 3, 32, 32)`, where `config.image_data_format()` says so), labels int64 of shape `(n, 1)`.

    Raises:
        FileNotFoundError: The file is in none of these places and cannot be downloaded.
        ValueError: `label_mode` is unknown, or the file is another one.

    Source:
        A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009.
    """
    if label_mode not in ("fine", "coarse"):
        raise ValueError(
            f'`label_mode` must be one of `"fine"`, `"coarse"`. Received: label_mode={label_mode}.'
        )
    names = ["cifar-100-python/train", "cifar-100-python/test"]
    train, test = read_batches("cifar-100-python.tar.gz", names, f"{label_mode}_labels")
    return (train[0], column(train[1], np.int64)), (test[0], column(test[1], np.int64))
