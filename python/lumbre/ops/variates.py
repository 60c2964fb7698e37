"""Random draws by trying: gamma, beta and binomial numbers. `seed` is what it is for `lumbre.ops.random`.

An element takes as many random bits as its tries need, from blocks of its own, so these too are the same for
any number of threads and on any processor. They have no gradients.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lumbre.autograd import FLOATS, Tensor, as_tensor, kernel
from lumbre.ops import activation, philox
from lumbre.ops import elementwise as ew
from lumbre.ops import shapes as sh
from lumbre.ops.axes import dtype_name, normalize_shape
from lumbre.ops.joining import stack
from lumbre.ops.seeds import draw_state
from lumbre.ops.table import Bad, Case, op


def _prepare(name: str, shape: Any, dtype: Any, parameters: dict[str, Any]) -> tuple[list[Tensor], str]:
    """The parameters in float64 and of the wanted shape, and the wanted dtype."""
    kind = dtype_name(dtype)
    if kind not in FLOATS:
        raise ValueError(f"`keras.random.{name}` requires a floating point `dtype`. Received: dtype={dtype} ")
    sizes = normalize_shape(name, shape)
    ready = []
    for what, value in parameters.items():
        t = ew.cast(as_tensor(value), "float64")
        try:
            ready.append(sh.broadcast_to(t, sizes))
        except ValueError:
            raise ValueError(f"{name}: `{what}` of shape {t.shape} does not broadcast to {sizes}") from None
    return ready, kind


def _check(name: str, what: str, value: Any, holds: Any, wanted: str) -> None:
    """Refuses numbers that are at hand and no parameters; in a tensor they give NaN."""
    if hasattr(value, "dtype") and not isinstance(value, (np.ndarray, np.generic)):
        return
    bad = np.asarray(value, "float64")
    bad = bad[~holds(bad)]
    if bad.size:
        raise ValueError(f"{name}: `{what}` must be {wanted}, got {bad.flat[0]:g}")


def _positive(x: Any) -> Any:
    return (x > 0) & np.isfinite(x)


def _gamma_ref(shape: Any, alpha: Any, dtype: Any = None, seed: int = 0, log: bool = False) -> Any:
    alphas = np.broadcast_to(np.asarray(alpha, float), shape).ravel()
    drawn = []
    for a, unit in zip(alphas, philox.streams(seed, 0, alphas.size), strict=True):
        boost = math.log(next(unit)) / a if a < 1 else 0.0
        d = a + (1 if a < 1 else 0) - 1 / 3
        accepted = False
        while not accepted:
            x = math.sqrt(-2 * math.log(next(unit))) * math.cos(2 * math.pi * next(unit))
            u, root = math.log(next(unit)), 1 + x / math.sqrt(9 * d)
            accepted = root > 0 and u < x * x / 2 + d * (1 - root**3 + 3 * math.log(root))
        drawn.append(math.log(d) + 3 * math.log(root) + boost)
    y = np.reshape(drawn, shape)
    return y if log else np.exp(y)


_DTYPE_BAD = "requires a floating point `dtype`. Received: dtype=int32"


@op(
    ref=_gamma_ref,
    cases=[
        Case(((3, 50), 0.3), {"seed": 1}, ulp=16),
        Case(((1000,), 5.5), {"seed": 2}, ulp=16),
        Case(((2, 3), [[0.1], [40.0]], "float64"), {"seed": 3}),
        Case(((0, 3), 1.0), {"seed": 3}),
    ],
    bad=[
        Bad(((2,), 1.0), ValueError, _DTYPE_BAD, {"dtype": "int32"}),
        Bad(((2,), 0.0), ValueError, "gamma: `alpha` must be positive and finite, got 0"),
        Bad(((2,), [1.0, math.nan]), ValueError, "`alpha` must be positive and finite, got nan"),
        Bad(((2,), [1.0, 2.0, 3.0]), ValueError, r"`alpha` of shape \(3,\) does not broadcast to \(2,\)"),
    ],
    kernels=["random_gamma"],
)
def gamma(shape: Sequence[int], alpha: Any, dtype: str | None = None, seed: Any = None) -> Tensor:
    """Draws from the gamma distribution of scale 1, whose density is x^(α-1) · exp(-x) / Γ(α).

    Source: Marsaglia and Tsang 2000, A Simple Method for Generating Gamma Variables.

    Args:
        shape: The shape of the result.
        alpha: α, above 0: a number, or numbers that broadcast to `shape`.
        dtype: A float dtype, floatx by default.
        seed: Where the randomness comes from, see `lumbre.ops.random`.

    Raises:
        ValueError: The dtype, the shape, α or the seed is not acceptable. (An α in a tensor is not looked at:
            a bad one gives NaN.)

    Example:
        >>> from lumbre import ops
        >>> round(float(ops.random.gamma((10000,), 4.0, seed=1).numpy().mean()), 1)
        4.0
    """
    _check("gamma", "alpha", alpha, _positive, "positive and finite")
    (a,), kind = _prepare("gamma", shape, dtype, {"alpha": alpha})
    y: Tensor = kernel("random_gamma", draw_state(seed), a, log=False)
    return ew.cast(y, kind)


def _beta_ref(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: int = 0) -> Any:
    both = np.stack([np.broadcast_to(np.asarray(p, float), shape) for p in (alpha, beta)])
    x, y = _gamma_ref(both.shape, both, seed=seed, log=True)
    return 0.5 + 0.5 * np.tanh((x - y) / 2)  # the logistic function, without overflow


@op(
    ref=_beta_ref,
    cases=[
        Case(((3, 50), 0.3, 2.0), {"seed": 1}, ulp=16),
        Case(((2, 40), [[0.5], [40.0]], 3.0), {"seed": 2}, ulp=16),
        Case(((100,), 1e-3, 1e-3, "float64"), {"seed": 3}),
    ],
    bad=[
        Bad(((2,), 1.0, 1.0), ValueError, _DTYPE_BAD, {"dtype": "int32"}),
        Bad(((2,), 1.0, -1.0), ValueError, "beta: `beta` must be positive and finite, got -1"),
        Bad(((2,), [0.0, 1.0], 1.0), ValueError, "beta: `alpha` must be positive and finite, got 0"),
    ],
    kernels=["random_gamma"],
)
def beta(shape: Sequence[int], alpha: Any, beta: Any, dtype: str | None = None, seed: Any = None) -> Tensor:
    """Draws from the beta distribution, whose density is x^(α-1) · (1-x)^(β-1) / B(α, β) between 0 and 1.

    It is X / (X + Y) with gamma numbers X for α and Y for β, computed from their logarithms: for small α and
    β the numbers themselves would be 0.

    Args:
        shape: The shape of the result.
        alpha: α, above 0: a number, or numbers that broadcast to `shape`.
        beta: β, likewise.
        dtype: A float dtype, floatx by default.
        seed: Where the randomness comes from, see `lumbre.ops.random`.

    Raises:
        ValueError: The dtype, the shape, a parameter or the seed is not acceptable. (Parameters in tensors
            are not looked at: bad ones give NaN.)

    Example:
        >>> from lumbre import ops
        >>> round(float(ops.random.beta((10000,), 3.0, 1.0, seed=1).numpy().mean()), 2)
        0.75
    """
    for what, value in (("alpha", alpha), ("beta", beta)):
        _check("beta", what, value, _positive, "positive and finite")
    both, kind = _prepare("beta", shape, dtype, {"alpha": alpha, "beta": beta})
    logs: Any = kernel("random_gamma", draw_state(seed), stack(both), log=True)
    return ew.cast(activation.sigmoid(ew.subtract(logs[0], logs[1])), kind)


def _binomial_ref(shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: int = 0) -> Any:
    ns = np.broadcast_to(np.floor(np.asarray(counts, float)), shape).ravel()
    ps = np.broadcast_to(np.asarray(probabilities, float), shape).ravel()
    drawn = []
    for n, p, unit in zip(ns, ps, philox.streams(seed, 0, ns.size), strict=True):
        less = min(p, 1 - p)
        k = (_by_inversion if n * less < 10 else _by_rejection)(n, less, unit)
        drawn.append(n - k if p > 0.5 else k)
    return np.reshape(drawn, shape)


def _pmf(n: float, p: float, k: float) -> float:
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(ways + k * math.log(p) + (n - k) * math.log1p(-p)) if p > 0 else float(k == 0)


def _by_inversion(n: float, p: float, unit: Iterator[float]) -> float:
    rest, k = next(unit), 0.0
    while k < n and rest > _pmf(n, p, k):
        rest -= _pmf(n, p, k)
        k += 1
    return k


def _by_rejection(n: float, p: float, unit: Iterator[float]) -> float:
    spread = math.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    most = _pmf(n, p, math.floor((n + 1) * p))
    while True:
        u, v = next(unit) - 0.5, next(unit)
        edge = 0.5 - abs(u)
        k = math.floor((2 * a / edge + b) * u + n * p + 0.5)
        if edge >= 0.07 and v <= 0.92 - 4.2 / b:
            return k
        weight = v * (2.83 + 5.1 / b) * spread / (a / edge**2 + b)
        if 0 <= k <= n and weight <= _pmf(n, p, k) / most:
            return k


@op(
    ref=_binomial_ref,
    cases=[
        Case(((3, 50), 9.0, 0.5), {"seed": 1}),
        Case(((2, 40), [[30], [2000]], [[0.8], [0.25]]), {"seed": 2}),
        Case(((100,), 50.0, [0.0, 0.3, 0.5, 0.9, 1.0] * 20, "float64"), {"seed": 3}),
    ],
    bad=[
        Bad(((2,), 1.0, 1.0), ValueError, _DTYPE_BAD, {"dtype": "int32"}),
        Bad(((2,), -1.0, 0.5), ValueError, "binomial: `counts` must be finite and not negative, got -1"),
        Bad(((2,), 3, [0.5, 1.5]), ValueError, r"`probabilities` must be from 0 to 1, got 1.5"),
    ],
    kernels=["random_binomial"],
)
def binomial(
    shape: Sequence[int], counts: Any, probabilities: Any, dtype: str | None = None, seed: Any = None
) -> Tensor:
    """Draws the number of successes in `counts` trials that succeed with `probabilities`.

    Source: Hörmann 1993, The Generation of Binomial Random Variates (BTRS), where 10 successes or failures
    are to be expected, else by inversion.

    Args:
        shape: The shape of the result.
        counts: The numbers of trials, rounded down: a number, or numbers that broadcast to `shape`.
        probabilities: The probability of success, likewise.
        dtype: A float dtype, floatx by default.
        seed: Where the randomness comes from, see `lumbre.ops.random`.

    Raises:
        ValueError: The dtype, the shape, a parameter or the seed is not acceptable. (Parameters in tensors
            are not looked at: bad ones give NaN.)

    Example:
        >>> from lumbre import ops
        >>> round(float(ops.random.binomial((10000,), 20, 0.25, seed=1).numpy().mean()), 1)
        5.0
    """
    _check("binomial", "counts", counts, lambda n: (n >= 0) & np.isfinite(n), "finite and not negative")
    _check("binomial", "probabilities", probabilities, lambda p: (p >= 0) & (p <= 1), "from 0 to 1")
    both, kind = _prepare("binomial", shape, dtype, {"counts": counts, "probabilities": probabilities})
    y: Tensor = kernel("random_binomial", draw_state(seed), *both)
    return ew.cast(y, kind)
