"""Bad input: an error that says what came and what was expected, and a model that is as it was."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import layers

N, WIDTH, CLASSES = 40, 4, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, WIDTH)).astype("float32")
LABELS = RNG.integers(0, CLASSES, N)
Y = np.eye(CLASSES, dtype="float32")[LABELS]


def classifier(loss: Any = "sparse_categorical_crossentropy", **options: Any) -> Any:
    model = lumbre.Sequential(
        [
            lumbre.Input((WIDTH,)),
            layers.Dense(5, activation="relu"),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    model.compile("adam", loss, metrics=["accuracy"], **options)
    return model


def state(model: Any) -> list[np.ndarray]:
    return [v.numpy() for v in [*model.variables, *model.optimizer.variables]]


def refused(model: Any, action: Callable[[], Any], error: type[Exception], text: str) -> None:
    """The action raises, and no weight, optimizer slot or counter of the model has changed."""
    model.train_on_batch(X[:8], LABELS[:8])
    before = state(model)
    with pytest.raises(error, match=text):
        action()
    for old, new in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(old, new)
    model.fit(X, LABELS, verbose=0)  # and it still trains


def row(array: np.ndarray, i: int, value: float) -> np.ndarray:
    array = np.array(array)
    array[i] = value
    return array


STRINGS = np.array([["a"] * WIDTH] * N)
DATA: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "width": (X[:, :3], LABELS, ValueError, "expected axis -1 of input shape to have value 4.*|shape"),
    "rank": (X[:, 0], LABELS, ValueError, "ndim|shape|rank"),
    "label too large": (X, row(LABELS, 7, 3), ValueError, "`y` has a label outside.*row 7 is 3.*3 classes"),
    "label negative": (X, row(LABELS, 9, -1), ValueError, "`y` has a label outside.*row 9 is -1"),
    "label not whole": (X, row(LABELS.astype("f"), 2, 0.5), ValueError, "row 2 is 0.5"),
    "lengths": (X, LABELS[:-1], ValueError, "Data cardinality is ambiguous.*'x' sizes: 40\n'y' sizes: 39"),
    "empty": (X[:0], LABELS[:0], ValueError, r"The data is empty.*x: \(0, 4\)"),
    "nan in x": (row(X, 21, np.nan), LABELS, ValueError, "`x` contains NaN or infinity.*row 21.*nan_policy"),
    "infinity in x": (row(X, 30, -np.inf), LABELS, ValueError, "`x` contains NaN or infinity.*row 30"),
    "strings": (STRINGS, LABELS, TypeError, "`x` must hold numbers or booleans, but it has dtype <U1"),
    "objects": (X.astype(object), LABELS, TypeError, "`x` must hold numbers.*dtype object"),
    "object labels": (X, LABELS.astype(object), TypeError, "`y` must hold numbers.*dtype object"),
    "complex": (X.astype("complex64"), LABELS, TypeError, "`x` must hold numbers.*complex64"),
    "no targets": (X, None, ValueError, "has a loss, but `y` has no targets"),
    "a number": (3.0, LABELS, ValueError, "Unrecognized data type: x=3.0"),
    "one-hot of another width": (X, Y[:, :2], ValueError, "shape"),
}


@pytest.mark.parametrize("case", DATA)
def test_fit_refuses(case: str) -> None:
    x, y, error, text = DATA[case]
    model = classifier()
    refused(
        model,
        lambda: model.fit(x, y, shuffle=False, batch_size=N, verbose=0),
        error,
        f"(?s){text}",
    )


@pytest.mark.parametrize("case", [c for c in DATA if c not in ("lengths", "a number")])
def test_train_on_batch_refuses(case: str) -> None:
    x, y, error, text = DATA[case]
    model = classifier()
    refused(model, lambda: model.train_on_batch(x, y), error, f"(?s){text}")


@pytest.mark.parametrize("case", [c for c in DATA if c not in ("lengths", "a number")])
def test_a_bad_batch_of_a_generator(case: str) -> None:
    x, y, error, text = DATA[case]
    model = classifier()
    model.train_on_batch(X[:8], LABELS[:8])
    done: list[int] = []

    def batches() -> Any:
        yield X[:8], LABELS[:8]
        done.append(1)
        yield (x,) if y is None else (x, y)

    with pytest.raises(error, match=f"(?s){text}"):
        model.fit(batches(), shuffle=False, verbose=0)
    assert done, "the batch before the bad one was trained on"
    assert model.optimizer.iterations.numpy() == 2


def test_a_zero_size_batch_of_a_generator() -> None:
    with pytest.raises(ValueError, match="The data is empty"):
        classifier().fit(iter([(X[:0], LABELS[:0])]), shuffle=False, verbose=0)


def test_batches_before_a_bad_row_stand() -> None:
    model = classifier()
    with pytest.raises(ValueError, match="row 21"):
        model.fit(row(X, 21, np.nan), LABELS, shuffle=False, batch_size=8, verbose=0)
    assert model.optimizer.iterations.numpy() == 2
    assert all(np.isfinite(v).all() for v in state(model))


def test_sample_weights_of_a_wrong_shape() -> None:
    model = classifier()
    refused(
        model,
        lambda: model.fit(X, LABELS, sample_weight=np.ones((N, 2)), verbose=0),
        ValueError,
        "sample_weight",
    )


def test_nan_policies() -> None:
    bad = row(X, 21, np.nan)
    with pytest.warns(UserWarning, match="`x` contains NaN or infinity.*row 21"):
        classifier(nan_policy="warn").fit(bad, LABELS, batch_size=N, shuffle=False, verbose=0)
    classifier(nan_policy="allow").fit(bad, LABELS, verbose=0)
    with pytest.raises(ValueError, match="`nan_policy` must be one of"):
        classifier(nan_policy="ignore")
    model = lumbre.Sequential([lumbre.Input((WIDTH,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="`y` contains NaN or infinity, first met in row 3"):
        model.fit(X, row(np.zeros((N, 1)), 3, np.inf), verbose=0)


def test_predictions_from_nan_are_nan() -> None:
    out = classifier().predict(row(X, 21, np.nan), verbose=0)
    assert np.isnan(out[21]).all() and np.isfinite(out[20]).all()


def test_binary_labels() -> None:
    model = lumbre.Sequential([lumbre.Input((WIDTH,)), layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    with pytest.raises(ValueError, match="`y` has a label outside the two classes: row 1 is 2"):
        model.fit(X, row(np.zeros(N), 1, 2), verbose=0)


def test_categorical_loss_with_class_numbers() -> None:
    with pytest.raises(ValueError, match="must have the same shape"):
        classifier("categorical_crossentropy").fit(X, LABELS, verbose=0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"loss": "mean_squarred"}, "Could not interpret loss identifier: mean_squarred"),
        ({"metrics": ["acuracy"]}, "Could not interpret metric identifier: acuracy"),
        ({"optimizer": "adamm"}, "Could not interpret optimizer identifier: adamm"),
        ({"metrics": "accuracy"}, "Expected `metrics` argument to be a list, tuple, or dict. Received"),
        ({"weighted_metrics": "mse"}, "Expected `weighted_metrics` argument to be a list, tuple, or dict"),
        ({"loss_weights": "1"}, "Expected `loss_weights` argument to be a float"),
        ({"steps_per_execution": 0}, "`steps_per_execution` must be a positive integer"),
    ],
)
def test_compile_refuses(options: dict[str, Any], text: str) -> None:
    model = lumbre.Sequential([lumbre.Input((WIDTH,)), layers.Dense(1)])
    with pytest.raises(ValueError, match=text):
        model.compile(**{"optimizer": "sgd", "loss": "mse", **options})
    assert not model.compiled


def test_unknown_activation() -> None:
    with pytest.raises(ValueError, match="Could not interpret activation function identifier: relo"):
        layers.Dense(3, activation="relo")


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_before_compile(method: str) -> None:
    model = lumbre.Sequential([lumbre.Input((WIDTH,)), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"You must call `compile\(\)` before using the model."):
        getattr(model, method)(X, LABELS)


def test_predict_needs_no_compile() -> None:
    model = lumbre.Sequential([lumbre.Input((WIDTH,)), layers.Dense(2)])
    assert model.predict(X, verbose=0).shape == (N, 2)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"batch_size": 0}, "`batch_size` must be a positive integer or None. Received: batch_size=0"),
        ({"batch_size": 2.5}, "`batch_size` must be a positive integer"),
        ({"steps_per_epoch": -1}, "`steps_per_epoch` must be a positive integer"),
        ({"validation_split": 0.99}, "Training data contains 40 samples, which is not sufficient to split"),
        ({"validation_split": 1.0}, "which is not sufficient to split it"),
        ({"validation_data": (X, LABELS), "validation_freq": 0.5}, "Expected `validation_freq` to be a list"),
        ({"validation_data": (X[:, :2], LABELS)}, "shape"),
        ({"validation_data": (X, LABELS + 3)}, "has a label outside the classes"),
        ({"class_weight": [1.0]}, "`class_weight` must be a dict"),
        ({"class_weight": {0: -1.0}}, "`class_weight` must hold finite weights"),
        (
            {"class_weight": {0: 1.0}, "sample_weight": np.ones(N)},
            "You cannot `class_weight` and `sample_weight` at the same time.",
        ),
    ],
)
def test_fit_arguments(options: dict[str, Any], text: str) -> None:
    model = classifier()
    refused(model, lambda: model.fit(X, LABELS, verbose=0, **options), ValueError, text)


def test_sources_take_no_targets() -> None:
    with pytest.raises(ValueError, match="When providing `x` as a generator, `y` should not be passed"):
        classifier().fit(iter([(X, LABELS)]), LABELS, shuffle=False)
    with pytest.raises(ValueError, match="`class_weight` is not supported for Python generator inputs"):
        classifier().fit(iter([(X, LABELS)]), class_weight={0: 1.0}, shuffle=False)
    with pytest.raises(ValueError, match="must yield at least one batch"):
        classifier().fit(iter([]), shuffle=False)
    with pytest.raises(ValueError, match="Argument `validation_split` is only supported for tensors"):
        classifier().fit(iter([(X, LABELS)]), validation_split=0.5)
    with pytest.raises(ValueError, match="Data is expected to be in format"):
        classifier().fit(iter([(X, LABELS, X, X)]), shuffle=False)
    with pytest.warns(UserWarning, match="`shuffle=True` was passed, but will be ignored"):
        classifier().fit(iter([(X, LABELS)]), verbose=0)


def reference(x: Any, y: Any) -> list[float]:
    lumbre.utils.set_random_seed(3)
    model = classifier()
    return model.fit(x, y, epochs=2, batch_size=16, verbose=0).history["loss"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "form",
    [
        lambda a: a.astype("float64"),
        lambda a: a.astype(">f4"),
        lambda a: np.asfortranarray(a),
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: np.repeat(a, 3, axis=0)[::3],
        lambda a: a[::-1][::-1],
        lambda a: a.tolist(),
        lambda a: lumbre.Tensor(a),
        lambda a: lumbre.Variable(a),
    ],
    ids=["float64", "big-endian", "fortran", "strided", "rows", "reversed", "list", "tensor", "variable"],
)
def test_forms_of_the_same_numbers(form: Callable[[np.ndarray], Any]) -> None:
    assert reference(form(X), LABELS) == reference(X, LABELS)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int16", "uint16", "int32", "int64", "bool", "float16", ">i4"]
)
def test_dtypes_of_x_and_y(dtype: str) -> None:
    x = (np.abs(X) * 3).astype(dtype)
    assert reference(x, LABELS) == reference(x.astype("float32"), LABELS)
    if dtype != "bool":
        assert reference(X, LABELS.astype(dtype)) == reference(X, LABELS)


@pytest.mark.parametrize("shape", [(N,), (N, 1)])
@pytest.mark.parametrize("units", [(1,), ()])
def test_y_with_and_without_a_last_axis(shape: tuple[int, ...], units: tuple[int, ...]) -> None:
    """Targets (n,) and outputs (n, 1), and the other way round, mean the same."""
    inputs = lumbre.Input((WIDTH,))
    outputs = layers.Dense(1, kernel_initializer="zeros")(inputs)
    if not units:
        outputs = layers.Reshape(())(outputs)
    model = lumbre.Model(inputs, outputs)
    model.compile("sgd", "mse", metrics=["mae"])
    y = np.arange(N, dtype="float32")
    loss, mae = model.evaluate(X, y.reshape(shape), batch_size=N, verbose=0)
    assert loss == pytest.approx((y**2).mean(), rel=1e-5) and mae == pytest.approx(y.mean(), rel=1e-5)


def test_pandas_like_frames() -> None:
    class Frame:
        def __init__(self, values: np.ndarray) -> None:
            self.values = values

        def to_numpy(self) -> np.ndarray:
            return self.values

    assert reference(Frame(X), Frame(LABELS)) == reference(X, LABELS)


def test_a_second_fit_is_refused() -> None:
    model = classifier()
    errors: list[str] = []

    class Again(lumbre.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            with pytest.raises(RuntimeError, match="is being trained") as caught:
                model.fit(X, LABELS, verbose=0)
            errors.append(str(caught.value))

    model.fit(X, LABELS, verbose=0, callbacks=[Again()])
    assert errors
    model.fit(X, LABELS, verbose=0)


def test_ctrl_c_leaves_a_usable_model() -> None:
    model = classifier()
    before = [w.copy() for w in model.get_weights()]
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, LABELS, batch_size=4, epochs=10**6, verbose=0)
    timer.join()
    weights = model.get_weights()
    assert all(np.isfinite(w).all() for w in weights)
    assert any((w != b).any() for w, b in zip(weights, before, strict=True))
    model.fit(X, LABELS, verbose=0)


def test_unknown_argument_of_evaluate() -> None:
    with pytest.raises(ValueError, match="Arguments not recognized"):
        classifier().evaluate(X, LABELS, verbos=0)


def test_nothing_warns_on_good_data() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier().fit(X, LABELS, validation_split=0.25, epochs=2, verbose=0)
