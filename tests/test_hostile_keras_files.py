"""`.keras` and `.h5` files that are not what they should be: an error that names the file, nothing worse."""

from __future__ import annotations

import io
import json
import random
import resource
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre.saving import FileFormatError
from lumbre.saving.h5 import Dataset, Group, Source, group, open_h5

h5py = pytest.importorskip("h5py")

REFUSED = (FileFormatError, TypeError, ValueError)


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """What takes gigabytes fails here instead of filling the machine."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**31, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def small_model() -> Any:
    model = lumbre.Sequential(
        [
            lumbre.Input((3,)),
            lumbre.layers.Dense(4),
            lumbre.layers.BatchNormalization(),
            lumbre.layers.Dense(1),
        ]
    )
    model.compile(lumbre.optimizers.Adam(), "mse")
    model.fit(np.ones((4, 3), "float32"), np.ones((4, 1), "float32"), verbose=0)
    return model


@pytest.fixture(scope="module")
def good(tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("good") / "good.keras"
    small_model().save(path)
    return path


def read_all(path: Path) -> None:
    """Reads everything that is in an HDF5 file."""
    with open(path, "rb") as file:
        for found in open_h5(Source(file, path)).walk():
            if isinstance(found, Group):
                found.attribute("name")
            else:
                assert isinstance(found, Dataset)
                found.verify()
                found.read()


# HDF5


def external_link(f: Any) -> None:
    f["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(f: Any) -> None:
    f["a"] = np.zeros(3)
    f["b"] = h5py.SoftLink("/a")


def soft_link_cycle(f: Any) -> None:
    f["a"] = h5py.SoftLink("/b")
    f["b"] = h5py.SoftLink("/a")


def hard_link_cycle(f: Any) -> None:
    a = f.create_group("a")
    a.create_group("b/c")["back"] = a


def external_storage(f: Any) -> None:
    f.create_dataset("a", (10,), "u1", external=[("/etc/passwd", 0, 10)])


def virtual(f: Any) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(4,))
    f.create_virtual_dataset("a", layout)


def references(f: Any) -> None:
    f["a"] = np.zeros(1)
    f.create_dataset("b", data=[f["a"].ref], dtype=h5py.ref_dtype)


def objects(f: Any) -> None:
    f.create_dataset("a", data=["text", "more"], dtype=h5py.string_dtype())


def records(f: Any) -> None:
    f["a"] = np.zeros(3, [("x", "f4"), ("y", "i8")])


def opaque(f: Any) -> None:
    f["a"] = np.zeros(3, "V8")


def filter_lzf(f: Any) -> None:
    f.create_dataset("a", data=np.zeros((8, 8)), compression="lzf")


def filter_checksum(f: Any) -> None:
    f.create_dataset("a", data=np.zeros((8, 8)), fletcher32=True)


def filter_scale_offset(f: Any) -> None:
    f.create_dataset("a", data=np.zeros((8, 8), "i4"), scaleoffset=4)


def huge_and_empty(f: Any) -> None:
    f.create_dataset("a", (2**20, 2**20), "f4", chunks=(2**10, 2**10), compression="gzip")


def huge_and_early(f: Any) -> None:
    f.create_dataset("a", (2**40,), "f4")


def a_bomb(f: Any) -> None:
    data = f.create_dataset("a", (2**20, 2**12), "u1", chunks=(2**12, 2**12), compression="gzip")
    data[: 2**12] = 0


def deep(f: Any) -> None:
    f.create_group("/".join("a" * 40))


def shared_type(f: Any) -> None:
    f["type"] = np.dtype("f4")
    f.create_dataset("a", data=np.zeros(3, "f4"), dtype=f["type"])


def nothing(f: Any) -> None:
    f["a"] = h5py.Empty("f4")


def odd_name(f: Any) -> None:
    f.create_dataset(b"\xff\xfe", data=np.zeros(3))


HDF5: list[tuple[Callable[[Any], None], str]] = [
    (external_link, "external link '0'"),
    (soft_link, "soft link 'b'"),
    (soft_link_cycle, "soft link"),
    (hard_link_cycle, "contains itself"),
    (external_storage, "in other files"),
    (virtual, "virtual"),
    (references, "references"),
    (objects, "holds no numbers"),
    (records, "records"),
    (opaque, "holds no numbers"),
    (filter_lzf, "the filter 32000"),
    (filter_checksum, "the filter 3"),
    (filter_scale_offset, "the filter 6"),
    (huge_and_empty, "stores 0 chunks"),
    (huge_and_early, "stores 0 bytes"),
    (a_bomb, "chunks of"),
    (deep, "nested more than 32 deep"),
    (shared_type, ""),
    (nothing, "holds nothing"),
    (odd_name, "not UTF-8"),
]


@pytest.mark.parametrize(("write", "text"), HDF5, ids=[w.__name__ for w, _ in HDF5])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_hdf5(write: Callable[[Any], None], text: str, libver: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.weights.h5"
    with h5py.File(path, "w", libver=libver) as f:
        write(f)
    with pytest.raises(FileFormatError, match=r"hostile\.weights\.h5") as caught:
        read_all(path)
    if libver == "earliest":
        assert text in str(caught.value)


@pytest.mark.parametrize("write", [external_link, soft_link_cycle], ids=["external_link", "soft_link_cycle"])
def test_links_in_the_place_of_weights(write: Callable[[Any], None], tmp_path: Path) -> None:
    path = tmp_path / "hostile.weights.h5"
    model = small_model()
    model.save_weights(path)
    before = model.get_weights()
    with h5py.File(path, "r+") as f:
        del f["layers/dense/vars/0"]
        f["layers/dense/vars/0"] = (
            h5py.ExternalLink("/etc/passwd", "/") if write is external_link else h5py.SoftLink("0")
        )
    with pytest.raises(FileFormatError, match=r"hostile\.weights\.h5.*'/layers/dense/vars'.*link"):
        model.load_weights(path)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_many_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "MAX_OBJECTS", 50)
    path = tmp_path / "many.h5"
    with h5py.File(path, "w") as f:
        for i in range(60):
            f.create_group(f"g{i}")
    with pytest.raises(FileFormatError, match="more than 50 groups"):
        read_all(path)


def outcome(read: Callable[[], Any], path: Path) -> bool:
    """Whether a damaged file was read all the same; if not, the error must name it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read()
    except REFUSED as error:
        assert str(path) in str(error), error
        return False
    return True


