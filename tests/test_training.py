"""`fit`, `evaluate`, `predict`: epochs, hooks, sources of data, structures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import layers
from small_models import CLASSES, LABELS, WEIGHTS, WIDTH, N, X, build, compiled, two_outputs

# Epochs, batches, validation


class Recorder(lumbre.callbacks.Callback):
    """Writes every call of a hook down."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.logs: list[dict[str, Any]] = []


def _hook(name: str) -> Any:
    def hook(self: Recorder, *args: Any) -> None:
        *number, logs = args
        self.calls.append((name, number[0] if number else None))
        self.logs.append(logs)

    return hook


HOOKS = [
    f"on_{what}_{when}" for what in ("train", "test", "predict", "epoch") for when in ("begin", "end")
] + [f"on_{kind}_batch_{when}" for kind in ("train", "test", "predict") for when in ("begin", "end")]
for _name in HOOKS:
    setattr(Recorder, _name, _hook(_name))


def test_hooks_come_in_order() -> None:
    recorder = Recorder()
    model = compiled()
    model.fit(
        X, LABELS, batch_size=30, epochs=2, verbose=0, validation_data=(X, LABELS), callbacks=[recorder]
    )
    batches = [("on_train_batch_begin", 0), ("on_train_batch_end", 0)]
    batches += [("on_train_batch_begin", 1), ("on_train_batch_end", 1)]
    tests = [(name.replace("train", "test"), i) for name, i in batches]
    expected: list[Any] = [("on_train_begin", None)]
    for epoch in range(2):
        expected += [("on_epoch_begin", epoch), *batches, ("on_test_begin", None), *tests]
        expected += [("on_test_end", None), ("on_epoch_end", epoch)]
    assert recorder.calls == [*expected, ("on_train_end", None)]
    for (name, _), logs in zip(recorder.calls, recorder.logs, strict=True):
        assert all(type(v) is float for v in logs.values()) and list(logs) == sorted(logs)
        if name in ("on_train_batch_end", "on_test_batch_end", "on_test_end"):
            assert list(logs) == ["accuracy", "loss"]
        if name in ("on_epoch_end", "on_train_end"):
            assert list(logs) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert recorder.params == {"verbose": 0, "epochs": 2, "steps": 2} and recorder.model is model


def test_hooks_of_evaluate_and_predict() -> None:
    recorder = Recorder()
    compiled().evaluate(X, LABELS, batch_size=50, verbose=0, callbacks=[recorder])
    assert [n for n, _ in recorder.calls] == [
        "on_test_begin",
        "on_test_batch_begin",
        "on_test_batch_end",
        "on_test_end",
    ]
    recorder = Recorder()
    outputs = compiled().predict(X, batch_size=25, verbose=0, callbacks=recorder)
    assert [n for n, _ in recorder.calls].count("on_predict_batch_end") == 2
    seen = [logs["outputs"] for logs in recorder.logs if logs and "outputs" in logs]
    np.testing.assert_array_equal(np.concatenate(seen), outputs)


