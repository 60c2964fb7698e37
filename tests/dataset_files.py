"""The files of Keras's data sets in the forms in which they are published, a few rows each."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import tarfile
from typing import Any, ClassVar

import numpy as np

RNG = np.random.default_rng(0)


def npz(**arrays: Any) -> bytes:
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()


def mnist_npz() -> bytes:
    part = {"x_train": RNG.integers(0, 256, (12, 28, 28)), "x_test": RNG.integers(0, 256, (5, 28, 28))}
    part |= {"y_train": RNG.integers(0, 10, 12), "y_test": RNG.integers(0, 10, 5)}
    return npz(**{name: array.astype("uint8") for name, array in part.items()})


def sequences(count: int, longest: int = 30) -> np.ndarray:
    """An array of lists, as in the files of texts."""
    made = np.empty(count, object)
    for i in range(count):
        made[i] = RNG.integers(1, 100, RNG.integers(1, longest)).tolist()
    return made


def imdb_npz() -> bytes:
    labels = {"y_train": RNG.integers(0, 2, 40), "y_test": RNG.integers(0, 2, 30)}
    return npz(x_train=sequences(40), x_test=sequences(30), **labels)


def idx(values: np.ndarray) -> bytes:
    header = struct.pack(f">{1 + values.ndim}I", 0x800 + values.ndim, *values.shape)
    return gzip.compress(header + values.astype("uint8").tobytes())


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes bytes as Python 2, with which CIFAR was packed, wrote its text."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_bytes(self, text: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(text)) + text)

    dispatch[bytes] = save_bytes


def cifar_batch(rows: int, **labels: list[int]) -> bytes:
    packed = io.BytesIO()
    batch = {b"data": RNG.integers(0, 256, (rows, 3072)).astype("uint8"), b"batch_label": b"a batch"}
    batch |= {key.encode(): value for key, value in labels.items()}
    Python2Pickler(packed, 2).dump(batch)
    return packed.getvalue()


def tar_gz(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def cifar10_tar() -> bytes:
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    batches = {name: cifar_batch(4, labels=RNG.integers(0, 10, 4).tolist()) for name in names}
    return tar_gz({f"cifar-10-batches-py/{name}": batch for name, batch in batches.items()})


def cifar100_tar() -> bytes:
    def batch(rows: int) -> bytes:
        fine, coarse = RNG.integers(0, 100, rows), RNG.integers(0, 20, rows)
        return cifar_batch(rows, fine_labels=fine.tolist(), coarse_labels=coarse.tolist())

    return tar_gz({"cifar-100-python/train": batch(7), "cifar-100-python/test": batch(3)})


def housing_npz(rows: int, columns: int, dtype: str) -> bytes:
    return npz(x=RNG.random((rows, columns)).astype(dtype), y=RNG.random(rows).astype(dtype))


PAGES = {
    "mnist.npz": mnist_npz(),
    "train-images-idx3-ubyte.gz": idx(RNG.integers(0, 256, (9, 28, 28))),
    "train-labels-idx1-ubyte.gz": idx(RNG.integers(0, 10, 9)),
    "t10k-images-idx3-ubyte.gz": idx(RNG.integers(0, 256, (4, 28, 28))),
    "t10k-labels-idx1-ubyte.gz": idx(RNG.integers(0, 10, 4)),
    "cifar-10-python.tar.gz": cifar10_tar(),
    "cifar-100-python.tar.gz": cifar100_tar(),
    "imdb.npz": imdb_npz(),
    "imdb_word_index.json": json.dumps({"the": 1, "café": 2}).encode(),
    "reuters.npz": npz(x=sequences(50), y=RNG.integers(0, 46, 50)),
    "reuters_word_index.json": json.dumps({"mln": 1}).encode(),
    "boston_housing.npz": housing_npz(31, 13, "float64"),
    "california_housing.npz": housing_npz(640, 8, "float32"),
}