def damaged(blob: bytes, seed: int) -> bytes:
    rng = random.Random(seed)
    data = bytearray(blob)
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    if rng.random() < 0.2:
        at = rng.randrange(len(data) - 8)
        data[at : at + 8] = rng.choice([b"\xff" * 8, bytes(8), rng.randbytes(8)])
    return bytes(data)


def test_flipped_bits_in_hdf5(good: Path, tmp_path: Path) -> None:
    """Flips on which the HDF5 library crashed or never returned are among them."""
    blob = zipfile.ZipFile(good).read("model.weights.h5")
    path = tmp_path / "flipped.weights.h5"
    model = small_model()
    read = 0
    for seed in range(1500):
        path.write_bytes(damaged(blob, seed))
        read += outcome(lambda: read_all(path), path)
        if seed % 10 == 0:
            outcome(lambda: model.load_weights(path), path)
    assert 500 < read < 1500  # numbers have no checksum; descriptions are checked


def test_truncated_hdf5(good: Path, tmp_path: Path) -> None:
    blob = zipfile.ZipFile(good).read("model.weights.h5")
    path = tmp_path / "cut.weights.h5"
    for size in [*range(0, len(blob), 61), len(blob) - 1]:
        path.write_bytes(blob[:size])
        assert not outcome(lambda: read_all(path), path)


