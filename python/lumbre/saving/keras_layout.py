"""Where Keras keeps the variables of a model in an HDF5 file, and how they come from there.

What is saved is found by walking through attributes. The variables of the model lie in `vars`, those of
what an attribute `a` holds in `a/vars`, and those of what lists, tuples and dicts hold in
`a/<class name in snake case>/vars`, numbered `_1`, `_2` from the second of a class on. Attributes are taken
in alphabetical order, private ones last, and what was met before is not entered again. A layer of a
functional or sequential model is so found in `layers/dense_1/vars`, whatever its name, which is an attribute
of the group.
"""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from lumbre import _core
from lumbre.layers.input_layer import Input
from lumbre.layers.layer import Layer
from lumbre.layers.state import State
from lumbre.lookup import numbered, snake_case
from lumbre.losses.loss import Loss
from lumbre.metrics.metric import Metric
from lumbre.models.functional import Functional
from lumbre.models.model import Model
from lumbre.models.sequential import Sequential
from lumbre.optimizers.optimizer import Optimizer
from lumbre.optimizers.sgd import SGD
from lumbre.saving.errors import FileFormatError
from lumbre.saving.h5 import Dataset, Group
from lumbre.tensor import Variable

_SAVEABLE = (Layer, Optimizer, Metric, Loss)
_WALKED = frozenset({"layers", "optimizer", "loss"})  # of what every model has

Visit = Callable[[str, Any], bool]


# ------------------------------------------------------------------------------------------- the walk


def walk(saveable: Any, visit: Visit, skip: Iterable[Any] = ()) -> None:
    """Calls `visit` with the path and the object of all that may have variables, in Keras's order.

    Args:
        saveable: Where to begin: a model, a layer or an optimizer.
        visit: Returns whether the object is done; otherwise it is visited once more where it is met again.
        skip: Objects that are left out, with all that only they hold.
    """
    done = {id(s) for s in skip}
    within: set[int] = set()

    def enter(path: str, item: Any) -> None:
        if id(item) in done or id(item) in within:
            return
        within.add(id(item))
        if visit(path, item):
            done.add(id(item))
        for name, child in _children(item):
            below = f"{path}/{name}" if path else name
            if isinstance(child, _SAVEABLE):
                enter(below, child)
            elif isinstance(child, (list, tuple, dict)):
                enter_all(below, child, set())
        within.remove(id(item))

    def enter_all(path: str, container: Any, around: set[int]) -> None:
        if id(container) in around:
            return
        around.add(id(container))
        used: Counter[str] = Counter()
        for item in container.values() if isinstance(container, dict) else container:
            if isinstance(item, _SAVEABLE):
                enter(f"{path}/{numbered(snake_case(type(item).__name__), used)}", item)
            elif isinstance(item, (list, tuple, dict)):
                enter_all(f"{path}/{numbered('container', used)}", item, around)

    enter("", saveable)


