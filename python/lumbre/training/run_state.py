"""The state of a training run between two batches: taken in one process, put back in another.

It holds everything that the rest of the run depends on: the Variables of model, optimizers and metrics, the
states of the random generators and of the callbacks, and where the data is. So the rest is the same to the
bit.
"""

from __future__ import annotations

import random as python_random
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from lumbre import random
from lumbre.arrays import values
from lumbre.callbacks.callback_list import CallbackList
from lumbre.lookup import users_level
from lumbre.tensor import Variable
from lumbre.training.feeds import Feed
from lumbre.training.identity import describe, difference, optimizers_of

Tensors = dict[str, Any]


class Position(NamedTuple):
    """Where a run is.

    Attributes:
        epoch: The epoch that is going on, or the next one, from 0.
        step: The batches that are done in it.
        logs: Its logs where its batches are done, and its validation and end come next; else None.
        last_logs: The logs of the epoch before.
        batches: The batches that are done in all epochs.
        stopped: Whether a callback has stopped the run.
    """

    epoch: int
    step: int = 0
    logs: dict[str, Any] | None = None
    last_logs: dict[str, Any] | None = None
    batches: int = 0
    stopped: bool = False

    @property
    def within(self) -> bool:
        """Whether the epoch has begun."""
        return self.step > 0


class Snapshot(NamedTuple):
    """A state: tensors, which training leaves alone, and everything else as plain values and arrays."""

    tensors: Tensors
    state: dict[str, Any]


class _Held:
    """The value that a Variable has now, held as it lies, which takes no time; read when it is written."""

    def __init__(self, variable: Variable) -> None:
        self.cell = variable.cell.hold()
        self.shape, self.dtype = variable.shape, variable.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(values(self.cell.read()), dtype)


class RunState:
    """What `fit` is working with, as something to take snapshots of.

    Args:
        model: The model, built and compiled.
        feed: Its training data.
        hooks: The callbacks.
    """

    def __init__(self, model: Any, feed: Feed, hooks: CallbackList) -> None:
        self.model = model
        self.feed = feed
        self.hooks = hooks
        # Now: a rate that falls while training goes on is no other optimizer.
        self.description = describe(model, feed)

    def take(self, position: Position) -> Snapshot:
        """The state now. Tensors are not copied: a Variable that is written to leaves the old value alone."""
        tensors = {name: _Held(variable) for name, variable in self._variables()}
        state = {
            "position": position._asdict(),
            "description": self.description,
            "variables": self._list(),
            "random": _random_state(),
            "feed": self.feed.get_state(),
            "callbacks": {
                f"{i} {type(c).__name__}": _state_of(c) for i, c in enumerate(self.hooks.callbacks)
            },
        }
        return Snapshot(tensors, state)

    def check(self, snapshot: Snapshot) -> None:
        """Refuses the state of another run.

        Raises:
            ValueError: Model, optimizer, loss, metrics or data differ; the message says in what.
        """
        found = difference(self._comparable(snapshot), self.description)
        if found is None:
            before = [tuple(entry) for entry in snapshot.state["variables"]]
            found = _in_variables(
                before, [tuple(entry) for entry in self._list()], self._needs_metrics(snapshot)
            )
        if found is not None:
            raise ValueError(found)

    def _comparable(self, snapshot: Snapshot) -> dict[str, Any]:
        """The description in a snapshot, with the learning rates of optimizers that are in use already.

        They may have fallen in the meantime; those of the snapshot take their place.
        """
        before: dict[str, Any] = dict(snapshot.state["description"])
        now = self.description["optimizers"]
        optimizers = optimizers_of(self.model)
        if len(now) == len(before["optimizers"]):
            before["optimizers"] = [
                [kind, name, _with_rate(config, config_now) if int(np.asarray(o.iterations)) else config]
                for (kind, name, config), (*_, config_now), o in zip(
                    before["optimizers"], now, optimizers, strict=True
                )
            ]
        return before

    def _needs_metrics(self, snapshot: Snapshot) -> bool:
        """Whether the metrics have to go on in the middle of an epoch."""
        position = snapshot.state["position"]
        return bool(position["step"]) and position["logs"] is None

    def put_back(self, snapshot: Snapshot) -> None:
        """Makes everything as it was when the snapshot was taken."""
        position = snapshot.state["position"]
        for name, variable in self._variables():
            if name in snapshot.tensors:
                variable.assign(snapshot.tensors[name])
        self._put_back_callbacks(snapshot.state["callbacks"])
        self.feed.set_state(snapshot.state["feed"], position["step"] > 0 and position["logs"] is None)
        _set_random_state(snapshot.state["random"])

    def _put_back_callbacks(self, states: dict[str, Any]) -> None:
        """Gives each callback the state of the first of its class that no other has got."""
        waiting = [(name.partition(" ")[2], state) for name, state in states.items()]
        for callback in self.hooks.callbacks:
            kind = type(callback).__name__
            found = next((i for i, (name, _) in enumerate(waiting) if name == kind), None)
            if found is not None:
                _, state = waiting.pop(found)
                if state is not None:
                    callback.set_state(state)
        lost = [name for name, state in waiting if state is not None]
        if lost:
            warnings.warn(
                f"the checkpoint has the state of callbacks that are not there now: {', '.join(lost)}",
                stacklevel=users_level(),
            )

    def _variables(self) -> Iterator[tuple[str, Variable]]:
        """Everything that is kept from batch to batch, each once, under names that count up in each part."""
        model = self.model
        parts: dict[str, list[Variable]] = {
            "model": model.variables,
            "optimizer": [v for optimizer in optimizers_of(model) for v in optimizer.variables],
            "metrics": [v for metric in model.metrics for v in metric.variables],
            "random": [random.global_seed_generator().state],
        }
        known: set[int] = set()
        for part, variables in parts.items():
            new = [v for v in variables if id(v) not in known]
            known.update(id(v) for v in new)
            yield from ((f"{part}/{i}", v) for i, v in enumerate(new))

    def _list(self) -> list[list[Any]]:
        """What Variables there are: name, path, shape, dtype."""
        return [[name, v.path, list(v.shape), v.dtype] for name, v in self._variables()]


