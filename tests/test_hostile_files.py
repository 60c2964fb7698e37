"""Files from strangers: at worst a clear error that names the file, at bounded cost."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

import hostile
import lumbre
from lumbre.saving import FileFormatError
from lumbre.saving.safetensors import Reader


@pytest.fixture(scope="module")
def model() -> Any:
    return hostile.small_model()


@pytest.fixture(scope="module")
def good(model: Any, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "m.lumbre"
    model.save(path)
    return path.read_bytes()


def refused(path: Path, data: bytes, **options: Any) -> ValueError:
    """The error that opening the data as a model raises."""
    path.write_bytes(data)
    with pytest.raises(ValueError) as caught:
        lumbre.saving.load_model(path, **options)
    assert str(path) in str(caught.value), str(caught.value)
    return caught.value


def test_headers_that_lie(good: bytes, model: Any, tmp_path: Path) -> None:
    before = hostile.fingerprint(model)
    for name, data in hostile.headers(good):
        path = tmp_path / "a.lumbre"
        error = refused(path, data)
        assert isinstance(error, FileFormatError), (name, error)
        with pytest.raises(FileFormatError, match=r"a\.lumbre"):
            model.load_weights(path)
    assert hostile.fingerprint(model) == before


def test_configs_that_mean_harm(good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something was run")

    monkeypatch.setattr("os.system", never)
    monkeypatch.setattr("subprocess.Popen", never)
    for name, data in hostile.configs(good):
        for safe_mode in (True, False):
            error = refused(tmp_path / "b.lumbre", data, safe_mode=safe_mode)
            assert "AssertionError" not in str(error), (name, error)


def test_an_unknown_class_says_how_to_register(good: bytes, tmp_path: Path) -> None:
    data = dict(hostile.configs(good))["os.system as a layer"]
    assert "register_keras_serializable" in str(refused(tmp_path / "c.lumbre", data))


@pytest.mark.parametrize(
    "name", ["JSON nested 100,000 deep", "a million tensors", "two million lists", "huge shape"]
)
def test_what_a_small_file_costs(name: str, good: bytes, tmp_path: Path) -> None:
    data = dict(hostile.headers(good))[name]
    (tmp_path / "d.lumbre").write_bytes(data)
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(FileFormatError):
            Reader(tmp_path / "d.lumbre")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * len(data) + 2**20
    assert time.perf_counter() - start < 60


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of six numbers."""
    path = tmp_path_factory.mktemp("weights") / "w.lumbre"
    lumbre.saving.save_weights(built(), path)
    return path.read_bytes()


def built() -> Any:
    layer = lumbre.layers.Dense(2)
    layer.build((None, 2))
    return layer


def test_cut_off_at_every_byte(weights: bytes, good: bytes, tmp_path: Path) -> None:
    layer, path = built(), tmp_path / "e.lumbre"
    before = hostile.fingerprint(layer)
    for length in range(len(weights)):
        path.write_bytes(weights[:length])
        with pytest.raises(FileFormatError, match=r"e\.lumbre"):
            lumbre.saving.load_weights(layer, path)
    assert hostile.fingerprint(layer) == before
    for length in range(0, len(good), 31):
        refused(path, good[:length])


def test_every_bit_flipped(weights: bytes, good: bytes, tmp_path: Path) -> None:
    layer, path = built(), tmp_path / "f.lumbre"
    before = hostile.fingerprint(layer)
    for _, data in hostile.flipped(weights):
        path.write_bytes(data)
        with pytest.raises(FileFormatError, match=r"f\.lumbre"):
            lumbre.saving.load_weights(layer, path)
    assert hostile.fingerprint(layer) == before
    for bit, data in hostile.flipped(good):
        if bit % 61 == 0:
            assert isinstance(refused(path, data), FileFormatError)


def test_bits_of_a_large_tensor(tmp_path: Path) -> None:
    layer = lumbre.layers.Dense(1000)
    layer.build((None, 2500))  # 10 MB
    path = tmp_path / "g.lumbre"
    lumbre.saving.save_weights(layer, path)
    good = path.read_bytes()
    for place in range(3000, len(good), 777_777):
        damaged = bytearray(good)
        damaged[place] ^= 16
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError, match="is damaged"):
            lumbre.saving.load_weights(layer, path)


def test_not_a_file(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.lumbre")
    with pytest.raises(FileFormatError, match="not a regular file"):
        lumbre.saving.load_model(tmp_path / "pipe.lumbre")
    (tmp_path / "folder.lumbre").mkdir()
    with pytest.raises(FileFormatError, match="not a regular file"):
        lumbre.saving.load_model(tmp_path / "folder.lumbre")
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        lumbre.saving.load_model(tmp_path / "none.lumbre")
