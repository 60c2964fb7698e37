"""The data sets: where files come from, and what is in them, compared with Keras on the same files."""

from __future__ import annotations

import importlib
import inspect
import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import web
from dataset_files import PAGES, npz
from lumbre import config, datasets
from lumbre.datasets import digits, mnist, source


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


NAMES = sorted(set(datasets.__all__) - {"digits"})


def leaves(split: Any) -> list[np.ndarray]:
    return [array for part in split for array in part]


def assert_same(ours: Any, theirs: Any) -> None:
    for got, expected in zip(leaves(ours), leaves(theirs), strict=True):
        assert got.shape == expected.shape and got.dtype == expected.dtype
        assert got.tolist() == expected.tolist()


def test_every_file_of_kerass_is_known() -> None:
    """URLs and hashes are those of the real Keras, read from its sources."""
    keras = pytest.importorskip("keras.src.datasets")
    assert PAGES.keys() == source.FILES.keys()
    for name, remote in source.FILES.items():
        stem = "fashion_mnist" if "ubyte" in name else name.split(".")[0].removesuffix("_word_index")
        stem = stem.replace("cifar-10-python", "cifar10").replace("cifar-100-python", "cifar100")
        text = inspect.getsource(getattr(keras, stem))
        assert name in text and remote.url.removesuffix(name) in text
        assert (remote.hash in text) if remote.hash else ("file_hash" not in text)
        if remote.cached_as:
            assert remote.cached_as.removesuffix("_archive") in text


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_kerass(name: str) -> None:
    keras = pytest.importorskip("keras")
    ours, theirs = getattr(datasets, name), getattr(keras.datasets, name)
    for function in ("load_data", "get_word_index", "get_label_names"):
        assert hasattr(ours, function) == hasattr(theirs, function)
        if hasattr(theirs, function):
            expected = inspect.signature(getattr(theirs, function)).parameters.values()
            got = inspect.signature(getattr(ours, function)).parameters.values()
            known = [(p.name, p.default) for p in expected if p.kind is not p.VAR_KEYWORD]
            assert [(p.name, p.default) for p in got] == known


TEXT_OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_words": 40},
    {"num_words": 40, "skip_top": 10, "seed": 7},
    {"maxlen": 12},
    {"maxlen": 12, "start_char": None, "index_from": 0},
    {"oov_char": None, "num_words": 50, "skip_top": 5},
    {"start_char": 5, "oov_char": 6, "index_from": 10},
    {"start_char": None, "index_from": 2},
]
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("mnist", {}),
    ("fashion_mnist", {}),
    ("cifar100", {}),
    ("cifar100", {"label_mode": "coarse"}),
    *(("imdb", options) for options in TEXT_OPTIONS),
    *(("reuters", options) for options in [*TEXT_OPTIONS, {"test_split": 0.5}]),
    ("boston_housing", {}),
    ("boston_housing", {"test_split": 0.37, "seed": 1}),
    ("boston_housing", {"test_split": 0}),
    ("california_housing", {}),
    ("california_housing", {"version": "small", "test_split": 0.1, "seed": 3}),
]


