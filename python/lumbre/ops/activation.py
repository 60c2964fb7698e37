"""Activations, element by element. Four have kernels of their own; the rest are made of other ops.

Floats keep their dtype, everything else becomes floatx (`relu` keeps integers).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lumbre.autograd import Tensor, as_tensor, kernel, record
from lumbre.ops.arithmetic import abs as abs_
from lumbre.ops.arithmetic import add, clip, divide, maximum, minimum, multiply, negative, square, subtract
from lumbre.ops.axes import normalize_axis
from lumbre.ops.dtypes import arithmetic, floating
from lumbre.ops.functions import erf, expm1, real, sqrt
from lumbre.ops.joining import split
from lumbre.ops.logic import greater, greater_equal, where
from lumbre.ops.table import Bad, Case, In, op

NUMBERS = {"linear": 0, "relu": 1, "tanh": 2, "sigmoid": 3}
"""The numbers by which kernels know the activations that can be part of another kernel."""

_ALL = [Case((In((2, 3)),)), Case((In((37,), -9.0, 9.0),)), Case((In((4,), -9, 9, dtype="int32"),))]
_KINKED = [
    Case((In((2, 3), 0.1, 0.9),)),
    Case((In((37,), -0.9, -0.1),)),
    Case((In((5,), -9.0, 9.0, grad=False),)),
    Case((In((0, 2)),), grad=False),
]


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(x, "float64")))


def _softplus(x: Any) -> Any:
    return np.logaddexp(np.asarray(x, "float64"), 0)


def _elu(x: Any, alpha: float = 1.0) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


_SLOPES: dict[str, Callable[[Any], Any]] = {
    "linear": lambda y: np.ones_like(y),
    "relu": lambda y: np.where(y > 0, 1.0, 0.0),
    "tanh": lambda y: 1 - y * y,
    "sigmoid": lambda y: y * (1 - y),
}


@op(
    ref=lambda g, y, activation: g * _SLOPES[activation](y),
    cases=[
        Case((In((2, 3)), In((2, 3), 0.1, 0.9), "linear")),
        Case((In((2, 3)), In((2, 3), 0.1, 0.9), "relu")),
        Case((In((37,)), In((37,), -0.9, 0.9), "tanh")),
        Case((In((37,)), In((37,), 0.1, 0.9), "sigmoid")),
    ],
    bad=[
        Bad(
            (np.ones(2, "float32"), np.ones(2, "float32"), "gelu"),
            ValueError,
            "activation_grad: .* got 'gelu'",
        ),
        Bad(
            (np.ones(2, "float32"), np.ones(3, "float32"), "relu"), ValueError, "expects g of the shape of y"
        ),
    ],
    kernels=["activation_grad"],
)
def activation_grad(g: Any, y: Any, activation: str) -> Tensor:
    """The gradient by x of `y = activation(x)`, from `g`, the gradient by y, and y alone.

    `g` times 1, [y > 0], 1 - y² or y·(1 - y).

    Args:
        g, y: Tensors of the same shape.
        activation: "linear", "relu", "tanh" or "sigmoid".

    Raises:
        ValueError: Another activation, or different shapes.

    Example:
        >>> import lumbre
        >>> lumbre.ops.activation_grad([1.0, 1.0], [0.0, 3.0], "relu").numpy()
        array([0., 1.], dtype=float32)
    """
    if activation not in NUMBERS:
        raise ValueError(f"activation_grad: expects one of {', '.join(NUMBERS)}, got {activation!r}")
    (a, b), back = floating(g, y)
    out = kernel("activation_grad", a, b, activation=NUMBERS[activation])

    def by_output(u: Tensor, _: Tensor) -> Tensor:
        if activation == "tanh":
            return multiply(multiply(u, a), multiply(b, -2.0))
        if activation == "sigmoid":
            return multiply(multiply(u, a), subtract(1.0, multiply(b, 2.0)))
        return multiply(u, 0.0)

    rules = (lambda u, _: activation_grad(u, b, activation), by_output)
    return back(record(out, (a, b), rules, name="activation_grad"))


@op(
    ref=lambda x: np.maximum(x, 0),
    cases=[*_KINKED, Case((In((5,), -9, 9, dtype="int32"),))],
    kernels=["relu"],
)
def relu(x: Any) -> Tensor:
    """`max(x, 0)`; NaN stays. Its gradient at 0 is 0.

    Args:
        x: A tensor of any dtype.

    Example:
        >>> import lumbre
        >>> lumbre.ops.relu([-1.0, 2.0]).numpy()
        array([0., 2.], dtype=float32)
    """
    (a,), back = arithmetic(x)
    rules = (lambda g, y: activation_grad(g, y, "relu"),)
    return back(record(kernel("relu", a), (a,), rules, name="relu"))


@op(ref=np.tanh, cases=_ALL, kernels=["tanh"])
def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent, `(eˣ - e⁻ˣ) / (eˣ + e⁻ˣ)`.

    Args:
        x: A tensor.

    Example:
        >>> import lumbre
        >>> lumbre.ops.tanh([0.0, 100.0]).numpy()
        array([0., 1.], dtype=float32)
    """
    (a,), back = floating(x)
    rules = (lambda g, y: activation_grad(g, y, "tanh"),)
    return back(record(kernel("tanh", a), (a,), rules, name="tanh"))