# Archives


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(path: Path, parts: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, data in parts.items():
            made.writestr(name, data)
    return path


def refused(path: Path, text: str) -> None:
    with pytest.raises(REFUSED, match=path.name) as caught:
        lumbre.saving.load_model(path)
    assert text in str(caught.value)


def test_flipped_bits_in_an_archive(good: Path, tmp_path: Path) -> None:
    blob = good.read_bytes()
    path = tmp_path / "flipped.keras"
    read = sum(
        outcome(lambda: lumbre.saving.load_model(path), path)
        for seed in range(300)
        if path.write_bytes(damaged(blob, seed))
    )
    assert read < 15  # dates and the like: what matters has a checksum


def test_truncated_archive(good: Path, tmp_path: Path) -> None:
    blob = good.read_bytes()
    path = tmp_path / "cut.keras"
    for size in [*range(0, len(blob), 211), *range(len(blob) - 40, len(blob))]:
        path.write_bytes(blob[:size])
        assert not outcome(lambda: lumbre.saving.load_model(path), path)


def test_a_deflated_archive_is_read(good: Path, tmp_path: Path) -> None:
    path = archive(tmp_path / "deflated.keras", members(good), zipfile.ZIP_DEFLATED)
    x = np.ones((2, 3), "float32")
    expected = lumbre.saving.load_model(good).predict(x, verbose=0)
    np.testing.assert_array_equal(lumbre.saving.load_model(path).predict(x, verbose=0), expected)


def test_a_bomb_in_an_archive(good: Path, tmp_path: Path) -> None:
    parts = members(good)
    for name in ("model.weights.h5", "config.json"):
        bomb = {**parts, name: bytes(2**27)}
        refused(
            archive(tmp_path / f"{name}.keras", bomb, zipfile.ZIP_DEFLATED), "more than 100 times is refused"
        )


def test_a_lie_about_the_size(good: Path, tmp_path: Path) -> None:
    path = archive(
        tmp_path / "lie.keras", {**members(good), "config.json": bytes(2**16)}, zipfile.ZIP_DEFLATED
    )
    data = bytearray(path.read_bytes())
    at = data.rindex(b"config.json") - 46  # in the list at the end
    assert data[at : at + 4] == b"PK\x01\x02"
    struct.pack_into("<I", data, at + 24, 100)
    path.write_bytes(data)
    refused(path, "config.json has not 100 bytes")


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "assets/../../evil", "..\\evil", "C:/evil"])
def test_names_that_lead_out_of_the_archive(name: str, good: Path, tmp_path: Path) -> None:
    refused(archive(tmp_path / "path.keras", {**members(good), name: b"x"}), "leads out of it")


def test_members_twice_encrypted_missing_or_foreign(good: Path, tmp_path: Path) -> None:
    parts = members(good)
    twice = archive(tmp_path / "twice.keras", parts)
    with warnings.catch_warnings(), zipfile.ZipFile(twice, "a") as made:
        warnings.simplefilter("ignore")
        made.writestr("config.json", "{}")
    refused(twice, "'config.json' twice")
    for name in ("config.json", "model.weights.h5"):
        refused(archive(tmp_path / "no.keras", {k: v for k, v in parts.items() if k != name}), f"no {name}")
    locked = archive(tmp_path / "locked.keras", parts)
    data = bytearray(locked.read_bytes())
    at = data.rindex(b"config.json") - 46
    data[at + 8] |= 1
    locked.write_bytes(data)
    refused(locked, "encrypted")
    refused(archive(tmp_path / "lzma.keras", parts, zipfile.ZIP_LZMA), "only deflate is read")
    text = tmp_path / "text.keras"
    text.write_text("no archive")
    refused(text, "no ZIP archive")
    refused(archive(tmp_path / "npz.keras", {"config.json": b"{}", "model.weights.npz": b""}), "NumPy's form")
    with pytest.raises((OSError, ValueError), match="absent"):
        lumbre.saving.load_model(tmp_path / "absent.keras")


# Configs


def with_config(good: Path, path: Path, config: Any) -> Path:
    text = config if isinstance(config, bytes) else json.dumps(config).encode()
    return archive(path, {**members(good), "config.json": text})


