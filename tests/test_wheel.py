"""The built wheel, in an empty environment with NumPy alone, trains."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel

SMOKE = Path(__file__).parents[1] / ".ci" / "smoke.py"

OLDEST_NUMPY = pytest.param(
    "numpy==1.26.4",
    marks=pytest.mark.skipif(sys.version_info >= (3, 13), reason="NumPy 1.26 has no wheel for this Python"),
)


def run(*command: str | Path, cwd: Path) -> str:
    """Runs a program and gives its output; a failure shows what it wrote."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.timeout(300)
@pytest.mark.parametrize("numpy", ["numpy", OLDEST_NUMPY])
def test_trains_in_an_empty_environment(wheel: Path, numpy: str, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "env", cwd=tmp_path)
    python = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(python, "-m", "pip", "install", "--disable-pip-version-check", wheel, numpy, cwd=tmp_path)
    run(python, "-m", "pip", "check", cwd=tmp_path)
    assert float(run(python, "-I", SMOKE, cwd=tmp_path)) > 0.9


def test_serves_every_python_from_3_11(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_installs_on_an_old_glibc(wheel: Path) -> None:
    assert "manylinux2014" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        library = archive.read("lumbre/_core.abi3.so")
    versions = {int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", library)}
    assert versions, "the library names no glibc versions"
    assert max(versions) <= 17


def test_metadata_asks_for_numpy_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert [re.split(r"[^\w-]", line)[0] for line in required] == ["numpy"]
    assert metadata["License-Expression"] == "Apache-2.0"


def test_holds_the_package_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = ("__init__.py", "py.typed", "_core.pyi", "datasets/digits.npz")
    assert {f"lumbre/{file}" for file in wanted} <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"lumbre"}
    assert not [name for name in names if "__pycache__" in name]
    assert sum(name.endswith((".so", ".pyd")) for name in names) == 1


def test_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 6_000_000
