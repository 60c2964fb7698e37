"""Metrics of confusion matrices, F scores, IoU, R² and correlations against the real Keras, by batch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import close, keras
from lumbre import metrics

SIZES = (9, 9)  # of one size: Keras compiles anew for each
C = 4


def batches(kind: str, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Batches: targets and predictions of one kind."""
    rng = np.random.default_rng(seed)
    made = []
    for n in SIZES:
        logits = rng.normal(0, 2, (n, C)).astype("float32")
        scores = rng.uniform(0, 1, (n, C)).astype("float32")
        classes = rng.integers(0, C, n)
        made.append(
            {
                "flat": (rng.integers(0, 2, n), scores[:, 0]),
                "column": (rng.integers(0, 2, n), scores[:, :1]),
                "several": (rng.integers(0, 2, (n, C)), scores),
                "coarse": (rng.integers(0, 2, (n, C)), np.round(scores, 1)),
                "outside": (rng.integers(0, 2, (n, C)), 3 * scores - 1),
                "deep": (rng.integers(0, 2, (n, 3, C)), rng.uniform(0, 1, (n, 3, C)).astype("float32")),
                "logits": (rng.integers(0, 2, (n, C)), logits),
                "one-hot": (np.eye(C, dtype="float32")[classes], scores),
                "ties": (np.eye(C, dtype="float32")[classes], np.round(2 * scores) / 2),
                "shares": (rng.uniform(0, 1, (n, C)).astype("float32"), scores),
                "classes": (classes, rng.integers(0, C, n)),
                "strange classes": (rng.integers(-1, C + 1, n), rng.integers(-1, C + 1, n)),
                "images": (rng.integers(0, C, (n, 3)), rng.integers(0, C, (n, 3))),
                "scored": (classes, scores),
                "reals": (rng.normal(size=(n, C)).astype("float32"), logits),
                "real column": (rng.normal(size=n).astype("float32"), logits[:, :1]),
            }[kind]
        )
    return made


