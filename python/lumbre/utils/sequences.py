"""Sequences of different lengths as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_ENDS = ("pre", "post")


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Cuts and fills up sequences to one length.

    Args:
        sequences: Lists or arrays of numbers, (t,), or of vectors, (t, ...).
        maxlen: The length, by default that of the longest.
        dtype: Of the result; `object` for text of different lengths.
        padding: At which end to fill up, "pre" or "post".
        truncating: At which end to cut off, "pre" or "post".
        value: What they are filled up with.

    Returns:
        An array (n, maxlen, ...).

    Raises:
        ValueError: A sequence is none or has members of another shape than the others, an option is
            unknown, or `value` is text and `dtype` is not.

    Source: `keras.utils.pad_sequences`.

    Example:
        >>> import lumbre
        >>> lumbre.utils.pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2)
        array([[0, 1],
               [2, 3],
               [5, 6]], dtype=int32)
    """
    if not hasattr(sequences, "__len__"):
        raise ValueError(f"`sequences` must be iterable. Received: {sequences!r}")
    if truncating not in _ENDS:
        raise ValueError(f'Truncating type "{truncating}" not understood: it is "pre" or "post"')
    if padding not in _ENDS:
        raise ValueError(f'Padding type "{padding}" not understood: it is "pre" or "post"')
    is_text = np.issubdtype(dtype, np.str_) or np.issubdtype(dtype, np.bytes_)
    if isinstance(value, str) and np.dtype(dtype) != object and not is_text:
        raise ValueError(
            f"`dtype` {dtype} is not compatible with `value`'s type: {type(value)}\nYou should set "
            "`dtype=object` for variable length strings."
        )
    lengths = [_length(sequence) for sequence in sequences]
    if maxlen is None:
        maxlen = max(lengths, default=0)
    first = next((s for s, n in zip(sequences, lengths, strict=True) if n), ())
    shape = np.shape(first)[1:]
    padded = np.full((len(lengths), maxlen, *shape), value, dtype)
    for i, (sequence, length) in enumerate(zip(sequences, lengths, strict=True)):
        kept = min(length, maxlen)
        if not kept:
            continue
        part = np.asarray(sequence[length - kept :] if truncating == "pre" else sequence[:kept], dtype)
        if part.shape[1:] != shape:
            raise ValueError(
                f"Shape of sample {part.shape[1:]} of sequence at position {i} is different from expected "
                f"shape {shape}"
            )
        if padding == "pre":
            padded[i, maxlen - kept :] = part
        else:
            padded[i, :kept] = part
    return padded


def _length(sequence: Any) -> int:
    try:
        return len(sequence)
    except TypeError:
        raise ValueError(f"`sequences` must be a list of iterables. Found non-iterable: {sequence}") from None