MARK = "mark_of_code_that_ran"
CONFIGS: dict[str, Any] = {
    "system": {
        "module": "os",
        "class_name": "system",
        "config": f"touch {MARK}",
        "registered_name": "system",
    },
    "builtin": {
        "module": "builtins",
        "class_name": "exec",
        "config": {"object": "1"},
        "registered_name": None,
    },
    "function": {"module": "os", "class_name": "function", "config": "system", "registered_name": "function"},
    "module": {"module": "antigravity", "class_name": "Model", "config": {}, "registered_name": "Model"},
    "dunder": {"module": "keras.layers", "class_name": "__builtins__", "config": {}, "registered_name": None},
    "utility": {"module": "keras.utils", "class_name": "get_file", "config": {"origin": "http://x"}},
    "number": 3,
    "list": [1, 2],
    "empty": {},
    "no class": {"class_name": 3, "config": {}},
    "a loss": {"module": "keras.losses", "class_name": "Huber", "config": {}, "registered_name": None},
    "odd config": {"module": "keras", "class_name": "Sequential", "config": [1], "registered_name": None},
    "odd layers": {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"layers": 3},
        "registered_name": None,
    },
    "no layers": {
        "module": "keras.models",
        "class_name": "Functional",
        "config": {"layers": [], "input_layers": []},
    },
}


def layer_config(name: str, **config: Any) -> dict[str, Any]:
    layers = [
        {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 3]}},
        {"module": "keras.layers", "class_name": name, "config": config, "registered_name": None},
    ]
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"layers": layers},
        "registered_name": None,
    }


CONFIGS["huge layer"] = layer_config("Dense", units=2**40)
CONFIGS["large layer"] = layer_config("Dense", units=2**28)
CONFIGS["negative layer"] = layer_config("Dense", units=-4)
CONFIGS["text for a number"] = layer_config("Dense", units="os.system")
CONFIGS["unknown argument"] = layer_config("Dense", units=3, evil=1)
CONFIGS["lambda"] = layer_config(
    "Lambda",
    function={"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}},
)
CONFIGS["activation"] = layer_config(
    "Dense", units=3, activation={"module": "os", "class_name": "system", "config": "x"}
)


@pytest.mark.parametrize("name", CONFIGS)
def test_configs(name: str, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = with_config(good, tmp_path / "config.keras", CONFIGS[name])
    for safe_mode in (True, False):
        with pytest.raises(REFUSED, match=r"config\.keras"):
            lumbre.saving.load_model(path, safe_mode=safe_mode)
    assert not (tmp_path / MARK).exists()


def test_texts_that_are_no_configs(good: Path, tmp_path: Path) -> None:
    for text in (b"", b"{", b"[" * 100_000, b'{"a": 1, "a": 2}', b"\xff", b"nul", b'{"x": ' * 5000):
        refused(with_config(good, tmp_path / "text.keras", text), "config.json")


def test_a_large_model_for_few_weights(good: Path, tmp_path: Path) -> None:
    refused(with_config(good, tmp_path / "large.keras", CONFIGS["large layer"]), "bytes of weights left")


# Whole models in HDF5


def test_legacy_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "old.h5"
    for config in (*CONFIGS.values(), "text"):
        with h5py.File(path, "w") as f:
            f.attrs["model_config"] = json.dumps(config)
            f.create_group("model_weights").attrs["layer_names"] = ["a"]
        refused(path, "")
    assert not (tmp_path / MARK).exists()
    with h5py.File(path, "w") as f:
        f.attrs["other"] = 1
    refused(path, "model_config")
    model = small_model()
    model.save(path)
    blob = path.read_bytes()
    for seed in range(150):
        path.write_bytes(damaged(blob, seed))
        outcome(lambda: lumbre.saving.load_model(path), path)


def test_source_counts_what_it_reads() -> None:
    source = Source(io.BytesIO(bytes(2**20)), "x.h5")
    with pytest.raises(FileFormatError, match="256 MiB"):
        for _ in range(300):
            source.read(0, 2**20, "a description")
