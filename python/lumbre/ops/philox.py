"""The counter-based generator in NumPy: what the random ops are checked against.

Philox4x32-10: Salmon, Moraes, Dror and Shaw 2011, Parallel Random Numbers: As Easy as 1, 2, 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

BLOCKS = 16
"""Blocks in a group; element order follows groups, see `words`."""

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def words(key: int, counter: int, groups: int) -> np.ndarray:
    """The first groups of bits of a draw, uint32 of shape (groups, 4, 16): word w of block b at [:, w, b].

    Example:
        >>> [hex(w) for w in words(0, 0, 1)[0, :, 0]]
        ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    block = np.arange(groups * BLOCKS, dtype=np.uint64)
    whole = np.ones_like(block)
    a, b = block & _LOW, block >> _HALF
    x, y = whole * np.uint64(counter % 2**32), whole * np.uint64(counter % 2**64 >> 32)
    k, m = key % 2**32, key % 2**64 >> 32
    for _ in range(10):
        p, q = a * np.uint64(0xD2511F53), x * np.uint64(0xCD9E8D57)
        a, b = (q >> _HALF) ^ b ^ np.uint64(k), q & _LOW
        x, y = (p >> _HALF) ^ y ^ np.uint64(m), p & _LOW
        k, m = (k + 0x9E3779B9) % 2**32, (m + 0xBB67AE85) % 2**32
    return np.stack([a, b, x, y], axis=1).reshape(groups, BLOCKS, 4).transpose(0, 2, 1).astype(np.uint32)


def narrow(key: int, counter: int, n: int) -> np.ndarray:
    """The 32-bit words of a draw of n elements, in the order of the elements."""
    return words(key, counter, -(-n // 64)).reshape(-1)[:n]


def wide(key: int, counter: int, n: int) -> np.ndarray:
    """The 64-bit words of a draw of n elements, in the order of the elements."""
    w = words(key, counter, -(-n // 32)).astype(np.uint64)
    return (w[:, 1::2] << _HALF | w[:, 0::2]).reshape(-1)[:n]


def halves(key: int, counter: int, n: int) -> np.ndarray:
    """The 16-bit words of a draw of n elements, in the order of the elements."""
    w = words(key, counter, -(-n // 128))
    return np.stack([w & 0xFFFF, w >> 16], axis=2).reshape(-1)[:n]


def streams(key: int, counter: int, n: int) -> Iterator[Iterator[float]]:
    """For each of n elements its own numbers in (0, 1]: 53 bits, two from each of blocks i, i + n, …"""
    tries = 64
    w = words(key, counter, -(-n * tries // BLOCKS)).transpose(0, 2, 1).reshape(-1, 2, 2).astype(np.uint64)
    unit = 1 - ((w[..., 1] << _HALF | w[..., 0]) >> np.uint64(11)) * 2.0**-53
    return (iter(unit[i :: n or 1][:tries].ravel().tolist()) for i in range(n))


def below(word: int, bound: int) -> int:
    """A whole number below the bound: the upper half of the product with a 64-bit word."""
    return (int(word) * bound) >> 64


def normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: int = 0) -> Any:
    """Normal deviates, in float64 but from the bits that a draw in that dtype (float32 by default) takes."""
    n = math.prod(shape)
    if dtype == "float64":
        unit = (wide(seed, 0, -(-n // 32) * 32) >> np.uint64(11)).reshape(-1, 2, 16) * 2.0**-53
        radius, angle = np.sqrt(-2 * np.log(1 - unit[:, 0])), 2 * np.pi * unit[:, 1]
        pair = [radius * np.cos(angle), radius * np.sin(angle)]
        return (mean + stddev * np.stack(pair, 1).reshape(-1)[:n]).reshape(shape)
    w = words(seed, 0, -(-n // 64)).astype(np.int64).reshape(-1, 2, 16)
    bits = (w[:, 0] & 0x7FFFFFFF).astype(np.float32).astype(float)  # rounded: near 1 the logarithm shows it
    radius = np.sqrt(-2 * np.log(np.maximum(bits, 0.5) * 2.0**-31))
    angle = ((w[:, 1] & 0x3FFFFFFF) - 2**29) * (np.pi / 2 * 2.0**-30)
    cos, sin = np.where(w[:, 1] >> 31 & 1, -1, 1) * np.cos(angle), np.sin(angle)
    turned = w[:, 1] >> 30 & 1
    pair = [radius * np.where(turned, sin, cos), radius * np.where(turned, cos, sin)]
    return (mean + stddev * np.stack(pair, 1).reshape(-1)[:n]).reshape(shape)
