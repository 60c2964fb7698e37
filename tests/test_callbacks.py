"""Callbacks against the real Keras: the same logs in, the same decisions, weights, files and lines out."""

from __future__ import annotations

import contextlib
import functools
import http.server
import io
import json
import math
import threading
import urllib.parse
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import keras

X = np.random.default_rng(0).standard_normal((40, 3)).astype("float32")
Y = (X.sum(1) > 0).astype("float32")


def compiled(k: Any, **optimizer: Any) -> Any:
    """A model whose metrics are built, with the same weights here and there."""
    model = k.Sequential([k.Input((3,)), k.layers.Dense(1, activation="sigmoid")])
    optimizer = {"learning_rate": 0.1, **optimizer}
    model.compile(k.optimizers.SGD(**optimizer), "binary_crossentropy", metrics=["accuracy", "mae"])
    model.set_weights([np.full((3, 1), 0.1, "float32"), np.zeros(1, "float32")])
    model.train_on_batch(X, Y)
    return model


@functools.cache
def shared(k: Any) -> Any:
    """One model for all tests that only feed logs: Keras takes a second to compile one."""
    return compiled(k)


def drive(k: Any, callback: Any, series: list[dict[str, float]], model: Any = None) -> dict[str, Any]:
    """What a callback does when it is fed these logs, an epoch each; weights are the epoch's number."""
    model = model or shared(k)
    model.optimizer.learning_rate = 0.1
    callback.set_model(model)
    callback.set_params({"verbose": 0, "epochs": len(series), "steps": 2})
    seen: dict[str, Any] = {"rates": [], "logs": [], "stopped": None}
    printed = io.StringIO()
    model.stop_training = False
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        callback.on_train_begin()
        logs: dict[str, float] = {}
        for epoch, values in enumerate(series):
            callback.on_epoch_begin(epoch)
            model.set_weights([np.full(w.shape, epoch, "float32") for w in model.get_weights()])
            logs = dict(values)
            callback.on_epoch_end(epoch, logs)
            seen["rates"].append(round(float(np.asarray(model.optimizer.learning_rate)), 9))
            seen["logs"].append({name: f"{value:.6g}" for name, value in logs.items()})
            if model.stop_training:
                seen["stopped"] = epoch
                break
        callback.on_train_end(logs)
    seen["weights"] = [w.tolist() for w in model.get_weights()]
    seen["printed"] = printed.getvalue()
    seen["warned"] = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    return seen


def values(name: str, *numbers: float) -> list[dict[str, float]]:
    return [{"accuracy": 0.5, "loss": 1.0, name: n} for n in numbers]


FALLING = (1.0, 0.8, 0.79, 0.85, 0.81, 0.7, 0.9, 0.9, 0.9)
RISING = (0.1, 0.5, 0.4, 0.45, 0.3, 0.6, 0.2, 0.2)
NAN = (1.0, math.nan, 0.5, math.nan, math.nan, math.nan)
STOPS: dict[str, tuple[dict[str, Any], list[dict[str, float]]]] = {
    "plain": ({}, values("val_loss", *FALLING)),
    "patience": ({"patience": 2, "verbose": 1}, values("val_loss", *FALLING)),
    "restore": ({"patience": 2, "verbose": 1, "restore_best_weights": True}, values("val_loss", *FALLING)),
    "restore at the end": ({"patience": 9, "restore_best_weights": True}, values("val_loss", *FALLING)),
    "delta": ({"patience": 2, "min_delta": 0.15}, values("val_loss", *FALLING)),
    "negative delta": ({"patience": 2, "min_delta": -0.15}, values("val_loss", *FALLING)),
    "baseline": ({"patience": 3, "baseline": 0.75, "verbose": 1}, values("val_loss", *FALLING)),
    "baseline never met": (
        {"patience": 3, "baseline": 0.1, "restore_best_weights": True},
        values("val_loss", *FALLING),
    ),
    "late": ({"patience": 1, "start_from_epoch": 4}, values("val_loss", *FALLING)),
    "first epoch": ({"patience": 0, "monitor": "loss"}, values("loss", 1.0, 1.0, 1.0)),
    "accuracy": ({"monitor": "val_accuracy", "patience": 2}, values("val_accuracy", *RISING)),
    "mae": ({"monitor": "val_mae", "patience": 2}, values("val_mae", *FALLING)),
    "max": ({"monitor": "val_loss", "mode": "max", "patience": 2}, values("val_loss", *RISING)),
    "min": ({"monitor": "anything", "mode": "min", "patience": 2}, values("anything", *FALLING)),
    "unknown mode": ({"mode": "least", "patience": 2}, values("val_loss", *FALLING)),
    "not a number": ({"patience": 2, "restore_best_weights": True}, values("val_loss", *NAN)),
    "nan first": ({"patience": 1, "restore_best_weights": True}, values("val_loss", math.nan, 1.0, 2.0, 3.0)),
    "missing": ({"monitor": "val_loss"}, values("loss", 1.0, 2.0)),
    "missing at times": ({"patience": 1}, [{"loss": 1.0}, {"loss": 1.0, "val_loss": 1.0}, {"loss": 1.0}]),
}


