"""What is odd is said once; what has a meaning is accepted without a word."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import lumbre
from check_models import (
    CLASSES,
    LABELS,
    ONE_HOT,
    STEP_LABELS,
    STEPS,
    TARGET,
    WEIGHTS,
    WIDTH,
    YES_NO,
    Hooks,
    Misspelt,
    N,
    TerminateOnNaN,
    X,
    batches,
    binary,
    classifier,
    fit,
    hinge,
    ignoring,
    integer_model,
    masked,
    one_hot,
    option,
    own_loss,
    per_step,
    regression,
    row,
)
from lumbre import callbacks, layers, losses, ops

# What is said once


class Odd(NamedTuple):
    make: Callable[[], Any]
    action: Callable[[Any], Any]
    text: str


ORDER = np.argsort(LABELS, kind="stable")
BIG = row((X * 10).astype("int64"), 38, 2**24 + 1)
ODD: dict[str, Odd] = {
    "negative weights": Odd(
        classifier,
        option(sample_weight=row(WEIGHTS, 5, -1)),
        "`sample_weight` has negative weights, first in row 5",
    ),
    "negative weights of batches": Odd(
        classifier, lambda m: m.train_on_batch(X, LABELS, -WEIGHTS), "`sample_weight` has negative weights"
    ),
    "no weights": Odd(classifier, option(sample_weight=0 * WEIGHTS), "`sample_weight` is all zeros"),
    "a generator that ends": Odd(
        classifier,
        lambda m: m.fit(batches(*[(X, LABELS)] * 3), steps_per_epoch=2, epochs=5, verbose=0, shuffle=False),
        "ran out of data",
    ),
    "integers": Odd(
        classifier,
        fit(BIG, LABELS, batch_size=4),
        r"`x` has integers beyond 2\*\*24 in magn.*first in row 38",
    ),
    "integers of a batch": Odd(
        classifier, lambda m: m.train_on_batch(BIG, LABELS), r"`x` has integers beyond 2\*\*24"
    ),
    "integers to predict": Odd(
        regression,
        fit(X, row((TARGET * 10).astype("int32"), 3, -(2**25))),
        r"`y` has integers beyond 2\*\*24 in magnitude, first in row 3",
    ),
    "sorted labels": Odd(
        classifier,
        fit(X, LABELS[ORDER], validation_split=0.25),
        "`y` is sorted.*only the classes 2.*permutation",
    ),
    "sorted one-hot rows": Odd(
        one_hot, fit(X, ONE_HOT[ORDER][::-1], validation_split=0.25), "`y` is sorted.*only the classes 0"
    ),
    "sorted yes and no": Odd(
        binary, fit(X, np.sort(YES_NO), validation_split=0.2), "`y` is sorted.*only the classes 1"
    ),
    "one-unit softmax": Odd(
        lambda: binary("mse", "softmax"),
        fit(X, YES_NO),
        r"softmax over axis -1.*\(None, 1\).*sigmoid instead",
    ),
    "logits for probabilities": Odd(
        lambda: binary("sparse_categorical_crossentropy", None, 3),
        fit(X, LABELS),
        "the output is no probability.*values go from.*activation='softmax'.*from_logits=True",
    ),
    "logits for a probability": Odd(
        lambda: binary(activation=None), fit(X, YES_NO), "no probability.*activation='sigmoid'"
    ),
    "rows that do not add up": Odd(
        lambda: binary("categorical_crossentropy", "softplus", 3),
        fit(X, ONE_HOT),
        "the output is no probability",
    ),
    "probabilities for logits": Odd(
        lambda: classifier(losses.SparseCategoricalCrossentropy(from_logits=True)),
        fit(X, LABELS),
        "output of a softmax.*`from_logits=True`",
    ),
    "targets that are no distribution": Odd(
        one_hot, fit(X, row(ONE_HOT, 2, -3.0)), "`y` holds no probabilities: row 2 has -3.0"
    ),
    "NaN, as asked": Odd(
        lambda: classifier(nan_policy="warn"), fit(row(X, 21, np.nan), LABELS), "`x` contains NaN.*row 21"
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_said_once(case: str) -> None:
    """Said once, from the making of the model on, and in the name of the caller's line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = ODD[case].make()
        for _ in range(1 if "ends" in case else 3):
            ODD[case].action(model)
    with pytest.warns(UserWarning, match=f"(?s){ODD[case].text}"):
        for warning in caught:
            warnings.warn(warning.message, warning.category, stacklevel=1)
    assert len(caught) == 1, [str(w.message) for w in caught]


