"""Metrics: what is measured while training and evaluating."""

from __future__ import annotations

from typing import Any

from lumbre import losses, registration
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
    accuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from lumbre.metrics.auc import AUC
from lumbre.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from lumbre.metrics.correlation import (
    ConcordanceCorrelation,
    PearsonCorrelation,
    concordance_correlation,
    pearson_correlation,
)
from lumbre.metrics.f_score import F1Score, FBetaScore
from lumbre.metrics.hinge import CategoricalHinge, Hinge, SquaredHinge
from lumbre.metrics.iou import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from lumbre.metrics.metric import Metric
from lumbre.metrics.operating_points import (
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
)
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
    R2Score,
    RootMeanSquaredError,
    cosine_similarity,
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
        *(MeanSquaredLogarithmicError, RootMeanSquaredError, R2Score),
        *(TruePositives, TrueNegatives, FalsePositives, FalseNegatives, Precision, Recall, AUC),
        *(SensitivityAtSpecificity, SpecificityAtSensitivity, PrecisionAtRecall, RecallAtPrecision),
        *(F1Score, FBetaScore, IoU, BinaryIoU, MeanIoU, OneHotIoU, OneHotMeanIoU),
        *(PearsonCorrelation, ConcordanceCorrelation),
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

# The short names of `tf.keras`, which are the losses' functions.
mse = MSE = losses.mse
mae = MAE = losses.mae
mape = MAPE = losses.mape
msle = MSLE = losses.msle
kld = KLD = kullback_leibler_divergence = losses.kl_divergence
logcosh = losses.log_cosh

_functions = {
    f.__name__: f
    for f in (
        *(accuracy, binary_accuracy, categorical_accuracy, sparse_categorical_accuracy),
        *(top_k_categorical_accuracy, sparse_top_k_categorical_accuracy),
        *(pearson_correlation, concordance_correlation, cosine_similarity),
    )
}
registration.declare("keras.metrics", _functions)


def function(name: str) -> Any:
    """The function of that name: one of the metrics', or a loss's.

    Raises:
        ValueError: There is none.
    """
    return _functions.get(name) or losses.get(name)


__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "IoU",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "concordance_correlation",
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
    "pearson_correlation",
    "poisson",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]