def _with_rate(config: Any, other: Any) -> Any:
    """A config with the learning rate of another one, where both are numbers."""
    if not isinstance(config, dict) or not isinstance(other, dict):
        return config
    changed = dict(config)
    if isinstance(config.get("learning_rate"), float) and isinstance(other.get("learning_rate"), float):
        changed["learning_rate"] = other["learning_rate"]
    return changed


def _in_variables(before: list[Any], now: list[Any], metrics: bool) -> str | None:
    """The first difference between two lists of Variables; those of metrics count only where they go on."""
    if not metrics:
        before, now = ([v for v in listed if not v[0].startswith("metrics/")] for listed in (before, now))
    for (name, path, *form), (name_now, path_now, *form_now) in zip(before, now, strict=False):
        if name != name_now:
            break
        if form != form_now:
            shapes = [f"{tuple(shape)} of {dtype}" for shape, dtype in (form, form_now)]
            where = f"the Variable {path!r} ({path_now!r} now)"
            return f"{where} has shape {shapes[0]} in the checkpoint, {shapes[1]} now"
    for part in ("model", "optimizer", "metrics"):
        count, count_now = (sum(v[0].startswith(f"{part}/") for v in listed) for listed in (before, now))
        if count != count_now:
            return f"{part}: {count} Variables in the checkpoint, {count_now} now"
    return None


def _state_of(callback: Any) -> Any:
    get = getattr(callback, "get_state", None)
    return get() if callable(get) else None


def _random_state() -> dict[str, Any]:
    return {
        "numpy": np.random.get_state(),
        "python": _as_array(python_random.getstate()),
        "seeds": _as_array(random.get_seeds_state()),
    }


def _set_random_state(state: dict[str, Any]) -> None:
    np.random.set_state(state["numpy"])
    python_random.setstate(_as_tuple(state["python"]))
    random.set_seeds_state(_as_tuple(state["seeds"]))


def _as_array(state: Any) -> Any:
    """The state of a generator of Python's, whose many numbers take less room in an array."""
    version, numbers, gauss = state
    return version, np.array(numbers, "uint32"), gauss


def _as_tuple(state: Any) -> Any:
    version, numbers, gauss = state
    return version, tuple(numbers.tolist()), gauss
