"""The data sets: shapes, ranges, and a split that never moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lumbre.datasets import digits, mnist


def test_digits_hold_out_the_same_fifth_of_every_class() -> None:
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert x_train.shape == (1438, 8, 8) and x_test.shape == (359, 8, 8)
    assert x_train.dtype == y_train.dtype == x_test.dtype == y_test.dtype == np.uint8
    assert x_train.min() == 0 and x_train.max() == 16
    share = np.bincount(y_test) / (np.bincount(y_train) + np.bincount(y_test))
    assert share.shape == (10,)
    np.testing.assert_allclose(share, 0.2, atol=0.005)
    # The split and the pixels are the same everywhere: a sum that depends on every value and its place.
    assert int(np.dot(x_test.ravel().astype(np.int64), np.arange(x_test.size))) == 1288790349
    assert y_test[:10].tolist() == list(range(10))


def test_digits_share_no_image_between_the_parts() -> None:
    (x_train, _), (x_test, _) = digits.load_data()
    assert not {image.tobytes() for image in x_train} & {image.tobytes() for image in x_test}


def test_digits_are_small() -> None:
    assert Path(digits.__file__).with_name("digits.npz").stat().st_size < 100_000


def test_mnist_from_the_data_folder(lumbre_data: Path) -> None:
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    assert x_train.shape == (60000, 28, 28) and x_test.shape == (10000, 28, 28)
    assert x_train.dtype == y_train.dtype == x_test.dtype == y_test.dtype == np.uint8
    assert y_train[:5].tolist() == [5, 0, 4, 1, 9]


def tiny(path: Path, **arrays: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def test_mnist_prefers_lumbre_data_to_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("LUMBRE_DATA", raising=False)
    four = {name: np.zeros(1) for name in ("x_train", "y_train", "x_test", "y_test")}
    tiny(tmp_path / "keras" / "datasets" / "mnist.npz", **four)
    assert mnist.load_data()[0][1].tolist() == [0]
    tiny(tmp_path / "data" / "mnist.npz", **(four | {"y_train": np.ones(1)}))
    monkeypatch.setenv("LUMBRE_DATA", str(tmp_path / "data"))
    assert mnist.load_data()[0][1].tolist() == [1]


def test_missing_mnist_names_the_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("LUMBRE_DATA", str(tmp_path / "data"))
    with pytest.raises(FileNotFoundError) as raised:
        mnist.load_data()
    for folder in (tmp_path / "data", tmp_path / "keras" / "datasets"):
        assert str(folder / "mnist.npz") in str(raised.value)
    assert "LUMBRE_DATA" in str(raised.value)


def test_another_file_is_not_mnist(tmp_path: Path) -> None:
    tiny(tmp_path / "other.npz", x_train=np.zeros(3))
    with pytest.raises(ValueError, match="y_train, x_test, y_test is missing"):
        mnist.load_data(str(tmp_path / "other.npz"))
