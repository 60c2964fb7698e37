"""Recording a step's kernel calls and playing them back.

A function that runs the same kernels on the same state each time can be replayed without Python.
`Captured` finds out whether a step is such a function: it runs it eagerly and records the calls,
twice, and compares. From then on the recorded program is played back, for many batches in one
native call. What Python code does beside calling kernels happens in the recorded runs only.

Guards: the shapes and dtypes of the arguments (each gets a program of its own), and a counter that
goes up whenever an attribute of a layer, loss, metric, optimizer or model gets another object
(`Tracked`). A step that reads values in Python, or does not repeat itself, stays eager.
"""

from __future__ import annotations

import os
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from lumbre import _core, tree
from lumbre.arrays import lend, reads_noted
from lumbre.autograd import Tensor, as_tensor, wrap
from lumbre.lookup import Options

MAX_PROGRAMS = 8
"""Programs kept per step: shapes beyond it push out the least recently used one."""

CHECKING = os.environ.get("LUMBRE_CHECK", "0") not in ("", "0")
"""Whether the first replays of every program are compared with eager steps, and kernels' results fenced."""

CHECKED_REPLAYS = 3
"""Replays that are compared: something numeric done outside the kernels shows up at the third step only."""

if CHECKING:
    _core.set_checking(True)

_changes = 0
_switches = 0
_observer: Callable[[Captured, Entry], None] | None = None


def observe(observer: Callable[[Captured, Entry], None] | None) -> None:
    """Has `observer(captured, entry)` called before each eager step and each replay; None: nothing more."""
    global _observer
    _observer = observer


def changes() -> int:
    """How often an attribute that a recorded step may depend on has changed, in this process."""
    return _changes


class Tracked(Options):
    """Base of the objects that a step depends on: a changed attribute ends the validity of programs.

    Assigning the object that is already there changes nothing, nor does assigning a name listed in
    `_untracked` (what the training loop keeps for itself).
    """

    _untracked: frozenset[str] = frozenset()

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._untracked and self.__dict__.get(name, _changes) is not value:
            touch()
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        touch()
        object.__delattr__(self, name)


def touch() -> None:
    """Makes all recorded steps record anew."""
    global _changes
    _changes += 1


def switch(owner: Any) -> None:
    """Notes that a yes-or-no of the object is now the other one, and may be switched back.

    Programs are kept for each combination of all these, so that what switches back and forth, as the
    `trainable` of a network that is trained in turn with another, does not make steps record anew.
    """
    global _switches
    _switches ^= hash((id(owner), "switch"))


class Entry:
    """What is known about a step for one signature of its arguments."""

    __slots__ = ("changes", "checked", "first", "outputs", "program", "reason", "tries")

    def __init__(self) -> None:
        self.reset(-1)

    def reset(self, changes: int) -> None:
        self.changes = changes
        self.first: _core.Recording | None = None
        self.program: _core.Program | None = None
        self.outputs: Any = None
        self.tries = 0  # recordings that did not agree with the one before
        self.checked = 0  # replays compared with eager steps
        self.reason: str | None = None


