"""Configs of models from `.h5` files, which say less of a class and have older names, in Keras 3's form."""

from __future__ import annotations

from typing import Any

_MODELS = {"Model": "Functional", "Functional": "Functional", "Sequential": "Sequential"}


def upgraded(config: Any) -> Any:
    """A model's or layer's config as Keras 3 writes it in `.keras` files; one that is so already, as it is.

    Example:
        >>> upgraded({"class_name": "InputLayer", "config": {"batch_input_shape": [None, 3]}})["config"]
        {'batch_shape': [None, 3]}
    """
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
        return config
    made = dict(config)
    name = made["class_name"] = _MODELS.get(str(config.get("class_name")), config.get("class_name"))
    if "module" not in made:
        custom = ">" in str(name)
        made["module"] = {"Functional": "keras.src.models.functional", "Sequential": "keras"}.get(
            str(name), "keras.layers"
        )
        made["registered_name"] = name if custom else None
        if custom:
            made["module"], made["class_name"] = None, str(name).partition(">")[2]
    made["config"] = _arguments(str(name), dict(config["config"]))
    if "inbound_nodes" in made:
        made["inbound_nodes"] = [_node(node) for node in made["inbound_nodes"]]
    return made


def _arguments(name: str, config: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments of a layer, or the parts of a model."""
    shape = config.pop("batch_input_shape", None)
    if shape is not None:
        if name == "InputLayer":
            config["batch_shape"] = shape
        else:
            config["input_shape"] = shape[1:]
    axis = config.get("axis")
    if isinstance(axis, list) and len(axis) == 1:
        config["axis"] = axis[0]
    if isinstance(config.get("layers"), list):
        config["layers"] = [upgraded(layer) for layer in config["layers"]]
    if isinstance(config.get("layer"), dict):
        config["layer"] = upgraded(config["layer"])
    for ends in ("input_layers", "output_layers"):
        if ends in config and name == "Functional":
            config[ends] = _single(config[ends])
    return config


def _single(ends: Any) -> Any:
    """Keras 2 writes the one input of a model as a list of one."""
    one = isinstance(ends, list) and len(ends) == 1 and isinstance(ends[0], list) and len(ends[0]) == 3
    return ends[0] if one and isinstance(ends[0][0], str) else ends


def _node(node: Any) -> Any:
    """A call of a layer; Keras 2 writes `[[name, node, tensor, kwargs], ...]`."""
    if isinstance(node, dict):
        return node
    if not isinstance(node, list) or not node:
        return {"args": [], "kwargs": {}}
    flat = [node] if isinstance(node[0], str) else node
    tensors = [_tensor(part) for part in flat]
    kwargs: dict[str, Any] = next((part[3] for part in flat if isinstance(part, list) and len(part) > 3), {})
    kwargs = {key: _tensor(value) if _is_history(value) else value for key, value in kwargs.items()}
    return {"args": [tensors[0] if len(tensors) == 1 else tensors], "kwargs": kwargs}


def _is_history(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and type(value[1]) is int
    )


def _tensor(part: Any) -> Any:
    if not _is_history(part):
        return part
    return {"class_name": "__keras_tensor__", "config": {"keras_history": part[:3]}}
