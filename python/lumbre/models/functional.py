"""Models made of symbolic tensors: `Model(inputs, outputs)`."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import numpy as np

from lumbre import ops, tree
from lumbre.autograd import Tensor, as_tensor
from lumbre.layers.around import attach_mask, plain_arguments
from lumbre.layers.context import describe
from lumbre.layers.input_layer import InputLayer
from lumbre.layers.input_spec import InputSpec, check_inputs
from lumbre.layers.layer import Layer
from lumbre.layers.operation import symbolic_op
from lumbre.layers.symbolic import KerasHistory, KerasTensor, Node
from lumbre.lookup import foreign, nearest
from lumbre.models.copying import connected, flat_graph
from lumbre.models.graph import Graph
from lumbre.models.model import Model

__all__ = ["Functional", "KerasHistory", "KerasTensor", "Node", "symbolic_op"]


class Functional(Model):
    """A model that is a graph of layers and ops from some inputs to some outputs.

    Inputs and outputs may be tensors, lists, tuples or dicts of them, nested. Inputs that a layer
    computed cut the graph there.

    Args:
        inputs: Symbolic tensors in any structure.
        outputs: Symbolic tensors in any structure that follow from the inputs.
        name: The model's name.
        trainable: Whether training changes the weights.

    Raises:
        ValueError: A value is not symbolic, or an output does not follow from the inputs.

    Example:
        >>> import lumbre
        >>> a, b = lumbre.Input((2,), name="a"), lumbre.Input((2,), name="b")
        >>> model = lumbre.Model({"a": a, "b": b}, a + b)
        >>> one = lumbre.ops.ones((1, 2))
        >>> model({"a": one, "b": one}).numpy()
        array([[2., 2.]], dtype=float32)
    """

    _lockable = False
    _takes_any = True
    _exact_shapes = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        from lumbre.models.rebuild import takes_ends

        made = super().__new__(cls, *args, **kwargs)
        if cls is not Functional and cls.get_config is Functional.get_config and not takes_ends(cls):
            made.__dict__["_init_args"] = (args, kwargs)
        return made

    def __init__(
        self, inputs: Any, outputs: Any, name: str | None = None, trainable: bool = True, **kwargs: Any
    ) -> None:
        _check_symbols(inputs, outputs)
        Layer.__init__(self, name=name, **kwargs)
        graph = self._connect(inputs, outputs)
        self.input_names = [t._keras_history[0].name for t in self.inputs]
        self.output_names = [t._keras_history[0].name for t in self.outputs]
        _check_names(graph.operations)
        layers = [op for op in graph.operations if isinstance(op, Layer)]
        # A subclass may have put some into attributes before.
        self._layers[:] = layers + [x for x in self._layers if not any(x is y for y in layers)]
        self.autocast = False  # inputs are cast to the dtype of each input
        self.built = True
        if not trainable:
            self.trainable = False

    def _connect(self, inputs: Any, outputs: Any) -> Graph:
        """Finds the calls between these tensors, which the model then consists of."""
        paths = [path for path, _ in tree.flatten_with_path(outputs)]
        graph = Graph(tree.flatten(inputs), tree.flatten(outputs), paths)
        self.__dict__.update(
            _graph=graph,
            _inputs_struct=tree.map_structure(graph.resolve, inputs),
            _outputs_struct=tree.map_structure(graph.resolve, outputs),
            inputs=graph.inputs,
            outputs=[graph.resolve(t) for t in graph.outputs],
            _operations=graph.operations,
        )
        self.__dict__["_specs"] = [_spec(t) for t in self.inputs]
        return graph

    _uncopied = Model._uncopied | {
        *("_inputs_struct", "_outputs_struct", "inputs", "outputs", "_operations", "_specs")
    }

    def __getstate__(self) -> dict[str, Any]:
        flat = flat_graph(self._graph, self._inputs_struct, self._outputs_struct)
        return {**super().__getstate__(), "_graph": flat}

    def __setstate__(self, state: dict[str, Any]) -> None:
        flat = state.pop("_graph")
        super().__setstate__(state)
        self._connect(*connected(flat))

    _graph: Graph
    _operations: list[Any]
    _specs: list[InputSpec]
    _inputs_struct: Any
    _outputs_struct: Any

    @property
    def input(self) -> Any:
        """The symbolic inputs, in their structure."""
        return self._inputs_struct

    @property
    def output(self) -> Any:
        """The symbolic outputs, in their structure."""
        return self._outputs_struct

    @property
    def input_shape(self) -> Any:
        """The shape of the input, or a list of them."""
        shapes = [t.shape for t in self.inputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> Any:
        """The shape of the output, or a list of them."""
        shapes = [t.shape for t in self.outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    def build(self, input_shape: Any = None) -> None:
        """Nothing is left to be built."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        inputs = tree.map_shape_structure(KerasTensor, input_shape)
        return tree.map_structure(lambda t: t.shape, self.compute_output_spec(inputs))

    @property
    def operations(self) -> list[Any]:
        """The layers and ops of the graph, in the order in which they are called."""
        return list(self._operations)

    # Calling

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Runs the graph. `training` and masks reach the layers by themselves."""
        flat = self._flat_inputs(inputs)
        if mask is not None:
            for x, m in zip(flat, tree.flatten(mask), strict=False):
                if m is not None:
                    attach_mask(x, m)
        outputs = self._graph.run(flat)
        struct = self._outputs_struct
        if len(outputs) == 1 and not isinstance(struct, dict):
            return outputs[0]
        return tree.pack_sequence_as(struct, outputs)

    def _flat_inputs(self, inputs: Any) -> list[Any]:
        """The inputs in the order of `self.inputs`, cast and checked.

        Raises:
            ValueError: Structure, rank or a size is not the model's.
        """
        if len(self.inputs) == 1 and type(inputs) in (Tensor, np.ndarray):
            spec, symbol = self._specs[0], self.inputs[0]
            x = inputs if type(inputs) is Tensor else as_tensor(inputs, symbol.dtype)
            shape, dtype = x.shape, x.dtype
            fits = dtype == symbol.dtype and len(shape) == len(symbol.shape)
            if fits and (shape[1:] == symbol.shape[1:] or spec.problem(shape, dtype) is None):
                return [x]
        flat = tree.flatten(self._in_order(inputs))
        self._check_count(len(flat), inputs)
        tensors = [_as_input(x, t) for x, t in zip(flat, self.inputs, strict=True)]
        check_inputs(self._specs, tensors, self.name)
        return tensors

    def _check_count(self, count: int, inputs: Any) -> None:
        if count != len(self.inputs):
            raise ValueError(
                f'Layer "{self.name}" expects {len(self.inputs)} input(s), but it received {count} input '
                f"tensors. Inputs received: {describe(inputs)}"
            )

    def _converted(self, value: Any) -> Any:
        return value  # `_as_input` does it, once the inputs are in order

    def _in_order(self, inputs: Any) -> Any:
        """The inputs as a structure whose leaves are in the model's order."""
        struct = self._inputs_struct
        if isinstance(inputs, dict):
            return self._from_dict(inputs)
        if isinstance(struct, dict) and len(struct) > 1 and not tree.is_nested(inputs):
            raise ValueError(
                f'Layer "{self.name}" expects {len(struct)} named input(s) with keys {list(struct)}, but it '
                "received 1 input tensors. Pass inputs as a dict, e.g. "
                f"`layer({{{', '.join(f'{key!r}: ...' for key in struct)}}})`."
            )
        self._check_count(len(tree.flatten(inputs)), inputs)
        if tree.is_nested(inputs) != tree.is_nested(struct) and len(self.inputs) == 1:
            return inputs  # a list of one for one, or the reverse
        try:
            tree.assert_same_paths(inputs, struct)
        except ValueError:
            expected = tree.map_structure(lambda t: t.name, struct)
            received = tree.map_structure(lambda x: f"Tensor(shape={getattr(x, 'shape', None)})", inputs)
            message = (
                "The structure of `inputs` doesn't match the expected structure.\n"
                f"Expected: {expected}\nReceived: inputs={received}"
            )
            if isinstance(struct, dict) and list(struct) != sorted(struct):
                raise ValueError(message) from None
            warnings.warn(message, stacklevel=2)
        return inputs

    def _from_dict(self, inputs: dict[str, Any]) -> Any:
        struct = self._inputs_struct
        if isinstance(struct, dict):
            missing = [key for key in struct if key not in inputs]
            if missing:
                raise ValueError(_missing(missing[0], inputs, list(struct)))
            return {key: inputs[key] for key in struct}
        values = []
        for symbol, layer_name in zip(self.inputs, self.input_names or (), strict=True):
            key = symbol.name if symbol.name in inputs else layer_name
            if key not in inputs:
                raise ValueError(_missing(key, inputs, list(self.input_names or ())))
            values.append(inputs[key])
        return values

    # Configs

    def get_config(self) -> dict[str, Any]:
        from lumbre.models.rebuild import functional_config, takes_ends

        if not takes_ends(type(self)):  # it is made anew from its own arguments
            return {**plain_arguments(self), **Layer.get_config(self)}
        return functional_config(self)

    def get_build_config(self) -> dict[str, Any] | None:
        return None


