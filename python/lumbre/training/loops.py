"""The loops of `fit`, `evaluate` and `predict`: epochs, runs of batches, hooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lumbre import tree
from lumbre.callbacks.callback_list import CallbackList
from lumbre.training.checkpoints import Saver
from lumbre.training.feeds import Feed
from lumbre.training.run_state import Position

Logs = dict[str, Any]


@dataclass
class Validation:
    """When `fit` evaluates, and on what."""

    feed: Feed
    frequency: int | list[int]

    def is_due(self, epoch: int) -> bool:
        """Whether to evaluate after this epoch (counted from 0)."""
        if isinstance(self.frequency, int):
            return (epoch + 1) % self.frequency == 0
        return epoch + 1 in self.frequency


def run_epoch(
    kind: str,
    feed: Feed,
    runner: Any,
    callbacks: CallbackList,
    logs: Callable[[], Logs],
    stopped: Callable[[], bool],
    per_call: int = 1,
    keep: Callable[[Any], None] | None = None,
    first: int = 0,
    room: Callable[[], int | None] | None = None,
    pause: Callable[[int], None] | None = None,
) -> int:
    """All batches of one epoch. Batches run many at once unless a callback wants to see each.

    Args:
        kind: "train", "test" or "predict".
        feed: Where the batches come from.
        runner: What runs them.
        callbacks: Whose hooks are called.
        logs: Reads the values of the metrics.
        stopped: Whether a callback has asked to stop; looked at after each call of hooks.
        per_call: Batches between two calls of a callback's batch hooks.
        keep: Receives the outputs of each batch.
        first: How many batches of the epoch were done before, by another process.
        room: How many batches may run before the next pause.
        pause: Called with the number of batches done whenever some are.

    Returns:
        The number of batches done.
    """
    begins, ends = callbacks.wants(kind, "begin"), callbacks.wants(kind, "end")
    stepwise, watched = begins or ends, callbacks.watches()
    before = getattr(callbacks, f"on_{kind}_batch_begin")
    after = getattr(callbacks, f"on_{kind}_batch_end")
    feed.start(fresh=kind != "train")
    step = first
    try:
        while feed.more():
            if begins:
                before(step)
            # The bar's clock starts after the first step, so that one runs alone.
            free = room() if room is not None else None
            most = per_call if stepwise else 1 if watched and step == first else free
            done, outputs = _advance(feed, runner, most)
            step += done
            if keep is not None:
                for output in outputs:
                    keep(output)
            if ends:
                after(step - 1, {"outputs": _joined(outputs)} if kind == "predict" else logs())
            callbacks.tick(kind, step - 1, logs)
            if pause is not None:
                pause(step)
            if stopped():
                break
    finally:
        feed.finish()
    return step


def _advance(feed: Feed, runner: Any, most: int | None) -> tuple[int, list[Any]]:
    """At most `most` batches; exactly that many unless the epoch ends (None: as the runner likes)."""
    done, outputs = feed.advance(runner, most)
    while most is not None and done < most and feed.more():
        more, further = feed.advance(runner, most - done)
        done += more
        outputs = outputs + further
    return done, outputs


def fit(
    model: Any,
    feed: Feed,
    callbacks: CallbackList,
    epochs: range,
    validation: Validation | None,
    saver: Saver | None = None,
) -> None:
    """Trains for the given epochs; the model has been built and the data checked.

    With a saver it goes on where another process stopped, if one did, and saves its state.
    """
    runner = model._runner("train")
    runner.nan_policy = feed.nan_policy
    runner.watched = model._loss_tracker.total.cell if callbacks.stops_on_nan else None
    callbacks.on_train_begin()
    start = saver.position if saver is not None else Position(0)
    training_logs: Logs = start.last_logs or {}
    if saver is not None:
        saver.restore()
        model.stop_training = start.stopped
    for epoch in epochs if not start.stopped else ():
        if epoch < start.epoch:
            continue
        resumed = start if start.within and epoch == start.epoch else None
        logs = _train_epoch(model, feed, runner, callbacks, epoch, saver, resumed)
        if logs is None:  # the data had ended before the epoch began, about which the feed warned
            break
        if validation is not None and validation.is_due(epoch):
            if saver is not None:
                saver.validation_begins(epoch, logs)
            results = evaluate(model, validation.feed, callbacks, saver)
            logs.update({f"val_{name}": value for name, value in results.items()})
        callbacks.on_epoch_end(epoch, logs)
        training_logs = logs
        if saver is not None:
            saver.epoch_done(epoch, logs)
        if model.stop_training:
            break
    if saver is not None:
        saver.training_done()
    callbacks.on_train_end(training_logs)


def _train_epoch(
    model: Any,
    feed: Feed,
    runner: Any,
    callbacks: CallbackList,
    epoch: int,
    saver: Saver | None,
    resumed: Position | None,
) -> Logs | None:
    """The batches of an epoch, or those that are left of a resumed one; its logs, None if it has no batch."""
    model.reset_metrics()
    callbacks.on_epoch_begin(epoch)
    variables = model.trainable_variables
    if model.optimizer is not None:
        model.optimizer.enter_training(variables)
    if saver is not None:
        if resumed is not None:
            saver.restore()  # once more: the hooks at the epoch's beginning have changed it now
        saver.forget_found()
    if resumed is not None and resumed.logs is not None:
        return dict(resumed.logs)
    steps = run_epoch(
        "train",
        feed,
        runner,
        callbacks,
        lambda: model._read_logs("train"),
        lambda: model.stop_training,
        model.steps_per_execution,
        first=resumed.step if resumed is not None else 0,
        room=None if saver is None else saver.room,
        pause=None if saver is None else partial(saver.batches_done, epoch),
    )
    if model.optimizer is not None:
        model.optimizer.leave_training(variables)
    return model._read_logs("train") if steps else None


def evaluate(model: Any, feed: Feed, callbacks: CallbackList, saver: Saver | None = None) -> Logs:
    """The metrics over one pass of a feed; nothing if it has no more data."""
    runner = model._runner("test")
    model.stop_evaluating = False
    callbacks.on_test_begin()
    model.reset_metrics()
    steps = run_epoch(
        "test",
        feed,
        runner,
        callbacks,
        lambda: model._read_logs("test"),
        lambda: model.stop_evaluating,
        model.steps_per_execution,
        pause=None if saver is None else lambda step: saver.validated(),
    )
    logs = model._read_logs("test") if steps else {}
    callbacks.on_test_end(logs)
    return logs


def predict(model: Any, feed: Feed, callbacks: CallbackList) -> Any:
    """The outputs over one pass of a feed, batches joined along the first axis."""
    runner = model._runner("predict")
    model.stop_predicting = False
    callbacks.on_predict_begin()
    outputs: list[Any] = []
    run_epoch(
        "predict",
        feed,
        runner,
        callbacks,
        dict,
        lambda: model.stop_predicting,
        model.steps_per_execution,
        keep=outputs.append,
    )
    callbacks.on_predict_end()
    if not outputs:
        raise ValueError("predict: the data gave no batch")
    return _joined(outputs)


def _joined(outputs: list[Any]) -> Any:
    """The outputs of several batches as those of one."""
    if len(outputs) == 1:
        return outputs[0]
    return tree.map_structure(lambda *batches: np.concatenate(batches), *outputs)
