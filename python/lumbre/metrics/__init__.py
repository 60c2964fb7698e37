"""Metrics: what is measured while training and evaluating."""

from __future__ import annotations

from lumbre.lookup import Lookup
from lumbre.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from lumbre.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from lumbre.metrics.hinge import CategoricalHinge, Hinge, SquaredHinge
from lumbre.metrics.metric import Metric
from lumbre.metrics.probabilistic import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
)
from lumbre.metrics.reduction import Mean, MeanMetricWrapper, Sum
from lumbre.metrics.regression import (
    CosineSimilarity,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    RootMeanSquaredError,
)

_lookup = Lookup(
    "metric",
    "keras.metrics",
    [
        *(Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy),
        *(SparseTopKCategoricalAccuracy, TopKCategoricalAccuracy, CategoricalHinge, Hinge, SquaredHinge),
        *(BinaryCrossentropy, CategoricalCrossentropy, KLDivergence, Poisson),
        *(SparseCategoricalCrossentropy, Mean, MeanMetricWrapper, Sum, CosineSimilarity, LogCoshError),
        *(MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError),
        *(MeanSquaredLogarithmicError, RootMeanSquaredError),
    ],
    aliases={
        # The spellings that Keras's own table has beside the names of the classes.
        "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
        "top_k_categorical_accuracy": TopKCategoricalAccuracy,
        "logcosh": LogCoshError,
        **{
            short: metric
            for shorts, metric in (
                (("bce", "BCE"), BinaryCrossentropy),
                (("kld", "KLD"), KLDivergence),
                (("mae", "MAE"), MeanAbsoluteError),
                (("mape", "MAPE"), MeanAbsolutePercentageError),
                (("mse", "MSE"), MeanSquaredError),
                (("msle", "MSLE"), MeanSquaredLogarithmicError),
            )
            for short in shorts
        },
    },
    bases=(Metric,),
)

get = _lookup.get
serialize = _lookup.serialize
deserialize = _lookup.deserialize

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Poisson",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "deserialize",
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
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]
