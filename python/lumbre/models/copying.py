"""Graphs without their threads: what a deep copy or a pickle of a model keeps of its symbolic tensors.

Symbolic tensors, calls and layers refer to each other in chains as long as the model is deep. A copy that
followed them would need as many levels of recursion, and would reach other models that share a layer. So
the calls are written down flat, each with the numbers of the tensors that it takes, and made again.
"""

from __future__ import annotations

from typing import Any

from lumbre import tree
from lumbre.layers.input_layer import InputLayer
from lumbre.layers.symbolic import KerasTensor, Node


class Numbered:
    """In the place of a symbolic tensor: its number among the tensors of a graph."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


class Described:
    """In the place of a symbolic tensor: what it is made of."""

    __slots__ = ("dtype", "name", "shape")

    def __init__(self, tensor: KerasTensor) -> None:
        self.shape, self.dtype, self.name = tensor.shape, tensor.dtype, tensor._name

    def tensor(self) -> KerasTensor:
        """A new tensor of that shape, dtype and name."""
        return KerasTensor(self.shape, self.dtype, name=self.name)


def described(structure: Any) -> Any:
    """The structure with descriptions in the places of its symbolic tensors."""
    return tree.map_structure(lambda t: Described(t) if isinstance(t, KerasTensor) else t, structure)


def made(structure: Any) -> Any:
    """The structure with new symbolic tensors in the places of their descriptions."""
    return tree.map_structure(lambda t: t.tensor() if isinstance(t, Described) else t, structure)


def flat_graph(graph: Any, inputs: Any, outputs: Any) -> dict[str, Any]:
    """A graph and the structures of its ends, as something that can be copied."""
    numbers: dict[int, int] = {}
    calls = []

    def numbered(structure: Any) -> Any:
        def number(t: Any) -> Any:
            return Numbered(numbers[id(graph.resolve(t))]) if isinstance(t, KerasTensor) else t

        return tree.map_structure(number, structure)

    for node in graph.nodes:  # each before those that need its outputs
        entry = isinstance(node.operation, InputLayer)
        calls.append(
            (
                node.operation,
                numbered(node.args),
                numbered(node.kwargs),
                None if entry else described(node.outputs),
            )
        )
        for t in node.output_tensors:
            numbers[id(t)] = len(numbers)
    return {"calls": calls, "inputs": numbered(inputs), "outputs": numbered(outputs)}


def connected(flat: dict[str, Any]) -> tuple[Any, Any]:
    """Makes the calls of `flat_graph` again, on the copies of its layers; returns inputs and outputs."""
    tensors: list[KerasTensor] = []

    def placed(structure: Any) -> Any:
        return tree.map_structure(lambda t: tensors[t.index] if isinstance(t, Numbered) else t, structure)

    for operation, args, kwargs, outputs in flat["calls"]:
        if outputs is None:
            tensors.append(operation.output)
            continue
        node = Node(operation, placed(args), placed(kwargs), made(outputs))
        tensors += node.output_tensors
    return placed(flat["inputs"]), placed(flat["outputs"])
