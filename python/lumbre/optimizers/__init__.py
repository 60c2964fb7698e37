"""Optimizers: how parameters follow their gradients."""

from __future__ import annotations

from lumbre.lookup import Lookup
from lumbre.optimizers import schedules
from lumbre.optimizers.adam import Adam, AdamW
from lumbre.optimizers.optimizer import Optimizer
from lumbre.optimizers.rmsprop import RMSprop
from lumbre.optimizers.sgd import SGD

_lookup = Lookup(
    "optimizer",
    "keras.optimizers",
    [SGD, Adam, AdamW, RMSprop],
    bases=(Optimizer,),
    callables=False,
    ignore_case=True,
)

get = _lookup.get
serialize = _lookup.serialize
deserialize = _lookup.deserialize

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]