def test_warnings_name_the_callers_line() -> None:
    with pytest.warns(UserWarning, match="all zeros") as caught:
        classifier().fit(X, LABELS, sample_weight=0 * WEIGHTS, verbose=0)
    assert caught[0].filename == __file__


def test_said_again_after_compile() -> None:
    model = classifier()
    for _ in range(2):
        model.compile("sgd", "sparse_categorical_crossentropy")
        with pytest.warns(UserWarning, match="all zeros"):
            model.fit(X, LABELS, sample_weight=0 * WEIGHTS, verbose=0)


def test_misspelt_hooks_are_said() -> None:
    with pytest.warns(UserWarning, match="Misspelt.on_epoch_ended is no hook.*Did you mean 'on_epoch_end'"):
        classifier().fit(X, LABELS, callbacks=[Misspelt()], verbose=0)


# What is accepted, without a word

ACCEPTED: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "labels as float32": (classifier, fit(X, LABELS.astype("float32"))),
    "labels as float64": (classifier, fit(X, LABELS.astype("float64"))),
    "labels as uint8": (classifier, fit(X, LABELS.astype("uint8"))),
    "labels in a column": (classifier, fit(X, LABELS[:, None])),
    "labels as bool": (classifier, fit(X, LABELS > 0)),
    "labels as a list": (classifier, fit(X.tolist(), LABELS.tolist())),
    "labels as tensor": (classifier, fit(lumbre.Tensor(X), lumbre.Tensor(LABELS))),
    "sorted labels": (classifier, fit(X, np.sort(LABELS))),
    "shuffled labels, split": (classifier, fit(X, LABELS, validation_split=0.25)),
    "one class, split": (classifier, fit(X, 0 * LABELS, validation_split=0.25)),
    "one-hot integers": (one_hot, fit(X, ONE_HOT.astype("int32"))),
    "one-hot bools": (one_hot, fit(X, ONE_HOT.astype(bool))),
    "soft labels": (one_hot, fit(X, np.full((N, CLASSES), 1 / CLASSES))),
    "rows of no class": (one_hot, fit(X, row(ONE_HOT, 3, 0))),
    "binary (n,)": (binary, fit(X, YES_NO)),
    "binary (n, 1)": (binary, fit(X, YES_NO[:, None])),
    "binary bools": (binary, fit(X, LABELS > 0)),
    "binary integers": (binary, fit(X, YES_NO.astype("int64"))),
    "binary soft labels": (binary, fit(X, np.clip(YES_NO, 0.1, 0.9))),
    "hinge -1 and 1": (hinge, fit(X, 2 * YES_NO - 1)),
    "hinge 0 and 1": (hinge, fit(X, YES_NO)),
    "many labels": (lambda: binary(units=3), fit(X, ONE_HOT)),
    "regression (n,)": (regression, fit(X, TARGET[:, 0])),
    "regression, integers": (regression, fit(X, (TARGET[:, 0] * 10).astype("int64"))),
    "regression, sorted": (regression, fit(X, np.sort(TARGET[:, 0]), validation_split=0.25)),
    "logits": (
        lambda: binary(losses.SparseCategoricalCrossentropy(from_logits=True), None, 3),
        fit(X, LABELS),
    ),
    "ignored labels": (ignoring, fit(X, row(LABELS, 3, -1))),
    "labels without weight": (
        classifier,
        fit(X, row(LABELS, 7, 99), sample_weight=row(WEIGHTS, 7, 0)),
    ),
    "labels per step without weight": (
        per_step,
        fit(STEPS, row(STEP_LABELS, (7, 2), -1), sample_weight=row(np.ones((N, 5)), (7, 2), 0)),
    ),
    "custom loss, NaN targets": (lambda: regression(own_loss), fit(X, row(TARGET, 3, np.nan))),
    "custom loss, any labels": (
        lambda: classifier(lambda y, p: losses.mean_squared_error(y, p[:, :1])),
        fit(X, LABELS - 0.5),
    ),
    "uint8 pixels": (classifier, fit((X * 50).astype("uint8"), LABELS)),
    "integers": (classifier, fit((X * 10).astype("int64"), LABELS)),
    "large integers of an integer input": (
        lambda: integer_model(),
        fit(np.full((N, 1), 2**30), TARGET),
    ),
    "bool data": (classifier, fit(X > 0, LABELS)),
    "float16 data": (classifier, fit(X.astype("float16"), LABELS.astype("float16"))),
    "masked array without masked values": (classifier, fit(np.ma.masked_less(X, -1e9), LABELS)),
    "some weights of zero": (classifier, option(sample_weight=row(WEIGHTS, 3, 0))),
    "weights in a column": (classifier, option(sample_weight=WEIGHTS[:, None])),
    "integer weights": (classifier, option(sample_weight=WEIGHTS.astype("int64"))),
    "bool weights": (classifier, option(sample_weight=LABELS > 0)),
    "class weights of some": (classifier, option(class_weight={0: 2.0})),
    "class weights by NumPy's": (classifier, option(class_weight={np.int64(1): np.float32(2)})),
    "class weights by floats": (classifier, option(class_weight={1.0: 2, 2.0: 0})),
    "class weights of two": (binary, fit(X, YES_NO, class_weight={False: 1, True: 3})),
    "class weights, one-hot": (one_hot, fit(X, ONE_HOT, class_weight={2: 3.0})),
    "NumPy's integers": (classifier, option(batch_size=np.int64(8), epochs=np.int32(2))),
    "no epochs": (classifier, option(epochs=0)),
    "nothing left to train": (classifier, option(epochs=3, initial_epoch=3)),
    "a batch larger than the data": (classifier, option(batch_size=10**6)),
    "no split": (classifier, option(validation_split=0)),
    "NumPy's split": (classifier, option(validation_split=np.float32(0.5))),
    "validation_freq list": (
        classifier,
        option(validation_data=(X, LABELS), validation_freq=[1, np.int64(3)]),
    ),
    "verbose false": (classifier, option(verbose=False)),
    "shuffle batch": (classifier, option(shuffle="batch")),
    "shuffle 1": (classifier, option(shuffle=1)),
    "callbacks none": (classifier, option(callbacks=None)),
    "callbacks empty": (classifier, option(callbacks=[])),
    "callbacks nested": (classifier, option(callbacks=[[Hooks()], None])),
    "one callback": (classifier, option(callbacks=callbacks.History())),
    "rate 0": (classifier, lambda m: setattr(m.optimizer, "learning_rate", 0)),
    "rate as a tensor": (classifier, lambda m: setattr(m.optimizer, "learning_rate", lumbre.Tensor(0.5))),
    "predictions from NaN": (classifier, lambda m: m.predict(row(X, 2, np.nan), verbose=0)),
    "evaluation of NaN": (regression, lambda m: m.evaluate(row(X, 2, np.nan), TARGET, verbose=0)),
    "NaN, as asked": (lambda: classifier(nan_policy="allow"), fit(row(X, 2, np.nan), LABELS)),
    "NaN behind the validation's steps": (
        classifier,
        option(validation_data=(row(X, 33, np.nan), LABELS), validation_steps=2, validation_batch_size=8),
    ),
    "NaN, with its callback": (
        classifier,
        fit(row(X, 2, np.nan), LABELS, callbacks=[TerminateOnNaN()]),
    ),
    "infinite weights, as asked": (
        lambda: classifier(nan_policy="allow"),
        option(sample_weight=row(WEIGHTS, 5, np.inf)),
    ),
    "a generator with its steps": (
        classifier,
        lambda m: m.fit(batches(*[(X, LABELS)] * 4), steps_per_epoch=2, epochs=2, verbose=0, shuffle=False),
    ),
    "mask of a model": (per_step, lambda m: m(ops.convert_to_tensor(STEPS), mask=np.ones((N, 5), bool))),
    "mask of an output": (
        per_step,
        lambda m: losses.MeanSquaredError()(STEPS, masked(STEPS, np.ones((N, 5), bool))),
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(case: str) -> None:
    make, action = ACCEPTED[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        action(make())


def test_excused_labels_count_nothing() -> None:
    """Labels outside the classes that have weight 0, or are the ignored class, do not change the result."""

    def trained(make: Callable[[], Any], y: np.ndarray, **options: Any) -> list[np.ndarray]:
        lumbre.utils.set_random_seed(0)
        model = make()
        history = model.fit(X, y, epochs=3, batch_size=16, shuffle=False, verbose=0, **options)
        return [*model.get_weights(), np.array(history.history["loss"])]

    def weighted() -> Any:
        return classifier(weighted_metrics=["sparse_categorical_crossentropy", "accuracy"])

    weights = row(WEIGHTS, [7, 30], 0)
    for a, b in zip(
        trained(weighted, row(LABELS, [7, 30], [99, -5]), sample_weight=weights),
        trained(weighted, row(LABELS, [7, 30], 0), sample_weight=weights),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
        assert np.isfinite(a).all()
    assert all(np.isfinite(a).all() for a in trained(ignoring, row(LABELS, 7, -1)))


def test_own_steps_take_any_targets() -> None:
    """Under a `train_step` or `compute_loss` of one's own, `y` is one's own affair."""

    class OwnStep(lumbre.Sequential):
        def train_step(self, data: Any) -> dict[str, Any]:
            x, _ = data
            loss = ops.mean(ops.square(self(x, training=True)))
            grads = lumbre.grad(loss, self.trainable_variables)
            self.optimizer.apply(grads, self.trainable_variables)
            return {"loss": loss}

    class OwnLoss(lumbre.Sequential):
        def compute_loss(self, x: Any, y: Any, y_pred: Any, *args: Any, **kwargs: Any) -> Any:
            return ops.mean(ops.square(y_pred))

    for kind in (OwnStep, OwnLoss):
        model = kind([lumbre.Input((WIDTH,)), layers.Dense(CLASSES, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(X, row(LABELS - 7.5, 2, np.nan), verbose=0)
        assert model.optimizer.iterations.numpy() == 2
        with pytest.raises(ValueError, match="`x` contains NaN"):
            model.fit(row(X, 1, np.nan), LABELS, verbose=0)


def test_missing_classes_weigh_one() -> None:
    def trained(**options: Any) -> list[np.ndarray]:
        lumbre.utils.set_random_seed(0)
        model = classifier()
        model.fit(X, LABELS, verbose=0, **options)
        return list(model.get_weights())

    weights = np.where(LABELS == 1, 4.0, 1.0)
    for a, b in zip(trained(class_weight={1: 4.0}), trained(sample_weight=weights), strict=True):
        np.testing.assert_array_equal(a, b)


def test_any_object_with_hooks_is_a_callback() -> None:
    hooks = Hooks()
    classifier().fit(X, LABELS, epochs=3, callbacks=[hooks], verbose=0)
    assert hooks.epochs == 3


def test_nan_that_terminates_is_trained_on() -> None:
    """With `TerminateOnNaN` among the callbacks the step runs, so that the callback sees its loss."""
    history = classifier().fit(row(X, 2, np.nan), LABELS, callbacks=[TerminateOnNaN()], verbose=0)
    assert math.isnan(history.history["loss"][0])
