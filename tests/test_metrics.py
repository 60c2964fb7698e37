"""Metrics against the real Keras over several batches: values, weights, masks, names, messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import close, keras
from lumbre import metrics, ops

RNG = np.random.default_rng(0)
C = 7
SIZES = (6, 5, 3)


def batches(kind: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Three batches of different sizes: targets and predictions of one kind."""
    made = []
    for n in SIZES:
        logits = RNG.normal(0, 2, (n, C)).astype("float32")
        probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        indices = RNG.integers(0, C, n)
        made.append(
            {
                "categories": (np.eye(C, dtype="float32")[indices], probabilities),
                "indices": (indices, probabilities),
                "index column": (indices[:, None].astype("float32"), probabilities),
                "logits": (np.eye(C, dtype="float32")[indices], logits),
                "index logits": (indices, logits),
                "ids": (indices, np.argsort(-logits, -1)),
                "bits": (RNG.integers(0, 2, (n, 1)), RNG.uniform(0.01, 0.99, (n, 1)).astype("float32")),
                "flat bits": (RNG.integers(0, 2, n), RNG.uniform(0.01, 0.99, (n, 1)).astype("float32")),
                "wide bits": (RNG.integers(0, 2, (n, C)), RNG.uniform(0.01, 0.99, (n, C)).astype("float32")),
                "classes": (RNG.integers(0, 3, (n, 2)), RNG.integers(0, 3, (n, 2))),
                "reals": (RNG.normal(size=(n, C)).astype("float32"), logits),
                "counts": (RNG.poisson(2, (n, C)).astype("float32"), np.exp(logits)),
            }[kind]
        )
    return made


CASES: list[tuple[str, dict[str, Any], str]] = [
    ("Accuracy", {}, "classes"),
    ("BinaryAccuracy", {}, "bits"),
    ("BinaryAccuracy", {}, "flat bits"),
    ("BinaryAccuracy", {"threshold": 0.3}, "wide bits"),
    ("CategoricalAccuracy", {}, "categories"),
    ("SparseCategoricalAccuracy", {}, "indices"),
    ("SparseCategoricalAccuracy", {}, "index column"),
    ("TopKCategoricalAccuracy", {}, "categories"),
    ("TopKCategoricalAccuracy", {"k": 2}, "logits"),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, "indices"),
    ("SparseTopKCategoricalAccuracy", {"k": 3, "from_sorted_ids": True}, "ids"),
    ("MeanSquaredError", {}, "reals"),
    ("RootMeanSquaredError", {}, "reals"),
    ("MeanAbsoluteError", {}, "reals"),
    ("MeanAbsolutePercentageError", {}, "reals"),
    ("MeanSquaredLogarithmicError", {}, "counts"),
    ("LogCoshError", {}, "reals"),
    ("CosineSimilarity", {}, "reals"),
    ("CosineSimilarity", {"axis": 1}, "reals"),
    ("Hinge", {}, "wide bits"),
    ("SquaredHinge", {}, "wide bits"),
    ("CategoricalHinge", {}, "categories"),
    ("KLDivergence", {}, "categories"),
    ("Poisson", {}, "counts"),
    ("BinaryCrossentropy", {}, "wide bits"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "bits"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "categories"),
    ("CategoricalCrossentropy", {"from_logits": True}, "logits"),
    ("SparseCategoricalCrossentropy", {}, "indices"),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 2}, "index logits"),
]


def both(name: str, **options: Any) -> tuple[Any, Any]:
    return getattr(metrics, name)(**options), getattr(keras.metrics, name)(**options)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "options", "kind"), CASES)
def test_value(name: str, options: dict[str, Any], kind: str, weighted: bool) -> None:
    ours, theirs = both(name, **options)
    assert ours.name == theirs.name
    for y_true, y_pred in batches(kind):
        weight = RNG.uniform(0, 2, len(y_true)).astype("float32") if weighted else None
        if name == "RootMeanSquaredError" and weighted:
            weight = weight[:, None]  # type: ignore[index]
        ours.update_state(y_true, y_pred, sample_weight=weight)
        theirs.update_state(y_true, y_pred, sample_weight=weight)
        close(ours.result(), theirs.result())
    ours.reset_state()
    assert ours.result().item() == 0.0
    assert theirs.get_config().items() <= ours.get_config().items()


@pytest.mark.parametrize(
    "name",
    [
        "binary_accuracy",
        "categorical_accuracy",
        "sparse_categorical_accuracy",
        "top_k_categorical_accuracy",
        "sparse_top_k_categorical_accuracy",
    ],
)
def test_function(name: str) -> None:
    kind = "indices" if "sparse" in name else "wide bits" if "binary" in name else "categories"
    for y_true, y_pred in batches(kind):
        ours, theirs = getattr(metrics, name)(y_true, y_pred), getattr(keras.metrics, name)(y_true, y_pred)
        assert ours.dtype == "float32"
        close(ours, theirs)


VALUES = RNG.normal(size=(4, 3)).astype("float32")


@pytest.mark.parametrize("name", ["Mean", "Sum"])
@pytest.mark.parametrize(
    ("values", "weight"),
    [
        (2.5, None),
        (2.5, 3.0),
        ([1.0, 2.0], None),
        ([1.0, 2.0], [3.0, 0.5]),
        (VALUES, None),
        (VALUES, 2.0),
        (VALUES, [0.0, 1.0, 2.0, 3.0]),
        (VALUES, [[0.0], [1.0], [2.0], [3.0]]),
        (VALUES, VALUES**2),
    ],
)
def test_reduction(name: str, values: Any, weight: Any) -> None:
    ours, theirs = both(name)
    for _ in range(2):
        ours.update_state(values, sample_weight=weight)
        theirs.update_state(np.asarray(values, "float32"), sample_weight=weight)
    close(ours.result(), theirs.result())
    for mine, other in zip(ours.variables, theirs.variables, strict=True):
        assert mine.name == other.name
        close(mine, other)


