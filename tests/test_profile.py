"""Profiles: every step is counted, times add up, reasons are given; without one nothing is timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import ops
from lumbre.profile import BETWEEN, Profile

ROWS, BATCH, FEATURES, UNITS, CLASSES = 150, 32, 12, 24, 5
X = np.random.default_rng(0).random((ROWS, FEATURES), "float32")
Y = np.arange(ROWS) % CLASSES


def make(**settings: Any) -> lumbre.Model:
    lumbre.utils.set_random_seed(1)
    model = lumbre.Sequential(
        [
            lumbre.Input((FEATURES,)),
            lumbre.layers.Dense(UNITS, "relu"),
            lumbre.layers.Dense(CLASSES, "softmax"),
        ],
        name="small",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **settings)
    return model


def steps(p: Profile) -> int:
    return sum(q.steps for q in p.programs) + sum(e.steps for e in p.eager)


def test_fit() -> None:
    """Whole and ragged batches have programs of their own; all steps are counted; the times add up."""
    model = make()
    with lumbre.profile() as p:
        model.fit(X, Y, batch_size=BATCH, epochs=20, verbose=0)
    assert steps(p) == 20 * 5
    assert {(q.step, q.inputs) for q in p.programs} == {
        ("train step of 'small'", f"({b}, {FEATURES}) ({b},)") for b in (BATCH, ROWS % BATCH)
    }
    assert all(e.reason is None and e.steps <= 6 for e in p.eager)
    for q in p.programs:
        assert sum(row.seconds + row.wait for row in q.rows) == pytest.approx(q.seconds)
        assert sum(row.share for row in q.rows) == pytest.approx(1)
        assert [row.share for row in q.rows] == sorted((row.share for row in q.rows), reverse=True)
        assert 0 <= q.team_steps <= q.steps
        assert q.arena_bytes > 0
    assert 0 < p.replayed < p.seconds
    assert p.programs[0].seconds * p.programs[0].steps >= p.programs[1].seconds * p.programs[1].steps


def test_rates() -> None:
    """FLOP, bytes and their rates are those of the operands."""
    model = make()
    with lumbre.profile() as p:
        model.fit(X[:128], Y[:128], batch_size=BATCH, epochs=10, verbose=0)
    first = next(
        row for row in p.rows if row.shapes.startswith(f"({BATCH}, {FEATURES}) ({FEATURES}, {UNITS})")
    )
    assert first.calls == 1
    assert first.flops >= 2 * BATCH * FEATURES * UNITS
    assert first.bytes == 4 * (BATCH * FEATURES + FEATURES * UNITS + UNITS + BATCH * UNITS)
    assert first.gflops == pytest.approx(first.flops / first.seconds / 1e9)
    assert first.gbytes == pytest.approx(first.bytes / first.seconds / 1e9)
    between = next(row for row in p.rows if row.op == BETWEEN)
    assert (between.flops, between.gflops, between.gbytes) == (0, 0.0, 0.0)


def test_calls_of_the_same_shapes_are_one_row() -> None:
    @lumbre.capture
    def twice(x: Any) -> Any:
        return ops.exp(ops.exp(x))

    x = np.zeros((7, 3), "float32")
    with lumbre.profile() as p:
        for _ in range(6):
            twice(x)
    assert steps(p) == 6
    (q,) = p.programs
    assert (q.step, q.inputs, q.steps) == ("twice", "(7, 3)", 4)
    row = next(row for row in q.rows if row.op == "exp")
    assert (row.calls, row.shapes, row.bytes) == (2, "(7, 3)", 2 * 2 * 4 * 21)
    assert "2 × exp" in str(p)


def test_evaluate_and_predict() -> None:
    model = make()
    with lumbre.profile() as p:
        model.evaluate(X, Y, batch_size=10, verbose=0)
        model.predict(X, batch_size=10, verbose=0)
        model.train_on_batch(X, Y)
    assert {q.step for q in p.programs} == {"test step of 'small'", "predict step of 'small'"}
    assert {e.step for e in p.eager} >= {"train step of 'small'"}
    assert steps(p) == 15 + 15 + 1


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Nobody to wait for, however busy the machine."""
    threads = lumbre.get_num_threads()
    lumbre.set_num_threads(1)
    yield
    lumbre.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_time_is_where_it_is() -> None:
    """A step with one large product spends its time there, and no more than the clock on the wall shows."""

    @lumbre.capture
    def product(a: Any) -> Any:
        return ops.mean(ops.matmul(a, a))

    a = lumbre.Tensor(np.ones((700, 700), "float32"))
    product(a), product(a)
    start = time.perf_counter()
    with lumbre.profile() as p:
        for _ in range(8):
            product(a)
    assert p.rows[0].op == "matmul"
    assert p.rows[0].share > 0.5
    assert p.replayed <= p.seconds <= time.perf_counter() - start
    assert ", 1 thread\n" in str(p)


