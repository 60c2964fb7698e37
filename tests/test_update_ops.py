"""The ops that change Variables: optimizer updates and metric sums, and what a refused call leaves behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import Variable, ops
from lumbre.autograd import Tensor


def variables(*shapes: tuple[int, ...], seed: int = 0) -> list[Variable]:
    rng = np.random.default_rng(seed)
    return [Variable(rng.standard_normal(shape).astype("float32")) for shape in shapes]


ADAM: dict[str, Any] = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
SHAPES = ((3, 4), (), (5,), (0, 2), (3000,))


def tensors(seed: int) -> list[Tensor]:
    return [v.value.detach() for v in variables(*SHAPES, seed=seed)]


def test_adam_in_place_is_adam_by_value() -> None:
    params, grads = variables(*SHAPES), tensors(1)
    ms, vs, hats = ([Variable(np.zeros(s, "float32")) for s in SHAPES] for _ in range(3))
    steps, rate = Variable(0, dtype="int64"), Variable(0.01)
    values: Any = [[x.value.detach() for x in group] for group in (params, ms, vs, hats)]
    for t in range(3):
        ops.optimizer_update("adam", params, grads, [ms, vs, hats], rate, steps, **ADAM, amsgrad=True)
        ops.increment(steps)
        flat = ops.optimizer_update(
            "adam", values[0], grads, values[1:], 0.01, np.int64(t), **ADAM, amsgrad=True
        )
        assert flat is not None
        values = [flat[i : i + 5] for i in range(0, 20, 5)]
    for group, expected in zip((params, ms, vs, hats), values, strict=True):
        for x, e in zip(group, expected, strict=True):
            np.testing.assert_array_equal(x.numpy(), e.numpy())
    assert steps.numpy() == 3


def test_adam_against_keras_formula_over_many_steps() -> None:
    w, g = np.array([1.0, -2.0, 0.5]), np.array([0.3, -0.1, 1e-4])
    p, m, v = (
        Variable(w.astype("float32")),
        Variable(np.zeros(3, "float32")),
        Variable(np.zeros(3, "float32")),
    )
    em = ev = np.zeros(3)
    steps = Variable(0, dtype="int64")
    for t in range(1, 101):
        gradient = Tensor(g.astype("float32"))
        ops.optimizer_update("adam", [p], [gradient], [[m], [v]], 0.01, steps, **ADAM, amsgrad=False)
        ops.increment(steps)
        em, ev = em + (g - em) * 0.1, ev + (g * g - ev) * 0.001
        # The step size in float32, as in Keras: early on 1 - 0.999^t has lost digits.
        left_1, left_2 = (np.float32(1) - np.float32(b) ** np.float32(t) for b in (0.9, 0.999))
        w = w - float(np.float32(0.01) * np.sqrt(left_2) / left_1) * em / (np.sqrt(ev) + 1e-7)
    np.testing.assert_allclose(p.numpy(), w, rtol=1e-5, atol=3e-6)  # float32 rounds each of the steps


def test_snapshots_keep_what_they_were() -> None:
    (p,) = variables((4,))
    before = p.value
    kept = before.numpy()
    ops.optimizer_update("sgd", [p], [Tensor(np.ones(4, "float32"))], [], 0.5, momentum=0, nesterov=False)
    np.testing.assert_array_equal(before.numpy(), kept)
    np.testing.assert_allclose(p.numpy(), kept - 0.5, rtol=1e-6)


def test_gradients_are_cast_to_their_parameters() -> None:
    (p,) = variables((4,))
    start = p.numpy()
    ops.optimizer_update("sgd", [p], [Tensor(np.ones(4, "float64"))], [], 1, momentum=0, nesterov=False)
    np.testing.assert_allclose(p.numpy(), start - 1, rtol=1e-6)


def test_a_refused_update_changes_nothing() -> None:
    params, velocities = variables((3,), (2,)), variables((3,), (2,), seed=1)
    before = [x.numpy() for x in params + velocities]
    grads = [Tensor(np.ones(3, "float32")), Tensor(np.ones(3, "float32"))]
    with pytest.raises(ValueError, match="the gradient of parameter 1 must be float32"):
        ops.optimizer_update("sgd", params, grads, [velocities], 0.1, momentum=0.9, nesterov=False)
    for x, b in zip(params + velocities, before, strict=True):
        np.testing.assert_array_equal(x.numpy(), b)


def test_updates_can_be_replayed() -> None:
    def run(wrap: Any) -> list[np.ndarray]:
        params = variables((50, 3), (3,))
        ms, vs = ([Variable(np.zeros(p.shape, "float32")) for p in params] for _ in range(2))
        steps, total, count = Variable(0, dtype="int64"), *(Variable(0.0, dtype="float64") for _ in range(2))

        def step(x: Tensor) -> Tensor:
            with_bias = ops.add(ops.matmul(x, params[0]), params[1])
            loss = ops.sparse_categorical_crossentropy(np.zeros(8, "int32"), with_bias, from_logits=True)
            grads = lumbre.grad(loss.sum(), params)
            ops.optimizer_update("adam", params, grads, [ms, vs], 0.1, steps, **ADAM, amsgrad=False)
            ops.increment(steps)
            ops.mean_update(total, count, loss.detach())
            return loss.detach()

        call = wrap(step)
        rng = np.random.default_rng(1)
        losses = [call(Tensor(rng.standard_normal((8, 50)).astype("float32"))).numpy() for _ in range(6)]
        return losses + [x.numpy() for x in (*params, *ms, *vs, steps, total, count)]

    for eager, replayed in zip(run(lambda f: f), run(lumbre.capture), strict=True):
        np.testing.assert_array_equal(eager, replayed)


def test_means_are_summed_in_double_precision() -> None:
    total, count = (Variable(0.0, dtype="float64") for _ in range(2))
    for _ in range(3):
        ops.mean_update(total, count, np.full(10_000, 0.1, "float32"))
    assert total.numpy() == pytest.approx(30_000 * float(np.float32(0.1)), rel=1e-12)
    assert count.numpy() == 30_000


def test_accuracies_of_ties_and_nan() -> None:
    scores = np.array([[1, 1, 0], [0, 2, 2], [np.nan, 1, 2]], "float32")
    np.testing.assert_array_equal(ops.sparse_categorical_accuracy([0, 1, 0], scores).numpy(), [1, 1, 1])
    np.testing.assert_array_equal(ops.sparse_categorical_accuracy([[1], [2], [2]], scores).numpy(), [0, 0, 0])
    np.testing.assert_array_equal(ops.binary_accuracy([1.0, 0.0], [0.5, 0.5]).numpy(), [0, 1])
