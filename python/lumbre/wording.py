"""Values in messages: in few words, whoever they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def short(value: Any, most: int = 100) -> str:
    """A value as part of a message, cut where it is long.

    Example:
        >>> short("a" * 50, 20)
        "'aaaaaaaaaaaaaaaa..."
    """
    try:
        text = repr(value)
    except ValueError:  # Python writes no numbers of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= most else f"{text[: most - 3]}..."


def listed(names: Sequence[str], most: int = 8) -> str:
    """The first few names, and how many more there are.

    Example:
        >>> listed(["a", "b", "c"], 2)
        'a, b and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
