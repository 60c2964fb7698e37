"""Reuters: newswires and their topics."""

from __future__ import annotations

import os

import numpy as np

from lumbre.datasets import words
from lumbre.datasets.safe import load_npz
from lumbre.datasets.source import Split, locate

_TOPICS = """
cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton carcass
crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail ipi
iron-steel rubber heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead
"""


def load_data(
    path: str | os.PathLike[str] = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Split, Split]:
    """11,228 newswires of 46 topics, as numbers of words, the most frequent first.

    `reuters.npz` is looked for in `LUMBRE_DATA`, then in Keras's cache, and else downloaded (2 MB). Its
    pickled arrays are read by a reader that knows arrays and nothing else.

    Args:
        path: Name of the file in those folders, or an absolute path.
        num_words: Words with this number or a higher one become `oov_char`.
        skip_top: Words with a number below this become `oov_char`.
        maxlen: Newswires of this length or a larger one are left out.
        test_split: The share of newswires, at the end, to test with.
        seed: From which their order follows.
        start_char: The number put before each; None for none.
        oov_char: The number of words left out; None to drop them.
        index_from: Added to all numbers of words, so that 0 is free for padding.

    Returns:
        `((x_train, y_train), (x_test, y_test))`. Newswires are an array of objects (n,), lists of whole
        numbers; labels int64 (n,), from 0 to 45.

    Raises:
        FileNotFoundError: The file is in none of these places and cannot be downloaded.
        ValueError: The file is another one, or `maxlen` leaves no newswire.

    Source:
        Reuters-21578, Distribution 1.0, D. Lewis.
    """
    x, y = load_npz(locate("reuters.npz", path), ("x", "y"), "Reuters")
    rng = np.random.RandomState(seed)
    texts, y = words.marked(*words.shuffled(rng, x, y), start_char, index_from, maxlen)
    words.refuse_nothing_left(texts, maxlen)
    held = words.limited(texts, num_words, skip_top, oov_char)
    at = int(len(held) * (1 - test_split))
    return (held[:at], y[:at]), (held[at:], y[at:])


def get_word_index(path: str | os.PathLike[str] = "reuters_word_index.json") -> dict[str, int]:
    """The number of each word; with `index_from`, a newswire has the number plus 3.

    Raises:
        FileNotFoundError: The file is neither here nor to be downloaded.
    """
    return words.word_index("reuters_word_index.json", path)


def get_label_names() -> tuple[str, ...]:
    """The topic of each label.

    Example:
        >>> from lumbre.datasets import reuters
        >>> reuters.get_label_names()[:3]
        ('cocoa', 'grain', 'veg-oil')
    """
    return tuple(_TOPICS.split())
