"""Random draws: functions of a generator's state and of each element's place.

So they are the same for any number of threads and on any processor. `seed` is an integer (each call draws
the same), a `SeedGenerator` (which moves on at each call), a state (an int64 tensor: key and counter), or
None for the process's own generator.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbre.autograd import FLOATS, Tensor, as_tensor, kernel
from lumbre.ops import elementwise as ew
from lumbre.ops import philox
from lumbre.ops import reduce as rd
from lumbre.ops import shapes as sh
from lumbre.ops.axes import dtype_name, normalize_axis, normalize_shape
from lumbre.ops.dtypes import floating
from lumbre.ops.indexing import take
from lumbre.ops.noise import alpha_dropout, dropout, gaussian_dropout
from lumbre.ops.seeds import draw_state, set_default_generator
from lumbre.ops.table import Bad, Case, In, op
from lumbre.ops.variates import beta, binomial, gamma

__all__ = [
    "alpha_dropout",
    "beta",
    "binomial",
    "categorical",
    "draw_state",
    "dropout",
    "gamma",
    "gaussian_dropout",
    "normal",
    "randint",
    "set_default_generator",
    "shuffle",
    "truncated_normal",
    "uniform",
]

_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


def _float_dtype(name: str, dtype: Any) -> tuple[str, str]:
    """The dtype to draw in and the one that is wanted."""
    kind = dtype_name(dtype)
    if kind not in FLOATS:
        raise ValueError(f"`keras.random.{name}` requires a floating point `dtype`. Received: dtype={dtype} ")
    return ("float64" if kind == "float64" else "float32"), kind


# ---------------------------------------------------------------------------------------------- distributions


def _uniform_ref(
    shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: int = 0
) -> Any:
    n = math.prod(shape)
    if dtype == "float64":
        unit = (philox.wide(seed, 0, n) >> np.uint64(11)) * 2.0**-53
    else:
        unit = (philox.narrow(seed, 0, n) >> 8) * 2.0**-24
    return (minval + unit * (maxval - minval)).reshape(shape)


@op(
    ref=_uniform_ref,
    cases=[
        Case(((3, 50),), {"seed": 1}),
        Case(((), -2.0, 3.0), {"seed": -5}),
        Case(((1000,), -2.0, 3.0, "float64"), {"seed": 2}),
        Case(((0, 3),), {"seed": 2**70 + 1}),
    ],
    bad=[
        Bad(
            ((2,),),
            ValueError,
            "requires a floating point `dtype`. Received: dtype=int32",
            {"dtype": "int32"},
        ),
        Bad(((2,), 1.0, 0.0), ValueError, "`minval` not above `maxval`; got 1 and 0", {"seed": 1}),
        Bad(((2, -1),), ValueError, "no negative sizes", {"seed": 1}),
        Bad(((2,),), ValueError, "Argument `seed` must be either an integer or an instance", {"seed": "1"}),
    ],
    kernels=["random_uniform"],
)
def uniform(
    shape: Sequence[int], minval: float = 0.0, maxval: float = 1.0, dtype: str | None = None, seed: Any = None
) -> Tensor:
    """Draws evenly from [minval, maxval): 24 random bits an element in float32, 53 in float64.

    Args:
        shape: The shape of the result.
        minval: The least value.
        maxval: What all values are below.
        dtype: A float dtype, floatx by default.
        seed: Where the randomness comes from, see the module.

    Raises:
        ValueError: The dtype, the shape, the interval or the seed is not acceptable.

    Example:
        >>> from lumbre import ops
        >>> ops.random.uniform((2, 3), seed=1).shape
        (2, 3)
    """
    made, kind = _float_dtype("uniform", dtype)
    sizes = normalize_shape("uniform", shape)
    state = draw_state(seed)
    y: Tensor = kernel(
        "random_uniform", state, shape=sizes, low=float(minval), high=float(maxval), dtype=made
    )
    return ew.cast(y, kind)


_MOMENTS_BAD = [
    Bad(((2,),), ValueError, "requires a floating point `dtype`. Received: dtype=bool", {"dtype": "bool"}),
    Bad(((2,), math.nan), ValueError, "must be finite numbers, got NaN and 1", {"seed": 1}),
]


@op(
    ref=philox.normal,
    cases=[
        Case(((3, 50),), {"seed": 1}),
        Case(((1000,), -2.0, 0.5), {"seed": 2}),
        Case(((100,), 1.0, 2.0, "float64"), {"seed": 3}),
    ],
    bad=_MOMENTS_BAD,
    kernels=["random_normal"],
)
def normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: str | None = None, seed: Any = None
) -> Tensor:
    """Draws from the normal distribution.

    Source: Box and Muller 1958, A Note on the Generation of Random Normal Deviates.

    Args:
        shape: The shape of the result.
        mean: The mean.
        stddev: The standard deviation.
        dtype: A float dtype, floatx by default.
        seed: Where the randomness comes from, see the module.

    Raises:
        ValueError: The dtype, the shape, a moment or the seed is not acceptable.

    Example:
        >>> from lumbre import ops
        >>> ops.random.normal((2, 3), seed=1).shape
        (2, 3)
    """
    made, kind = _float_dtype("normal", dtype)
    sizes = normalize_shape("normal", shape)
    state = draw_state(seed)
    y: Tensor = kernel(
        "random_normal", state, shape=sizes, mean=float(mean), stddev=float(stddev), dtype=made
    )
    return ew.cast(y, kind)


def _truncated_ref(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: int = 0
) -> Any:
    from statistics import NormalDist  # not on every import of the package

    n = math.prod(shape)
    if dtype == "float64":
        u = 2 * ((philox.wide(seed, 0, n) >> np.uint64(11)) * 2.0**-53) - 1
    else:
        u = philox.narrow(seed, 0, n).astype(np.int32) * 2.0**-31
    share = math.erf(math.sqrt(2))
    quantiles = np.array([NormalDist().inv_cdf((1 + share * v) / 2) for v in u])
    return (mean + stddev * np.clip(quantiles, -2, 2)).reshape(shape)


@op(
    ref=_truncated_ref,
    cases=[
        Case(((3, 50),), {"seed": 1}, ulp=16),
        Case(((1000,), -2.0, 0.5), {"seed": 2}, ulp=16),
        Case(((100,), 1.0, 2.0, "float64"), {"seed": 3}),
    ],
    bad=_MOMENTS_BAD,
    kernels=["random_truncated_normal"],
)
def truncated_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: str | None = None, seed: Any = None
) -> Tensor:
    """Draws from the normal distribution cut off at two standard deviations.

    An element is the inverse of that distribution's function at a uniform number. Arguments and errors as
    for `normal`.

    Example:
        >>> from lumbre import ops
        >>> bool(abs(ops.random.truncated_normal((1000,), seed=1).numpy()).max() <= 2.0)
        True
    """
    made, kind = _float_dtype("truncated_normal", dtype)
    sizes = normalize_shape("truncated_normal", shape)
    state = draw_state(seed)
    moments: dict[str, Any] = {"mean": float(mean), "stddev": float(stddev)}
    y: Tensor = kernel("random_truncated_normal", state, shape=sizes, **moments, dtype=made)
    return ew.cast(y, kind)


def _randint_ref(shape: Any, minval: int, maxval: int, dtype: Any = "int32", seed: int = 0) -> Any:
    drawn = philox.wide(seed, 0, math.prod(shape))
    whole = [minval + philox.below(word, maxval - minval) for word in drawn]
    return np.array(whole, dtype).reshape(shape)


@op(
    ref=_randint_ref,
    cases=[
        Case(((3, 50), -3, 4), {"seed": 1}),
        Case(((40,), -(2**63), 2**63 - 1, "int64"), {"seed": 2}),
        Case(((40,), 0, 256, "uint8"), {"seed": 3}),
    ],
    bad=[
        Bad(((2,), 0, 3, "float32"), ValueError, "requires an integer `dtype`. Received: dtype=float32"),
        Bad(((2,), 3, 3), ValueError, "`minval` must be below `maxval`", {"seed": 1}),
        Bad(((2,), 0, 2**40), ValueError, "must fit int32", {"seed": 1}),
    ],
    kernels=["random_int"],
)
def randint(shape: Sequence[int], minval: int, maxval: int, dtype: str = "int32", seed: Any = None) -> Tensor:
    """Draws whole numbers evenly from [minval, maxval).

    Args:
        shape: The shape of the result.
        minval: The least value.
        maxval: What all values are below.
        dtype: An integer dtype.
        seed: Where the randomness comes from, see the module.

    Raises:
        ValueError: The dtype, the shape, the interval or the seed is not acceptable.

    Example:
        >>> from lumbre import ops
        >>> sorted({int(n) for n in ops.random.randint((100,), 0, 3, seed=1).numpy()})
        [0, 1, 2]
    """
    kind = dtype_name(dtype)
    if kind not in _INTEGERS:
        raise ValueError(f"`keras.random.randint` requires an integer `dtype`. Received: dtype={dtype} ")
    made = "int64" if kind in ("int64", "uint32", "uint64") else "int32"
    sizes = normalize_shape("randint", shape)
    state = draw_state(seed)
    y: Tensor = kernel("random_int", state, shape=sizes, low=int(minval), high=int(maxval), dtype=made)
    return y if made == kind else ew.cast(y, kind)


# ---------------------------------------------------------------------------------------------------- choices


def _shuffle_ref(x: Any, axis: int = 0, seed: int = 0) -> Any:
    n = x.shape[axis]
    order = list(range(n))
    drawn = philox.wide(seed, 0, n)
    for i in reversed(range(n)):
        j = philox.below(drawn[i], i + 1)
        order[i], order[j] = order[j], order[i]
    return np.take(x, order, axis)


@op(
    ref=_shuffle_ref,
    cases=[
        Case((In((70, 2)),), {"seed": 1}),
        Case((In((2, 5)), 1), {"seed": 2}),
        Case((In((9,), 0, 9, "int32"),), {"seed": 3}),
    ],
    bad=[Bad((np.ones(3, "float32"), 1), ValueError, "axis 1 is out of range", {"seed": 1})],
    kernels=["random_permutation"],
)
def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Tensor:
    """The slices along an axis in a random order, each order as likely as another.

    Args:
        x: A tensor.
        axis: The axis.
        seed: Where the randomness comes from, see the module.

    Raises:
        ValueError: The axis is out of range, or the seed not acceptable.

    Example:
        >>> from lumbre import ops
        >>> sorted(ops.random.shuffle([3, 1, 2], seed=1).numpy().tolist())
        [1, 2, 3]
    """
    x = as_tensor(x)
    axis = normalize_axis("shuffle", axis, x.ndim)
    order: Tensor = kernel("random_permutation", draw_state(seed), n=x.shape[axis])
    return take(x, order, axis)


def _categorical_ref(logits: Any, num_samples: int, dtype: Any = "int32", seed: int = 0) -> Any:
    u = _uniform_ref((logits.shape[0], num_samples, logits.shape[1]), seed=seed)
    return np.argmax(logits[:, None, :] - np.log(-np.log(u)), axis=-1).astype(dtype)


@op(
    ref=_categorical_ref,
    cases=[
        Case((In((3, 4), grad=False), 50), {"seed": 1}),
        Case((In((1, 2), grad=False), 5, "int64"), {"seed": 2}),
    ],
    bad=[
        Bad(
            (np.ones(3, "float32"), 2),
            ValueError,
            r"should be a 2-D tensor with shape \[batch_size, num_classes\]",
        )
    ],
)
def categorical(logits: Any, num_samples: int, dtype: str = "int32", seed: Any = None) -> Tensor:
    """Draws class indices with probabilities softmax(logits).

    An index is the place of the greatest logit after Gumbel noise. Source: Gumbel 1954, Statistical Theory
    of Extreme Values.

    Args:
        logits: Of shape (batch, classes).
        num_samples: How many to draw for each row.
        dtype: The dtype of the result.
        seed: Where the randomness comes from, see the module.

    Returns:
        Indices of shape (batch, num_samples).

    Raises:
        ValueError: The logits have another rank, or the seed is not acceptable.

    Example:
        >>> from lumbre import ops
        >>> ops.random.categorical([[0.0, -1000.0]], 3, seed=1).numpy()
        array([[0, 0, 0]], dtype=int32)
    """
    (logits,), _ = floating(logits)
    if logits.ndim != 2:
        raise ValueError(
            f"`logits` should be a 2-D tensor with shape [batch_size, num_classes]. Received: logits={logits}"
        )
    shape = (logits.shape[0], operator.index(num_samples), logits.shape[1])
    noise = ew.negative(ew.log(ew.negative(ew.log(uniform(shape, dtype=logits.dtype, seed=seed)))))
    return ew.cast(rd.argmax(ew.add(sh.expand_dims(logits, 1), noise), -1), dtype)