class Captured:
    """A step with its programs.

    Args:
        step: Called with tensors, positionally; returns a structure (None, tensor, list, tuple or
            dict, nested) of tensors.
        on_eager: Called once with the reason when the step turns out to need Python every time.
        name: What profiles call the step.
        reason: Why the step has to run in Python every time, if that is known beforehand.
    """

    def __init__(
        self,
        step: Callable[..., Any],
        on_eager: Callable[[str], None] | None = None,
        name: str = "step",
        reason: str | None = None,
    ) -> None:
        self.step = step
        self.on_eager = on_eager
        self.name = name
        self.reason = reason
        self._entries: OrderedDict[Any, Entry] = OrderedDict()
        self._told = False

    def entry(self, signature: Any) -> Entry:
        """The entry of a signature, forgotten if anything changed since it was recorded."""
        # Each line stands alone: another Python thread may come in between.
        signature = (signature, _switches)
        entry = self._entries.pop(signature, None) or self._new_entry()
        self._entries[signature] = entry
        if len(self._entries) > MAX_PROGRAMS:
            self._entries.popitem(last=False)
        stale = entry.program is not None and entry.program.is_stale
        if entry.changes != _changes or stale:
            entry.reset(_changes)
            entry.reason = self.reason
        if _observer is not None:
            _observer(self, entry)
        return entry

    def _new_entry(self) -> Entry:
        """Another entry; programs that are no longer valid make room for it."""
        for key, old in list(self._entries.items()):
            if old.changes != _changes:
                self._entries.pop(key, None)
        return Entry()

    def run(self, entry: Entry, arguments: Sequence[Tensor]) -> Any:
        """One eager step, recorded where that may lead to a program."""
        if entry.reason is not None:
            return self.step(*arguments)
        before, switches = _changes, _switches
        result, recording, outputs, reads = self._record(arguments)
        if recording.broken is not None:
            self._stay_eager(entry, ", in ".join([recording.broken, *reads]))
        elif _switches != switches:
            entry.reset(_changes)  # a replay would leave them as they were
        elif entry.first is None:
            # Building layers and creating optimizer slots are changes that the first step may make.
            entry.changes = _changes
            entry.first = recording
        elif _changes != before:
            entry.reset(_changes)
            entry.first = recording
        else:
            self._decide(entry, recording, outputs)
        return result

    def _record(self, arguments: Sequence[Tensor]) -> tuple[Any, _core.Recording, Any, list[str]]:
        _core.record_start()
        outputs: list[_core.Array] = []
        try:
            for argument in arguments:
                _core.record_input(argument._a)
            with reads_noted() as reads:
                result = self.step(*arguments)
            structure = _flatten(result, outputs)
        finally:
            recording = _core.record_stop(outputs)
        return result, recording, structure, reads

    def _decide(self, entry: Entry, recording: _core.Recording, outputs: Any) -> None:
        assert entry.first is not None
        reason = entry.first.disagreement(recording)
        if reason is None:
            entry.program = recording.plan()
            entry.outputs = outputs
            entry.first = None
        elif entry.tries == 0:
            # The first step may have made things (a metric, say) that the second found: one more look.
            entry.tries, entry.first = 1, recording
        else:
            self._stay_eager(entry, reason)

    def _stay_eager(self, entry: Entry, reason: str) -> None:
        entry.reason, entry.first = reason, None
        if not self._told and self.on_eager is not None:
            self._told = True
            self.on_eager(reason)


def compare(entry: Entry, replay: Callable[[], Any], eager: Callable[[], Any]) -> Any:
    """Makes a step twice from the same state, replayed and eager, and asserts that they leave the same bits.

    Returns:
        What the eager step returned.
    """
    assert entry.program is not None
    entry.checked += 1
    cells = entry.program.cells()
    before = [cell.read() for cell in cells]
    replay()
    replayed = [cell.read() for cell in cells]
    for cell, value in zip(cells, before, strict=True):
        _core.call("assign", (value,), (cell,))
    result = eager()
    for cell, value in zip(cells, replayed, strict=True):
        if bytes(memoryview(cell.read()).cast("B")) != bytes(memoryview(value).cast("B")):
            raise AssertionError(
                f"a replayed step left other bits than an eager one in a variable of shape {cell.shape}: "
                "something that the step computes does not go through the kernels"
            )
    return result


def _flatten(value: Any, into: list[_core.Array]) -> Any:
    """The structure of a step's result, with a number in the place of each tensor."""
    if value is None:
        return None
    if isinstance(value, dict):
        return {k: _flatten(v, into) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_flatten(v, into) for v in value)
    into.append(as_tensor(value)._a)
    return len(into) - 1


def unflatten(structure: Any, arrays: Sequence[Any]) -> Any:
    """The structure with the arrays in the places of their numbers."""
    if structure is None:
        return None
    if isinstance(structure, dict):
        return {k: unflatten(v, arrays) for k, v in structure.items()}
    if isinstance(structure, (list, tuple)):
        return type(structure)(unflatten(v, arrays) for v in structure)
    return arrays[structure]


def say_eager(what: str, reason: str) -> None:
    """The warning that a step of some kind is not replayed."""
    warnings.warn(
        f"{what} in Python, several times slower than they could, because {reason}. "
        "Steps that use tensors only, and do the same at each batch, are recorded and replayed",
        stacklevel=2,
    )