@pytest.mark.parametrize("case", STOPS)
def test_early_stopping(case: str) -> None:
    arguments, series = STOPS[case]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ours = drive(lumbre, lumbre.callbacks.EarlyStopping(**arguments), series)
        theirs = drive(keras, keras.callbacks.EarlyStopping(**arguments), series)
    assert ours == theirs
    assert len({str(w.message) for w in caught if "fallback" in str(w.message)}) == (case == "unknown mode")


@pytest.mark.parametrize("callback", ["EarlyStopping", "ReduceLROnPlateau"])
def test_an_unknown_direction_is_refused_and_lists_what_there_is(callback: str) -> None:
    messages = []
    for k in (lumbre, keras):
        with pytest.raises(ValueError, match="isn't able to automatically determine") as refused:
            drive(k, getattr(k.callbacks, callback)(monitor="val_acc"), values("val_loss", 1.0))
        messages.append(str(refused.value))
    assert messages[0].startswith(messages[1])
    assert messages[0].removeprefix(messages[1]).split(": ")[1].startswith("accuracy,loss,val_loss")


def test_the_direction_of_a_metric_of_one_output_among_several() -> None:
    entry = lumbre.Input((3,))
    heads = [lumbre.layers.Dense(1, name=name)(entry) for name in ("a", "b")]
    model = lumbre.Model(entry, heads)
    model.compile("sgd", "mse", metrics={"a": ["accuracy"], "b": ["mae"]})
    stop = lumbre.callbacks.EarlyStopping("a_accuracy", patience=50)
    model.fit(X, [Y, Y], epochs=2, verbose=0, callbacks=[stop])
    assert stop._is_improvement(2.0, 1.0)
    stop = lumbre.callbacks.EarlyStopping("val_b_mae", patience=50)
    model.fit(X, [Y, Y], epochs=2, verbose=0, validation_data=(X, [Y, Y]), callbacks=[stop])
    assert stop._is_improvement(1.0, 2.0)


PLATEAUS: dict[str, tuple[dict[str, Any], list[dict[str, float]]]] = {
    "plain": ({"patience": 2, "verbose": 1}, values("val_loss", *FALLING)),
    "cooldown": (
        {"patience": 1, "cooldown": 2, "factor": 0.5, "verbose": 1},
        values("val_loss", *FALLING, *FALLING),
    ),
    "least": ({"patience": 1, "min_lr": 0.02, "factor": 0.5, "verbose": 1}, values("val_loss", *[1.0] * 8)),
    "delta": ({"patience": 1, "min_delta": 0.2}, values("val_loss", *FALLING)),
    "accuracy": ({"monitor": "accuracy", "patience": 1}, values("accuracy", *RISING)),
    "max": ({"monitor": "x", "mode": "max", "patience": 1}, values("x", *RISING)),
    "missing": ({"verbose": 1}, values("loss", 1.0, 2.0)),
}


@pytest.mark.parametrize("case", PLATEAUS)
def test_reduce_on_plateau(case: str) -> None:
    arguments, series = PLATEAUS[case]
    ours = drive(lumbre, lumbre.callbacks.ReduceLROnPlateau(**arguments), series)
    theirs = drive(keras, keras.callbacks.ReduceLROnPlateau(**arguments), series)
    # Keras ends this one warning with a full stop.
    assert [w.rstrip(".") for w in ours.pop("warned")] == [w.rstrip(".") for w in theirs.pop("warned")]
    assert ours == theirs
    assert ("missing" in case) == (len(set(ours["rates"])) == 1)


