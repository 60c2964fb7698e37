"""The hash of a tensor: of the hashes of its chunks, so that several can be computed at a time.

`digest(bytes) = H(H(chunk 0) ‖ H(chunk 1) ‖ …)` with chunks of 1 MiB, the last one shorter, and H the 16
bytes of XXH3-128 (https://github.com/Cyan4973/xxHash), big endian, which is as fast as memory. It finds
damage. It is no protection against forgery: whoever writes a file writes the hashes, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lumbre import _core

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

CHUNK = 1 << 20
HEX = 32
"""How long a digest is in the header of a file."""

one = _core.hash128
"""The hash of one piece of memory."""


def joined(chunks: Iterable[bytes]) -> str:
    """The digest of the chunks' hashes, in hexadecimal."""
    return one(b"".join(chunks)).hex()


def digest(data: Any) -> str:
    """The digest of memory, in hexadecimal.

    Example:
        >>> len(digest(b"")), digest(b"a") == digest(b"b")
        (32, False)
    """
    view = memoryview(data).cast("B")
    return joined(one(view[i : i + CHUNK]) for i in range(0, len(view), CHUNK))


def workers() -> int:
    """How many threads hash: as many as there are cores for us, at most 4, which is what memory can feed."""
    affinity = getattr(os, "sched_getaffinity", None)
    return min(4, len(affinity(0)) if affinity else os.cpu_count() or 1)


def pool() -> ThreadPoolExecutor:
    """Threads to read and hash in, for the time of one file."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(workers(), thread_name_prefix="lumbre-files")
