"""Cross-entropies per sample. From logits they are fused rows: loss and gradient in one pass.

Where `output` is the result of a softmax or sigmoid, the rows work from the logits that it remembers:
exact, without a clip, with a gradient proportional to the error however wrong the prediction. Any other
tensor of probabilities gets Keras's formula: divided by its sum (not for the binary one), clipped to
[1e-7, 1 - 1e-7].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lumbre import config
from lumbre.autograd import Tensor, as_tensor, grad_enabled, kernel, record
from lumbre.ops import elementwise as ew
from lumbre.ops import reduce as rd
from lumbre.ops import shapes as sh
from lumbre.ops.axes import normalize_axis
from lumbre.ops.dtypes import floating
from lumbre.ops.indexing import one_hot
from lumbre.ops.softmaxes import log_softmax, softmax, softmax_grad
from lumbre.ops.table import Bad, Case, In, op


def _logits(output: Tensor, kind: str, from_logits: bool, axis: int = -1) -> Tensor | None:
    """What `output` was computed from by softmax or sigmoid, or itself if it already is that.

    None where that is not known, or where the gradient by `output` itself is wanted.
    """
    if from_logits:
        return output
    if (
        output._origin is not None
        and not output._requires
        and output._origin[0] == kind
        and axis in (-1, output.ndim - 1)
    ):
        logits: Tensor = output._origin[1]
        return logits if logits.shape == output.shape else None
    return None


def _around(loss: Tensor, output: Tensor, logits: Tensor) -> Tensor:
    """A loss computed from the logits: its node notes which output it has left aside."""
    if logits is not output and loss._node is not None:
        loss._node.around = output._origin[2] if len(output._origin) > 2 else output
    return loss


def _clip(p: Tensor) -> Tensor:
    return ew.clip(p, config.epsilon(), 1.0 - config.epsilon())


def _wants_gradient(x: Tensor) -> bool:
    return grad_enabled() and x.requires_grad


def _scaled(d: Tensor, g: Tensor) -> Tensor:
    """The gradients of rows, each times the gradient of its loss."""
    return ew.multiply(sh.expand_dims(g, -1), d)


def _same_shape(target: Tensor, output: Tensor) -> None:
    if target.shape != output.shape:
        raise ValueError(
            "Arguments `target` and `output` must have the same shape. "
            f"Received: target.shape={target.shape}, output.shape={output.shape}"
        )


# ------------------------------------------------------------------------------------------- by class indices


def _log_probabilities(output: Any, from_logits: bool, axis: int) -> Any:
    if from_logits:
        shifted = output - np.max(output, axis=axis, keepdims=True)
        return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
    return np.log(np.clip(output / np.sum(output, axis=axis, keepdims=True), 1e-7, 1 - 1e-7))


def _sparse_ref(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    logs = np.moveaxis(_log_probabilities(output, from_logits, axis), axis, -1)
    labels = target.reshape(logs.shape[:-1]).astype("int64")
    return -np.take_along_axis(logs, labels[..., None], -1)[..., 0]


def _labels(shape: tuple[int, ...], dtype: str = "int32") -> In:
    return In(shape, 0, 3, dtype, grad=False)


_TABLE = In((4, 3), -3.0, 3.0)
_POSITIVE = In((4, 3), 0.1, 1.0)


@op(
    ref=_sparse_ref,
    cases=[
        Case((_labels((4,)), _TABLE), {"from_logits": True}),
        Case((_labels((4,), "int64"), _TABLE), {"from_logits": True}),
        Case((_labels((4, 1), "uint8"), _TABLE), {"from_logits": True}),
        Case((_labels((2, 5)), In((2, 5, 3))), {"from_logits": True}),
        Case((_labels((2, 5)), In((2, 3, 5))), {"from_logits": True, "axis": 1}),
        Case((_labels((20,)), In((20, 100), -5.0, 5.0)), {"from_logits": True}, ulp=8),
        Case((_labels((0,)), In((0, 3))), {"from_logits": True}),
        Case((_labels((4,)), _POSITIVE)),
        Case((_labels((2, 5)), In((2, 3, 5), 0.1, 1.0)), {"axis": 1}),
    ],
    bad=[
        Bad(
            (np.zeros(3, "int32"), np.ones((4, 3), "float32")),
            ValueError,
            "same shape up until the last dimension",
        ),
        Bad((np.zeros((), "int32"), np.ones((), "float32")), ValueError, "must be at least rank 1"),
        Bad(
            (np.zeros(4, "int32"), np.ones((4, 3), "float32"), False, 2), ValueError, "axis 2 is out of range"
        ),
    ],
    kernels=["softmax_crossentropy_sparse"],
)
def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-log p[target]: the cross-entropy of class indices, per sample.

    Args:
        target: Class indices, of the shape of `output` without `axis` (or with 1 at the end). One outside
            the classes gives NaN, in the loss and in the gradient.
        output: Probabilities, divided by their sum and clipped, or logits.
        from_logits: Whether they are logits.
        axis: The axis of the classes.

    Returns:
        A loss per sample, in the dtype of `output`.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> from lumbre import ops
        >>> logits = [[3.2, 1.1, 0.8, 2.9]]
        >>> ops.sparse_categorical_crossentropy([0], logits, from_logits=True).numpy().round(2)
        array([0.67], dtype=float32)
    """
    target, output = as_tensor(target), as_tensor(output)
    if output.ndim < 1:
        raise ValueError(f"Argument `output` must be at least rank 1. Received: output.shape={output.shape}")
    if target.ndim == output.ndim and target.shape[-1] == 1:
        target = sh.squeeze(target, -1)
    last = normalize_axis("sparse_categorical_crossentropy", axis, output.ndim)
    if target.shape != output.shape[:last] + output.shape[last + 1 :]:
        raise ValueError(
            "Arguments `target` and `output` must have the same shape up until the last dimension: "
            f"target.shape={target.shape}, output.shape={output.shape}"
        )
    if target.dtype not in ("int32", "int64"):
        target = ew.cast(target, "int32")
    logits = _logits(output, "softmax", from_logits, axis)
    (x,), back = floating(output)
    if logits is not None:
        x = sh.moveaxis(floating(logits)[0][0], last, -1)
        return _around(back(_softmax_sparse(x, target)), output, logits)
    x = sh.moveaxis(x, last, -1)
    logs = ew.log(_clip(ew.divide(x, rd.sum(x, -1, keepdims=True))))
    return back(ew.negative(pick(logs, target)))


