"""The progress bar: character for character that of Keras in a terminal, plain lines in a file."""

from __future__ import annotations

import io
import sys
import time
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre.utils import progbar

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
        return self.terminal

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
