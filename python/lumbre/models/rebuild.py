"""Functional models to configs and back: layers, and for each the calls that connect it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumbre import ops, tree
from lumbre.layers import serialization
from lumbre.layers.operation import OpNode
from lumbre.layers.symbolic import KerasTensor, get_item
from lumbre.lookup import snake_case
from lumbre.models.keras_ops import joined, module_of, parted
from lumbre.serialization import SPECIAL, serialize_keras_object


def functional_config(model: Any) -> dict[str, Any]:
    """What `functional_from_config` rebuilds a functional model from, in Keras's form."""
    graph = model._graph
    # The calls of each operation that are part of this graph are numbered anew.
    numbers = {
        id(node): number
        for operation in graph.operations
        for number, node in enumerate(n for n in operation._inbound_nodes if id(n) in graph.node_ids)
    }

    def history(t: KerasTensor) -> list[Any]:
        t = graph.resolve(t)
        operation, _, tensor_index = t._keras_history
        return [operation.name, numbers[id(graph.node_of(t))], tensor_index]

    def argument(value: Any) -> Any:
        if not isinstance(value, KerasTensor):
            return serialize_keras_object(value)
        config = {"shape": graph.resolve(value).shape, "dtype": value.dtype, "keras_history": history(value)}
        return {"class_name": "__keras_tensor__", "config": config}

    layers = []
    for operation in graph.operations:
        entry = _operation_config(operation)
        entry["name"] = operation.name
        entry["inbound_nodes"] = []
        for node in operation._inbound_nodes:
            if id(node) not in graph.node_ids or not (node.args or node.kwargs):
                continue
            args, kwargs = list(node.args), node.kwargs
            if isinstance(operation, OpNode):
                own, args, kwargs = parted(operation.function, node.args, node.kwargs)
                entry["config"].update(tree.map_structure(argument, own))
            call = {
                "args": tree.map_structure(argument, args),
                "kwargs": tree.map_structure(argument, kwargs),
            }
            entry["inbound_nodes"].append(call)
        layers.append(entry)

    def ends(structure: Any) -> Any:
        # A single tensor is written as its history, anything else as a structure of histories.
        return tree.map_structure(lambda t: history(t), structure)

    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": ends(model._inputs_struct),
        "output_layers": ends(model._outputs_struct),
    }


def _operation_config(operation: Any) -> dict[str, Any]:
    if not isinstance(operation, OpNode):
        return serialization.serialize(operation)
    return {
        "module": module_of(operation.op_name),
        "class_name": operation.class_label,
        "config": {"name": operation.name},
        "registered_name": operation.class_label,
    }


def functional_from_config(
    kind: Any,
    config: Mapping[str, Any],
    custom_objects: Mapping[str, type] | None = None,
    layers: Mapping[str, Any] | None = None,
) -> Any:
    """A new functional model from a config.

    Args:
        kind: Its class.
        config: The config.
        custom_objects: Classes of the user's own by name.
        layers: Layers by name that take the place of those in the config.

    Raises:
        ValueError: A class or op is not known, or the connections are not complete.
    """
    entries = config["layers"]
    operations = {
        entry["name"]: (layers or {}).get(entry["name"]) or _operation(entry, custom_objects)
        for entry in entries
    }
    configs = {entry["name"]: entry["config"] for entry in entries}
    waiting = [(entry["name"], i, node) for entry in entries for i, node in enumerate(entry["inbound_nodes"])]
    outputs: dict[tuple[str, int], Any] = {
        (name, 0): op._inbound_nodes[0].outputs for name, op in operations.items() if op._inbound_nodes
    }

    def tensor(history: Any) -> Any:
        name, node, index = history
        return tree.flatten(outputs[name, node])[index]

    def value(part: Any) -> Any:
        """An argument, with symbolic tensors in the places of their configs."""
        kind = part.get("class_name") if isinstance(part, dict) else None
        if kind == "__keras_tensor__":
            return tensor(part["config"]["keras_history"])
        return SPECIAL[kind](part["config"]) if kind in SPECIAL else None

    while waiting:
        left = []
        for name, number, node in waiting:
            ready = (number == 0 or (name, number - 1) in outputs) and all(
                tuple(history[:2]) in outputs for history in _histories([node["args"], node["kwargs"]])
            )
            if not ready:
                left.append((name, number, node))
                continue
            operation = operations[name]
            args, kwargs = node["args"], node["kwargs"]
            if isinstance(operation, OpNode):
                args, kwargs = joined(operation.function, configs[name], args, kwargs)
            args, kwargs = tree.traverse(value, [args, kwargs])
            before = len(operation._inbound_nodes)
            operation(*args, **kwargs)
            outputs[name, number] = operation._inbound_nodes[before].outputs
        if len(left) == len(waiting):
            names = [name for name, _, _ in left]
            raise ValueError(f"the connections of the layers {names} are not complete")
        waiting = left
    model = kind(
        inputs=_ends(config["input_layers"], tensor),
        outputs=_ends(config["output_layers"], tensor),
        name=config.get("name"),
    )
    if config.get("trainable") is False:
        model.trainable = False
    return model


def _operation(entry: Mapping[str, Any], custom_objects: Mapping[str, type] | None) -> Any:
    module = entry.get("module")
    if not isinstance(module, str) or not module.startswith(("keras.ops", "keras.src.ops")):
        return serialization.deserialize(entry, custom_objects)
    name = snake_case(entry["class_name"])
    function = get_item if name == "get_item" else getattr(ops, name, None) if name in ops.__all__ else None
    if not callable(function):
        raise ValueError(f"Unknown op: '{entry['class_name']}' (`lumbre.ops.{name}` does not exist)")
    return OpNode(function, entry["config"].get("name"))


def _histories(structure: Any) -> list[Any]:
    found: list[Any] = []

    def note(part: Any) -> Any:
        if isinstance(part, dict) and part.get("class_name") == "__keras_tensor__":
            found.append(part["config"]["keras_history"])
            return part
        return None

    tree.traverse(note, structure)
    return found


def _ends(structure: Any, tensor: Any) -> Any:
    """The symbolic tensors for a structure of histories, `[name, node, index]` each."""
    if isinstance(structure, (list, tuple)) and len(structure) == 3 and isinstance(structure[0], str):
        return tensor(structure)
    if isinstance(structure, dict):
        return {key: _ends(part, tensor) for key, part in structure.items()}
    return [_ends(part, tensor) for part in structure]
