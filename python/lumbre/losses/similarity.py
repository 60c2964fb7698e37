"""Losses of embeddings: equal labels are to lie together, different ones apart."""

from __future__ import annotations

from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor, as_tensor
from lumbre.losses.loss import LossFunctionWrapper

_MEAN = "sum_over_batch_size"


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Tensor:
    """`softplus(log Σ exp(γ · wₚ · (d - m)) + log Σ exp(γ · wₙ · (1 - m - d)))` for each sample.

    d is the cosine distance to the samples of the same label in the first sum, to all others in the
    second; the weights are wₚ = m + d and wₙ = 1 + m - d, not below 0. A sample without an equal or
    without a different one has the loss 0 and is left out of a mean.
    Source: Sun et al. 2020, Circle Loss: A Unified Perspective of Pair Similarity Optimization.

    Args:
        y_true: Whole numbers (b,) or (b, 1): the labels.
        y_pred: Embeddings (b, d) of length 1.
        ref_labels: Labels (n,) to compare with; the batch's own by default.
        ref_embeddings: Their embeddings (n, d).
        remove_diagonal: Whether the i-th reference is the i-th sample itself and no equal of it.
        gamma: The scale γ.
        margin: The margin m.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import lumbre
        >>> loss = lumbre.losses.circle([0, 0, 1], [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], gamma=8)
        >>> loss.numpy().round(4)
        array([0.1012, 1.0635, 0.    ], dtype=float32)
    """
    y_pred = as_tensor(y_pred)
    ref_embeddings = y_pred if ref_embeddings is None else as_tensor(ref_embeddings, y_pred.dtype)
    labels = _column("y_true", y_true, y_pred)
    ref_labels = labels if ref_labels is None else _column("ref_labels", ref_labels, ref_embeddings)

    distances = ops.subtract(1.0, ops.matmul(y_pred, ops.transpose(ref_embeddings)))
    distances = ops.maximum(distances, 0.0)
    same = ops.equal(labels, ops.transpose(ref_labels))
    other = ops.logical_not(same)
    if remove_diagonal:
        diagonal = ops.eye(labels.shape[0], ref_labels.shape[0], dtype="bool")
        same = ops.logical_and(same, ops.logical_not(diagonal))

    pull = ops.maximum(ops.add(distances, margin), 0.0)
    push = ops.maximum(ops.subtract(1.0 + margin, distances), 0.0)
    positive = ops.multiply(ops.multiply(pull, ops.subtract(distances, margin)), gamma)
    negative = ops.multiply(ops.multiply(push, ops.subtract(1.0 - margin, distances)), gamma)
    loss = ops.softplus(ops.add(_logsumexp(positive, same), _logsumexp(negative, other)))
    loss._mask = ops.greater(loss, 0.0)
    return loss


def _column(name: str, labels: Any, embeddings: Tensor) -> Tensor:
    """Labels as whole numbers (n, 1), one for each row of embeddings (n, d)."""
    labels = as_tensor(labels)
    n = embeddings.shape[0] if embeddings.ndim == 2 else None
    if n is None or labels.shape not in ((n,), (n, 1)):
        raise ValueError(
            f"circle: embeddings (n, d) need one label for each row, of shape (n,). "
            f"Received: {name}.shape={labels.shape}, embeddings of shape {embeddings.shape}"
        )
    return ops.reshape(ops.cast(labels, "int64"), (-1, 1))


def _logsumexp(x: Tensor, chosen: Tensor) -> Tensor:
    """log Σ exp x over the chosen of each row; where none is, far below 0 and finite, as its gradient is."""
    return ops.logsumexp(ops.where(chosen, x, ops.full_like(x, -1e15)), axis=1)


class Circle(LossFunctionWrapper):
    """Pulls embeddings of equal labels together, each pair as strongly as it needs. See `circle`.

    Example:
        >>> import lumbre
        >>> loss = lumbre.losses.Circle(gamma=8.0, reduction="sum")
        >>> round(loss([0, 0, 1], [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]).item(), 4)
        1.1647
    """

    converts_targets = False

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = _MEAN,
        name: str = "circle",
        dtype: Any = None,
    ) -> None:
        options: dict[str, Any] = {"gamma": gamma, "margin": margin, "remove_diagonal": remove_diagonal}
        super().__init__(circle, reduction, name, dtype, **options)
