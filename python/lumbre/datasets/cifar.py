"""What CIFAR-10 and CIFAR-100 have in common: batches of images in a tar archive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lumbre import config
from lumbre.datasets.safe import read_pickle
from lumbre.datasets.source import locate


def read_batches(
    archive: str, members: Sequence[str], label: str
) -> list[tuple[npt.NDArray[Any], list[int]]]:
    """Images and labels of members of an archive, which is read, not unpacked.

    Args:
        archive: Its name, as `locate` knows it.
        members: Paths in it.
        label: The key of the labels.

    Returns:
        For each member: uint8 (n, 32, 32, 3), or (n, 3, 32, 32) where `config.image_data_format()` says
        so, and n labels.

    Raises:
        ValueError: The archive lacks a member, or one is no batch of images.
    """
    import tarfile
    import zlib

    path = locate(archive)
    found = {}
    try:
        with tarfile.open(path) as tar:
            for member in tar:  # in their order, so that the archive is decompressed once
                if member.name in members and member.isreg():
                    found[member.name] = _batch(tar.extractfile(member), f"{member.name} in {path}", label)
            while tar.fileobj is not None and tar.fileobj.read(1 << 20):
                pass  # to the checksum at its end
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"{path} is not {archive}: {error}") from error
    missing = [name for name in members if name not in found]
    if missing:
        raise ValueError(f"There is no {missing[0]} in {path}")
    return [found[name] for name in members]


def column(labels: Any, dtype: type) -> npt.NDArray[Any]:
    """Labels as Keras has them, (n, 1)."""
    return np.asarray(labels, dtype)[:, None]


def _batch(file: Any, what: str, label: str) -> tuple[npt.NDArray[Any], list[int]]:
    batch = read_pickle(file, what)
    images, labels = (batch.get("data"), batch.get(label)) if isinstance(batch, dict) else (None, None)
    if not (isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.shape[1:] == (3072,)):
        raise ValueError(f"{what} holds no images of 32 by 32 pixels in three colours")
    if not isinstance(labels, list) or len(labels) != len(images):
        raise ValueError(f"{what} holds no `{label}` for its {len(images)} images")
    images = images.reshape(-1, 3, 32, 32)
    if config.image_data_format() == "channels_last":
        images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    return images, labels
