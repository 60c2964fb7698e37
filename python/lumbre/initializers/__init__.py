"""Initializers: where weights start.

An initializer is called with a shape and a dtype and returns a Tensor. The random ones draw from
the counter-based generator of `lumbre.random`, so a seed gives the same values on every machine.
One without a seed chooses it when it is made (`lumbre.utils.set_random_seed` fixes the choice), and
draws the same values at every call.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lumbre.autograd import Tensor
from lumbre.initializers.drawn import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomInitializer,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    compute_fans,
)
from lumbre.initializers.initializer import STFT, Constant, Identity, Initializer, Ones, Zeros
from lumbre.lookup import Lookup

zeros = Zeros
ones = Ones
constant = Constant
identity = IdentityInitializer = Identity
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
glorot_uniform = GlorotUniform
glorot_normal = GlorotNormal
he_uniform = HeUniform
he_normal = HeNormal
lecun_uniform = LecunUniform
lecun_normal = LecunNormal
orthogonal = OrthogonalInitializer = Orthogonal
stft = STFTInitializer = STFT

_lookup = Lookup(
    "initializer",
    "keras.initializers",
    [
        *(Zeros, Ones, Constant, Identity, RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling),
        *(GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal, Orthogonal),
        STFT,
    ],
    aliases={
        "IdentityInitializer": Identity,
        "OrthogonalInitializer": Orthogonal,
        "STFTInitializer": STFT,
        "uniform": RandomUniform,
        "normal": RandomNormal,
        "zero": Zeros,
        "one": Ones,
    },
)

serialize = _lookup.serialize
deserialize = _lookup.deserialize


def get(identifier: Any) -> Any:
    """The initializer that an identifier means; an array or Tensor is a `Constant` of itself.

    Args:
        identifier: A name, an initializer, its class, a callable `(shape, dtype=) -> Tensor`, a
            config, an array, or None, which stays None.

    Raises:
        ValueError: There is no initializer of that name.

    Example:
        >>> import lumbre
        >>> type(lumbre.initializers.get("he_normal")).__name__
        'HeNormal'
    """
    if isinstance(identifier, (np.ndarray, Tensor)):
        return Constant(identifier)
    return _lookup.get(identifier)


__all__ = [
    "STFT",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomInitializer",
    "RandomNormal",
    "RandomUniform",
    "STFTInitializer",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "compute_fans",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "stft",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]
