"""The bytes of an HDF5 file, and the two forms that everything in it is kept in: headers and trees."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

from lumbre.saving.errors import FileFormatError

MAX_METADATA = 2**28
MAX_READS = 4_000_000

_CONTINUATION = 0x10


class Source:
    """The bytes of a file, or of a part of it, read with every place checked.

    Args:
        file: The file, open for reading.
        path: Its path, for errors.
        start: Where the part begins.
        size: How long it is; by default up to the file's end.
        member: What errors call the part.
    """

    def __init__(
        self, file: BinaryIO, path: Any, start: int = 0, size: int | None = None, member: str = ""
    ) -> None:
        self.file = file
        self.path = path
        self.start = start
        self.size = file.seek(0, os.SEEK_END) - start if size is None else size
        self.member = f"{member}: " if member else ""
        self._metadata = self._reads = 0

    def error(self, what: str) -> FileFormatError:
        return FileFormatError(self.path, f"{self.member}{what}")

    def read(self, at: int, count: int, what: str) -> bytes:
        """Bytes that describe something; all together they may not be more than 256 MiB."""
        self.charge(count)
        return self.data(at, count, what)

    def charge(self, count: int) -> None:
        """Counts what is read and made: a small file can name one place again and again."""
        self._metadata += count
        self._reads += 1
        if self._metadata > MAX_METADATA or self._reads > MAX_READS:
            raise self.error("the descriptions of groups and data sets take more than 256 MiB")

    def data(self, at: int, count: int, what: str) -> bytes:
        """Bytes from a place on."""
        self.check(at, count, what)
        data = bytearray(count)
        self.fill(memoryview(data), at, what)
        return bytes(data)

    def fill(self, into: memoryview, at: int, what: str) -> None:
        """Reads bytes into memory, from a place on."""
        self.check(at, len(into), what)
        self.file.seek(self.start + at)
        while len(into):
            count = self.file.readinto(into)  # type: ignore[attr-defined]
            if not count:
                raise self.error(f"the file ends within {what}")
            into = into[count:]

    def check(self, at: int, count: int, what: str) -> None:
        """Refuses a place that is not within the file."""
        if at < 0 or count < 0 or at + count > self.size:
            raise self.error(
                f"{what} should be {count:,} bytes at byte {at:,}, but there are only {self.size:,} bytes"
            )

    def fields(self, at: int, count: int, what: str) -> Fields:
        return Fields(self, self.read(at, count, what), at, what)


class Fields:
    """Bytes read from left to right as little-endian numbers."""

    def __init__(self, source: Source, data: bytes, at: int, what: str) -> None:
        self.source, self.data, self.at, self.what = source, data, at, what
        self.position = 0

    def take(self, count: int) -> bytes:
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise self.error(f"ends after {len(self.data)} bytes, {end - len(self.data)} too early")
        data, self.position = self.data[self.position : end], end
        return data

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def numbers(self, size: int, count: int) -> list[int]:
        return [self.number(size) for _ in range(count)]

    def expect(self, signature: bytes) -> None:
        found = self.take(len(signature))
        if found != signature:
            raise self.error(f"should begin with {signature!r}, not {found!r}")

    def part(self, count: int, what: str) -> Fields:
        at = self.at + self.position
        return Fields(self.source, self.take(count), at, what)

    @property
    def left(self) -> int:
        return len(self.data) - self.position

    def error(self, what: str) -> FileFormatError:
        return self.source.error(f"{self.what} at byte {self.at:,} {what}")


def messages(source: Source, address: int, what: str) -> Iterator[tuple[int, bool, Fields]]:
    """Kind, whether it is shared, and content of each message of an object header."""
    new = source.read(address, 4, what) == b"OHDR"
    start, size, ordered = _new_header(source, address, what) if new else _old_header(source, address, what)
    blocks, seen = [(start, size)], {start}
    for at, count in blocks:  # grows while it is gone through
        fields = source.fields(at, count, what)
        if new and at != start:
            fields.expect(b"OCHK")
        tail, head = (4, 4 + 2 * ordered) if new else (0, 8)
        while fields.left >= tail + head:
            kind = fields.number(1 if new else 2)
            length, flags = fields.number(2), fields.number(1)
            fields.take(2 * ordered if new else 3)
            body = fields.part(length, what)
            if kind == _CONTINUATION:
                block = (body.number(8), body.number(8))
                if block[0] in seen:
                    raise fields.error("continues where it has been already")
                seen.add(block[0])
                blocks.append(block)
            elif kind:
                yield kind, bool(flags & 2), body


def _old_header(source: Source, address: int, what: str) -> tuple[int, int, bool]:
    fields = source.fields(address, 12, what)
    version = fields.number(1)
    if version != 1:
        raise fields.error(f"should have version 1, not {version}")
    fields.take(7)
    return address + 16, fields.number(4), False


def _new_header(source: Source, address: int, what: str) -> tuple[int, int, bool]:
    fields = source.fields(address, min(34, source.size - address), what)
    fields.expect(b"OHDR\x02")
    flags = fields.number(1)
    fields.take((16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0))
    size = fields.number(1 << (flags & 3))
    return address + fields.position, size + 4, bool(flags & 4)  # with the checksum


def leaves(source: Source, root: int, kind: int, key: int, what: str) -> Iterator[tuple[bytes, int]]:
    """Keys and places of the entries in the leaves of a tree of version 1, from left to right."""
    seen = {root}

    def visit(at: int, above: int | None) -> Iterator[tuple[bytes, int]]:
        fields = source.fields(at, 24, what)
        fields.expect(b"TREE" + bytes([kind]))
        level, count = fields.number(1), fields.number(2)
        if level > 16 or (above is not None and level != above - 1):
            raise fields.error(f"has level {level} below level {above}")
        entries = source.fields(at + 24, count * (key + 8), what)
        for _ in range(count):
            name, place = entries.take(key), entries.number(8)
            if level == 0:
                yield name, place
                continue
            if place in seen:
                raise fields.error("leads back to itself")
            seen.add(place)
            yield from visit(place, level)

    return visit(root, None)
