"""Bounds on gradients, against steps that one bad batch makes too large.

Norms take one pass over all gradients; the factors that follow from them are applied by the update
itself, where its kernel can. Source: Pascanu, Mikolov and Bengio 2013, On the Difficulty of Training
Recurrent Neural Networks.
"""

from __future__ import annotations

from collections.abc import Sequence

from lumbre import ops
from lumbre.autograd import Tensor


def norm_factors(gradients: Sequence[Tensor], limit: float) -> Tensor:
    """For each gradient the factor that shortens it to Euclidean norm `limit`, if it is longer: (n,)."""
    return _factor(ops.square_sums(gradients), limit)


def global_norm_factor(gradients: Sequence[Tensor], limit: float) -> Tensor:
    """The factor that shortens all gradients, as one vector, to norm `limit`, if that is longer: ()."""
    return _factor(ops.sum(ops.square_sums(gradients)), limit)


def _factor(squares: Tensor, limit: float) -> Tensor:
    """`limit / max(norm, limit)`: exactly 1 for what is short enough; NaN stays NaN."""
    return ops.divide(limit, ops.maximum(ops.sqrt(squares), limit))


def scale(gradients: Sequence[Tensor], factors: Tensor) -> list[Tensor]:
    """The gradients, each times its factor, or all times the one factor that there is."""
    one = not factors.shape
    return [
        ops.multiply(g, ops.cast(factors if one else ops.getitem(factors, i), g.dtype))
        for i, g in enumerate(gradients)
    ]


def clip_by_value(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """The gradients with each element cut to [-limit, limit]."""
    return [ops.clip(g, -limit, limit) for g in gradients]
