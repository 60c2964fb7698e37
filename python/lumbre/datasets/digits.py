"""Handwritten digits, 8 by 8 pixels, in the package: the smallest real thing to train on."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from lumbre.datasets.source import Split

_FOLD = 5


def load_data() -> tuple[Split, Split]:
    """The 1,797 handwritten digits of UCI, the same fifth of them always held out.

    Nothing is downloaded. Of every class, in the order of the source, the third of each five images
    belongs to the test part: 1,438 images train and 359 test, with the classes in equal proportion.

    Returns:
        `((x_train, y_train), (x_test, y_test))`. Images are uint8 of shape `(n, 8, 8)` with values
        from 0 to **16** (divide by 16 to scale them), labels uint8 of shape `(n,)` from 0 to 9.

    Example:
        >>> from lumbre.datasets import digits
        >>> (x_train, y_train), (x_test, y_test) = digits.load_data()
        >>> x_train.shape, x_test.shape, y_test.dtype.name
        ((1438, 8, 8), (359, 8, 8), 'uint8')

    Source:
        E. Alpaydin, C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning
        Repository, 1998, doi:10.24432/C50P49, CC BY 4.0: the test set, in the order of
        scikit-learn's `load_digits`.
    """
    # Not importlib.resources: it imports tempfile, pathlib and urllib, 30 ms with every `import lumbre`.
    with np.load(os.path.join(os.path.dirname(__file__), "digits.npz")) as data:
        images, labels = data["images"], data["labels"]
    held_out = _rank_in_class(labels) % _FOLD == _FOLD // 2  # (n,) bool
    kept = ~held_out
    return (images[kept], labels[kept]), (images[held_out], labels[held_out])


def _rank_in_class(labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """For each label, how many equal ones stand before it.

    The source lists digits as people wrote them, often 0 to 9 in turn, so holding out every fifth
    image would hold out two of the ten digits; counting within a class cannot.
    """
    order = np.argsort(labels, kind="stable")  # class by class, each in its original order
    starts = np.searchsorted(labels[order], labels[order])
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels)) - starts
    return rank
