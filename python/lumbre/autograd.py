"""The tape: tensors, the door to the kernels, and the chain rule.

A `Tensor` is an array and, where a gradient may be wanted, the `Node` that made it. A node keeps
the inputs of one op and one backward rule per input. `backward` walks the nodes from a loss to the
leaves and calls the rules; adding up the contributions that reach the same tensor, and undoing a
broadcast, happen here and nowhere else. Rules are made of ops, so they can be differentiated again.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from lumbre import _core

Rule = Callable[["Tensor", "Tensor"], "Tensor"]
Pre = Callable[["Tensor", "Tensor"], Any]


class _Mode(threading.local):
    grad = True
    reads: list[str] | None = None  # see `reads_noted`


_mode = _Mode()


class Node:
    """One op on the tape: its inputs and, for each, the rule `(g, y) -> gradient of the input`.

    `pre(g, y)` turns the output's gradient into what all rules share (an activation's derivative,
    say, or the gradients of all inputs, of which each rule takes its own); the rules then receive
    its result instead of `g`. A rule that is `None` stops gradients.
    """

    __slots__ = ("inputs", "name", "pre", "rules")

    def __init__(
        self,
        name: str,
        inputs: tuple[Tensor, ...],
        rules: tuple[Rule | None, ...],
        pre: Pre | None,
    ) -> None:
        self.name = name
        self.inputs = inputs
        self.rules = rules
        self.pre = pre


class Tensor:
    """An n-dimensional array that remembers how it was computed.

    NumPy sees it without a copy (`np.asarray(t)`, read-only), and so does every library that speaks
    DLPack. Operators and methods are attached in `lumbre.tensor`.

    Example:
        >>> import lumbre
        >>> x = lumbre.Tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad.numpy()
        array([2., 4.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_a", "_mask", "_node", "_origin", "_requires", "_var", "grad")

    __array_priority__ = 100  # NumPy's operators defer to ours

    def __init__(self, value: Any, dtype: str | None = None, requires_grad: bool = False) -> None:
        self._a: _core.Array = to_array(value, dtype)
        self._node: Node | None = None
        self._var: Any = None  # the Variable whose value this is
        self._origin: Any = None  # ("softmax", logits): what a cross-entropy may work from
        self._mask: Any = None  # the mask that travels with a layer's output
        self._requires = False
        self.grad: Tensor | None = None
        self.requires_grad = requires_grad

    # Read several times by every op: by C code.
    shape: tuple[int, ...] = property(attrgetter("_a.shape"))  # type: ignore[assignment]
    dtype: str = property(attrgetter("_a.dtype"))  # type: ignore[assignment]
    size: int = property(attrgetter("_a.size"))  # type: ignore[assignment]

    @property
    def ndim(self) -> int:
        return len(self._a.shape)

    @property
    def _keras_mask(self) -> Any:  # the name under which scripts look at the mask
        return self._mask

    @property
    def requires_grad(self) -> bool:
        return self._requires or self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self.dtype not in FLOATS:
            raise TypeError(f"only floating-point tensors have gradients, this one is {self.dtype}")
        self._requires = bool(value)

    def numpy(self) -> np.ndarray:
        """A copy of the values as a NumPy array."""
        return np.array(values(self._a))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        view = values(self._a)
        if dtype is not None and np.dtype(dtype) != view.dtype:
            return view.astype(dtype)
        return view.copy() if copy else view

    def __reduce__(self) -> Any:  # a copy has the values, and no history
        return _copied, (self.numpy(), self.dtype, self._requires)

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self._a.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._a.__dlpack_device__()

    def item(self) -> Any:
        """The only value of a tensor of size 1, as a Python number."""
        if self.size != 1:
            raise ValueError(f"item() needs a tensor with one value, this one has shape {self.shape}")
        return values(self._a).item()

    def detach(self) -> Tensor:
        """The same values, cut off from the tape."""
        return wrap(self._a)

    def backward(self, gradient: Any = None, create_graph: bool = False) -> None:
        """Adds the gradient of this tensor to `.grad` of every leaf that it depends on.

        Args:
            gradient: The gradient of some final value with respect to this tensor, of the same
                shape; 1 by default, for which this tensor must have one value.
            create_graph: Whether the gradients can be differentiated in turn. Otherwise the tape
                is freed.
        """
        for leaf, g in backward(self, gradient, create_graph).values():
            owner = leaf._var if leaf._var is not None else leaf
            owner.grad = g if owner.grad is None else _plus(owner.grad, g)


def values(array: _core.Array) -> np.ndarray:
    """The array's memory as a read-only NumPy array; bfloat16, which NumPy lacks, as float32."""
    if array.is_dry:  # NumPy would take the refusal of the buffer for an object without one
        raise ValueError(
            f"the value of a symbolic tensor of shape {array.shape} was asked for: while a model is being "
            "built there are shapes but no values"
        )
    if array.dtype == "bfloat16":
        array = _cast(array, "float32")
    view = np.asarray(array)
    reads = _mode.reads
    if reads is not None and not reads and _core.recording_broken():
        reads.append(_users_line())
    return view


@contextlib.contextmanager
def reads_noted() -> Iterator[list[str]]:
    """While a step is recorded: the list gets the line of the user that first read a value of it."""
    previous, _mode.reads = _mode.reads, []
    try:
        yield _mode.reads
    finally:
        _mode.reads = previous


def _users_line() -> str:
    """File and line of the innermost caller that is neither ours nor NumPy."""
    frame = sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in ("lumbre", "numpy"):
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})