COUNTS: list[tuple[str, dict[str, Any], str]] = [
    *((name, options, kind)
      for name in ("TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives")
      for options, kind in (({}, "flat"), ({"thresholds": [0.9, 0.2, 0.5]}, "several"))),
    ("TruePositives", {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}, "outside"),
    ("FalseNegatives", {"thresholds": 0.3}, "deep"),
    *((name, options, kind)
      for name in ("Precision", "Recall")
      for options, kind in (
          ({}, "flat"),
          ({}, "column"),
          ({}, "several"),
          ({"thresholds": 0.25}, "coarse"),
          ({"thresholds": [0.1, 0.5, 0.8]}, "several"),
          ({"thresholds": [i / 10 for i in range(11)]}, "coarse"),
          ({"top_k": 2}, "one-hot"),
          ({"top_k": 2}, "ties"),
          ({"top_k": 3, "class_id": 1}, "one-hot"),
          ({"top_k": 2, "thresholds": 0.4}, "several"),
          ({"class_id": 2}, "several"),
      )),
    ("AUC", {}, "flat"),
    ("AUC", {}, "several"),
    ("AUC", {"num_thresholds": 2}, "several"),
    ("AUC", {"num_thresholds": 11}, "coarse"),
    ("AUC", {}, "outside"),
    ("AUC", {"from_logits": True}, "logits"),
    ("AUC", {"thresholds": [0.3, 0.1, 0.8]}, "several"),
    ("AUC", {"thresholds": [0.25, 0.5, 0.75], "curve": "PR"}, "several"),
    ("AUC", {"label_weights": [0.1, 1.0, 2.0, 0.0]}, "several"),
    ("AUC", {"label_weights": [0.1, 1.0, 2.0, 0.0], "thresholds": [0.3, 0.5, 0.9]}, "several"),
    ("AUC", {"multi_label": True}, "several"),
    ("AUC", {"multi_label": True, "num_labels": C, "label_weights": [0.1, 1.0, 2.0, 0.0]}, "several"),
    *(("AUC", {"curve": curve, "summation_method": method}, "several")
      for curve in ("ROC", "PR", "PRGAIN")
      for method in ("interpolation", "minoring", "majoring")),
    ("AUC", {"curve": "PR", "multi_label": True}, "several"),
    *((name, {given: value, **more}, "several")
      for name, given in (
          ("SensitivityAtSpecificity", "specificity"),
          ("SpecificityAtSensitivity", "sensitivity"),
          ("PrecisionAtRecall", "recall"),
          ("RecallAtPrecision", "precision"),
      )
      for value, more in (
          (0.3, {}), (0.8, {"num_thresholds": 7}), (0.5, {"class_id": 1}), (0.5, {"num_thresholds": 1}),
      )),
]  # fmt: skip
SCORES: list[tuple[str, dict[str, Any], str]] = [
    *((name, {"average": average, "threshold": threshold}, kind)
      for name in ("F1Score", "FBetaScore")
      for average in (None, "micro", "macro", "weighted")
      for threshold, kind in ((None, "one-hot"), (0.4, "several"))),
    ("F1Score", {}, "ties"),
    ("FBetaScore", {"beta": 2.0, "threshold": 0.5}, "shares"),
    ("FBetaScore", {"beta": 0.5, "average": "weighted"}, "shares"),
]  # fmt: skip
OTHERS: list[tuple[str, dict[str, Any], str]] = [
    ("IoU", {"num_classes": C, "target_class_ids": [0, 2]}, "classes"),
    ("IoU", {"num_classes": C, "target_class_ids": [1], "sparse_y_pred": False}, "scored"),
    ("IoU", {"num_classes": C, "target_class_ids": [0], "ignore_class": 1}, "strange classes"),
    ("BinaryIoU", {}, "flat"),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.3}, "several"),
    ("MeanIoU", {"num_classes": C}, "classes"),
    ("MeanIoU", {"num_classes": C, "ignore_class": 0}, "images"),
    ("MeanIoU", {"num_classes": C}, "strange classes"),
    ("OneHotIoU", {"num_classes": C, "target_class_ids": [0, 3]}, "one-hot"),
    ("OneHotMeanIoU", {"num_classes": C}, "one-hot"),
    ("R2Score", {}, "reals"),
    ("R2Score", {}, "real column"),
    ("R2Score", {"class_aggregation": None}, "reals"),
    ("R2Score", {"class_aggregation": "variance_weighted_average"}, "reals"),
    ("R2Score", {"num_regressors": 2}, "reals"),
    ("PearsonCorrelation", {}, "reals"),
    ("PearsonCorrelation", {"axis": 0}, "reals"),
    ("ConcordanceCorrelation", {}, "reals"),
]
CASES = COUNTS + SCORES + OTHERS
COUNTED = {name for name, _, _ in COUNTS} | {"R2Score"}


def both(name: str, options: dict[str, Any]) -> tuple[Any, Any]:
    return getattr(metrics, name)(**options), getattr(keras.metrics, name)(**options)


def weights_for(name: str, shape: tuple[int, ...], weighted: str, rng: np.random.Generator) -> Any:
    """Sample weights of a kind; no case asks for what Keras's metric does not take."""
    shapes = {"number": (), "samples": shape[:1], "values": shape}
    if weighted == "none":
        return None
    if "IoU" in name and not name.startswith("OneHot"):
        return rng.uniform(0, 2, shape).astype("float32")  # a weight for each class
    return rng.uniform(0, 2, shapes[weighted]).astype("float32")


def weightings() -> Iterator[Any]:
    """Each case without weights and with one per sample; some with the other kinds."""
    for i, (name, options, kind) in enumerate(CASES):
        fitting = ["none"]
        if options.get("axis") != 0 and kind != "deep":
            fitting.append("samples")
        if name in COUNTED and "class_id" not in options and i % 3 == 0:
            fitting += ["number", "values"]
        for weighted in fitting:
            yield pytest.param(name, options, kind, weighted, id=f"{name}-{i}-{weighted}")


