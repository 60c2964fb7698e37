"""IMDB: film reviews, good or bad."""

from __future__ import annotations

import os

import numpy as np

from lumbre.datasets import words
from lumbre.datasets.safe import load_npz
from lumbre.datasets.source import Split, locate


def load_data(
    path: str | os.PathLike[str] = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Split, Split]:
    """25,000 film reviews to train with and 25,000 to test, as numbers of words, the most frequent first.

    `imdb.npz` is looked for in `LUMBRE_DATA`, then in Keras's cache, and else downloaded (17 MB). Its
    pickled arrays are read by a reader that knows arrays and nothing else.

    Args:
        path: Name of the file in those folders, or an absolute path.
        num_words: Words with this number or a higher one become `oov_char`.
        skip_top: Words with a number below this become `oov_char`.
        maxlen: Reviews of this length or a larger one are left out.
        seed: From which the order of reviews follows.
        start_char: The number put before each review; None for none.
        oov_char: The number of words left out; None to drop them.
        index_from: Added to all numbers of words, so that 0 is free for padding.

    Returns:
        `((x_train, y_train), (x_test, y_test))`. Reviews are an array of objects (n,), lists of whole
        numbers; labels int64 (n,), 1 for good.

    Raises:
        FileNotFoundError: The file is in none of these places and cannot be downloaded.
        ValueError: The file is another one, or `maxlen` leaves no review.

    Source:
        A. Maas et al., *Learning Word Vectors for Sentiment Analysis*, ACL 2011.
    """
    names = ("x_train", "y_train", "x_test", "y_test")
    x_train, y_train, x_test, y_test = load_npz(locate("imdb.npz", path), names, "IMDB")
    rng = np.random.RandomState(seed)
    train, y_train = words.marked(*words.shuffled(rng, x_train, y_train), start_char, index_from, maxlen)
    test, y_test = words.marked(*words.shuffled(rng, x_test, y_test), start_char, index_from, maxlen)
    words.refuse_nothing_left(train and test, maxlen)
    texts = words.limited(train + test, num_words, skip_top, oov_char)
    return (texts[: len(train)], y_train), (texts[len(train) :], y_test)


def get_word_index(path: str | os.PathLike[str] = "imdb_word_index.json") -> dict[str, int]:
    """The number of each word; with `index_from`, a review has the number plus 3.

    Raises:
        FileNotFoundError: The file is neither here nor to be downloaded.
    """
    return words.word_index("imdb_word_index.json", path)
