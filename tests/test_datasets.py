"""The data sets: where files come from, and what is in them, compared with Keras on the same files."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import inspect
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import web
from lumbre import config, datasets
from lumbre.datasets import digits, mnist, safe, source


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


RNG = np.random.default_rng(0)

# The files in the forms in which Keras publishes them, a few rows each.


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
NAMES = sorted(set(datasets.__all__) - {"digits"})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no folder of data."""
    monkeypatch.delenv("LUMBRE_DATA", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "datasets"


@pytest.fixture
def site(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[web.Site]:
    """A server with the small files, which stand where the published ones are looked for."""
    with web.serving() as site:
        for name, page in PAGES.items():
            site.pages[f"/{name}"] = page
            digest = hashlib.sha256(page).hexdigest() if source.FILES[name].hash else None
            remote = source.FILES[name]._replace(url=f"{site.url}/{name}", hash=digest)
            monkeypatch.setitem(source.FILES, name, remote)
        yield site


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
    name: str, options: dict[str, Any], site: web.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("keras")
    expected = kerass(name, tmp_path, monkeypatch).load_data(**options)
    got = getattr(datasets, name).load_data(**options)
    assert_same(got, expected)
    assert all(array.flags.writeable for array in leaves(got))
    asked = len(site.asked)
    assert_same(getattr(datasets, name).load_data(**options), expected)
    assert len(site.asked) == asked, "what is in the cache is not downloaded again"


@pytest.mark.parametrize("name", ["imdb", "reuters"])
def test_names_like_keras(name: str, site: web.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("keras")
    theirs = kerass(name, tmp_path, monkeypatch)
    ours = getattr(datasets, name)
    assert ours.get_word_index() == theirs.get_word_index()
    if name == "reuters":
        assert ours.get_label_names() == theirs.get_label_names()
    with pytest.raises(ValueError, match="Increase maxlen"):
        ours.load_data(maxlen=1)


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_cifar10(site: web.Site, layout: str) -> None:
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


def test_where_keras_keeps_them(site: web.Site, home: Path) -> None:
    for name in NAMES:
        getattr(datasets, name).load_data()
    found = sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())
    plain = [f"{name}.npz" for name in ("boston_housing", "california_housing", "imdb", "mnist", "reuters")]
    cifar = ["cifar-10-batches-py-target_archive", "cifar-100-python-target_archive"]
    fashion = [f"fashion-mnist/{name}" for name in PAGES if "ubyte" in name]
    assert found == sorted([*plain, *cifar, *fashion])


def test_the_data_folder_comes_before_the_cache(
    site: web.Site, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    assert not site.asked and not home.exists()
    assert mnist.load_data()[0][1].tolist() == [1, 1]  # the user's own file need not have Keras's hash
    assert mnist.load_data(str(own / "mnist.npz"))[0][1].tolist() == [1, 1]
    (own / "mnist.npz").unlink()
    assert mnist.load_data()[0][0].shape == (12, 28, 28) and site.asked == ["/mnist.npz"]


def test_a_wrong_download_is_refused(site: web.Site, home: Path) -> None:
    site.pages["/mnist.npz"] = PAGES["mnist.npz"] + b"!"
    with pytest.raises(ValueError, match="corrupted file detected"):
        mnist.load_data()
    assert list(home.iterdir()) == []


def test_a_damaged_cache_is_downloaded_again(site: web.Site, home: Path) -> None:
    home.mkdir(parents=True)
    (home / "mnist.npz").write_bytes(b"half a file")
    assert mnist.load_data()[0][0].shape == (12, 28, 28)


def test_another_name_in_the_cache(site: web.Site, home: Path) -> None:
    mnist.load_data("digits.npz")
    assert [path.name for path in home.iterdir()] == ["digits.npz"]
    with pytest.raises(ValueError, match="Paths are no longer accepted"):
        mnist.load_data(os.path.join("sub", "digits.npz"))


def test_what_cannot_be_had_names_the_places(
    site: web.Site, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages.clear()
    monkeypatch.setenv("LUMBRE_DATA", str(tmp_path / "data"))
    with pytest.raises(FileNotFoundError) as raised:
        mnist.load_data()
    said = str(raised.value)
    for place in (
        tmp_path / "data" / "mnist.npz",
        home / "mnist.npz",
        f"{site.url}/mnist.npz",
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
def test_bad_arguments(name: str, options: dict[str, Any], says: str, home: Path) -> None:
    with pytest.raises(ValueError, match=says):
        getattr(datasets, name).load_data(**options)
    assert not home.exists(), "nothing is downloaded for them"


# Files that are not what they should be


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
def test_no_code_of_a_file_runs(tmp_path: Path, home: Path, protocol: int) -> None:
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
            return (np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), members)

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
def test_crafted_pickles_are_refused(pickled: bytes, tmp_path: Path, home: Path) -> None:
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
    site: web.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, page: bytes
) -> None:
    site.pages[f"/{name}"] = page
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
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, page: bytes, says: str
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
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str
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
