"""Normalization of each row for itself, or of each column; the kernels work over the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbre import config
from lumbre.autograd import Tensor, as_tensor, grad_enabled, kernel, no_grad, record
from lumbre.ops import creation
from lumbre.ops import elementwise as ew
from lumbre.ops import reduce as rd
from lumbre.ops import shapes as sh
from lumbre.ops.axes import normalize_axis
from lumbre.ops.dtypes import cast, floating
from lumbre.ops.optimizer import cells_of, results
from lumbre.ops.softmaxes import over_last
from lumbre.ops.table import Bad, Case, In, op

_3D = In((3, 4, 5))


# -------------------------------------------------------------------------------------- gradients made of ops


def _gradients(
    x: Tensor,
    gamma: Tensor | None,
    g: Tensor,
    axis: int | tuple[int, ...],
    epsilon: float,
    mask: Tensor | None = None,
    centred: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, γ and β, which can be differentiated again, for x normalized over `axis`.

    Those of γ and β are left for the tape to sum over the rows.
    """
    kept = creation.ones_like(x)
    if mask is not None:
        kept = ew.multiply(kept, sh.expand_dims(cast(mask, x.dtype), -1))
    share = ew.divide_no_nan(kept, rd.sum(kept, axis, keepdims=True))  # of an element in the mean
    d = ew.subtract(x, rd.sum(ew.multiply(share, x), axis, keepdims=True)) if centred else x
    variance = rd.sum(ew.multiply(share, ew.square(d)), axis, keepdims=True)
    inverse = ew.rsqrt(ew.add(variance, epsilon))
    unit = ew.multiply(d, inverse)
    h = g if gamma is None else ew.multiply(g, gamma)
    common = ew.multiply(unit, rd.sum(ew.multiply(h, unit), axis, keepdims=True))
    if centred:
        common = ew.add(common, rd.sum(h, axis, keepdims=True))
    dx = ew.multiply(inverse, ew.subtract(h, ew.multiply(share, common)))
    return dx, ew.multiply(g, unit), g


def _normalized(
    y: Tensor, x: Tensor, gamma: Tensor | None, beta: Tensor | None, pre: Any, name: str
) -> Tensor:
    """Records a normalization: `pre` gives the gradients of x, γ and β together."""
    operands = [(x, 0), (gamma, 1), (beta, 2)]
    given = [(t, i) for t, i in operands if t is not None]
    rules = tuple(lambda d, _, i=i: d[i] for _, i in given)
    return record(y, tuple(t for t, _ in given), rules, pre=pre, name=name)


def _flags(**operands: Tensor | None) -> tuple[list[Tensor], dict[str, Any]]:
    """The operands that are given, and for the kernel which are."""
    return [t for t in operands.values() if t is not None], {k: t is not None for k, t in operands.items()}


# ------------------------------------------------------------------------------------------------ of each row


def _row_ref(x: Any, gamma: Any = None, beta: Any = None, axis: Any = -1, epsilon: float = 1e-7) -> Any:
    axes = tuple(sorted(a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))))
    shape = [n if i in axes else 1 for i, n in enumerate(x.shape)]
    y = (x - np.mean(x, axes, keepdims=True)) / np.sqrt(np.var(x, axes, keepdims=True) + epsilon)
    y = y if gamma is None else y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


def _rms_ref(x: Any, scale: Any = None, axis: int = -1, epsilon: float = 1e-7) -> Any:
    shape = [n if i == axis % x.ndim else 1 for i, n in enumerate(x.shape)]
    y = x / np.sqrt(np.mean(x * x, axis, keepdims=True) + epsilon)
    return y if scale is None else y * scale.reshape(shape)


def _rows(name: str, x: Any, gamma: Any, beta: Any, axis: Any, epsilon: float | None, rms: bool) -> Tensor:
    (t,), back = floating(x)
    rows, restore = over_last(name, t, axis)

    def column(what: str, v: Any) -> Tensor | None:
        if v is None:
            return None
        v = as_tensor(v, t.dtype)
        if v.size != rows.shape[-1]:
            raise ValueError(
                f"{name}: `{what}` of shape {v.shape} does not fit axis={axis} of x, whose shape is {t.shape}"
            )
        return sh.reshape(v, (v.size,))

    scale, center = column("scale" if rms else "gamma", gamma), column("beta", beta)
    epsilon = config.epsilon() if epsilon is None else float(epsilon)
    given, flags = _flags(scale=scale, center=center)
    y, mean, inverse = kernel("layer_normalization", rows, *given, **flags, epsilon=epsilon, rms=rms)

    def gradients(g: Tensor, _: Tensor) -> Any:
        if grad_enabled():
            return _gradients(rows, scale, g, -1, epsilon, centred=not rms)
        dx, sums = rows.requires_grad, bool(given)
        operands = [rows, g, mean, inverse, *_given(scale)]
        outs = kernel("layer_normalization_grad", *operands, scale=flags["scale"], rms=rms, dx=dx, sums=sums)
        outs = outs if isinstance(outs, tuple) else (outs,)
        return outs if dx else (None, *outs)

    return back(restore(_normalized(y, rows, scale, center, gradients, name)))


