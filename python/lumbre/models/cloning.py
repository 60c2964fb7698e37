"""Models like a given one, with weights of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lumbre.layers.input_layer import InputLayer
from lumbre.layers.layer import Layer
from lumbre.models.functional import Functional
from lumbre.models.rebuild import functional_config, functional_from_config
from lumbre.models.sequential import Sequential


def clone_model(
    model: Any, input_tensors: Any = None, clone_function: Callable[[Any], Any] | None = None
) -> Any:
    """A model with the same layers and connections, and newly initialized weights.

    Args:
        model: The model.
        input_tensors: Symbolic tensors on which the copy of a graph or chain is called.
        clone_function: Makes the copy of a layer that is not an input; by default
            `layer.from_config(layer.get_config())`. Not for subclasses of `Model`.

    Returns:
        The copy; with `input_tensors`, a model from them to its outputs.

    Raises:
        ValueError: `clone_function` for a model that is neither a graph nor a chain.

    Example:
        >>> import lumbre
        >>> model = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(2)])
        >>> lumbre.models.clone_model(model).count_params()
        8
    """
    copy_layer = clone_function or _copy_layer
    if isinstance(model, Sequential):
        copy = type(model)(name=model.name)
        copies: dict[int, Any] = {}  # a layer may be in the chain more than once
        for layer in model._layers:
            if id(layer) not in copies:
                entry = isinstance(layer, InputLayer)
                copies[id(layer)] = InputLayer.from_config(layer.get_config()) if entry else copy_layer(layer)
            copy.add(copies[id(layer)])
    elif type(model) is Functional:
        made = {
            op.name: copy_layer(op)
            for op in model._operations
            if isinstance(op, Layer) and not isinstance(op, InputLayer)
        }
        copy = functional_from_config(Functional, functional_config(model), layers=made)
    elif clone_function is not None:
        raise ValueError(
            "Arguments `clone_function` and `input_tensors` are only supported for Sequential models or "
            f"Functional models. Received model of type '{type(model).__name__}'"
        )
    else:
        copy = type(model).from_config(model.get_config())
    if input_tensors is None:
        return copy
    return Functional(input_tensors, copy(input_tensors), name=model.name)


def _copy_layer(layer: Any) -> Any:
    """A new layer; models within are cloned, too, since their configs cannot hold every function."""
    if not isinstance(layer, Sequential) and type(layer) is not Functional:
        return layer._clone()
    copy = clone_model(layer)
    if not layer.trainable:
        copy.trainable = False
    return copy
