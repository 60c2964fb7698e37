"""What does not grow: memory, threads and files over thousands of calls, and memory with that of the data.

Each test runs in a process of its own, whose memory nothing else uses. Measured is what the process has
allocated (`RssAnon`): pages of mapped files are the system's to take back.
"""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

import lumbre
from processes import script

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").is_file() or "RssAnon" not in Path("/proc/self/status").read_text(),
    reason="needs Linux's /proc to measure memory",
)

PREPARED = """
import gc, os, sys, threading, time
import numpy as np
import lumbre

def network(features=8, units=(16,)):
    layers = [lumbre.Input((features,))]
    for n in units:
        layers += [lumbre.layers.Dense(n, "relu"), lumbre.layers.Dropout(0.2)]
    model = lumbre.Sequential([*layers, lumbre.layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def used():
    with open("/proc/self/status") as status:
        found = dict(line.split(":", 1) for line in status)
    return int(found["RssAnon"].split()[0]) / 1024

def handles():
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

lumbre.ops.matmul(np.ones((999, 999), "float32"), np.ones((999, 999), "float32"))  # the team is there
rng = np.random.default_rng(0)
x, y = rng.random((2000, 8), dtype="float32"), rng.integers(0, 3, 2000)

def flat(work, times, warm):
    for i in range(warm):
        work(i)
    gc.collect()
    before, start = used(), handles()
    for i in range(warm, times):
        work(i)
        if i % 500 == 0:
            assert used() - before < 5, (i, before, used())
    gc.collect()
    assert used() - before < 5, (before, used())
    assert handles() == start, (handles(), start)
"""


def measured(code: str) -> str:
    return script(PREPARED + code, LUMBRE_NUM_THREADS="2")


def test_ten_thousand_fits() -> None:
    measured("""
model = network()
flat(lambda i: model.fit(x[:64], y[:64], verbose=0), 10_000, 500)
""")


def test_a_thousand_batch_sizes() -> None:
    """Programs are kept for the last few shapes only."""
    measured("""
model = network()
def work(i):
    size = 1 + i * 7 % 1000  # each size once, large ones early
    model.fit(x[:4 * size], y[:4 * size], size, epochs=2, verbose=0)
    model.evaluate(x[:size], y[:size], size, verbose=0)
flat(work, 1000, 50)
""")


def test_two_thousand_models() -> None:
    measured("""
def work(i):
    model = network(8 + i % 5, (16,) * (1 + i % 3))
    data = rng.random((128, 8 + i % 5), dtype="float32")
    model.fit(data, y[:128], verbose=0)
    model.predict(data, verbose=0)
flat(work, 2000, 100)
""")


def test_models_of_a_hundred_thousand_weights() -> None:
    """Of 1.3 MB each with its optimizer. These must go at once: Python sees no reason to look for them."""
    measured("""
def work(i):
    model = network(784, (128, 64))
    data = rng.random((128, 784), dtype="float32")
    model.fit(data, y[:128], verbose=0, epochs=2)
flat(work, 240, 60)
""")


def test_captured_functions_and_generators() -> None:
    measured("""
model, w = network(), lumbre.Variable(np.ones((8, 3), "float32"))
def batches():
    for k in range(4):
        yield x[k:k + 32], y[k:k + 32]
def work(i):
    step = lumbre.capture(lambda a: w.assign_sub(0.01 * lumbre.ops.matmul(lumbre.ops.transpose(a), a @ w)))
    for _ in range(4):
        step(x[:16])
    model.fit(batches(), verbose=0)
    model.train_on_batch(x[:32], y[:32])
flat(work, 1500, 100)
""")


# Data larger than memory

MAPPED = """
path, dtype = sys.argv[1:]
rows = 20 * 10**9 // (784 * np.dtype(dtype).itemsize)
mapped = np.memmap(path, dtype, "r", shape=(rows, 784))
labels = np.broadcast_to(np.uint8(1), rows)
model = network(784, (64,))
small = np.zeros((1000, 784), dtype)
for _ in range(2):
    model.fit(small, labels[:1000], 32, verbose=0)
    model.evaluate(small, labels[:1000], 32, verbose=0)
before, most, done = used(), 0.0, threading.Event()
def watch():
    global most
    while not done.wait(0.001):
        most = max(most, used())
watcher = threading.Thread(target=watch)
watcher.start()
assert used() - before < 1
"""
RUN = """
done.set()
watcher.join()
print(max(most, used()) - before, rows)
"""


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """A file of 20 GB of zeros that takes no room on the disk, or a skipped test."""
    path = tmp_path / "data.bin"
    try:
        with path.open("wb") as f:
            f.truncate(20 * 10**9)
    except OSError as e:
        pytest.skip(f"no file of 20 GB can be made here: {e}")
    if path.stat().st_blocks * 512 > 10**6:
        path.unlink()
        pytest.skip("this file system has no sparse files")
    return path


def growth(code: str, path: Path, dtype: str) -> tuple[float, int]:
    """MB more than with a small array, and how many rows 20 GB have."""
    arguments = f"sys.argv[1:] = {[str(path), dtype]!r}\n"
    megabytes, rows = measured(arguments + MAPPED + code + RUN).split()
    return float(megabytes), int(rows)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_memory_map_of_20_gb(sparse: Path, dtype: str) -> None:
    """In order it takes no more memory than a small array; shuffled, the order itself: 4 bytes a row."""
    code = "model.fit(mapped, labels, 32, epochs=3, steps_per_epoch=40, shuffle={}, verbose=0)"
    in_order, rows = growth(code.format(False), sparse, dtype)
    assert in_order < 5
    shuffled, _ = growth(code.format(True).replace("40", "4"), sparse, dtype)
    assert shuffled < 5 + rows * 4 / 2**20


def test_rows_of_a_memory_map_are_handed_over_in_pieces(sparse: Path) -> None:
    """A whole pass, stopped early: the numbers of all rows never exist at once."""
    stop = """
timer = threading.Timer(0.5, lambda: setattr(model, "stop_training", True))
timer.start()
model.fit(mapped, labels, 32, shuffle=False, verbose=0)
timer.join()
"""
    megabytes, _ = growth(stop, sparse, "uint8")
    assert megabytes < 5


def test_a_model_lets_go_of_its_data() -> None:
    """After a call, the arrays are the caller's alone."""
    model = lumbre.Sequential([lumbre.Input((8,)), lumbre.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.ones((64, 8), "float32"), np.ones((64, 1))
    held = [weakref.ref(x), weakref.ref(y)]
    for _ in range(2):
        model.fit(x, y, validation_data=(x, y), epochs=4, verbose=0)
        model.evaluate(x, y, verbose=0)
        model.predict(x, verbose=0)
    del x, y
    gc.collect()
    assert [r() for r in held] == [None, None]


def test_a_model_goes_with_its_last_user() -> None:
    """With its weights, slots and programs, and without waiting for Python to look for cycles."""
    x, y = np.ones((64, 8), "float32"), np.ones((64, 1))
    model = lumbre.Sequential([lumbre.Input((8,)), lumbre.layers.Dense(4), lumbre.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    history = model.fit(x, y, validation_data=(x, y), epochs=4, verbose=0)
    model.predict(x, verbose=0)
    held = weakref.ref(model)
    gc.collect()
    gc.disable()
    try:
        del model
        assert held() is None
    finally:
        gc.enable()
    assert history.model is None and len(history.history["loss"]) == 4
