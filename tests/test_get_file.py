"""`get_file` against a local server: cache, hashes, failures, archives; the same places as the real Keras."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import web
from lumbre.utils import downloads, get_file
from lumbre.utils.archives import extract_archive

TEXT = b"sepal,petal\n" * 1000
SHA = hashlib.sha256(TEXT).hexdigest()
MD5 = hashlib.md5(TEXT).hexdigest()


@pytest.fixture
def site() -> Iterator[web.Site]:
    with web.serving() as site:
        site.pages["/files/iris.csv"] = TEXT
        yield site


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "datasets"


def test_downloads_once(site: web.Site, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = site.url + "/files/iris.csv"
    path = get_file("iris.csv", url)
    assert Path(path) == cache / "iris.csv" and Path(path).read_bytes() == TEXT
    printed = capsys.readouterr().out
    assert f"Downloading data from {url}" in printed and f"{len(TEXT)}/{len(TEXT)}" in printed
    assert get_file("iris.csv", url) == path and len(site.asked) == 1
    assert get_file("iris.csv", url, force_download=True) == path and len(site.asked) == 2
    assert os.listdir(cache) == ["iris.csv"]
    assert Path(path).stat().st_mode & stat.S_IRUSR


def test_names_and_folders(site: web.Site, cache: Path, tmp_path: Path) -> None:
    assert get_file(origin=site.url + "/files/iris.csv?raw=1").endswith("iris.csv")
    other = get_file("a", site.url + "/files/iris.csv", cache_dir=tmp_path / "own", cache_subdir="sub")
    assert Path(other) == tmp_path / "own" / "sub" / "a"
    for name in ("a/b", "..", os.path.join("x", "y")):
        with pytest.raises(ValueError, match="Paths are no longer accepted"):
            get_file(name, site.url + "/files/iris.csv")
    with pytest.raises(ValueError, match='specify the "origin"'):
        get_file("a")
    with pytest.raises(ValueError, match="specify the `fname`"):
        get_file(origin=site.url + "/")


@pytest.mark.parametrize(
    "options",
    [
        {"file_hash": SHA},
        {"file_hash": SHA.upper(), "hash_algorithm": "sha256"},
        {"file_hash": MD5},
        {"md5_hash": MD5},
        {"file_hash": MD5, "hash_algorithm": "md5"},
    ],
)
def test_right_hashes(site: web.Site, cache: Path, options: dict[str, str]) -> None:
    for _ in range(2):
        get_file("iris.csv", site.url + "/files/iris.csv", **options)
    assert len(site.asked) == 1


def test_a_wrong_file_is_not_kept(site: web.Site, cache: Path) -> None:
    wrong = "0" * 64
    with pytest.raises(ValueError) as raised:
        get_file("iris.csv", site.url + "/files/iris.csv", file_hash=wrong)
    assert wrong in str(raised.value) and SHA in str(raised.value)
    assert os.listdir(cache) == []
    with pytest.raises(ValueError, match="`hash_algorithm` must be"):
        get_file("iris.csv", site.url + "/files/iris.csv", file_hash=wrong, hash_algorithm="crc")


def test_a_damaged_cache_is_replaced(site: web.Site, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache.mkdir(parents=True)
    (cache / "iris.csv").write_bytes(TEXT[:100])
    path = get_file("iris.csv", site.url + "/files/iris.csv", file_hash=SHA)
    assert Path(path).read_bytes() == TEXT
    assert "we will re-download the data" in capsys.readouterr().out


def test_failures_name_the_url_and_the_place(site: web.Site, cache: Path) -> None:
    url = site.url + "/files/none.csv"
    with pytest.raises(OSError, match="404") as raised:
        get_file("none.csv", url)
    assert url in str(raised.value) and str(cache / "none.csv") in str(raised.value)
    with pytest.raises(OSError, match=r"URL fetch failure on http://127\.0\.0\.1:9/x"):
        get_file("x", "http://127.0.0.1:9/x")
    site.short = 500
    with pytest.raises(OSError, match=f"ended after {len(TEXT) - 500} of {len(TEXT)} bytes"):
        get_file("iris.csv", site.url + "/files/iris.csv")
    assert os.listdir(cache) == []


def test_a_failed_refresh_leaves_the_old_file(site: web.Site, cache: Path) -> None:
    path = get_file("iris.csv", site.url + "/files/iris.csv")
    site.pages.clear()
    with pytest.raises(OSError, match="404"):
        get_file("iris.csv", site.url + "/files/iris.csv", force_download=True)
    assert Path(path).read_bytes() == TEXT


def test_threads_that_want_the_same_file(site: web.Site, cache: Path) -> None:
    url = site.url + "/files/iris.csv"
    with ThreadPoolExecutor(6) as pool:
        paths = set(pool.map(lambda _: get_file("iris.csv", url, file_hash=SHA), range(24)))
    assert paths == {str(cache / "iris.csv")} and os.listdir(cache) == ["iris.csv"]
    assert (cache / "iris.csv").read_bytes() == TEXT


def test_empty_files(site: web.Site, cache: Path) -> None:
    site.pages["/empty"] = b""
    assert Path(get_file("empty", site.url + "/empty")).read_bytes() == b""


def test_a_silent_server_is_given_up(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT", 0.2)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with pytest.raises(OSError, match="timed out"):
            get_file("x", f"http://127.0.0.1:{listening.getsockname()[1]}/x")


def tar(*members: tuple[str, bytes | str | None], kind: str = "w:gz") -> bytes:
    """A tar archive: bytes are a file, None a folder, text the target of a symbolic link."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=kind) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return packed.getvalue()