def test_logs_of_batches_are_running_means() -> None:
    recorder = Recorder()
    model = build(lumbre)
    model.compile(lumbre.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    history = model.fit(X, LABELS, batch_size=20, shuffle=False, verbose=0, callbacks=[recorder])
    ends = [logs["loss"] for (n, _), logs in zip(recorder.calls, recorder.logs, strict=True) if n == HOOKS[9]]
    assert HOOKS[9] == "on_train_batch_end" and len(ends) == 3
    for stop, loss in zip((20, 40, 50), ends, strict=True):
        assert loss == pytest.approx(model.evaluate(X[:stop], LABELS[:stop], verbose=0), rel=1e-5)
    assert history.history["loss"] == [ends[-1]]


def test_the_alias_hooks_and_objects_of_no_class() -> None:
    seen: list[int] = []
    epochs: list[int] = []

    class Old(lumbre.callbacks.Callback):
        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(batch)

    class Duck:
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            epochs.append(epoch)

    compiled().fit(X, LABELS, batch_size=25, epochs=2, verbose=0, callbacks=[Old(), Duck()])
    assert seen == [0, 1, 0, 1] and epochs == [0, 1]


def test_steps_per_execution_spaces_the_hooks() -> None:
    recorder = Recorder()
    model = compiled(steps_per_execution=2)
    model.fit(X, LABELS, batch_size=10, verbose=0, callbacks=[recorder])
    assert [c for c in recorder.calls if "batch" in c[0]] == [
        ("on_train_batch_begin", 0),
        ("on_train_batch_end", 1),
        ("on_train_batch_begin", 2),
        ("on_train_batch_end", 3),
        ("on_train_batch_begin", 4),
        ("on_train_batch_end", 4),
    ]


def test_stop_training_after_a_batch_and_after_an_epoch() -> None:
    class Stop(lumbre.callbacks.Callback):
        def __init__(self, hook: str) -> None:
            setattr(self, hook, self.stop)

        def stop(self, number: int, logs: Any = None) -> None:
            if number == 1:
                self.model.stop_training = True

    model = compiled()
    history = model.fit(X, LABELS, batch_size=10, epochs=9, verbose=0, callbacks=[Stop("on_train_batch_end")])
    assert model.optimizer.iterations.numpy() == 2 and history.epoch == [0]
    history = model.fit(X, LABELS, batch_size=10, epochs=9, verbose=0, callbacks=[Stop("on_epoch_end")])
    assert history.epoch == [0, 1] and model.optimizer.iterations.numpy() == 12


def test_a_callback_may_add_to_the_logs() -> None:
    class Rate(lumbre.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["learning_rate"] = 0.5

    history = compiled().fit(X, LABELS, verbose=0, callbacks=[Rate()])
    assert history.history["learning_rate"] == [0.5]


def test_history() -> None:
    model = compiled()
    history = model.fit(
        X, LABELS, epochs=5, initial_epoch=2, verbose=0, validation_split=0.2, validation_freq=2
    )
    assert history is model.history and history.epoch == [2, 3, 4]
    assert [len(v) for v in history.history.values()] == [3, 3, 1, 1]
    assert all(type(v) is float for values in history.history.values() for v in values)
    assert len(model.fit(X, LABELS, epochs=3, verbose=0).history["loss"]) == 3
    assert model.fit(X, LABELS, epochs=0, verbose=0).history == {}
    history = model.fit(X, LABELS, epochs=4, verbose=0, validation_split=0.2, validation_freq=[1, 4])
    assert len(history.history["val_loss"]) == 2


def test_validation_split_takes_the_last_samples() -> None:
    model = build(lumbre)
    model.compile(lumbre.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    history = model.fit(X, LABELS, validation_split=0.3, verbose=0).history
    at = int(np.floor(N * (1 - 0.3)))
    assert history["val_loss"][0] == pytest.approx(model.evaluate(X[at:], LABELS[at:], verbose=0), rel=1e-5)
    assert history["loss"][0] == pytest.approx(model.evaluate(X[:at], LABELS[:at], verbose=0), rel=1e-5)


def orders(epochs: int, **options: Any) -> list[list[float]]:
    """The samples in the order in which `fit` takes them, epoch by epoch."""
    seen: list[Any] = []

    class Net(lumbre.Sequential):  # type: ignore[name-defined, misc]
        def train_step(self, data: Any) -> Any:
            x, _ = data
            seen.append(np.asarray(x)[:, 0].tolist())
            return super().train_step(data)

    model = Net([lumbre.Input((1,)), layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    numbers = np.arange(10, dtype="float32")[:, None]
    model.fit(numbers, numbers, epochs=epochs, verbose=0, **options)
    steps = options.get("steps_per_epoch") or -(-10 // options.get("batch_size", 32))
    return [[n for batch in seen[i : i + steps] for n in batch] for i in range(0, len(seen), steps)]


def test_shuffling() -> None:
    lumbre.utils.set_random_seed(5)
    first, second = orders(2, batch_size=4)
    assert sorted(first) == sorted(second) == list(range(10)) and first != second
    lumbre.utils.set_random_seed(5)
    assert orders(2, batch_size=4) == [first, second]
    assert orders(2, batch_size=4, shuffle=False) == [list(range(10))] * 2
    (within,) = orders(1, batch_size=5, shuffle="batch")
    assert sorted(within[:5]) == [0, 1, 2, 3, 4] and sorted(within[5:]) == [5, 6, 7, 8, 9]


def test_steps_per_epoch_continues() -> None:
    assert orders(2, batch_size=2, shuffle=False, steps_per_epoch=2) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert orders(2, batch_size=5, shuffle=False, steps_per_epoch=1) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert orders(1, shuffle=False, steps_per_epoch=5) == [list(range(10))]  # the batch size follows


def test_running_out_of_data_warns() -> None:
    model = compiled()
    with pytest.warns(UserWarning, match="Your input ran out of data; interrupting training"):
        model.fit(X, LABELS, batch_size=25, steps_per_epoch=3, verbose=0)
    assert model.optimizer.iterations.numpy() == 2


# Sources of batches


def batches(count: int, size: int = 10) -> Any:
    for i in range(count):
        yield X[i * size : (i + 1) * size], LABELS[i * size : (i + 1) * size]


class Dataset:
    """Like a PyDataset."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.ends = 0

    def __len__(self) -> int:
        return 5

    def __getitem__(self, i: int) -> Any:
        self.asked.append(i)
        return X[i * 10 : i * 10 + 10], LABELS[i * 10 : i * 10 + 10]

    def on_epoch_end(self) -> None:
        self.ends += 1


def test_sources_train_like_arrays() -> None:
    expected = compiled().fit(X, LABELS, batch_size=10, epochs=2, shuffle=False, verbose=0).history
    again = [b for _ in range(2) for b in batches(5)]
    sources = {
        "generator": (iter(again), {"steps_per_epoch": 5}),
        "dataset": (Dataset(), {}),
        "iterable": (type("Loader", (), {"__iter__": lambda self: batches(5)})(), {}),
        "lists": (type("Loader", (), {"__iter__": lambda self: map(list, batches(5))})(), {}),
    }
    for name, (source, options) in sources.items():
        history = compiled().fit(source, epochs=2, shuffle=False, verbose=0, **options).history
        np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-6, err_msg=name)
        assert list(history) == ["accuracy", "loss"]


def test_weights_of_a_source() -> None:
    weighted = [(X, LABELS, WEIGHTS)]
    ours = compiled().fit(iter(weighted), shuffle=False, verbose=0).history["loss"]
    assert (
        ours
        == compiled()
        .fit(X, LABELS, batch_size=N, sample_weight=WEIGHTS, shuffle=False, verbose=0)
        .history["loss"]
    )


def test_a_dataset_with_a_length() -> None:
    data = Dataset()
    model = compiled()
    lumbre.utils.set_random_seed(0)
    model.fit(data, epochs=3, verbose=0, validation_data=Dataset(), class_weight={0: 2.0})
    assert sorted(data.asked) == sorted([*range(5)] * 3) and data.asked[:5] != data.asked[5:10]
    assert data.ends == 3
    assert model.evaluate(Dataset(), verbose=0) == pytest.approx(
        model.evaluate(X, LABELS, verbose=0), rel=1e-5
    )
    assert model.predict(Dataset(), verbose=0).shape == (N, CLASSES)


def test_a_generator_that_ends() -> None:
    model = compiled()
    with pytest.warns(UserWarning, match="ran out of data"):
        history = model.fit(batches(5), epochs=3, shuffle=False, verbose=0)
    assert history.epoch == [0] and model.optimizer.iterations.numpy() == 5
    assert compiled().fit(batches(5), shuffle=False, verbose=0).epoch == [0]


def test_generators_evaluate_and_predict() -> None:
    model = compiled()
    assert model.evaluate(batches(5), verbose=0) == pytest.approx(
        model.evaluate(X, LABELS, verbose=0), rel=1e-5
    )
    np.testing.assert_allclose(
        model.predict((x for x, _ in batches(5)), verbose=0), model.predict(X, verbose=0), rtol=1e-6
    )
    assert model.predict(batches(5), steps=2, verbose=0).shape == (20, CLASSES)


def test_an_endless_generator() -> None:
    def endless() -> Any:
        while True:
            yield X, LABELS

    history = compiled().fit(
        endless(),
        steps_per_epoch=3,
        epochs=2,
        shuffle=False,
        verbose=0,
        validation_data=endless(),
        validation_steps=2,
    )
    assert len(history.history["val_loss"]) == 2


def test_validation_steps_start_at_the_front_each_time() -> None:
    model = build(lumbre)
    model.compile(lumbre.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    history = model.fit(
        X,
        LABELS,
        epochs=2,
        verbose=0,
        validation_data=(X, LABELS),
        validation_steps=2,
        validation_batch_size=10,
    ).history
    expected = model.evaluate(X[:20], LABELS[:20], verbose=0)
    assert history["val_loss"] == pytest.approx([expected] * 2, rel=1e-6)


# Structures


def test_dicts_and_lists_of_inputs() -> None:
    a, b = lumbre.Input((WIDTH,), name="a"), lumbre.Input((WIDTH,), name="b")
    outputs = layers.Dense(1, kernel_initializer="ones")(layers.Concatenate()([a, b]))
    model = lumbre.Model([a, b], outputs)
    model.compile("sgd", "mse")
    expected = X.sum(axis=1, keepdims=True) * 3
    for x in ([X, 2 * X], (X, 2 * X), {"a": X, "b": 2 * X}):
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(model.predict_on_batch(x), expected, rtol=1e-4, atol=1e-4)
        assert model.evaluate(x, expected, verbose=0) < 1e-6
        model.fit(x, expected, verbose=0)
        model.train_on_batch(x, expected)


def test_predict_keeps_the_structure() -> None:
    p, q = two_outputs(lumbre).predict(X, batch_size=7, verbose=0)
    assert p.shape == (N, 1) and q.shape == (N, CLASSES)
    out = two_outputs(lumbre, as_dict=True).predict(X, batch_size=7, verbose=0)
    np.testing.assert_array_equal(out["q"], q)
    assert isinstance(out, dict) and isinstance(out["p"], np.ndarray)


def test_on_batch_methods() -> None:
    model = compiled()
    first = model.test_on_batch(X, LABELS, return_dict=True)
    assert list(first) == ["accuracy", "loss"] and all(type(v) is float for v in first.values())
    assert model.train_on_batch(X, LABELS) == pytest.approx([first["loss"], first["accuracy"]], rel=1e-5)
    assert model.test_on_batch(X, LABELS)[0] < first["loss"]
    np.testing.assert_allclose(model.predict_on_batch(X), model.predict(X, verbose=0), rtol=1e-5)
    plain = build(lumbre)
    plain.compile("sgd", "sparse_categorical_crossentropy")
    assert type(plain.train_on_batch(X, LABELS)) is float