def _missing(key: str, given: dict[str, Any], expected: list[str]) -> str:
    return (
        f'Missing data for input "{key}". You passed a data dictionary with keys {list(given)}. '
        f"Expected the following keys: {expected}{_nearest(key, given, expected)}"
    )


def _nearest(key: str, given: dict[str, Any], expected: list[str]) -> str:
    """The hint that one of the keys given may be meant by the one that is missing."""
    spare = [name for name in given if name not in expected]
    near = nearest(key, spare)
    return f". Did you mean '{key}' by '{near}'?" if near else ""


def _spec(symbol: KerasTensor) -> InputSpec:
    layer = symbol._keras_history[0]
    shape = (None, *symbol.shape[1:]) if symbol.shape else ()
    return InputSpec(
        shape=shape,
        allow_last_axis_squeeze=True,
        name=layer.name,
        optional=isinstance(layer, InputLayer) and layer.optional,
    )


def _as_input(x: Any, symbol: KerasTensor) -> Any:
    """A value as the tensor that an input expects: its dtype, and its rank but for a last axis of 1."""
    layer = symbol._keras_history[0]
    if x is None:
        if not layer.optional:
            raise ValueError(
                f"The input '{symbol.name}' is not optional, but None was passed. "
                "Please provide a valid tensor."
            )
        return None
    mask = getattr(x, "_mask", None)
    t = as_tensor(x, symbol.dtype)
    rank, wanted = len(t.shape), len(symbol.shape)
    if rank == wanted + 1 and t.shape[-1] == 1:
        t = ops.squeeze(t, -1)
    elif rank == wanted - 1 and symbol.shape[-1] == 1:
        t = ops.expand_dims(t, -1)
    elif rank != wanted:
        raise ValueError(
            f"Invalid input shape for input {type(x).__name__} with name '{layer.name}'. Expected shape "
            f"{symbol.shape}, but input has incompatible shape {t.shape}"
        )
    if mask is not None:
        t._mask = mask
    return t


def _check_symbols(inputs: Any, outputs: Any) -> None:
    for what, structure in (("inputs", inputs), ("outputs", outputs)):
        for value in tree.flatten(structure):
            if not isinstance(value, KerasTensor):
                raise ValueError(
                    f"All `{what}` values must be KerasTensors. Received: {what}={structure} including "
                    f"invalid value {value} of type {type(value)}{foreign(value)}"
                )
    if isinstance(inputs, dict):
        for key, value in inputs.items():
            if isinstance(value, KerasTensor) and key != value.name:
                warnings.warn(
                    "When providing `inputs` as a dict, all keys in the dict must match the names of the "
                    f"corresponding tensors. Received key '{key}' mapping to value {value} which has name "
                    f"'{value.name}'. Change the tensor name to '{key}' (via `Input(..., name='{key}')`)",
                    stacklevel=4,
                )


def _check_names(operations: list[Any]) -> None:
    for name, count in Counter(op.name for op in operations).items():
        if count > 1:
            raise ValueError(
                f'The name "{name}" is used {count} times in the model. All operation names should be unique.'
            )
