"""Layers to configs and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumbre.layers.layer import Layer
from lumbre.layers.operation import Operation
from lumbre.registration import CustomObjectScope
from lumbre.serialization import find_class, instance, serialize_keras_object


def serialize(layer: Any) -> dict[str, Any]:
    """A layer as a dict that `deserialize` reads: its class and its config, without weights.

    Example:
        >>> import lumbre
        >>> lumbre.layers.serialize(lumbre.layers.Flatten())["class_name"]
        'Flatten'
    """
    config: dict[str, Any] = serialize_keras_object(layer)
    return config


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """A new layer from what `serialize` wrote, built as the old one was.

    Args:
        config: The dict.
        custom_objects: Classes of your own by name.
        safe_mode: Accepted as in Keras; code in a config is never run.

    Raises:
        ValueError: The class is not known, or is neither a layer nor an operation.

    Example:
        >>> import lumbre
        >>> config = lumbre.layers.serialize(lumbre.layers.Dense(3))
        >>> lumbre.layers.deserialize(config).units
        3
    """
    layer = deserialize_operation(config, custom_objects)
    if not isinstance(layer, Layer):
        raise _not_a("layer", layer, config)
    return layer


def deserialize_operation(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Operation:
    """As `deserialize`, for whatever a graph may consist of.

    Raises:
        ValueError: The class is not known, or is not an operation.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("class_name"), str):
        raise ValueError(f"the config of a layer is a dict with `class_name` and `config`, got {config!r}")
    with CustomObjectScope(custom_objects):
        operation = instance({"config": None, **config}, find_class(config, "keras.layers"))
    if not isinstance(operation, Operation):
        raise _not_a("layer or operation", operation, config)
    return operation


def _not_a(what: str, made: Any, config: Any) -> ValueError:
    return ValueError(f"Could not interpret serialized object: {config}. It is a {type(made)}, not a {what}.")
