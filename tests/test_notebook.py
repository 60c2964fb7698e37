"""Training in a notebook: each bar is one output that is rewritten, not one for each version of it."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from screens import seen

FIT = """
import numpy as np
import lumbre

x = np.random.rand(40_000, 8).astype("float32")
model = lumbre.Sequential([lumbre.Input((8,)), lumbre.layers.Dense(1)])
model.compile("sgd", "mse")
history = model.fit(x, x.sum(1), batch_size=4, epochs=3)
"""
BAR = "10000/10000 ━━━━━━━━━━━━━━━━━━━━ "


@pytest.fixture(scope="module")
def run() -> Any:
    """Executes cells and gives their outputs."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")

    def execute(*cells: str) -> list[list[Any]]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
            patch.setenv("LUMBRE_CHECK", "0")
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
            nbclient.NotebookClient(notebook, timeout=100, kernel_name="python3").execute()
        return [cell.outputs for cell in notebook.cells]

    return execute


def text(output: Any) -> str:
    return output.text if output.output_type == "stream" else output.data["text/plain"]


# Jupyter's own packages warn of what is not ours.
@pytest.mark.filterwarnings("ignore")
def test_a_notebook(run: Any) -> None:
    fit, evaluated, summary, shown, logged = run(
        FIT,
        "_ = model.evaluate(x, x.sum(1), batch_size=40)",
        "model.summary()",
        "model",
        "import contextlib, io\n"
        "with contextlib.redirect_stdout(io.StringIO()) as file:\n"
        "    model.predict(x, batch_size=40)\n"
        "print(repr(file.getvalue()))",
    )

    bars = [o for o in fit if o.output_type == "display_data"]
    heads = [line for o in fit if o.output_type == "stream" for line in o.text.splitlines()]
    assert len(bars) == 3 and heads == ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"]
    assert sum(len(text(o)) for o in fit) < 1000
    for bar in bars:
        (line,) = seen(text(bar))
        assert line.startswith(BAR) and "/step - loss: " in line

    (bar,) = evaluated
    assert seen(text(bar))[0].startswith("1000/1000 ━━━━━━━━━━━━━━━━━━━━ ")
    assert text(summary[0]).startswith('Model: "sequential"\n┏━') and "\x1b" not in text(summary[0])
    assert "<table>" in shown[0].data["text/html"]

    written = "".join(text(o) for o in logged)  # a cell's output that goes elsewhere is a file
    assert "1000/1000" in written and not any(code in written for code in ("\\r", "\\x08", "\\x1b"))
