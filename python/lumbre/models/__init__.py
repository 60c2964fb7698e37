"""Models: chains, graphs and subclasses of one's own."""

from __future__ import annotations

from lumbre import registration as _registration
from lumbre.models.cloning import clone_model
from lumbre.models.files import load_model, save_model
from lumbre.models.function import Function
from lumbre.models.functional import Functional
from lumbre.models.model import Model, model_from_json
from lumbre.models.sequential import Sequential

__all__ = [
    "Function",
    "Functional",
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "model_from_json",
    "save_model",
]

_registration.declare("keras", {"Model": Model, "Sequential": Sequential})
_registration.declare("keras.models", {"Functional": Functional, "Model": Model, "Sequential": Sequential})
_registration.declare_as(Functional, "keras.src.models.functional", "Functional", "Functional")
