"""Files and folders that are there whole or not at all.

What is new is written beside its destination under a hidden name, flushed to the disk, and renamed: until
then the old file stands as it was, and a process that is killed, or a disk that is full, leaves it so. What a
killed process left behind is removed by the next that writes to the same destination: whoever writes holds a
lock on its temporary, which ends with the process.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from lumbre.saving.errors import shown

fcntl: Any
try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NAME_BYTES = 255  # what most file systems allow


def check_writable(path: Any, size: int | None = None) -> str:
    """Refuses a destination to which nothing can be written, before any work is done for it.

    Args:
        path: Where a file is to be: str, bytes or PathLike.
        size: How many bytes it will have, if that is known.

    Returns:
        The path as str; behind a link, the path that the link leads to.

    Raises:
        OSError: There is no such folder, it may not be written to, something other than a file is there,
            or the disk has less space than that.
    """
    path = str(os.fsdecode(path))
    if os.path.islink(path):
        path = os.path.realpath(path)
    folder = os.path.dirname(path) or "."
    _check_exists(folder, path)
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "a folder is there, a file cannot take its place", path)
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "what is there is not a regular file, and is not replaced", path)
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "the file is read-only", path)
    _check_folder(folder, path)
    if size is not None:
        _check_space(path, size)
    return str(path)


def _check_exists(folder: str, path: str) -> None:
    try:
        there = stat.S_ISDIR(os.stat(folder).st_mode)
    except PermissionError as error:
        raise PermissionError(
            errno.EACCES, f"the folder {shown(folder)} lies in one that may not be looked into", path
        ) from error
    except OSError:
        there = False
    if not there:
        raise FileNotFoundError(
            errno.ENOENT, f"the folder {shown(folder)} does not exist: create it first", path
        )


def _check_folder(folder: str, path: str) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, f"the folder {shown(folder)} may not be written to", path)


def _check_space(path: str, size: int) -> None:
    free = _free(path)
    if size > free:
        raise _no_space(path, size, free)


def _free(path: str) -> int:
    import shutil  # with its compressors, 3 ms that an import should not take

    return shutil.disk_usage(os.path.dirname(path) or ".").free


def _no_space(path: str, size: int | None, free: int, number: int = errno.ENOSPC) -> OSError:
    needed = f"{size:,} bytes are needed, " if size is not None else ""
    kept = "; the file that was there is unchanged" if os.path.exists(path) else ""
    return OSError(number, f"the disk is full: {needed}{free:,} are free{kept}", path)


@contextlib.contextmanager
def replacing(path: Any, size: int | None = None) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` at the end of the block, or disappears on an error.

    Args:
        path: The destination: str, bytes or PathLike.
        size: How many bytes will be written, if that is known.

    Yields:
        The file, open for reading and writing. Its `name` is its path for now.

    Raises:
        OSError: As `check_writable`; or the disk became full, which the error says with the bytes needed and
            free.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with replacing(f"{folder}/a.txt") as file:
        ...     _ = file.write(b"whole")
        >>> os.listdir(folder)
        ['a.txt']
    """
    path = check_writable(path, size)
    remove_leftovers(path)
    with _explained(path, size), _temporary(path, folder=False) as temporary:
        with open(temporary, "r+b") as file:
            yield file
            if os.path.exists(path):
                os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
            file.flush()
            flush(file.fileno())
        os.replace(temporary, path)  # Windows renames no open file
    flush_folder(os.path.dirname(path) or ".")


@contextlib.contextmanager
def replacing_path(path: Any, size: int | None = None) -> Iterator[str]:
    """As `replacing`, for a library that opens its files itself: yields the temporary's path.

    The file is there, and empty; the library may write it or replace it.
    """
    path = check_writable(path, size)
    remove_leftovers(path)
    with _explained(path, size), _temporary(path, folder=False) as temporary:
        yield temporary
        flush_file(temporary)
        os.replace(temporary, path)
    flush_folder(os.path.dirname(path) or ".")


@contextlib.contextmanager
def new_folder(path: Any, size: int | None = None) -> Iterator[str]:
    """A folder that appears as `path` at the end of the block, with all that was put into it, or not at all.

    Everything in it is flushed before it is renamed.

    Args:
        path: The destination, which must not exist.
        size: How many bytes will be written, if that is known.

    Yields:
        The folder's path for now.

    Raises:
        OSError: It exists, its parent does not or may not be written to, or the disk is full.
    """
    path = os.fsdecode(path).rstrip(os.sep) or os.sep
    parent = os.path.dirname(path) or "."
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "there is something already", path)
    _check_exists(parent, path)
    _check_folder(parent, path)
    if size is not None:
        _check_space(path, size)
    remove_leftovers(path)
    with _explained(path, size), _temporary(path, folder=True) as temporary:
        yield temporary
        for root, _, files in os.walk(temporary, topdown=False):
            for name in files:
                flush_file(os.path.join(root, name))
            flush_folder(root)
        os.rename(temporary, path)
    flush_folder(parent)


def flush(descriptor: int) -> None:
    """Waits until what was written to a file is on the disk."""
    if sys.platform == "darwin":  # pragma: no cover - `fsync` leaves it in the drive's memory there
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def flush_file(path: str) -> None:
    """Waits until a file that was closed is on the disk."""
    with open(path, "rb" if os.name == "posix" else "r+b") as file:  # Windows flushes what it may write
        flush(file.fileno())


def flush_folder(folder: str) -> None:
    """Waits until the names in a folder are on the disk, where the system can."""
    if os.name != "posix":  # pragma: no cover - Windows opens no folders
        return
    with contextlib.suppress(OSError):  # some network file systems refuse
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_leftovers(path: Any) -> list[str]:
    """Removes what processes that were killed while writing `path` left beside it; returns the paths."""
    folder, name = os.path.split(os.fsdecode(path))
    prefix, removed = _prefix(name), []
    with contextlib.suppress(OSError):
        for entry in os.listdir(folder or "."):
            if entry.startswith(prefix) and entry.endswith(".tmp"):
                temporary = os.path.join(folder, entry)
                if _abandoned(temporary):
                    _remove(temporary)
                    removed.append(temporary)
    return removed


def _prefix(name: str) -> str:
    raw = os.fsencode(name)[: _NAME_BYTES - 24]
    return f".{os.fsdecode(raw)}."


@contextlib.contextmanager
def _temporary(path: str, folder: bool) -> Iterator[str]:
    """A new, locked file or folder beside `path`; removed at the end if it is still there."""
    directory, name = os.path.split(path)
    while True:
        temporary = os.path.join(directory, f"{_prefix(name)}{os.urandom(8).hex()}.tmp")
        try:
            if folder:
                os.mkdir(temporary)
            else:
                os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            lock = _lock(temporary)
        except (FileExistsError, FileNotFoundError):
            continue  # another process took the name, or took it for a leftover
        break
    try:
        yield temporary
    finally:
        _remove(temporary)
        if lock is not None:
            os.close(lock)


def _lock(path: str) -> int | None:
    """Takes the lock of a temporary, which ends with the process. None where the system has none.

    Raises:
        FileNotFoundError: It was removed meanwhile.
    """
    if fcntl is None:  # pragma: no cover - Windows
        return None
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.stat(path)
    except FileNotFoundError:
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _abandoned(path: str) -> bool:
    if fcntl is None:  # pragma: no cover - Windows
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        if os.path.isdir(path):
            import shutil

            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)


@contextlib.contextmanager
def _explained(path: str, size: int | None) -> Iterator[None]:
    """Says of a full disk which file was being written, and what is needed and free."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise _no_space(path, size, _free(path), error.errno) from error
