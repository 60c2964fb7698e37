"""Losses: what training makes small. Functions give a value per sample, classes one number."""

from __future__ import annotations

from lumbre.lookup import Lookup
from lumbre.losses.crossentropy import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    KLDivergence,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    kl_divergence,
    sparse_categorical_crossentropy,
)
from lumbre.losses.hinge import (
    CategoricalHinge,
    Hinge,
    SquaredHinge,
    categorical_hinge,
    hinge,
    squared_hinge,
)
from lumbre.losses.loss import Loss, LossFunctionWrapper
from lumbre.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
)
from lumbre.losses.segmentation import Dice, Tversky, dice, tversky
from lumbre.losses.similarity import Circle, circle

_lookup = Lookup(
    "loss",
    "keras.losses",
    [
        *(BinaryCrossentropy, BinaryFocalCrossentropy, CategoricalCrossentropy),
        *(CategoricalFocalCrossentropy, KLDivergence, SparseCategoricalCrossentropy),
        *(CategoricalHinge, Hinge, SquaredHinge, CosineSimilarity, Huber, LogCosh, MeanAbsoluteError),
        *(MeanAbsolutePercentageError, MeanSquaredError, MeanSquaredLogarithmicError, Poisson),
        *(CategoricalGeneralizedCrossEntropy, Circle, Dice, Tversky),
        *(categorical_generalized_cross_entropy, circle, dice, tversky),
        *(binary_crossentropy, binary_focal_crossentropy, categorical_crossentropy),
        *(categorical_focal_crossentropy, kl_divergence, sparse_categorical_crossentropy),
        *(categorical_hinge, hinge, squared_hinge, cosine_similarity, huber, log_cosh),
        *(mean_absolute_error, mean_absolute_percentage_error, mean_squared_error),
        *(mean_squared_logarithmic_error, poisson),
    ],
    aliases={
        short: function
        for shorts, function in (
            (("bce", "BCE"), binary_crossentropy),
            (("kld", "KLD"), kl_divergence),
            (("mae", "MAE"), mean_absolute_error),
            (("mape", "MAPE"), mean_absolute_percentage_error),
            (("mse", "MSE"), mean_squared_error),
            (("msle", "MSLE"), mean_squared_logarithmic_error),
        )
        for short in shorts
    },
    bases=(Loss,),
)

get = _lookup.get
serialize = _lookup.serialize
deserialize = _lookup.deserialize

# The short names of `tf.keras`.
mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
kld = KLD = kullback_leibler_divergence = kl_divergence
logcosh = log_cosh

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "Circle",
    "CosineSimilarity",
    "Dice",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "circle",
    "cosine_similarity",
    "deserialize",
    "dice",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]