def packed_zip(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


GOOD = (("data", None), ("data/a.txt", b"first"), ("data/deep/b.txt", b"second"))


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    ("fname", "page", "options"),
    [
        ("flowers", tar(*GOOD), {"extract": True}),
        ("flowers.tar.gz", tar(*GOOD), {"extract": True}),
        (None, tar(*GOOD), {"untar": True}),
        ("flowers", tar(*GOOD, kind="w"), {"untar": True}),
        ("flowers", packed_zip(*((n, c) for n, c in GOOD if c is not None)), {"extract": True}),
        ("flowers", packed_zip(("a.txt", b"1")), {"extract": True, "archive_format": "zip"}),
        ("flowers", tar(*GOOD), {"extract": True, "archive_format": ["zip", "tar"]}),
    ],
)
def test_archives_as_keras_unpacks_them(
    site: web.Site, tmp_path: Path, fname: str | None, page: bytes, options: dict[str, object]
) -> None:
    keras = pytest.importorskip("keras")
    site.pages["/flowers.tgz"] = page
    url = site.url + "/flowers.tgz"
    ours = Path(get_file(fname, url, cache_dir=tmp_path / "ours", **options))
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    expected = Path(keras.utils.get_file(fname, url, cache_dir=str(theirs), **options))
    assert ours.relative_to(tmp_path / "ours") == expected.relative_to(theirs)
    assert files_in(tmp_path / "ours") == files_in(theirs)
    assert files_in(ours) and len(files_in(ours)) >= 1
    (ours / next(iter(files_in(ours)))).write_bytes(b"spoiled")
    again = Path(get_file(fname, url, cache_dir=tmp_path / "ours", **options))
    assert files_in(again) == files_in(expected)


def hard_link() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.LNKTYPE, "../../secret"
        archive.addfile(info)
    return packed.getvalue()


def device() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo("null")
        info.type, info.devmajor, info.devminor = tarfile.CHRTYPE, 1, 3
        archive.addfile(info)
    return packed.getvalue()


def zipped_link() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("page", "says"),
    [
        (tar(("ok.txt", b"1"), ("../../evil.txt", b"2")), "outside"),
        (tar(("ok.txt", b"1"), ("/evil.txt", b"2")), "outside"),
        (tar(("ok.txt", b"1"), ("a/../../evil.txt", b"2")), "outside"),
        (tar(("ok.txt", b"1"), ("link", "/etc"), ("link/evil.txt", b"2")), "a symbolic link"),
        (hard_link(), "a hard link"),
        (device(), "a device"),
        (packed_zip(("ok.txt", b"1"), ("../evil.txt", b"2")), "outside"),
        (packed_zip(("ok.txt", b"1"), ("..\\evil.txt", b"2")), "outside"),
        (packed_zip(("C:\\evil.txt", b"2")), "outside"),
        (zipped_link(), "a symbolic link"),
    ],
)
def test_hostile_archives_write_nothing(site: web.Site, tmp_path: Path, page: bytes, says: str) -> None:
    site.pages["/evil.tgz"] = page
    with pytest.raises(ValueError, match=says):
        get_file("evil", site.url + "/evil.tgz", extract=True, cache_dir=tmp_path / "home")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["evil_archive"]


def test_a_link_in_the_folder_is_not_followed_out(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "data").symlink_to(tmp_path / "outside")
    (tmp_path / "a.tar").write_bytes(tar(*GOOD))
    with pytest.raises(ValueError, match="outside"):
        extract_archive(str(tmp_path / "a.tar"), str(tmp_path / "folder"))
    assert not list((tmp_path / "outside").iterdir())


def test_damaged_archives_and_other_files(site: web.Site, tmp_path: Path) -> None:
    whole = tar(("big.bin", os.urandom(100_000)))
    (tmp_path / "cut.tgz").write_bytes(whole[:50_000])
    with pytest.raises(OSError, match="is damaged"):
        extract_archive(str(tmp_path / "cut.tgz"), str(tmp_path / "out"))
    with pytest.warns(UserWarning, match="Could not extract archive"):
        get_file("iris", site.url + "/files/iris.csv", extract=True, cache_dir=tmp_path / "home")
    assert not extract_archive(str(tmp_path / "cut.tgz"), str(tmp_path / "out"), None)
    with pytest.raises(ValueError, match="`archive_format` must be"):
        extract_archive(str(tmp_path / "cut.tgz"), str(tmp_path / "out"), "rar")


def test_a_home_that_cannot_be_written_to(
    site: web.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, other = tmp_path / "home", tmp_path / "tmp"
    other.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(other))
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != home)  # root may write anywhere
    monkeypatch.setenv("KERAS_HOME", str(home))
    path = get_file("iris.csv", site.url + "/files/iris.csv")
    assert Path(path) == other / ".keras" / "datasets" / "iris.csv"
    if hasattr(os, "getuid"):
        monkeypatch.setattr(os, "getuid", lambda: -5)
        with pytest.raises(OSError, match="belongs to another user: set `KERAS_HOME`"):
            get_file("iris.csv", site.url + "/files/iris.csv")
