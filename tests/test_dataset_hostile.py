"""Files of data sets that are damaged, or made to do harm: errors that say so, and nothing else."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import web
from dataset_files import PAGES, cifar100_tar, cifar_batch, idx, npz, sequences, tar_gz
from lumbre import datasets
from lumbre.datasets import mnist, safe, source


class Evil:
    """Unpickled as it asks, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


def object_npy(pickled: bytes, shape: tuple[int, ...] = (1,)) -> bytes:
    """A `.npz` file with a pickle of our own in it."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": shape})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("x", "y"):
            archive.writestr(f"{name}.npy", header.getvalue() + pickled)
    return packed.getvalue()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_no_code_of_a_file_runs(tmp_path: Path, keras_home: Path, protocol: int) -> None:
    trap = tmp_path / "made"
    (tmp_path / "evil.npz").write_bytes(object_npy(pickle.dumps(Evil(trap), protocol)))
    with pytest.raises(ValueError, match="mkdir`, which no data set needs"):
        datasets.reuters.load_data(str(tmp_path / "evil.npz"))
    evil = np.empty(1, object)
    evil[0] = Evil(trap)
    (tmp_path / "evil.npz").write_bytes(npz(x=evil, y=np.zeros(1)))
    with pytest.raises(ValueError, match="mkdir`, which no data set needs"):
        datasets.reuters.load_data(str(tmp_path / "evil.npz"))
    assert not trap.exists()


def state(*members: Any) -> bytes:
    """A pickled array with the given state: (version, shape, dtype, order, content)."""

    class Made:
        def __reduce__(self) -> Any:
            core = np._core if hasattr(np, "_core") else np.core  # NumPy 2 or 1
            return (core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), members)

    return pickle.dumps(Made(), 4)


@pytest.mark.parametrize(
    "pickled",
    [
        b"",
        b"garbage",
        pickle.dumps([1, 2]),
        pickle.dumps(np.dtype("f4")),
        pickle.dumps(np.ndarray),
        state(1, (1 << 40,), np.dtype("f8"), False, b"short"),  # more values than bytes
        state(1, (-1,), np.dtype("f8"), False, b""),
        state(1, (1,), np.dtype("O"), False, b"12345678"),  # bytes in place of objects
        state(1, (2,), np.dtype("O"), False, [[1]]),
        state(1, (1,), np.dtype("O"), False, [{}]),
        state(1, (1,), np.dtype("M8[s]"), False, b"12345678"),
        state(1, (1,), np.dtype([("a", "O")]), False, b"12345678"),
        state(1, (1,), np.dtype("V8"), False, b"12345678"),
        state(1, "no shape", np.dtype("f8"), False, b""),
        pickle.dumps(np.float64(1.0)),
        pickle.dumps(sequences(2)),  # two, where the header says one
    ],
)
def test_crafted_pickles_are_refused(pickled: bytes, tmp_path: Path, keras_home: Path) -> None:
    (tmp_path / "odd.npz").write_bytes(object_npy(pickled))
    with pytest.raises(ValueError, match="was not read"):
        datasets.reuters.load_data(str(tmp_path / "odd.npz"))


def test_every_cut_and_many_changes_of_a_pickle_raise_or_read() -> None:
    whole = cifar_batch(1, labels=[3])
    start = whole[:400]
    for at in range(len(start)):
        with pytest.raises(ValueError, match="was not read"):
            safe.read_pickle(io.BytesIO(start[:at]), "a batch")
    rng = np.random.default_rng(1)
    for _ in range(3000):
        changed = bytearray(whole)
        head = rng.integers(0, 250) if rng.random() < 0.7 else rng.integers(len(whole) - 120, len(whole))
        changed[head] = rng.integers(256)
        # Of sizes and places in memory a pickle may ask for, gigabytes are not what is tried here.
        if changed[head] in b"rjTX" or any(changed[head - k] in b"rjTX" for k in range(1, 5)):
            continue
        try:
            safe.read_pickle(io.BytesIO(bytes(changed)), "a batch")
        except ValueError as error:
            assert "was not read" in str(error)


def test_arrays_of_numbers_survive_the_reader() -> None:
    for array in (
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
        np.array([True, False]),
        np.zeros((0, 3), "float32"),
    ):
        for protocol in (3, 4):
            got = safe.read_pickle(io.BytesIO(pickle.dumps(array, protocol)), "an array")
            assert got.dtype == array.dtype
            np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("train-images-idx3-ubyte.gz", b"not gzip"),
        ("train-images-idx3-ubyte.gz", gzip.compress(b"short")),
        ("train-images-idx3-ubyte.gz", idx(np.zeros((9, 28)))),
        ("train-images-idx3-ubyte.gz", idx(np.zeros((8, 28, 28)))),
        ("train-images-idx3-ubyte.gz", gzip.compress(struct.pack(">4I", 0x803, *[(1 << 32) - 1] * 3))),
        ("train-labels-idx1-ubyte.gz", gzip.compress(struct.pack(">2I", 0x801, 2) + b"123")),
        ("train-labels-idx1-ubyte.gz", idx(np.zeros(9))[:-9]),
    ],
)
def test_files_that_are_not_fashion_mnist(
    published: web.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, page: bytes
) -> None:
    published.pages[f"/{name}"] = page
    with pytest.raises(ValueError, match=r"is not an IDX file|images have the shape"):
        datasets.fashion_mnist.load_data()


def one_batch(content: bytes) -> bytes:
    return tar_gz({"cifar-100-python/train": content, "cifar-100-python/test": content})


@pytest.mark.parametrize(
    ("page", "says"),
    [
        (b"no archive", "is not cifar-100"),
        (cifar100_tar()[:3000], r"is not cifar-100|was not read"),
        (tar_gz({"other": b""}), "There is no cifar-100-python/train"),
        (one_batch(pickle.dumps([1])), "holds no images"),
        (one_batch(pickle.dumps({b"data": np.zeros((2, 3)), b"fine_labels": [1, 2]})), "holds no images"),
        (one_batch(cifar_batch(2, fine_labels=[1])), "holds no `fine_labels` for its 2 images"),
        (one_batch(cifar_batch(2, labels=[1, 2])), "holds no `fine_labels`"),
    ],
)
def test_files_that_are_not_cifar(
    tmp_path: Path, keras_home: Path, monkeypatch: pytest.MonkeyPatch, page: bytes, says: str
) -> None:
    monkeypatch.setenv("LUMBRE_DATA", str(tmp_path))
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(page)
    with pytest.raises(ValueError, match=says):
        datasets.cifar100.load_data()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("cifar100", "cifar-100-python.tar.gz"),
        ("reuters", "reuters.npz"),
        ("boston_housing", "boston_housing.npz"),
        ("fashion_mnist", "train-labels-idx1-ubyte.gz"),
    ],
)
def test_damaged_files_raise_value_errors(
    tmp_path: Path, keras_home: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    for other, page in PAGES.items():
        place = tmp_path / source.FILES[other].folder / other
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(page)
    monkeypatch.setenv("LUMBRE_DATA", str(tmp_path))
    rng = np.random.default_rng(len(name))
    page, refused = PAGES[name], 0
    for _ in range(60):
        damaged = bytearray(page)
        damaged[rng.integers(len(page) if rng.random() < 0.5 else 400) % len(page)] ^= 1 << rng.integers(8)
        if rng.random() < 0.2:
            damaged = damaged[: rng.integers(len(page))]
        (tmp_path / source.FILES[name].folder / name).write_bytes(damaged)
        try:
            getattr(datasets, module).load_data()
        except ValueError:
            refused += 1
    assert refused > 45  # some bits mean nothing, as those of times


def test_another_file_is_not_mnist(tmp_path: Path) -> None:
    (tmp_path / "other.npz").write_bytes(npz(x_train=np.zeros(3)))
    with pytest.raises(ValueError, match="y_train, x_test, y_test is missing"):
        mnist.load_data(str(tmp_path / "other.npz"))
    (tmp_path / "other.npz").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"an \.npz archive"):
        mnist.load_data(str(tmp_path / "other.npz"))