def kerass(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The real Keras's module, which finds the small files where it would find its own."""
    module = importlib.import_module(f"keras.src.datasets.{name}")

    def get_file(fname: str, origin: str, extract: bool = False, **others: Any) -> str:
        path = tmp_path / origin.rpartition("/")[2]
        path.write_bytes(PAGES[path.name])
        if extract:
            with tarfile.open(path) as archive:
                archive.extractall(tmp_path / fname, filter="data")
            return str(tmp_path / fname)
        return str(path)

    monkeypatch.setattr(module, "get_file", get_file)
    return module


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_like_keras(
    name: str, options: dict[str, Any], published: web.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("keras")
    expected = kerass(name, tmp_path, monkeypatch).load_data(**options)
    got = getattr(datasets, name).load_data(**options)
    assert_same(got, expected)
    assert all(array.flags.writeable for array in leaves(got))
    asked = len(published.asked)
    assert_same(getattr(datasets, name).load_data(**options), expected)
    assert len(published.asked) == asked, "what is in the cache is not downloaded again"


@pytest.mark.parametrize("name", ["imdb", "reuters"])
def test_names_like_keras(
    name: str, published: web.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("keras")
    theirs = kerass(name, tmp_path, monkeypatch)
    ours = getattr(datasets, name)
    assert ours.get_word_index() == theirs.get_word_index()
    if name == "reuters":
        assert ours.get_label_names() == theirs.get_label_names()
    with pytest.raises(ValueError, match="Increase maxlen"):
        ours.load_data(maxlen=1)


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_cifar10(published: web.Site, layout: str) -> None:
    """Keras's loader takes batches of 10,000 only, so its file is read by hand."""
    before = config.image_data_format()
    config.set_image_data_format(layout)
    try:
        (x, y), (x_test, y_test) = datasets.cifar10.load_data()
    finally:
        config.set_image_data_format(before)
    assert x.dtype == y.dtype == x_test.dtype == y_test.dtype == np.uint8
    assert y.shape == (20, 1) and y_test.shape == (4, 1)
    with tarfile.open(fileobj=io.BytesIO(PAGES["cifar-10-python.tar.gz"])) as archive:
        for at, member in ((0, "data_batch_1"), (16, "data_batch_5"), (None, "test_batch")):
            file = archive.extractfile(f"cifar-10-batches-py/{member}")
            assert file is not None
            batch = pickle.load(file, encoding="bytes")
            images = batch[b"data"].reshape(4, 3, 32, 32)
            if layout == "channels_last":
                images = np.stack([images[:, c] for c in range(3)], axis=-1)
            got, labels = (x_test, y_test) if at is None else (x[at : at + 4], y[at : at + 4])
            np.testing.assert_array_equal(got, images)
            assert labels[:, 0].tolist() == batch[b"labels"]
    assert x.flags.c_contiguous


def test_where_keras_keeps_them(published: web.Site, keras_home: Path) -> None:
    for name in NAMES:
        getattr(datasets, name).load_data()
    found = sorted(str(path.relative_to(keras_home)) for path in keras_home.rglob("*") if path.is_file())
    plain = [f"{name}.npz" for name in ("boston_housing", "california_housing", "imdb", "mnist", "reuters")]
    cifar = ["cifar-10-batches-py-target_archive", "cifar-100-python-target_archive"]
    fashion = [f"fashion-mnist/{name}" for name in PAGES if "ubyte" in name]
    assert found == sorted([*plain, *cifar, *fashion])


def test_the_data_folder_comes_before_the_cache(
    published: web.Site, keras_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    (own / "fashion-mnist").mkdir(parents=True)
    for name, page in PAGES.items():
        (own / source.FILES[name].folder / name).write_bytes(page)
    ones = np.ones((2, 28, 28), "uint8")
    (own / "mnist.npz").write_bytes(
        npz(x_train=ones, y_train=ones[:, 0, 0], x_test=ones, y_test=ones[:, 0, 0])
    )
    monkeypatch.setenv("LUMBRE_DATA", str(own))
    for name in NAMES:
        getattr(datasets, name).load_data()
    assert not published.asked and not keras_home.exists()
    assert mnist.load_data()[0][1].tolist() == [1, 1]  # the user's own file need not have Keras's hash
    assert mnist.load_data(str(own / "mnist.npz"))[0][1].tolist() == [1, 1]
    (own / "mnist.npz").unlink()
    assert mnist.load_data()[0][0].shape == (12, 28, 28) and published.asked == ["/mnist.npz"]


def test_a_wrong_download_is_refused(published: web.Site, keras_home: Path) -> None:
    published.pages["/mnist.npz"] = PAGES["mnist.npz"] + b"!"
    with pytest.raises(ValueError, match="corrupted file detected"):
        mnist.load_data()
    assert list(keras_home.iterdir()) == []


def test_a_damaged_cache_is_downloaded_again(published: web.Site, keras_home: Path) -> None:
    keras_home.mkdir(parents=True)
    (keras_home / "mnist.npz").write_bytes(b"half a file")
    assert mnist.load_data()[0][0].shape == (12, 28, 28)


def test_another_name_in_the_cache(published: web.Site, keras_home: Path) -> None:
    mnist.load_data("digits.npz")
    assert [path.name for path in keras_home.iterdir()] == ["digits.npz"]
    with pytest.raises(ValueError, match="Paths are no longer accepted"):
        mnist.load_data(os.path.join("sub", "digits.npz"))


def test_what_cannot_be_had_names_the_places(
    published: web.Site, keras_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.pages.clear()
    monkeypatch.setenv("LUMBRE_DATA", str(tmp_path / "data"))
    with pytest.raises(FileNotFoundError) as raised:
        mnist.load_data()
    said = str(raised.value)
    for place in (
        tmp_path / "data" / "mnist.npz",
        keras_home / "mnist.npz",
        f"{published.url}/mnist.npz",
        "LUMBRE_DATA",
    ):
        assert str(place) in said
    with pytest.raises(FileNotFoundError, match="was not found at"):
        mnist.load_data(str(tmp_path / "none.npz"))


def test_mnist_from_the_data_folder(lumbre_data: Path) -> None:
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    assert x_train.shape == (60000, 28, 28) and x_test.shape == (10000, 28, 28)
    assert x_train.dtype == y_train.dtype == x_test.dtype == y_test.dtype == np.uint8
    assert y_train[:5].tolist() == [5, 0, 4, 1, 9]


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("cifar100", {"label_mode": "coarse_labels"}, "`label_mode` must be one of"),
        ("boston_housing", {"test_split": 1}, "Invalid `test_split`"),
        ("california_housing", {"test_split": -0.1}, "Invalid `test_split`"),
        ("california_housing", {"version": "medium"}, "must be one of 'small', 'large'"),
    ],
)
def test_bad_arguments(name: str, options: dict[str, Any], says: str, keras_home: Path) -> None:
    with pytest.raises(ValueError, match=says):
        getattr(datasets, name).load_data(**options)
    assert not keras_home.exists(), "nothing is downloaded for them"
