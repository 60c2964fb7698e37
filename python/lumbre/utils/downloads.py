"""Files from the network, kept in Keras's cache."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Sequence
from typing import IO, Any

from lumbre.config import keras_home
from lumbre.console import show
from lumbre.utils.archives import extract_archive
from lumbre.utils.progbar import Progbar

TIMEOUT = 30.0
"""Seconds without a byte after which a download is given up."""

_PIECE = 1 << 16


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Sequence[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """The path of a file that is downloaded if it is not in the cache.

    The file is written beside its place and moved there when it is complete and its hash is right, so that
    another process never sees half a file.

    Args:
        fname: Its name in the cache, by default that at the end of the URL.
        origin: The URL.
        untar: The same as `extract`, for tar archives.
        md5_hash: The same as `file_hash`, for MD5.
        file_hash: The hash that it must have, in hexadecimal digits.
        cache_subdir: The folder in `cache_dir`.
        hash_algorithm: "sha256", "md5", or "auto" for what the length of the hash says.
        extract: Whether it is an archive to be unpacked.
        archive_format: "auto", "tar", "zip", a list of these, or None.
        cache_dir: By default `KERAS_HOME`, else `~/.keras`.
        force_download: Whether to download even what is there.

    Returns:
        The path of the file; with `extract` that of the folder with its contents.

    Raises:
        ValueError: There is no URL, `fname` is a path, the hash is another one (the file is not kept), or
            the archive has members that would land elsewhere.
        OSError: The download failed; the message has the URL, and the place for a file got by other means.

    Source: `keras.utils.get_file`, whose cache this is.

    Example:
        >>> import lumbre
        >>> lumbre.utils.get_file("data/iris.csv", "https://example.com/iris.csv")
        Traceback (most recent call last):
        ...
        ValueError: Paths are no longer accepted as the `fname` argument. To specify the file's parent ...
    """
    if origin is None:
        raise ValueError('Please specify the "origin" argument (URL of the file to download).')
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    check = None if file_hash is None else (_algorithm(hash_algorithm, file_hash), str(file_hash).lower())
    name = _file_name(fname, origin)
    folder = os.path.join(
        _writable(keras_home() if cache_dir is None else os.fspath(cache_dir)), cache_subdir
    )
    target = os.path.join(folder, name)
    contents = target
    if extract or untar:
        target, contents = _archive_places(folder, name, given=bool(fname))
    os.makedirs(folder, exist_ok=True)
    if force_download or not _is_there(target, check):
        show(f"Downloading data from {origin}")
        _download(origin, target, check)
    if (extract or untar) and not extract_archive(target, contents, "tar" if untar else archive_format):
        warnings.warn(
            f"Could not extract archive: {target} is no {'tar' if untar else 'tar or zip'} archive, or "
            f"`archive_format={archive_format!r}` excludes it",
            stacklevel=2,
        )
    return contents


def _algorithm(name: str, digest: str) -> str:
    if name == "auto":
        return "sha256" if len(digest) == 64 else "md5"
    if name not in ("sha256", "md5"):
        raise ValueError(f"`hash_algorithm` must be 'auto', 'sha256' or 'md5'. Received: {name!r}")
    return name


def _file_name(fname: str | os.PathLike[str] | None, origin: str) -> str:
    from urllib.parse import urlsplit

    name = os.fspath(fname) if fname else os.path.basename(urlsplit(origin).path)
    if not name:
        raise ValueError(
            f"Can't parse the file name from the origin provided: '{origin}'. Please specify "
            "the `fname` argument."
        )
    if name in (".", "..") or any(sep in name for sep in (os.sep, os.altsep, "/") if sep):
        raise ValueError(
            "Paths are no longer accepted as the `fname` argument. To specify the file's parent directory, "
            f"use the `cache_dir` argument. Received: fname={name}"
        )
    return name


def _archive_places(folder: str, name: str, given: bool) -> tuple[str, str]:
    """Where Keras keeps an archive and its contents."""
    if given and "." in name:
        return os.path.join(folder, name), os.path.join(folder, name[: name.index(".")] + "_extracted")
    return os.path.join(folder, name + "_archive"), os.path.join(folder, name)


def _writable(folder: str) -> str:
    """The folder, or one for temporary files where it cannot be written to.

    Raises:
        OSError: That one belongs to somebody else.
    """
    import tempfile

    folder = os.path.expanduser(folder)
    with contextlib.suppress(OSError):
        os.makedirs(folder, exist_ok=True)
    if os.access(folder, os.W_OK):
        return folder
    other = os.path.join(tempfile.gettempdir(), ".keras")
    os.makedirs(other, mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and os.stat(other).st_uid != os.getuid():
        raise OSError(f"{folder} cannot be written to, and {other} belongs to another user: set `KERAS_HOME`")
    return other


def _is_there(path: str, check: tuple[str, str] | None) -> bool:
    if not os.path.exists(path):
        return False
    if check is None or hash_of(path, check[0]) == check[1]:
        return True
    show(
        "A local file was found, but it seems to be incomplete or outdated because the "
        f"{check[0]} file hash does not match the original value of {check[1]} so we will "
        "re-download the data."
    )
    return False


def hash_of(path: str, algorithm: str) -> str:
    """The hash of a file's contents, in hexadecimal digits."""
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _download(origin: str, target: str, check: tuple[str, str] | None) -> None:
    """Writes the file at a URL to a place, at once or not at all."""
    import http.client
    import urllib.error
    import urllib.request

    part = f"{target}.{os.urandom(4).hex()}.part"
    try:
        try:
            with urllib.request.urlopen(origin, timeout=TIMEOUT) as answer, open(part, "xb") as out:
                _copy(answer, out)
        except urllib.error.HTTPError as error:
            error.close()  # it is the server's answer as well
            raise _failure(origin, target, f"{error.code} -- {error.msg}") from None
        except urllib.error.URLError as error:
            raise _failure(origin, target, error.reason) from None
        except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
            raise _failure(origin, target, error or type(error).__name__) from None
        if check is not None and (got := hash_of(part, check[0])) != check[1]:
            raise ValueError(
                f"Incomplete or corrupted file detected. The {check[0]} file hash does not match the "
                f"provided value of {check[1]}. Received: {got}, of what {origin} sent, which was not kept"
            )
        os.replace(part, target)
    finally:
        if os.path.exists(part):
            os.remove(part)


def _copy(answer: Any, out: IO[bytes]) -> None:
    """Copies what a server sends, with a progress bar.

    Raises:
        ConnectionError: It sent less than it had announced.
    """
    announced = answer.headers.get("Content-Length")
    total = int(announced) if announced and announced.isdigit() else None
    bar, done = Progbar(total), 0
    while piece := answer.read(_PIECE):
        out.write(piece)
        done += len(piece)
        if total is None or done < total:
            bar.update(done)
    if total is not None and done < total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")
    bar.update(done, finalize=True)


def _failure(origin: str, target: str, reason: Any) -> OSError:
    return OSError(
        f"URL fetch failure on {origin}: {reason}. Without access to it, download the file by other means "
        f"and put it at {target}"
    )