def test_nothing_is_timed_without_a_profile() -> None:
    model = make()
    with lumbre.profile() as p:
        model.fit(X, Y, batch_size=BATCH, epochs=4, verbose=0)
    seen = steps(p)
    model.fit(X, Y, batch_size=BATCH, epochs=4, verbose=0)
    assert steps(p) == seen
    entries = model._runner("train")._captured._entries.values()
    assert [e.program.times() for e in entries] == [None, None]


def test_results_stay_the_same() -> None:
    models = [make(), make()]
    for model, profiled in zip(models, (False, True), strict=True):
        np.random.seed(0)
        if profiled:
            with lumbre.profile():
                model.fit(X, Y, epochs=5, verbose=0)
        else:
            model.fit(X, Y, epochs=5, verbose=0)
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(a, b)


def test_says_why_a_step_ran_in_python() -> None:
    model = make(run_eagerly=True)
    with lumbre.profile() as p:
        model.fit(X, Y, batch_size=BATCH, verbose=0)
    assert not p.programs
    assert [(e.step, e.steps) for e in p.eager] == [("train step of 'small'", 5)]
    assert "train step of 'small': 5 in Python, because compile(run_eagerly=True) asks for it" in str(p)

    @lumbre.capture
    def reads(x: Any) -> Any:
        return x if x.numpy().sum() > 0 else -x

    with lumbre.profile() as p, pytest.warns(UserWarning, match="'reads' run in Python"):
        for _ in range(5):
            reads([1.0])
    assert steps(p) == 5
    assert "reads: 5 in Python, because the value of a tensor of shape (1,) was read in Python" in str(p)


def test_steps_recorded_again_and_again_are_counted() -> None:
    model = make()
    model.fit(X[:128], Y[:128], verbose=0)
    with lumbre.profile() as p:
        for _ in range(4):
            model.layers[0].tag = object()  # every step has to be recorded anew
            model.fit(X[:BATCH], Y[:BATCH], verbose=0)
    assert [(e.steps, e.reason) for e in p.eager] == [(4, None)]
    assert "shapes or attributes keep changing" in str(p)


def test_the_table() -> None:
    model = make()
    with lumbre.profile() as p:
        model.fit(X, Y, batch_size=BATCH, epochs=10, verbose=0)
    lines = str(p).splitlines()
    heads = [i for i, line in enumerate(lines) if line.split()[:2] == ["call", "µs"]]
    assert len(heads) == 2
    assert lines[heads[0] - 1].startswith(f"train step of 'small', ({BATCH}, {FEATURES}) ({BATCH},): ")
    shown = lines[heads[0] + 1 : heads[0] + 1 + len(p.programs[0].rows)]
    for line, row in zip(shown, p.programs[0].rows, strict=True):
        assert row.op in line
        assert f"{row.share:.0%}" in line.split()


def test_one_at_a_time() -> None:
    with lumbre.profile() as outer:
        with pytest.raises(RuntimeError, match="another profile is open"), lumbre.profile():
            pass
        make().predict(X, batch_size=10, verbose=0)
    assert steps(outer) == 15  # the refused one has not disturbed it
    with pytest.raises(ZeroDivisionError), lumbre.profile():
        _ = 1 / 0
    with lumbre.profile() as p:  # the last one has closed all the same
        pass
    assert str(p).startswith("nothing to show: no step of fit")
