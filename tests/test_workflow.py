"""The workflow that builds wheels: as far as it can be checked without running it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / ".github" / "workflows" / "wheels.yml").read_text("utf-8")


@pytest.fixture(scope="module")
def jobs() -> Any:
    return pytest.importorskip("yaml").safe_load(TEXT)["jobs"]


def test_it_says_that_it_is_untried() -> None:
    assert "# This workflow has not been run yet." in TEXT.splitlines()


def test_every_platform_is_there(jobs: Any) -> None:
    rows = {row["name"]: row for row in jobs["build"]["strategy"]["matrix"]["include"]}
    systems = ("linux-x86_64", "linux-arm64", "musl-x86_64", "musl-arm64", "macos-arm64", "macos-x86_64")
    assert set(rows) == {*systems, "windows-x86_64"}
    for name, row in rows.items():
        assert ("arm64" in name) == row["target"].startswith("aarch64")
        assert ("musl" in name) == row["target"].endswith("musl") == row["linux"].startswith("musl")
        assert ("arm64" in name) == (row["runner"].endswith("-arm") or row["runner"] == "macos-15"), name
    assert f"-eq {len(rows) + 1}" in TEXT, "what is published is every wheel and the source"


def test_only_publishing_may_write(jobs: Any) -> None:
    assert "\npermissions: {}\n" in TEXT
    rights = {name: job["permissions"] for name, job in jobs.items()}
    assert rights.pop("publish") == {"id-token": "write"}
    assert all(right == {"contents": "read"} for right in rights.values())
    assert jobs["publish"]["needs"] == [name for name in jobs if name != "publish"]


def test_actions_are_pinned() -> None:
    used = re.findall(r"uses: (\S+)(.*)", TEXT)
    assert used
    for action, version in used:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) and re.fullmatch(r" # v\d+\.\d+\.\d+", version)


def test_what_is_built_is_tried(jobs: Any) -> None:
    for name in ("build", "sdist"):
        steps = [step.get("run", "") for step in jobs[name]["steps"]]
        assert any(".ci/smoke.py" in step for step in steps)
    assert (ROOT / ".ci" / "smoke.py").is_file()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    oldest = project["requires-python"].removeprefix(">=")
    listed = [c.rsplit(" ", 1)[1] for c in project["classifiers"] if re.search(r"Python :: 3\.\d+$", c)]
    assert f"for version in {oldest} {listed[-1]};" in TEXT
    set_up = re.findall(r'id: (\w+)\n.*\n +with:\n +python-version: "([\d.]+)"', TEXT)
    assert set_up == [("oldest", oldest), ("newest", listed[-1])]
