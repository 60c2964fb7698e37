"""A graph of symbolic tensors as a function, without the rest of a model."""

from __future__ import annotations

from typing import Any

from lumbre import tree
from lumbre.autograd import as_tensor
from lumbre.layers.operation import Operation
from lumbre.layers.symbolic import KerasTensor, infer
from lumbre.models.copying import connected, flat_graph
from lumbre.models.graph import Graph


class Function(Operation):
    """The computation from some symbolic tensors to others, to be applied to new inputs.

    It is what a functional model computes, without weights of its own, training and layers.

    Args:
        inputs: Symbolic tensors in any structure.
        outputs: Symbolic tensors in any structure that follow from the inputs.
        name: A name.

    Raises:
        ValueError: There are no inputs or outputs, or an output does not follow from the inputs.

    Source: `keras.Function`.

    Example:
        >>> import lumbre
        >>> a, b = lumbre.KerasTensor((None, 2)), lumbre.KerasTensor((None, 2))
        >>> f = lumbre.Function([a, b], a * b + 1.0)
        >>> f([lumbre.ops.ones((1, 2)), lumbre.ops.ones((1, 2))]).numpy()
        array([[2., 2.]], dtype=float32)
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        super().__init__(name)
        for what, structure in (("inputs", inputs), ("outputs", outputs)):
            if not tree.flatten(structure):
                raise ValueError(
                    f"`{what}` argument cannot be empty. Received:\ninputs={inputs}\noutputs={outputs}"
                )
        self._connect(inputs, outputs)

    def _connect(self, inputs: Any, outputs: Any) -> None:
        paths = [path for path, _ in tree.flatten_with_path(outputs)]
        self._graph = Graph(tree.flatten(inputs), tree.flatten(outputs), paths)
        self._inputs_struct = tree.map_structure(self._graph.resolve, inputs)
        self._outputs_struct = tree.map_structure(self._graph.resolve, outputs)

    def __getstate__(self) -> dict[str, Any]:
        flat = flat_graph(self._graph, self._inputs_struct, self._outputs_struct)
        return {"name": self.name, "_graph": flat}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Operation.__init__(self, state["name"])
        self._connect(*connected(state["_graph"]))

    @property
    def operations(self) -> list[Any]:
        """The layers and ops, each once, in the order in which they are called."""
        return list(self._graph.operations)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs, flat."""
        return list(self._graph.inputs)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs, flat."""
        return tree.flatten(self._outputs_struct)

    def call(self, inputs: Any) -> Any:
        """The outputs for some inputs, both in the structures that the function was made with.

        Raises:
            ValueError: The inputs have another structure.
        """
        tree.assert_same_paths(inputs, self._inputs_struct)
        flat = [as_tensor(x, t.dtype) for x, t in zip(tree.flatten(inputs), self._graph.inputs, strict=True)]
        return tree.pack_sequence_as(self._outputs_struct, self._graph.run(flat))

    def compute_output_spec(self, inputs: Any) -> Any:
        return infer(self.call, (inputs,), {})

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shapes of the outputs for inputs of these shapes, computing nothing."""
        shapes = iter(self._graph.inputs)
        inputs = tree.map_shape_structure(lambda s: KerasTensor(s, next(shapes).dtype), input_shape)
        return tree.map_structure(lambda t: t.shape, self.compute_output_spec(inputs))