def _softmax_sparse(x: Tensor, labels: Tensor) -> Tensor:
    if not _wants_gradient(x):
        loss: Tensor = kernel("softmax_crossentropy_sparse", x, labels, gradient=False)
        return loss
    loss, d = kernel("softmax_crossentropy_sparse", x, labels, gradient=True)
    # d = softmax(x) - onehot can be differentiated in its turn.
    d = record(d, (x,), (lambda g, _: softmax_grad(softmax_of(x), g),), name="softmax_crossentropy_gradient")
    return record(loss, (x,), (lambda g, _: _scaled(d, g),), name="softmax_crossentropy_sparse")


def softmax_of(x: Tensor) -> Tensor:
    """softmax over the last axis where a single class is nothing to warn of."""
    return softmax(x) if x.shape[-1] != 1 else ew.exp(log_softmax(x))


def _pick_ref(x: Any, labels: Any) -> Any:
    return np.take_along_axis(x, labels[..., None].astype("int64"), -1)[..., 0]


@op(
    ref=_pick_ref,
    cases=[Case((_TABLE, _labels((4,)))), Case((In((2, 2, 3)), _labels((2, 2), "int64")))],
    bad=[
        Bad((np.ones((4, 3), "float32"), np.zeros(3, "int32")), ValueError, "one label for each row"),
        Bad((np.ones((4, 3), "float32"), np.zeros(4, "float32")), TypeError, "labels must be int32 or int64"),
    ],
    kernels=["pick"],
)
def pick(x: Any, labels: Any) -> Tensor:
    """x[…, label]: of each row the element that its label names, NaN where there is none.

    Args:
        x: float32 or float64, of shape (…, classes).
        labels: int32 or int64, of shape (…).

    Raises:
        ValueError, TypeError: Shapes or dtypes do not fit.

    Example:
        >>> from lumbre import ops
        >>> ops.pick([[1.0, 2.0], [3.0, 4.0]], [1, 0]).numpy()
        array([2., 3.], dtype=float32)
    """
    x, labels = as_tensor(x), as_tensor(labels)

    def rule(g: Tensor, _: Tensor) -> Tensor:
        return _scaled(one_hot(labels, x.shape[-1], dtype=x.dtype), g)

    return record(kernel("pick", x, labels), (x, labels), (rule, None), name="pick")


