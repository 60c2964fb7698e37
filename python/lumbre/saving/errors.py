"""What is raised when a file is not what it should be."""

from __future__ import annotations

import os
from typing import Any


class FileFormatError(ValueError):
    """A file that is not what it claims to be: the message names the file, the fault and the place.

    Args:
        path: The file.
        what: What is wrong, and where.

    Example:
        >>> print(FileFormatError("m.lumbre", "the header is cut off after 3 of 8 bytes"))
        m.lumbre: the header is cut off after 3 of 8 bytes
    """

    def __init__(self, path: Any, what: str) -> None:
        super().__init__(f"{shown(path)}: {what}")
        self.path = path
        self.what = what

    def __reduce__(self) -> Any:
        return FileFormatError, (self.path, self.what)


def shown(path: Any) -> str:
    """A path as text that can be printed, also where the file system's bytes are not UTF-8.

    Example:
        >>> shown(b"caf\\xe9.lumbre")
        'caf\\\\udce9.lumbre'
    """
    return os.fsdecode(path).encode("utf-8", "backslashreplace").decode("utf-8")
