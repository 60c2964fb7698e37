"""Documentation is a program: pages print what they say they print, docstring examples and examples run."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import itertools
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import lumbre

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = ["lumbre", *(m.name for m in pkgutil.walk_packages(lumbre.__path__, "lumbre."))]

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
TIME = re.compile(r"\d+(?:\.\d+)? ?(?:s|ms|us|µs)\b")
NUMBER = re.compile(r"(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)")


class Block(NamedTuple):
    """Code of a page, the line before it, and the output that the page shows below it, if any."""

    code: str
    line: int
    output: str | None


def blocks(text: str) -> Iterator[Block]:
    """The Python blocks of a page, each with the `text` block that directly follows."""
    fences = list(FENCED.finditer(text))
    for fence, after in itertools.zip_longest(fences, fences[1:]):
        if fence[1] != "python":
            continue
        shown = after is not None and after[1] == "text" and not text[fence.end() : after.start()].strip()
        yield Block(fence[2], text.count("\n", 0, fence.start(2)), after[2] if shown else None)


def run(block: Block, page: Path, names: dict[str, Any]) -> str:
    """What the block prints. A traceback names the page and its line."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * block.line + block.code, str(page), "exec"), names)
    return printed.getvalue()


def assert_shows(shown: str, printed: str) -> None:
    """Compares line by line; a shown line `...` stands for any number of lines.

    Durations are not compared, nor is how many spaces there are. Numbers may differ by one in the last digit
    shown: ours are the same on every machine, but pages use NumPy and Python's `math` as well.
    """
    expected, got = ([line.rstrip() for line in text.splitlines()] for text in (shown, printed))
    if "..." in expected:
        cut = expected.index("...")
        tail = len(expected) - cut - 1
        assert len(got) >= cut + tail, f"expected {shown!r}, printed {printed!r}"
        del expected[cut]
        got = got[:cut] + got[len(got) - tail :]
    assert len(expected) == len(got), f"expected:\n{shown}\nprinted:\n{printed}"
    for e, g in zip(expected, got, strict=True):
        assert same_line(e, g), f"expected: {e}\nprinted:  {g}\nin:\n{printed}"


def same_line(expected: str, got: str) -> bool:
    a, b = (NUMBER.split(" ".join(TIME.sub("(time)", line).split())) for line in (expected, got))
    if a[::2] != b[::2]:
        return False
    return all(
        abs(float(x) - float(y)) <= 1.001 * last_digit(x) for x, y in zip(a[1::2], b[1::2], strict=True)
    )


def last_digit(number: str) -> float:
    """What one in the last digit of a printed number is worth; 0 for whole numbers, which must be equal."""
    digits, _, exponent = number.partition("e")
    _, point, fraction = digits.partition(".")
    return 10.0 ** (int(exponent or 0) - len(fraction)) if point or exponent else 0.0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_prints_what_it_shows(page: Path) -> None:
    lumbre.utils.clear_session()
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page.read_text("utf-8")):
        assert_shows(block.output or "", run(block, page, names))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in LINK.findall(page.read_text("utf-8")) if not (page.parent / link).exists()]
    assert not broken


def test_the_index_lists_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / link).resolve() for link in LINK.findall(index.read_text("utf-8"))}
    assert set(PAGES) - {index} <= listed


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    lumbre.utils.clear_session()
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def example(script: str, *arguments: str, cwd: Path) -> str:
    """What an example prints, run as a user runs it."""
    environment = {k: v for k, v in os.environ.items() if k not in ("LUMBRE_DATA", "LUMBRE_CHECK")}
    paths = [str(Path(lumbre.__file__).parents[1]), environment.get("PYTHONPATH", "")]
    environment |= {"MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8", "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / script, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def logged(output: str, name: str) -> list[float]:
    """The values of a metric at the ends of the epochs."""
    return [float(value) for value in re.findall(rf" {name}: (\S+)", output)]


def test_first_training(tmp_path: Path) -> None:
    output = example("first_training.py", cwd=tmp_path)
    loss, accuracy = logged(output, "loss"), logged(output, "accuracy")
    assert len(loss) == len(accuracy) == 50
    assert 2.2 < loss[0] < 2.6
    assert loss[-1] <= 0.05
    assert accuracy[-1] >= 0.99
    assert 0.03 < logged(output, "val_accuracy")[-1] < 0.2  # the labels are random


def test_demo(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    output = example("demo.py", "--plot", "curves.png", cwd=tmp_path)
    found = re.search(r"^test accuracy ([\d.]+)% after 40 epochs", output, re.MULTILINE)
    assert found is not None
    assert float(found[1]) >= 97
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("0.51 nats\n", "0.52 nats\n", True),
        ("0.51 nats\n", "0.53 nats\n", False),
        ("0.51 nats\n", "0.51 bits\n", False),
        ("epoch 3\n", "epoch 4\n", False),
        ("1.5e-05\n", "1.6e-05\n", True),
        ("1.5e-05\n", "1.5e-04\n", False),
        ("25/25 ━ 0s 2ms/step - loss: 1.2\n", "25/25 ━ 1s 150us/step - loss: 1.2\n", True),
        ("a  b\n", "a b\n", True),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\nd\n", "a\nb\nc\n", False),
        ("a\n", "a\nb\n", False),
    ],
)
def test_the_comparison(shown: str, printed: str, same: bool) -> None:
    with contextlib.nullcontext() if same else pytest.raises(AssertionError):
        assert_shows(shown, printed)
