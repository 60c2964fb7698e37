"""Training has the same bits on every CPU level, for every number of threads, eager and replayed."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import lumbre
from lumbre import _core

HASH = "937c8c16d889a06437aa0f322587905e968a8a0d449e38ce1c7c6171b426a654"
"""SHA-256 of the weights after 50 steps: the same on every processor that lumbre runs on."""


def trained_weights(eager: bool) -> bytes:
    lumbre.utils.set_random_seed(1)
    rng = np.random.default_rng(2)
    x = rng.integers(0, 256, (400, 100)).astype("uint8")
    y = rng.integers(0, 10, 400)
    model = lumbre.Sequential(
        [
            lumbre.Input((100,)),
            lumbre.layers.Dense(67, "relu", kernel_initializer=lumbre.initializers.HeNormal(3)),
            lumbre.layers.Dropout(0.2, seed=4),
            lumbre.layers.Dense(33, "tanh", kernel_initializer=lumbre.initializers.GlorotUniform(5)),
            lumbre.layers.Dense(10, "softmax", kernel_initializer=lumbre.initializers.GlorotUniform(6)),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=eager)
    model.fit(x / np.float32(255), y, batch_size=40, epochs=5, shuffle=False, verbose=0)
    return b"".join(w.tobytes() for w in model.get_weights())


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("eager", [True, False], ids=["eager", "replayed"])
def test_hash_of_trained_weights(level: str, threads: int, eager: bool) -> None:
    before = _core.isa(), _core.num_threads()
    try:
        _core.set_isa(level)
        _core.set_num_threads(threads)
        assert hashlib.sha256(trained_weights(eager)).hexdigest() == HASH
    finally:
        _core.set_isa(before[0])
        _core.set_num_threads(before[1])
