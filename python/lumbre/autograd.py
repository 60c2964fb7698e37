"""The tape: tensors, the door to the kernels, and the chain rule.

A `Tensor` is an array and, where a gradient may be wanted, the `Node` that made it. A node keeps
the inputs of one op and one backward rule per input. `backward` walks the nodes from a loss to the
leaves and calls the rules; adding up the contributions that reach the same tensor, and undoing a
broadcast, happen here and nowhere else. Rules are made of ops, so they can be differentiated again.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from lumbre import _core
from lumbre.arrays import cast_array, to_array, values

if TYPE_CHECKING:
    from lumbre.gradient_tape import Tape

Rule = Callable[["Tensor", "Tensor"], "Tensor"]
Pre = Callable[["Tensor", "Tensor"], Any]

FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})


class _Mode(threading.local):
    grad = True
    tapes: tuple[Tape, ...] = ()  # the open recordings, the outermost first


mode = _Mode()


class Node:
    """One op on the tape: its inputs and, for each, the rule `(g, y) -> gradient of the input`.

    `pre(g, y)` turns the output's gradient into what all rules share (an activation's derivative,
    say, or the gradients of all inputs, of which each rule takes its own); the rules then receive
    its result instead of `g`. A rule that is `None` stops gradients.
    """

    __slots__ = ("around", "inputs", "name", "pre", "rules", "tapes")

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
        self.tapes = mode.tapes
        self.around: Tensor | None = None  # what the op had been given, and went past to what it came from


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
        if isinstance(value, Tensor):
            self._a: _core.Array = value._a if dtype is None else cast_array(value._a, dtype)
        else:
            self._a = to_array(value, dtype)
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
        """The number of axes."""
        return len(self._a.shape)

    @property
    def _keras_mask(self) -> Any:  # the name under which scripts look at the mask
        return self._mask

    @property
    def requires_grad(self) -> bool:
        """Whether gradients reach it: it was made to, or comes from what was."""
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
        """The only value of a tensor of size 1, as a Python number.

        Raises:
            ValueError: It has more values, or none.
        """
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

        Example:
            >>> import lumbre
            >>> x = lumbre.Tensor([1.0, 2.0], requires_grad=True)
            >>> lumbre.ops.sum(x * x).backward()
            >>> x.grad.numpy().tolist()
            [2.0, 4.0]
        """
        for leaf, g in backward(self, gradient, create_graph).values():
            owner = leaf._var if leaf._var is not None else leaf
            owner.grad = g if owner.grad is None else _plus(owner.grad, g)


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
    if mode.grad:
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
        self._previous, mode.grad = mode.grad, False

    def __exit__(self, *error: Any) -> None:
        mode.grad = self._previous

    def _recreate_cm(self) -> no_grad:  # each call of a decorated function is a context of its own
        return no_grad()


def grad_enabled() -> bool:
    return mode.grad


@contextlib.contextmanager
def dry() -> Iterator[None]:
    """Within it, ops infer shapes and compute nothing; reading a value raises ValueError."""
    previous = _core.set_dry(True)
    try:
        yield
    finally:
        _core.set_dry(previous)


def dry_tensor(shape: Sequence[int], dtype: str = "float32") -> Tensor:
    """A tensor with a shape and no values.

    Raises:
        ValueError: No tensor of that shape could be addressed.
    """
    try:
        return wrap(_core.dry(tuple(shape), dtype))
    except MemoryError as error:  # of numbers: nothing is taken
        raise ValueError(str(error)) from None


def backward(
    root: Tensor, gradient: Any = None, create_graph: bool = False, wanted: Collection[int] | None = None
) -> dict[int, tuple[Tensor, Tensor]]:
    """The chain rule from `root` down to the leaves.

    Args:
        root: A tensor that depends on something with a gradient.
        gradient: The gradient of some final value by `root`; 1 by default, for which it must have one value.
        create_graph: Whether the gradients can be differentiated in turn.
        wanted: The keys (see `leaf_key`) of the tensors whose gradients are asked for, leaves or not; by
            default all leaves.

    Returns:
        By key, the tensor and its gradient.
    """
    if root._node is None and not root._requires and leaf_key(root) not in (wanted or ()):
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
    return walk([(root, g)], create_graph, wanted)