def to_array(value: Any, dtype: str | None = None) -> _core.Array:
    """An `_core.Array` of the value: Python floats and lists of them become float32, as in Keras."""
    if isinstance(value, Tensor):
        array = value._a
        return array if dtype is None else _cast(array, dtype)
    if not isinstance(value, (np.ndarray, np.generic, bool, int, float, list, tuple)):
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return _core.from_dlpack(value)
        value = np.asarray(value)
    dense, target = _native(value, dtype)
    return _cast(_core.from_numpy(dense), target)


def _cast(array: _core.Array, dtype: str) -> _core.Array:
    if array.dtype == dtype:
        return array
    made: _core.Array = _core.call("cast", (array,), None, {"dtype": dtype})
    return made


_NATIVE = {np.dtype(t): np.dtype(t).name for t in "?bBhHiIlLqQefd"}
"""The names of arrays' dtypes in machine byte order, which NumPy takes a microsecond to tell."""


def _native(value: Any, dtype: str | None) -> tuple[np.ndarray, str]:
    """The value as a dense array in machine byte order, and the dtype that it is to be stored as."""
    array = np.asarray(value)
    made = _NATIVE.get(array.dtype)
    if made is None:
        array = _in_machine_order(array)
        made = array.dtype.name
    target = dtype or made
    if dtype is None and not isinstance(value, (np.ndarray, np.generic)):  # Python numbers have no width
        target = _narrow(array, target)
    stored = "float32" if target == "bfloat16" else target
    if stored != made:
        array = array.astype(stored)
    # `ascontiguousarray` would turn a scalar into a vector.
    flags = array.flags
    return (array if flags.c_contiguous and flags.aligned else array.copy(order="C")), target


