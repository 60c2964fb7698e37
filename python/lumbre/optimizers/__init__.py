"""Optimizers: how parameters follow their gradients."""

from __future__ import annotations

from lumbre.lookup import Lookup
from lumbre.optimizers import schedules
from lumbre.optimizers.adafactor import Adafactor
from lumbre.optimizers.adagrad import Adadelta, Adagrad
from lumbre.optimizers.adam import Adam, AdamW
from lumbre.optimizers.adamax import Adamax
from lumbre.optimizers.ftrl import Ftrl
from lumbre.optimizers.lamb import Lamb
from lumbre.optimizers.lion import Lion
from lumbre.optimizers.loss_scale import LossScaleOptimizer
from lumbre.optimizers.muon import Muon
from lumbre.optimizers.nadam import Nadam
from lumbre.optimizers.optimizer import Optimizer
from lumbre.optimizers.rmsprop import RMSprop
from lumbre.optimizers.schedule_free import ScheduleFreeAdamW
from lumbre.optimizers.sgd import SGD

_lookup = Lookup(
    "optimizer",
    "keras.optimizers",
    [
        *(SGD, Adam, AdamW, RMSprop, Nadam, Adamax, Adagrad, Adadelta, Adafactor, Ftrl, Lion, Lamb, Muon),
        *(ScheduleFreeAdamW, LossScaleOptimizer),
    ],
    bases=(Optimizer,),
    callables=False,
    ignore_case=True,
)

get = _lookup.get
serialize = _lookup.serialize
deserialize = _lookup.deserialize

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]
