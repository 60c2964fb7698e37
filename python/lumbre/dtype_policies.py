"""Policies that say in which dtypes layers keep their weights and compute.

Example:
    >>> import lumbre
    >>> lumbre.dtype_policies.get("float64").compute_dtype
    'float64'
"""

from __future__ import annotations

from lumbre.layers.dtype_policy import (
    DTypePolicy,
    DTypePolicyMap,
    FloatDTypePolicy,
    deserialize,
    get,
    serialize,
)

__all__ = ["DTypePolicy", "DTypePolicyMap", "FloatDTypePolicy", "deserialize", "get", "serialize"]
