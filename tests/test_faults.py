"""What goes wrong around a training run: exceptions in users' code, memory that ends, output that closes.

In every case a clear exception, or none, and a process in which everything can still be used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
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