@pytest.mark.parametrize(("name", "options", "kind", "weighted"), list(weightings()))
def test_value(name: str, options: dict[str, Any], kind: str, weighted: str) -> None:
    rng = np.random.default_rng(1)
    if "IoU" in name and weighted != "none":
        options = {**options, "dtype": "float32"}  # Keras cuts weights to whole numbers without it
    ours, theirs = both(name, options)
    for y_true, y_pred in batches(kind):
        shape = y_true.shape if "IoU" in name else y_pred.shape
        weight = weights_for(name, shape, weighted, rng)
        ours.update_state(y_true, y_pred, sample_weight=weight)
        theirs.update_state(y_true, y_pred, sample_weight=weight)
    close(ours.result(), theirs.result(), rtol=2e-5)
    assert ours.result().dtype == "float32"
    ours.reset_state()
    assert all(not v.numpy().any() for v in ours.variables)


@pytest.mark.parametrize("name", ["true_positives", "true_negatives", "false_positives", "false_negatives"])
def test_confusion_matrix_of_a_metric(name: str) -> None:
    for options in ({"num_thresholds": 6}, {"num_thresholds": 6, "multi_label": True}):
        ours, theirs = both("AUC", options)
        for y_true, y_pred in batches("several"):
            ours.update_state(y_true, y_pred)
            theirs.update_state(y_true, y_pred)
        close(getattr(ours, name), getattr(theirs, name))


def test_counts_stay_exact() -> None:
    metric = metrics.TruePositives()
    metric.update_state(np.ones(4, "int32"), np.ones(4, "float32"), sample_weight=2.0**22)
    for _ in range(5):
        metric.update_state([1], [1.0])
    assert metric.counts.dtype == "float64"
    assert metric.counts.numpy()[1, 1] == 2**24 + 5


@pytest.mark.parametrize(("name", "options", "kind"), CASES)
def test_config(name: str, options: dict[str, Any], kind: str) -> None:
    ours, theirs = both(name, options)
    config = ours.get_config()
    known = {k: v for k, v in theirs.get_config().items() if k not in ("name", "label_weights", "thresholds")}
    assert known.items() <= config.items()
    clone = metrics.deserialize(metrics.serialize(ours))
    assert type(clone) is type(ours)
    assert clone.get_config() == config
    for y_true, y_pred in batches(kind):
        close(clone(y_true, y_pred), ours(y_true, y_pred))


def test_names_are_those_of_keras() -> None:
    lumbre.utils.clear_session()
    keras.utils.clear_session()
    for name, options, _ in CASES:
        ours, theirs = both(name, options)
        assert ours.name == theirs.name
        assert getattr(ours, "_direction", None) == getattr(theirs, "_direction", None)


def test_every_metric_of_keras_is_there() -> None:
    assert {name for name in dir(keras.metrics) if not name.startswith("_")} <= set(dir(metrics))
    assert {name for name in dir(keras.losses) if not name.startswith("_")} - {"CTC", "ctc"} <= set(
        dir(lumbre.losses)
    )


