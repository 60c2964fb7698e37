"""Bounds on gradients, against steps that one bad batch makes too large.

Source: Pascanu, Mikolov and Bengio 2013, On the Difficulty of Training Recurrent Neural Networks.
"""

from __future__ import annotations

from collections.abc import Sequence

from lumbre import ops
from lumbre.autograd import Tensor


def clip_by_value(gradient: Tensor, limit: float) -> Tensor:
    """Each element cut to [-limit, limit]."""
    return ops.clip(gradient, -limit, limit)


def clip_by_norm(gradient: Tensor, limit: float) -> Tensor:
    """The gradient, shortened to Euclidean norm `limit` if it is longer."""
    return ops.multiply(gradient, _factor(ops.sum(ops.square(gradient)), limit))


def clip_by_global_norm(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """The gradients, shortened together to norm `limit` if all of them, as one vector, are longer."""
    total = ops.sum(ops.square(gradients[0]))
    for g in gradients[1:]:
        total = ops.add(total, ops.cast(ops.sum(ops.square(g)), total.dtype))
    factor = _factor(total, limit)
    return [ops.multiply(g, ops.cast(factor, g.dtype)) for g in gradients]


def _factor(square: Tensor, limit: float) -> Tensor:
    """`limit / max(norm, limit)`: exactly 1 for what is short enough; NaN stays NaN."""
    return ops.divide(limit, ops.maximum(ops.sqrt(square), limit))
