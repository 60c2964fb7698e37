"""Functional models to configs and back: layers, and for each the calls that connect it."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from lumbre import ops, tree
from lumbre.layers import serialization
from lumbre.layers.operation import OpNode
from lumbre.layers.symbolic import KerasTensor, get_item
from lumbre.lookup import snake_case
from lumbre.models.keras_ops import joined, module_of, parted
from lumbre.serialization import SPECIAL, serialize_keras_object
from lumbre.wording import listed

_Place = tuple[str, int]  # the name of a layer, and which of its calls
_GRAPH = ("name", "trainable", "layers", "input_layers", "output_layers")


def takes_ends(kind: type) -> bool:
    """Whether the constructor of a class takes the ends of a graph, as that of `Functional` does.

    It does if it has the same arguments, or hands on any that it gets. Source: `keras.Model.from_config`.
    """
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]  # type: ignore[misc]
    kinds = {p.kind for p in parameters}
    if {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= kinds:
        return True
    names = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    return names in (["inputs", "outputs", "name"], ["inputs", "outputs", "name", "trainable"])


def functional_config(model: Any) -> dict[str, Any]:
    """What `functional_from_config` rebuilds a functional model from, in Keras's form."""
    history = _histories_in(model._graph)

    def ends(structure: Any) -> Any:
        # A single tensor is written as its history, anything else as a structure of histories.
        return tree.map_structure(history, structure)

    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": [_entry(operation, model._graph, history) for operation in model._graph.operations],
        "input_layers": ends(model._inputs_struct),
        "output_layers": ends(model._outputs_struct),
    }


def _histories_in(graph: Any) -> Callable[[KerasTensor], list[Any]]:
    """What a config calls a tensor of a graph: `[name of the layer, number of its call, index]`."""
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

    return history


def _entry(operation: Any, graph: Any, history: Callable[[KerasTensor], list[Any]]) -> dict[str, Any]:
    """The config of a layer or op with its calls."""

    def argument(value: Any) -> Any:
        if not isinstance(value, KerasTensor):
            return serialize_keras_object(value)
        config = {"shape": graph.resolve(value).shape, "dtype": value.dtype, "keras_history": history(value)}
        return {"class_name": "__keras_tensor__", "config": config}

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
        call = {"args": tree.map_structure(argument, args), "kwargs": tree.map_structure(argument, kwargs)}
        entry["inbound_nodes"].append(call)
    return entry


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
    kind: Any, config: Mapping[str, Any], custom_objects: Mapping[str, type] | None = None
) -> Any:
    """A new functional model from a config.

    Args:
        kind: Its class.
        config: The config. What is in it beside a graph goes to the constructor of the class.
        custom_objects: Classes of the user's own by name.

    Raises:
        ValueError: A class or op is not known, or the connections are not complete.
    """
    calls = _Calls(config["layers"], custom_objects)
    calls.make()
    rest = {key: value for key, value in config.items() if key not in _GRAPH}
    model = kind(
        inputs=_ends(config["input_layers"], calls.tensor),
        outputs=_ends(config["output_layers"], calls.tensor),
        name=config.get("name"),
        **rest,
    )
    if config.get("trainable") is False:
        model.trainable = False
    return model


class _Calls:
    """The calls of a graph, made one after another as soon as what they need is there.

    Args:
        entries: The layers of a config.
        custom_objects: Classes of the user's own by name.
    """

    def __init__(self, entries: Any, custom_objects: Mapping[str, type] | None) -> None:
        self.operations = {entry["name"]: _operation(entry, custom_objects) for entry in entries}
        self.configs = {entry["name"]: entry["config"] for entry in entries}
        self.nodes = {
            (entry["name"], i): node for entry in entries for i, node in enumerate(entry["inbound_nodes"])
        }
        self.outputs: dict[_Place, Any] = {
            (name, 0): op._inbound_nodes[0].outputs
            for name, op in self.operations.items()
            if op._inbound_nodes
        }

    def make(self) -> None:
        """Makes all calls.

        Raises:
            ValueError: What one needs is in none of the others.
        """
        missing = {place: self._needs(place) for place in self.nodes}
        waiting: dict[_Place, list[_Place]] = {}  # who waits for what a call returns
        for place, needs in missing.items():
            for need in needs:
                waiting.setdefault(need, []).append(place)
        ready = deque(place for place, needs in missing.items() if not needs)
        while ready:
            place = ready.popleft()
            self._call(place)
            del missing[place]
            for next_one in waiting.get(place, ()):
                missing[next_one].discard(place)
                if not missing[next_one]:
                    ready.append(next_one)
        if missing:
            names = list(dict.fromkeys(name for name, _ in missing))
            raise ValueError(f"the connections of the layers {listed(names)} are not complete")

    def _needs(self, place: _Place) -> set[_Place]:
        """The calls that must come before one: those whose outputs it takes, and the layer's last one."""
        name, number = place
        node = self.nodes[place]
        needs = {tuple(history[:2]) for history in _histories([node["args"], node["kwargs"]])}
        if number:
            needs.add((name, number - 1))
        return {need for need in needs if need not in self.outputs}

    def _call(self, place: _Place) -> None:
        node, operation = self.nodes[place], self.operations[place[0]]
        args, kwargs = node["args"], node["kwargs"]
        if isinstance(operation, OpNode):
            args, kwargs = joined(operation.function, self.configs[place[0]], args, kwargs)
        args, kwargs = tree.traverse(self._value, [args, kwargs])
        before = len(operation._inbound_nodes)
        operation(*args, **kwargs)
        self.outputs[place] = operation._inbound_nodes[before].outputs

    def tensor(self, history: Any) -> Any:
        """The symbolic tensor of `[name, call, index]`."""
        name, node, index = history
        return tree.flatten(self.outputs[name, node])[index]

    def _value(self, part: Any) -> Any:
        """An argument, with symbolic tensors in the places of their configs."""
        kind = part.get("class_name") if isinstance(part, dict) else None
        if kind == "__keras_tensor__":
            return self.tensor(part["config"]["keras_history"])
        return SPECIAL[kind](part["config"]) if kind in SPECIAL else None


def _operation(entry: Mapping[str, Any], custom_objects: Mapping[str, type] | None) -> Any:
    module = entry.get("module")
    if not isinstance(module, str) or not module.startswith(("keras.ops", "keras.src.ops")):
        return serialization.deserialize_operation(entry, custom_objects)
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
