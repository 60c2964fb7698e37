"""The counter-based generator in NumPy: what the random ops are checked against.

Philox4x32-10: Salmon, Moraes, Dror and Shaw 2011, Parallel Random Numbers: As Easy as 1, 2, 3.
"""

from __future__ import annotations

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


def below(word: int, bound: int) -> int:
    """A whole number below the bound: the upper half of the product with a 64-bit word."""
    return (int(word) * bound) >> 64
