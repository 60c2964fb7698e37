"""Symbolic tensors and the graph that calls on them leave behind.

A `KerasTensor` is a shape and a dtype. A layer or an op that is applied to some of them runs without
computing anything (the door's dry mode), twice, with other numbers in the place of unknown sizes:
the sizes that differ between the runs are unknown in the result. Each such call is a `Node`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from lumbre import _core, autograd, ops, tree
from lumbre.autograd import Tensor
from lumbre.layers.context import Probe, context
from lumbre.lookup import auto_name
from lumbre.ops.table import set_symbolic

Shape = tuple[int | None, ...]

# Divisible by the usual strides and pool sizes; only shapes are computed, so size costs nothing.
PROBES = (960, 1920)


class KerasHistory(NamedTuple):
    """Where a symbolic tensor comes from: output `tensor_index` of a node of an operation."""

    operation: Any
    node_index: int
    tensor_index: int


def _symbolic_only(target: str) -> str:
    return (
        "A KerasTensor is symbolic: it's a placeholder for a shape an a dtype. It doesn't have any actual "
        f"numerical value. You cannot convert it to {target}."
    )


class KerasTensor:
    """A placeholder for a tensor in a functional model: a shape, a dtype and a history.

    Args:
        shape: The shape, None for a size that is not known.
        dtype: The dtype.
        sparse: Accepted as in Keras; must be False.
        name: The name; "keras_tensor" with a number by default.

    Example:
        >>> import lumbre
        >>> x = lumbre.Input((3,), name="x")
        >>> (x[:, :2] + 1).shape
        (None, 2)
    """

    __array_priority__ = 200

    def __init__(
        self,
        shape: Sequence[int | None],
        dtype: str = "float32",
        sparse: bool = False,
        name: str | None = None,
    ) -> None:
        self.shape: Shape = tuple(None if n is None else int(n) for n in shape)
        self.dtype = dtype
        self.sparse = sparse
        self.ragged = False
        self._name = name
        self._keras_history: Any = None
        self._mask: Any = None  # the symbolic mask that travels with a layer's output

    @property
    def name(self) -> str:
        """Its name, made up when it is first asked for."""
        if self._name is None:  # most are never asked
            self._name = auto_name("keras_tensor")
        return self._name

    @property
    def ndim(self) -> int:
        """The number of axes, the batch's included."""
        return len(self.shape)

    @property
    def _keras_mask(self) -> Any:
        return self._mask

    @property
    def size(self) -> int | None:
        """The number of elements; None where a size is not known."""
        size = 1
        for n in self.shape:
            if n is None:
                return None
            size *= n
        return size

    def reshape(self, *newshape: Any) -> Any:
        """`ops.reshape`; the shape as a tuple or as several arguments."""
        return ops.reshape(self, newshape[0] if len(newshape) == 1 else newshape)

    def squeeze(self, axis: Any = None) -> Any:
        """`ops.squeeze`: without axes of size 1."""
        return ops.squeeze(self, axis)

    def __repr__(self) -> str:
        return (
            f"<KerasTensor shape={self.shape}, dtype={self.dtype}, sparse={self.sparse}, "
            f"ragged={self.ragged}, name={self.name}>"
        )

    # What a symbol cannot do

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise ValueError(_symbolic_only("a NumPy array"))

    def __float__(self) -> float:
        raise ValueError(_symbolic_only("a float"))

    def __int__(self) -> int:
        raise ValueError(_symbolic_only("an int"))

    def __bool__(self) -> bool:
        raise TypeError("A symbolic KerasTensor cannot be used as a boolean.")

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError("Iterating over a symbolic KerasTensor is not supported.")

    # Operators: the ops make nodes of them (`symbolic_op`)

    def __add__(self, other: Any) -> Any:
        return ops.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return ops.add(other, self)

    def __sub__(self, other: Any) -> Any:
        return ops.subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return ops.subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return ops.multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return ops.multiply(other, self)

    def __truediv__(self, other: Any) -> Any:
        return ops.divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return ops.divide(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return ops.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return ops.floor_divide(other, self)

    def __mod__(self, other: Any) -> Any:
        return ops.mod(self, other)

    def __rmod__(self, other: Any) -> Any:
        return ops.mod(other, self)

    def __pow__(self, other: Any) -> Any:
        return ops.power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return ops.power(other, self)

    def __matmul__(self, other: Any) -> Any:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return ops.matmul(other, self)

    def __neg__(self) -> Any:
        return ops.negative(self)

    def __abs__(self) -> Any:
        return ops.abs(self)

    def __invert__(self) -> Any:
        return ops.logical_not(self)

    def __and__(self, other: Any) -> Any:
        return ops.logical_and(self, other)

    def __or__(self, other: Any) -> Any:
        return ops.logical_or(self, other)

    def __lt__(self, other: Any) -> Any:
        return ops.less(self, other)

    def __le__(self, other: Any) -> Any:
        return ops.less_equal(self, other)

    def __gt__(self, other: Any) -> Any:
        return ops.greater(self, other)

    def __ge__(self, other: Any) -> Any:
        return ops.greater_equal(self, other)

    def __xor__(self, other: Any) -> Any:
        return ops.logical_xor(self, other)

    def __ne__(self, other: object) -> Any:  # `==` asks whether it is the same tensor, as in Keras
        return ops.not_equal(self, other)

    __hash__ = object.__hash__

    def __round__(self, ndigits: int | None = None) -> Any:
        return ops.round(self, ndigits or 0)

    def __getitem__(self, key: Any) -> Any:
        return _nodes[0](get_item, (self, key), {})


_nodes: list[Callable[..., Any]] = []


def set_op_nodes(build: Callable[..., Any]) -> None:
    """Says what becomes of an op that is called on symbolic tensors: `build(op, args, kwargs)`."""
    _nodes[:] = [build]
    set_symbolic(build)


def get_item(x: Any, key: Any) -> Any:
    """`x[key]`; a list, as JSON makes of a tuple, stands for the tuple."""
    return x[tuple(key) if isinstance(key, list) else key]


class Node:
    """One call of an operation on symbolic tensors: its arguments and its outputs."""

    __slots__ = ("args", "kwargs", "operation", "outputs")

    def __init__(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> None:
        self.operation = operation
        self.args = args
        self.kwargs = kwargs
        self.outputs = outputs
        index = len(operation._inbound_nodes)
        operation._inbound_nodes.append(self)
        for i, t in enumerate(self.output_tensors):
            t._keras_history = KerasHistory(operation, index, i)

    @property
    def input_tensors(self) -> list[KerasTensor]:
        """The symbolic tensors among the arguments, in order."""
        return [v for v in tree.flatten([list(self.args), self.kwargs]) if isinstance(v, KerasTensor)]

    @property
    def output_tensors(self) -> list[KerasTensor]:
        """The outputs, flat."""
        return [v for v in tree.flatten(self.outputs) if isinstance(v, KerasTensor)]

    def arguments(self) -> Any:
        """What a layer calls its `input`: the first argument, or all tensors where there are several."""
        if len(self.args) == 1 and not self.kwargs:
            return self.args[0]
        tensors = self.input_tensors
        return tensors[0] if len(tensors) == 1 else tensors


def symbolic_call(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Applies a layer or op to symbolic tensors and notes the call in the graph."""
    outputs = operation.compute_output_spec(*args, **kwargs)

    def fresh(t: Any) -> Any:
        if not isinstance(t, KerasTensor) or t._keras_history is None:
            return t
        made = KerasTensor(t.shape, t.dtype)
        made._mask = t._mask
        return made

    outputs = tree.map_structure(fresh, outputs)
    Node(operation, args, kwargs, outputs)
    return outputs


@contextlib.contextmanager
def computing() -> Iterator[None]:
    """Within it kernels compute, also inside a dry run: weights are made with it."""
    probe, context.probe = context.probe, None
    dry = _core.set_dry(False)
    try:
        yield
    finally:
        _core.set_dry(dry)
        context.probe = probe


def infer(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a function returns for symbolic arguments: the same structure of symbolic tensors.

    Raises:
        Exception: What the function raises; sizes that are not known appear as None in the text.
    """
    tensors = [v for v in tree.flatten([list(args), kwargs]) if isinstance(v, KerasTensor)]
    batch = any(t.shape and t.shape[0] is None for t in tensors)
    others = any(None in t.shape[1:] for t in tensors)
    first = _dry_run(function, args, kwargs, Probe(PROBES[0], batch, others))
    if not (batch or others):
        return tree.map_structure(_symbol, first, first)
    second = _dry_run(function, args, kwargs, Probe(PROBES[1], batch, others))
    return tree.map_structure(_symbol, first, second)


def _symbol(a: Any, b: Any) -> Any:
    """The symbolic tensor for the results of two runs."""
    if not isinstance(a, Tensor):
        return a
    if len(a.shape) != len(b.shape):
        raise ValueError(f"the rank of an output depends on sizes that are not known: {a.shape}, {b.shape}")
    t = KerasTensor([m if m == n else None for m, n in zip(a.shape, b.shape, strict=True)], a.dtype)
    if a._mask is not None and b._mask is not None:
        t._mask = _symbol(a._mask, b._mask)
    return t


def _dry_run(function: Callable[..., Any], args: Any, kwargs: dict[str, Any], probe: Probe) -> Any:
    def stand_in(value: Any) -> Any:
        if not isinstance(value, KerasTensor):
            return value
        t = autograd.dry_tensor(tuple(probe.size if n is None else n for n in value.shape), value.dtype)
        if value._mask is not None:
            t._mask = stand_in(value._mask)
        return t

    before, context.probe = context.probe, probe
    try:
        with autograd.dry():
            args, kwargs = tree.map_structure(stand_in, (args, kwargs))
            return function(*args, **kwargs)
    except Exception as error:
        if (probe.batch or probe.others) and len(error.args) == 1 and isinstance(error.args[0], str):
            error.args = (re.sub(rf"\b{probe.size}\b", "None", error.args[0]),)
        raise
    finally:
        context.probe = before