def test_weights_of_iou_count_as_given() -> None:
    # Keras cuts them to whole numbers unless `dtype` is a float, and warns.
    metric = metrics.MeanIoU(num_classes=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = metric([0, 0, 1, 1], [0, 1, 0, 1], sample_weight=[0.3, 0.3, 0.3, 0.1])
    close(value, keras.metrics.MeanIoU(2, dtype="float32")([0, 0, 1, 1], [0, 1, 0, 1], [0.3, 0.3, 0.3, 0.1]))


def test_stateless() -> None:
    metric = metrics.Precision()
    metric.update_state([1, 1], [0.9, 0.1])
    before = [v.numpy() for v in metric.variables]
    state = metric.stateless_update_state(metric.stateless_reset_state(), [0, 1], [0.9, 0.9])
    assert metric.stateless_result(state).item() == 0.5
    for v, value in zip(metric.variables, before, strict=True):
        np.testing.assert_array_equal(v.numpy(), value)
    with pytest.raises(ValueError, match="expected 1 variables"):
        metric.stateless_result([])


def test_r2_warns_of_too_few_samples() -> None:
    metric = metrics.R2Score(num_regressors=2)
    with pytest.warns(UserWarning, match="Division by zero"):
        metric([[1.0], [2.0], [3.0]], [[1.0], [2.0], [2.5]])


A = np.zeros((4, 3), "float32")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.Precision(thresholds=[0.1, 1.5]), r"Threshold values must be in \[0, 1\]"),
        (lambda: metrics.TruePositives(thresholds=[]), "at least one threshold"),
        (lambda: metrics.Precision()(A[:, :2], A), r"must have the same shape.*\(4, 2\).*\(4, 3\)"),
        (lambda: metrics.Precision()(np.zeros(4), A), r"Class numbers become one-hot rows"),
        (lambda: metrics.AUC()(np.zeros((4, 1)), A), r"Class numbers become one-hot rows"),
        (lambda: metrics.Precision()(A, A, np.ones(3)), "one weight for each sample"),
        (lambda: metrics.Precision(class_id=1)(A[0], A[0]), "When class_id is provided"),
        (lambda: metrics.Precision(class_id=3)(A, A), "class_id=3 is none of the 3 classes"),
        (lambda: metrics.Recall(top_k=4)(A, A), "`k` must be from 1 to the number of classes, 3"),
        (lambda: metrics.AUC(curve="X"), 'Invalid AUC curve value: "X"'),
        (lambda: metrics.AUC(summation_method="x"), "Invalid AUC summation method value"),
        (lambda: metrics.AUC(num_thresholds=1), "must be an integer > 1"),
        (lambda: metrics.AUC(num_labels=3), "needed only when `multi_label` is True"),
        (lambda: metrics.AUC(multi_label=True)(A[0], A[0]), "`y_pred` must have rank 2"),
        (lambda: metrics.AUC(multi_label=True, num_labels=2)(A, A), "counts 2 labels"),
        (lambda: metrics.SensitivityAtSpecificity(2.0), r"`specificity` must be in the range \[0, 1\]"),
        (lambda: metrics.PrecisionAtRecall(0.5, num_thresholds=0), "must be an integer > 0"),
        (lambda: metrics.F1Score(average="x"), "Invalid `average` argument value"),
        (lambda: metrics.FBetaScore(beta=1), "should be a Python float"),
        (lambda: metrics.FBetaScore(beta=0.0), "should be > 0"),
        (lambda: metrics.F1Score(threshold=1), "should be a Python float"),
        (lambda: metrics.F1Score(threshold=2.0), "0 < threshold <= 1"),
        (lambda: metrics.F1Score()([0, 1], A[:2]), "F1Score expects 2D inputs"),
        (lambda: metrics.IoU(2, [2]), r"Target class id 2 is out of range, which is \[0, 2\)"),
        (lambda: metrics.MeanIoU(2)([0, 1], [0]), "the classes of the same samples"),
        (lambda: metrics.MeanIoU(2)([0, 1], [0, 1], [1, 1, 1]), "a weight for each of the 2 classes"),
        (lambda: metrics.R2Score(class_aggregation="x"), "`class_aggregation`"),
        (lambda: metrics.R2Score(num_regressors=-1), "Expected a value >= 0"),
        (lambda: metrics.R2Score()(A[None], A[None]), "R2Score expects 2D inputs"),
        (lambda: lumbre.losses.CategoricalGeneralizedCrossEntropy(q=1.0), r"interval \(0, 1\)"),
        (lambda: lumbre.losses.CategoricalGeneralizedCrossEntropy()(A, A), "must hold class indices"),
        (lambda: lumbre.losses.Circle()(A, A), "one label for each row"),
        (lambda: lumbre.losses.Dice()(A[:, :2], A), "dice: .* must have the same shape"),
    ],
)
def test_bad_input(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_refused_batch_changes_nothing() -> None:
    metric = metrics.Precision()
    metric.update_state([1, 0], [0.9, 0.8])
    with pytest.raises(ValueError, match="one weight for each sample"):
        metric.update_state(A, A, sample_weight=np.ones(3))
    assert metric.result().item() == 0.5