# ------------------------------------------------------------------------------------------- by probabilities


def _categorical_ref(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    return -np.sum(target * _log_probabilities(output, from_logits, axis), axis=axis)


_WEIGHTS = In((4, 3), 0.0, 1.0)


@op(
    ref=_categorical_ref,
    cases=[
        Case((_WEIGHTS, _TABLE), {"from_logits": True}),
        Case((In((2, 3, 5), 0.0, 1.0), In((2, 3, 5))), {"from_logits": True, "axis": 1}),
        Case((In((20, 100), 0.0, 1.0), In((20, 100), -5.0, 5.0)), {"from_logits": True}, ulp=16),
        Case((In((3,), 0.0, 1.0), In((3,))), {"from_logits": True}),
        Case((In((0, 3)), In((0, 3))), {"from_logits": True}),
        Case((_WEIGHTS, _POSITIVE)),
        Case((In((2, 3, 5), 0.0, 1.0), In((2, 3, 5), 0.1, 1.0)), {"axis": 1}),
    ],
    bad=[
        Bad(
            (np.zeros(32, "int32"), np.ones((32, 10), "float32")),
            ValueError,
            r"Arguments `target` and `output` must have the same shape. Received: target.shape=\(32,\), "
            r"output.shape=\(32, 10\)",
        ),
        Bad((np.ones((), "float32"), np.ones((), "float32")), ValueError, "must be at least rank 1"),
    ],
    kernels=["softmax_crossentropy"],
)
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Tensor:
    """-Σ target · log p over the classes: the cross-entropy of two distributions, per sample.

    Args:
        target: Probabilities, of the shape of `output`.
        output: Probabilities, divided by their sum and clipped, or logits.
        from_logits: Whether they are logits.
        axis: The axis of the classes.

    Returns:
        A loss per sample, in the dtype of `output`.

    Raises:
        ValueError: The shapes differ, or are those of scalars.

    Example:
        >>> from lumbre import ops
        >>> ops.categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).numpy().round(4)
        array([0.6931], dtype=float32)
    """
    output = as_tensor(output)
    target = as_tensor(target)
    _same_shape(target, output)
    if output.ndim < 1:
        raise ValueError(
            "Arguments `target` and `output` must be at least rank 1. "
            f"Received: target.shape={target.shape}, output.shape={output.shape}"
        )
    last = normalize_axis("categorical_crossentropy", axis, output.ndim)
    logits = _logits(output, "softmax", from_logits, axis)
    (x,), back = floating(output)
    t = sh.moveaxis(as_tensor(target, x.dtype), last, -1)
    if logits is not None:
        x = sh.moveaxis(floating(logits)[0][0], last, -1)
        return _around(back(_softmax_dense(x, t)), output, logits)
    x = sh.moveaxis(x, last, -1)
    logs = ew.log(_clip(ew.divide(x, rd.sum(x, -1, keepdims=True))))
    return back(ew.negative(rd.sum(ew.multiply(t, logs), -1)))


def _softmax_dense(x: Tensor, t: Tensor) -> Tensor:
    def by_target(g: Tensor, _: Tensor) -> Tensor:
        return _scaled(ew.negative(log_softmax(x)), g)

    if not _wants_gradient(x):
        loss: Tensor = kernel("softmax_crossentropy", x, t, gradient=False)
        return record(loss, (t,), (by_target,), name="softmax_crossentropy")

    def again(g: Tensor, _: Tensor) -> Tensor:
        return ew.multiply(rd.sum(t, -1, keepdims=True), softmax_grad(softmax_of(x), g))

    def again_by_target(g: Tensor, _: Tensor) -> Tensor:
        return ew.subtract(rd.sum(ew.multiply(g, softmax_of(x)), -1, keepdims=True), g)

    loss, d = kernel("softmax_crossentropy", x, t, gradient=True)
    # d = softmax(x) · Σt - t can be differentiated in its turn.
    d = record(d, (x, t), (again, again_by_target), name="softmax_crossentropy_gradient")
    return record(loss, (x, t), (lambda g, _: _scaled(d, g), by_target), name="softmax_crossentropy")


# ----------------------------------------------------------------------------------------------------- binary


def _binary_ref(target: Any, output: Any, from_logits: bool = False) -> Any:
    if from_logits:
        return np.maximum(output, 0) - output * target + np.log1p(np.exp(-np.abs(output)))
    p = np.clip(output, 1e-7, 1 - 1e-7)
    return -(target * np.log(p) + (1 - target) * np.log(1 - p))


@op(
    ref=_binary_ref,
    cases=[
        Case((_WEIGHTS, _TABLE), {"from_logits": True}),
        Case((In((1000,), 0.0, 1.0), In((1000,), -20.0, 20.0)), {"from_logits": True}),
        Case((In((), 0.0, 1.0), In(())), {"from_logits": True}),
        Case((In((0, 3)), In((0, 3))), {"from_logits": True}),
        Case((_WEIGHTS, In((4, 3), 0.1, 0.9))),
    ],
    bad=[
        Bad(
            (np.ones((4,), "float32"), np.ones((4, 1), "float32")),
            ValueError,
            "Arguments `target` and `output` must have the same shape",
        ),
    ],
    kernels=["sigmoid_crossentropy"],
)
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Tensor:
    """-target · log p - (1 - target) · log(1 - p), element by element.

    From logits x it is max(x, 0) - x · target + log(1 + e^(-|x|)).

    Args:
        target: Probabilities, of the shape of `output`.
        output: Probabilities, clipped, or logits.
        from_logits: Whether they are logits.

    Returns:
        A loss per element, in the dtype of `output`.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> from lumbre import ops
        >>> ops.binary_crossentropy([0.0, 1.0], [0.5, 0.25]).numpy().round(4)
        array([0.6931, 1.3863], dtype=float32)
    """
    output = as_tensor(output)
    target = as_tensor(target)
    _same_shape(target, output)
    logits = _logits(output, "sigmoid", from_logits)
    (x,), back = floating(output)
    t = as_tensor(target, x.dtype)
    if logits is not None:
        return _around(back(_sigmoid(floating(logits)[0][0], t)), output, logits)
    p = _clip(x)
    positive = ew.multiply(t, ew.log(p))
    negative = ew.multiply(ew.subtract(1.0, t), ew.log(ew.subtract(1.0, p)))
    return back(ew.negative(ew.add(positive, negative)))


def _sigmoid(x: Tensor, t: Tensor) -> Tensor:
    def by_target(g: Tensor, _: Tensor) -> Tensor:
        return ew.negative(ew.multiply(g, x))

    if not _wants_gradient(x):
        loss: Tensor = kernel("sigmoid_crossentropy", x, t, gradient=False)
        return record(loss, (t,), (by_target,), name="sigmoid_crossentropy")

    def again(g: Tensor, _: Tensor) -> Tensor:
        s = ew.sigmoid(x)
        return ew.multiply(g, ew.multiply(s, ew.subtract(1.0, s)))

    loss, d = kernel("sigmoid_crossentropy", x, t, gradient=True)
    # d = sigmoid(x) - t can be differentiated in its turn.
    d = record(d, (x, t), (again, lambda g, _: ew.negative(g)), name="sigmoid_crossentropy_gradient")
    return record(loss, (x, t), (lambda g, _: ew.multiply(g, d), by_target), name="sigmoid_crossentropy")
