"""`GradientTape` does what TensorFlow's documentation says of it, eager and in recorded steps."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lumbre
import lumbre as tf
from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.gradient_tape import GradientTape

RNG = np.random.default_rng(0)


def numeric(f: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """The gradient of `f` by central differences, in float64."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        gradient[i] = (f(up) - f(down)) / (2 * step)
    return gradient


def test_the_name_under_the_alias() -> None:
    assert tf.GradientTape is GradientTape
    assert tf.keras.GradientTape is GradientTape


# ---------------------------------------------------------------------------------------- what is watched


def test_trainable_variables_are_watched_and_nothing_else() -> None:
    v, frozen = lumbre.Variable(3.0), lumbre.Variable(2.0, trainable=False)
    t = Tensor(5.0)
    with GradientTape() as tape:
        y = v * frozen * t
    assert tape.watched_variables() == (v,)
    dv, dfrozen, dt = tape.gradient(y, [v, frozen, t])
    assert dv.item() == 10.0 and dfrozen is None and dt is None


def test_watch_tensors_and_frozen_variables() -> None:
    frozen, t = lumbre.Variable(2.0, trainable=False), Tensor(5.0)
    with GradientTape() as tape:
        tape.watch({"a": [frozen], "b": t})
        y = frozen * t * t
    assert tape.watched_variables() == (frozen,)
    gradients = tape.gradient(y, {"frozen": frozen, "deep": [(t,)]})
    assert gradients["frozen"].item() == 25.0
    assert gradients["deep"][0][0].item() == 20.0
    assert not t.requires_grad  # as it was before


def test_without_watching_accessed_variables() -> None:
    a, b = lumbre.Variable(2.0), lumbre.Variable(3.0)
    with GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(a)
        only_b = b * b
        y = a * only_b
    assert tape.watched_variables() == (a,)
    da, db, dinner = tape.gradient(y, [a, b, only_b])
    assert da.item() == 9.0 and db is None and dinner is None


def test_a_tensor_with_requires_grad_asks_for_it_itself() -> None:
    x = Tensor(3.0, requires_grad=True)
    with GradientTape() as tape:
        y = x * x
    assert tape.gradient(y, x).item() == 6.0
    assert x.requires_grad


def test_watching_integers_warns() -> None:
    with GradientTape() as tape, pytest.warns(UserWarning, match="only floating-point tensors.*int32"):
        tape.watch(Tensor([1, 2]))


@pytest.mark.parametrize("bad", [np.ones(2), 1.0, "x", None])
def test_watching_what_is_no_tensor(bad: Any) -> None:
    with GradientTape() as tape, pytest.raises(ValueError, match="expected a Tensor or a Variable, got"):
        tape.watch(bad)


def test_an_inner_tape_does_not_watch_for_the_outer_one() -> None:
    x = Tensor(3.0)
    with GradientTape() as outer:
        outer.watch(x)
        with GradientTape() as inner:
            y = x * x
        assert inner.gradient(y, x) is None
        assert x.requires_grad  # the outer tape still watches
        z = x * y
    assert outer.gradient(z, x).item() == 27.0
    assert not x.requires_grad


def test_tapes_that_watch_the_same_tensor_in_any_order() -> None:
    x = Tensor(3.0)
    with GradientTape() as outer:
        with GradientTape() as inner:
            inner.watch(x)
            outer.watch(x)
            y = x * x
        z = y + x * x
    assert inner.gradient(y, x).item() == 6.0
    assert outer.gradient(z, x).item() == 12.0


# ---------------------------------------------------------------------------------------- what is recorded


def test_only_what_is_computed_within_counts() -> None:
    v = lumbre.Variable(3.0)
    before = v * v
    with GradientTape() as tape:
        y = before * v
    after = y * v
    assert tape.gradient(y, v).item() == 9.0  # `before` is a constant for the tape
    with GradientTape() as tape:
        y = v * v
    assert tape.gradient(after, v) is None


def test_stop_recording() -> None:
    v = lumbre.Variable(3.0)
    with GradientTape() as tape:
        with tape.stop_recording():
            aside = v * v
        y = aside * v
    assert tape.gradient(y, v).item() == 9.0
    with pytest.raises(RuntimeError, match="not recording"), tape.stop_recording():
        pass


