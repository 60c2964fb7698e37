"""GradientMonitor: what it says inside a replayed step is what NumPy computes in float64 beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre.callbacks import GradientMonitor

RNG = np.random.default_rng(0)
SIZES, RATE, BATCH, EPOCHS = (5, 7, 6, 3), 0.3, 8, 3
X = RNG.standard_normal((60, 5)).astype("float32")  # the last batch has four rows
LABELS = RNG.integers(0, 3, 60)
NAMES = ("first", "second", "third")


def network() -> Any:
    lumbre.utils.set_random_seed(0)
    kinds = ("relu", "tanh", "softmax")
    layers = [
        lumbre.layers.Dense(n, kind, name=name) for n, kind, name in zip(SIZES[1:], kinds, NAMES, strict=True)
    ]
    return lumbre.Sequential([lumbre.Input((5,)), *layers])


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


def reference(weights: list[np.ndarray], every: int) -> list[dict[str, float]]:
    """The means of each epoch: gradients by hand, plain gradient descent, all in float64."""
    w = [a.astype("float64") for a in weights]
    epochs = []
    for _ in range(EPOCHS):
        rows: list[dict[str, float]] = []
        for step, start in enumerate(range(0, len(X), BATCH)):
            x, labels = X[start : start + BATCH].astype("float64"), LABELS[start : start + BATCH]
            h1 = np.maximum(x @ w[0] + w[1], 0)
            h2 = np.tanh(h1 @ w[2] + w[3])
            p = softmax(h2 @ w[4] + w[5])
            d3 = (p - np.eye(3)[labels]) / len(x)
            d2 = (d3 @ w[4].T) * (1 - h2**2)
            d1 = (d2 @ w[2].T) * (h1 > 0)
            g = [x.T @ d1, d1.sum(0), h1.T @ d2, d2.sum(0), h2.T @ d3, d3.sum(0)]
            new = [a - RATE * b for a, b in zip(w, g, strict=True)]
            if step % every == 0:
                row = {
                    "zeros/first": np.mean(h1 == 0),
                    "saturation/second": np.mean(np.abs(h2) >= 0.99),
                    "saturation/third": np.mean((p <= 0.01) | (p >= 0.99)),
                }
                for i, name in enumerate(NAMES):
                    pair = slice(2 * i, 2 * i + 2)
                    row[f"gradient_norm/{name}"] = norm(g[pair])
                    row[f"weight_norm/{name}"] = norm(w[pair])
                    row[f"update_norm/{name}"] = norm([a - b for a, b in zip(new, w, strict=True)][pair])
                rows.append(row)
            w = new
        means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        for name in NAMES:
            means[f"update_ratio/{name}"] = means[f"update_norm/{name}"] / means[f"weight_norm/{name}"]
        epochs.append(means)
    return epochs


def norm(arrays: list[np.ndarray]) -> float:
    return float(np.sqrt(sum(np.sum(a * a) for a in arrays)))


@pytest.mark.parametrize("every", [1, 3, 100])
@pytest.mark.parametrize("eager", [False, True])
def test_numbers(every: int, eager: bool) -> None:
    model = network()
    # Large weights in the middle, so that something is saturated.
    model.set_weights([a * (4 if a.shape == (7, 6) else 1) for a in model.get_weights()])
    expected = reference(model.get_weights(), every)
    model.compile(lumbre.optimizers.SGD(RATE), "sparse_categorical_crossentropy", run_eagerly=eager)
    history = model.fit(
        X,
        LABELS,
        batch_size=BATCH,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        validation_data=(X, LABELS),  # which is not watched
        callbacks=[GradientMonitor(every=every)],
    ).history
    assert set(history) == {"loss", "val_loss", *expected[0]}
    for name in expected[0]:
        np.testing.assert_allclose(
            history[name], [epoch[name] for epoch in expected], rtol=2e-4, atol=1e-7, err_msg=name
        )
    assert 0 < history["zeros/first"][0] < 1
    assert 0 < history["saturation/second"][0] < 1


def steps_recorded(model: Any) -> list[Any]:
    return [entry.program for entry in model._runner("train")._captured._entries.values()]


def test_the_step_stays_recorded_and_the_training_is_the_same() -> None:
    weights = []
    for callbacks in ([], [GradientMonitor(every=2)]):
        model = network()
        programs: list[Any] = []
        look = lumbre.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs, m=model, p=programs: p.append(steps_recorded(m))
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        lumbre.utils.set_random_seed(1)
        model.fit(X, LABELS, batch_size=BATCH, epochs=4, verbose=0, callbacks=[*callbacks, look])
        assert all(program is not None for program in programs[-1])
        assert len(programs[-1]) == 2  # whole batches, and the last one
        weights.append(model.get_weights())
        model.fit(X, LABELS, batch_size=BATCH, epochs=2, verbose=0)
        names = {call[0] for program in steps_recorded(model) for call in program.describe()}
        assert not names & {"norms_update", "snapshot", "activity_update"}  # nobody watches any more
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_bits_do_not_depend_on_the_threads(threads: int) -> None:
    before = lumbre.threads.get_num_threads()
    found = []
    try:
        for n in (1, threads):
            lumbre.threads.set_num_threads(n)
            lumbre.utils.set_random_seed(0)
            dense = lumbre.layers.Dense
            model = lumbre.Sequential(
                [lumbre.Input((300,)), dense(300, "relu", name="a"), dense(9, name="b")]
            )
            model.compile("adam", "mse")
            x = np.random.default_rng(1).standard_normal((96, 300)).astype("float32")
            monitor = GradientMonitor(every=1)
            found.append(model.fit(x, x[:, :9], epochs=2, verbose=0, callbacks=[monitor]).history)
    finally:
        lumbre.threads.set_num_threads(before)
    assert found[0] == found[1]


def test_a_training_step_of_ones_own_is_watched_too() -> None:
    class Own(lumbre.Sequential):
        def train_step(self, data: Any) -> dict[str, Any]:
            x, y = data
            loss = self.compute_loss(x, y, self(x, training=True))
            grads = lumbre.grad(loss, self.trainable_variables)
            self.optimizer.apply(grads, self.trainable_variables)
            return {"loss": loss}

    model = Own([lumbre.Input((5,)), lumbre.layers.Dense(1, name="only")])
    model.compile(lumbre.optimizers.SGD(0.5), "mse")
    h = model.fit(X, X[:, :1], batch_size=10, epochs=3, verbose=0, callbacks=[GradientMonitor(1)]).history
    np.testing.assert_allclose(h["update_norm/only"], 0.5 * np.array(h["gradient_norm/only"]), rtol=1e-5)
    assert h["gradient_norm/only"][0] > h["gradient_norm/only"][-1] > 0


def test_clipping_accumulation_and_frozen_layers() -> None:
    model = network()
    model.get_layer("second").trainable = False
    model.compile(lumbre.optimizers.SGD(1.0, global_clipnorm=1e-3), "sparse_categorical_crossentropy")
    h = model.fit(X, LABELS, batch_size=20, verbose=0, callbacks=[GradientMonitor(1)]).history
    assert "gradient_norm/second" not in h
    assert "saturation/second" in h
    together = np.hypot(h["update_norm/first"], h["update_norm/third"])
    assert together == pytest.approx(1e-3, rel=0.1)  # the mean of norms is nearly the norm of the means
    assert h["gradient_norm/third"][0] > 1e-2  # before clipping

    model = network()
    model.compile(
        lumbre.optimizers.SGD(1.0, gradient_accumulation_steps=3), "sparse_categorical_crossentropy"
    )
    h = model.fit(X, LABELS, batch_size=20, verbose=0, callbacks=[GradientMonitor(every=3)]).history
    assert h["update_norm/first"] == [0.0]  # the first of three steps changes nothing
    assert h["gradient_norm/first"][0] > 0


def test_layers_within_layers_and_shared_ones() -> None:
    inner = lumbre.Sequential(
        [lumbre.Input((5,)), lumbre.layers.Dense(5, "sigmoid", name="dense")], name="inner"
    )
    entry = lumbre.Input((5,))
    twice = inner(inner(entry))
    out = lumbre.layers.Dense(1, name="dense")(lumbre.layers.ReLU(name="cut")(twice))
    model = lumbre.Model(entry, out)
    model.compile("sgd", "mse")
    h = model.fit(X, X[:, :1], verbose=0, callbacks=[GradientMonitor(1)]).history
    owners = {name.partition("/")[2] for name in h if name.startswith("gradient_norm")}
    assert len(owners) == 2  # two layers of one name are told apart
    assert h["zeros/cut"] == [0.0]  # a sigmoid is never zero


def test_a_progress_bar_does_not_show_it_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    for verbose in (0, 1):
        model = network()
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(X, LABELS, verbose=2, callbacks=[GradientMonitor(verbose=verbose)])
        out = capsys.readouterr().out
        assert "loss:" in out
        assert ("gradient_norm/first:" in out) == bool(verbose)


def test_it_ends_with_the_fit_that_an_error_ends() -> None:
    class Fails(lumbre.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise KeyboardInterrupt

    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, LABELS, verbose=0, callbacks=[GradientMonitor(), Fails()])
    assert model._watchers == ()


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "2"])
def test_bad_arguments(every: Any) -> None:
    with pytest.raises(ValueError, match="`every` must be a whole number of at least 1"):
        GradientMonitor(every)
