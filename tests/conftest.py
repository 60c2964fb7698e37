"""What all tests share: the peer's backend, the strict mode of replays, the data folder, the built wheel."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before anything imports Lumbre or Keras: replayed steps are compared with eager ones, and Keras runs on JAX.
os.environ.setdefault("LUMBRE_CHECK", "1")
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("*.toml", "rust/**/*.toml", "rust/**/*.rs", "python/**/*.py", "python/**/*.pyi")


def pytest_report_header() -> str:
    """The CPU levels that run on this machine, first of all lines."""
    from lumbre import _core

    return f"lumbre: CPU levels {', '.join(_core.isa_levels())}; this run uses {_core.isa()}"


@pytest.fixture(scope="session")
def lumbre_data() -> Path:
    """The folder with `mnist.npz`, or a skipped test."""
    folder = Path(os.environ.get("LUMBRE_DATA", ""))
    if not (folder / "mnist.npz").is_file():
        pytest.skip("LUMBRE_DATA does not name a folder with mnist.npz")
    return folder


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The wheel that `make wheel` built from these sources, or a skipped test; CI may not skip."""
    refuse = pytest.fail if os.environ.get("CI") else pytest.skip
    wheels = sorted((ROOT / "dist").glob("lumbre-*.whl"))
    if len(wheels) != 1:
        refuse(f"dist holds {len(wheels)} wheels and should hold one: run `make wheel`")
    built = wheels[0].stat().st_mtime
    newer = [path for pattern in SOURCES for path in ROOT.glob(pattern) if path.stat().st_mtime > built]
    if newer:
        refuse(f"the wheel in dist is older than {newer[0].relative_to(ROOT)}: run `make wheel`")
    return wheels[0]


@pytest.fixture
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of an empty cache of data sets, and no folder of data."""
    monkeypatch.delenv("LUMBRE_DATA", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "datasets"


@pytest.fixture
def published(keras_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server with small files of data sets, which stand where those of Keras are looked for."""
    import web
    from dataset_files import PAGES
    from lumbre.datasets.source import FILES

    with web.serving() as site:
        for name, page in PAGES.items():
            site.pages[f"/{name}"] = page
            digest = hashlib.sha256(page).hexdigest() if FILES[name].hash else None
            monkeypatch.setitem(FILES, name, FILES[name]._replace(url=f"{site.url}/{name}", hash=digest))
        yield site