@pytest.mark.parametrize("weighted", [False, True])
def test_mask(weighted: bool) -> None:
    y_true, y_pred = RNG.normal(size=(2, 4, 3, 2)).astype("float32")
    mask = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0], [0, 0, 0]], bool)
    weight = RNG.uniform(0, 2, (4, 3)).astype("float32") if weighted else None
    ours, theirs = both("MeanSquaredError")
    p, q = lumbre.Tensor(y_pred), keras.ops.convert_to_tensor(y_pred)
    p._mask, q._keras_mask = lumbre.Tensor(mask), keras.ops.convert_to_tensor(mask)
    close(ours(y_true, p, sample_weight=weight), theirs(y_true, q, sample_weight=weight))


def test_sums_are_kept_in_float64() -> None:
    metric = metrics.Mean()
    metric.update_state(np.float32(2**24))
    for _ in range(4):
        metric.update_state(1.0)
    assert {v.dtype for v in metric.variables} == {"float64"}
    assert metric.variables[0].numpy() == 2**24 + 4
    assert metric.result().dtype == "float32"


def test_mean_metric_wrapper_of_a_function() -> None:
    def distance(y_true: Any, y_pred: Any, scale: float = 1.0) -> Any:
        return ops.abs(y_true - y_pred) * scale

    metric = metrics.MeanMetricWrapper(distance, scale=2.0)
    assert metric.name == "distance"
    assert metric(lumbre.Tensor([1.0, 2.0]), lumbre.Tensor([2.0, 4.0])).item() == 3.0


def test_custom_metric() -> None:
    class Both(metrics.Metric):
        def __init__(self, name: str = "both") -> None:
            super().__init__(name=name)
            self.inner = metrics.Mean()
            self.seen = self.add_weight(name="seen")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.inner.update_state(y_pred)
            self.seen.assign_add(1.0)

        def result(self) -> Any:
            return self.inner.result() * self.seen

    metric = Both()
    assert [v.name for v in metric.variables] == ["seen", "total", "count"]
    metric.update_state(None, [1.0, 3.0])
    assert metric(None, [5.0]).item() == pytest.approx(6.0)
    metric.reset_state()
    assert metric.result().item() == 0.0


def test_forgotten_super_init() -> None:
    class Forgetful(metrics.Metric):
        def __init__(self) -> None:
            self.total = self.add_weight(name="total")

    with pytest.raises(RuntimeError, match=r"You forgot to call `super\(\).__init__\(\)`"):
        Forgetful()


NEEDS_ARGUMENTS = (
    *("IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU"),
    *("SensitivityAtSpecificity", "SpecificityAtSensitivity", "PrecisionAtRecall", "RecallAtPrecision"),
)


def test_a_wrapped_function_comes_back_from_its_config() -> None:
    for function in (metrics.binary_accuracy, metrics.pearson_correlation, lumbre.losses.huber):
        metric = metrics.MeanMetricWrapper(function, name="wrapped")
        clone = metrics.deserialize(metrics.serialize(metric))
        y_true, y_pred = batches("wide bits")[0]
        close(clone(y_true, y_pred), metric(y_true, y_pred))


def test_get() -> None:
    for name in (
        "accuracy",
        "Accuracy",
        "mse",
        "MSE",
        "mae",
        "MAE",
        "mape",
        "MAPE",
        "msle",
        "MSLE",
        "bce",
        "BCE",
    ):
        assert type(metrics.get(name)).__name__ == type(keras.metrics.get(name)).__name__
    for name in metrics.__all__:
        if name[0].isupper() and name not in ("Metric", "MeanMetricWrapper"):
            snake = lumbre.lookup.snake_case(name)
            if name in NEEDS_ARGUMENTS:
                for identifier in (name, snake, getattr(metrics, name)):
                    with pytest.raises(TypeError, match=f"give an object, {name}\\("):
                        metrics.get(identifier)
            else:
                assert type(metrics.get(name)) is type(metrics.get(snake)) is getattr(metrics, name)
    assert metrics.get(None) is None
    assert isinstance(metrics.get(metrics.Mean), metrics.Mean)
    instance = metrics.Mean()
    assert metrics.get(instance) is instance
    assert type(metrics.get(metrics.serialize(metrics.TopKCategoricalAccuracy(k=2)))._fn_kwargs["k"]) is int


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics.get("foo"), ValueError, "Could not interpret metric identifier: foo"),
        (lambda: metrics.BinaryAccuracy(threshold=2.0), ValueError, "Invalid value for argument `threshold`"),
        (lambda: metrics.Metric().update_state(), NotImplementedError, "update_state"),
        (lambda: metrics.Metric().result(), NotImplementedError, "result"),
        (
            lambda: metrics.MeanSquaredError()(np.zeros((4, 3)), np.zeros((4, 2))),
            ValueError,
            "the same shape",
        ),
        (lambda: metrics.SparseCategoricalAccuracy()([1, 2], np.zeros((3, 2))), ValueError, "last dimension"),
        (lambda: metrics.Mean()(np.zeros((4, 3)), np.zeros(3)), ValueError, "metric 'mean': `sample_weight`"),
    ],
)
def test_bad_input(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
