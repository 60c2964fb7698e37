"""Losses and metrics inside `fit`: replayed steps, logs as in Keras, class weights, own objects."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import losses, metrics, ops
from small_models import CLASSES, LABELS, ONE_HOT, TARGET, WEIGHTS, X, build, close

BINARY = (LABELS > 0).astype("float32")[:, None]
ALL_COUNTS = (
    ("TopKCategoricalAccuracy", {"k": 2}),
    ("TruePositives", {"thresholds": [0.6, 0.3]}),
    ("TrueNegatives", {}),
    ("FalsePositives", {}),
    ("FalseNegatives", {}),
    ("Precision", {"top_k": 1}),
    ("Precision", {"thresholds": 0.3, "name": "precision_30"}),
    ("Recall", {"class_id": 2}),
    ("AUC", {}),
    ("AUC", {"curve": "PR", "multi_label": True, "name": "pr"}),
    ("SensitivityAtSpecificity", {"specificity": 0.5}),
    ("PrecisionAtRecall", {"recall": 0.5}),
    ("F1Score", {"average": "macro"}),
    ("FBetaScore", {"average": "micro", "beta": 2.0, "threshold": 0.4}),
    ("OneHotMeanIoU", {"num_classes": CLASSES}),
    ("CosineSimilarity", {}),
    ("R2Score", {}),
    ("PearsonCorrelation", {}),
    ("ConcordanceCorrelation", {}),
)


def made(lib: Any) -> list[Any]:
    lib.utils.clear_session()
    return [getattr(lib.metrics, name)(**options) for name, options in ALL_COUNTS]


def test_all_metrics_in_fit_as_in_keras() -> None:
    keras = pytest.importorskip("keras")
    results = []
    for lib in (lumbre, keras):
        model = build(lib)
        kwargs: dict[str, Any] = {"run_eagerly": False}
        model.compile(lib.optimizers.SGD(0.1), "categorical_crossentropy", metrics=made(lib), **kwargs)
        history = model.fit(
            X,
            ONE_HOT,
            batch_size=25,
            epochs=2,
            shuffle=False,
            verbose=0,
            validation_data=(X[:25], ONE_HOT[:25]),
        )
        results.append(history.history)
    ours, theirs = results
    assert list(ours) == list(theirs)
    for name in ours:
        close(np.asarray(ours[name]), np.asarray(theirs[name]))


def fitted(run_eagerly: bool, threads: int = 1) -> Any:
    before = lumbre.get_num_threads()
    lumbre.set_num_threads(threads)
    try:
        model = build(lumbre)
        weighted = [
            metrics.AUC(name="weighted_auc"),
            metrics.F1Score(name="weighted_f1"),
            "precision",
            "recall",
        ]
        model.compile(
            lumbre.optimizers.SGD(0.1),
            "categorical_crossentropy",
            metrics=made(lumbre),
            weighted_metrics=weighted,
            run_eagerly=run_eagerly,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # no step may fall back to Python
            history = model.fit(
                X, ONE_HOT, batch_size=8, epochs=3, verbose=0, shuffle=False, sample_weight=WEIGHTS
            )
        return history.history, [v.numpy() for metric in model.metrics for v in metric.variables]
    finally:
        lumbre.set_num_threads(before)


def test_replayed_metrics_are_the_eager_ones_bit_for_bit() -> None:
    eager, states = fitted(run_eagerly=True)
    for threads in (1, 2, 3):
        replayed, own = fitted(run_eagerly=False, threads=threads)
        assert list(replayed) == list(eager)
        for name in eager:
            np.testing.assert_array_equal(replayed[name], eager[name])
        for a, b in zip(own, states, strict=True):
            np.testing.assert_array_equal(a, b)


LOSSES: list[tuple[str, np.ndarray, dict[str, Any]]] = [
    ("Dice", ONE_HOT, {"reduction": "sum"}),
    ("Tversky", ONE_HOT, {"axis": -1}),
    ("CategoricalGeneralizedCrossEntropy", LABELS, {"reduction": "mean_with_sample_weight"}),
    ("Circle", LABELS, {"gamma": 4.0}),
    ("CategoricalFocalCrossentropy", ONE_HOT, {"reduction": "sum"}),
    ("BinaryFocalCrossentropy", ONE_HOT, {"label_smoothing": 0.1}),
]


@pytest.mark.parametrize(("name", "y", "options"), LOSSES)
def test_losses_train_as_in_keras(name: str, y: np.ndarray, options: dict[str, Any]) -> None:
    keras = pytest.importorskip("keras")
    weight = None if name == "Dice" else WEIGHTS
    results = []
    for lib in (lumbre, keras):
        model = build(lib)
        model.compile(lib.optimizers.SGD(0.02), getattr(lib.losses, name)(**options))
        history = model.fit(X, y, batch_size=25, epochs=2, shuffle=False, verbose=0, sample_weight=weight)
        results.append([*history.history["loss"], *(w for v in model.get_weights() for w in v.flat)])
    np.testing.assert_allclose(results[0], results[1], rtol=5e-4, atol=2e-6)


def test_functions_and_subclasses_of_the_users_own() -> None:
    def biggest(y_true: Any, y_pred: Any) -> Any:
        return ops.max(ops.abs(y_true - y_pred), axis=-1)

    class Biggest(losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return biggest(y_true, y_pred)

    class Worst(metrics.Metric):
        def __init__(self, name: str = "worst") -> None:
            super().__init__(name=name)
            self.worst = self.add_weight(name="worst")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.worst.assign(ops.maximum(self.worst, ops.max(ops.abs(y_true - y_pred))))

        def result(self) -> Any:
            return self.worst.value

    class Share(metrics.MeanMetricWrapper):
        def __init__(self, name: str = "share") -> None:
            super().__init__(biggest, name=name)

    histories = []
    for eager in (True, False):
        for loss in (biggest, Biggest()):
            model = build(lumbre)
            model.compile("sgd", loss, metrics=[biggest, Worst(), Share()], run_eagerly=eager)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                history = model.fit(X, ONE_HOT, batch_size=10, epochs=3, verbose=0, shuffle=False).history
            assert sorted(history) == ["biggest", "loss", "share", "worst"]
            assert history["biggest"] == history["share"]
            np.testing.assert_allclose(history["biggest"], history["loss"], rtol=1e-6)
            assert all(w >= b for w, b in zip(history["worst"], history["biggest"], strict=True))
            histories.append(history)
    assert all(history == histories[0] for history in histories)


def test_lazy_metrics_start_from_nothing() -> None:
    model = build(lumbre)
    model.compile("sgd", "categorical_crossentropy", metrics=[metrics.F1Score(), metrics.R2Score()])
    model.train_on_batch(X[:8], ONE_HOT[:8])
    f1, r2 = model.metrics[1].metrics
    assert f1.counts.numpy().sum() == 8 * CLASSES
    assert (r2.count.numpy() == 8).all()


# Class weights


def balanced(y: np.ndarray) -> dict[int, float]:
    classes, counts = np.unique(y, return_counts=True)
    return {int(c): len(y) / (len(classes) * n) for c, n in zip(classes, counts, strict=True)}


SKEWED = np.where(np.arange(len(LABELS)) % 7 == 0, LABELS, 1)


@pytest.mark.parametrize("form", ["indices", "column", "one-hot"])
def test_balanced_class_weights(form: str) -> None:
    y = {"indices": SKEWED, "column": SKEWED[:, None], "one-hot": np.eye(CLASSES)[SKEWED]}[form]
    loss = "categorical_crossentropy" if form == "one-hot" else "sparse_categorical_crossentropy"
    logs = []
    for class_weight in ("balanced", balanced(SKEWED)):
        model = build(lumbre)
        model.compile("sgd", loss, weighted_metrics=["accuracy"])
        history = model.fit(
            X, y, batch_size=16, epochs=2, shuffle=False, verbose=0, class_weight=class_weight
        )
        few = balanced(SKEWED[:16]) if isinstance(class_weight, dict) else class_weight
        logs.append((history.history, model.train_on_batch(X[:16], y[:16], class_weight=few)))
    assert logs[0] == logs[1]


def test_balanced_weights_are_of_the_training_part() -> None:
    model, other = build(lumbre), build(lumbre)
    for m in (model, other):
        m.compile("sgd", "sparse_categorical_crossentropy")
    options: dict[str, Any] = {"epochs": 1, "verbose": 0, "shuffle": False}
    a = model.fit(X, SKEWED, validation_split=0.2, class_weight="balanced", **options)
    b = other.fit(X[:40], SKEWED[:40], class_weight=balanced(SKEWED[:40]), **options)
    assert a.history["loss"] == b.history["loss"]


def test_balanced_weights_of_binary_labels() -> None:
    model, other = build(lumbre, 1, "sigmoid"), build(lumbre, 1, "sigmoid")
    for m in (model, other):
        m.compile("sgd", "binary_crossentropy")
    a = model.fit(X, BINARY, verbose=0, shuffle=False, class_weight="balanced").history
    assert a == other.fit(X, BINARY, verbose=0, shuffle=False, class_weight=balanced(BINARY.ravel())).history


def test_balanced_class_weights_that_cannot_be() -> None:
    model = build(lumbre)
    model.compile("sgd", "sparse_categorical_crossentropy")

    class Batches:
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Any:
            return X, LABELS

    for source in (Batches(), iter([(X, LABELS)])):
        with pytest.raises(ValueError, match="needs all labels before training"):
            model.fit(source, class_weight="balanced", verbose=0)
    with pytest.raises(ValueError, match="`class_weight` must be a dict from class numbers to weights, or"):
        model.fit(X, LABELS, class_weight="balance", verbose=0)
    with pytest.raises(ValueError, match="You cannot `class_weight` and `sample_weight`"):
        model.fit(X, LABELS, class_weight="balanced", sample_weight=WEIGHTS, verbose=0)
    with pytest.raises(ValueError, match="only supported for Models with a single output"):
        model.fit(X, [LABELS, TARGET], class_weight="balanced", verbose=0)
