"""Nonsense is refused, in words that help, before it changes anything."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import lumbre
from check_models import (
    LABELS,
    ONE_HOT,
    STEP_LABELS,
    STEPS,
    TARGET,
    WEIGHTS,
    YES_NO,
    HasNothing,
    N,
    TerminateOnNaN,
    X,
    batches,
    binary,
    classifier,
    fit,
    hinge,
    ignoring,
    masked,
    one_hot,
    option,
    per_step,
    regression,
    row,
    three,
    two_outputs,
)
from lumbre import callbacks, layers, losses, metrics, ops, optimizers

# What is refused


class Bad(NamedTuple):
    model: Callable[[], Any]
    action: Callable[[Any], Any]
    error: type[Exception]
    text: str


NOT_CLASSES: dict[str, tuple[Any, str]] = {
    "too large": (row(LABELS, 7, 3), "`y` has a label outside the classes: row 7 is 3.*3 classes.*0 to 2"),
    "negative": (row(LABELS, 9, -1), "row 9 is -1.*`y - 1`"),
    "fractional": (row(LABELS.astype("float32"), 2, 0.5), "row 2 is 0.5"),
    "wrapped": (row(LABELS, 4, -1).astype("uint8"), "row 4 is 255.*255 is what -1 becomes in uint8"),
    "wrapped twice": (row(LABELS, 4, -2).astype("uint16"), "65534 is what -2 becomes in uint16"),
    "infinite": (
        row(LABELS.astype("float32"), 5, np.inf),
        "`y` contains NaN or infinity, first met in row 5",
    ),
    "NaN": (row(LABELS.astype("float64"), 6, np.nan), "`y` contains NaN or infinity, first met in row 6"),
    "in a column": (row(LABELS[:, None], 8, 5), "row 8 is 5"),
}

REFUSED: dict[str, Bad] = {}
for name, (y, text) in NOT_CLASSES.items():
    REFUSED[f"labels {name}"] = Bad(classifier, fit(X, y), ValueError, text)
    for method in ("train_on_batch", "test_on_batch"):
        if method == "train_on_batch" or np.isfinite(y).all():
            REFUSED[f"labels {name}, {method}"] = Bad(
                classifier, lambda m, y=y, method=method: getattr(m, method)(X, y), ValueError, text
            )
REFUSED |= {
    "labels of evaluate": Bad(
        classifier,
        lambda m: m.evaluate(X, LABELS + 1, verbose=0),
        ValueError,
        "`y` has a label outside.*is 3",
    ),
    "labels of validation": Bad(
        classifier, option(validation_data=(X, LABELS + 1)), ValueError, "`y` has a label outside.*is 3"
    ),
    "labels of a generator": Bad(
        classifier,
        lambda m: m.fit(batches((X, LABELS - 1)), verbose=0),
        ValueError,
        "`y` has a label outside",
    ),
    "labels beside the ignored one": Bad(ignoring, fit(X, row(LABELS, 3, -2)), ValueError, "row 3 is -2"),
    "labels of one output": Bad(
        two_outputs,
        fit(X, {"p": TARGET, "q": LABELS + 1}),
        ValueError,
        r"`y\['q'\]` has a label outside the classes",
    ),
    "labels weighted elsewhere": Bad(
        classifier, fit(X, row(LABELS, 7, 3), sample_weight=row(WEIGHTS, 8, 0)), ValueError, "row 7 is 3"
    ),
    "binary labels": Bad(
        binary, fit(X, row(YES_NO, 1, 2)), ValueError, "the two classes: row 1 is 2.*0 to 1"
    ),
    "binary labels of focal loss": Bad(
        lambda: binary("binary_focal_crossentropy"), fit(X, row(YES_NO, 1, -1)), ValueError, "row 1 is -1"
    ),
    "labels of hinge": Bad(hinge, fit(X, row(YES_NO, 1, 2)), ValueError, "row 1 is 2.*hinge takes.*-1 and 1"),
    "fractions of hinge": Bad(hinge, fit(X, row(YES_NO, 3, 0.5)), ValueError, "row 3 is 0.5"),
    # Targets that would broadcast
    "(n,) for (n, k)": Bad(three, fit(X, TARGET[:, 0]), ValueError, r"same shape.*\(32,\).*\(32, 3\)"),
    "(n, 1) for (n, k)": Bad(three, fit(X, TARGET), ValueError, r"same shape.*Nothing is broadcast"),
    "(1, k) for (n, k)": Bad(three, fit(X, ONE_HOT[:1]), ValueError, "cardinality is ambiguous"),
    "(n, 2) for (n, 1)": Bad(regression, fit(X, ONE_HOT[:, :2]), ValueError, "same shape"),
    "(n, k, 1) for (n, k)": Bad(three, fit(X, ONE_HOT[:, :1, None]), ValueError, "same shape"),
    "broadcast in a metric": Bad(
        lambda: regression(lambda y, p: ops.mean(p, -1), 3, metrics=["mae"]),
        fit(X, TARGET),
        ValueError,
        "same",
    ),
    "binary (n, 1) for (n, k)": Bad(
        lambda: binary(units=3), fit(X, YES_NO[:, None]), ValueError, "must have the same shape"
    ),
    "one-hot for sparse": Bad(classifier, fit(X, ONE_HOT), ValueError, "'categorical_crossentropy'.*argmax"),
    "class numbers for one-hot": Bad(
        one_hot, fit(X, LABELS), ValueError, "must have the same shape.*'sparse_categorical_crossentropy'"
    ),
    # NaN and infinity
    "NaN in x": Bad(
        classifier,
        fit(row(X, 21, np.nan), LABELS, batch_size=N),
        ValueError,
        "`x` contains NaN.*row 21.*policy",
    ),
    "infinity in x": Bad(
        classifier, fit(row(X, 21, -np.inf), LABELS, batch_size=N), ValueError, "`x` contains NaN.*row 21"
    ),
    "too large for float32": Bad(
        classifier,
        fit(row(X.astype("float64"), 5, 1e300), LABELS, batch_size=N),
        ValueError,
        "row 5.*a number too large for float32",
    ),
    "NaN in a batch": Bad(
        classifier,
        lambda m: m.train_on_batch(row(X, 2, np.nan), LABELS),
        ValueError,
        "`x` contains NaN.*row 2",
    ),
    "NaN in targets": Bad(regression, fit(X, row(TARGET, 3, np.nan)), ValueError, "`y` contains NaN.*row 3"),
    "targets too large": Bad(
        regression, fit(X, row(TARGET.astype("float64"), 3, -1e39)), ValueError, "`y` contains NaN.*row 3"
    ),
    "NaN in the targets of one output": Bad(
        two_outputs,
        fit(X, {"p": row(TARGET, 3, np.inf), "q": LABELS}),
        ValueError,
        r"`y\['p'\]` contains NaN",
    ),
    "NaN in a generator": Bad(
        classifier,
        lambda m: m.fit(batches((row(X, 2, np.nan), LABELS)), verbose=0),
        ValueError,
        "`x` contains",
    ),
    "NaN in validation": Bad(
        classifier,
        option(validation_data=(row(X, 33, np.nan), LABELS)),
        ValueError,
        "`x` contains NaN.*row 33.*Nothing has changed",
    ),
    "NaN in validation targets": Bad(
        regression,
        fit(X, TARGET, validation_data=(X, row(TARGET, 33, np.nan))),
        ValueError,
        "`y` contains NaN.*row 33",
    ),
    "NaN asked to be refused": Bad(
        lambda: classifier(nan_policy="raise"),
        fit(row(X, 2, np.nan), LABELS, batch_size=N, callbacks=[TerminateOnNaN()]),
        ValueError,
        "`x` contains NaN",
    ),
    # Weights
    "NaN weight": Bad(
        classifier,
        option(sample_weight=row(WEIGHTS, 5, np.nan)),
        ValueError,
        "`sample_weight`.*its row 5 is NaN",
    ),
    "NaN weight, whatever the policy": Bad(
        lambda: classifier(nan_policy="allow"),
        option(sample_weight=row(WEIGHTS, 5, np.nan)),
        ValueError,
        "its row 5 is NaN",
    ),
    "infinite weight": Bad(
        classifier,
        option(sample_weight=row(WEIGHTS, 5, np.inf)),
        ValueError,
        "`sample_weight` contains.*row 5",
    ),
    "NaN weight of a batch": Bad(
        classifier,
        lambda m: m.train_on_batch(X, LABELS, row(WEIGHTS, 5, np.nan)),
        ValueError,
        "its row 5 is NaN",
    ),
    "NaN weight of evaluate": Bad(
        classifier,
        lambda m: m.evaluate(X, LABELS, sample_weight=row(WEIGHTS, 5, np.nan), verbose=0),
        ValueError,
        "its row 5 is NaN",
    ),
    "shape of weights": Bad(
        classifier, option(sample_weight=np.ones((N, 2))), ValueError, r"`sample_weight` must.*\(32, 2\)"
    ),
    "number of weights": Bad(classifier, option(sample_weight=WEIGHTS[1:]), ValueError, "cardinality"),
    "unknown class": Bad(
        classifier, option(class_weight={0: 1.0, 7: 2.0}), ValueError, "unknown class 7.*3 classes, 0 to 2"
    ),
    "unknown class of two": Bad(
        binary, fit(X, YES_NO, class_weight={2: 1.0}), ValueError, "unknown class 2.*2 classes"
    ),
    "unknown class, one-hot": Bad(one_hot, fit(X, ONE_HOT, class_weight={3: 1.0}), ValueError, "class 3"),
    "unknown class of a batch": Bad(
        classifier, lambda m: m.train_on_batch(X, LABELS, class_weight={9: 1.0}), ValueError, "class 9"
    ),
    "class by name": Bad(classifier, option(class_weight={"a": 1.0}), ValueError, "unknown class 'a'"),
    "negative class": Bad(classifier, option(class_weight={-1: 1.0}), ValueError, "unknown class -1"),
    "half a class": Bad(classifier, option(class_weight={0.5: 1.0}), ValueError, "unknown class 0.5"),
    "NaN class weight": Bad(classifier, option(class_weight={0: math.nan}), ValueError, "finite weights"),
    "negative class weight": Bad(classifier, option(class_weight={0: -1.0}), ValueError, "finite weights"),
    "no class weight": Bad(classifier, option(class_weight={0: "a"}), ValueError, "finite weights"),
    "list of class weights": Bad(classifier, option(class_weight=[1.0]), ValueError, "must be a dict"),
    "class weights and labels per step": Bad(
        per_step, fit(STEPS, STEP_LABELS, class_weight={0: 2.0}), ValueError, "one label per sample"
    ),
    "class and sample weights": Bad(
        classifier,
        option(class_weight={0: 1.0}, sample_weight=WEIGHTS),
        ValueError,
        "`class_weight` and `sample_weight` at the same time",
    ),
    # Rates
    "negative rate": Bad(
        classifier,
        lambda m: setattr(m.optimizer, "learning_rate", -0.1),
        ValueError,
        "`learning_rate` must be a finite number of at least 0.*-0.1",
    ),
    "NaN rate": Bad(
        classifier, lambda m: setattr(m.optimizer, "learning_rate", math.nan), ValueError, "learning_rate=nan"
    ),
    "infinite rate": Bad(
        classifier, lambda m: setattr(m.optimizer, "learning_rate", np.float32("inf")), ValueError, "=inf"
    ),
    "negative schedule": Bad(
        classifier,
        lambda m: setattr(m.optimizer, "learning_rate", optimizers.schedules.CosineDecay(-0.1, 10)),
        ValueError,
        "`initial_learning_rate` must be",
    ),
    # Kinds of data
    "complex": Bad(
        classifier, fit(X + 1j, LABELS), TypeError, "`x` must hold numbers.*complex.*z.real, z.imag"
    ),
    "complex targets": Bad(regression, fit(X, TARGET + 1j), TypeError, "`y` must hold numbers.*complex"),
    "masked": Bad(
        classifier, fit(np.ma.masked_less(X, 0), LABELS), TypeError, "`x` is a masked array.*filled"
    ),
    "masked labels": Bad(
        classifier, fit(X, np.ma.masked_equal(LABELS, 1)), TypeError, "`y` is a masked array.*filled"
    ),
    "dates": Bad(classifier, fit(X.astype("M8[s]"), LABELS), TypeError, "`x` must hold numbers.*timedelta64"),
    "strings": Bad(classifier, fit(X.astype(str), LABELS), TypeError, "`x` must hold numbers or booleans"),
    "objects": Bad(classifier, fit(X, LABELS.astype(object)), TypeError, "`y` must hold numbers.*object"),
    "ragged": Bad(classifier, fit([[1.0], [1.0, 2.0]], [0, 1]), ValueError, "`x` is a list whose members"),
    "empty": Bad(classifier, fit(X[:0], LABELS[:0]), ValueError, "The data is empty"),
    # Masks
    "mask of an output": Bad(
        per_step,
        lambda m: losses.MeanSquaredError()(STEPS, masked(STEPS, np.ones((N, 4), bool))),
        ValueError,
        r"the mask of the predictions must have the shape.*\(40, 5\).*\(40, 4\)",
    ),
    "mask of a model": Bad(
        per_step,
        lambda m: m(ops.convert_to_tensor(STEPS), mask=np.ones((N, 4), bool)),
        ValueError,
        r"`mask` must have the shape of the inputs.*\(40, 5, 4\).*\(40, 4\)",
    ),
    "mask of a graph": Bad(
        two_outputs,
        lambda m: m(ops.convert_to_tensor(X), mask=np.ones(N - 1, bool)),
        ValueError,
        r"`mask` must have the shape of the inputs.*\(40, 4\).*\(39,\)",
    ),
    "mask of a layer": Bad(
        classifier,
        lambda m: layers.Softmax()(X, mask=np.ones((N, 7), bool)),
        ValueError,
        "`mask` must be broadcastable",
    ),
}


ARGUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "batch_size 0": ({"batch_size": 0}, "`batch_size` must be a positive integer or None.*batch_size=0"),
    "batch_size half": ({"batch_size": N / 4}, "`batch_size` must be a positive.*10.0.*Divide with `//`"),
    "batch_size true": ({"batch_size": True}, "`batch_size` must be a positive integer"),
    "batch_size text": ({"batch_size": "32"}, "`batch_size` must be a positive integer.*'32'"),
    "epochs negative": ({"epochs": -1}, "`epochs` must be a whole number, 0 or more.*epochs=-1"),
    "epochs half": ({"epochs": 1.5}, "`epochs` must be a whole number"),
    "epochs none": ({"epochs": None}, "`epochs` must be a whole number.*None"),
    "initial_epoch negative": ({"initial_epoch": -1}, "`initial_epoch` must be a whole number"),
    "initial_epoch half": ({"initial_epoch": 0.5}, "`initial_epoch` must be a whole number"),
    "initial_epoch late": ({"epochs": 5, "initial_epoch": 10}, "train 5 more epochs, pass epochs=15"),
    "split negative": ({"validation_split": -0.1}, "`validation_split` must be a number from 0.*-0.1"),
    "split large": ({"validation_split": 1.5}, "`validation_split` must be a number from 0"),
    "split NaN": ({"validation_split": math.nan}, "`validation_split` must be a number from 0.*nan"),
    "split text": ({"validation_split": "0.2"}, "`validation_split` must be a number from 0.*'0.2'"),
    "split all": ({"validation_split": 1.0}, "which is not sufficient to split it"),
    "split little": (
        {"validation_split": 0.99},
        "Training data contains 40 samples, which is not sufficient",
    ),
    "steps 0": ({"steps_per_epoch": 0}, "`steps_per_epoch` must be a positive integer"),
    "steps half": ({"steps_per_epoch": N / 32}, "`steps_per_epoch` must be.*1.25.*Divide with `//`"),
    "validation_steps": (
        {"validation_data": (X, LABELS), "validation_steps": -1},
        "`validation_steps` must be a positive integer",
    ),
    "validation_batch_size": ({"validation_batch_size": 0}, "`validation_batch_size` must be a positive"),
    "validation_freq 0": ({"validation_freq": 0}, "Expected `validation_freq` to be a list or int"),
    "validation_freq half": ({"validation_freq": 0.5}, "Expected `validation_freq` to be a list or int"),
    "validation_freq list": ({"validation_freq": [0, 1]}, "count from 1.*validation_freq=\\[0, 1\\]"),
    "verbose": ({"verbose": "atuo"}, "`verbose` must be one of.*'atuo'.*Did you mean 'auto'"),
    "verbose 3": ({"verbose": 3}, "`verbose` must be one of"),
    "shuffle": ({"shuffle": "bacth"}, "`shuffle` must be one of.*Did you mean 'batch'"),
}
REFUSED |= {
    f"argument {name}": Bad(classifier, option(**options), ValueError, text)
    for name, (options, text) in ARGUMENTS.items()
}
CALLBACKS: dict[str, tuple[Any, str]] = {
    "without hooks": ([HasNothing()], "without hooks like `on_epoch_end`.*HasNothing"),
    "a class": ([callbacks.History], r"It is a class: pass an object, History\(...\)"),
    "a name": (["Histroy"], "have no names: pass the object. Did you mean 'History'"),
    "a function": ([lambda epoch, logs: None], "use `callbacks.LambdaCallback`"),
    "a number": (3, "without hooks.*3"),
}
for name, (given, text) in CALLBACKS.items():
    REFUSED[f"callback {name}"] = Bad(classifier, option(callbacks=given), TypeError, text)
REFUSED |= {
    "callback of evaluate": Bad(
        classifier, lambda m: m.evaluate(X, LABELS, callbacks=[HasNothing()]), TypeError, "without hooks"
    ),
    "callback of predict": Bad(classifier, lambda m: m.predict(X, callbacks=HasNothing()), TypeError, "ho"),
    "batch_size of evaluate": Bad(
        classifier, lambda m: m.evaluate(X, LABELS, batch_size=-1), ValueError, "`batch_size` must be"
    ),
    "steps of predict": Bad(classifier, lambda m: m.predict(X, steps=0), ValueError, "`steps` must be"),
    "verbose of predict": Bad(classifier, lambda m: m.predict(X, verbose="loud"), ValueError, "`verbose`"),
    # Options
    "option of fit": Bad(
        classifier, option(epoch=3), TypeError, r"fit\(\) got an unexpected keyword.*Did you mean 'epochs'"
    ),
    "old option of fit": Bad(classifier, option(nb_epoch=3), TypeError, "Did you mean 'epochs'"),
    "option of compile": Bad(
        classifier, lambda m: m.compile(optimiser="sgd"), TypeError, r"compile\(\).*Did you mean 'optimizer'"
    ),
    "option of evaluate": Bad(
        classifier, lambda m: m.evaluate(X, LABELS, verbos=0), ValueError, "Arguments not.*mean 'verbose'"
    ),
    "option of predict": Bad(
        classifier, lambda m: m.predict(X, batchsize=3), TypeError, r"predict\(\).*Did you mean 'batch_size'"
    ),
    "option of train_on_batch": Bad(
        classifier, lambda m: m.train_on_batch(X, LABELS, sample_weights=X), TypeError, "'sample_weight'"
    ),
    "option of test_on_batch": Bad(
        classifier, lambda m: m.test_on_batch(X, LABELS, returndict=True), TypeError, "'return_dict'"
    ),
    "option of a call": Bad(classifier, lambda m: m(X, trainig=True), TypeError, "Did you mean 'training'"),
    "nan_policy": Bad(
        classifier,
        lambda m: m.compile("sgd", "mse", nan_policy="rais"),
        ValueError,
        "`nan_policy` must be one of.*Did you mean 'raise'",
    ),
    "jit_compile": Bad(
        classifier, lambda m: m.compile("sgd", "mse", jit_compile="atuo"), ValueError, "mean 'auto'"
    ),
    "loss": Bad(classifier, lambda m: m.compile("sgd", "msee"), ValueError, "identifier: msee.*mean 'mse'"),
    "metric": Bad(
        classifier, lambda m: m.compile("sgd", "mse", metrics=["maee"]), ValueError, "maee.*mean 'mae'"
    ),
    "optimizer": Bad(classifier, lambda m: m.compile("adamm"), ValueError, "adamm.*Did you mean 'adam'"),
    "steps_per_execution": Bad(
        classifier,
        lambda m: m.compile("sgd", "mse", steps_per_execution=0),
        ValueError,
        "`steps_per_execution` must be a positive integer",
    ),
    "loss_weights NaN": Bad(
        two_outputs,
        lambda m: m.compile("sgd", "mse", loss_weights={"p": math.nan}),
        ValueError,
        r"`loss_weights\['p'\]` must be a finite number.*nan",
    ),
}


def state(model: Any) -> list[np.ndarray]:
    """The weights, and the optimizer's slots and number of steps."""
    return [v.numpy() for v in [*model.variables, *model.optimizer.variables]]


