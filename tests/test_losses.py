"""Losses against the real Keras: values, gradients, reductions, weights, masks, messages."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import close, gradient, keras
from lumbre import losses, ops
from lumbre.lookup import snake_case

RNG = np.random.default_rng(0)
N, C = 6, 5


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).astype("float32")


LOGITS = RNG.normal(0, 2, (N, C)).astype("float32")
DISTRIBUTION = softmax(RNG.normal(0, 2, (N, C)))
ONE_HOT = np.eye(C, dtype="float32")[RNG.integers(0, C, N)]
INDICES = RNG.integers(0, C, N)
BITS = RNG.integers(0, 2, (N, C)).astype("float32")
SHARES = RNG.uniform(0.05, 0.95, (N, C)).astype("float32")
REALS = RNG.normal(0, 2, (N, C)).astype("float32")
COUNTS = RNG.poisson(2, (N, C)).astype("float32")
RATES = RNG.uniform(0.5, 4, (N, C)).astype("float32")
SIGNS = 2 * BITS - 1
AREAS = RNG.integers(0, 2, (3, 4, 5, 2)).astype("float32")
MAPS = RNG.uniform(0.05, 0.95, (3, 4, 5, 2)).astype("float32")
UNITS = LOGITS / np.linalg.norm(LOGITS, axis=-1, keepdims=True)
PAIRS = np.array([0, 1, 0, 1, 2, 2])

CASES: list[tuple[str, dict[str, Any], np.ndarray, np.ndarray]] = [
    ("MeanSquaredError", {}, REALS, LOGITS),
    ("MeanAbsoluteError", {}, REALS, LOGITS),
    ("MeanAbsolutePercentageError", {}, REALS, LOGITS),
    ("MeanSquaredLogarithmicError", {}, COUNTS, RATES),
    ("Huber", {}, REALS, LOGITS),
    ("Huber", {"delta": 0.5}, REALS, LOGITS),
    ("LogCosh", {}, REALS, LOGITS),
    ("Poisson", {}, COUNTS, RATES),
    ("CosineSimilarity", {}, REALS, LOGITS),
    ("CosineSimilarity", {"axis": 0}, REALS, LOGITS),
    ("Hinge", {}, BITS, LOGITS),
    ("Hinge", {}, SIGNS, LOGITS),
    ("SquaredHinge", {}, BITS, LOGITS),
    ("CategoricalHinge", {}, ONE_HOT, LOGITS),
    ("KLDivergence", {}, DISTRIBUTION, softmax(LOGITS)),
    ("BinaryCrossentropy", {}, BITS, SHARES),
    ("BinaryCrossentropy", {"from_logits": True}, BITS, LOGITS),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}, BITS, SHARES),
    ("BinaryCrossentropy", {"axis": 0}, BITS, SHARES),
    ("BinaryFocalCrossentropy", {}, BITS, SHARES),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "from_logits": True}, BITS, LOGITS),
    ("CategoricalCrossentropy", {}, ONE_HOT, SHARES),
    ("CategoricalCrossentropy", {}, DISTRIBUTION, softmax(LOGITS)),
    ("CategoricalCrossentropy", {"from_logits": True}, DISTRIBUTION, LOGITS),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2}, ONE_HOT, SHARES),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2, "from_logits": True}, ONE_HOT, LOGITS),
    ("CategoricalCrossentropy", {"axis": 0}, ONE_HOT, SHARES),
    ("CategoricalFocalCrossentropy", {}, ONE_HOT, SHARES),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "gamma": 1.0}, ONE_HOT, LOGITS),
    ("SparseCategoricalCrossentropy", {}, INDICES, SHARES),
    ("SparseCategoricalCrossentropy", {}, INDICES[:, None], SHARES),
    ("SparseCategoricalCrossentropy", {}, INDICES.astype("float32"), SHARES),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, INDICES, LOGITS),
    ("SparseCategoricalCrossentropy", {"ignore_class": 0}, INDICES, SHARES),
    ("SparseCategoricalCrossentropy", {"ignore_class": 0, "from_logits": True}, INDICES, LOGITS),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.5}, INDICES, SHARES),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.1}, INDICES, softmax(LOGITS)),
    ("Dice", {}, AREAS, MAPS),
    ("Dice", {"axis": (1, 2, 3)}, AREAS, MAPS),
    ("Dice", {"axis": -1}, BITS, SHARES),
    ("Tversky", {}, AREAS, MAPS),
    ("Tversky", {"alpha": 0.3, "beta": 0.7, "axis": (1, 2)}, AREAS, MAPS),
    ("Circle", {}, PAIRS, UNITS),
    ("Circle", {"gamma": 10.0, "margin": 0.25}, PAIRS[:, None], UNITS),
    ("Circle", {"gamma": 10.0, "remove_diagonal": False}, PAIRS, UNITS),
]
REDUCTIONS = ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", None, "none"]


def both(name: str, **options: Any) -> tuple[Any, Any]:
    return getattr(losses, name)(**options), getattr(keras.losses, name)(**options)


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred"), CASES)
def test_value_and_gradient(name: str, options: dict[str, Any], y_true: Any, y_pred: Any) -> None:
    ours, theirs = both(name, **options)
    close(ours(y_true, y_pred), theirs(y_true, y_pred))
    close(lumbre.grad(lambda p: ours(y_true, p), y_pred), gradient(lambda p: theirs(y_true, p), y_pred))


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred"), CASES)
def test_function(name: str, options: dict[str, Any], y_true: Any, y_pred: Any) -> None:
    snake = snake_case(name)
    ours, theirs = getattr(losses, snake), getattr(keras.losses, snake)
    close(ours(y_true, y_pred, **options), theirs(y_true, y_pred, **options))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(4, 2), (4, 3, 2)])
@pytest.mark.parametrize("weights", ["none", "scalar", "values", "column"])
@pytest.mark.parametrize("masked", [False, True])
def test_reduction(reduction: str | None, shape: tuple[int, ...], weights: str, masked: bool) -> None:
    y_true, y_pred = RNG.normal(size=(2, *shape)).astype("float32")
    values = shape[:-1]
    weight = {
        "none": None,
        "scalar": 0.5,
        "values": RNG.uniform(0, 2, values).astype("float32"),
        "column": RNG.uniform(0, 2, (values[0],) + (1,) * (len(values) - 1)).astype("float32"),
    }[weights]
    ours, theirs = both("MeanSquaredError", reduction=reduction)
    p, q = lumbre.Tensor(y_pred), keras.ops.convert_to_tensor(y_pred)
    if masked:
        mask = RNG.integers(0, 2, values).astype(bool)
        mask.flat[0] = True
        p._mask, q._keras_mask = lumbre.Tensor(mask), keras.ops.convert_to_tensor(mask)
    close(ours(y_true, p, sample_weight=weight), theirs(y_true, q, sample_weight=weight))


@pytest.mark.parametrize("shapes", [((4, 1), (4,)), ((4,), (4, 1)), ((4, 3), (4, 3, 1)), ((4, 3, 1), (4, 3))])
def test_a_last_axis_of_one_is_reconciled(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    y_true = RNG.integers(0, 2, shapes[0]).astype("float32")
    y_pred = RNG.uniform(0.1, 0.9, shapes[1]).astype("float32")
    for name in ("MeanSquaredError", "BinaryCrossentropy", "Huber"):
        ours, theirs = both(name)
        close(ours(y_true, y_pred), theirs(y_true, y_pred))
    weight = RNG.uniform(0, 2, (4, 1)).astype("float32")
    ours, theirs = both("MeanAbsoluteError")
    if len(shapes[0]) + len(shapes[1]) == 3:
        close(ours(y_true, y_pred, weight), theirs(y_true, y_pred, weight))


def test_zero_size_batch_is_zero() -> None:
    empty = np.zeros((0, 3), "float32")
    assert losses.MeanSquaredError()(empty, empty).item() == 0.0
    assert losses.CategoricalCrossentropy()(empty, empty).item() == 0.0


def test_softmax_output_gives_the_exact_loss_and_gradient() -> None:
    logits = lumbre.Tensor(np.array([[200.0, 0.0, -50.0]], "float32"), requires_grad=True)
    target = np.array([[0.0, 0.0, 1.0]], "float32")
    loss = losses.CategoricalCrossentropy()(target, lumbre.activations.softmax(logits))
    assert loss.item() == 250.0
    loss.backward()
    assert logits.grad is not None
    close(logits.grad, [[1.0, 0.0, -1.0]])


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_sigmoid_output_gives_the_exact_loss_and_gradient(shape: tuple[int, ...]) -> None:
    logits = lumbre.Tensor(np.array([[50.0], [-50.0]], "float32"), requires_grad=True)
    loss = losses.BinaryCrossentropy()(
        np.array([0.0, 1.0]).reshape(shape), lumbre.activations.sigmoid(logits)
    )
    assert loss.item() == 50.0
    loss.backward()
    assert logits.grad is not None
    close(logits.grad, [[0.5], [-0.5]])


def test_worked_example_of_the_next_token() -> None:
    logits = [[3.2, 1.1, 0.8, 2.9]]
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)([0], logits)
    assert loss.item() == pytest.approx(0.67, abs=5e-3)
    assert -math.log(0.52) == pytest.approx(0.65, abs=5e-3)


def test_integer_targets_are_exact() -> None:
    # As float32, 2²⁴ + 1 would be 2²⁴: the class ignored is the one that was named.
    values = losses.sparse_categorical_crossentropy([2**24 + 1, 1], SHARES[:2], ignore_class=2**24 + 1)
    assert values.numpy()[0] == 0.0
    assert values.numpy()[1] > 0.0


def test_custom_loss() -> None:
    class Absolute(losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            assert y_true.dtype == "float32"
            return ops.abs(y_true - y_pred)

    assert Absolute().name.startswith("absolute")
    assert Absolute(reduction="sum")([1, 2], [2.0, 4.0]).item() == 3.0
    assert losses.LossFunctionWrapper(losses.huber, delta=2.0)([[0.0]], [[2.0]]).item() == 2.0


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred"), CASES)
def test_config(name: str, options: dict[str, Any], y_true: Any, y_pred: Any) -> None:
    ours, theirs = both(name, **options)
    assert losses.serialize(ours)["class_name"] == name
    known = theirs.get_config()
    config = ours.get_config()
    assert known.items() <= config.items()
    clone = losses.deserialize(losses.serialize(ours))
    close(clone(y_true, y_pred), ours(y_true, y_pred))


def test_get() -> None:
    from_keras = [name for name in dir(keras.losses) if not name.startswith("_") and name.lower() != "ctc"]
    for name in set(from_keras) - {"Loss", "get", "serialize", "deserialize"}:
        found = losses.get(name)
        assert found is getattr(losses, name) or type(found) is getattr(losses, name)
    for short, name in [
        ("mse", "mean_squared_error"),
        ("MAE", "mean_absolute_error"),
        ("kld", "kl_divergence"),
    ]:
        assert losses.get(short) is getattr(losses, name)
    assert losses.get("mean_squared_error") is losses.mean_squared_error
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    assert isinstance(losses.get("CategoricalCrossentropy"), losses.CategoricalCrossentropy)
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    assert losses.get(None) is None
    instance = losses.Huber()
    assert losses.get(instance) is instance


A = np.zeros((4, 3), "float32")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.get("foo"), "Could not interpret loss identifier: foo"),
        (lambda: losses.Huber(reduction="x"), "Invalid value for argument `reduction`. Expected one of"),
        (
            lambda: losses.CategoricalCrossentropy()(np.zeros(4), A),
            r"Arguments `target` and `output` must have the same shape. "
            r"Received: target.shape=\(4,\), output.shape=\(4, 3\)",
        ),
        (lambda: losses.CategoricalCrossentropy(axis=True)(A, A), "`axis` must be of type `int`"),
        (
            lambda: losses.SparseCategoricalCrossentropy()(np.zeros(3), A),
            r"the same shape up until the last dimension: target.shape=\(3,\), output.shape=\(4, 3\)",
        ),
        (lambda: losses.BinaryCrossentropy()(A[:, :2], A), "must have the same shape"),
        (lambda: losses.MeanSquaredError()(A[:, :1], A), r"must have the same shape.*\(4, 1\).*\(4, 3\)"),
        (lambda: losses.MeanSquaredError()(A[0], A), "Nothing is broadcast in a loss"),
        (lambda: losses.MeanSquaredError()(A, A, np.ones(3)), r"`sample_weight` must be a number or have"),
        (lambda: losses.MeanSquaredError()(A[None], A[None], np.ones(4)), "one weight each, of shape"),
    ],
)
def test_bad_input(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("name", ["categorical_crossentropy", "categorical_focal_crossentropy"])
def test_one_class_warns(name: str) -> None:
    with pytest.warns(SyntaxWarning, match=f"In loss {name}, .* num_classes > 1"):
        getattr(losses, name)(np.ones((2, 1)), np.ones((2, 1)))


@pytest.mark.parametrize("ignored", [None, 2])
@pytest.mark.parametrize("from_logits", [False, True])
def test_classes_along_another_axis(ignored: int | None, from_logits: bool) -> None:
    # Keras on JAX takes classes along the last axis only; moved there, they are the same.
    y_pred = softmax(RNG.normal(size=(4, 3, C)))
    y_true = RNG.integers(0, C, (4, 3))
    options: dict[str, Any] = {"ignore_class": ignored, "from_logits": from_logits}
    theirs = keras.losses.SparseCategoricalCrossentropy(**options)(y_true, y_pred)
    ours = losses.SparseCategoricalCrossentropy(axis=1, **options)
    for labels in (y_true, y_true[:, None]):
        close(ours(labels, np.moveaxis(y_pred, -1, 1)), theirs)
    smooth = losses.CategoricalCrossentropy(axis=1, label_smoothing=0.2)
    one_hot = np.eye(C, dtype="float32")[y_true]
    expected = keras.losses.CategoricalCrossentropy(label_smoothing=0.2)(one_hot, y_pred)
    close(smooth(np.moveaxis(one_hot, -1, 1), np.moveaxis(y_pred, -1, 1)), expected)


def test_samples_without_an_equal_have_no_circle_loss() -> None:
    values = losses.Circle(reduction=None, gamma=8.0)
    labels = np.arange(N)
    assert not values(labels, UNITS).numpy().any()
    assert np.isfinite(np.asarray(lumbre.grad(lambda p: ops.sum(values(labels, p)), UNITS))).all()
    # One class only: nothing to push away.
    assert not values(np.zeros(N, "int32"), UNITS).numpy().any()


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-6), ("float64", 1e-14)])
def test_a_masked_mean_is_one_over_what_is_left(dtype: str, rtol: float) -> None:
    p = lumbre.Tensor(LOGITS, dtype)
    p._mask = lumbre.Tensor(np.zeros(N, bool))
    loss = losses.MeanSquaredError(dtype=dtype)
    assert loss(REALS, p).item() == 0.0
    p._mask = lumbre.Tensor(np.arange(N) < 2)
    expected = np.mean((REALS[:2].astype(dtype) - LOGITS[:2].astype(dtype)) ** 2)
    np.testing.assert_allclose(loss(REALS, p).numpy(), expected, rtol=rtol)


def test_base_class_needs_call() -> None:
    with pytest.raises(NotImplementedError, match="must implement `call"):
        losses.Loss()([1.0], [1.0])


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_weights_of_a_loss_that_is_one_number_scale_it(reduction: str | None) -> None:
    weight = np.array([1.0, 3.0, 0.5, 2.0], "float32")

    class Ours(losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return ops.mean(ops.square(y_true - y_pred))

    class Theirs(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return keras.ops.mean(keras.ops.square(y_true - y_pred))

    ours, theirs = Ours(reduction=reduction), Theirs(reduction=reduction)
    t, p = np.ones((4, 2), "float32"), np.full((4, 2), 3.0, "float32")
    with pytest.warns(UserWarning, match="returns one number for a whole batch"):
        close(ours(t, p, weight), theirs(t, p, weight))
