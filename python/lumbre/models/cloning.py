"""Models like a given one, with weights of their own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from lumbre import tree
from lumbre.layers.input_layer import Input, InputLayer
from lumbre.layers.symbolic import KerasTensor
from lumbre.models.functional import Functional
from lumbre.models.rebuild import takes_ends
from lumbre.models.sequential import Sequential
from lumbre.registration import written_class
from lumbre.training.trainer import Trainer


def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: Callable[[Any], Any] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Any:
    """A model with the same layers and connections, and newly initialized weights.

    It is compiled as the model is. A subclass that makes its graph itself is made anew by its `from_config`,
    unless one of the functions or `input_tensors` is given: then the copy is a plain graph or chain.

    Args:
        model: The model.
        input_tensors: Symbolic tensors to start from, in the structure of the model's inputs.
        clone_function: Makes the copy of a layer or op that is not an input; by default
            `layer.from_config(layer.get_config())`.
        call_function: Called as `call_function(layer, *args, **kwargs)` for each call of a graph, with the
            copy of the layer; by default `layer(*args, **kwargs)`.
        recursive: Whether models within are cloned with these functions, too, instead of being passed to
            `clone_function`.

    Raises:
        ValueError: The model is neither a graph nor a chain, or is a chain and `call_function` is given;
            `input_tensors` are not symbolic, or have another structure.

    Source: `keras.models.clone_model`.

    Example:
        >>> import lumbre
        >>> model = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(2)])
        >>> lumbre.models.clone_model(model).count_params()
        8
    """
    return _Cloning(clone_function, call_function, recursive).cloned(model, input_tensors)


class _Cloning:
    """Copies of layers, each made once, however often the layer is part of what is cloned."""

    def __init__(
        self,
        clone_function: Callable[[Any], Any] | None,
        call_function: Callable[..., Any] | None,
        recursive: bool,
    ) -> None:
        self.clone_function, self.call_function, self.recursive = clone_function, call_function, recursive
        self.copies: dict[int, tuple[Any, Any]] = {}  # by id: the layer, to keep it, and its copy

    def cloned(self, model: Any, input_tensors: Any = None) -> Any:
        given = [self.clone_function, self.call_function, input_tensors]
        plain = all(value is None for value in given)
        if isinstance(model, Sequential):
            if self.call_function is not None:
                raise ValueError(
                    "`call_function` argument is not supported with Sequential models. In a Sequential "
                    "model, layers aren't called at model-construction time (they're merely listed). Use "
                    f"`call_function` with Functional models only. Received model '{model.name}'"
                )
            made = self._chain(model, input_tensors)
        elif isinstance(model, Functional) and not (plain and _makes_itself(model)):
            made = self._graph(model, input_tensors)
        elif plain:
            made = written_class(type(model)).from_config(model.get_config())  # type: ignore[attr-defined]
        else:
            raise ValueError(
                "Arguments `clone_function`, `call_function` and `input_tensors` are only supported for "
                f"Sequential models or Functional models. Received model of type '{type(model).__name__}'"
            )
        _compile_alike(made, model)
        return made

    def _copy(self, layer: Any) -> Any:
        if id(layer) not in self.copies:
            self.copies[id(layer)] = (layer, self._new(layer))
        return self.copies[id(layer)][1]

    def _new(self, layer: Any) -> Any:
        within = isinstance(layer, (Sequential, Functional))
        if within and self.recursive:
            if isinstance(layer, Sequential) and self.call_function is not None:
                chains = _Cloning(self.clone_function, None, True)
                chains.copies = self.copies
                return chains.cloned(layer)
            return self.cloned(layer)
        if self.clone_function is not None:
            return self.clone_function(layer)
        # The config of a model cannot hold every function, and in one process functions can be shared.
        return clone_model(layer) if within else layer._clone()

    def _chain(self, model: Any, input_tensors: Any) -> Any:
        layers = [self._copy(layer) for layer in model._layers if not isinstance(layer, InputLayer)]
        first = model._layers[0] if model._layers and isinstance(model._layers[0], InputLayer) else None
        if input_tensors is not None:
            flat = tree.flatten(input_tensors)
            if len(flat) != 1 or not isinstance(flat[0], KerasTensor):
                raise ValueError(
                    "Argument `input_tensors` must be a single KerasTensor. "
                    f"Received: input_tensors={input_tensors}"
                )
            layers.insert(0, _entry(flat[0], None if first is None else first.name))
        elif first is not None:
            layers.insert(0, InputLayer.from_config(first.get_config()))
        made = Sequential(layers, name=model.name)
        made.__dict__["_trainable"] = model._trainable
        return made

    def _graph(self, model: Any, input_tensors: Any) -> Any:
        graph = model._graph
        inputs = _new_inputs(model) if input_tensors is None else _checked_inputs(model, input_tensors)
        new = {id(t): x for t, x in zip(graph.inputs, tree.flatten(inputs), strict=True)}
        call = self.call_function or (lambda layer, *args, **kwargs: layer(*args, **kwargs))

        def placed(structure: Any) -> Any:
            def place(value: Any) -> Any:
                return new[id(graph.resolve(value))] if isinstance(value, KerasTensor) else value

            return tree.map_structure(place, structure)

        for node in graph.nodes:
            if not isinstance(node.operation, InputLayer):
                args, kwargs = placed([list(node.args), node.kwargs])
                outputs = tree.flatten(call(self._copy(node.operation), *args, **kwargs))
                new.update({id(t): x for t, x in zip(node.output_tensors, outputs, strict=True)})
        kind = written_class(type(model))
        made = (kind if takes_ends(kind) else Functional)(
            inputs, placed(model._outputs_struct), name=model.name
        )
        made.__dict__["_trainable"] = model._trainable
        return made


def _makes_itself(model: Any) -> bool:
    """Whether a model is of a class that makes its graph from other arguments."""
    kind = type(model)
    own = not takes_ends(kind) or kind.get_config is not Functional.get_config
    try:
        return own and isinstance(model.get_config(), dict)
    except NotImplementedError:
        return False


def _entry(tensor: KerasTensor, name: str | None) -> Any:
    """The tensor itself if it is an input, otherwise an input of its shape and dtype."""
    history = tensor._keras_history
    if history is not None and isinstance(history[0], InputLayer):
        return tensor
    return Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)


def _new_inputs(model: Any) -> Any:
    return tree.map_structure(
        lambda t: InputLayer.from_config(t._keras_history[0].get_config()).output, model._inputs_struct
    )


def _checked_inputs(model: Any, tensors: Any) -> Any:
    wrong = [x for x in tree.flatten(tensors) if not isinstance(x, KerasTensor)]
    if wrong:
        raise ValueError(
            "All entries in `input_tensors` must be KerasTensors. Received invalid values: "
            f"input_tensors={tensors}"
        )
    try:
        tree.assert_same_structure(tensors, model._inputs_struct)
    except ValueError as error:
        raise ValueError(
            "`input_tensors` must have the same structure as model.input\n"
            f"Reference structure: {model._inputs_struct}\nReceived structure: {tensors}"
        ) from error
    return tensors


def _compile_alike(made: Any, model: Any) -> None:
    """Compiles a copy as the model is, with a new optimizer and new metrics."""
    if not model.compiled or made.compiled:
        return
    kind = type(model)
    if kind.get_compile_config is not Trainer.get_compile_config or kind.compile is not Trainer.compile:
        made.compile_from_config(model.get_compile_config())
        return

    def new(value: Any) -> Any:
        if isinstance(value, type) or not hasattr(value, "get_config"):
            return value  # names, numbers and functions: in one process they can be shared
        try:
            return type(value).from_config(value.get_config())
        except ValueError:  # it wraps a lambda
            return copy.deepcopy(value)

    given = {**model._compile_config, "optimizer": model.optimizer}
    made.compile(**tree.map_structure(new, given))
