"""What the package costs those who install it, and what the build says where something is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

IMPORT_SECONDS = """
import time
import numpy
start = time.perf_counter()
import lumbre
print(time.perf_counter() - start)
"""

IMPORTED = """
import sys
import numpy
before = set(sys.modules)
import lumbre
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(new - set(sys.stdlib_module_names) - {"numpy"}))
"""

SLOW = """bz2 concurrent csv ctypes difflib gzip hashlib html http importlib.resources ipaddress logging lzma
multiprocessing pathlib pickle shutil socket ssl subprocess tarfile tempfile traceback urllib zipfile"""

ALSO_IMPORTED = f"""
import sys
import numpy
before = set(sys.modules)
import lumbre
print(*sorted((set(sys.modules) - before) & set({SLOW.split()})))
"""


def python(code: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    # Compiled modules are read, as after an installation by pip, even where the machine wants none written.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_numpy_is_the_only_dependency() -> None:
    assert [requirement.partition(">")[0] for requirement in PROJECT["dependencies"]] == ["numpy"]


def test_import_loads_nothing_but_numpy_and_the_standard_library() -> None:
    assert python(IMPORTED) == "lumbre"


def test_import_loads_no_module_that_few_need() -> None:
    # Each takes 1 to 20 ms. What uses one imports it in the function that needs it.
    assert python(ALSO_IMPORTED) == ""


def test_import_takes_less_than_100_ms_over_numpy(tmp_path: Path) -> None:
    limit = 0.25 if os.environ.get("CI") else 0.1  # CI's machine may be doing something else
    cache = str(tmp_path)  # the first run fills it
    seconds = min(float(python(IMPORT_SECONDS, PYTHONPYCACHEPREFIX=cache)) for _ in range(6))
    assert seconds < limit


def preflight(interpreter: str, path: str) -> tuple[int, str]:
    """Exit status and message of the check that comes before every build."""
    done = subprocess.run(
        ["/bin/sh", ROOT / ".ci" / "preflight", interpreter],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for the PATH with what the check itself needs, a working compiler and cargo."""
    for name in ("sh", "sed", "cut", "dirname", "cat", "cargo", "cc"):
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"this machine has no {name}")
        (tmp_path / name).symlink_to(found)
    rustc(tmp_path, "9.99.0")
    return tmp_path


def rustc(folder: Path, version: str) -> None:
    """A compiler of that version, as far as `--version` goes."""
    program = folder / "rustc"
    program.write_text(f"#!/bin/sh\necho 'rustc {version} (0000000 2020-01-01)'\n")
    program.chmod(0o755)


def test_a_complete_machine_passes(tools: Path) -> None:
    assert preflight(sys.executable, str(tools)) == (0, "")


def test_missing_rust_is_one_line(tools: Path) -> None:
    (tools / "cargo").unlink()
    status, message = preflight(sys.executable, str(tools))
    assert status == 1
    assert message.count("\n") == 1
    assert "cargo is not on the PATH: install Rust 1." in message


def test_old_rust_is_one_line(tools: Path) -> None:
    rustc(tools, "1.60.0")
    status, message = preflight(sys.executable, str(tools))
    assert status == 1
    assert message.count("\n") == 1
    assert "rustc is 1.60.0: run 'rustup update stable'" in message


def test_missing_linker_is_one_line(tools: Path) -> None:
    (tools / "cc").unlink()
    status, message = preflight(sys.executable, str(tools))
    assert status == 1
    assert message.count("\n") == 1
    assert "cc is not on the PATH" in message


@pytest.mark.parametrize("interpreter", ["", "/no/such/python", "/bin/false"])
def test_unsuitable_python_is_one_line(tools: Path, interpreter: str) -> None:
    status, message = preflight(interpreter, str(tools))
    assert status == 1
    assert message.count("\n") == 1
    assert "Lumbre needs CPython 3.11 or later" in message
    assert "PYTHON=" in message