@op(ref=_sigmoid, cases=_ALL, kernels=["sigmoid"])
def sigmoid(x: Any) -> Tensor:
    """`1 / (1 + e⁻ˣ)`. The result remembers `x`, so that a cross-entropy of it is exact.

    Args:
        x: A tensor.

    Example:
        >>> import lumbre
        >>> lumbre.ops.sigmoid([0.0, -1000.0]).numpy()
        array([0.5, 0. ], dtype=float32)
    """
    (a,), back = floating(x)
    rules = (lambda g, y: activation_grad(g, y, "sigmoid"),)
    y = record(kernel("sigmoid", a), (a,), rules, name="sigmoid")
    y._origin = ("sigmoid", a)
    return back(y)


@op(ref=_softplus, cases=_ALL, kernels=["softplus"])
def softplus(x: Any) -> Tensor:
    """`log(1 + eˣ)`.

    Args:
        x: A tensor.

    Example:
        >>> import lumbre
        >>> lumbre.ops.softplus([-200.0, 200.0]).numpy()
        array([  0., 200.], dtype=float32)
    """
    return real("softplus", x, lambda a, g, y: multiply(g, sigmoid(a)))


@op(ref=lambda x: np.clip(x, 0, 6), cases=[*_KINKED, Case((In((3,), 6.1, 9.0),))])
def relu6(x: Any) -> Tensor:
    """`min(max(x, 0), 6)`.

    Args:
        x: A tensor.

    Example:
        >>> import lumbre
        >>> lumbre.ops.relu6([-1.0, 5.0, 9.0]).numpy()
        array([0., 5., 6.], dtype=float32)
    """
    return minimum(relu(x), 6.0)


@op(
    ref=lambda x, negative_slope=0.2: np.where(x >= 0, x, negative_slope * x),
    cases=[*_KINKED, Case((In((4,), -2.0, -0.1),), {"negative_slope": 0.5})],
)
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """`x` where x ≥ 0, else `negative_slope · x`.

    Args:
        x: A tensor.
        negative_slope: A number.

    Example:
        >>> import lumbre
        >>> lumbre.ops.leaky_relu([-5.0, 5.0]).numpy()
        array([-1.,  5.], dtype=float32)
    """
    (a,), back = floating(x)
    return back(where(greater_equal(a, 0.0), a, multiply(a, negative_slope)))


