"""Initializers that draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbre import random
from lumbre.autograd import Tensor, as_tensor
from lumbre.config import floatx
from lumbre.initializers.initializer import Initializer

# The standard deviation of a standard normal that is cut at two standard deviations.
_TRUNCATED_STDDEV = 0.87962566103423978


class RandomInitializer(Initializer):
    """The base of those that draw: keeps the seed.

    Args:
        seed: An integer, with which every call draws the same; a `SeedGenerator`, with which each
            call draws anew; by default an integer chosen now.

    Raises:
        ValueError: `seed` is something else.
    """

    def __init__(self, seed: Any = None) -> None:
        self._given_seed = seed
        if seed is None:
            seed = random.make_default_seed()
        elif isinstance(seed, dict):
            seed = random.SeedGenerator.from_config(seed.get("config", seed))
        elif isinstance(seed, bool) or not isinstance(seed, (int, np.integer, random.SeedGenerator)):
            raise ValueError(
                "`seed` argument should be an instance of `keras.random.SeedGenerator()` or an "
                f"integer. Received: seed={seed}"
            )
        self.seed = seed

    def get_config(self) -> dict[str, Any]:
        seed = self._given_seed
        if isinstance(seed, random.SeedGenerator):
            return {"seed": {"class_name": "SeedGenerator", "config": seed.get_config()}}
        return {"seed": int(seed) if isinstance(seed, np.integer) else seed}


class RandomNormal(RandomInitializer):
    """Draws from the normal distribution with `mean` and `stddev`.

    Example:
        >>> import lumbre
        >>> lumbre.initializers.RandomNormal(stddev=1.0, seed=0)((2, 3)).shape
        (2, 3)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean = mean
        self.stddev = stddev
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        return random.normal(tuple(shape), self.mean, self.stddev, dtype or floatx(), self.seed)

    def get_config(self) -> dict[str, Any]:
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class TruncatedNormal(RandomInitializer):
    """Draws from the normal distribution, and again where a value is beyond two `stddev` of `mean`.

    The standard deviation of what comes out is 0.88 · `stddev`.

    Example:
        >>> import lumbre
        >>> w = lumbre.initializers.TruncatedNormal(stddev=1.0, seed=0)((1000,))
        >>> bool(abs(w.numpy()).max() <= 2.0)
        True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean = mean
        self.stddev = stddev
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        return random.truncated_normal(tuple(shape), self.mean, self.stddev, dtype or floatx(), self.seed)

    def get_config(self) -> dict[str, Any]:
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class RandomUniform(RandomInitializer):
    """Draws evenly from `minval` (included) to `maxval` (excluded).

    Example:
        >>> import lumbre
        >>> w = lumbre.initializers.RandomUniform(0.0, 1.0, seed=0)((1000,)).numpy()
        >>> bool(0.0 <= w.min() and w.max() < 1.0)
        True
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        self.minval = minval
        self.maxval = maxval
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        return random.uniform(tuple(shape), self.minval, self.maxval, dtype or floatx(), self.seed)

    def get_config(self) -> dict[str, Any]:
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


