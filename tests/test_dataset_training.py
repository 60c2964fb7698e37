"""Training on `lumbre.data.Dataset`, by rows and by batches, against training on the same arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre.data import AUTOTUNE, Dataset

X = np.arange(20, dtype="float32").reshape(10, 2)
Y = np.arange(10)
T = X.sum(axis=1, keepdims=True) / 40


def model() -> Any:
    lumbre.utils.set_random_seed(5)
    net = lumbre.Sequential([lumbre.Input((2,)), lumbre.layers.Dense(8, "relu"), lumbre.layers.Dense(1)])
    net.compile("sgd", "mse", metrics=["mae"])
    return net


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.batch(4),
        lambda ds: ds.batch(4).prefetch(AUTOTUNE),
        lambda ds: ds.map(lambda x, t: (x, t)).batch(4).prefetch(AUTOTUNE),
        lambda ds: ds.map(lambda x, t: (x, t)).cache().batch(4),
        lambda ds: ds.batch(4).map(lambda x, t: (x, t)),
        lambda ds: ds.take(7).concatenate(ds.skip(7)).batch(4),
    ],
)
def test_training_equals_training_on_arrays(change: Any) -> None:
    dataset = change(Dataset.from_tensor_slices((X / 20, T)))
    expected, got = model(), model()
    a = expected.fit(X / 20, T, batch_size=4, epochs=3, shuffle=False, validation_data=(X / 20, T), verbose=0)
    b = got.fit(dataset, epochs=3, validation_data=dataset, verbose=0)
    for name, values in a.history.items():
        np.testing.assert_allclose(b.history[name], values, rtol=1e-5)
    for v, w in zip(expected.weights, got.weights, strict=True):
        np.testing.assert_array_equal(v.numpy(), w.numpy())
    np.testing.assert_allclose(
        got.evaluate(dataset, verbose=0), expected.evaluate(X / 20, T, verbose=0), rtol=1e-5
    )
    np.testing.assert_array_equal(got.predict(dataset, verbose=0), expected.predict(X / 20, verbose=0))


def test_the_bar_knows_the_number_of_batches(capsys: pytest.CaptureFixture[str]) -> None:
    model().fit(Dataset.from_tensor_slices((X, T)).shuffle(10).batch(4))
    assert "3/3" in capsys.readouterr().out


def test_weights_and_endless_datasets() -> None:
    weight = np.linspace(0, 1, 10, dtype="float32")
    dataset = Dataset.from_tensor_slices((X / 20, T, weight)).batch(5)
    a = model().fit(dataset, epochs=2, verbose=0).history["loss"]
    b = (
        model()
        .fit(X / 20, T, sample_weight=weight, batch_size=5, epochs=2, shuffle=False, verbose=0)
        .history["loss"]
    )
    np.testing.assert_allclose(a, b, rtol=1e-6)
    endless = model().fit(dataset.repeat(), steps_per_epoch=2, epochs=2, verbose=0)
    np.testing.assert_allclose(endless.history["loss"], a, rtol=1e-6)


class Seen(lumbre.callbacks.Callback):
    """Counts batches and epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[int] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epochs.append(0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.epochs[-1] = batch + 1


@pytest.mark.parametrize("make", [lambda ds: ds, lambda ds: ds.map(lambda x, t: (x, t))])
def test_epochs_by_steps(make: Any) -> None:
    """Both ways into training, by rows and by batches, count alike."""
    dataset = make(Dataset.from_tensor_slices((X / 20, T))).batch(4)
    for change, steps, expected in (
        (lambda ds: ds, None, [3, 3, 3]),
        (lambda ds: ds, 2, [2, 1, 2]),  # an epoch goes on where the last one stopped
        (lambda ds: ds.repeat(), 2, [2, 2, 2]),
        (lambda ds: ds.repeat(2), None, [6, 6, 6]),
    ):
        seen = Seen()
        net = model()
        if expected[1] == 1:
            with pytest.warns(UserWarning, match="ran out of data"):
                net.fit(change(dataset), steps_per_epoch=steps, epochs=3, callbacks=[seen], verbose=0)
        else:
            net.fit(change(dataset), steps_per_epoch=steps, epochs=3, callbacks=[seen], verbose=0)
        assert seen.epochs == expected
    with pytest.raises(ValueError, match="must specify the number of steps"):
        model().fit(dataset.repeat(), verbose=0)
    with pytest.raises(ValueError, match="at least one batch"):
        model().fit(make(Dataset.from_tensor_slices((X, T))).batch(20, drop_remainder=True), verbose=0)


def test_an_epoch_has_every_sample_once_and_its_own_order() -> None:
    """The weights of a linear model of one-hot rows tell which rows a pass had."""
    n = 3000
    dataset = Dataset.from_tensor_slices(
        (np.arange(n, dtype="float32")[:, None], np.zeros((n, 1), "float32"))
    )
    net = lumbre.Sequential([lumbre.Input((1,)), lumbre.layers.Dense(1)])
    net.compile("sgd", "mse")
    net.set_weights([np.ones((1, 1), "float32"), np.zeros(1, "float32")])
    for change in (
        lambda ds: ds.batch(64),
        lambda ds: ds.shuffle(100, seed=1).batch(64),
        lambda ds: ds.shuffle(n, seed=1).batch(64).prefetch(AUTOTUNE),
        lambda ds: ds.take(1000).concatenate(ds.skip(1000)).shuffle(n, seed=1).batch(64),
    ):
        ours, passes = change(dataset), change(dataset)
        for _ in range(2):
            order = np.concatenate([x for x, _ in passes])
            np.testing.assert_array_equal(net.predict(ours, verbose=0), order)
            assert sorted(order[:, 0]) == list(range(n))


def test_parts_that_are_not_used_are_not_looked_at() -> None:
    bad = T.copy()
    bad[7:] = np.nan
    dataset = Dataset.from_tensor_slices((X / 20, bad))
    model().fit(dataset.take(7).shuffle(7).batch(4), verbose=0)
    model().fit(dataset.shuffle(1).take(7).batch(4), verbose=0)
    with pytest.raises(ValueError, match="NaN"):
        model().fit(dataset.batch(4), verbose=0)


def test_a_forgotten_batch() -> None:
    dataset = Dataset.from_tensor_slices((X / 20, T[:, 0]))
    with pytest.raises(ValueError, match=r"at least rank 1\. Add `\.batch\(32\)`"):
        model().fit(dataset.shuffle(10).prefetch(2), verbose=0)
    with pytest.raises(ValueError, match="at least rank 1"):
        model().fit(dataset.map(lambda x, t: (x, t)), verbose=0)


def test_class_weights_and_targets_apart() -> None:
    labels = (Y % 2).astype("float32")[:, None]
    dataset = Dataset.from_tensor_slices((X / 20, labels)).batch(5)
    for ds in (dataset, dataset.map(lambda x, y: (x, y))):
        a = model().fit(ds, class_weight={0: 1.0, 1: 3.0}, verbose=0).history["loss"]
        b = model().fit(X / 20, labels, class_weight={0: 1.0, 1: 3.0}, batch_size=5, shuffle=False, verbose=0)
        np.testing.assert_allclose(a, b.history["loss"], rtol=1e-6)
        with pytest.raises(ValueError, match="`y` should not be passed"):
            model().fit(ds, labels, verbose=0)


def test_a_cache_that_was_filled_is_trained_on_by_rows() -> None:
    calls: list[int] = []
    source = Dataset.from_tensor_slices((X / 20, T)).map(lambda x, t: calls.append(1) or (x, t))
    dataset = source.cache().batch(4)
    net = model()
    net.fit(dataset, epochs=2, verbose=0)
    after = len(calls)
    first = net.evaluate(dataset, verbose=0)
    assert len(calls) == after and net.evaluate(X / 20, T, batch_size=4, verbose=0) == first
