"""The progress bar: character for character that of Keras in a terminal, plain lines in a file."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import config, console
from lumbre.utils import progbar
from screens import seen

STEPS = [(1, 0.5, 1e-4), (2, 0.25, -0.5), (7, 1234.5, 0.0), (10, 0.125, 3.0)]


class Screen(io.StringIO):
    """A terminal, or a file, that keeps what is written."""

    def __init__(self, terminal: bool, encoding: str = "utf-8") -> None:
        super().__init__()
        self.terminal, self._encoding, self.writes = terminal, encoding, 0

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return self.terminal and not self.closed

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(terminal: bool = True, encoding: str = "utf-8") -> Screen:
        screen = Screen(terminal, encoding)
        monkeypatch.setattr(sys, "stdout", screen)
        return screen

    return make


def run(bar: Any, clock: Clock, seconds: float, steps: list[tuple[int, float, float]] = STEPS) -> None:
    for current, loss, other in steps:
        clock.now += seconds
        bar.update(current, [("loss", loss), ("other", other)])


@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("seconds", [2e-5, 0.004, 0.06, 1.7, 45.0, 900.0])
@pytest.mark.parametrize("target", [10, 1000, None])
def test_same_as_keras(verbose: int, seconds: float, target: int | None, clock: Clock, screen: Any) -> None:
    keras = pytest.importorskip("keras")
    ours, theirs = screen(), None
    run(lumbre.utils.Progbar(target, verbose=verbose, stateless_metrics=[]), clock, seconds)
    clock.now, theirs = 1000.0, screen()
    run(keras.utils.Progbar(target, verbose=verbose, stateless_metrics=[]), clock, seconds)
    assert ours.getvalue() == theirs.getvalue()


def test_averages_like_keras(clock: Clock, screen: Any) -> None:
    keras = pytest.importorskip("keras")
    ours = screen()
    run(lumbre.utils.Progbar(12, stateful_metrics=["other"]), clock, 0.1)
    clock.now, theirs = 1000.0, screen()
    run(keras.utils.Progbar(12, stateful_metrics=["other"]), clock, 0.1)
    assert ours.getvalue() == theirs.getvalue()


def test_a_file_gets_one_plain_line(clock: Clock, screen: Any) -> None:
    file = screen(terminal=False)
    run(lumbre.utils.Progbar(10), clock, 0.5)
    text = file.getvalue()
    assert not set(text) & set("\r\b\x1b")
    assert text == "10/10 ━━━━━━━━━━━━━━━━━━━━ 2s 167ms/step - loss: 0.1250 - other: 3.0000\n"


def test_an_encoding_without_the_bar_gets_ascii(clock: Clock, screen: Any) -> None:
    file = screen(encoding="ascii")
    run(lumbre.utils.Progbar(10), clock, 0.5)
    file.getvalue().encode("ascii")
    assert "[>...................]" in file.getvalue() or "[=>..................]" in file.getvalue()
    assert "[=============>......]" in file.getvalue()
    assert "[====================]" in file.getvalue()


def test_writes_are_rare(clock: Clock, screen: Any) -> None:
    terminal = screen()
    bar = lumbre.utils.Progbar(10_000)
    for step in range(1, 10_001):
        clock.now += 1e-3
        bar.update(step, [("loss", 1.0)])
    assert terminal.writes <= 10 / 0.05 + 2


def test_no_output_at_all_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    lumbre.utils.Progbar(1).update(1)


def test_both_lists_of_names_are_refused() -> None:
    with pytest.raises(ValueError, match="Only one of `stateful_metrics` or `stateless_metrics`"):
        lumbre.utils.Progbar(1, stateful_metrics=[], stateless_metrics=[])


def model() -> Any:
    model = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


X = np.ones((40, 3), "float32")
Y = np.ones((40, 1), "float32")


def test_fit_into_a_file(screen: Any) -> None:
    file = screen(terminal=False)
    model().fit(X, Y, batch_size=8, epochs=2, validation_split=0.2)
    lines = file.getvalue().splitlines()
    assert [lines[0], lines[2]] == ["Epoch 1/2", "Epoch 2/2"] and len(lines) == 4
    assert lines[1].startswith("4/4 ━━━━━━━━━━━━━━━━━━━━ 0s ")
    names = [part.split(":")[0] for part in lines[1].split(" - ")[1:]]
    assert names == ["loss", "mae", "val_loss", "val_mae"]


def test_fit_with_one_epoch_and_verbose_2(screen: Any) -> None:
    file = screen()
    model().fit(X, Y, verbose=2)
    text = file.getvalue()
    assert text.startswith("2/2 - 0s - ") and "/step - loss: " in text and text.count("\n") == 1


def test_silence(screen: Any) -> None:
    file = screen()
    m = model()
    m.fit(X, Y, verbose=0, epochs=2)
    m.evaluate(X, Y, verbose=0)
    m.predict(X, verbose=0)
    assert file.getvalue() == ""


def test_evaluate_and_predict_show_a_bar(screen: Any) -> None:
    file = screen()
    model().evaluate(X, Y)
    assert "2/2" in file.getvalue() and "loss: " in file.getvalue() and file.getvalue().endswith("\n")
    file = screen()
    model().predict(X, batch_size=4)
    assert "10/10" in file.getvalue() and "loss" not in file.getvalue()


def test_an_iterable_of_unknown_length(screen: Any) -> None:
    class Batches:
        def __iter__(self) -> Any:
            return iter([(X[:10], Y[:10])] * 3)

    file = screen()
    model().fit(Batches(), epochs=2, shuffle=False)
    first, second = file.getvalue().split("Epoch 2/2")
    assert "      1/Unknown" in first and "3/3" in first and "Unknown" not in second


def test_the_bar_is_cheap(clock: Clock, screen: Any) -> None:
    """Between writes, a call of the loop asks the bar whether it is due, and nothing else happens."""
    screen()
    bar = lumbre.callbacks.ProgbarLogger()
    hooks = lumbre.callbacks.CallbackList([bar], verbose=1, epochs=1, steps=100)
    hooks.on_train_begin()
    hooks.on_epoch_begin(0)
    asked: list[int] = []

    def logs() -> dict[str, float]:
        asked.append(1)
        return {"loss": 1.0}

    for step in range(100):
        clock.now += 1e-3
        hooks.tick("train", step, logs)
    assert len(asked) <= 4
    assert not hooks.wants("train")


def test_the_module_writes_to_standard_output_only() -> None:
    assert progbar._duration(59.9) == "59s" and progbar._duration(61) == "1:01"
    assert progbar._duration(3700) == "1:01:40"


# ---------------------------------------------------------------------------- all kinds of outputs, in fact

TRAINING = """
import sys
import numpy as np
import {library} as keras