class VarianceScaling(RandomInitializer):
    """Draws with variance `scale / n`, n being what `mode` says, so that signals keep their size.

    n is the number of inputs of a unit ("fan_in"), of outputs ("fan_out"), or their mean
    ("fan_avg"). The uniform distribution reaches to ±sqrt(3 · scale / n); the truncated normal's
    stddev is enlarged by what the truncation takes away.

    Args:
        scale: The factor, positive.
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal" ("normal" means it too), "untruncated_normal" or "uniform".
        seed: An integer or a `SeedGenerator`.
        input_axes: The axes of the shape whose product is the number of inputs.
        output_axes: The axes whose product is the number of outputs. Unless both kinds are named,
            the shape is a kernel's: `(*window, inputs, outputs)`.

    Raises:
        ValueError: `scale`, `mode` or `distribution` is none of these.

    Example:
        >>> import lumbre
        >>> init = lumbre.initializers.VarianceScaling(2.0, "fan_in", "uniform", seed=1)
        >>> w = init((6, 100)).numpy()
        >>> bool(abs(w).max() <= 1.0)
        True
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: int | Sequence[int] | None = None,
        output_axes: int | Sequence[int] | None = None,
    ) -> None:
        if scale <= 0.0:
            raise ValueError(f"Argument `scale` must be positive float. Received: scale={scale}")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            allowed = "{'fan_in', 'fan_out', 'fan_avg'}"
            raise ValueError(f"Invalid `mode` argument: {mode}. Please use one of {allowed}")
        distribution = distribution.lower()
        if distribution == "normal":
            distribution = "truncated_normal"
        if distribution not in ("uniform", "truncated_normal", "untruncated_normal"):
            allowed = "{'uniform', 'truncated_normal', 'untruncated_normal'}"
            raise ValueError(f"Invalid `distribution` argument: {distribution}. Please use one of {allowed}")
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.input_axes = input_axes
        self.output_axes = output_axes
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        where = (tuple(shape),)
        how = (dtype or floatx(), self.seed)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return random.uniform(*where, -limit, limit, *how)
        if self.distribution == "untruncated_normal":
            return random.normal(*where, 0.0, math.sqrt(variance), *how)
        return random.truncated_normal(*where, 0.0, math.sqrt(variance) / _TRUNCATED_STDDEV, *how)

    def get_config(self) -> dict[str, Any]:
        return {
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            **super().get_config(),
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


class _Scaled(VarianceScaling):
    """A `VarianceScaling` whose law is a constant of the class: (scale, mode, distribution)."""

    law: tuple[float, str, str]

    def __init__(
        self,
        seed: Any = None,
        input_axes: int | Sequence[int] | None = None,
        output_axes: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self.law, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {k: config[k] for k in ("seed", "input_axes", "output_axes")}


class GlorotUniform(_Scaled):
    """Uniform within ±sqrt(6 / (fan_in + fan_out)): a Dense layer's default.

    Source: Glorot and Bengio 2010, Understanding the Difficulty of Training Deep Feedforward Neural
    Networks.

    Example:
        >>> import lumbre
        >>> w = lumbre.initializers.GlorotUniform(seed=0)((3, 3)).numpy()
        >>> bool(abs(w).max() <= 1.0)
        True
    """

    law = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal of variance 2 / (fan_in + fan_out). Source: Glorot and Bengio 2010.

    Example:
        >>> import lumbre
        >>> lumbre.initializers.GlorotNormal(seed=0)((3, 4)).shape
        (3, 4)
    """

    law = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform within ±sqrt(6 / fan_in): for layers with a rectifier.

    Source: He et al. 2015, Delving Deep into Rectifiers.

    Example:
        >>> import lumbre
        >>> lumbre.initializers.HeUniform(seed=0)((3, 4)).shape
        (3, 4)
    """

    law = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal of variance 2 / fan_in. Source: He et al. 2015.

    Example:
        >>> import lumbre
        >>> lumbre.initializers.HeNormal(seed=0)((3, 4)).shape
        (3, 4)
    """

    law = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform within ±sqrt(3 / fan_in). Source: LeCun et al. 1998, Efficient BackProp.

    Example:
        >>> import lumbre
        >>> lumbre.initializers.LecunUniform(seed=0)((3, 4)).shape
        (3, 4)
    """

    law = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal of variance 1 / fan_in: for layers with `selu`. Source: LeCun et al. 1998.

    Example:
        >>> import lumbre
        >>> lumbre.initializers.LecunNormal(seed=0)((3, 4)).shape
        (3, 4)
    """

    law = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """`gain` times a random matrix with orthonormal rows or columns, whichever are fewer.

    A shape of more dimensions is seen as a matrix whose columns are its last axis. The matrix is the
    Q of the QR decomposition of a normal matrix, with the signs that make R's diagonal positive.
    Source: Saxe, McClelland and Ganguli 2014, Exact Solutions to the Nonlinear Dynamics of Learning in
    Deep Linear Neural Networks; Mezzadri 2007 for the signs.

    Raises:
        ValueError: The shape has fewer than two dimensions.

    Example:
        >>> import lumbre
        >>> w = lumbre.initializers.Orthogonal(seed=0)((2, 2)).numpy()
        >>> (w @ w.T).round(5) + 0.0
        array([[1., 0.],
               [0., 1.]], dtype=float32)
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        self.gain = gain
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        if len(shape) < 2:
            raise ValueError(
                "The tensor to initialize must be at least two-dimensional. "
                f"Received: shape={shape} of rank {len(shape)}."
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        drawn = random.normal((max(rows, columns), min(rows, columns)), 0.0, 1.0, "float32", self.seed)
        # In float64, so that what LAPACK is installed shows only in digits that are rounded away.
        q, r = np.linalg.qr(drawn.numpy().astype("float64"))
        q = q * np.where(np.diagonal(r) < 0.0, -1.0, 1.0)
        q = self.gain * (q.T if rows < columns else q)
        dtype = dtype or floatx()
        wide = "float64" if dtype == "float64" else "float32"
        return as_tensor(q.reshape(tuple(shape)).astype(wide), dtype)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain, **super().get_config()}


def compute_fans(
    shape: Sequence[int],
    input_axes: int | Sequence[int] | None = None,
    output_axes: int | Sequence[int] | None = None,
) -> tuple[int, int]:
    """How many inputs feed a unit of a weight of this shape, and how many outputs an input feeds.

    Unless both kinds of axes are named, the shape is a kernel's: `(*window, inputs, outputs)`.

    Example:
        >>> compute_fans((3, 3, 16, 32))
        (144, 288)
    """
    dims = tuple(int(n) for n in shape)
    if input_axes is not None and output_axes is not None:
        return _count(dims, input_axes), _count(dims, output_axes)
    if not dims:
        return 1, 1
    if len(dims) == 1:
        return dims[0], dims[0]
    window = math.prod(dims[:-2])
    return window * dims[-2], window * dims[-1]


def _count(dims: tuple[int, ...], axes: int | Sequence[int]) -> int:
    return math.prod(dims[a] for a in ([axes] if isinstance(axes, int) else axes))
