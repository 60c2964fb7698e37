"""Scripts of the forms that Keras users write, run by the real Keras and, the import line changed, by Lumbre.

Each file in `scripts/` is run twice in this process. What must agree: every loss to 1e-4, the keys of every
`History`, and every line as it finally stands in the terminal, but for times and the last digit of numbers.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keras_reference
import lumbre

SCRIPTS = sorted(Path(__file__).with_name("scripts").glob("*.py"))

IN_PYTHON = {
    # The script reads the loss of every batch in its callback; the step itself is captured all the same.
}
"""Scripts whose steps are not captured, and the words of the line that says why."""

NEEDS = {"pandas_frame": "pandas", "saved_and_loaded": "h5py"}


def as_lumbre(source: str) -> str:
    """The script with its import lines changed."""
    source = re.sub(r"^import keras$", "import lumbre as keras", source, flags=re.M)
    return re.sub(r"^from keras\b", "from lumbre.keras", source, flags=re.M)


class Run:
    """A script that has run: what it printed, what it left behind, how its steps ran."""

    def __init__(self, path: Path, ours: bool) -> None:
        source = path.read_text()
        code = compile(as_lumbre(source) if ours else source, str(path), "exec")
        self.names: dict[str, Any] = {"__name__": "__main__"}
        with warnings.catch_warnings(record=True) as self.warned, Screen() as screen:
            warnings.simplefilter("always")
            if ours:
                with lumbre.profile() as self.profile:
                    exec(code, self.names)
            else:
                exec(code, self.names)
        self.lines = final_lines(screen.getvalue())

    def histories(self) -> list[Any]:
        """Every history that the script kept, in the order of its names."""
        found = [v for v in self.names.values() if type(v).__name__ == "History"]
        return found + list(self.names.get("histories", []))


class Screen(io.StringIO):
    """Standard output while a script runs."""

    def __enter__(self) -> Screen:
        self._redirected = contextlib.redirect_stdout(self)
        self._redirected.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._redirected.__exit__(*error)


def final_lines(text: str) -> list[str]:
    """What a terminal shows in the end: carriage returns and backspaces done, colours and times taken out."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = []
    for written in text.split("\n"):
        line: list[str] = []
        at = 0
        for c in written:
            if c in "\r\b":
                at = 0 if c == "\r" else max(0, at - 1)
                continue
            line[at : at + 1] = [c]
            at += 1
        lines.append(without_times("".join(line).rstrip()))
    return lines


def without_times(line: str) -> str:
    line = re.sub(r"\d+(s|ms|us)/(step|epoch)", "TIME", line)
    return re.sub(r"(?<=[ ])\d+(:\d\d)*s?(?= (- )?TIME)", "ELAPSED", line)


NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]\d+)?")


def assert_same_line(ours: str, theirs: str) -> None:
    """The same text; numbers with decimals as near as float32 training makes them."""
    assert squeezed(NUMBER.sub("#", ours)) == squeezed(NUMBER.sub("#", theirs))
    for a, b in zip(NUMBER.findall(ours), NUMBER.findall(theirs), strict=True):
        assert float(a) == pytest.approx(float(b), rel=1e-3, abs=2e-4), (ours, theirs)


def squeezed(line: str) -> str:
    return re.sub(r" +", " ", line)


@pytest.fixture
def one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every shuffle of n samples gives the same order: Keras draws one more than it uses, at the start."""

    def permutation(x: Any) -> np.ndarray:
        rows = np.arange(x) if isinstance(x, (int, np.integer)) else np.array(x)
        return rows[np.random.RandomState(len(rows)).permutation(len(rows))]

    def shuffle(x: np.ndarray) -> None:
        x[:] = permutation(x)

    monkeypatch.setattr(np.random, "permutation", permutation)
    monkeypatch.setattr(np.random, "shuffle", shuffle)


@pytest.mark.usefixtures("one_order")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem])
    monkeypatch.setitem(sys.modules, "script_tools", __import__("script_tools"))
    monkeypatch.setenv("COLUMNS", "100")
    keras_reference.keras.backend.clear_session()
    theirs = Run(path, ours=False)
    lumbre.utils.clear_session()
    ours = Run(path, ours=True)

    assert len(ours.histories()) == len(theirs.histories())
    for a, b in zip(ours.histories(), theirs.histories(), strict=True):
        assert list(a.history) == list(b.history)
        assert a.epoch == b.epoch
        for key in b.history:
            tolerance = 1e-4 if "loss" in key else 1e-3
            np.testing.assert_allclose(a.history[key], b.history[key], rtol=tolerance, atol=1e-6, err_msg=key)
    if "losses" in theirs.names:
        np.testing.assert_allclose(ours.names["losses"], theirs.names["losses"], rtol=1e-4)

    for a, b in zip(ours.lines, theirs.lines, strict=True):
        assert_same_line(a, b)

    reasons = {e.reason for e in ours.profile.eager if e.reason}
    expected = IN_PYTHON.get(path.stem)
    if expected is None:
        assert not reasons
        assert ours.profile.programs
    else:
        assert any(expected in str(w.message) for w in ours.warned)


def test_there_are_thirty() -> None:
    assert len(SCRIPTS) >= 30
