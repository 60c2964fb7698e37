"""Our files of tensors and the safetensors package's: each reads the other's."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre.saving import hashing
from lumbre.saving.safetensors import Reader, load_file, save_file

RNG = np.random.default_rng(0)
DTYPES = (
    *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "float32", "float64"),
)


def tensors() -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {d: (RNG.normal(size=(3, 5)) * 50).astype(d) for d in DTYPES}
    base = RNG.normal(size=(6, 8))
    found["transposed"] = base.T
    found["strided"] = base[::2, ::-3]
    found["fortran"] = np.asfortranarray(base)
    found["big endian"] = base.astype(">f4")
    found["broadcast"] = np.broadcast_to(np.float32(3), (4, 5))
    found["scalar"] = np.array(2.5)
    found["empty"] = np.zeros((0, 7), "float32")
    found["large"] = RNG.normal(size=700_001)
    found["ü/名"] = np.arange(3)
    return found


def test_theirs_reads_ours(tmp_path: Path) -> None:
    theirs = pytest.importorskip("safetensors.numpy")
    given = tensors()
    save_file(given, tmp_path / "a.safetensors", {"made": "here"})
    for read in (
        theirs.load_file(tmp_path / "a.safetensors"),
        load_file(tmp_path / "a.safetensors", hashed=True),
    ):
        assert read.keys() == given.keys()
        for name, array in given.items():
            np.testing.assert_array_equal(read[name], array, err_msg=name)
            assert read[name].shape == array.shape
            assert read[name].dtype.isnative
            assert read[name].dtype == array.dtype.newbyteorder("=")


def test_ours_reads_theirs(tmp_path: Path) -> None:
    theirs = pytest.importorskip("safetensors.numpy")
    given = {
        name: np.array(array, array.dtype.newbyteorder("="), order="C") for name, array in tensors().items()
    }
    theirs.save_file(given, tmp_path / "a.safetensors", {"made": "there"})
    with Reader(tmp_path / "a.safetensors") as reader:
        assert reader.metadata == {"made": "there"}
        assert reader.digests is None
        for name, array in given.items():
            np.testing.assert_array_equal(reader.read(name), array, err_msg=name)
    with pytest.raises(lumbre.saving.FileFormatError, match="hashes are missing"):
        load_file(tmp_path / "a.safetensors", hashed=True)


def test_bfloat16(tmp_path: Path) -> None:
    values = [1.5, -2.25, 3e38, 1e-40, float("inf")]
    v = lumbre.Variable(values, dtype="bfloat16")
    save_file({"v": v}, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(load_file(tmp_path / "a.safetensors")["v"], v.numpy())
    ml_dtypes = pytest.importorskip("ml_dtypes")
    theirs = pytest.importorskip("safetensors.numpy")
    read = theirs.load_file(tmp_path / "a.safetensors")["v"]
    assert read.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(read.astype("float32"), v.numpy())


def test_the_hash_is_xxh3() -> None:
    xxhash = pytest.importorskip("xxhash")
    for size in (*range(20), 128, 129, 240, 241, 1000, 65_537, hashing.CHUNK, 2 * hashing.CHUNK + 3):
        data = RNG.bytes(size)
        assert hashing.one(data) == xxhash.xxh3_128_digest(data)
        pieces = [data[i : i + hashing.CHUNK] for i in range(0, size, hashing.CHUNK)]
        joined = xxhash.xxh3_128_hexdigest(b"".join(xxhash.xxh3_128_digest(p) for p in pieces))
        assert hashing.digest(data) == joined


def test_dtypes_of_others_are_listed(tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[0,3]}}'
    path = tmp_path / "f8.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"abc")
    with Reader(path) as reader:
        assert reader.entries["a"].dtype == "F8_E4M3"
        with pytest.raises(lumbre.saving.FileFormatError, match="tensors here do not have"):
            reader.read("a")
    with pytest.raises(TypeError, match="complex128"):
        save_file({"c": np.ones(3, complex)}, tmp_path / "c.safetensors")


def test_memory_while_saving_and_loading(tmp_path: Path) -> None:
    """Eight matrices of 4 MB take less than two of them beside the model, either way."""
    import tracemalloc

    layers: list[Any] = [lumbre.layers.Dense(1024, use_bias=False) for _ in range(8)]
    model = lumbre.Sequential([lumbre.Input((1024,)), *layers])
    path = tmp_path / "m.lumbre"
    for work in (model.save_weights, model.load_weights):
        tracemalloc.start()  # NumPy's and Python's memory; reading goes into the Variables themselves
        work(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8 << 20
    assert os.path.getsize(path) > 8 * math.prod((1024, 1024)) * 4
