"""Where the files of data sets are: in the folder `LUMBRE_DATA`, in Keras's cache, or to be downloaded."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy.typing as npt

from lumbre.config import keras_home
from lumbre.utils.downloads import get_file

Split = tuple[npt.NDArray[Any], npt.NDArray[Any]]
"""Data and labels."""

_KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_TORONTO = "https://www.cs.toronto.edu/~kriz/"


class Remote(NamedTuple):
    """A file as it is published.

    Attributes:
        url: Where it is.
        hash: Its SHA-256 or MD5 that Keras publishes; None where Keras has none.
        folder: In `LUMBRE_DATA`, and in the cache below `datasets`.
        cached_as: Its name in the cache, where that is another one.
    """

    url: str
    hash: str | None = None
    folder: str = ""
    cached_as: str | None = None


FILES: dict[str, Remote] = {
    "mnist.npz": Remote(
        _KERAS + "mnist.npz", "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
    ),
    **{
        name: Remote(_KERAS + name, folder="fashion-mnist")
        for name in (
            "train-images-idx3-ubyte.gz",
            "train-labels-idx1-ubyte.gz",
            "t10k-images-idx3-ubyte.gz",
            "t10k-labels-idx1-ubyte.gz",
        )
    },
    "cifar-10-python.tar.gz": Remote(
        _TORONTO + "cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        cached_as="cifar-10-batches-py-target_archive",
    ),
    "cifar-100-python.tar.gz": Remote(
        _TORONTO + "cifar-100-python.tar.gz",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        cached_as="cifar-100-python-target_archive",
    ),
    "imdb.npz": Remote(
        _KERAS + "imdb.npz", "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"
    ),
    "imdb_word_index.json": Remote(_KERAS + "imdb_word_index.json", "bfafd718b763782e994055a2d397834f"),
    "reuters.npz": Remote(
        _KERAS + "reuters.npz", "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"
    ),
    "reuters_word_index.json": Remote(_KERAS + "reuters_word_index.json", "4d44cc38712099c9e383dc6e5f11a921"),
    "boston_housing.npz": Remote(
        _KERAS + "boston_housing.npz", "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"
    ),
    "california_housing.npz": Remote(
        _KERAS + "california_housing.npz", "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"
    ),
}


def locate(name: str, path: str | os.PathLike[str] | None = None) -> str:
    """The path of a file, which is downloaded if it is nowhere here.

    A file in `LUMBRE_DATA`, or at an absolute path, is taken as it is; one in the cache or from the
    network must have the hash that Keras publishes.

    Args:
        name: One of `FILES`.
        path: Another name for it in those folders, or an absolute path.

    Raises:
        FileNotFoundError: It is not there and cannot be downloaded; the message has the places and the URL.
        ValueError: What was downloaded is another file, or `path` is a relative path with folders.
    """
    remote = FILES[name]
    called = name if path is None else os.fspath(path)
    if os.path.isabs(called):
        if os.path.isfile(called):
            return called
        raise FileNotFoundError(f"{name} was not found at {called}. It is published at {remote.url}")
    own = os.environ.get("LUMBRE_DATA")
    if own and os.path.isfile(os.path.join(own, remote.folder, called)):
        return os.path.join(own, remote.folder, called)
    cached = (remote.cached_as if path is None else None) or called
    folder = os.path.join("datasets", remote.folder) if remote.folder else "datasets"
    try:
        return get_file(cached, remote.url, file_hash=remote.hash, cache_subdir=folder)
    except OSError as error:
        places = [os.path.join(own, remote.folder, called)] if own else []
        places.append(os.path.join(keras_home(), folder, cached))
        raise FileNotFoundError(
            f"{name} was not found at {' or '.join(places)}. {error}, or into the folder that the "
            "environment variable LUMBRE_DATA names. `lumbre.datasets.digits` needs no file."
        ) from error
