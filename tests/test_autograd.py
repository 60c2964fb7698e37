"""The tape: leaves, accumulation, broadcasting, higher orders, modes, and what NumPy and DLPack see."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import lumbre
from lumbre import autograd, ops
from lumbre.autograd import Tensor


def test_backward_adds_up_in_leaves() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    (x * 3.0).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [5.0, 7.0])


def test_a_tensor_used_twice_gets_both_contributions() -> None:
    x = Tensor(3.0, requires_grad=True)
    y = x * x
    assert lumbre.grad(y * y, x).item() == 4 * 27.0


def test_broadcast_is_undone() -> None:
    x = Tensor(np.ones((3, 1), "float32"), requires_grad=True)
    b = Tensor(np.ones((4,), "float32"), requires_grad=True)
    gx, gb = lumbre.grad((x + b).sum(), [x, b])
    assert gx.shape == (3, 1) and gx.numpy()[0, 0] == 4.0
    assert gb.shape == (4,) and gb.numpy()[0] == 3.0


def test_gradients_of_gradients() -> None:
    def cube(x: Tensor) -> Tensor:
        return x * x * x

    def slope(x: Tensor) -> Tensor:
        return lumbre.grad(cube, x, create_graph=True)

    assert lumbre.grad(slope, 2.0).item() == 12.0
    third = lumbre.grad(lambda x: lumbre.grad(slope, x, create_graph=True), 2.0)
    assert third.item() == 6.0


def test_variables_are_leaves_whichever_value_was_read() -> None:
    v = lumbre.Variable([2.0, 3.0])
    loss = (v * v).sum() + v.value.sum()
    np.testing.assert_array_equal(lumbre.grad(loss, v).numpy(), [5.0, 7.0])


def test_a_frozen_variable_has_no_gradient() -> None:
    v, w = lumbre.Variable(2.0, trainable=False), lumbre.Variable(3.0)
    assert lumbre.grad(v * w, [v, w])[0] is None


def test_the_tape_keeps_the_old_value_of_a_variable() -> None:
    v = lumbre.Variable([2.0])
    loss = (v * v).sum()
    v.assign([100.0])
    assert lumbre.grad(loss, v).item() == 4.0


def test_no_grad_and_detach() -> None:
    x = Tensor(2.0, requires_grad=True)
    with lumbre.no_grad():
        assert not (x * x).requires_grad
    assert not (x * x).detach().requires_grad
    with pytest.raises(ValueError, match="depends on nothing with a gradient"):
        lumbre.grad(x.detach() * 2.0, x.detach())


def test_no_grad_decorates_functions_that_call_themselves() -> None:
    @lumbre.no_grad()
    def power(x: Tensor, n: int) -> Tensor:
        return x if n == 1 else x * power(x, n - 1)

    x = Tensor([2.0], requires_grad=True)
    assert not power(x, 3).requires_grad
    assert (x * x).requires_grad


def test_backward_needs_a_scalar_or_a_gradient() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match="scalar"):
        (x * x).backward()
    (x * x).backward(np.array([1.0, 0.5], "float32"))
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 2.0])
    with pytest.raises(ValueError, match="shape"):
        (x * x).backward(np.ones((3,), "float32"))


def test_integers_have_no_gradients() -> None:
    with pytest.raises(TypeError, match="only floating-point"):
        Tensor([1, 2], requires_grad=True)


def test_the_tape_holds_no_cycles() -> None:
    x = Tensor(np.ones(3, "float32"), requires_grad=True)
    y = ops.tanh(x) * 2.0
    gone = weakref.ref(y)
    gc.disable()
    try:
        del y
        assert gone() is None
    finally:
        gc.enable()


def test_deep_graphs_do_not_overflow_the_stack() -> None:
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(5000):
        y = y + 1.0
    assert lumbre.grad(y, x).item() == 1.0


def test_numpy_sees_the_same_memory_read_only() -> None:
    t = Tensor(np.arange(6, dtype="float32").reshape(2, 3))
    view = np.asarray(t)
    assert np.shares_memory(view, np.asarray(t))
    assert not view.flags.writeable
    np.testing.assert_array_equal(np.asarray(ops.transpose(t)), view.T)
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0] = 1.0
    assert t.numpy().flags.writeable


def test_dlpack_goes_both_ways() -> None:
    t = Tensor(np.arange(6, dtype="float32").reshape(2, 3))
    seen = np.from_dlpack(t)
    assert np.shares_memory(seen, np.asarray(t))
    back = Tensor(OnlyDLPack(np.arange(4.0)[::2]))
    assert back.dtype == "float64"
    np.testing.assert_array_equal(back.numpy(), [0.0, 2.0])
    del seen, t
    gc.collect()


class OnlyDLPack:
    """An array that offers nothing but DLPack."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __dlpack__(self, **kwargs: object) -> object:
        return self._array.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
)
def test_integers_of_all_sizes_are_kept(dtype: str) -> None:
    a = np.array([0, 1, 1], dtype)
    t = Tensor(a)
    assert t.dtype == dtype
    np.testing.assert_array_equal(np.asarray(t), a)


