"""What goes wrong around a training run: exceptions in users' code, memory that ends, output that closes.

In every case a clear exception, or none, and a process in which everything can still be used.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumbre
from processes import script

RNG = np.random.default_rng(0)
X, Y = RNG.random((256, 8), dtype="float32"), RNG.integers(0, 3, 256)


class Planned(Exception):
    """What users' code raises in these tests."""


def network(loss: Any = "sparse_categorical_crossentropy", metrics: Any = None) -> Any:
    model = lumbre.Sequential(
        [lumbre.Input((8,)), lumbre.layers.Dense(16, "relu"), lumbre.layers.Dense(3, "softmax")]
    )
    model.compile("adam", loss, metrics=metrics)
    return model


# Exceptions in users' code


class Raises(lumbre.callbacks.Callback):
    """Raises in one hook, at its third call."""

    def __init__(self, hook: str) -> None:
        super().__init__()
        self.calls = 0
        setattr(self, hook, self._count)

    def _count(self, *args: Any) -> None:
        self.calls += 1
        if self.calls == 3:
            raise Planned


@pytest.mark.parametrize(
    "hook",
    ["on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end", "on_test_batch_end"],
)
def test_a_callback_raises(hook: str) -> None:
    model = network()
    with pytest.raises(Planned):
        model.fit(X, Y, epochs=4, verbose=0, validation_split=0.25, callbacks=[Raises(hook)])
    usable(model)


def broken_batches() -> Iterator[Any]:
    for start in range(0, 96, 32):
        yield X[start : start + 32], Y[start : start + 32]
    raise Planned


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_a_generator_raises(method: str) -> None:
    model = network()
    options = {"shuffle": False} if method == "fit" else {}
    with pytest.raises(Planned):
        getattr(model, method)(broken_batches(), verbose=0, **options)
    usable(model)


def raising(after: int) -> Callable[..., Any]:
    """A loss or metric that raises at a later call: while recording, before anything is replayed."""
    calls = 0

    def function(y_true: Any, y_pred: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == after:
            raise Planned
        return lumbre.ops.mean(lumbre.ops.square(y_pred - 0.5), axis=-1)

    return function


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_loss_raises(after: int) -> None:
    model = network(raising(after))
    before = model.get_weights()
    try:
        model.fit(X, Y, verbose=0)
    except Planned:
        pass
    else:
        assert after == 3  # two steps are recorded; from then on none of them runs in Python
    assert len(model.get_weights()) == len(before)
    usable(model)


def test_a_metric_raises() -> None:
    model = network("mse", [raising(2)])
    with pytest.raises(Planned):
        model.fit(X, RNG.random((256, 3), dtype="float32"), verbose=0)
    usable(model)


def test_a_layer_raises() -> None:
    class Sometimes(lumbre.layers.Layer):
        on = False

        def call(self, inputs: Any) -> Any:
            if self.on:
                raise Planned
            return inputs

    layer = Sometimes()
    model = lumbre.Sequential(
        [lumbre.Input((8,)), lumbre.layers.Dense(16, "relu"), layer, lumbre.layers.Dense(3)]
    )
    model.compile("adam", "mse")
    targets = RNG.random((256, 3), dtype="float32")
    model.fit(X, targets, verbose=0)
    layer.on = True
    with pytest.raises(Planned):
        model.fit(X, targets, verbose=0)
    layer.on = False
    usable(model, targets)


def usable(model: Any, y: np.ndarray = Y) -> None:
    """The model learns on, as it stands, like any other model with the same state."""
    if y is Y:
        model.compile("adam", "sparse_categorical_crossentropy")
    losses = model.fit(X, y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(model.predict(X, verbose=0), model(X).numpy(), rtol=1e-5, atol=1e-6)


# Memory that ends

LIMITED = """
import gc, resource
import numpy as np
import lumbre

def network(features, units):
    hidden = lumbre.layers.Dense(units, "relu")
    model = lumbre.Sequential([lumbre.Input((features,)), hidden, lumbre.layers.Dense(3)])
    model.compile("adam", "mse")
    return model

x, y = np.ones((512, 64), "float32"), np.zeros((512, 3), "float32")
long = np.broadcast_to(x[:1], (2_000_000, 64))
square = np.ones((3000, 3000), "float32")
model = network(64, 16)
model.fit(x, y, verbose=0)
with open("/proc/self/status") as status:
    size = next(int(line.split()[1]) for line in status if line.startswith("VmSize")) * 1024
limit = size + {megabytes} * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

def refused(work):
    before = model.get_weights()
    try:
        work()
    except MemoryError as error:
        assert "bytes" in str(error) or "allocate" in str(error), error
    else:
        raise AssertionError(work)
    gc.collect()
    for a, b in zip(before, model.get_weights()):
        np.testing.assert_array_equal(a, b)
    model.evaluate(x, y, verbose=0)

refused(lambda: lumbre.ops.zeros((2**30,)))
refused(lambda: lumbre.random.normal((2**29,)))
refused(lambda: network(20000, 20000))
refused(lambda: network(64, 3000).predict(long, batch_size=2_000_000, verbose=0))
refused(lambda: model.fit(long, np.zeros((2_000_000, 3), "float32"), batch_size=2_000_000, verbose=0))
refused(lambda: lumbre.ops.matmul(np.ones((40000, 1), "float32"), np.ones((1, 40000), "float32")))
if {megabytes} < 200:
    refused(lambda: network(3000, 3000).fit(square, square[:, :3], verbose=0))
model.fit(x, y, epochs=3, verbose=0)
print("alive")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are set through Linux's")
@pytest.mark.parametrize("megabytes", [100, 400])
def test_memory_ends(megabytes: int) -> None:
    """While arrays, weights, gradients or a batch are made: MemoryError, and nothing is lost."""
    assert script(LIMITED.replace("{megabytes}", str(megabytes)), LUMBRE_NUM_THREADS="2") == "alive"


LOADING = """
import resource, sys
import numpy as np
import lumbre

path = sys.argv[1]
model = lumbre.Sequential([lumbre.Input((3000,)), lumbre.layers.Dense(3000), lumbre.layers.Dense(3000)])
model.save(path)
del model
small = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(3)])
with open("/proc/self/status") as status:
    size = next(int(line.split()[1]) for line in status if line.startswith("VmSize")) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + 20 * 2**20,) * 2)
