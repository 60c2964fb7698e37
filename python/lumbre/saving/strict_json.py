"""JSON from a stranger: parsed only if it is what JSON should be, and not out of proportion."""

from __future__ import annotations

import json
import re
from typing import Any

from lumbre.saving.errors import FileFormatError

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
MAX_DEPTH = 200
MAX_CONTAINERS = 1_000_000


def parse(data: bytes, path: Any, what: str, finite: bool = False) -> Any:
    """The value of a JSON text.

    Args:
        data: The text, in UTF-8.
        path: The file that it comes from, for errors.
        what: What it is called in errors.
        finite: Whether NaN and Infinity are refused, which JSON does not have and Python writes.

    Raises:
        FileFormatError: It is not JSON, has a key twice in an object, or lists and objects are nested more
            than 200 deep, or are more than a million.
    """
    check_nesting(data, path, what)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in pairs:
            if key in made:
                raise FileFormatError(path, f"{what}: the key {key!r} stands twice in one object")
            made[key] = value
        return made

    def constant(name: str) -> float:
        if finite:
            raise FileFormatError(path, f"{what}: the number {name} is not JSON")
        return float(name.replace("Infinity", "inf"))

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=constant)
    except FileFormatError:
        raise
    except UnicodeDecodeError as error:
        raise FileFormatError(path, f"{what} is not UTF-8, at byte {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, f"{what} is not valid JSON: {error}") from None


def check_nesting(data: bytes, path: Any, what: str) -> None:
    """Refuses JSON whose lists and objects are too deep or too many, before anything is made of it."""
    depth = containers = 0
    for token in _TOKENS.finditer(data):
        first = data[token.start()]
        if first in b"[{":
            depth += 1
            containers += 1
            if depth > MAX_DEPTH:
                raise FileFormatError(
                    path,
                    f"{what}: lists and objects are nested more than {MAX_DEPTH} deep, at byte "
                    f"{token.start()}",
                )
            if containers > MAX_CONTAINERS:
                raise FileFormatError(path, f"{what}: more than {MAX_CONTAINERS:,} lists and objects")
        elif first in b"]}":
            depth -= 1