@op(ref=_elu, cases=[*_KINKED, Case((In((4,), -2.0, -0.1),), {"alpha": 0.5})])
def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """`x` where x > 0, else `alpha · (eˣ - 1)`.

    Args:
        x: A tensor.
        alpha: A number.

    Example:
        >>> import lumbre
        >>> lumbre.ops.elu([-200.0, 2.0]).numpy()
        array([-1.,  2.], dtype=float32)
    """
    (a,), back = floating(x)
    above = greater(a, 0.0)
    # Without the inner choice, an exponential that overflows would make the gradient 0 · ∞.
    below = multiply(expm1(where(above, 0.0, a)), alpha)
    return back(where(above, a, below))


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


@op(ref=lambda x: _SELU_SCALE * _elu(x, _SELU_ALPHA), cases=_KINKED)
def selu(x: Any) -> Tensor:
    """`1.05070098 · elu(x, 1.67326324)`.

    Args:
        x: A tensor.

    Example:
        >>> import lumbre
        >>> round(lumbre.ops.selu([1.0]).item(), 4)
        1.0507
    """
    return multiply(elu(x, _SELU_ALPHA), _SELU_SCALE)


@op(
    ref=lambda x, alpha=1.0: np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha),
    cases=[*_KINKED, Case((In((4,), -2.0, -0.1),), {"alpha": 0.5})],
)
def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """`max(x, 0) + alpha · (e^(min(x, 0) / alpha) - 1)`.

    Args:
        x: A tensor.
        alpha: A number that is not 0.

    Example:
        >>> import lumbre
        >>> lumbre.ops.celu([-200.0, 2.0], alpha=0.5).numpy()
        array([-0.5,  2. ], dtype=float32)
    """
    (a,), back = floating(x)
    below = multiply(expm1(divide(minimum(a, 0.0), alpha)), alpha)
    return back(add(maximum(a, 0.0), below))


@op(ref=lambda x: np.asarray(x) * _sigmoid(x), cases=_ALL)
def silu(x: Any) -> Tensor:
    """`x · sigmoid(x)`, also called swish.

    Args:
        x: A tensor.

    Example:
        >>> import lumbre
        >>> lumbre.ops.silu([0.0, 200.0]).numpy()
        array([  0., 200.], dtype=float32)
    """
    (a,), back = floating(x)
    return back(multiply(a, sigmoid(a)))


swish = silu


def _gelu(x: Any, approximate: bool = True) -> Any:
    if approximate:
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + np.vectorize(math.erf, otypes=["float64"])(x / math.sqrt(2)))


@op(ref=_gelu, cases=[*_ALL, Case((In((37,)),), {"approximate": False})])
def gelu(x: Any, approximate: bool = True) -> Tensor:
    """`x · Φ(x)`, with Φ the distribution function of the standard normal.

    Args:
        x: A tensor.
        approximate: Whether to take Φ(x) as `(1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2`.

    Example:
        >>> import lumbre
        >>> round(lumbre.ops.gelu([1.0], approximate=False).item(), 4)
        0.8413
    """
    (a,), back = floating(x)
    if approximate:
        cube = multiply(multiply(square(a), a), 0.044715)
        phi = tanh(multiply(add(a, cube), math.sqrt(2.0 / math.pi)))
    else:
        phi = erf(multiply(a, math.sqrt(0.5)))
    return back(multiply(multiply(a, 0.5), add(phi, 1.0)))


@op(ref=lambda x: -_softplus(-np.asarray(x)), cases=_ALL)
def log_sigmoid(x: Any) -> Tensor:
    """`log(sigmoid(x)) = -softplus(-x)`.

    Args:
        x: A tensor.

    Example:
        >>> import lumbre
        >>> lumbre.ops.log_sigmoid([-200.0]).numpy()
        array([-200.], dtype=float32)
    """
    return negative(softplus(negative(x)))


@op(ref=lambda x: x / (1 + np.abs(x)), cases=_KINKED)
def softsign(x: Any) -> Tensor:
    """`x / (1 + |x|)`.

    Args:
        x: A tensor.

    Example:
        >>> import lumbre
        >>> lumbre.ops.softsign([-1.0, 3.0]).numpy()
        array([-0.5 ,  0.75], dtype=float32)
    """
    (a,), back = floating(x)
    return back(divide(a, add(abs_(a), 1.0)))


