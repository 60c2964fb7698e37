"""Unpacking archives that strangers made: ordinary files and folders, below one folder, nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

_FORMATS = ("tar", "zip")


class _Member(NamedTuple):
    """A file or folder of an archive."""

    name: str
    is_folder: bool
    refused: str | None  # what it is, if it is neither
    open: Callable[[], IO[bytes]]


def extract_archive(path: str, folder: str, archive_format: str | Sequence[str] | None = "auto") -> bool:
    """Unpacks a tar (also compressed) or zip archive into a folder.

    All members are looked at before the first is written. Of their modes and owners nothing is kept.

    Args:
        path: The archive.
        folder: Where to; it is made if it is not there, and files in it are overwritten.
        archive_format: "tar", "zip", both in a list or as "auto", or None for neither.

    Returns:
        Whether it was an archive of such a format.

    Raises:
        ValueError: A member would be written outside the folder, or is a link or a device; or the format
            is unknown.
        OSError: A file cannot be written, or the archive is damaged.
    """
    formats = _FORMATS if archive_format == "auto" else archive_format or ()
    for name in (formats,) if isinstance(formats, str) else formats:
        if name not in _FORMATS:
            raise ValueError(
                f"`archive_format` must be 'auto', 'tar', 'zip' or None. Received: {archive_format!r}"
            )
        with _members(path, name) as members:
            if members is not None:
                _extract(members, path, folder)
                return True
    return False


@contextmanager
def _members(path: str, archive_format: str) -> Iterator[list[_Member] | None]:
    """What an archive has; None if it is of another format."""
    import tarfile  # with their compressors, 20 ms that only an archive is worth
    import zipfile

    damaged: tuple[type[Exception], ...] = (tarfile.TarError, zipfile.BadZipFile, EOFError, RuntimeError)
    damaged += _decompression_errors()
    try:
        if archive_format == "tar" and tarfile.is_tarfile(path):
            with tarfile.open(path) as tar:
                yield [_tar_member(tar, info) for info in tar.getmembers()]
        elif archive_format == "zip" and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield [_zip_member(archive, info) for info in archive.infolist()]
        else:
            yield None
    except damaged as error:
        raise OSError(
            f"The archive {path} is damaged: {error}. Delete it, so that it is downloaded again"
        ) from error


def _decompression_errors() -> tuple[type[Exception], ...]:
    import zlib

    try:
        import lzma
    except ImportError:  # a Python built without it
        return (zlib.error,)
    return (zlib.error, lzma.LZMAError)


def _tar_member(tar: Any, info: Any) -> _Member:
    refused = None
    if not (info.isreg() or info.isdir()):
        kinds = ((info.issym, "a symbolic link"), (info.islnk, "a hard link"), (info.isdev, "a device"))
        refused = next((kind for holds, kind in kinds if holds()), "neither a file nor a folder")
    return _Member(info.name, info.isdir(), refused, lambda: tar.extractfile(info))


def _zip_member(archive: Any, info: Any) -> _Member:
    kind = info.external_attr >> 28  # the upper bits of a Unix mode: 4 a folder, 8 a file, 0 not said
    refused = None if kind in (0, 4, 8) else "a symbolic link" if kind == 10 else "a device"
    return _Member(info.filename, info.is_dir(), refused, lambda: archive.open(info))


def _extract(members: list[_Member], path: str, folder: str) -> None:
    import shutil

    targets = [_target(member, path, folder) for member in members]
    for member, target in zip(members, targets, strict=True):
        if member.is_folder:
            os.makedirs(target, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with member.open() as source, open(target, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
    os.makedirs(folder, exist_ok=True)


def _target(member: _Member, path: str, folder: str) -> str:
    """Where a member belongs.

    Raises:
        ValueError: Outside the folder, or it is not to be written at all.
    """
    if member.refused is not None:
        raise ValueError(
            f"Nothing was unpacked from {path}: its member {member.name!r} is {member.refused}, which could "
            "make later members land elsewhere"
        )
    root = os.path.realpath(folder)
    parts = member.name.replace("\\", "/").split("/")
    target = os.path.realpath(os.path.join(root, *parts))
    rooted = member.name.startswith(("/", "\\")) or os.path.splitdrive(member.name)[0] or ":" in parts[0]
    if rooted or ".." in parts or "\0" in member.name or os.path.commonpath([root, target]) != root:
        raise ValueError(
            f"Nothing was unpacked from {path}: its member {member.name!r} would be written outside {folder}"
        )
    return target
