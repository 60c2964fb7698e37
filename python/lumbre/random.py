"""Random numbers from a counter-based generator: the same on every machine, for every thread count.

The functions are those of `lumbre.ops.random`. Each takes `seed`: an integer, with which each call draws
the same values; a `SeedGenerator`, which moves on at each call; or None, for the generator that
`lumbre.utils.set_random_seed` seeds.
"""

from __future__ import annotations

import random as python_random
from typing import Any

import numpy as np

from lumbre import ops
from lumbre.autograd import Tensor, kernel
from lumbre.lookup import auto_name
from lumbre.ops.random import (
    beta,
    binomial,
    categorical,
    dropout,
    gamma,
    normal,
    randint,
    shuffle,
    truncated_normal,
    uniform,
)
from lumbre.tensor import Variable

__all__ = [
    "SeedGenerator",
    "beta",
    "binomial",
    "categorical",
    "dropout",
    "gamma",
    "normal",
    "randint",
    "set_seed",
    "shuffle",
    "truncated_normal",
    "uniform",
]

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

    def next(self, ordered: bool = True) -> Tensor:
        """The state to draw with, an int64 tensor of shape (2,); the generator moves on.

        Args:
            ordered: Accepted as in Keras; draws are always in order.

        Example:
            >>> import lumbre
            >>> seed = lumbre.random.SeedGenerator(7)
            >>> seed.next().numpy().tolist(), seed.next().numpy().tolist()
            ([7, 0], [7, 1])
        """
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
    """A seed for an object that was given none; `set_seed` determines what follows."""
    return _seeds.randint(1, 10**9)


def global_seed_generator() -> SeedGenerator:
    """The generator behind `seed=None`."""
    if not _global:
        _global.append(SeedGenerator(make_default_seed(), name="global_seed_generator"))
    return _global[0]


def get_seeds_state() -> Any:
    """Where `make_default_seed` is: something for `set_seeds_state`."""
    return _seeds.getstate()


def set_seeds_state(state: Any) -> None:
    """Goes on where another process was."""
    _seeds.setstate(state)


def set_seed(seed: int) -> None:
    """Determines everything random in Lumbre from here on that is given no seed of its own.

    `lumbre.utils.set_random_seed` does so too, and seeds Python's `random` and NumPy besides.

    Args:
        seed: A whole number.

    Raises:
        ValueError: `seed` is none.

    Source: `tf.random.set_seed`.

    Example:
        >>> import lumbre
        >>> lumbre.random.set_seed(7)
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise ValueError(f"Argument `seed` must be an integer. Received: seed={seed}")
    seed = int(seed)
    _seeds.seed(seed)
    key = make_default_seed()
    if _global:
        # The Variable stays the same object: recorded steps that draw from it remain valid.
        _global[0].state.assign(_key_and_counter(key))
    else:
        _global.append(SeedGenerator(key, name="global_seed_generator"))


ops.random.set_default_generator(global_seed_generator)