def capture(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function that records `fn`'s kernel calls on its first two calls and then replays them.

    `fn` takes tensors or arrays, also in lists, tuples and dicts, and returns tensors in such structures, or
    None. It must do the same work at each call; what it changes must be Variables. Each combination of shapes
    and dtypes is recorded on its own, and so is each value of an argument that is no number: a bool, a
    string, None, a model. Where `fn` reads a value in Python (`float(loss)`, say), it runs as it is, every
    time, and a warning says why.

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable(1.0)
        >>> @lumbre.capture
        ... def step(x):
        ...     w.assign_add(x)
        ...     return w * 2.0
        >>> [step(1.0).item() for _ in range(4)]
        [4.0, 6.0, 8.0, 10.0]
    """
    name = getattr(fn, "__name__", "captured")
    steps: OrderedDict[Any, Captured] = OrderedDict()

    def recorded(structure: Any) -> Captured:
        """The step for arguments of this structure."""
        captured = steps.pop(structure, None)
        if captured is None:

            def step(*tensors: Tensor) -> Any:
                leaves, (positional, keys, named) = iter(tensors), structure
                args = [_joined(part, leaves) for part in positional]
                return fn(*args, **dict(zip(keys, (_joined(part, leaves) for part in named), strict=True)))

            told = partial(say_eager, f"calls of the captured function '{name}' run")
            captured = Captured(step, told, name=name)
        steps[structure] = captured
        if len(steps) > MAX_PROGRAMS:
            steps.popitem(last=False)
        return captured

    def call(*args: Any, **kwargs: Any) -> Any:
        given: list[Any] = []
        positional = tuple([_split(value, given) for value in args])
        named = tuple([_split(value, given) for value in kwargs.values()])
        captured = recorded((positional, tuple(kwargs), named))
        arrays = [_operand(value) for value in given]
        entry = captured.entry(tuple((a.shape, a.dtype) for a in arrays))
        if entry.program is None:
            return captured.run(entry, [as_tensor(value) for value in given])
        _, _, outputs = entry.program.replay(arrays, keep_outputs=entry.outputs is not None)
        return unflatten(entry.outputs, [wrap(a.reshape(a.shape[1:])) for a in outputs])

    call.__name__ = name
    call.__doc__ = fn.__doc__
    return call


class _Same:
    """An argument that is no tensor, told from others by what it is."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


_PLAIN = (np.ndarray, Tensor, np.generic, float, int)


def _split(value: Any, tensors: list[Any]) -> Any:
    """The structure of arguments, as a key: in the place of each array or number, None."""
    if isinstance(value, _PLAIN) and not isinstance(value, bool):
        tensors.append(value)
        return None
    if isinstance(value, dict):
        return dict, tuple(value), tuple(_split(v, tensors) for v in value.values())
    if isinstance(value, (list, tuple)) and not _is_written_out(value):
        return type(value), None, tuple(_split(v, tensors) for v in value)
    if value is None or isinstance(value, (bool, str, bytes)):
        return type(value), value
    arraylike = (
        isinstance(value, (list, tuple)) or hasattr(value, "__array__") or hasattr(value, "__dlpack__")
    )
    if arraylike and not hasattr(value, "__lumbre_tensor__"):
        tensors.append(value)
        return None
    return _Same, _Same(value)


def _is_written_out(value: Any) -> bool:
    """Whether a list or tuple is an array, written as numbers."""
    numbers = all(isinstance(leaf, (bool, int, float, np.generic)) for leaf in tree.flatten(value))
    return numbers and not hasattr(value, "_fields")


def _joined(structure: Any, tensors: Iterator[Tensor]) -> Any:
    """The arguments that `_split` took apart."""
    if structure is None:
        return next(tensors)
    if len(structure) == 2:
        return structure[1].value if structure[0] is _Same else structure[1]
    kind, keys, parts = structure
    values = [_joined(part, tensors) for part in parts]
    if kind is dict:
        return dict(zip(keys, values, strict=True))
    return kind(*values) if hasattr(kind, "_fields") else kind(values)


def _operand(value: Any) -> _core.Array:
    """What a program reads an argument from: where possible, where it lies."""
    lent = lend(value)
    if lent is not None:
        return lent
    array = as_tensor(value)._a
    return array if array.is_dense else array.reshape(array.shape)
