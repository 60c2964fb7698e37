"""Cross-entropies: exact on what a softmax or sigmoid remembers, Keras's formula on other probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import ops
from lumbre.autograd import Tensor

RNG = np.random.default_rng(0)
LOGITS = RNG.uniform(-4, 4, (6, 5)).astype("float32")
LABELS = np.array([0, 4, 2, 1, 3, 3], "int32")
ONE_HOT = np.eye(5, dtype="float32")[LABELS]


def gradient(loss: Any, x: np.ndarray) -> np.ndarray:
    t = Tensor(x, requires_grad=True)
    return lumbre.grad(loss(t).sum(), t).numpy()


SPARSE = (ops.sparse_categorical_crossentropy, LABELS, ops.softmax)
DENSE = (ops.categorical_crossentropy, ONE_HOT, ops.softmax)
BINARY = (ops.binary_crossentropy, ONE_HOT, ops.sigmoid)


@pytest.mark.parametrize(("loss", "target", "squash"), [SPARSE, DENSE, BINARY])
def test_remembered_logits_give_the_bits_of_logits(loss: Any, target: np.ndarray, squash: Any) -> None:
    direct = loss(target, Tensor(LOGITS), from_logits=True).numpy()
    np.testing.assert_array_equal(loss(target, squash(Tensor(LOGITS))).numpy(), direct)
    np.testing.assert_array_equal(
        gradient(lambda x: loss(target, squash(x)), LOGITS),
        gradient(lambda x: loss(target, x, from_logits=True), LOGITS),
    )


@pytest.mark.parametrize(("loss", "target", "squash"), [SPARSE, DENSE, BINARY])
def test_other_probabilities_are_close_to_it(loss: Any, target: np.ndarray, squash: Any) -> None:
    exact = loss(target, squash(Tensor(LOGITS))).numpy()
    forgotten = loss(target, squash(Tensor(LOGITS)).numpy()).numpy()
    np.testing.assert_allclose(forgotten, exact, rtol=1e-4, atol=1e-6)


def test_a_hopeless_prediction_has_its_whole_gradient() -> None:
    x = np.array([[200.0, -200.0]], "float32")
    assert ops.sparse_categorical_crossentropy([1], ops.softmax(Tensor(x))).item() == 400.0
    np.testing.assert_array_equal(
        gradient(lambda t: ops.sparse_categorical_crossentropy([1], ops.softmax(t)), x), [[1.0, -1.0]]
    )
    np.testing.assert_array_equal(
        gradient(lambda t: ops.binary_crossentropy([[0.0, 1.0]], ops.sigmoid(t)), x), [[1.0, -1.0]]
    )
    # Keras's formula on plain probabilities clips, and has no gradient there.
    p = ops.softmax(Tensor(x)).numpy()
    assert ops.sparse_categorical_crossentropy([1], p).item() == pytest.approx(-np.log(1e-7), rel=1e-5)


def test_plain_probabilities_are_divided_by_their_sum() -> None:
    p = np.array([[2.0, 6.0]], "float32")
    assert ops.categorical_crossentropy([[0.0, 1.0]], p).item() == pytest.approx(-np.log(0.75), rel=1e-6)
    assert ops.sparse_categorical_crossentropy([1], p).item() == pytest.approx(-np.log(0.75), rel=1e-6)


def test_one_hot_targets_give_the_bits_of_labels() -> None:
    np.testing.assert_array_equal(
        ops.categorical_crossentropy(ONE_HOT, LOGITS, from_logits=True).numpy(),
        ops.sparse_categorical_crossentropy(LABELS, LOGITS, from_logits=True).numpy(),
    )
    np.testing.assert_array_equal(
        gradient(lambda x: ops.categorical_crossentropy(ONE_HOT, x, from_logits=True), LOGITS),
        gradient(lambda x: ops.sparse_categorical_crossentropy(LABELS, x, from_logits=True), LOGITS),
    )


@pytest.mark.parametrize("from_logits", [True, False])
def test_labels_outside_the_classes_give_nan(from_logits: bool) -> None:
    x = np.full((4, 3), 0.5, "float32")
    loss = ops.sparse_categorical_crossentropy([0, 3, -1, 2], x, from_logits=from_logits).numpy()
    np.testing.assert_array_equal(np.isnan(loss), [False, True, True, False])
    if from_logits:
        d = gradient(lambda t: ops.sparse_categorical_crossentropy([0, 3, -1, 2], t, from_logits=True), x)
        np.testing.assert_array_equal(np.isnan(d).all(1), [False, True, True, False])


@pytest.mark.parametrize(("loss", "target", "squash"), [SPARSE, DENSE, BINARY])
def test_no_gradient_no_difference(loss: Any, target: np.ndarray, squash: Any) -> None:
    wanted = loss(target, Tensor(LOGITS, requires_grad=True), from_logits=True)
    with lumbre.no_grad():
        evaluated = loss(target, Tensor(LOGITS, requires_grad=True), from_logits=True)
    np.testing.assert_array_equal(evaluated.numpy(), wanted.numpy())
    assert wanted.requires_grad and not evaluated.requires_grad


def test_targets_have_gradients_of_their_own() -> None:
    t = Tensor(ONE_HOT, requires_grad=True)
    g = lumbre.grad(ops.categorical_crossentropy(t, LOGITS, from_logits=True).sum(), t).numpy()
    np.testing.assert_allclose(g, -ops.log_softmax(LOGITS).numpy(), rtol=1e-6)
    g = lumbre.grad(ops.binary_crossentropy(t, LOGITS, from_logits=True).sum(), t).numpy()
    np.testing.assert_array_equal(g, -LOGITS)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_float_dtypes(dtype: str) -> None:
    x = ops.cast(LOGITS, dtype)
    for y in (
        ops.softmax(x),
        ops.log_softmax(x),
        ops.sparse_categorical_crossentropy(LABELS, ops.softmax(x)),
    ):
        assert y.dtype == dtype
    loss = ops.categorical_crossentropy(ONE_HOT, ops.softmax(x))
    expected = ops.categorical_crossentropy(ONE_HOT, LOGITS, from_logits=True).numpy()
    tolerance = {"float16": 1e-2, "bfloat16": 5e-2, "float64": 1e-6}[dtype]
    np.testing.assert_allclose(ops.cast(loss, "float32").numpy(), expected, rtol=tolerance, atol=tolerance)


def test_softmax_over_another_axis_is_not_taken_for_one_over_the_last() -> None:
    x = Tensor(LOGITS)
    assert ops.softmax(x, axis=-1)._origin is not None
    assert ops.softmax(x, axis=1)._origin is not None
    assert ops.softmax(x, axis=0)._origin is None
    columns = np.array([1, 0, 2, 5, 3])
    got = ops.sparse_categorical_crossentropy(columns, ops.softmax(x, axis=0), axis=0).numpy()
    expected = ops.sparse_categorical_crossentropy(columns, LOGITS, from_logits=True, axis=0).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_softmax_over_one_class_warns_as_in_keras() -> None:
    with pytest.warns(UserWarning, match="This axis has size 1"):
        ops.softmax(np.ones((3, 1), "float32"))


def test_the_gradient_over_one_class_does_not_warn() -> None:
    x = Tensor(np.ones((3, 1), "float32"), requires_grad=True)
    g = lumbre.grad(
        ops.sparse_categorical_crossentropy([0, 0, 0], x, from_logits=True).sum(), x, create_graph=True
    )
    np.testing.assert_array_equal(lumbre.grad(g.sum(), x).numpy(), np.zeros((3, 1)))


def test_the_missions_example() -> None:
    """Logits 3.2, 1.1, 0.8, 2.9: probabilities 0.51, 0.06, 0.05, 0.38, cross-entropy 0.67 nats."""
    x = [[3.2, 1.1, 0.8, 2.9]]
    np.testing.assert_array_equal(ops.softmax(x).numpy().round(2), np.float32([[0.51, 0.06, 0.05, 0.38]]))
    assert round(ops.sparse_categorical_crossentropy([0], x, from_logits=True).item(), 2) == 0.67
