"""CIFAR-10: small colour images of ten kinds of things."""

from __future__ import annotations

import numpy as np

from lumbre.datasets.cifar import column, read_batches
from lumbre.datasets.source import Split


def load_data() -> tuple[Split, Split]:
    """CIFAR-10's 50,000 training and 10,000 test images.

    0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck.

    `cifar-10-python.tar.gz` is looked for in `LUMBRE_DATA`, then in Keras's cache, and else downloaded
    (170 MB). Its pickles are read by a reader that knows arrays and nothing else.

    Returns:
        `((x_train, y_train), (x_test, y_test))`. Images are uint8 of shape `(n, 32, 32, 3)` (or
        `(n, 3, 32, 32)`, where `config.image_data_format()` says so), labels uint8 of shape `(n, 1)`.

    Raises:
        FileNotFoundError: The file is in none of these places and cannot be downloaded.
        ValueError: The file is another one.

    Source:
        A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009.
    """
    names = [
        f"cifar-10-batches-py/{name}" for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
    ]
    batches = read_batches("cifar-10-python.tar.gz", names, "labels")
    x = np.concatenate([images for images, _ in batches[:5]])
    y = np.concatenate([labels for _, labels in batches[:5]])
    x_test, y_test = batches[5]
    return (x, column(y, np.uint8)), (x_test, column(y_test, np.uint8))
