"""The layers that models are made of."""

from __future__ import annotations

from lumbre import registration as _registration
from lumbre.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from lumbre.layers.core import Dense, Identity, Masking
from lumbre.layers.dtype_policy import DTypePolicy
from lumbre.layers.input_layer import Input, InputLayer
from lumbre.layers.input_spec import InputSpec
from lumbre.layers.lambda_layer import Lambda
from lumbre.layers.layer import Layer
from lumbre.layers.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from lumbre.layers.normalization import (
    BatchNormalization,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)
from lumbre.layers.regularization import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from lumbre.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from lumbre.layers.serialization import deserialize, serialize
from lumbre.layers.wrapper import Wrapper

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNormalization",
    "Concatenate",
    "DTypePolicy",
    "Dense",
    "Dot",
    "Dropout",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "Input",
    "InputLayer",
    "InputSpec",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "Maximum",
    "Minimum",
    "Multiply",
    "PReLU",
    "Permute",
    "RMSNormalization",
    "ReLU",
    "RepeatVector",
    "Reshape",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Subtract",
    "UnitNormalization",
    "Wrapper",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "serialize",
    "subtract",
]

_registration.declare("keras", {"DTypePolicy": DTypePolicy, "Layer": Layer})
_registration.declare(
    "keras.layers",
    {
        name: kind
        for name, kind in list(globals().items())
        if isinstance(kind, type) and issubclass(kind, Layer)
    },
)
