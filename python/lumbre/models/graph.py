"""From symbolic outputs back to the inputs: which calls a functional model consists of, in order.

The walk happens once, when the model is made. What runs at each call of the model is a flat plan:
a list of steps that read and write numbered slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lumbre import tree
from lumbre.layers.input_layer import InputLayer
from lumbre.layers.symbolic import KerasTensor, Node


class Slot:
    """In the arguments of a call, the place of a tensor that an earlier step computed."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


class Step:
    """One call of the plan.

    `source` is the slot of a single positional argument, or a list of slots that are passed as one
    list; for any other form it is None and `arguments` holds the structure with `Slot`s. `target`
    is the slot of a single output or the slots of the leaves of a structure. `done` are slots that
    no later step reads.
    """

    __slots__ = ("arguments", "done", "operation", "source", "target")

    def __init__(self, node: Node, slots: dict[int, int]) -> None:
        def place(value: Any) -> Any:
            return Slot(slots[id(value)]) if isinstance(value, KerasTensor) else value

        self.operation = node.operation
        self.source: int | list[int] | None = None
        self.arguments: Any = None
        self.done: tuple[int, ...] = ()
        only = node.args[0] if len(node.args) == 1 and not node.kwargs else None
        if isinstance(only, KerasTensor):
            self.source = slots[id(only)]
        elif type(only) is list and only and all(isinstance(t, KerasTensor) for t in only):
            self.source = [slots[id(t)] for t in only]
        else:
            self.arguments = tree.map_structure(place, (node.args, node.kwargs))
        outputs = node.outputs
        self.target: int | list[int] = (
            slots[id(outputs)]
            if isinstance(outputs, KerasTensor)
            else [slots.get(id(t), -1) for t in tree.flatten(outputs)]
        )

    def reads(self) -> list[int]:
        """The slots that the step reads."""
        if self.source is not None:
            return [self.source] if isinstance(self.source, int) else self.source
        return [v.index for v in tree.flatten(self.arguments) if isinstance(v, Slot)]


class Graph:
    """The calls between some symbolic inputs and some symbolic outputs.

    Args:
        inputs: Symbolic tensors. One that a layer computed is replaced by an input of its own.
        outputs: Symbolic tensors that follow from the inputs.

    Raises:
        ValueError: An output does not follow from the inputs.
    """

    def __init__(self, inputs: Sequence[KerasTensor], outputs: Sequence[KerasTensor], paths: Any) -> None:
        self.stand_ins = {id(t): _stand_in(t) for t in inputs}
        self.inputs = [self.stand_ins[id(t)] for t in inputs]
        self.outputs = list(outputs)
        order = self._walk(paths)
        depths = self._depths(order)
        order.sort(key=lambda node: -depths[id(node)])  # stable: the walk's order within a depth
        self.nodes = order
        self.node_ids = {id(node) for node in order}
        self.depths = [depths[id(node)] for node in order]
        # The layers and ops, each once, the deepest first.
        self.operations: list[Any] = list({id(node.operation): node.operation for node in order}.values())
        self._plan()

    def resolve(self, t: KerasTensor) -> KerasTensor:
        """The tensor, or the input that takes its place."""
        return self.stand_ins.get(id(t), t)

    def node_of(self, t: KerasTensor) -> Node:
        """The call that made a tensor."""
        operation, index, _ = self.resolve(t)._keras_history
        node: Node = operation._inbound_nodes[index]
        return node

    def _walk(self, paths: Any) -> list[Node]:
        """All calls, each before those it depends on, in the order in which they are met."""
        met: dict[int, Node] = {}
        known = {id(t) for t in self.inputs}
        for path, output in zip(paths, self.outputs, strict=True):
            stack: list[KerasTensor] = [output]
            while stack:
                t = self.resolve(stack.pop())
                if t._keras_history is None or (
                    isinstance(t._keras_history[0], InputLayer) and id(t) not in known
                ):
                    where = ".".join(str(p) for p in path)
                    raise ValueError(
                        f"Output with path `{where}` is not connected to `inputs`{self._foreign(t)}"
                    )
                node = self.node_of(t)
                if id(node) not in met:
                    met[id(node)] = node
                    stack.extend(reversed(node.input_tensors))
        # Inputs that nothing uses are part of the model, too.
        unused = {id(node): node for node in map(self.node_of, self.inputs) if id(node) not in met}
        return [*unused.values(), *met.values()]

    def _foreign(self, t: KerasTensor) -> str:
        """Which tensor the way back from an output ends at, and what can be done."""
        ours = [known.name for known in self.inputs]
        if t._keras_history is None:
            return f": it is computed from {t}, which no `Input` or layer made"
        return (
            f": it is computed from '{t._keras_history[0].name}', an input of another model or one that is "
            f"not among the inputs {ours}. Add it to `inputs`, or call the layers on tensors that come from "
            "these"
        )

    def _depths(self, nodes: list[Node]) -> dict[int, int]:
        """The length of the longest way from each call to an output."""
        waiting = {id(node): 0 for node in nodes}
        sources = {id(node): [self.node_of(t) for t in node.input_tensors] for node in nodes}
        for node in nodes:
            for source in sources[id(node)]:
                waiting[id(source)] += 1
        depths = {id(node): 0 for node in nodes}
        ready = [node for node in nodes if waiting[id(node)] == 0]
        while ready:
            node = ready.pop()
            for source in sources[id(node)]:
                depths[id(source)] = max(depths[id(source)], depths[id(node)] + 1)
                waiting[id(source)] -= 1
                if waiting[id(source)] == 0:
                    ready.append(source)
        return depths

    def _plan(self) -> None:
        slots: dict[int, int] = {}
        for t in self.inputs:
            slots.setdefault(id(t), len(slots))
        for node in self.nodes:
            for t in node.output_tensors:
                slots.setdefault(id(t), len(slots))
        for original, stand_in in self.stand_ins.items():
            slots[original] = slots[id(stand_in)]
        self.steps = [Step(node, slots) for node in self.nodes if not isinstance(node.operation, InputLayer)]
        self.input_slots = [slots[id(t)] for t in self.inputs]
        self.output_slots = [slots[id(t)] for t in self.outputs]
        self.size = max(slots.values(), default=-1) + 1
        kept = {*self.output_slots}
        for step in reversed(self.steps):
            step.done = tuple({s for s in step.reads() if s not in kept})
            kept.update(step.done)
        self._compiled = [(s.operation, s.source, s.target, s.done, s) for s in self.steps]

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """The outputs for these inputs, both flat."""
        slots: list[Any] = [None] * self.size
        for index, value in zip(self.input_slots, inputs, strict=True):
            slots[index] = value
        for operation, source, target, done, step in self._compiled:
            if isinstance(source, int):
                result = operation(slots[source])
            elif source is not None:
                result = operation([slots[i] for i in source])
            else:
                args, kwargs = tree.map_structure(
                    lambda v: slots[v.index] if isinstance(v, Slot) else v, step.arguments
                )
                result = operation(*args, **kwargs)
            if isinstance(target, int):
                slots[target] = result
            else:
                for index, value in zip(target, tree.flatten(result), strict=True):
                    if index >= 0:
                        slots[index] = value
            for index in done:
                slots[index] = None
        return [slots[i] for i in self.output_slots]


def _stand_in(t: KerasTensor) -> KerasTensor:
    """The tensor itself if it is an input, otherwise a new input of its shape."""
    if t._keras_history is not None and isinstance(t._keras_history[0], InputLayer):
        return t
    stand_in: KerasTensor = InputLayer(batch_shape=t.shape, dtype=t.dtype, name=t.name).output
    return stand_in