def walk(
    roots: Sequence[tuple[Tensor, Tensor]],
    create_graph: bool,
    wanted: Collection[int] | None,
    tape: Tape | None = None,
) -> dict[int, tuple[Tensor, Tensor]]:
    """The chain rule from several tensors, each with its gradient; the gradients of what is wanted.

    With a tape, only what it has recorded counts, and only what depends on what it watches.
    """
    order = _newest_first([t for t, _ in roots], tape)
    if tape is not None:
        on_tape = _leading_to(order, tape.watches, tape)
        order = [t for t in order if id(t) in on_tape]

    def asked(t: Tensor) -> bool:
        if wanted is None:
            return t._requires
        return leaf_key(t) in wanted and (t._var is None or t._requires)

    if wanted is not None:
        _check_not_left_aside(order, wanted)
    within = _leading_to(order, asked, tape)
    pending: dict[int, Tensor] = {}
    found: dict[int, tuple[Tensor, Tensor]] = {}

    def add(t: Tensor, g: Tensor) -> None:
        seen = pending.get(id(t))
        pending[id(t)] = g if seen is None else _plus(seen, g)

    with contextlib.nullcontext() if create_graph else no_grad():
        for t, g in roots:
            if id(t) in within:
                add(t, g)
        for t in order:
            if id(t) not in pending:
                continue
            g = pending.pop(id(t))
            node, key = _node(t, tape), leaf_key(t)
            if asked(t):
                found[key] = (t, _plus(found[key][1], g) if key in found else g)
            if node is None:
                continue
            if node.pre is not None:
                g = node.pre(g, t)
            for source, rule in zip(node.inputs, node.rules, strict=True):
                if rule is not None and id(source) in within:
                    add(source, _unbroadcast(rule(g, t), source.shape))
            if not create_graph and not any(other.open for other in node.tapes):
                t._node = None
    return found


def _plus(a: Tensor, b: Tensor) -> Tensor:
    from lumbre.ops import add

    total: Tensor = add(a, b)
    return total


def leaf_key(t: Any) -> int:
    """What makes two reads of the same Variable one leaf."""
    return id(t if getattr(t, "_var", None) is None else t._var)


def _check_not_left_aside(order: list[Tensor], wanted: Collection[int]) -> None:
    for t in order:
        aside = None if t._node is None else t._node.around
        if aside is not None and leaf_key(aside) in wanted:
            raise ValueError(
                f"the gradient by a tensor of shape {aside.shape} was asked for, the result of a softmax or "
                "sigmoid; but the loss was computed from what that was given (the logits). Say so before the "
                "loss is computed, by `tape.watch(y_pred)` or `y_pred.requires_grad = True`"
            )


def _node(t: Tensor, tape: Tape | None) -> Node | None:
    """The op that made a tensor, if the tape has recorded it."""
    node = t._node
    return node if node is None or tape is None or tape in node.tapes else None


def _newest_first(roots: list[Tensor], tape: Tape | None) -> list[Tensor]:
    """The tensors under the roots, each before all of its inputs (an iterative depth-first walk)."""
    order: list[Tensor] = []
    seen: set[int] = set()
    stack: list[tuple[Tensor, bool]] = [(root, False) for root in roots]
    while stack:
        t, inputs_done = stack.pop()
        if inputs_done:
            order.append(t)
        elif id(t) not in seen:
            seen.add(id(t))
            stack.append((t, True))
            node = _node(t, tape)
            if node is not None:
                pairs = zip(node.inputs, node.rules, strict=True)
                stack.extend((s, False) for s, rule in pairs if rule is not None)
    order.reverse()
    return order


def _leading_to(order: list[Tensor], ends: Callable[[Tensor], bool], tape: Tape | None) -> set[int]:
    """The ids of the tensors that are ends, or depend on one."""
    leading: set[int] = set()
    for t in reversed(order):
        node = _node(t, tape)
        if ends(t) or (
            node is not None
            and any(
                rule is not None and id(s) in leading for s, rule in zip(node.inputs, node.rules, strict=True)
            )
        ):
            leading.add(id(t))
    return leading


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
    keys = [leaf_key(t) for t in targets]
    found = backward(as_tensor(f_or_loss), gradient, create_graph, frozenset(keys))
    gradients = [found[key][1] if key in found else None for key in keys]
    return gradients[0] if single else gradients


def _leaf(value: Any) -> Tensor:
    """The value as a tensor that wants a gradient; one that is on the tape stays on it."""
    t = as_tensor(value)
    if not t.requires_grad:
        t = wrap(t._a)
        t._requires = True
    return t