def _in_machine_order(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(
            f"a tensor holds booleans, integers or floating-point numbers, got an array of dtype "
            f"{array.dtype}; convert it first, for example with np.asarray(x, dtype='float32')"
        )
    return array.astype(array.dtype.newbyteorder("="))


def _narrow(array: np.ndarray, dtype: str) -> str:
    """The dtype of Python numbers that NumPy made an array of."""
    if dtype == "float64":
        return "float32"
    small = array.size == 0 or (array.min() >= -(2**31) and array.max() < 2**31)
    return "int32" if dtype == "int64" and small else dtype


_new = object.__new__


def wrap(array: _core.Array) -> Tensor:
    """A tensor around an array, with no history."""
    t: Tensor = _new(Tensor)
    t._a = array
    t._node = t._var = t._origin = t._mask = t.grad = None
    t._requires = False
    return t


def _copied(values: np.ndarray, dtype: str, requires_grad: bool) -> Tensor:
    """What a pickled or deep-copied tensor becomes."""
    return Tensor(values, dtype, requires_grad)


class SymbolicOperand(Exception):
    """An op met a symbolic tensor: `op` builds a graph node instead of computing."""


def as_tensor(value: Any, dtype: str | None = None) -> Tensor:
    """The value as a tensor: tensors as they are, a Variable's present value, arrays and numbers.

    Args:
        value: Tensor, Variable, array-like or number.
        dtype: The dtype to convert to; by default the value's own, float32 for Python floats.
    """
    if isinstance(value, Tensor):
        t = value
    elif hasattr(value, "__lumbre_tensor__"):
        t = value.__lumbre_tensor__()
    elif hasattr(value, "_keras_history"):
        raise SymbolicOperand
    else:
        return wrap(to_array(value, dtype))
    if dtype is not None and t.dtype != dtype:
        from lumbre.ops import cast  # the op records how to cast a gradient back

        return cast(t, dtype)
    return t


def kernel(name: str, *ins: Tensor, inout: Sequence[Any] = (), **attrs: Any) -> Any:
    """Calls one Rust row through the door and wraps what it returns: no checks, no gradient.

    Args:
        name: The row's name.
        ins: Operands that are read.
        inout: Cells (of Variables) that the kernel updates in place.
        attrs: The row's attributes.

    Returns:
        The output, a tuple where the row has several, None where it has none.
    """
    try:
        out = _core.call(name, ins, tuple(inout) if inout else None, attrs)
    except AttributeError:
        if any(hasattr(t, "_keras_history") for t in ins):  # an op within this one has made a symbolic tensor
            raise SymbolicOperand from None
        raise
    if type(out) is not tuple:
        return wrap(out)
    return tuple(map(wrap, out)) or None


def record(
    out: Tensor,
    inputs: tuple[Tensor, ...],
    rules: tuple[Rule | None, ...],
    pre: Pre | None = None,
    name: str = "",
) -> Tensor:
    """Puts an op on the tape, if any of its inputs wants a gradient. Returns `out`.

    A rule must not capture `out`: it receives it as `y`, so that the tape holds no cycles.
    """
    if _mode.grad:
        for t in inputs:
            if t._requires or t._node is not None:
                out._node = Node(name, inputs, rules, pre)
                break
    return out


class no_grad(contextlib.ContextDecorator):
    """Within it, nothing is put on the tape.

    Example:
        >>> import lumbre
        >>> x = lumbre.Tensor(3.0, requires_grad=True)
        >>> with lumbre.no_grad():
        ...     (x * x).requires_grad
        False
    """

    _previous = True

    def __enter__(self) -> None:
        self._previous, _mode.grad = _mode.grad, False

    def __exit__(self, *error: Any) -> None:
        _mode.grad = self._previous

    def _recreate_cm(self) -> no_grad:  # each call of a decorated function is a context of its own
        return no_grad()


def grad_enabled() -> bool:
    return _mode.grad


@contextlib.contextmanager
def dry() -> Iterator[None]:
    """Within it, ops infer shapes and compute nothing; reading a value raises ValueError."""
    previous = _core.set_dry(True)
    try:
        yield
    finally:
        _core.set_dry(previous)


def dry_tensor(shape: Sequence[int], dtype: str = "float32") -> Tensor:
    """A tensor with a shape and no values."""
    return wrap(_core.dry(tuple(shape), dtype))


def backward(
    root: Tensor, gradient: Any = None, create_graph: bool = False
) -> dict[int, tuple[Tensor, Tensor]]:
    """The chain rule from `root` down to the leaves.

    Returns:
        For each leaf that wants a gradient, by its key (see `leaf_key`), the leaf and its gradient.
    """
    if root._node is None and not root._requires:
        raise ValueError(
            "backward() on a tensor that depends on nothing with a gradient: compute it from "
            "trainable Variables or from tensors with requires_grad=True, outside no_grad()"
        )
    if gradient is None:
        if root.size != 1:
            raise ValueError(f"backward() needs a scalar or a gradient, the shape is {root.shape}")
        gradient = np.ones(root.shape, "float32" if root.dtype == "float32" else "float64")
    g = as_tensor(gradient, root.dtype)
    if g.shape != root.shape:
        raise ValueError(f"the gradient has shape {g.shape}, the tensor {root.shape}")

    pending: dict[int, Tensor] = {id(root): g}
    leaves: dict[int, tuple[Tensor, Tensor]] = {}
    with contextlib.nullcontext() if create_graph else no_grad():
        for t in _newest_first(root):
            if id(t) not in pending:
                continue
            g = pending.pop(id(t))
            node = t._node
            if node is None or t._requires:
                key = leaf_key(t)
                leaves[key] = (t, _plus(leaves[key][1], g) if key in leaves else g)
            if node is None:
                continue
            if node.pre is not None:
                g = node.pre(g, t)
            for source, rule in zip(node.inputs, node.rules, strict=True):
                if rule is None or not (source._requires or source._node is not None):
                    continue
                d = _unbroadcast(rule(g, t), source.shape)
                seen = pending.get(id(source))
                pending[id(source)] = d if seen is None else _plus(seen, d)
            if not create_graph:
                t._node = None
    return leaves


def _plus(a: Tensor, b: Tensor) -> Tensor:
    from lumbre.ops import add

    total: Tensor = add(a, b)
    return total


def leaf_key(t: Any) -> int:
    """What makes two reads of the same Variable one leaf."""
    return id(t if getattr(t, "_var", None) is None else t._var)


def _newest_first(root: Tensor) -> list[Tensor]:
    """The tensors under `root`, each before all of its inputs (an iterative depth-first walk)."""
    order: list[Tensor] = []
    seen: set[int] = set()
    stack: list[tuple[Tensor, bool]] = [(root, False)]
    while stack:
        t, inputs_done = stack.pop()
        if inputs_done:
            order.append(t)
        elif id(t) not in seen:
            seen.add(id(t))
            stack.append((t, True))
            if t._node is not None:
                stack.extend((s, False) for s in t._node.inputs if s._requires or s._node is not None)
    order.reverse()
    return order


def _unbroadcast(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Sums a gradient over the axes along which its input had been repeated."""
    if g.shape == shape:
        return g
    from lumbre.ops import reshape
    from lumbre.ops import sum as sum_

    lead = len(g.shape) - len(shape)
    axes = tuple(range(lead)) + tuple(
        i + lead for i, n in enumerate(shape) if n == 1 and g.shape[i + lead] != 1
    )
    return reshape(sum_(g, axis=axes), shape)


def grad(f_or_loss: Any, wrt: Any, gradient: Any = None, create_graph: bool = False) -> Any:
    """The gradient of a scalar with respect to tensors or Variables.

    Args:
        f_or_loss: A tensor, or a function that is called with the members of `wrt` and returns one.
        wrt: A tensor or Variable, or a list or tuple of them. With a function, arrays and numbers
            too.
        gradient: Where the loss is not a scalar, the gradient of the final value by it.
        create_graph: Whether the result can be differentiated again.

    Returns:
        A gradient in the place of each member of `wrt`; None for one that the loss does not
        depend on.

    Raises:
        ValueError: The loss depends on nothing that has a gradient, or is not a scalar.

    Example:
        >>> import lumbre
        >>> f = lambda x: x * x * x
        >>> lumbre.grad(lambda x: lumbre.grad(f, x, create_graph=True), 2.0).item()
        12.0
    """
    single = not isinstance(wrt, (list, tuple))
    targets = [wrt] if single else list(wrt)
    if callable(f_or_loss) and not isinstance(f_or_loss, Tensor):
        targets = [t if hasattr(t, "__lumbre_tensor__") else _leaf(t) for t in targets]
        f_or_loss = f_or_loss(*targets)
    wanted = [t for t in targets if isinstance(t, Tensor) and not t._requires]
    for t in wanted:
        t._requires = True
    try:
        leaves = backward(as_tensor(f_or_loss), gradient, create_graph)
    finally:
        for t in wanted:
            t._requires = False
    found = [leaves[leaf_key(t)][1] if leaf_key(t) in leaves else None for t in targets]
    return found[0] if single else found


def _leaf(value: Any) -> Tensor:
    """The value as a tensor that wants a gradient; one that is on the tape stays on it."""
    t = as_tensor(value)
    if not t.requires_grad:
        t = wrap(t._a)
        t._requires = True
    return t
