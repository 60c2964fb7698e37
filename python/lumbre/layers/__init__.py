"""The layers that models are made of."""

from __future__ import annotations

from lumbre.layers import serialization as _serialization
from lumbre.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from lumbre.layers.core import Dense, Identity, Masking
from lumbre.layers.dtype_policy import DTypePolicy
from lumbre.layers.input_layer import Input, InputLayer
from lumbre.layers.input_spec import InputSpec
from lumbre.layers.layer import Layer
from lumbre.layers.merging import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    maximum,
    minimum,
    multiply,
    subtract,
)
from lumbre.layers.regularization import ActivityRegularization, Dropout, GaussianNoise
from lumbre.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from lumbre.layers.serialization import deserialize, serialize

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "Average",
    "Concatenate",
    "DTypePolicy",
    "Dense",
    "Dropout",
    "Flatten",
    "GaussianNoise",
    "Identity",
    "Input",
    "InputLayer",
    "InputSpec",
    "Layer",
    "LeakyReLU",
    "Masking",
    "Maximum",
    "Minimum",
    "Multiply",
    "PReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Reshape",
    "Softmax",
    "Subtract",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "maximum",
    "minimum",
    "multiply",
    "serialize",
    "subtract",
]

_serialization.register(
    *(kind for kind in list(globals().values()) if isinstance(kind, type) and issubclass(kind, Layer))
)
