"""PyDataset: batches made when asked for, by workers that load ahead, in order, and stop cleanly."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre.training import loading
from small_models import LABELS, WEIGHTS, N, X, compiled

SIZE = 10


class Batches(lumbre.utils.PyDataset):
    """Five batches; notes what was asked for, by which thread, and when epochs began and ended."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.events: list[Any] = []
        self.threads: set[str] = set()

    def __len__(self) -> int:
        return N // SIZE

    def __getitem__(self, i: int) -> Any:
        self.events.append(i)
        self.threads.add(threading.current_thread().name)
        rows = slice(i % len(self) * SIZE, (i % len(self) + 1) * SIZE)
        return X[rows], LABELS[rows]

    def on_epoch_begin(self) -> None:
        self.events.append("begin")

    def on_epoch_end(self) -> None:
        self.events.append("end")


@pytest.fixture(autouse=True)
def no_worker_is_left() -> Iterator[None]:
    yield
    assert not loaders()


def loaders() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("lumbre-loader")]


def losses(data: Any, seed: int = 1, **options: Any) -> list[float]:
    lumbre.utils.set_random_seed(seed)
    return list(compiled().fit(data, verbose=0, **{"epochs": 3, **options}).history["loss"])


FORMS: dict[str, dict[str, Any]] = {
    "at once": {"workers": 0},
    "one": {},
    "threads": {"workers": 3},
    "a short queue": {"workers": 2, "max_queue_size": 1},
    "a process": {"workers": 1, "use_multiprocessing": True},
    "processes": {"workers": 2, "use_multiprocessing": True},
}


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_the_order_does_not_depend_on_the_workers(form: str, shuffle: bool) -> None:
    expected = losses(Batches(), shuffle=shuffle)
    assert losses(Batches(**FORMS[form]), shuffle=shuffle) == expected
    if not shuffle:
        arrays = compiled().fit(X, LABELS, batch_size=SIZE, epochs=3, shuffle=False, verbose=0)
        np.testing.assert_allclose(expected, arrays.history["loss"], rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_evaluate_predict_and_validation(form: str) -> None:
    data, model = Batches(**FORMS[form]), compiled()
    expected = model.evaluate(X, LABELS, batch_size=SIZE, verbose=0)
    assert model.evaluate(data, verbose=0) == expected
    np.testing.assert_array_equal(model.predict(data, verbose=0), model.predict(X, SIZE, verbose=0))
    assert model.predict(data, verbose=0, steps=2).shape[0] == 2 * SIZE
    history = model.fit(data, verbose=0, epochs=2, validation_data=Batches(**FORMS[form])).history
    ours = model.evaluate(X, LABELS, batch_size=SIZE, verbose=0)
    assert [history["val_loss"][-1], history["val_accuracy"][-1]] == ours


@pytest.mark.parametrize("workers", [1, 2])
def test_epochs_begin_and_end_in_order(workers: int) -> None:
    """Nothing is loaded for an epoch before the end of the one before: a data set may change in between."""
    data = Batches(workers=workers)
    compiled().fit(data, verbose=0, epochs=2, shuffle=False)
    ends = [i for i, event in enumerate(data.events) if event == "end"]
    assert len(ends) == 2 and data.events.count("begin") == 2
    first, second = data.events[: ends[0]], data.events[ends[0] + 1 : ends[1]]
    assert first[:2] == [0, "begin"] and sorted(first[2:]) == [1, 2, 3, 4]
    assert second[0] == "begin" and sorted(second[1:]) == [0, 1, 2, 3, 4]


def test_batches_are_loaded_while_others_are_trained_on() -> None:
    loaded = {i: threading.Event() for i in range(5)}

    class Told(Batches):
        def __getitem__(self, i: int) -> Any:
            batch = super().__getitem__(i)
            loaded[i].set()
            return batch

    class Waits(lumbre.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            assert batch != 0 or loaded[4].wait(30), "the main thread is here, so another must load"

    data = Told(workers=2)
    compiled().fit(data, verbose=0, shuffle=False, callbacks=[Waits()])
    assert {name[:13] for name in data.threads} == {"MainThread", "lumbre-loader"}


def test_no_more_batches_wait_than_asked_for() -> None:
    done, most = [0], [0]
    begun = {i: threading.Event() for i in range(5)}

    class Counted(Batches):
        def __getitem__(self, i: int) -> Any:
            most[0] = max(most[0], i - done[0])
            begun[i].set()
            return super().__getitem__(i)

    class Slow(lumbre.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            assert batch + 2 not in begun or begun[batch + 2].wait(30), "two may wait, and do"
            time.sleep(0.02)  # time enough to load one more
            done[0] = batch + 1

    compiled().fit(
        Counted(workers=3, max_queue_size=2), verbose=0, shuffle=False, epochs=1, callbacks=[Slow()]
    )
    assert most[0] == 2


@pytest.mark.parametrize("workers", [1, 3])
def test_an_endless_data_set(workers: int) -> None:
    class Endless(Batches):
        @property
        def num_batches(self) -> int | None:
            return None

    data = Endless(workers=workers)
    history = compiled().fit(data, verbose=0, epochs=3, steps_per_epoch=4).history
    asked = [event for event in data.events if isinstance(event, int)]
    assert sorted(asked) == list(range(12)), "no batch is loaded twice, left out, or for nothing"
    again = (data[i] for i in range(12))
    assert (
        history["loss"]
        == compiled().fit(again, verbose=0, epochs=3, steps_per_epoch=4, shuffle=False).history["loss"]
    )


def test_an_endless_data_set_needs_a_number_of_steps() -> None:
    class Endless(Batches):
        num_batches = None

    model = compiled()
    with pytest.raises(ValueError, match=r"has no end.*`steps_per_epoch`"):
        model.fit(Endless(), verbose=0)
    with pytest.raises(ValueError, match="`steps`, of validation data `validation_steps`"):
        model.fit(X, LABELS, validation_data=Endless(), verbose=0)
    with pytest.raises(ValueError, match="`steps`"):
        model.predict(Endless(), verbose=0)


def test_processes_that_are_spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS and Windows: the data set is pickled."""
    expected = losses(Batches(), shuffle=False)
    monkeypatch.setattr(loading, "START", "spawn")
    assert losses(Batches(workers=1, use_multiprocessing=True), shuffle=False) == expected


@pytest.mark.parametrize("workers", [1, 3])
def test_steps_per_epoch_goes_on_where_it_stopped(workers: int) -> None:
    data = Batches(workers=workers)
    with pytest.warns(UserWarning, match="ran out of data"):
        compiled().fit(data, verbose=0, epochs=2, steps_per_epoch=3, shuffle=False)
    assert sorted(e for e in data.events if isinstance(e, int)) == [0, 1, 2, 3, 4]


class Broken(Batches):
    """Batch 3 cannot be loaded."""

    def __getitem__(self, i: int) -> Any:
        if i == 3:
            raise OSError("no such picture")
        return super().__getitem__(i)


@pytest.mark.parametrize("form", ["threads", "a short queue", "a process", "processes"])
def test_a_worker_that_raises(form: str) -> None:
    model = compiled()
    with pytest.raises(
        RuntimeError, match=r"batch 3 of the Broken could not be loaded.*no such picture"
    ) as caught:
        model.fit(Broken(**FORMS[form]), verbose=0, shuffle=False, epochs=2)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__notes__ == ["This was batch 3 of the PyDataset (counted from 0)."]
    assert model.optimizer.iterations.numpy() == 3 and not loaders()
    model.fit(Batches(**FORMS[form]), verbose=0)  # the model is usable


def test_without_workers_the_error_is_the_data_sets_own() -> None:
    with pytest.raises(OSError, match="no such picture") as caught:
        compiled().fit(Broken(), verbose=0, shuffle=False)
    assert "It was raised by Broken[3]." in caught.value.__notes__


def test_a_worker_process_that_dies() -> None:
    class Dies(Batches):
        def __getitem__(self, i: int) -> Any:
            if i == 2 and threading.current_thread() is threading.main_thread() and os.getpid() != parent:
                os._exit(3)
            return super().__getitem__(i)

    parent, model = os.getpid(), compiled()
    with pytest.raises(RuntimeError, match="could not be loaded by a worker: BrokenProcessPool"):
        model.fit(Dies(workers=1, use_multiprocessing=True), verbose=0, shuffle=False)
    model.fit(Batches(), verbose=0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interruption_leaves_no_worker(error: type[BaseException]) -> None:
    class Interrupts(lumbre.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            raise error

    model = compiled()
    with pytest.raises(error):
        model.fit(Batches(workers=3), verbose=0, callbacks=[Interrupts()])
    assert not loaders()
    model.fit(Batches(workers=3), verbose=0)


def test_ctrl_c_while_a_batch_is_waited_for() -> None:
    class Slow(Batches):
        def __getitem__(self, i: int) -> Any:
            time.sleep(0.3 if i else 0)
            return super().__getitem__(i)

    model = compiled()
    timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(Slow(workers=2), verbose=0, shuffle=False)
    timer.join()
    assert not loaders()
    model.fit(Batches(), verbose=0)


def test_stopping_early_leaves_no_worker() -> None:
    class Stops(lumbre.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            assert loaders()
            self.model.stop_training = True

    data, model = Batches(workers=3), compiled()
    model.fit(data, verbose=0, epochs=5, callbacks=[Stops()])
    assert model.optimizer.iterations.numpy() == 1 and data.events[-1] == "end"


def test_random_numbers_belong_to_the_batch() -> None:
    """In processes; whichever loads it, and different ones in each epoch."""

    class Noisy(Batches):
        def __getitem__(self, i: int) -> Any:
            x, y = super().__getitem__(i)
            return x + np.random.normal(size=x.shape) + random.random(), y

    options = {"use_multiprocessing": True, "max_queue_size": 2}
    one, two = (losses(Noisy(workers=w, **options), shuffle=False) for w in (1, 2))
    assert one == two
    model = compiled(run_eagerly=False)
    data = Noisy(workers=2, **options)
    lumbre.utils.set_random_seed(0)
    model.optimizer.learning_rate = 0.0
    epochs = model.fit(data, verbose=0, epochs=2, shuffle=False).history["loss"]
    assert epochs[0] != epochs[1]


def test_class_weights() -> None:
    weights = {0: 2.0, 2: 0.5}
    expected = compiled().fit(X, LABELS, batch_size=SIZE, shuffle=False, verbose=0, class_weight=weights)
    for workers in (1, 2):
        ours = compiled().fit(Batches(workers=workers), shuffle=False, verbose=0, class_weight=weights)
        assert ours.history == expected.history

    class Weighted(Batches):
        def __getitem__(self, i: int) -> Any:
            return (*super().__getitem__(i), WEIGHTS[:SIZE])

    with pytest.raises(ValueError, match="`class_weight` and `sample_weight`"):
        compiled().fit(Weighted(), verbose=0, class_weight=weights)


def test_what_a_data_set_has_to_define() -> None:
    class Empty(lumbre.utils.PyDataset):
        pass

    class Without(Empty):
        def __len__(self) -> int:
            return 2

    class NoBatches(Batches):
        def __len__(self) -> int:
            return 0

    with pytest.raises(NotImplementedError, match="Empty must define __len__"):
        compiled().fit(Empty(), verbose=0)
    with pytest.raises(NotImplementedError, match="Without must define __getitem__"):
        compiled().fit(Without(), verbose=0)
    with pytest.raises(ValueError, match="empty PyDataset"):
        compiled().fit(NoBatches(), verbose=0)


def test_a_constructor_that_forgets_the_base() -> None:
    class Forgets(Batches):
        def __init__(self) -> None:
            self.events, self.threads = [], set()

    with pytest.warns(UserWarning, match=r"should call `super\(\).__init__"):
        history = compiled().fit(Forgets(), verbose=0, shuffle=False).history
    assert history == compiled().fit(Batches(), verbose=0, shuffle=False).history


def test_options_can_be_set_later() -> None:
    data = Batches()
    assert (data.workers, data.use_multiprocessing, data.max_queue_size) == (1, False, 10)
    data.workers, data.use_multiprocessing, data.max_queue_size = 4, True, 3
    assert (data.workers, data.use_multiprocessing, data.max_queue_size) == (4, True, 3)
    assert lumbre.utils.Sequence is lumbre.utils.PyDataset
    assert [len(x) for x, _ in data] == [SIZE] * 5


def test_batches_come_in_keras_order() -> None:
    keras: Any = pytest.importorskip("keras")

    def orders(lib: Any, shuffle: bool) -> list[Any]:
        class Noted(lib.utils.PyDataset):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.asked: list[int] = []

            def __len__(self) -> int:
                return 5

            def __getitem__(self, i: int) -> Any:
                self.asked.append(i)
                return X[i * 8 : i * 8 + 8], X[i * 8 : i * 8 + 8, :1]

        lib.utils.set_random_seed(3)
        model = lib.Sequential([lib.Input((4,)), lib.layers.Dense(1)])
        model.compile("sgd", "mse")
        data = [Noted(), Noted(), Noted()]
        model.fit(data[0], epochs=2, verbose=0, shuffle=shuffle)
        model.fit(data[1], epochs=1, verbose=0, shuffle=shuffle)
        model.evaluate(data[2], verbose=0)
        return [data[0].asked[-10:], data[1].asked, data[2].asked]  # Keras loads one more, to build the model

    for shuffle in (True, False):
        assert orders(lumbre, shuffle) == orders(keras, shuffle)