def train_once(model: Any) -> None:
    """A first step, so that there is a state to compare."""
    if model.output_names == ["p", "q"]:
        model.train_on_batch(X, {"p": TARGET, "q": LABELS})
        return
    x = STEPS if len(model.input_shape) == 3 else X
    shape = model.compute_output_shape(x.shape)
    sparse = "sparse" in str(getattr(model.loss, "name", model.loss))
    model.train_on_batch(x, np.zeros(shape[:-1] if sparse else shape, "float32"))


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    """The error has its class and says what is wrong, and nothing has changed."""
    model = REFUSED[case].model()
    train_once(model)
    before, optimizer = state(model), model.optimizer
    with pytest.raises(REFUSED[case].error, match=f"(?s){REFUSED[case].text}"):
        REFUSED[case].action(model)
    assert model.optimizer is optimizer
    for old, new in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_metric_is_no_loss() -> None:
    with pytest.raises(TypeError, match=r"`loss` is the metric .*lumbre.losses"):
        classifier(metrics.MeanSquaredError())


def test_loss_weights_of_unknown_outputs() -> None:
    model = two_outputs(loss_weights={"pp": 1.0})
    with pytest.raises(ValueError, match=r"its keys are.*Did you mean 'p'"):
        model.fit(X, {"p": TARGET, "q": LABELS}, verbose=0)


CONSTRUCTORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "negative rate": (lambda: optimizers.SGD(-0.1), ValueError, "`learning_rate` must be a finite.*-0.1"),
    "NaN rate": (lambda: optimizers.Adam(math.nan), ValueError, "learning_rate=nan"),
    "infinite rate": (lambda: optimizers.RMSprop(math.inf), ValueError, "learning_rate=inf"),
    "schedule of negative rates": (
        lambda: optimizers.SGD(optimizers.schedules.PiecewiseConstantDecay([5], [0.1, -0.1])),
        ValueError,
        r"`values\[1\]` must be a finite number",
    ),
    "schedule that rises to NaN": (
        lambda: optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 5, warmup_target=math.nan)),
        ValueError,
        "`warmup_target` must be",
    ),
    "weight_decay": (lambda: optimizers.SGD(weight_decay=-1.0), ValueError, "`weight_decay` must be"),
    "clipnorm": (lambda: optimizers.SGD(clipnorm=math.nan), ValueError, "`clipnorm` must be a finite"),
    "optimizer lr": (lambda: optimizers.SGD(lr=0.1), ValueError, "not recognized.*mean 'learning_rate'"),
    "optimizer": (lambda: optimizers.SGD(momentun=0.9), ValueError, "not recognized.*mean 'momentum'"),
    "layer": (lambda: layers.Dense(3, activatoin="relu"), ValueError, "passed to Dense.*mean 'activation'"),
    "layer's base": (lambda: layers.Dense(3, trainabel=False), ValueError, "Did you mean 'trainable'"),
    "model": (lambda: lumbre.Sequential([], nmae="m"), TypeError, "Did you mean 'name'"),
    "loss": (lambda: losses.Huber(detla=1.0), TypeError, "unexpected keyword.*Did you mean 'delta'"),
    "metric": (lambda: metrics.BinaryAccuracy(treshold=0.3), TypeError, "Did you mean 'threshold'"),
    "schedule": (
        lambda: optimizers.schedules.CosineDecay(0.1, decay_step=5),
        TypeError,
        "Did you mean 'decay_steps'",
    ),
    "initializer": (lambda: lumbre.initializers.RandomNormal(sdt=1.0), TypeError, "unexpected keyword"),
    "regularizer": (lambda: lumbre.regularizers.L2(l1=0.1), TypeError, "unexpected keyword argument 'l1'"),
    "constraint": (lambda: lumbre.constraints.MaxNorm(max_valeu=1), TypeError, "Did you mean 'max_value'"),
    "no arguments": (lambda: lumbre.initializers.Zeros(3), TypeError, "takes no arguments"),
    "activation": (lambda: layers.Dense(3, activation="rellu"), ValueError, "rellu.*Did you mean 'relu'"),
    "initializer's name": (
        lambda: layers.Dense(3, kernel_initializer="he_norml"),
        ValueError,
        "Did you mean 'he_normal'",
    ),
}


@pytest.mark.parametrize("case", CONSTRUCTORS)
def test_constructors_refuse(case: str) -> None:
    make, error, text = CONSTRUCTORS[case]
    with pytest.raises(error, match=f"(?s){text}"):
        make()


def test_a_bad_batch_leaves_those_before_it() -> None:
    model = classifier()
    with pytest.raises(ValueError, match="row 21") as caught:
        model.fit(row(X, 21, np.nan), LABELS, shuffle=False, batch_size=8, verbose=0)
    assert "changed nothing" in str(caught.value) and model.optimizer.iterations.numpy() == 2
    model = classifier()
    with pytest.raises(ValueError, match="row 37"):  # far into the replayed steps
        model.fit(row(X, 37, np.nan), LABELS, shuffle=False, batch_size=4, verbose=0)
    assert model.optimizer.iterations.numpy() == 9 and all(np.isfinite(v).all() for v in state(model))
    model = classifier()
    with pytest.raises(ValueError, match="row 3 is 9") as caught:
        model.fit(batches((X, LABELS), (X, row(LABELS, 3, 9))), shuffle=False, verbose=0)
    assert caught.value.__notes__ == ["This was batch 1 of the generator (counted from 0)."]
    assert model.optimizer.iterations.numpy() == 1