def _children(item: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(item, (Sequential, Functional)):
        yield "layers", item.layers
    usual = _usual_names(_base(item))
    for name in sorted(dir(item), key=lambda n: f"~{n}" if n.startswith("_") else n):
        if name in usual or name.startswith("__"):
            continue
        try:
            child = getattr(item, name)
        except Exception:  # a property that has no value now
            continue
        yield name, child


def _base(item: Any) -> type:
    return next(k for k in (Model, Layer, Optimizer, Metric, Loss) if isinstance(item, k))


@functools.cache
def _usual_names(kind: type) -> frozenset[str]:
    """The attributes that every object of a kind has, which hold nothing of the user's."""
    if kind is Model:
        inputs = Input((1,), name="probe")
        models: list[Any] = [
            Sequential([inputs], name="probe"),
            Functional(inputs, inputs, name="probe"),
            Model(name="probe"),
        ]
        for model in models:
            model.compile(SGD(name="probe"))
        return frozenset(name for model in models for name in dir(model)) - _WALKED
    made = Optimizer(1.0, name="probe") if kind is Optimizer else kind(name="probe")
    return frozenset(dir(made))


# --------------------------------------------------------------------------------------------- saving


class _Written:
    """The mapping that `save_own_variables` writes into: data sets in a group that is made when needed."""

    def __init__(self, file: Any, path: str, name: str | None) -> None:
        self._file = file
        self._path = f"{path}/vars" if path else "vars"
        self._group: Any = None
        if name is not None:
            self.set_attribute("name", name)

    def set_attribute(self, name: str, value: Any) -> None:
        self._made.attrs[name] = value

    @property
    def _made(self) -> Any:
        if self._group is None:
            self._group = self._file.require_group(self._path)
        return self._group

    def __setitem__(self, key: str, value: Any) -> None:
        self._made.create_dataset(key, data=np.asarray(value))


def save_state(root: Any, file: Any, skip: Iterable[Any] = ()) -> None:
    """Writes the variables of a model, a layer or an optimizer into an open `h5py.File`.

    Args:
        root: What is saved.
        file: The file.
        skip: Objects that are left out.
    """

    def visit(path: str, item: Any) -> bool:
        if hasattr(item, "save_own_variables"):
            name = getattr(item, "name", None)
            item.save_own_variables(_Written(file, path, name if isinstance(name, str) else None))
        return True

    walk(root, visit, skip)


# -------------------------------------------------------------------------------------------- loading


class _Read(Mapping[str, np.ndarray]):
    """The mapping that `load_own_variables` reads from: the data sets of a group, read when asked for."""

    def __init__(self, group: Group | None) -> None:
        self._group = group

    def __getitem__(self, key: str) -> np.ndarray:
        return self.dataset(key).read()

    def dataset(self, key: str) -> Dataset:
        if self._group is None:
            raise KeyError(key)
        return self._group.dataset(key)

    def shape(self, key: str) -> tuple[int, ...]:
        return self.dataset(key).shape

    def attribute(self, name: str) -> Any:
        return None if self._group is None else self._group.attribute(name)

    def __iter__(self) -> Iterator[str]:
        return iter(() if self._group is None else self._group.links)

    def __len__(self) -> int:
        return 0 if self._group is None else len(self._group.links)


def variables_at(root: Group, path: str) -> _Read:
    """The variables of the object at a path; none where there is no such group."""
    group = root.find(f"{path}/vars" if path else "vars")
    if group is None and "_layer_checkpoint_dependencies" in root:  # Keras 2.13 called it so
        group = root.find(path.replace("layers", "_layer_checkpoint_dependencies") + "/vars")
    return _Read(group)


def load_state(
    root: Any, group: Group, skip_mismatch: bool = False, skip: Iterable[Any] = (), what: str = "the file"
) -> None:
    """Sets the variables of a model, a layer or an optimizer from an open file.

    Layers are looked at first: where one does not fit, nothing is changed.

    Args:
        root: What gets the variables.
        group: The root group of the file.
        skip_mismatch: Whether objects that do not fit are left as they are, with a warning.
        skip: Objects that are left out.
        what: What errors call the file.

    Raises:
        ValueError: An object has other variables than the file has for it.
        FileFormatError: The file is not what it should be.
    """
    found: dict[int, tuple[Any, str, _Read]] = {}
    failed: dict[int, tuple[Any, str, Exception]] = {}

    def visit(path: str, item: Any) -> bool:
        if not hasattr(item, "load_own_variables"):
            return True
        store = variables_at(group, path)
        if type(item).load_own_variables is State.load_own_variables:
            try:
                _check(item, store)
            except _Mismatch as error:
                failed[id(item)] = item, path, error
                return False
            failed.pop(id(item), None)
        found[id(item)] = item, path, store
        return True

    walk(root, visit, skip)
    _report(failed, skip_mismatch, what)
    wrong: dict[int, tuple[Any, str, Exception]] = {}
    for item, path, store in found.values():
        try:
            if type(item).load_own_variables is State.load_own_variables:
                for i, v in enumerate(own_variables(item)):
                    put(v, store[str(i)])
            elif isinstance(item, Optimizer):
                _load_optimizer(item, root, store)
            else:
                item.load_own_variables(store)
        except FileFormatError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            wrong[id(item)] = item, path, error
    _report(wrong, skip_mismatch, what)


def own_variables(layer: State) -> list[Variable]:
    """The Variables of a layer itself, in the order of files."""
    return layer._trainable_variables + layer._non_trainable_variables


def put(variable: Variable, array: np.ndarray) -> None:
    """Sets a Variable from an array of its shape; where the dtype is the same, without a copy between."""
    if array.dtype.name == variable.dtype and array.size:
        _core.call("assign", (_core.source(array),), (variable.cell,))
    else:
        variable.assign(array)


class _Mismatch(ValueError):
    """A layer does not have the variables that a file has for it."""


def _check(layer: State, store: _Read) -> None:
    """Refuses variables that are not as many as the layer's, or of other shapes."""
    own = own_variables(layer)
    if len(store) != len(own):
        if not own and not layer.built:
            raise _Mismatch(
                f"Layer '{layer.name}' was never built and thus it doesn't have any variables. However the "
                f"weights file lists {len(store)} variables for this layer. Build it by calling it, or give "
                "it a `build()` that makes all its state, that of the layers within included."
            )
        raise _Mismatch(
            f"Layer '{layer.name}' expected {len(own)} variables, but received {len(store)} variables during "
            f"loading. Expected: {[v.name for v in own]}"
        )
    for i, v in enumerate(own):
        if str(i) not in store:
            raise _Mismatch(
                f"Layer '{layer.name}': the variable {i} is not in the file, which has {list(store)}"
            )
        data = store.dataset(str(i))
        if data.shape != tuple(v.shape):
            raise _Mismatch(
                f"Layer '{layer.name}': the variable '{v.path}' has the shape {tuple(v.shape)}, and the "
                f"file has the shape {data.shape} for it"
            )
        data.verify()


def _load_optimizer(optimizer: Optimizer, root: Any, store: _Read) -> None:
    if not store:
        return
    if not optimizer.built and len(store) > 2 and isinstance(root, Model) and root.optimizer is optimizer:
        optimizer.build(root.trainable_variables)
    optimizer.load_own_variables(store)


def _report(failed: dict[int, tuple[Any, str, Exception]], warn: bool, what: str) -> None:
    if not failed:
        return
    (item, path, error), *_ = failed.values()
    names = [getattr(f[0], "name", type(f[0]).__name__) for f in failed.values()]
    text = (
        f"{what}: {len(failed)} objects could not be loaded: {names}. The first, '{item.name}' "
        f"({type(item).__name__}), from '{path or '/'}': {error}"
    )
    if not warn:
        raise ValueError(f"{text} Nothing was changed." if isinstance(error, _Mismatch) else text)
    warnings.warn(text, stacklevel=4)