def test_reset() -> None:
    v, w = lumbre.Variable(3.0), lumbre.Variable(2.0)
    x = Tensor(1.0)
    with GradientTape() as tape:
        tape.watch(x)
        loss = v * v * x
        tape.reset()
        loss = loss + w * w
    assert tape.watched_variables() == (w,)
    dv, dw, dx = tape.gradient(loss, [v, w, x])
    assert dv is None and dx is None and dw.item() == 4.0
    with pytest.raises(RuntimeError, match="not recording"):
        tape.reset()


def test_no_grad_within() -> None:
    v = lumbre.Variable(3.0)
    with GradientTape() as tape:
        with lumbre.no_grad():
            y = v * v
        z = y * v
    assert tape.gradient(z, v).item() == 9.0


def test_other_threads_are_not_recorded() -> None:
    v = lumbre.Variable(3.0)
    results: list[Tensor] = []
    with GradientTape() as tape:
        thread = threading.Thread(target=lambda: results.append(v * v))
        thread.start()
        thread.join()
        y = results[0] * v
    assert tape.gradient(y, v).item() == 9.0


def test_entering_again() -> None:
    v = lumbre.Variable(3.0)
    with GradientTape(persistent=True) as tape:
        y = v * v
        with pytest.raises(ValueError, match="recording already"):
            tape.__enter__()
    with tape:
        z = y * v
    assert tape.gradient(z, v).item() == 27.0
    once = GradientTape()
    for _ in range(2):
        with once:
            y = v * v
        assert once.gradient(y, v).item() == 6.0


def test_an_exception_within_ends_the_recording() -> None:
    v = lumbre.Variable(3.0)
    x = Tensor(1.0)
    with pytest.raises(KeyError), GradientTape() as tape:
        tape.watch(x)
        raise KeyError
    assert not x.requires_grad
    y = v * v
    assert tape.gradient(y, v) is None


# ---------------------------------------------------------------------------------------- `gradient`


