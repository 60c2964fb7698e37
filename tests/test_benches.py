"""The benches count what they say they count, and every workload runs; times are for `make bench`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def benches() -> Iterator[Any]:
    """`benches/run.py`, imported; it finds its neighbours by itself."""
    sys.path.insert(0, str(ROOT / "benches"))
    import run

    yield run
    sys.path.remove(str(ROOT / "benches"))


@pytest.mark.parametrize(
    ("name", "flops", "parameters"),
    [("mission", 14.5e6, 109_386), ("mnist", 411e6, 669_706), ("wide", 36.4e9, 25_076_712)],
)
def test_flops(benches: Any, name: str, flops: float, parameters: int) -> None:
    workload = benches.WORKLOADS[name]
    assert workload.flops == pytest.approx(flops, rel=5e-3)
    assert workload.parameters == parameters


def test_floor(benches: Any) -> None:
    mission = benches.WORKLOADS["mission"]
    measured = {"fma": 1e12, "barrier": 1e-6, "threads": 2, "adam_stream": {"109386": 5e-5}}
    assert benches.measure.floor(mission, measured) == pytest.approx(14.5e-6 + 5e-5 + 8e-6, rel=1e-3)
    assert benches.measure.floor(mission, measured | {"threads": 1}) == pytest.approx(64.5e-6, rel=1e-3)
    assert benches.measure.floor(benches.WORKLOADS["call"], measured) == 0


def test_any_network_can_be_measured(benches: Any) -> None:
    workload = benches.other("300-200-77-13/48")
    assert (workload.sizes, workload.batch, workload.steps) == ((300, 200, 77, 13), 48, 100)
    for wrong in ("300-200", "300/48", "300-x/48", "300-0/48"):
        with pytest.raises(ValueError):
            benches.other(wrong)


def test_every_form_of_data_is_fed(benches: Any, tmp_path: Path) -> None:
    import feeding

    x, y = feeding.forms(tmp_path, 300)["array"]()
    assert 0.15 < np.count_nonzero(x) / x.size < 0.25
    model = feeding.network()
    expected = model.evaluate(x, y, feeding.BATCH, verbose=0)
    for name, make in feeding.forms(tmp_path, 300).items():
        data, labels = make()
        ours = model.evaluate(data, labels, None if labels is None else feeding.BATCH, verbose=0)
        assert ours == pytest.approx(expected, rel=1e-6), name
        start, seconds = feeding.measure(feeding.network(), data, labels, 1)
        assert 0 <= start < 60 and 0 < seconds < 60


def test_the_script_differs_in_its_import_only(benches: Any) -> None:
    source = benches.SCRIPT.read_text("utf-8")
    assert source.count(benches.OURS_IMPORT) == 1
    assert "lumbre" not in source.replace(benches.OURS_IMPORT, benches.KERAS_IMPORT)


@pytest.mark.parametrize("name", ["mission", "mnist", "tiny", "call", "predict", "30-20-7/48"])
def test_a_worker_works(name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benches" / "worker.py"), "lumbre_peer", "", name, "1"],
        input="0.01\n0.02\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    start, *answers = map(json.loads, done.stdout.splitlines())
    assert start["import_s"] > 0 and start["first_s"] > 0
    assert len(answers) == 2
    assert all(a["steps"] >= 1 and a["seconds"] > 0 and a["memory_mb"] > 10 for a in answers)


def test_tables(benches: Any) -> None:
    result, report = benches.measure.Result, benches.report
    outcome = benches.Outcome(
        "mission",
        "the network",
        [
            result("lumbre", [1e-4, 3e-4, 2e-4], 60.0, 0.05, 0.1),
            result("jax jit", [6e-4, 6e-4, 7e-4], 400.0, 0.5, 2.0),
            result("torch eager", [9e-4, 8e-4, 9e-4], 700.0, 2.0, 3.0),
        ],
        flops=2e7,
        floor=1.5e-4,
        machine={"level": "avx2", "threads": 2, "fma": 2e11, "barrier": 1e-6},
    )
    script = benches.Outcome(
        "script", "the script", [result("lumbre", [0.5], 70.0), result("keras jax", [5.0], 500.0)]
    )
    table = report.table(outcome).splitlines()
    assert " ".join(table[4].split()) == "lumbre 200.0 100.0 300.0 1.00× 100.0 75% 0.10 0.05 60"
    assert table[-1].strip() == "3.00 times as fast as the best peer, jax jit"
    assert "10.00× " in report.table(script)
    rows = [
        [c.strip() for c in line.split("|")[1:-1]] for line in report.markdown([outcome, script]).splitlines()
    ]
    assert rows[0] == [
        "",
        "Lumbre",
        "JAX `jit`",
        "Keras on JAX",
        "PyTorch",
        "against the best",
        "of the floor",
    ]
    assert rows[2] == ["the network, µs", "**200**", "600", "", "900", "3.0 ×", "75%"]
    assert rows[3] == ["the script, s", "**0.50**", "", "5.00", "", "10.0 ×", ""]
    assert {len(row) for row in rows} == {7}


def test_steps_of_ones_own_train_as_fit_does(benches: Any) -> None:
    import loops

    rng = np.random.default_rng(0)
    x, y = rng.random((640, loops.SIZES[0]), dtype="float32"), rng.integers(0, loops.SIZES[-1], 640)
    models = [loops.network(kind) for kind in (loops.Plain, loops.WithTape, loops.WithBackward)]
    for model in models:
        model.set_weights(models[0].get_weights())
    histories = [model.fit(x, y, loops.BATCH, epochs=2, shuffle=False, verbose=0).history for model in models]
    assert histories[1] == histories[2] == histories[0]
    assert len(histories[0]["loss"]) == 2 and histories[0]["loss"][1] < histories[0]["loss"][0]
