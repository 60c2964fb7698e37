"""Products of matrices and linear layers. `lumbre.ops.einsum` has what is made of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lumbre.autograd import FLOATS, Rule, Tensor, as_tensor, kernel, record, wrap
from lumbre.ops.activation import NUMBERS, activation_grad, relu, tanh
from lumbre.ops.arithmetic import add, multiply
from lumbre.ops.dtypes import COMPUTED, WIDE, cast, promote
from lumbre.ops.reduce import sum as sum_
from lumbre.ops.shapes import broadcast_to, reshape
from lumbre.ops.table import Bad, Case, In, op

FUSED_ACTIVATIONS: dict[str | None, int] = {None: 0} | {a: NUMBERS[a] for a in ("linear", "relu", "tanh")}
"""Activations that `linear` applies while it writes its result, and their numbers in the kernel.

Not sigmoid, though the kernel has it: a cross-entropy on a sigmoid works from what went into it,
which a fused row does not keep.
"""


def _as_it_lies(x: Tensor, transposed: bool) -> tuple[Tensor, bool]:
    """A transposed matrix as what it is a view of, to be read the other way round; others as they are."""
    if x.ndim == 2 and not x._a.is_dense:
        matrix = x._a.permute((1, 0))
        if matrix.is_dense:
            return wrap(matrix), not transposed
    return x, transposed


def product(a: Tensor, b: Tensor, trans_a: bool = False, trans_b: bool = False) -> Tensor:
    """a·b over the last two axes, each exchanged where its flag says so; leading axes broadcast.

    For tensors of one dtype that kernels compute in, whose shapes fit.
    """
    (left, flag_a), (right, flag_b) = _as_it_lies(a, trans_a), _as_it_lies(b, trans_b)
    y: Tensor = kernel("matmul", left, right, trans_a=flag_a, trans_b=flag_b)
    if y.dtype not in FLOATS:
        return y

    def grad_a(g: Tensor, _: Tensor) -> Tensor:
        return product(b, g, trans_b, True) if trans_a else product(g, b, False, not trans_b)

    def grad_b(g: Tensor, _: Tensor) -> Tensor:
        left = a
        if b.ndim == 2 and a.ndim > 2 and not trans_a:  # one product, instead of a sum of many
            left, g = reshape(a, (-1, a.shape[-1])), reshape(g, (-1, g.shape[-1]))
        return product(g, left, True, trans_a) if trans_b else product(left, g, not trans_a, False)

    return record(y, (a, b), (grad_a, grad_b), name="matmul")


def _operands(x1: Any, x2: Any, trans_a: bool = False, trans_b: bool = False) -> tuple[Tensor, Tensor, str]:
    """The operands checked, in the dtype that the kernel computes in, and the dtype of the result."""
    x1, x2 = as_tensor(x1), as_tensor(x2)
    left, right = x1.shape, x2.shape
    if not left or not right:
        raise ValueError(
            f"matmul input operand {int(left != ())} must have ndim at least 1, but it has ndim 0"
        )
    if left[-2 if trans_a else -1] != right[-1 if trans_b or len(right) == 1 else -2]:
        flags = f" with trans_a={trans_a}, trans_b={trans_b}" if trans_a or trans_b else ""
        raise ValueError(
            f"Inner dimensions (`x1.shape[-1]` and `x2.shape[-2]`) must be equal, but received "
            f"`x1.shape={left}` and `x2.shape={right}`{flags}."
        )
    if len(left) > 2 and len(right) > 2:
        _check_broadcast(left[:-2], right[:-2])
    a, b = promote(x1, x2)
    dtype = a.dtype
    if dtype in COMPUTED:
        return a, b, dtype
    narrow = x1.dtype == x2.dtype == "int8"
    return cast(a, WIDE[dtype]), cast(b, WIDE[dtype]), "int32" if narrow else dtype


def _check_broadcast(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    for n1, n2 in zip(reversed(left), reversed(right), strict=False):
        if n1 != n2 and 1 not in (n1, n2):
            raise ValueError(
                f"Cannot broadcast shape, the failure dim has value {n1}, which cannot be broadcasted to "
                f"{n2}. Input shapes are: {list(left)} and {list(right)}."
            )


@op(
    ref=np.matmul,
    cases=[
        Case((In((3, 4)), In((4, 5)))),
        Case((In((1, 1)), In((1, 1)))),
        Case((In((33, 17)), In((17, 70))), ulp=16),
        Case((In((2, 3, 4)), In((2, 4, 5)))),
        Case((In((2, 3, 4)), In((4, 5)))),
        Case((In((3, 4)), In((2, 4, 5)))),
        Case((In((2, 1, 3, 4)), In((5, 4, 2)))),
        Case((In((4,)), In((4,)))),
        Case((In((4,)), In((4, 5)))),
        Case((In((2, 3, 4)), In((4,)))),
        Case((In((0, 4)), In((4, 5)))),
        Case((In((3, 0)), In((0, 5)))),
        Case((In((3, 4), -9, 9, "int32"), In((4, 5), -9, 9, "int32"))),
        Case((In((3, 4), -9, 9, "int64"), In((4, 5), -9, 9, "int32"))),
        Case((In((3, 4), dtype="float64"), In((4, 5), dtype="float64"))),
    ],
    bad=[
        Bad((np.ones((3, 4)), np.ones((5, 6))), ValueError, r"Inner dimensions .*=\(3, 4\).*=\(5, 6\)"),
        Bad((np.ones(3), np.ones(4)), ValueError, "Inner dimensions"),
        Bad((np.float32(1), np.ones(4)), ValueError, "operand 0 must have ndim at least 1"),
        Bad((np.ones((2, 3, 4)), np.ones((3, 4, 5))), ValueError, "Cannot broadcast shape"),
    ],
    kernels=["matmul"],
)
def matmul(x1: Any, x2: Any) -> Tensor:
    """The matrix product: y[..., i, j] = Σₖ x1[..., i, k] · x2[..., k, j].

    Args:
        x1: Tensor of shape (..., m, k), or (k,), which stands for one row that the result loses.
        x2: Tensor of shape (..., k, n), or (k,), which stands for one column that the result loses.
            Leading axes broadcast.

    Returns:
        A tensor of shape (..., m, n), of the common dtype (int32 for two int8).

    Raises:
        ValueError: A scalar, inner dimensions that differ, or leading axes that do not broadcast.

    Example:
        >>> from lumbre import ops
        >>> ops.matmul([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0]).numpy()
        array([3., 7.], dtype=float32)
    """
    a, b, dtype = _operands(x1, x2)
    row, column = a.ndim == 1, b.ndim == 1
    y = product(reshape(a, (1, -1)) if row else a, reshape(b, (-1, 1)) if column else b)
    if row or column:
        m, n = y.shape[-2:]
        y = reshape(y, y.shape[:-2] + (m,) * (not row) + (n,) * (not column))
    return y if y.dtype == dtype else cast(y, dtype)  # of bools: whether any product is true


def _matmul_t_ref(x1: Any, x2: Any, trans_a: bool = False, trans_b: bool = False) -> Any:
    return np.matmul(np.swapaxes(x1, -1, -2) if trans_a else x1, np.swapaxes(x2, -1, -2) if trans_b else x2)


@op(
    ref=_matmul_t_ref,
    cases=[
        Case((In((4, 3)), In((4, 5)), True)),
        Case((In((3, 4)), In((5, 4)), False, True)),
        Case((In((4, 3)), In((5, 4)), True, True)),
        Case((In((17, 33)), In((70, 17)), True, True), ulp=16),
        Case((In((2, 4, 3)), In((2, 4, 5)), True)),
        Case((In((2, 3, 4)), In((5, 4)), False, True)),
        Case((In((2, 1, 4, 3)), In((5, 2, 4)), True, True)),
        Case((In((4, 3), dtype="float64"), In((5, 4), dtype="float64"), True, True)),
    ],
    bad=[
        Bad((np.ones((3, 4)), np.ones((5, 6)), True), ValueError, r"Inner dimensions .*trans_a=True"),
        Bad((np.ones(3), np.ones((3, 4)), True), ValueError, "at least 2 axes"),
    ],
    kernels=["matmul"],
)
def matmul_t(x1: Any, x2: Any, trans_a: bool = False, trans_b: bool = False) -> Tensor:
    """`matmul` of operands that are read with their last two axes exchanged, without a transposed copy.

    Args:
        x1: Tensor of shape (..., m, k), or (..., k, m) with `trans_a`.
        x2: Tensor of shape (..., k, n), or (..., n, k) with `trans_b`.
        trans_a: Whether x1 is read so.
        trans_b: Whether x2 is read so.

    Returns:
        A tensor of shape (..., m, n).

    Raises:
        ValueError: Fewer than two axes, inner dimensions that differ, or leading axes that do not
            broadcast.

    Example:
        >>> from lumbre import ops
        >>> ops.matmul_t([[1.0, 2.0]], [[3.0, 4.0]], trans_a=True).numpy()
        array([[3., 4.],
               [6., 8.]], dtype=float32)
    """
    x1, x2 = as_tensor(x1), as_tensor(x2)
    if x1.ndim < 2 or x2.ndim < 2:
        raise ValueError(f"matmul_t: operands must have at least 2 axes, got {x1.shape} and {x2.shape}")
    a, b, dtype = _operands(x1, x2, trans_a, trans_b)
    y = product(a, b, trans_a, trans_b)
    return y if y.dtype == dtype else cast(y, dtype)


@op(
    ref=lambda x, g: (np.tensordot(x, g, (range(x.ndim - 1),) * 2), g.sum(axis=tuple(range(g.ndim - 1)))),
    cases=[
        Case((In((6, 3)), In((6, 5)))),
        Case((In((2, 3, 4)), In((2, 3, 5)))),
        Case(
            (
                In((0, 3)),
                In((0, 5)),
            ),
            grad=False,
        ),
        Case((In((6, 3), dtype="float64"), In((6, 5), dtype="float64"))),
    ],
    bad=[Bad((np.ones((2, 3)), np.ones((4, 5))), ValueError, r"all axes but the last.*\(2, 3\).*\(4, 5\)")],
    kernels=["linear_grad_weights"],
)
def linear_grad_weights(x: Any, g: Any) -> tuple[Tensor, Tensor]:
    """The gradients of a linear layer's kernel and bias, in one pass: xᵀ·g and the sum of g's rows.

    Args:
        x: The layer's input, of shape (..., k).
        g: The gradient of x·kernel + bias, of shape (..., n).

    Returns:
        Tensors of shape (k, n) and (n,).

    Raises:
        ValueError: Leading axes that differ.

    Example:
        >>> from lumbre import ops
        >>> dw, db = ops.linear_grad_weights([[1.0, 2.0]], [[3.0]])
        >>> dw.numpy(), db.numpy()
        (array([[3.],
               [6.]], dtype=float32), array([3.], dtype=float32))
    """
    a, b = promote(as_tensor(x), as_tensor(g))
    if not a.ndim or a.shape[:-1] != b.shape[:-1] or a.ndim != b.ndim:
        raise ValueError(
            f"linear_grad_weights: x and g must agree in all axes but the last, got {a.shape} and {b.shape}"
        )
    if a.dtype != "float32":
        rows, columns = (
            reshape(a, (math.prod(a.shape[:-1]), a.shape[-1])),
            reshape(b, (math.prod(b.shape[:-1]), b.shape[-1])),
        )
        return matmul_t(rows, columns, True), sum_(columns, axis=0)
    dw, db = kernel("linear_grad_weights", a, b)
    rules = (lambda h, _: product(b, h, False, True), lambda h, _: product(a, h))
    record(dw, (a, b), rules, name="linear_grad_weights")
    return dw, record(db, (b,), (lambda h, _: broadcast_to(h, b.shape),), name="linear_grad_weights")


@op(
    ref=lambda g, w, y, scale=1.0: np.where(y > 0, np.matmul(g, w.T) * scale, 0.0),
    cases=[
        Case((In((4, 3)), In((5, 3)), In((4, 5), 0.1, 0.9))),
        Case((In((33, 70)), In((40, 70)), In((33, 40)), 1.25), ulp=16, grad=False),
        Case((In((2, 3, 4)), In((5, 4)), In((2, 3, 5), 0.1, 0.9), 2.0), ulp=8),
        Case(
            (In((4, 3), dtype="float64"), In((5, 3), dtype="float64"), In((4, 5), dtype="float64")),
            grad=False,
        ),
    ],
    bad=[
        Bad(
            (np.ones((2, 3)), np.ones((4, 5)), np.ones((2, 4))), ValueError, r"w \(k, n\).*\(2, 3\).*\(4, 5\)"
        )
    ],
    kernels=["linear_grad_input"],
)
def linear_grad_input(g: Any, w: Any, y: Any, scale: float = 1.0) -> Tensor:
    """The gradient at z of `y = relu(z)`, from `g`, the gradient at y·w: scale · g·wᵀ where y > 0.

    With a dropout between, `y` is the dropped result and `scale` what the dropout multiplies by. A recorded
    step uses it in the place of the separate ops.

    Args:
        g: A tensor of shape (..., n).
        w: One of shape (k, n).
        y: One of shape (..., k).
        scale: A number.

    Returns:
        A tensor of shape (..., k).

    Raises:
        ValueError: Shapes that do not fit.

    Example:
        >>> from lumbre import ops
        >>> ops.linear_grad_input([[1.0]], [[2.0], [3.0]], [[0.0, 5.0]]).numpy()
        array([[0., 3.]], dtype=float32)
    """
    a, b, y = promote(as_tensor(g), as_tensor(w), as_tensor(y))
    if b.ndim != 2 or not a.ndim or a.shape[-1] != b.shape[1] or y.shape != (*a.shape[:-1], b.shape[0]):
        raise ValueError(
            "linear_grad_input: expected g (..., n), w (k, n) and y (..., k), "
            f"got {a.shape}, {b.shape} and {y.shape}"
        )
    if a.dtype != "float32":
        return multiply(activation_grad(product(a, b, False, True), y, "relu"), scale)
    dx = kernel("linear_grad_input", a, b, y, scale=float(scale))

    def passed(h: Tensor) -> Tensor:
        return multiply(activation_grad(h, y, "relu"), scale)

    def grad_w(h: Tensor, _: Tensor) -> Tensor:
        rows, columns = reshape(passed(h), (-1, b.shape[0])), reshape(a, (-1, b.shape[1]))
        return product(rows, columns, True)

    return record(dx, (a, b), (lambda h, _: product(passed(h), b), grad_w), name="linear_grad_input")


class _LinearRules:
    """The gradients of a linear layer by x, kernel and bias, of which one pass gives the last two."""

    __slots__ = ("made", "w", "x")

    def __init__(self, x: Tensor, w: Tensor) -> None:
        self.x = x
        self.w = w
        self.made: tuple[Tensor | None, Tensor | None] = (None, None)  # g, and the gradient by the bias

    def by_x(self, g: Tensor, _: Tensor) -> Tensor:
        return product(g, self.w, False, True)

    def by_kernel(self, g: Tensor, _: Tensor) -> Tensor:
        dw, db = linear_grad_weights(self.x, g)
        self.made = g, db
        return dw

    def by_bias(self, g: Tensor, _: Tensor) -> Tensor:
        (source, db), self.made = self.made, (None, None)
        return db if source is g and db is not None else sum_(g, axis=tuple(range(g.ndim - 1)))


_BEFORE: dict[str | None, Rule] = {
    "relu": lambda g, y: activation_grad(g, y, "relu"),
    "tanh": lambda g, y: activation_grad(g, y, "tanh"),
}
"""The gradient by an activation's argument, from which the others follow."""


