"""Operations: what a graph of symbolic tensors consists of. Layers are operations with weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from lumbre import tree
from lumbre.layers.around import plain_arguments
from lumbre.layers.symbolic import KerasTensor, Node, infer, set_op_nodes, symbolic_call
from lumbre.lookup import auto_name


class Operation:
    """A function of tensors that can be part of a functional model: the base of layers.

    A subclass computes in `call`. Its `compute_output_spec` says what symbolic tensors a call on symbolic
    tensors returns; by default, `call` is run without computing anything.

    Args:
        name: The name; by default the class name in snake case, with a number.

    Raises:
        ValueError: `name` is no string, or has a "/".

    Source: `keras.Operation`.

    Example:
        >>> import lumbre
        >>> class Half(lumbre.Operation):
        ...     def call(self, x):
        ...         return x * 0.5
        >>> x = lumbre.Input((3,))
        >>> lumbre.Model(x, Half()(x))(lumbre.ops.ones((1, 3))).numpy()
        array([[0.5, 0.5, 0.5]], dtype=float32)
    """

    built = True
    trainable = False
    name: str
    _inbound_nodes: list[Node]
    _what = "operation"

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        if cls.get_config is Operation.get_config:
            self.__dict__["_init_args"] = (args, kwargs)
        return self

    def __init__(self, name: str | None = None) -> None:
        self.name = checked_name(auto_name(type(self).__name__) if name is None else name)
        self._inbound_nodes = []

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_inbound_nodes": []}  # a copy is part of no graph yet

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Computes the outputs from the inputs. To be overridden."""
        raise NotImplementedError(f"{type(self).__name__} does not have a `call` method implemented.")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Applies the operation to tensors, or notes that in a graph where some are symbolic."""
        if any(isinstance(v, KerasTensor) for v in tree.flatten([list(args), kwargs])):
            return symbolic_call(self, args, kwargs)
        return self.call(*args, **kwargs)

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Applies the operation to symbolic tensors and notes that in the graph."""
        return symbolic_call(self, args, kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The symbolic outputs for symbolic inputs."""
        return infer(self.call, args, kwargs)

    @property
    def input(self) -> Any:
        """The symbolic input of the first symbolic call."""
        return self._first_node("input").arguments()

    @property
    def output(self) -> Any:
        """The symbolic output of the first symbolic call."""
        return self._first_node("output").outputs

    def _first_node(self, what: str) -> Any:
        if not self._inbound_nodes:
            raise AttributeError(
                f"The {self._what} {self.name} has never been called and thus has no defined {what}."
            )
        return self._inbound_nodes[0]

    def get_config(self) -> dict[str, Any]:
        """The arguments that `from_config` makes the operation anew from.

        Raises:
            NotImplementedError: The constructor was given other values than numbers and strings.
        """
        return {"name": self.name, **plain_arguments(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A new operation from what `get_config` returned."""
        return cls(**config)

    def _clone(self) -> Any:
        """A new operation like this one."""
        return type(self).from_config(self.get_config())

    def __repr__(self) -> str:
        return f"<Operation name={self.name}>"


def checked_name(name: Any) -> str:
    """The name of a layer or operation.

    Raises:
        ValueError: It is no string, or has a "/".
    """
    if not isinstance(name, str) or "/" in name:
        raise ValueError(
            "Argument `name` must be a string and cannot contain character `/`. "
            f"Received: name={name} (of type {type(name)})"
        )
    return name


class OpNode(Operation):
    """An op in a functional model, called directly (`x + y`, `ops.relu(x)`).

    Args:
        function: The op.
        name: The name.
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        self.function = function
        self.op_name = function.__name__
        super().__init__(auto_name(self.op_name) if name is None else name)

    @property
    def class_label(self) -> str:
        """What a summary calls the op's class: `greater_equal` is `GreaterEqual`."""
        return "".join(part.capitalize() for part in self.op_name.split("_"))

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {"function": self.function, "name": self.name}  # for `from_config` in the same process


def symbolic_op(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Applies an op to symbolic tensors: a node of its own in the graph."""
    return symbolic_call(OpNode(function), args, kwargs)


set_op_nodes(symbolic_op)