def test_gradients_by_finite_differences() -> None:
    x, w = RNG.standard_normal((4, 3)), RNG.standard_normal((3, 2))

    def loss(k: Any, x: Any, w: Any) -> Any:
        return k.sum(k.tanh(k.matmul(x, w)) ** 2) + k.sum(x * x * x)

    tx, vw = Tensor(x, "float64"), lumbre.Variable(w)
    with GradientTape() as tape:
        tape.watch(tx)
        y = loss(ops, tx, vw)
    gradients = tape.gradient(y, {"x": tx, "w": vw})
    np.testing.assert_allclose(gradients["x"], numeric(lambda a: loss(np, a, w), x), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(gradients["w"], numeric(lambda a: loss(np, x, a), w), rtol=1e-6, atol=1e-7)


def test_intermediate_sources_and_sources_within_targets() -> None:
    x = lumbre.Variable(3.0)
    with GradientTape(persistent=True) as tape:
        y = x * x
        z = y * y
    assert tape.gradient(z, x).item() == 108.0
    assert tape.gradient(z, y).item() == 18.0
    dz, dy, dx = tape.gradient(z, [z, y, x])
    assert (dz.item(), dy.item(), dx.item()) == (1.0, 18.0, 108.0)


def test_targets_in_structures_are_added() -> None:
    v = lumbre.Variable([1.0, 2.0])
    with GradientTape(persistent=True) as tape:
        a, b = v * v, ops.sum(v) * 3.0
    np.testing.assert_array_equal(tape.gradient(a, v), [2.0, 4.0])  # of the sum of its elements
    np.testing.assert_array_equal(tape.gradient([a, b], v), [5.0, 7.0])
    np.testing.assert_array_equal(tape.gradient({"a": a, "b": [b, b]}, v), [8.0, 10.0])
    np.testing.assert_array_equal(tape.gradient([a, a], v), [4.0, 8.0])
    weighted = tape.gradient([a, b], v, output_gradients=[np.array([1.0, 10.0], "float32"), 2.0])
    np.testing.assert_array_equal(weighted, [8.0, 46.0])


def test_what_is_not_connected() -> None:
    v, other = lumbre.Variable([1.0, 2.0]), lumbre.Variable(np.ones((2, 3)))
    with GradientTape(persistent=True) as tape:
        y = v * v
    assert tape.gradient(y, other) is None
    zeros = tape.gradient(y, [other, v], unconnected_gradients="zero")
    np.testing.assert_array_equal(zeros[0], np.zeros((2, 3)))
    assert zeros[0].dtype == "float64"
    np.testing.assert_array_equal(zeros[1], [2.0, 4.0])
    assert tape.gradient(Tensor(1.0), [v]) == [None]
    with pytest.raises(ValueError, match="unconnected_gradients: 'nothing'"):
        tape.gradient(y, v, unconnected_gradients="nothing")


def test_a_second_gradient_needs_a_persistent_tape() -> None:
    v = lumbre.Variable(3.0)
    with GradientTape() as tape:
        y = v * v
    tape.gradient(y, v)
    with pytest.raises(RuntimeError, match=r"one set of gradients.*persistent=True"):
        tape.gradient(y, v)
    assert tape.watched_variables() == (v,)
    with pytest.raises(RuntimeError, match="nothing was recorded"):
        GradientTape().gradient(y, v)


@pytest.mark.parametrize("persistent", [False, True])
def test_gradient_within_the_context(persistent: bool) -> None:
    v = lumbre.Variable(3.0)
    with GradientTape(persistent=persistent) as tape:
        y = v * v * v
        dy = tape.gradient(y, v)
        z = dy * v
    assert dy.item() == 27.0
    if persistent:
        assert tape.gradient(dy, v).item() == 18.0  # it has recorded its own gradients
        assert tape.gradient(z, v).item() == 81.0
    else:
        with pytest.raises(RuntimeError, match="persistent"):
            tape.gradient(z, v)


@pytest.mark.parametrize(
    ("target", "sources", "kind", "match"),
    [
        (None, "v", TypeError, "the target is a tensor"),
        ([], "v", TypeError, "the target is a tensor"),
        ("y", 3.0, ValueError, "a source is a Tensor or a Variable, got an object of type float"),
        ("y", [None], ValueError, "object of type NoneType"),
    ],
)
def test_bad_arguments(target: Any, sources: Any, kind: type[Exception], match: str) -> None:
    v = lumbre.Variable(3.0)
    with GradientTape() as tape:
        y = v * v
    with pytest.raises(kind, match=match):
        tape.gradient(y if target == "y" else target, v if sources == "v" else sources)
    with pytest.raises(ValueError, match="has shape"):
        tape.gradient(y, v, output_gradients=np.ones(3))
    with pytest.raises(ValueError, match="2 output gradients were given for 1 targets"):
        tape.gradient(y, v, output_gradients=[1.0, 1.0])
    assert tape.gradient(y, v).item() == 6.0  # the errors have used nothing up


def test_two_tapes_at_once() -> None:
    """As in a GAN: what they share is still there after the first gradient."""
    a, b = lumbre.Variable(2.0), lumbre.Variable(3.0)
    with GradientTape() as one, GradientTape() as two:
        shared = a * b
        first, second = shared * shared, shared * 5.0
    assert one.gradient(first, a).item() == 36.0
    assert two.gradient(second, b).item() == 10.0


def test_backward_and_grad_leave_an_open_tape_alone() -> None:
    v = lumbre.Variable(3.0)
    with GradientTape() as tape:
        y = v * v
        assert lumbre.grad(y, v).item() == 6.0
        z = y * v
        z.backward()
    assert v.grad.item() == 27.0
    assert tape.gradient(z, v).item() == 27.0


def test_a_result_kept_after_the_gradient_keeps_nothing_else() -> None:
    v = lumbre.Variable(np.ones(3))
    with GradientTape() as tape:
        inner = v * 2.0
        loss = ops.sum(inner * inner)
    gone = weakref.ref(inner)
    tape.gradient(loss, v)
    del inner
    assert gone() is None and loss.item() == 12.0


def test_probabilities_as_a_source() -> None:
    """A cross-entropy works from the logits: it says so, unless the probabilities are watched."""
    z = lumbre.Variable([[1.0, 2.0, 0.5]])
    bit = lumbre.losses.BinaryCrossentropy()
    one_hot = [[0.0, 1.0, 0.0]]
    cases = [  # with the derivative by the class's probability; those of softmax are divided by their sum
        (ops.softmax, lambda p: ops.sparse_categorical_crossentropy([1], p), lambda p: 1 - 1 / p),
        (ops.softmax, lambda p: ops.categorical_crossentropy(one_hot, p), lambda p: 1 - 1 / p),
        (ops.sigmoid, lambda p: ops.binary_crossentropy(one_hot, p), lambda p: -1 / p),
        (lambda z: ops.sigmoid(z[:, 1:2]), lambda p: bit(np.ones(1), p), lambda p: -1 / p),
    ]
    for activation, loss, derivative in cases:
        with GradientTape() as tape:
            p = activation(z)
            y = loss(p)
        with pytest.raises(ValueError, match=r"the logits.*tape.watch"):
            tape.gradient(y, p)
        with GradientTape() as tape:
            p = activation(z)
            tape.watch(p)
            y = loss(p)
        dp, dz = tape.gradient(y, [p, z])
        at = (0, p.shape[1] // 2)
        assert dp.numpy()[at] == pytest.approx(derivative(p.numpy()[at]), rel=1e-5)
        with GradientTape() as tape:
            y = loss(activation(z))
        np.testing.assert_allclose(dz, tape.gradient(y, z), atol=1e-6)


# ---------------------------------------------------------------------------------------- higher orders


def test_second_derivatives() -> None:
    x = Tensor(5.0)
    with GradientTape() as outer:
        outer.watch(x)
        with GradientTape() as inner:
            inner.watch(x)
            y = x * x * x
        dy = inner.gradient(y, x)
    assert dy.item() == 75.0
    assert outer.gradient(dy, x).item() == 30.0


def test_third_derivatives() -> None:
    v = lumbre.Variable(2.0)
    with GradientTape() as third, GradientTape() as second:
        with GradientTape() as first:
            y = ops.exp(v * 2.0)
        d1 = first.gradient(y, v)
        d2 = second.gradient(d1, v)
    assert third.gradient(d2, v).item() == pytest.approx(8 * np.exp(4.0), rel=1e-5)


def test_gradient_penalty_by_finite_differences() -> None:
    """(‖∂D/∂x‖ - 1)² by the weights of D: the gradient of a function of a gradient."""
    x, w, u = RNG.standard_normal((4, 3)), RNG.standard_normal((3, 5)), RNG.standard_normal((5, 1))

    def by_hand(w: np.ndarray, u: np.ndarray) -> float:
        h = np.tanh(x @ w)
        gradient = ((1 - h**2) * u[:, 0]) @ w.T
        return float(np.mean((np.sqrt(np.sum(gradient**2, 1)) - 1) ** 2))

    vw, vu, tx = lumbre.Variable(w), lumbre.Variable(u), Tensor(x, "float64")
    with GradientTape() as tape:
        with GradientTape() as inner:
            inner.watch(tx)
            scores = ops.matmul(ops.tanh(ops.matmul(tx, vw)), vu)
        gradient = inner.gradient(scores, tx)
        norms = ops.sqrt(ops.sum(ops.square(gradient), axis=1))
        penalty = ops.mean((norms - 1.0) ** 2)
    assert penalty.item() == pytest.approx(by_hand(w, u), rel=1e-12)
    dw, du = tape.gradient(penalty, [vw, vu])
    np.testing.assert_allclose(dw, numeric(lambda a: by_hand(a, u), w), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(du, numeric(lambda a: by_hand(w, a), u), rtol=1e-6, atol=1e-8)


def test_hessian() -> None:
    x = lumbre.Variable(RNG.standard_normal(4))
    matrix = RNG.standard_normal((4, 4))
    with GradientTape() as outer:
        with GradientTape() as inner:
            y = ops.sum(x * ops.matmul(matrix, x)) + ops.sum(x**3)
        gradient = inner.gradient(y, x)
    expected = matrix + matrix.T + np.diag(6 * x.numpy())
    np.testing.assert_allclose(outer.jacobian(gradient, x), expected, rtol=1e-10)


# ---------------------------------------------------------------------------------------- Jacobians


def test_jacobian() -> None:
    x, w = RNG.standard_normal((2, 3)), RNG.standard_normal((3, 4))
    vx, vw, unused = lumbre.Variable(x), lumbre.Variable(w), lumbre.Variable(np.ones(2))
    with GradientTape(persistent=True) as tape:
        y = ops.sin(ops.matmul(vx, vw))
    j = tape.jacobian(y, {"x": vx, "w": vw, "unused": unused})
    slope = np.cos(x @ w)
    np.testing.assert_allclose(j["x"], np.einsum("im,nm,ik->imkn", slope, w, np.eye(2)), rtol=1e-10)
    np.testing.assert_allclose(j["w"], np.einsum("im,in,mk->imnk", slope, x, np.eye(4)), atol=1e-12)
    assert j["unused"] is None
    zeros = tape.jacobian(y, unused, unconnected_gradients="zero")
    assert zeros.shape == (2, 4, 2) and not zeros.numpy().any()
    with pytest.raises(TypeError, match="one target"):
        tape.jacobian([y, y], vx)


def test_batch_jacobian() -> None:
    x, w = RNG.standard_normal((5, 3)), lumbre.Variable(RNG.standard_normal((3, 2)))
    tx = Tensor(x, "float64")
    with GradientTape() as tape:
        tape.watch(tx)
        y = ops.tanh(ops.matmul(tx, w))
    j = tape.batch_jacobian(y, tx)
    slope = 1 - np.tanh(x @ w.numpy()) ** 2
    np.testing.assert_allclose(j, np.einsum("bm,nm->bmn", slope, w.numpy()), rtol=1e-10)
    with pytest.raises(RuntimeError, match="one set of gradients"):
        tape.batch_jacobian(y, tx)
    with GradientTape(persistent=True) as tape:
        tape.watch(tx)
        y = tx[:, :2] * 2.0
    with pytest.raises(ValueError, match="same first axis"):
        tape.batch_jacobian(y[:3], tx)
    unrelated = Tensor(np.ones((5, 4), "float32"))
    assert tape.batch_jacobian(y, unrelated) is None
    assert tape.batch_jacobian(y, unrelated, unconnected_gradients="zero").shape == (5, 2, 4)


# ---------------------------------------------------------------------------------------- recorded


def test_in_a_captured_step() -> None:
    """Nested tapes and an optimizer: replayed steps do what eager ones do."""

    def make() -> tuple[lumbre.Variable, Callable[[Tensor], dict[str, Tensor]]]:
        w = lumbre.Variable(np.full((3, 1), 0.5, "float32"))
        optimizer = lumbre.optimizers.Adam(0.1)

        def step(x: Tensor) -> dict[str, Tensor]:
            with lumbre.GradientTape() as tape:
                with lumbre.GradientTape() as inner:
                    inner.watch(x)
                    y = ops.tanh(ops.matmul(x, w))
                gradient = inner.gradient(y, x)
                loss = ops.mean((ops.sqrt(ops.sum(gradient * gradient, axis=1)) - 1.0) ** 2)
            optimizer.apply_gradients(zip(tape.gradient(loss, [w]), [w], strict=True))
            return {"loss": loss}

        return w, step

    (w, step), (twin, plain) = make(), make()
    runs = 0

    def counted(x: Tensor) -> dict[str, Tensor]:
        nonlocal runs
        runs += 1
        return step(x)

    captured = lumbre.capture(counted)
    for _ in range(8):
        x = RNG.standard_normal((4, 3)).astype("float32")
        assert captured(x)["loss"].item() == plain(Tensor(x))["loss"].item()
    assert runs <= 3
    np.testing.assert_array_equal(w.numpy(), twin.numpy())


def test_jacobians_in_a_captured_step() -> None:
    @lumbre.capture
    def step(x: Tensor) -> Tensor:
        with lumbre.GradientTape() as tape:
            tape.watch(x)
            y = x * x
        return tape.batch_jacobian(y, x)

    for _ in range(5):
        x = RNG.standard_normal((4, 3)).astype("float32")
        np.testing.assert_array_equal(step(x), 2 * x[:, :, None] * np.eye(3, dtype="float32"))


def test_a_target_that_is_a_number_has_no_gradient() -> None:
    v = lumbre.Variable([1.0, 2.0])
    with GradientTape() as tape:
        loss = float(ops.sum(v * v))
    with pytest.raises(TypeError, match=r"the target is a float, which has lost how it was computed"):
        tape.gradient(loss, v)
