"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lumbre.saving import atomic

ROOT = os.geteuid() == 0 if hasattr(os, "geteuid") else False


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="stop"), atomic.replacing(path) as file:
        file.write(b"new" * 100_000)
        raise RuntimeError("stop")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]
    with atomic.replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    with atomic.replacing_path(path) as temporary:
        Path(temporary).write_bytes(b"newer")
        assert path.read_bytes() == b"new"
    assert path.read_bytes() == b"newer"
    assert os.listdir(tmp_path) == ["a"]


def test_folders(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(RuntimeError, match="stop"), atomic.new_folder(path) as folder:
        (Path(folder) / "x").write_text("x")
        raise RuntimeError("stop")
    assert os.listdir(tmp_path) == []
    with atomic.new_folder(path) as folder:
        (Path(folder) / "x").write_text("x")
        assert not path.exists()
    assert os.listdir(path) == ["x"]
    with pytest.raises(FileExistsError, match="already"), atomic.new_folder(path):
        pass


KILLED = """
import os, signal, sys
from lumbre.saving import atomic
what = atomic.new_folder if sys.argv[2] == "folder" else atomic.replacing
with what(sys.argv[1]) as file:
    if sys.argv[2] == "file":
        file.write(b"new")
        file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_kill_leaves_the_old_file_and_the_next_cleans_up(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    if kind == "file":
        path.write_bytes(b"old")
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", KILLED, str(path), kind], check=False)
        assert done.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == (2 if kind == "file" else 1)
    with atomic.replacing(path) as file:
        # What another one is writing now is left alone.
        assert atomic.remove_leftovers(path) == []
        file.write(b"new")
    assert os.listdir(tmp_path) == ["a"]
    assert path.read_bytes() == b"new"


def test_refusals_come_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="create it first"):
        atomic.check_writable(tmp_path / "none" / "a")
    with pytest.raises(IsADirectoryError, match="a folder is there"):
        atomic.check_writable(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        atomic.check_writable(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"the disk is full: .* bytes are needed, .* are free") as caught:
        atomic.check_writable(tmp_path / "a", 2**62)
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(tmp_path / "a")


@pytest.mark.skipif(ROOT, reason="root may write anywhere")
def test_read_only(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o444)
    with pytest.raises(PermissionError, match="read-only"):
        atomic.check_writable(tmp_path / "a")
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(PermissionError, match="may not be written to"):
            atomic.check_writable(tmp_path / "b")
    finally:
        tmp_path.chmod(0o755)


def test_a_disk_that_fills(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with (
        pytest.raises(OSError, match="the file that was there is unchanged") as caught,
        atomic.replacing(path),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_names(tmp_path: Path) -> None:
    for name in (b"caf\xe9", "ü".encode(), b"n" * 255, b" ", b"-rf"):
        path = os.fsencode(tmp_path) + b"/" + name
        with atomic.replacing(path) as file:
            file.write(name)
        with open(path, "rb") as file:
            assert file.read() == name
