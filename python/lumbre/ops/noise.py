"""Noise on a tensor: dropout and its relatives. None keeps what it drew; the gradient draws it again.

`seed` is what it is for the draws of `lumbre.ops.random`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbre.autograd import Tensor, kernel, record
from lumbre.ops import creation, philox
from lumbre.ops import elementwise as ew
from lumbre.ops.dtypes import floating
from lumbre.ops.seeds import draw_state
from lumbre.ops.table import Bad, Case, In, op


def _dropout_ref(x: Any, rate: float, noise_shape: Any = None, seed: int = 0) -> Any:
    shape = (
        x.shape
        if noise_shape is None
        else [x.shape[i] if n is None else n for i, n in enumerate(noise_shape)]
    )
    threshold = round(rate * 65536)
    kept = philox.halves(seed, 0, math.prod(shape)).reshape(shape) >= threshold
    return x * kept * (65536 / (65536 - threshold) if threshold < 65536 else 0.0)


@op(
    ref=_dropout_ref,
    cases=[
        Case((In((3, 100)), 0.2), {"seed": 1}),
        Case((In((1000,)), 0.9), {"seed": 2}),
        Case((In((4, 5)), 0.0), {"seed": 3}),
        Case((In((4, 5)), 1.0), {"seed": 3}),
        Case((In((4, 5, 3)), 0.5, (4, 1, 3)), {"seed": 4}),
        Case((In((4, 5)), 0.5, (None, 1)), {"seed": 5}),
        Case((In((0, 5)), 0.5), {"seed": 6}),
    ],
    bad=[
        Bad(
            (np.ones(3, "float32"), 1.5),
            ValueError,
            "Expected a float value between 0 and 1. Received: rate=1.5",
        ),
        Bad(
            (np.ones((2, 3), "float32"), 0.5, (3, 3)), ValueError, r"noise_shape=\(3, 3\) does not broadcast"
        ),
    ],
    kernels=["dropout"],
)
def dropout(
    inputs: Any, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Any = None
) -> Tensor:
    """Sets a share `rate` of the elements to 0 and divides the others by the probability of staying.

    No mask is kept: the gradient is dropped out with the same draw. 16 random bits decide on an element, so
    the rate is rounded to a multiple of 2⁻¹⁶, and the divisor with it. Source: Srivastava et al. 2014,
    Dropout: A Simple Way to Prevent Neural Networks from Overfitting.

    Args:
        inputs: A tensor.
        rate: From 0 (everything stays, nothing is drawn) to 1 (nothing stays).
        noise_shape: A shape that broadcasts to that of `inputs` (None: its size): elements along sizes of 1
            share their fate.
        seed: Where the randomness comes from, see `lumbre.ops.random`.

    Raises:
        ValueError: The rate, the noise's shape or the seed is not acceptable.

    Example:
        >>> from lumbre import ops
        >>> sorted({float(v) for v in ops.random.dropout([1.0] * 50, 0.5, seed=1).numpy()})
        [0.0, 2.0]
    """
    (x,), back = floating(inputs)
    if not isinstance(rate, (int, float, np.number)) or not 0 <= rate <= 1:
        raise ValueError(
            "Invalid value received for argument `rate`. Expected a float value between 0 and 1. "
            f"Received: rate={rate}"
        )
    if rate == 0:
        return back(x)
    shape = _noise_shape(x, noise_shape)
    if shape == x.shape:
        return back(_drop(x, draw_state(seed), float(rate)))
    mask = _drop(creation.ones(shape, x.dtype), draw_state(seed), float(rate))
    return back(ew.multiply(x, mask))


def _drop(x: Tensor, state: Tensor, rate: float) -> Tensor:
    y, used = kernel("dropout", x, state, rate=rate)
    return record(y, (x,), (lambda g, _: _drop(g, used, rate),), name="dropout")


def _gaussian_dropout_ref(x: Any, rate: float, seed: int = 0) -> Any:
    return x * philox.normal(x.shape, 1.0, math.sqrt(rate / (1 - rate)), seed=seed)


def _check_rate(rate: Any) -> None:
    if not isinstance(rate, (int, float, np.number)) or not 0 <= rate < 1:
        raise ValueError(
            "Invalid value received for argument `rate`. Expected a float value from 0 to below 1. "
            f"Received: rate={rate}"
        )


_RATES_BAD = [
    Bad((np.ones(3, "float32"), 1.0), ValueError, "from 0 to below 1. Received: rate=1.0"),
    Bad((np.ones(3, "float32"), -0.5), ValueError, "from 0 to below 1. Received: rate=-0.5"),
]


@op(
    ref=_gaussian_dropout_ref,
    cases=[
        Case((In((3, 100)), 0.2), {"seed": 1}, ulp=16),
        Case((In((70,)), 0.9), {"seed": 2}, ulp=16),
        Case((In((4, 5)), 0.0), {"seed": 3}),
        Case((In((0, 5)), 0.5), {"seed": 6}),
    ],
    bad=_RATES_BAD,
)
def gaussian_dropout(x: Any, rate: float, seed: Any = None) -> Tensor:
    """Multiplies by normal noise with mean 1 and variance rate / (1 - rate).

    The noise is not kept: the gradient draws it again. Source: Srivastava et al. 2014, Dropout: A Simple Way
    to Prevent Neural Networks from Overfitting, section 10.

    Args:
        x: A tensor.
        rate: From 0 (no noise, nothing is drawn) to 1, excluded.
        seed: Where the randomness comes from, see `lumbre.ops.random`.

    Raises:
        ValueError: The rate or the seed is not acceptable.

    Example:
        >>> from lumbre import ops
        >>> y = ops.random.gaussian_dropout([1.0] * 1000, 0.2, seed=1).numpy()
        >>> round(float(y.mean()), 1), round(float(y.std()), 1)
        (1.0, 0.5)
    """
    (x,), back = floating(x)
    _check_rate(rate)
    if rate == 0:
        return back(x)
    return back(_noisy(x, draw_state(seed), math.sqrt(rate / (1 - rate))))


def _noisy(x: Tensor, state: Tensor, stddev: float) -> Tensor:
    noise = kernel("random_normal", state, shape=x.shape, mean=1.0, stddev=stddev, dtype=x.dtype)
    y = kernel("multiply", x, noise)
    return record(y, (x,), (lambda g, _: _noisy(g, state, stddev),), name="gaussian_dropout")


_SATURATION = -1.7580993408473766  # what selu tends to far below zero: -scale · alpha


def _alpha_dropout_ref(x: Any, rate: float, noise_shape: Any = None, seed: int = 0) -> Any:
    dropped = 1 - (_dropout_ref(np.ones_like(x), rate, noise_shape, seed) > 0)
    p = round(rate * 65536) / 65536
    a = 1 / math.sqrt((1 - p) * (1 + p * _SATURATION**2))
    return a * np.where(dropped, _SATURATION, x) - a * _SATURATION * p


@op(
    ref=_alpha_dropout_ref,
    cases=[
        Case((In((3, 100)), 0.2), {"seed": 1}),
        Case((In((4, 5, 3)), 0.5, (4, 1, 3)), {"seed": 4}),
        Case((In((4, 5)), 0.0), {"seed": 3}),
        Case((In((0, 5)), 0.5), {"seed": 6}),
    ],
    bad=_RATES_BAD,
)
def alpha_dropout(
    x: Any, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Any = None
) -> Tensor:
    """Sets a share `rate` of the elements to what selu tends to far below zero, and restores the moments.

    With s = -1.7581 and p the rate, the result is a · (s where dropped, x elsewhere) - a · s · p with
    a = 1 / √((1 - p) (1 + p s²)): inputs of mean 0 and variance 1 keep these. As in `dropout`, no mask is
    kept and the rate is a multiple of 2⁻¹⁶. Source: Klambauer et al. 2017, Self-Normalizing Neural Networks.

    Args:
        x: A tensor.
        rate: From 0 (everything stays, nothing is drawn) to 1, excluded.
        noise_shape: As for `dropout`.
        seed: Where the randomness comes from, see `lumbre.ops.random`.

    Raises:
        ValueError: The rate, the noise's shape or the seed is not acceptable.

    Example:
        >>> from lumbre import ops
        >>> y = ops.random.alpha_dropout([0.0] * 1000, 0.5, seed=1).numpy()
        >>> len({float(v) for v in y})
        2
    """
    _check_rate(rate)
    (x,), back = floating(x)
    p = round(float(rate) * 65536) / 65536
    if p == 0:
        return back(x)
    # The kept ones come out of `dropout` divided by 1 - p.
    a = (1 - p) / math.sqrt((1 - p) * (1 + p * _SATURATION**2))
    y = dropout(ew.subtract(x, _SATURATION), rate, noise_shape, seed)
    return back(ew.multiply(ew.add(y, _SATURATION), a))


def _noise_shape(x: Tensor, noise_shape: Sequence[int | None] | None) -> tuple[int, ...]:
    if noise_shape is None:
        return x.shape
    padded = (*((1,) * (x.ndim - len(noise_shape))), *noise_shape)
    sizes = tuple(x.shape[i] if n is None else operator.index(n) for i, n in enumerate(padded[: x.ndim]))
    if len(padded) > x.ndim or any(n not in (1, m) for n, m in zip(sizes, x.shape, strict=True)):
        raise ValueError(
            f"dropout: noise_shape={noise_shape} does not broadcast to the input's shape {x.shape}; "
            "its sizes must be those of the input, None or 1"
        )
    return sizes