def test_a_factor_that_does_not_reduce_is_refused() -> None:
    with pytest.raises(ValueError, match=r"does not support a factor >= 1.0. Received factor=1.5"):
        lumbre.callbacks.ReduceLROnPlateau(factor=1.5)


SCHEDULES: dict[str, Callable[..., float]] = {
    "two arguments": lambda epoch, rate: rate * 0.5 if epoch else rate,
    "one argument": lambda epoch: 0.1 / (1 + epoch),
    "numpy": lambda epoch, rate: np.float32(0.01),
}


@pytest.mark.parametrize("case", SCHEDULES)
def test_scheduler(case: str) -> None:
    series = values("val_loss", 1.0, 1.0, 1.0)
    ours = drive(lumbre, lumbre.callbacks.LearningRateScheduler(SCHEDULES[case], verbose=1), series)
    theirs = drive(keras, keras.callbacks.LearningRateScheduler(SCHEDULES[case], verbose=1), series)
    assert ours == theirs
    assert "LearningRateScheduler setting" in ours["printed"]


def test_scheduler_in_fit_logs_and_trains_with_the_rate() -> None:
    results = []
    for k in (lumbre, keras):
        model = compiled(k)
        model.set_weights([np.full((3, 1), 0.1, "float32"), np.zeros(1, "float32")])
        halve = k.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
        history = model.fit(X, Y, epochs=4, shuffle=False, verbose=0, callbacks=[halve]).history
        results.append(history)
    assert list(results[0]) == list(results[1])
    for name in results[0]:
        np.testing.assert_allclose(results[0][name], results[1][name], rtol=1e-5)


def test_what_a_schedule_may_return() -> None:
    scheduler = lumbre.callbacks.LearningRateScheduler(lambda epoch, rate: "fast")  # type: ignore[arg-type,return-value]
    with pytest.raises(ValueError, match=r"should be a float\. Got: fast"):
        drive(lumbre, scheduler, values("loss", 1.0))
    model = compiled(lumbre)
    model.compile(lumbre.optimizers.SGD(lumbre.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)), "mse")
    with pytest.raises(TypeError, match="is not settable"):
        model.fit(X, Y, verbose=0, callbacks=[lumbre.callbacks.LearningRateScheduler(lambda e, r: r)])


# ----------------------------------------------------------------------------------------------- not a number


def exploding(k: Any) -> Any:
    model = k.Sequential([k.Input((1,)), k.layers.Dense(1, kernel_initializer="ones")])
    model.compile(k.optimizers.SGD(1e4), "mse")
    return model


def test_terminate_on_nan_stops_where_keras_does(capsys: pytest.CaptureFixture[str]) -> None:
    x = np.ones((400, 1), "float32")
    results = []
    for k in (lumbre, keras):
        model = exploding(k)
        callback = k.callbacks.TerminateOnNaN()
        history = model.fit(x, 3 * x, batch_size=2, epochs=5, shuffle=False, verbose=0, callbacks=[callback])
        results.append((history.epoch, int(np.asarray(model.optimizer.iterations)), capsys.readouterr().out))
    assert results[0] == results[1]
    assert results[0][1] > 4  # replayed steps, and not all of the epoch
    assert "Invalid loss, terminating training" in results[0][2]


def test_terminate_on_nan_may_raise() -> None:
    x = np.ones((400, 1), "float32")
    messages = []
    for k in (lumbre, keras):
        with pytest.raises(RuntimeError, match="NaN or Inf loss encountered at batch") as raised:
            callback = k.callbacks.TerminateOnNaN(raise_error=True)
            exploding(k).fit(x, 3 * x, batch_size=2, verbose=0, callbacks=[callback])
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