def _linear(x: Tensor, w: Tensor, bias: Tensor | None, activation: str | None) -> Tensor:
    """The fused row, for float32; it checks the shapes."""
    number, pre, rules = FUSED_ACTIVATIONS[activation], _BEFORE.get(activation), _LinearRules(x, w)
    if bias is None:
        y = kernel("linear", x, w, activation=number)
        return record(y, (x, w), (rules.by_x, rules.by_kernel), pre, "linear")
    y = kernel("linear", x, w, bias, activation=number)
    return record(y, (x, w, bias), (rules.by_x, rules.by_kernel, rules.by_bias), pre, "linear")


def _linear_ref(x: Any, kernel: Any, bias: Any = None, activation: str | None = None) -> Any:
    y = np.matmul(x, kernel) + (0 if bias is None else bias)
    return np.tanh(y) if activation == "tanh" else np.maximum(y, 0) if activation == "relu" else y


@op(
    ref=_linear_ref,
    cases=[
        Case((In((4, 3)), In((3, 5)))),
        Case((In((4, 3)), In((3, 5)), In((5,)))),
        Case((In((33, 17)), In((17, 40)), In((40,)), "tanh"), ulp=16),
        Case((In((6, 7), 0.1, 1.0), In((7, 9), 0.1, 1.0), In((9,)), "relu"), ulp=8),
        Case((In((2, 3, 4)), In((4, 5)), In((5,)), "tanh"), ulp=8),
        Case((In((4,)), In((4, 5)), In((5,)))),
        Case((In((0, 3)), In((3, 5)), In((5,)), "relu")),
        Case((In((4, 3), dtype="float64"), In((3, 5), dtype="float64"), In((5,), dtype="float64"), "tanh")),
    ],
    bad=[
        Bad((np.ones((2, 3)), np.ones((4, 5))), ValueError, r"last axis of x.*\(2, 3\).*\(4, 5\)"),
        Bad((np.ones((2, 3)), np.ones((3, 5)), np.ones(3)), ValueError, r"bias.*\(5,\).*\(3,\)"),
        Bad((np.ones((2, 3)), np.ones(3)), ValueError, "kernel must have 2 axes"),
        Bad((np.ones((2, 3)), np.ones((3, 5)), None, "gelu"), ValueError, "gelu"),
    ],
    kernels=["linear"],
)
def linear(x: Any, kernel: Any, bias: Any = None, activation: str | None = None) -> Tensor:
    """A dense layer in one pass: y = activation(x·kernel + bias).

    Args:
        x: Tensor of shape (..., k).
        kernel: Tensor of shape (k, n).
        bias: Tensor of shape (n,), or None.
        activation: A key of `FUSED_ACTIVATIONS`.

    Returns:
        A tensor of shape (..., n), of the common dtype.

    Raises:
        ValueError: Shapes that do not fit, or another activation.

    Example:
        >>> from lumbre import ops
        >>> ops.linear([[1.0, -2.0]], [[1.0, 3.0], [1.0, 1.0]], [0.5, 0.5], "relu").numpy()
        array([[0. , 1.5]], dtype=float32)
    """
    if activation not in FUSED_ACTIVATIONS:
        raise ValueError(
            f"linear: `activation` must be one of {list(FUSED_ACTIVATIONS)}, got {activation!r}; "
            f"apply any other activation to the result"
        )
    b: Tensor | None = None
    if bias is None:
        x, w = promote(as_tensor(x), as_tensor(kernel))
    else:
        x, w, b = promote(as_tensor(x), as_tensor(kernel), as_tensor(bias))
    if x.ndim == 1:
        return reshape(linear(reshape(x, (1, -1)), w, b, activation), (-1,))
    if x.dtype == "float32":
        return _linear(x, w, b, activation)
    if w.ndim != 2:
        raise ValueError(f"linear: the kernel must have 2 axes, got shape {w.shape}")
    if not x.ndim or x.shape[-1] != w.shape[0]:
        raise ValueError(
            f"linear: the last axis of x must be the first of the kernel, got {x.shape} and {w.shape}"
        )
    if b is not None and b.shape != w.shape[1:]:
        raise ValueError(f"linear: the bias must have shape {w.shape[1:]}, got {b.shape}")
    y = matmul(x, w)
    y = y if b is None else add(y, b)
    if activation == "relu":
        return relu(y)
    return tanh(y) if activation == "tanh" else y
