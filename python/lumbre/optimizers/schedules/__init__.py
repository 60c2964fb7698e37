"""Learning rates that change from step to step."""

from __future__ import annotations

from lumbre.lookup import Lookup
from lumbre.optimizers.schedules.cosine import CosineDecay, CosineDecayRestarts
from lumbre.optimizers.schedules.decay import (
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from lumbre.optimizers.schedules.phases import OneCycle, WarmupStableDecay
from lumbre.optimizers.schedules.schedule import LearningRateSchedule

_lookup = Lookup(
    "learning rate schedule",
    "keras.optimizers.schedules",
    [
        *(CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay),
        *(PiecewiseConstantDecay, PolynomialDecay, WarmupStableDecay, OneCycle),
    ],
    bases=(LearningRateSchedule,),
)

serialize = _lookup.serialize
deserialize = _lookup.deserialize

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "WarmupStableDecay",
    "deserialize",
    "serialize",
]
