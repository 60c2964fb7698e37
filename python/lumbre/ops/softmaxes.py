"""Softmax, its logarithm and its gradient, over any axis; the kernels work over the last one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from lumbre.autograd import Tensor, as_tensor, kernel, record
from lumbre.ops import elementwise as ew
from lumbre.ops import reduce as rd
from lumbre.ops import shapes as sh
from lumbre.ops.axes import normalize_axes
from lumbre.ops.dtypes import floating, same
from lumbre.ops.table import Bad, Case, In, op


def over_last(name: str, x: Tensor, axis: Any) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The tensor with the axes (one, several, or None for all) as its last, and what takes a result back."""
    rank = x.ndim
    axes = normalize_axes(name, axis, rank)
    if axes == (rank - 1,):
        return x, same
    order = [i for i in range(rank) if i not in axes] + list(axes)
    moved = sh.transpose(x, order)
    kept = moved.shape[: rank - len(axes)]
    rows = sh.reshape(moved, (*kept, math.prod(moved.shape[len(kept) :])))
    inverse = [order.index(i) for i in range(rank)]
    return rows, lambda y: sh.transpose(sh.reshape(y, moved.shape), inverse)


def _softmax_ref(x: Any, axis: Any = -1) -> Any:
    e = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    return e / np.sum(e, axis=axis, keepdims=True)


_3D = In((3, 4, 5), -5.0, 5.0)
_CASES = [
    Case((_3D,)),
    Case((_3D, 1)),
    Case((_3D, (0, -1))),
    Case((_3D, None)),
    Case((In((7,)),)),
    Case((In((2, 16)),)),
    Case((In((2, 100), -9.0, 9.0),), ulp=8),
    Case((In((2, 5000)),), ulp=16),
    Case((In((0, 3)),)),
]
_BAD = [
    Bad((np.ones((2, 3), "float32"), 2), ValueError, "axis 2 is out of range for a tensor of rank 2"),
    Bad((np.ones((), "float32"),), ValueError, "a scalar has none"),
    Bad((np.ones((2, 3), "float32"), 0.5), TypeError, "axis must be an int"),
]


@op(ref=_softmax_ref, cases=[*_CASES, Case((In((3, 0)),))], bad=_BAD, kernels=["softmax"])
def softmax(x: Any, axis: Any = -1) -> Tensor:
    """exp(xᵢ) / Σⱼ exp(xⱼ) over an axis: positive numbers with sum 1.

    Over the last axis the result remembers `x`: a cross-entropy of it works from the logits and is exact.
    Source: Bridle 1990, Probabilistic Interpretation of Feedforward Classification Network Outputs.

    Args:
        x: A tensor of rank 1 or more.
        axis: The axis, several of them (normalised together), or None for all.

    Raises:
        ValueError, TypeError: The axis is out of range or no whole number.

    Example:
        >>> from lumbre import ops
        >>> ops.softmax([3.2, 1.1, 0.8, 2.9]).numpy().round(2)
        array([0.51, 0.06, 0.05, 0.38], dtype=float32)
    """
    x = as_tensor(x)
    if isinstance(axis, int) and -x.ndim <= axis < x.ndim and x.shape[axis] == 1:
        warnings.warn(
            f"You are using a softmax over axis {axis} of a tensor of shape {x.shape}. This axis has size 1. "
            "The softmax operation will always return the value 1, which is likely not what you intended. "
            "Did you mean to use a sigmoid instead?",
            stacklevel=3,
        )
    return normalised(x, axis)


def normalised(x: Any, axis: Any) -> Tensor:
    """Softmax without a word about an axis of size 1: layers have one of their own."""
    (x,), back = floating(x)
    rows, restore = over_last("softmax", x, axis)
    y = record(kernel("softmax", rows), (rows,), (lambda g, y: softmax_grad(y, g),), name="softmax")
    y = back(restore(y))
    if rows is x:
        y._origin = ("softmax", x)
    return y


def _grad_ref(y: Any, g: Any) -> Any:
    return y * (g - np.sum(g * y, axis=-1, keepdims=True))


@op(
    ref=_grad_ref,
    cases=[
        Case((In((3, 5), 0.0, 1.0), In((3, 5)))),
        Case((In((2, 40), 0.0, 1.0), In((2, 40))), ulp=16),
        Case((In((2, 5000), 0.0, 1.0), In((2, 5000))), ulp=64),
        Case((In((0, 3)), In((0, 3)))),
    ],
    bad=[
        Bad((np.ones((2, 3), "float32"), np.ones((2, 2), "float32")), ValueError, "must be alike"),
        Bad((np.ones((), "float32"), np.ones((), "float32")), ValueError, "must have an axis to work over"),
    ],
    kernels=["softmax_grad"],
)
def softmax_grad(y: Any, g: Any) -> Tensor:
    """yᵢ (gᵢ - Σⱼ gⱼ yⱼ) over the last axis: the gradient of softmax's input from that of its output `y`.

    Args:
        y: float32 or float64.
        g: Of the same shape and dtype.

    Raises:
        ValueError: The shapes or dtypes differ, or there is no axis.

    Example:
        >>> from lumbre import ops
        >>> ops.softmax_grad([0.5, 0.5], [1.0, 0.0]).numpy()
        array([ 0.25, -0.25], dtype=float32)
    """
    y, g = as_tensor(y), as_tensor(g)

    def rule_y(h: Tensor, _: Tensor) -> Tensor:
        dot = rd.sum(ew.multiply(g, y), -1, keepdims=True)
        both = rd.sum(ew.multiply(h, y), -1, keepdims=True)
        return ew.subtract(ew.multiply(h, ew.subtract(g, dot)), ew.multiply(g, both))

    return record(
        kernel("softmax_grad", y, g), (y, g), (rule_y, lambda h, _: softmax_grad(y, h)), name="softmax_grad"
    )


def _log_softmax_ref(x: Any, axis: Any = -1) -> Any:
    shifted = x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


@op(ref=_log_softmax_ref, cases=_CASES, bad=_BAD, kernels=["log_softmax"])
def log_softmax(x: Any, axis: Any = -1) -> Tensor:
    """xᵢ - log Σⱼ exp(xⱼ) over an axis: the logarithm of softmax, without its underflow.

    Arguments and errors as for `softmax`.

    Example:
        >>> from lumbre import ops
        >>> ops.log_softmax([0.0, 1000.0]).numpy()
        array([-1000.,     0.], dtype=float32)
    """
    (x,), back = floating(x)
    rows, restore = over_last("log_softmax", x, axis)

    def rule(g: Tensor, y: Tensor) -> Tensor:
        return ew.subtract(g, ew.multiply(ew.exp(y), rd.sum(g, -1, keepdims=True)))

    return back(restore(record(kernel("log_softmax", rows), (rows,), (rule,), name="log_softmax")))