def test_odd_arrays_are_read_right() -> None:
    a = np.arange(12, dtype="float64").reshape(3, 4)
    for odd in (a.T, a[::-1, ::2], np.asfortranarray(a), a.astype(">f8"), a.astype("float16")):
        np.testing.assert_array_equal(Tensor(odd).numpy(), odd)
    unaligned = np.frombuffer(b"\0" + a.tobytes(), "float64", offset=1)
    for odd in (unaligned, a[:0], a[:, :0], a[1, 1], np.array(2.5), np.array(True), np.arange(3, dtype="q")):
        np.testing.assert_array_equal(Tensor(odd).numpy(), odd)
        assert Tensor(odd).dtype == odd.dtype.name and Tensor(odd).shape == odd.shape
    assert Tensor([[1, 2]]).dtype == "int32" and Tensor(1.5).dtype == "float32"
    assert Tensor(np.float64(1.5)).dtype == "float64" and Tensor(0.1, "float64").item() == 0.1
    for bad in (np.array(["a"]), np.array([object()]), np.array([1j])):
        with pytest.raises(TypeError, match="booleans, integers or floating-point"):
            Tensor(bad)


def test_a_scalar_is_formatted_as_a_number() -> None:
    t = Tensor(2.5)
    assert (f"{t:.2f}", f"{lumbre.Variable(0.125):.1e}", round(Tensor(0.126), 2)) == ("2.50", "1.2e-01", 0.13)
    assert Tensor([[1, 2]]).tolist() == [[1, 2]]
    assert f"{t}" == repr(t)


def test_symbolic_tensors_have_shapes_but_no_values() -> None:
    with autograd.dry():
        t = autograd.dry_tensor((960, 4))
        y = ops.matmul(t, np.ones((4, 3), "float32"))
    assert y.shape == (960, 3)
    with pytest.raises(ValueError, match="symbolic"):
        y.numpy()


def test_variable_values() -> None:
    v = lumbre.Variable(np.zeros((2, 2)), name="v")
    assert v.dtype == "float64"
    old = v.value
    v.assign(np.ones((2, 2)))
    np.testing.assert_array_equal(old.numpy(), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="must match"):
        v.assign(np.ones((3,)))
    np.testing.assert_array_equal(v.numpy(), np.ones((2, 2)))
    copy = v.numpy()
    v.assign_sub(np.ones((2, 2)))
    np.testing.assert_array_equal(copy, np.ones((2, 2)))
    assert not v.numpy().any()


def test_functions_of_numpy_see_the_values() -> None:
    a = np.arange(12, dtype="float32").reshape(3, 4)
    for t in (Tensor(a), lumbre.Variable(a)):
        for ours, theirs in (
            (np.mean(t), np.mean(a)),
            (np.sum(t, axis=0), np.sum(a, axis=0)),
            (np.max(t), 11.0),
            (np.median(t, axis=1), np.median(a, axis=1)),
            (np.concatenate([t, t]), np.concatenate([a, a])),
            (np.average(t, weights=t), np.average(a, weights=a)),
            (np.argmax(t, axis=1), np.argmax(a, axis=1)),
        ):
            assert isinstance(ours, (np.ndarray, np.generic))
            np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(TypeError, match=r"use lumbre.ops, or np.asarray\(tensor\)"):
        np.result_type(Tensor(a))


def test_a_variable_shows_its_value() -> None:
    v = lumbre.Variable([1.0, 2.0], name="v")
    assert repr(v) == "<Variable path=v, shape=(2,), dtype=float32, value=[1. 2.]>"
    assert v.assign_add([1.0, 1.0]) is v and v.assign_sub(1.0) is v
    np.testing.assert_array_equal(v, [1.0, 2.0])


def test_methods_are_documented_as_their_ops() -> None:
    for kind in (Tensor, lumbre.Variable):
        assert kind.sum.__doc__ == ops.sum.__doc__ and kind.transpose.__doc__ == ops.transpose.__doc__