class Runs(lumbre.callbacks.Callback):
    """Counts how often the training loop comes back to Python."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        from lumbre.training.step import StepRunner

        run = StepRunner.run

        def counted(*args: Any) -> Any:
            self.count += 1
            return run(*args)

        monkeypatch.setattr(StepRunner, "run", counted)


def test_callbacks_without_batch_hooks_leave_batches_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs = Runs(monkeypatch)
    c = lumbre.callbacks
    model = compiled(lumbre)
    many: list[Any] = [
        c.TerminateOnNaN(),
        c.EarlyStopping("loss", patience=9),
        c.ReduceLROnPlateau("loss"),
        c.LearningRateScheduler(lambda epoch, rate: rate),
        c.CSVLogger(tmp_path / "log.csv"),
        c.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        c.GradientMonitor(every=3),
    ]
    with contextlib.suppress(ImportError):
        many.append(c.TensorBoard(tmp_path))
    x, y = np.tile(X, (50, 1)), np.tile(Y, 50)
    model.fit(x, y, batch_size=2, epochs=3, verbose=0, callbacks=many)  # 1000 batches an epoch
    assert runs.count < 60
    before = runs.count
    model.fit(
        x, y, batch_size=2, verbose=0, callbacks=[c.LambdaCallback(on_train_batch_end=lambda b, logs: None)]
    )
    assert runs.count - before == 1000


def test_terminate_on_nan_beside_a_callback_that_sees_every_batch(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[int] = []
    x = np.ones((400, 1), "float32")
    each = lumbre.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    model = exploding(lumbre)
    model.fit(x, 3 * x, batch_size=2, verbose=0, callbacks=[each, lumbre.callbacks.TerminateOnNaN()])
    assert seen == list(range(len(seen)))
    assert capsys.readouterr().out.count(f"Batch {seen[-1]}: Invalid loss") == 1


# ------------------------------------------------------------------------------------------------------ files

LOGS: dict[str, list[dict[str, Any]]] = {
    "plain": [{"loss": 1.0, "accuracy": 0.5}, {"loss": 0.25, "accuracy": 1e-9}],
    "validation": [{"loss": 1.0, "val_loss": 2.0}, {"loss": 0.5}],
    "validation later": [{"loss": 1.0}, {"loss": 0.5, "val_loss": 0.125}],
    "several numbers": [{"loss": np.array([1.0, 2.0]), "n": np.array(3)}],
    "text": [{"loss": 1.0, "note": "a, b"}],
}


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("case", LOGS)
def test_csv(case: str, separator: str, tmp_path: Path) -> None:
    written = []
    for k in (lumbre, keras):
        path = tmp_path / f"{k.__name__}.csv"
        for append in (False, True, True):
            logger = k.callbacks.CSVLogger(str(path), separator=separator, append=append)
            logger.on_train_begin()
            for epoch, logs in enumerate(LOGS[case]):
                logger.on_epoch_end(epoch, dict(logs))
            logger.on_train_end()
        written.append(path.read_bytes())
    assert written[0] == written[1]
    assert written[0].startswith(b"epoch" + separator.encode())


def test_csv_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    model = compiled(lumbre)
    logger = lumbre.callbacks.CSVLogger(path)
    for _ in range(2):
        model.fit(X, Y, epochs=2, verbose=0, validation_data=(X, Y), callbacks=[logger])
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch,accuracy,loss,mae,val_accuracy,val_loss,val_mae"
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "1"]
    assert [float(line.split(",")[2]) for line in lines[1:]] == model.history.history["loss"]


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.got.append((self.path, self.headers["Content-Type"], self.headers["X-Key"], body))  # type: ignore[attr-defined]
        self.send_response(500 if self.path == "/broken" else 200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.HTTPServer]:
    made = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    made.got = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def test_remote_monitor(server: Any) -> None:
    root = f"http://127.0.0.1:{server.server_port}"
    monitor = lumbre.callbacks.RemoteMonitor(root, headers={"X-Key": "k"})
    monitor.on_epoch_end(3, {"loss": 0.5, "n": np.float32(2)})
    as_json = lumbre.callbacks.RemoteMonitor(root, path="/broken", send_as_json=True)
    as_json.on_epoch_end(4, {"loss": 0.25})
    (path, kind, key, form), (_, json_kind, _, text) = server.got
    assert (path, kind, key) == ("/publish/epoch/end/", "application/x-www-form-urlencoded", "k")
    assert json.loads(urllib.parse.parse_qs(form)["data"][0]) == {"epoch": 3, "loss": 0.5, "n": 2.0}
    assert json_kind == "application/json"
    assert json.loads(text) == {"epoch": 4, "loss": 0.25}


def test_a_server_that_is_not_there_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="Could not reach RemoteMonitor root server at http://127.0.0.1:9"):
        lumbre.callbacks.RemoteMonitor("http://127.0.0.1:9").on_epoch_end(0, {"loss": 1.0})


# --------------------------------------------------------------------------------------------------- averages


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_swapped_averages(swap_on_epoch: bool) -> None:
    results = []
    for k in (lumbre, keras):
        model = compiled(k, use_ema=True, ema_momentum=0.8)
        model.set_weights([np.full((3, 1), 0.1, "float32"), np.zeros(1, "float32")])
        seen: list[list[float]] = []
        look = k.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs, m=model, s=seen: s.append(m.get_weights()[0].ravel().tolist())
        )
        swap = k.callbacks.SwapEMAWeights(swap_on_epoch=swap_on_epoch)
        history = model.fit(
            X, Y, epochs=4, shuffle=False, verbose=0, validation_data=(X, Y), callbacks=[swap, look]
        ).history
        results.append((seen, history["loss"], history["val_loss"], model.get_weights()[0].ravel().tolist()))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    seen, *_, last = results[0]
    assert np.allclose(seen[-1], last) == swap_on_epoch  # the averages were in the model at the epoch's end


def test_averages_are_in_the_model_after_an_early_stop_too() -> None:
    model = compiled(lumbre, use_ema=True, ema_momentum=0.8)
    averages = []
    c = lumbre.callbacks
    swap = c.SwapEMAWeights(swap_on_epoch=True)
    look = c.LambdaCallback(on_epoch_end=lambda epoch, logs: averages.append(model.get_weights()[0]))
    stop = c.EarlyStopping("loss", mode="max", patience=1)
    model.fit(X, Y, epochs=9, verbose=0, callbacks=[swap, look, stop])
    assert len(averages) == 2
    np.testing.assert_array_equal(model.get_weights()[0], averages[-1])


def test_predicting_with_averages_leaves_the_weights() -> None:
    model = compiled(lumbre, use_ema=True, ema_momentum=0.8)
    model.fit(X, Y, batch_size=10, verbose=0)
    model.optimizer.apply([np.ones((3, 1), "float32"), np.ones(1, "float32")])
    before = model.get_weights()
    swapped = model.predict(X, verbose=0, callbacks=[lumbre.callbacks.SwapEMAWeights()])
    assert np.abs(swapped - model.predict(X, verbose=0)).max() > 0
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_averages_that_are_not_kept_are_refused() -> None:
    messages = []
    for k in (lumbre, keras):
        with pytest.raises(ValueError, match="SwapEMAWeights must be used when") as refused:
            compiled(k).evaluate(X, Y, verbose=0, callbacks=[k.callbacks.SwapEMAWeights()])
        messages.append(str(refused.value))
    assert messages[0] == messages[1]


# ----------------------------------------------------------------------------------------- what is a callback


def test_lambda_callback_hears_the_same_events() -> None:
    events: dict[str, list[str]] = {}
    hooks = [name for name in dir(keras.callbacks.Callback) if name.startswith("on_")]
    hooks = [name for name in hooks if not name.startswith("on_batch")]
    for k in (lumbre, keras):
        heard = events[k.__name__] = []

        def hook(name: str, heard: list[str] = heard) -> Any:
            return lambda *args, **kwargs: heard.append(name)

        callback = k.callbacks.LambdaCallback(**{name: hook(name) for name in hooks})
        model = compiled(k)
        model.fit(X, Y, batch_size=16, epochs=2, verbose=0, validation_data=(X, Y), callbacks=[callback])
        model.predict(X, verbose=0, callbacks=[callback])
    assert events["lumbre"] == events["keras"]
    assert set(events["lumbre"]) == set(hooks)


def test_what_is_no_callback_is_refused() -> None:
    model = compiled(lumbre)
    with pytest.raises(TypeError, match=r"there is no hook 'on_epoch_ended'\. Did you mean 'on_epoch_end'"):
        lumbre.callbacks.LambdaCallback(on_epoch_ended=print)
    with pytest.raises(TypeError, match=r"It is a class: pass an object, EarlyStopping\(\.\.\.\)"):
        model.fit(X, Y, verbose=0, callbacks=[lumbre.callbacks.EarlyStopping])
    with pytest.raises(TypeError, match="without hooks like `on_epoch_end`"):
        model.fit(X, Y, verbose=0, callbacks=[object()])
    for nothing in (None, [], [None]):
        assert len(model.fit(X, Y, verbose=0, callbacks=nothing).epoch) == 1