try:
    lumbre.saving.load_model(path)
except MemoryError:
    print(small.predict(np.ones((2, 3), "float32"), verbose=0).shape)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are set through Linux's")
def test_memory_ends_while_loading(tmp_path: Path) -> None:
    path = str(tmp_path / "large.lumbre")
    assert script(f"import sys; sys.argv[1:] = [{path!r}]\n" + LOADING) == "(2, 3)"


# Places and outputs


SMALL_DISK = """
import os, sys
import numpy as np
import lumbre
from lumbre.saving import Checkpoint

folder = sys.argv[1]
def network(units):
    lumbre.utils.set_random_seed(0)
    hidden = lumbre.layers.Dense(units, "relu")
    model = lumbre.Sequential([lumbre.Input((64,)), hidden, lumbre.layers.Dense(3)])
    model.compile("adam", "mse")
    return model

x, y = np.ones((64, 64), "float32"), np.zeros((64, 3), "float32")
small, large = network(100), network(40_000)
small.save(f"{folder}/model.lumbre")
before = open(f"{folder}/model.lumbre", "rb").read()
large(x[:1])
for save in (large.save, large.save_weights):
    try:
        save(f"{folder}/model.lumbre")
    except OSError as error:
        assert f"{folder}/model.lumbre" in str(error) and "bytes are needed" in str(error), error
    else:
        raise AssertionError(save)
    assert open(f"{folder}/model.lumbre", "rb").read() == before
    assert os.listdir(folder) == ["model.lumbre"]

# Each checkpoint has about 0.9 MB: the sixth or seventh finds no room.
os.remove(f"{folder}/model.lumbre")
model = network(1000)
try:
    model.fit(x, y, 8, epochs=20, verbose=0, checkpoint=Checkpoint(f"{folder}/run", every=4, keep=100))
except OSError as error:
    assert "bytes are needed" in str(error) and f"{folder}/run" in str(error), error
else:
    raise AssertionError("the disk did not become full")
kept = sorted(os.listdir(f"{folder}/run"))
assert len(kept) >= 3 and not any(name.startswith(".") for name in kept), kept

# What was saved is whole: the run goes on from the newest, with the older ones removed.
again = network(1000)
rarely = Checkpoint(f"{folder}/run", every=40, keep=2)
again.fit(x, y, 8, epochs=20, verbose=0, resume=True, checkpoint=rarely)
whole = network(1000)
whole.fit(x, y, 8, epochs=20, verbose=0)
for a, b in zip(again.get_weights(), whole.get_weights()):
    np.testing.assert_array_equal(a, b)
print("whole")
"""


def test_a_disk_of_6_mb_that_fills(tmp_path: Path) -> None:
    """Saving says what is needed, the older file stands; a run goes on from its newest checkpoint."""
    mount = 'mount -t tmpfs -o size=6m none "$1" && exec "$2" -c "$3" "$1"'
    tried = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(tmp_path)], check=False)
    if tried.returncode:
        pytest.skip("a small file system cannot be mounted here")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, "sh", str(tmp_path), sys.executable, SMALL_DISK],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "LUMBRE_CHECK": "0"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "whole"


