"""Models: chains, graphs and subclasses of one's own."""

from __future__ import annotations

from lumbre.layers import serialization as _serialization
from lumbre.models.cloning import clone_model
from lumbre.models.function import Function
from lumbre.models.functional import Functional
from lumbre.models.model import Model, model_from_json
from lumbre.models.sequential import Sequential

__all__ = ["Function", "Functional", "Model", "Sequential", "clone_model", "model_from_json"]

_serialization.register(Functional, Model, Sequential)