_BENT = [*_KINKED, Case((In((7,), -2.9, 2.9),)), Case((In((7,), 3.1, 9.0),))]


@op(ref=lambda x: np.clip(x + 3, 0, 6) / 6, cases=_BENT)
def hard_sigmoid(x: Any) -> Tensor:
    """`relu6(x + 3) / 6`.

    Args:
        x: A tensor.

    Example:
        >>> import lumbre
        >>> lumbre.ops.hard_sigmoid([-3.0, 0.0, 3.0]).numpy()
        array([0. , 0.5, 1. ], dtype=float32)
    """
    return divide(relu6(add(x, 3.0)), 6.0)


@op(ref=lambda x: x * np.clip(x + 3, 0, 6) / 6, cases=_BENT)
def hard_silu(x: Any) -> Tensor:
    """`x · hard_sigmoid(x)`, also called hard swish.

    Args:
        x: A tensor.

    Example:
        >>> import lumbre
        >>> lumbre.ops.hard_silu([1.0, 3.0]).numpy()
        array([0.6666667, 3.       ], dtype=float32)
    """
    (a,), back = floating(x)
    return back(multiply(a, hard_sigmoid(a)))


hard_swish = hard_silu


@op(ref=lambda x: np.clip(x, -1, 1), cases=[*_KINKED, Case((In((7,), 1.1, 9.0),))])
def hard_tanh(x: Any) -> Tensor:
    """`min(max(x, -1), 1)`.

    Args:
        x: A tensor.

    Example:
        >>> import lumbre
        >>> lumbre.ops.hard_tanh([-2.0, 0.5, 2.0]).numpy()
        array([-1. ,  0.5,  1. ], dtype=float32)
    """
    return clip(x, -1.0, 1.0)


@op(ref=lambda x: np.asarray(x) * np.tanh(_softplus(x)), cases=_ALL)
def mish(x: Any) -> Tensor:
    """`x · tanh(softplus(x))`.

    Args:
        x: A tensor.

    Example:
        >>> import lumbre
        >>> lumbre.ops.mish([0.0, 200.0]).numpy()
        array([  0., 200.], dtype=float32)
    """
    (a,), back = floating(x)
    return back(multiply(a, tanh(softplus(a))))


@op(ref=lambda x, b=4: (x + np.sqrt(x * x + b)) / 2, cases=[*_ALL, Case((In((4,)),), {"b": 1.0})])
def squareplus(x: Any, b: float = 4) -> Tensor:
    """`(x + √(x² + b)) / 2`.

    Args:
        x: A tensor.
        b: A number, not negative.

    Example:
        >>> import lumbre
        >>> lumbre.ops.squareplus([0.0]).numpy()
        array([1.], dtype=float32)
    """
    (a,), back = floating(x)
    return back(multiply(add(a, sqrt(add(square(a), float(b)))), 0.5))


def _glu(x: Any, axis: int = -1) -> Any:
    a, b = np.split(x, 2, axis)
    return a * _sigmoid(b)


@op(
    ref=_glu,
    cases=[Case((In((3, 8)),)), Case((In((4, 5)), 0))],
    bad=[Bad((np.ones((2, 3), "float32"),), ValueError, "glu: .* divisible by 2, got 3")],
)
def glu(x: Any, axis: int = -1) -> Tensor:
    """`a · sigmoid(b)`, a and b being the halves of `x` along an axis.

    Args:
        x: A tensor.
        axis: The axis that is halved.

    Raises:
        ValueError: The axis has an odd length.

    Example:
        >>> import lumbre
        >>> lumbre.ops.glu([4.0, 0.0]).numpy()
        array([2.], dtype=float32)
    """
    x = as_tensor(x)
    size = x.shape[normalize_axis("glu", axis, x.ndim)]
    if size % 2:
        raise ValueError(f"glu: the size of the axis must be divisible by 2, got {size}")
    a, b = split(x, 2, axis)
    return multiply(a, sigmoid(b))
