"""What IMDB and Reuters have in common: texts as numbers of words."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from lumbre.datasets.source import locate


def shuffled(
    rng: np.random.RandomState, texts: npt.NDArray[Any], labels: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Texts and labels in a random order."""
    order = np.arange(len(texts))
    rng.shuffle(order)
    return texts[order], labels[order]


def marked(
    texts: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    start_char: int | None,
    index_from: int,
    maxlen: int | None,
) -> tuple[list[list[int]], npt.NDArray[Any]]:
    """Texts with shifted numbers and a mark at the start, those of `maxlen` words or more left out."""
    start = [] if start_char is None else [start_char]
    shift = index_from or 0
    kept = [i for i, text in enumerate(texts) if not maxlen or len(text) + len(start) < maxlen]
    return [[*start, *(word + shift for word in texts[i])] for i in kept], labels[kept]


def limited(
    texts: list[list[int]], num_words: int | None, skip_top: int, oov_char: int | None
) -> npt.NDArray[np.object_]:
    """Texts with the words below `skip_top` and from `num_words` on replaced, or left out without `oov_char`.

    Without `num_words`, the limit is the largest number, which is itself outside, as in Keras.

    Returns:
        An array (n,) of lists.
    """
    top = num_words or max(map(max, filter(None, texts)), default=0)
    held = np.empty(len(texts), object)
    for i, text in enumerate(texts):
        if oov_char is None:
            held[i] = [word for word in text if skip_top <= word < top]
        else:
            held[i] = [word if skip_top <= word < top else oov_char for word in text]
    return held


def refuse_nothing_left(texts: list[list[int]], maxlen: int | None) -> None:
    """Raises ValueError if `maxlen` left no text."""
    if not texts:
        raise ValueError(
            f"After filtering for sequences shorter than maxlen={maxlen}, no sequence was kept. Increase "
            "maxlen."
        )


def word_index(name: str, path: str | os.PathLike[str]) -> dict[str, int]:
    """The number of each word, from a JSON file."""
    with open(locate(name, path), encoding="utf-8") as file:
        index: dict[str, int] = json.load(file)
    return index
