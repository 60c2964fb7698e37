"""What a layer owns: the Variables and layers in its attributes, its weights, its losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lumbre import constraints, initializers, ops, regularizers, tree
from lumbre.autograd import Tensor
from lumbre.capture import Tracked, switch, touch
from lumbre.layers.context import context
from lumbre.layers.tracking import TrackedDict, TrackedList
from lumbre.random import SeedGenerator
from lumbre.scopes import here
from lumbre.tensor import Variable

_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, type(len), type(lambda: 0), type})
_CALL_ATTRIBUTES = frozenset(
    {"built", "activity_regularizer", "supports_masking", "autocast", "_policy", "call"}
)
_STORES = ("_layers", "_trainable_variables", "_non_trainable_variables", "_seed_generators", "_metrics")


class State(Tracked):
    """Follows what is assigned to attributes, also inside lists, tuples and dicts.

    `_plain` names attributes whose values are not followed.
    """

    _untracked: frozenset[str] = frozenset({"_fast", "trainable", "_trainable"})
    _plain: frozenset[str] = frozenset()
    _lockable = True

    name: str
    built: bool
    _fast: bool
    _lossy: bool
    _locked: bool
    _layers: list[Any]
    _trainable_variables: list[Variable]
    _non_trainable_variables: list[Variable]
    _seed_generators: list[SeedGenerator]
    _metrics: list[Any]
    _losses: list[Any]
    _inbound_nodes: list[Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        # Straight into the dict: attributes may be set before `Layer.__init__` has run.
        self.__dict__.update(
            built=False,
            _fast=False,
            _lossy=False,
            _locked=False,
            _layers=[],
            _trainable_variables=[],
            _non_trainable_variables=[],
            _seed_generators=[],
            _metrics=[],
            _losses=[],
            _inbound_nodes=[],
            _trainable=True,
        )
        return self

    # Copies: of what the layer is, without the graphs that it is part of

    _uncopied: frozenset[str] = frozenset({"_inbound_nodes", "_signature", "_fast", "_building"})

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name not in self._uncopied}
        state["_followed"] = [n for n, v in state.items() if isinstance(v, (TrackedList, TrackedDict))]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        followed = state.pop("_followed")
        self.__dict__.update(state)
        for name in followed:  # they were copied as plain lists and dicts
            self.__dict__[name] = self._tracked(self.__dict__[name])

    # Attributes

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(getattr(type(self), name, None), property):
            super().__setattr__(name, value)
            return
        attributes = self.__dict__
        old = attributes.get(name)
        if type(value) not in _ATOMS and name not in self._plain:
            value = self._tracked(value)
        super().__setattr__(name, value)
        if name == "_trainable" and old is not value:
            switch(self)
        if old is not None and old is not value and type(old) not in _ATOMS:
            self._released([old])
        if name in _CALL_ATTRIBUTES:
            attributes["_fast"] = False

    def __delattr__(self, name: str) -> None:
        old = self.__dict__.get(name)
        super().__delattr__(name)
        self._released([old])

    def _tracked(self, value: Any) -> Any:
        """Takes note of a value; a plain list or dict is replaced by one that reports changes."""
        if isinstance(value, State):
            self._take(self._layers, value)
        elif isinstance(value, Variable):
            self._track_variable(value)
        elif isinstance(value, SeedGenerator):
            self._take(self._seed_generators, value)
        elif isinstance(value, (TrackedList, TrackedDict)):
            return value if value._owner() is self else self._tracked(value.__reduce__()[1][0])
        elif type(value) is list:
            return TrackedList(value, self)
        elif type(value) is dict:
            return TrackedDict(value, self)
        elif isinstance(value, (tuple, set, frozenset)):
            for v in value:
                self._tracked(v)
        elif hasattr(value, "update_state") and hasattr(value, "reset_state"):
            self._take(self._metrics, value)
        return value

    def _track_variable(self, variable: Variable) -> None:
        if not any(v is variable for v in self._trainable_variables + self._non_trainable_variables):
            self._take(
                self._trainable_variables if variable.trainable else self._non_trainable_variables,
                variable,
            )
            if not self._trainable:
                variable.trainable = False

    def _take(self, store: list[Any], value: Any) -> None:
        if value is self or any(v is value for v in store):
            return
        if self._locked and store is not self._metrics:
            raise ValueError(
                "You cannot add new elements of state (variables or sub-layers) to a layer that is "
                "already built. All state must be created in the `__init__()` method or in the "
                f"`build()` method. (layer '{self.name}')"
            )
        store.append(value)
        self._changed()

    def _changed(self) -> None:
        """Says that what belongs to the layer has changed: recorded steps are out of date."""
        touch()

    def _released(self, values: Iterable[Any]) -> None:
        """Forgets layers and Variables that no attribute holds any more."""
        gone = [v for v in tree.flatten(list(values)) if isinstance(v, (State, Variable, SeedGenerator))]
        if not gone:
            return
        held = {
            id(v)
            for name, attribute in self.__dict__.items()
            if name not in _STORES
            for v in (tree.flatten(attribute) if tree.is_nested(attribute) else (attribute,))
        }
        for name in _STORES:
            store = self.__dict__[name]
            store[:] = [v for v in store if id(v) in held or not any(v is g for g in gone)]
        self._changed()

    # Layers and Variables

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Any]:
        """The layer, if wanted, and the layers in it, each once, an owner before what it owns."""
        if not recursive:
            return [*([self] if include_self else []), *self._layers]
        found: dict[int, Any] = {}
        stack: list[Any] = [self]
        while stack:
            layer = stack.pop()
            if id(layer) not in found:
                found[id(layer)] = layer
                stack.extend(reversed(layer._layers))
        layers = list(found.values())
        return layers if include_self else layers[1:]

    def _owned(self, seeds: bool) -> Iterator[Variable]:
        seen: set[int] = set()
        for layer in self._flatten_layers():
            own = layer._trainable_variables + layer._non_trainable_variables
            if seeds:
                own = own + [g.state for g in layer._seed_generators]
            for v in own:
                if id(v) not in seen:
                    seen.add(id(v))
                    yield v

    @property
    def variables(self) -> list[Variable]:
        """All Variables of the layer and the layers in it, random states included."""
        return list(self._owned(seeds=True))

    @property
    def trainable_variables(self) -> list[Variable]:
        """The Variables that training changes; none where the layer is not trainable."""
        return [v for v in self.variables if v.trainable] if self.trainable else []

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The Variables that training leaves alone, random states included."""
        return [v for v in self.variables if not v.trainable] if self.trainable else self.variables

    @property
    def weights(self) -> list[Variable]:
        """The Variables of the layer and the layers in it, without random states."""
        return list(self._owned(seeds=False))

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes."""
        return [v for v in self.weights if v.trainable] if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training leaves alone."""
        return [v for v in self.weights if not v.trainable] if self.trainable else self.weights

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; setting it sets it for all layers within."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = bool(value)
        for layer in self._flatten_layers():
            layer._trainable = value
            for v in layer._trainable_variables:
                v.trainable = value

    _trainable: bool

    @property
    def metrics(self) -> list[Any]:
        """The metrics in attributes of the layer and of the layers in it."""
        return [m for layer in self._flatten_layers() for m in layer._metrics]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients that `backward()` has added up in the Variables' `grad`.

        Args:
            set_to_none: Accepted as in PyTorch: whether they become None, not zeros.
        """
        for v in self.variables:
            v.grad = None if set_to_none or v.grad is None else ops.zeros_like(v.grad)

    def add_weight(
        self,
        shape: Sequence[int] | int | None = None,
        initializer: Any = None,
        dtype: str | None = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Makes a Variable that belongs to the layer.

        Args:
            shape: The shape; a scalar by default.
            initializer: How to fill it: an initializer, its name, or a value of that shape; by
                default "glorot_uniform" for floats and "zeros" for the rest.
            dtype: The dtype; the layer's `variable_dtype` by default.
            trainable: Whether training changes it.
            autocast: Accepted as in Keras; Variables are cast where an op needs it.
            regularizer: A penalty that is added to the loss while the weight is trainable.
            constraint: A projection that is applied after each update.
            aggregation: Accepted as in Keras; there is one replica.
            overwrite_with_gradient: Whether the gradient replaces the value.
            name: The name, the last part of the path.

        Raises:
            ValueError: The shape or a name is not valid, or the layer is built already.
        """
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        if any(not isinstance(n, (int, np.integer)) for n in shape):
            raise ValueError(f"the shape of a weight of layer '{self.name}' must be known, got {shape}")
        dtype = dtype or self.variable_dtype  # type: ignore[attr-defined]
        if initializer is None:
            initializer = "glorot_uniform" if "float" in dtype else "zeros"
        if isinstance(initializer, (str, dict, type)):
            initializer = initializers.get(initializer)
        if context.budget is not None:
            initializer = context.budget.initializer(self, initializer, shape, dtype)
        variable = self._create(
            lambda: Variable(initializer, shape=shape, dtype=dtype, trainable=trainable, name=name)
        )
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        variable.overwrite_with_gradient = overwrite_with_gradient
        self._track_variable(variable)
        return variable

    def _create(self, make: Callable[[], Variable]) -> Variable:
        raise NotImplementedError

    # Values

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights as NumPy arrays, in the order of `weights`."""
        return [w.numpy() for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets all weights from arrays, in the order of `weights`.

        Raises:
            ValueError: The number of arrays or a shape is wrong; nothing has changed then.
        """
        own = self.weights
        if len(own) != len(weights):
            raise ValueError(
                f"You called `set_weights(weights)` on layer '{self.name}' with a weight list of length "
                f"{len(weights)}, but the layer was expecting {len(own)} weights."
            )
        values = [np.asarray(value) for value in weights]
        for variable, value in zip(own, values, strict=True):
            if tuple(variable.shape) != value.shape:
                raise ValueError(
                    f"Layer {self.name} weight shape {tuple(variable.shape)} is not compatible with "
                    f"provided weight shape {value.shape}."
                )
            if value.dtype.kind not in "biuf" and value.dtype.name != "bfloat16":
                raise TypeError(
                    f"layer '{self.name}': a weight cannot be set from an array of dtype {value.dtype}"
                )
        for variable, value in zip(own, values, strict=True):
            variable.assign(value)

    def save_own_variables(self, store: dict[str, Any]) -> None:
        """Writes the values of the layer's own Variables into a mapping. To be overridden, as in Keras.

        A layer that overrides it, and `load_own_variables`, decides what a file holds of it.
        """
        for i, v in enumerate(self._trainable_variables + self._non_trainable_variables):
            store[str(i)] = v.numpy()

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Sets the layer's own Variables from what `save_own_variables` wrote.

        Raises:
            ValueError: Their number or a shape is another; nothing has changed then.
        """
        own = self._trainable_variables + self._non_trainable_variables
        if sorted(store) != sorted(str(i) for i in range(len(own))):
            raise ValueError(
                f"Layer '{self.name}' expected {len(own)} variables, but received {len(store)} variables "
                f"during loading. Expected: {[v.name for v in own]}, received: {sorted(store)}"
            )
        values = [np.asarray(store[str(i)]) for i in range(len(own))]
        for v, value in zip(own, values, strict=True):
            if v.shape != value.shape:
                raise ValueError(
                    f"Layer '{self.name}': the variable {v.name} has shape {v.shape}, the saved one "
                    f"{value.shape}"
                )
        for v, value in zip(own, values, strict=True):
            v.assign(value)

    def count_params(self) -> int:
        """How many numbers the weights hold.

        Raises:
            ValueError: The layer is not built.
        """
        if not self.built:
            raise ValueError(
                f"You tried to call `count_params` on layer '{self.name}', but the layer isn't built. "
                "You can build it manually via: `layer.build(input_shape)`."
            )
        return sum(math.prod(w.shape) for w in self.weights)

    # Losses

    def add_loss(self, loss: Any) -> None:
        """Adds a penalty to what training minimises: a scalar tensor, or a list of them.

        Penalties are kept until the next call of the outermost layer.

        Raises:
            ValueError: The value is not a tensor.
        """
        for value in tree.flatten(loss):
            if not isinstance(value, (Tensor, Variable)):
                raise ValueError(
                    "`add_loss()` can only be called from inside `build()` or `call()`, on a tensor input. "
                    f"Received invalid value: {value} (layer '{self.name}')"
                )
            if context.probe is None:
                self._losses.append(value)
                self._mark_lossy()
                if here.stateless is not None and here.stateless.collect_losses:
                    here.stateless.add_loss(value)

    def _mark_lossy(self) -> None:
        self.__dict__["_lossy"] = True
        if context.entry is not None:
            context.entry.__dict__["_lossy"] = True

    def _clear_losses(self) -> None:
        for layer in self._flatten_layers():
            layer._losses.clear()
            layer.__dict__["_lossy"] = False

    @property
    def losses(self) -> list[Any]:
        """The penalties of the last call, then those of the regularized trainable weights."""
        added = [loss for layer in self._flatten_layers() for loss in layer._losses]
        return added + [
            w.regularizer(w) for w in self.trainable_weights if getattr(w, "regularizer", None) is not None
        ]