def _given(*operands: Tensor | None) -> list[Tensor]:
    return [t for t in operands if t is not None]


@op(
    ref=_row_ref,
    cases=[
        Case((_3D,)),
        Case((_3D, In((5,)), In((5,)))),
        Case((_3D, In((5,)), None, -1, 1e-3)),
        Case((_3D, None, In((4,)), 1), {"epsilon": 1e-2}),
        Case((_3D, In((3, 5)), In((3, 5)), (0, 2), 1e-3)),
        Case((In((70, 33)), In((33,)), In((33,)), -1, 1e-3), ulp=16),
        Case((In((3, 5000), 4.0, 6.0), In((5000,)), In((5000,))), ulp=64),
        Case((In((6, 4), dtype="float64"), In((4,), dtype="float64"))),
        Case((In((0, 3)), In((3,)), In((3,)))),
    ],
    bad=[
        Bad(
            (np.ones((2, 3), "float32"), np.ones(2, "float32")),
            ValueError,
            "`gamma` of shape .* does not fit",
        ),
        Bad((np.ones((2, 3), "float32"), None, None, 2), ValueError, "axis 2 is out of range"),
    ],
    kernels=["layer_normalization", "layer_normalization_grad"],
)
def layer_normalization(
    x: Any, gamma: Any = None, beta: Any = None, axis: Any = -1, epsilon: float | None = None
) -> Tensor:
    """γ (x - mean) / √(variance + ε) + β, with mean and variance over `axis` of each row for itself.

    Source: Ba, Kiros and Hinton 2016, Layer Normalization.

    Args:
        x: A tensor of rank 1 or more; float16 and bfloat16 are computed in float32.
        gamma: γ, with an element for each position along `axis`; 1 by default.
        beta: β, likewise; 0 by default.
        axis: The axis, or several.
        epsilon: ε, `config.epsilon()` by default.

    Raises:
        ValueError: γ or β does not fit.
        IndexError, ValueError: An axis is out of range or named twice.

    Example:
        >>> from lumbre import ops
        >>> ops.layer_normalization([1.0, 2.0, 3.0]).numpy().round(3)
        array([-1.225,  0.   ,  1.225], dtype=float32)
    """
    return _rows("layer_normalization", x, gamma, beta, axis, epsilon, rms=False)


@op(
    ref=_rms_ref,
    cases=[
        Case((_3D,)),
        Case((_3D, In((5,)))),
        Case((_3D, In((4,)), 1, 1e-3)),
        Case((In((70, 33)), In((33,))), ulp=16),
        Case((In((6, 4), dtype="float64"), In((4,), dtype="float64"))),
    ],
    bad=[
        Bad(
            (np.ones((2, 3), "float32"), np.ones(2, "float32")),
            ValueError,
            "`scale` of shape .* does not fit",
        )
    ],
    kernels=["layer_normalization", "layer_normalization_grad"],
)
def rms_normalization(x: Any, scale: Any = None, axis: Any = -1, epsilon: float | None = None) -> Tensor:
    """scale · x / √(mean(x²) + ε), with the mean over `axis` of each row for itself.

    Source: Zhang and Sennrich 2019, Root Mean Square Layer Normalization.

    Args:
        x: A tensor of rank 1 or more; float16 and bfloat16 are computed in float32.
        scale: With an element for each position along `axis`; 1 by default.
        axis: The axis, or several.
        epsilon: ε, `config.epsilon()` by default.

    Raises:
        ValueError: `scale` does not fit.
        IndexError, ValueError: An axis is out of range or named twice.

    Example:
        >>> from lumbre import ops
        >>> ops.rms_normalization([3.0, -3.0]).numpy().round(3)
        array([ 1., -1.], dtype=float32)
    """
    return _rows("rms_normalization", x, scale, None, axis, epsilon, rms=True)


# --------------------------------------------------------------------------------------------- of each column


def _apply_ref(
    x: Any,
    mean: Any,
    variance: Any,
    axis: int,
    offset: Any = None,
    scale: Any = None,
    epsilon: float = 1e-3,
) -> Any:
    shape = [n if i == axis % x.ndim else 1 for i, n in enumerate(x.shape)]
    y = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + epsilon)
    y = y if scale is None else y * scale.reshape(shape)
    return y if offset is None else y + offset.reshape(shape)