ANYWHERE = """
import os, sys
import numpy as np
import lumbre

folder = os.environb[b"FOLDER"]
x, y = np.ones((64, 4), "float32"), np.zeros(64, "int64")
layers = [lumbre.layers.Dense(8, "relu"), lumbre.layers.Dense(3, "softmax")]
model = lumbre.Sequential([lumbre.Input((4,)), *layers])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.summary()
path = os.path.join(folder, b"m.lumbre")
run = os.path.join(folder, b"run")
best = os.fsdecode(os.path.join(folder, b"best-{epoch}.lumbre"))
keep = lumbre.callbacks.ModelCheckpoint(best, monitor="loss", verbose=1)
model.fit(x, y, epochs=2, callbacks=[keep], checkpoint=os.fsdecode(run))
model.save(path)
again = lumbre.saving.load_model(path)
assert again.evaluate(x, y) == model.evaluate(x, y)
assert os.path.exists(os.path.join(folder, b"best-2.lumbre"))
model.fit(x, y, epochs=3, verbose=2, resume=True, checkpoint=os.fsdecode(run))
os.write(2, b"done")
"""


def anywhere(folder: bytes, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Runs a program that trains, saves, prints and resumes."""
    environment = {
        **os.environb,
        b"PYTHONPATH": os.fsencode(os.pathsep.join(sys.path)),
        b"FOLDER": folder,
        **options.pop("environment", {}),
    }
    command = [sys.executable, "-c", ANYWHERE]
    return subprocess.run(command, env=environment, timeout=110, check=False, **options)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere paths are texts")
@pytest.mark.parametrize(
    ("name", "environment"),
    [
        (b"plain", {b"LANG": b"C", b"LC_ALL": b"C", b"PYTHONUTF8": b"0", b"PYTHONCOERCECLOCALE": b"0"}),
        (b"\xff\xfe not utf-8", {}),
        ("größe und 型".encode(), {}),
        (b"\xff", {b"LANG": b"C", b"LC_ALL": b"C", b"PYTHONUTF8": b"0", b"PYTHONCOERCECLOCALE": b"0"}),
        (b"no home", {b"HOME": b"/nonexistent/home"}),
    ],
    ids=["LANG=C", "bytes", "unicode", "bytes and LANG=C", "no home"],
)
def test_places_and_languages(tmp_path: Path, name: bytes, environment: dict[bytes, bytes]) -> None:
    folder = os.path.join(os.fsencode(tmp_path), name)
    os.mkdir(folder)
    done = anywhere(folder, environment=environment, capture_output=True)
    assert done.returncode == 0 and done.stderr.endswith(b"done"), done.stderr.decode(errors="replace")
    assert b"Epoch 3/3" in done.stdout


@pytest.mark.parametrize("way", ["closed", "pipe", "full"])
def test_standard_output_goes_away(tmp_path: Path, way: str) -> None:
    """Training goes on to its end, and what it saves is there."""
    os.mkdir(tmp_path / "f")
    options: dict[str, Any] = {"stderr": subprocess.PIPE}
    if way == "closed":
        options["preexec_fn"] = lambda: os.close(1)
    elif way == "full":
        if not os.path.exists("/dev/full"):
            pytest.skip("the system has no /dev/full")
        options["stdout"] = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, options["stdout"] = os.pipe()
        os.close(reading)
    try:
        done = anywhere(os.fsencode(tmp_path / "f"), **options)
    finally:
        if "stdout" in options:
            os.close(options["stdout"])
    assert b"done" in done.stderr, done.stderr.decode()
    assert sorted(os.listdir(tmp_path / "f")) == ["best-1.lumbre", "best-2.lumbre", "m.lumbre", "run"]


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can become somebody else")
def test_a_folder_that_may_not_be_written_to() -> None:
    """As somebody who is not its owner: refused before training starts, or before anything is written."""
    folder = tempfile.mkdtemp()  # not in pytest's, which nobody else may look into
    os.chmod(folder, 0o755)
    code = f"""
import os
import numpy as np
import lumbre
from lumbre.saving import checkpoint, lumbre_file  # while Python's own modules can be read
os.setuid(65534)
model = lumbre.Sequential([lumbre.Input((4,)), lumbre.layers.Dense(3)])
model.compile("adam", "mse")
x, y = np.ones((64, 4), "float32"), np.zeros((64, 3), "float32")
for work in (
    lambda: model.save("{folder}/m.lumbre"),
    lambda: model.save_weights("{folder}/w.lumbre"),
    lambda: model.fit(x, y, verbose=0, checkpoint="{folder}/run"),
):
    try:
        work()
    except PermissionError as error:
        print("{folder}" in str(error))
assert model.optimizer.iterations == 0
"""
    assert script(code).split() == ["True"] * 3
    os.rmdir(folder)  # it is empty
