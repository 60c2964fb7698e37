"""`lumbre inspect`: of the folder of a checkpoint, and into a pipe."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lumbre
from lumbre import cli, saving


def test_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`lumbre inspect` tells of a checkpoint's folder where it is, and names what is damaged."""
    model = lumbre.Sequential([lumbre.Input((2,)), lumbre.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((40, 2), "float32")
    model.fit(x, x[:, :1], 8, epochs=2, verbose=0, checkpoint=saving.Checkpoint(tmp_path / "r", every=4))
    folder = str(tmp_path / "r" / "checkpoint-000001")
    assert cli.main(["inspect", folder]) == 0
    printed = capsys.readouterr().out
    assert "after 4 batches of epoch 0" in printed and "optimizer/0 " in printed and "hash OK" in printed
    assert cli.main(["inspect", str(tmp_path)]) == 1
    assert "no manifest.json" in capsys.readouterr().err
    state = Path(folder, "state.json")
    state.write_bytes(b"[" * state.stat().st_size)
    assert cli.main(["inspect", folder]) == 1
    assert "state.json" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="pipes are asked for what they do on POSIX systems")
def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    """`lumbre inspect FILE | head -1` ends without a complaint."""
    path = tmp_path / "many.lumbre"
    layers = [lumbre.layers.Dense(2) for _ in range(2000)]
    lumbre.Sequential([lumbre.Input((2,)), *layers]).save_weights(path)
    shell = f"{shlex.quote(sys.executable)} -m lumbre inspect {shlex.quote(str(path))} | head -1"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=100, check=True)
    assert "4000 tensors" in done.stdout and done.stderr == ""