@op(
    ref=_apply_ref,
    cases=[
        Case((_3D, In((5,)), In((5,), 0.5, 2.0), -1, In((5,)), In((5,)))),
        Case((_3D, In((4,)), In((4,), 0.5, 2.0), 1, None, In((4,)), 1e-2)),
        Case((In((70, 33)), In((33,)), In((33,), 0.5, 2.0), -1, In((33,)))),
        Case((In((7, 4), dtype="float64"), In((4,), dtype="float64"), In((4,), 0.5, 2.0, "float64"), 1)),
        Case((In((0, 3)), In((3,)), In((3,), 0.5, 2.0), -1)),
    ],
    bad=[
        Bad(
            (np.ones((2, 3), "float32"), np.ones(2, "float32"), np.ones(3, "float32"), -1),
            ValueError,
            r"`mean` must be float32\(3,\) to fit x, got float32\(2,\)",
        ),
        Bad(
            (np.ones((2, 3), "float32"), np.ones(3, "float32"), np.ones(3, "float32"), 2),
            ValueError,
            "axis 2 is out of range",
        ),
    ],
    kernels=["batch_normalization"],
)
def batch_normalization(
    x: Any,
    mean: Any,
    variance: Any,
    axis: int,
    offset: Any = None,
    scale: Any = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """scale · (x - mean) / √(variance + ε) + offset, each of them for the positions along `axis`.

    Source: Ioffe and Szegedy 2015, Batch Normalization: Accelerating Deep Network Training by Reducing
    Internal Covariate Shift.

    Args:
        x: A tensor of rank 1 or more; float16 and bfloat16 are computed in float32.
        mean: With one axis, as long as `axis` of x.
        variance: Likewise.
        axis: The axis.
        offset: Likewise; 0 by default.
        scale: Likewise; 1 by default.
        epsilon: ε.

    Raises:
        ValueError: An operand does not fit.
        IndexError: The axis is out of range.

    Example:
        >>> from lumbre import ops
        >>> ops.batch_normalization([[1.0, 3.0]], [1.0, 2.0], [1.0, 4.0], axis=-1, epsilon=0.0).numpy()
        array([[0. , 0.5]], dtype=float32)
    """
    (t,), back = floating(x)
    last = normalize_axis("batch_normalization", axis, t.ndim)
    rows = sh.moveaxis(t, last, -1)
    mean, variance = as_tensor(mean, t.dtype), as_tensor(variance, t.dtype)
    scale = None if scale is None else as_tensor(scale, t.dtype)
    offset = None if offset is None else as_tensor(offset, t.dtype)
    given, flags = _flags(scale=scale, center=offset)
    y = kernel("batch_normalization", rows, mean, variance, *given, **flags, epsilon=float(epsilon))

    def inverse() -> Tensor:
        return ew.rsqrt(ew.add(variance, epsilon))

    def by_x(g: Tensor, _: Tensor) -> Tensor:
        return ew.multiply(g, inverse() if scale is None else ew.multiply(inverse(), scale))

    def by_variance(g: Tensor, y: Tensor) -> Tensor:
        slope = ew.multiply(ew.square(inverse()), -0.5)
        return ew.multiply(by_x(g, y), ew.multiply(ew.subtract(rows, mean), slope))

    def by_scale(g: Tensor, _: Tensor) -> Tensor:
        return ew.multiply(g, ew.multiply(ew.subtract(rows, mean), inverse()))

    rules = [
        (rows, by_x),
        (mean, lambda g, y: ew.negative(by_x(g, y))),
        (variance, by_variance),
        (scale, by_scale),
        (offset, lambda g, _: g),
    ]
    present = [(operand, rule) for operand, rule in rules if operand is not None]
    operands = tuple(operand for operand, _ in present)
    y = record(y, operands, tuple(rule for _, rule in present), name="batch_normalization")
    return back(sh.moveaxis(y, -1, last))


def _training_ref(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    mask: Any = None,
    moving: Any = None,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
) -> Any:
    rows = x.reshape(-1, x.shape[-1])
    kept = np.ones(len(rows), bool) if mask is None else mask.reshape(-1)
    mean, variance = np.mean(rows[kept], 0), np.var(rows[kept], 0)
    y = _apply_ref(x, mean, variance, -1, beta, gamma, epsilon)
    if moving is None:
        return y
    return [y] + [m * momentum + v * (1 - momentum) for m, v in zip(moving, (mean, variance), strict=True)]


_MASK = In((40,), dtype="bool")


@op(
    ref=_training_ref,
    cases=[
        Case((In((7, 5)),)),
        Case((_3D, In((5,)), In((5,)))),
        Case((In((40, 5)), In((5,)), In((5,)), _MASK), ulp=8),
        Case((In((2, 20, 3)), None, In((3,)), In((2, 20), dtype="bool")), ulp=8),
        Case((In((300, 33), 2.0, 4.0), In((33,)), In((33,))), {"epsilon": 1e-2}, ulp=32),
        Case((In((4500, 3)), In((3,))), ulp=32),
        Case((In((40, 4), dtype="float64"), In((4,), dtype="float64"), None, _MASK)),
        Case((In((40, 5)), None, None, _MASK, [In((5,)), In((5,), 0.5, 2.0)], 0.9), grad=False, ulp=8),
        Case((In((70, 5)), In((5,)), None, None, [In((5,)), In((5,), 0.5, 2.0)]), grad=False, ulp=8),
    ],
    bad=[
        Bad(
            (np.ones((2, 3), "float32"), np.ones(2, "float32")),
            ValueError,
            r"`gamma` must be float32\(3,\) to fit x, got float32\(2,\)",
        ),
        Bad(
            (np.ones((2, 3), "float32"), None, None, np.ones(3, bool)),
            ValueError,
            r"`mask` must be bool\(2,\) to fit x, got bool\(3,\)",
        ),
        Bad(
            (np.ones((2, 3), "float32"), None, None, None, [np.ones(2, "float32")] * 2),
            ValueError,
            r"must both be float32\(3,\) to fit x",
        ),
        Bad((np.ones((), "float32"),), ValueError, "must have an axis to work over"),
        Bad(
            (np.ones((2, 3), "float32"), None, None, None, None, np.inf),
            ValueError,
            "must be a finite number",
        ),
    ],
    kernels=["batch_normalization_training", "batch_normalization_grad"],
)
def batch_normalization_training(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    mask: Any = None,
    moving: Sequence[Any] | None = None,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
) -> Any:
    """γ (x - mean) / √(variance + ε) + β for each column (the last axis), with its moments over all rows.

    The moving statistics become momentum · old + (1 - momentum) · new, where any row counts. Source: Ioffe
    and Szegedy 2015, Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
    Shift.

    Args:
        x: A tensor of rank 1 or more; float16 and bfloat16 are computed in float32.
        gamma: γ, of shape (columns,); 1 by default.
        beta: β, likewise; 0 by default.
        mask: Booleans of the shape of `x` without its last axis: rows with False are normalized as the
            others are, but do not count in the moments.
        moving: The moving mean and variance, of shape (columns,): Variables, which are updated in place, or
            values.
        momentum: How much of the moving statistics stays.
        epsilon: ε.

    Returns:
        y, of the shape and dtype of `x`; for moving values (y, moving mean, moving variance).

    Raises:
        ValueError: An operand does not fit; nothing is updated then.

    Example:
        >>> from lumbre import ops
        >>> ops.batch_normalization_training([[1.0], [2.0], [3.0]], epsilon=0.0).numpy().round(3)
        array([[-1.225],
               [ 0.   ],
               [ 1.225]], dtype=float32)
    """
    (t,), back = floating(x)
    gamma = None if gamma is None else as_tensor(gamma, t.dtype)
    beta = None if beta is None else as_tensor(beta, t.dtype)
    mask = None if mask is None else cast(as_tensor(mask), "bool")
    cells, values = cells_of(list(moving or ()))
    fused = all(cell.dtype == t.dtype for cell in cells)
    given, flags = _flags(scale=gamma, center=beta, masked=mask)
    y, mean, variance = kernel(
        "batch_normalization_training",
        *(t, *given),
        inout=cells if fused else (),
        **flags,
        momentum=float(momentum),
        epsilon=float(epsilon),
    )
    if not fused:  # half-width statistics
        with no_grad():
            for variable, new in zip(moving or (), (mean, variance), strict=True):
                kept = ew.multiply(as_tensor(variable, t.dtype), momentum)
                variable.assign(ew.add(kept, ew.multiply(new, 1.0 - momentum)))

    def gradients(g: Tensor, _: Tensor) -> Any:
        if grad_enabled():
            return _gradients(t, gamma, g, tuple(range(t.ndim - 1)), epsilon, mask)
        operands, dx = [t, g, mean, variance, *_given(gamma, mask)], t.requires_grad
        options: dict[str, Any] = {"scale": flags["scale"], "masked": flags["masked"], "dx": dx}
        outs = kernel("batch_normalization_grad", *operands, **options, epsilon=float(epsilon))
        return outs if dx else (None, *outs)

    y = back(_normalized(y, t, gamma, beta, gradients, "batch_normalization_training"))
    return (y, *(results(cells, True) or ())) if values else y