x = np.ones((40, 3), "float32")
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(x, x.sum(1), batch_size=4, epochs={epochs}, steps_per_epoch={steps})
"""


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k != "PYCHARM_HOSTED"}
    return {**kept, "PYTHONPATH": os.pathsep.join(sys.path), "LUMBRE_CHECK": "0", **more}


def in_a_terminal(code: str, columns: int = 120) -> str:
    """What a program writes to a terminal of that width."""
    pty = pytest.importorskip("pty")
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=theirs, stderr=subprocess.PIPE, env=environment()
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux's way to say that nobody writes any more
            break
        if not piece:
            break
        written += piece
    os.close(ours)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()
    return written.decode().replace("\r\n", "\n")


def into_a_file(code: str, path: Path, **more: str) -> str:
    """What a program writes to a file."""
    with path.open("wb") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, env=environment(**more), check=True)
    return path.read_bytes().decode(more.get("PYTHONIOENCODING", "utf-8"))


def without_times(lines: list[str]) -> list[str]:
    """Lines whose times and losses are left out."""
    return [line.partition(" - ")[0].rsplit(" ", 2)[0] for line in lines if line]


def test_a_real_terminal(tmp_path: Path) -> None:
    code = TRAINING.format(library="lumbre", epochs=2, steps="None")
    written = in_a_terminal(code)
    lines = seen(written)
    assert without_times(lines) == ["Epoch", "10/10 ━━━━━━━━━━━━━━━━━━━━"] * 2
    assert "\x1b[32m" in written and "\r" in written and lines[1].endswith(lines[1].split("loss: ")[1])


def test_the_last_state_of_each_line_is_that_of_keras(tmp_path: Path) -> None:
    pytest.importorskip("keras")
    ours, theirs = (
        seen(into_a_file(TRAINING.format(library=library, epochs=2, steps="None"), tmp_path / library))
        for library in ("lumbre", "keras")
    )
    assert without_times(ours) == without_times(theirs)


def test_a_narrow_terminal() -> None:
    """What is rewritten never goes on into a second line; the last state may."""
    written = in_a_terminal(TRAINING.format(library="lumbre", epochs=3, steps="None"), columns=40)
    for version in written.replace("\n", "\r").split("\r")[:-1]:
        shown = seen(version.replace("\b", ""))[0]
        assert len(shown) < 40 or shown.startswith("10/10"), shown
    assert "10/10 ━━━━━━━━━━━━━━━━━━━━ 0s " in "".join(seen(written))


def test_a_long_training_makes_a_short_log(tmp_path: Path) -> None:
    text = into_a_file(TRAINING.format(library="lumbre", epochs=20, steps=1000), tmp_path / "log")
    assert len(text.encode()) < 20 * 150
    assert len(text.splitlines()) == 40 and not set(text) & set("\r\b\x1b")


def test_a_file_is_told_of_a_long_epoch(clock: Clock, screen: Any) -> None:
    file = screen(terminal=False)
    bar = lumbre.utils.Progbar(1000)
    for step in range(1, 1001):
        clock.now += 1.0
        assert bar.due() == (clock.now - 1000.0 in (1.0, 60.0, 120.0, 240.0, 480.0, 960.0))
        bar.update(step, [("loss", 1.0)])
    lines = file.getvalue().splitlines()
    assert [line.split("/")[0].strip() for line in lines] == ["60", "120", "240", "480", "960", "1000"]
    assert "15:40 1s/step" in lines[0]


def test_pycharm_rewrites_its_line(monkeypatch: pytest.MonkeyPatch, clock: Clock, screen: Any) -> None:
    pane = screen(terminal=False)
    monkeypatch.setenv("PYCHARM_HOSTED", "1")
    run(lumbre.utils.Progbar(10), clock, 0.5)
    assert pane.getvalue().count("\r") == 4 and len(seen(pane.getvalue())) == 2


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437"])
def test_every_encoding_can_be_written(encoding: str, tmp_path: Path) -> None:
    code = TRAINING.format(library="lumbre", epochs=2, steps="None") + "model.summary()\nprint('the end')"
    lines = into_a_file(code, tmp_path / "log", PYTHONIOENCODING=encoding).splitlines()
    assert lines[1].startswith("10/10 [====================] 0s ") and lines[-1] == "the end"
    table = [line for line in lines if line.startswith(("+", "|"))]
    assert len(table) == 5 and len({len(line) for line in table}) == 1
    assert table[0].startswith("+=") and table[3].startswith("| dense (Dense) ")


def test_no_output_or_a_closed_one_does_not_stop_a_training(
    monkeypatch: pytest.MonkeyPatch, screen: Any
) -> None:
    closed = screen()
    closed.close()
    m = model()
    for output in (None, closed):
        monkeypatch.setattr(sys, "stdout", output)
        assert len(m.fit(X, Y, epochs=2).history["loss"]) == 2
        m.summary()


def test_an_output_that_is_closed_during_training(screen: Any) -> None:
    output = screen()

    class Closing(lumbre.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            output.close()

    assert len(model().fit(X, Y, epochs=2, callbacks=[Closing()]).history["loss"]) == 2


def test_an_output_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare:  # neither `isatty` nor `encoding`
        def __init__(self) -> None:
            self.text = ""

        def write(self, text: str) -> None:
            self.text += text

        def flush(self) -> None:
            pass

    for output in (io.StringIO(), Bare()):
        monkeypatch.setattr(sys, "stdout", output)
        model().fit(X, Y)
        text = output.getvalue() if isinstance(output, io.StringIO) else output.text
        assert text.startswith("2/2 ━━━━━━━━━━━━━━━━━━━━ 0s ") and text.count("\n") == 1


def test_disabled_interactive_logging(screen: Any, caplog: pytest.LogCaptureFixture) -> None:
    output = screen()
    caplog.set_level(logging.INFO, "lumbre")
    config.disable_interactive_logging()
    try:
        m = model()
        m.fit(X, Y, epochs=2)
        m.summary()
    finally:
        config.enable_interactive_logging()
    assert output.getvalue() == ""
    first, bar, *_, table = caplog.messages
    assert (
        first == "Epoch 1/2" and bar.startswith("2/2 ━") and "\r" not in bar and table.startswith("Model: ")
    )
    assert len(caplog.messages) == 5


def test_what_cannot_be_encoded_is_replaced(screen: Any) -> None:
    output = screen(encoding="ascii")
    console.show("┏━┳┓ │…│ ñ")
    assert output.getvalue() == "+=++ |.| ?\n"
