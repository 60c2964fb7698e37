"""Where randomness comes from: what may be given as a seed, and the state that it stands for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from lumbre.autograd import Tensor, as_tensor

_default: list[Callable[[], Any]] = []


def set_default_generator(generator: Callable[[], Any]) -> None:
    """Says what `seed=None` means: `generator()` gives the SeedGenerator to draw from."""
    _default[:] = [generator]


def draw_state(seed: Any) -> Tensor:
    """The state to draw with: int64 of shape (2,), key and counter.

    Raises:
        ValueError: It is no seed.
    """
    if seed is None and _default:
        seed = _default[0]()
    if hasattr(seed, "next"):
        state: Tensor = seed.next()
        return state
    if isinstance(seed, Tensor):
        return seed
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        return _seeded(int(seed))
    raise ValueError(
        "Argument `seed` must be either an integer or an instance of `SeedGenerator`. "
        f"Received: seed={seed} (of type {type(seed)})"
    )


@functools.lru_cache(maxsize=256)
def _seeded(seed: int) -> Tensor:
    """A seed's state: the same tensor each time, so that recordings of a step meet the same memory."""
    # Seeds of any size, negative ones too, wrap into the 64 bits of the key.
    key = (seed + 2**63) % 2**64 - 2**63
    return as_tensor(np.array([key, 0], np.int64))
