"""ZIP archives, read without trusting them and without extracting anything."""

from __future__ import annotations

import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from lumbre.saving.errors import FileFormatError
from lumbre.saving.h5 import Source

MAX_MEMBERS = 10_000
MAX_EXPANDED = 100
"""By how much a member may be larger than what is stored of it, where it is more than 64 MiB."""

_FREE = 2**26
_PIECE = 2**20
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    NotImplementedError,
    struct.error,
    ValueError,
    EOFError,
    IndexError,
    OverflowError,
)


class Archive:
    """The members of a ZIP archive, plain or deflated.

    Args:
        path: The file.

    Raises:
        FileFormatError: It is not an archive, or its list of members is not sound.
        OSError: It cannot be read.
    """

    def __init__(self, path: Any) -> None:
        self.path = path
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed by `close`
        self._scratch: list[BinaryIO] = []
        try:
            self.size = self._file.seek(0, os.SEEK_END)
            self.members = self._read_members()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        for file in (self._file, *self._scratch):
            file.close()

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def error(self, what: str) -> FileFormatError:
        return FileFormatError(self.path, what)

    def _read_members(self) -> dict[str, zipfile.ZipInfo]:
        try:
            with zipfile.ZipFile(self._file) as archive:
                infos = archive.infolist()
        except _ZIP_ERRORS as error:
            raise self.error(
                f"not a `.keras` file: it is no ZIP archive, or cut off ({error}; {self.size:,} bytes)"
            ) from None
        if len(infos) > MAX_MEMBERS:
            raise self.error(
                f"the archive has {len(infos):,} members, and more than {MAX_MEMBERS:,} are refused"
            )
        members: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            name = info.orig_filename
            if name in members:
                raise self.error(f"the archive has the member {name[:80]!r} twice")
            parts = name.replace("\\", "/").split("/")
            if ".." in parts or parts[0] == "" or ":" in parts[0] or "\0" in name:
                raise self.error(f"the archive's member {name[:80]!r} leads out of it")
            members[name] = info
        return members

    def _place(self, name: str) -> tuple[zipfile.ZipInfo, int]:
        """A member, and where its bytes begin."""
        if name not in self.members:
            raise self.error(f"the archive has no {name}, but {sorted(self.members)[:20]}")
        info = self.members[name]
        if info.flag_bits & 1:
            raise self.error(f"{name} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self.error(
                f"{name} is compressed by the method {info.compress_type}, and only deflate is read"
            )
        head = self._bytes(info.header_offset, 30, f"the header of {name}")
        if head[:4] != b"PK\x03\x04":
            raise self.error(f"the header of {name} at byte {info.header_offset:,} is not one")
        length, extra = struct.unpack("<2H", head[26:])
        own = self._bytes(info.header_offset + 30, length, f"the header of {name}")
        if own != name.encode("utf-8", "replace"):
            raise self.error(f"the header of {name} at byte {info.header_offset:,} calls it {own[:80]!r}")
        at = info.header_offset + 30 + length + extra
        if at + info.compress_size > self.size:
            raise self.error(
                f"{name} should have {info.compress_size:,} bytes at byte {at:,}, behind the file's end"
            )
        stored = info.compress_type == zipfile.ZIP_STORED
        if stored and info.file_size != info.compress_size:
            raise self.error(f"{name} has two sizes, {info.file_size:,} and {info.compress_size:,} bytes")
        if info.file_size > max(_FREE, MAX_EXPANDED * info.compress_size):
            raise self.error(
                f"{name} would expand from {info.compress_size:,} to {info.file_size:,} bytes, and more than "
                f"{MAX_EXPANDED} times is refused"
            )
        return info, at

    def _bytes(self, at: int, count: int, what: str) -> bytes:
        self._file.seek(max(at, 0))
        data = self._file.read(count) if 0 <= at <= self.size else b""
        if len(data) != count:
            raise self.error(f"{what} should be {count} bytes at byte {at:,}, behind the file's end")
        return data

    def _pieces(self, name: str) -> Iterator[bytes]:
        """A member's bytes in pieces, which at the end have the right length and checksum."""
        info, at = self._place(name)
        inflate = None if info.compress_type == zipfile.ZIP_STORED else zlib.decompressobj(-15)
        checksum = count = 0
        left, waiting = info.compress_size, b""
        while left or waiting:
            if not waiting:
                waiting = self._bytes(at, min(left, _PIECE), name)
                at, left = at + len(waiting), left - len(waiting)
            if inflate is None:
                piece, waiting = waiting, b""
            else:
                try:
                    piece = inflate.decompress(waiting, _PIECE)
                except zlib.error as error:
                    raise self.error(f"{name} does not decompress: {error}") from None
                waiting = b"" if inflate.eof else inflate.unconsumed_tail
            checksum, count = zlib.crc32(piece, checksum), count + len(piece)
            if count > info.file_size:
                break
            yield piece
        if inflate is not None and count < info.file_size:
            piece = inflate.flush()
            checksum, count = zlib.crc32(piece, checksum), count + len(piece)
            yield piece
        if count != info.file_size:
            raise self.error(
                f"{name} has not {info.file_size:,} bytes, as the archive's list says, but {count:,}"
            )
        if checksum != info.CRC:
            raise self.error(f"{name} is damaged: its checksum is not the one in the archive's list")

    def read(self, name: str, most: int) -> bytes:
        """A member as bytes.

        Raises:
            FileFormatError: It is not there, damaged, or has more bytes than that.
        """
        info, _ = self._place(name)
        if info.file_size > most:
            raise self.error(f"{name} has {info.file_size:,} bytes, and more than {most:,} are refused")
        return b"".join(self._pieces(name))

    def source(self, name: str) -> Source:
        """A member to be read from place to place, its checksum verified; it goes with the archive.

        One that is plain is read where it lies; one that is deflated goes into a file without a name first.

        Raises:
            FileFormatError: It is not there or damaged.
        """
        info, at = self._place(name)
        if info.compress_type == zipfile.ZIP_STORED:
            for _ in self._pieces(name):
                pass
            return Source(self._file, self.path, at, info.file_size, name)
        file: BinaryIO = tempfile.SpooledTemporaryFile(_FREE)  # type: ignore[assignment]  # noqa: SIM115
        self._scratch.append(file)
        for piece in self._pieces(name):
            file.write(piece)
        return Source(file, self.path, 0, info.file_size, name)
