"""Random numbers from a counter-based generator: the same on every machine, for every thread count.

Every function takes `seed`: an integer, with which each call draws the same values; a
`SeedGenerator`, which moves on at each call; or None, for the generator that
`lumbre.utils.set_random_seed` seeds.
"""

from __future__ import annotations

import random as python_random
from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbre import ops
from lumbre.autograd import Tensor, kernel
from lumbre.config import floatx
from lumbre.lookup import auto_name
from lumbre.tensor import Variable

# Where seeds come from that nobody chose. A generator of its own, so that neither a program's use of
# Python's `random` nor ours of it disturbs the other.
_seeds = python_random.Random()
_global: list[SeedGenerator] = []


class SeedGenerator:
    """The state of a stream of random numbers: a key, and how many times it was drawn from.

    The state is a Variable, so that drawing inside a recorded training step moves it on at every
    replay, as it does eagerly.

    Args:
        seed: The key; by default one that is chosen now.
        name: A name for the state's Variable.

    Raises:
        ValueError: `seed` is not an integer.

    Example:
        >>> import lumbre
        >>> g = lumbre.random.SeedGenerator(seed=1)
        >>> a, b = lumbre.random.uniform((2,), seed=g), lumbre.random.uniform((2,), seed=g)
        >>> bool((a.numpy() == b.numpy()).any())
        False
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        if kwargs:
            raise ValueError(f"Unrecognized keyword arguments: {kwargs}")
        if seed is None:
            seed = make_default_seed()
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise ValueError(f"Argument `seed` must be an integer. Received: seed={seed}")
        self.name = name or auto_name("seed_generator")
        self._initial_seed = int(seed)
        self.state = Variable(
            _key_and_counter(self._initial_seed), dtype="int64", trainable=False, name="seed_generator_state"
        )

    def next(self) -> Tensor:
        """The state to draw with, an int64 tensor of shape (2,); the generator moves on."""
        drawn = self.state.value
        kernel("rng_advance", inout=[self.state.cell], n=1)
        return drawn

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain Python values."""
        return {"seed": self._initial_seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """A generator at the start of the stream that `get_config` described."""
        return cls(**config)


def _key_and_counter(seed: int) -> np.ndarray:
    # Seeds of any size, negative ones too, wrap into the 64 bits of the key.
    return np.array([np.uint64(seed % 2**64).astype(np.int64), 0], dtype=np.int64)


def make_default_seed() -> int:
    """A seed for an object that was given none; `set_global_seed` determines what follows."""
    return _seeds.randint(1, 10**9)


def global_seed_generator() -> SeedGenerator:
    """The generator behind `seed=None`."""
    if not _global:
        _global.append(SeedGenerator(make_default_seed(), name="global_seed_generator"))
    return _global[0]


def set_global_seed(seed: int) -> None:
    """Determines everything random from here on that is given no seed of its own."""
    _seeds.seed(seed)
    key = make_default_seed()
    if _global:
        # The Variable stays the same object: recorded steps that draw from it remain valid.
        _global[0].state.assign(_key_and_counter(key))
    else:
        _global.append(SeedGenerator(key, name="global_seed_generator"))


ops.random.set_default_generator(global_seed_generator)


def uniform(
    shape: Sequence[int],
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: str | None = None,
    seed: Any = None,
) -> Tensor:
    """Draws evenly from `minval` (included) to `maxval` (excluded).

    Example:
        >>> import lumbre
        >>> lumbre.random.uniform((2, 3), seed=1).shape
        (2, 3)
    """
    return ops.random.uniform(tuple(shape), minval, maxval, dtype=dtype or floatx(), seed=seed)


def normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: str | None = None,
    seed: Any = None,
) -> Tensor:
    """Draws from the normal distribution.

    Example:
        >>> import lumbre
        >>> lumbre.random.normal((2, 3), seed=1).shape
        (2, 3)
    """
    return ops.random.normal(tuple(shape), mean, stddev, dtype=dtype or floatx(), seed=seed)


def truncated_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: str | None = None,
    seed: Any = None,
) -> Tensor:
    """Draws from the normal distribution cut at two standard deviations.

    Example:
        >>> import lumbre
        >>> bool(abs(lumbre.random.truncated_normal((1000,), seed=1).numpy()).max() <= 2.0)
        True
    """
    return ops.random.truncated_normal(tuple(shape), mean, stddev, dtype=dtype or floatx(), seed=seed)


def randint(shape: Sequence[int], minval: int, maxval: int, dtype: str = "int32", seed: Any = None) -> Tensor:
    """Draws integers from `minval` (included) to `maxval` (excluded).

    Example:
        >>> import lumbre
        >>> draws = lumbre.random.randint((100,), 0, 3, seed=1).numpy()
        >>> sorted({int(n) for n in draws})
        [0, 1, 2]
    """
    return ops.random.randint(tuple(shape), minval, maxval, dtype=dtype, seed=seed)


def dropout(
    inputs: Any, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Any = None
) -> Tensor:
    """Sets a share `rate` of the elements to 0 and scales the others by 1 / (1 - rate).

    `noise_shape`, which broadcasts to the input's shape, says which elements share their fate.
    Source: Srivastava et al. 2014, Dropout: A Simple Way to Prevent Neural Networks from Overfitting.

    Example:
        >>> import lumbre
        >>> sorted({float(x) for x in lumbre.random.dropout([1.0] * 50, 0.5, seed=1).numpy()})
        [0.0, 2.0]
    """
    return ops.random.dropout(inputs, rate, noise_shape=noise_shape, seed=seed)


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Tensor:
    """The slices of `x` along `axis` in a random order.

    Example:
        >>> import lumbre
        >>> sorted(lumbre.random.shuffle([3, 1, 2], seed=1).numpy().tolist())
        [1, 2, 3]
    """
    return ops.random.shuffle(x, axis=axis, seed=seed)


def categorical(logits: Any, num_samples: int, dtype: str = "int32", seed: Any = None) -> Tensor:
    """Draws class indices, `(batch, num_samples)`, with probabilities softmax(logits).

    Example:
        >>> import lumbre
        >>> lumbre.random.categorical([[0.0, -1000.0]], 3, seed=1).numpy()
        array([[0, 0, 0]], dtype=int32)
    """
    return ops.random.categorical(logits, num_samples, dtype=dtype, seed=seed)
