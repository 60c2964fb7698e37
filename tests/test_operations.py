"""Operations, functions of graphs, scopes, and calls without state, beside the real Keras."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import close, keras
from lumbre import tree
from lumbre.ops.table import OPS, In
from small_models import ONE_HOT, WIDTH, X, assert_captured, summary

Z = np.random.default_rng(8).normal(size=X.shape).astype("float32")


def outcome(act: Callable[[], Any]) -> Any:
    """What a call returns, or the class of the error that it raises."""
    try:
        return act()
    except Exception as error:
        return type(error).__name__


# Symbolic tensors


def test_symbolic_tensors_are_those_of_keras() -> None:
    def facts(lib: Any) -> list[Any]:
        k = lib.KerasTensor((None, 3), dtype="float32", name="k")
        refused = [
            outcome(act)
            for act in (
                lambda: float(k),
                lambda: int(k),
                lambda: bool(k),
                lambda: list(k),
                lambda: np.asarray(k),
            )
        ]
        made = [
            k != 1, k > 1, k ^ k, k & k, k | k, ~k, round(k), abs(-k), k % 2, k**2, k[:, :1],
            lib.ops.transpose(k), lib.ops.isfinite(k),
        ]  # fmt: skip
        return [
            k.shape, k.dtype, k.name, k.ndim, repr(k), refused, k == 1, k == k,
            [(tuple(t.shape), str(t.dtype)) for t in made],
        ]  # fmt: skip

    ours, theirs = facts(lumbre), facts(keras)
    assert ours[:-1] == theirs[:-1]
    for (shape, dtype), (expected, expected_dtype) in zip(ours[-1], theirs[-1], strict=True):
        assert shape == expected
        # `k & k` of floats: Keras's shape rule says float32, its result is a boolean, and so says ours.
        assert dtype == expected_dtype or dtype == "bool"


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_op_takes_symbolic_tensors(name: str) -> None:
    op = OPS[name]
    rng = np.random.default_rng(0)

    def array(v: Any) -> Any:
        if not isinstance(v, In):
            return v
        whole = "float" not in v.dtype
        values = rng.integers(int(v.low), max(int(v.high), int(v.low) + 1), v.shape) if whole else None
        return (rng.uniform(v.low, v.high, v.shape) if values is None else values).astype(v.dtype)

    def symbol(v: Any) -> Any:
        return lumbre.KerasTensor(v.shape, v.dtype) if isinstance(v, In) else v

    for case in op.cases[:3]:
        given = (list(case.args), dict(case.kwargs))
        if not any(isinstance(v, In) for v in tree.flatten(given)):
            continue
        (args, kwargs), (symbols, options) = (tree.map_structure(f, given) for f in (array, symbol))
        expected = tree.flatten(op.function(*args, **kwargs))
        found = tree.flatten(op.function(*symbols, **options))
        for t, y in zip(found, expected, strict=True):
            if hasattr(y, "shape"):
                assert (tuple(t.shape), t.dtype) == (tuple(y.shape), y.dtype)


# Functions and operations


def test_functions() -> None:
    def results(lib: Any) -> Any:
        a, b = lib.Input((WIDTH,), name="a"), lib.KerasTensor((None, WIDTH), name="b")
        f = lib.Function(
            [a, b], {"sum": lib.layers.Dense(2, kernel_initializer="ones")(a) + b[:, :2], "b": b * a}
        )
        shapes = f.compute_output_shape([(2, WIDTH), (2, WIDTH)])
        spec = f.compute_output_spec([lib.KerasTensor((3, WIDTH)), lib.KerasTensor((3, WIDTH))])
        symbolic = f([lib.Input((WIDTH,)), lib.Input((WIDTH,))])
        errors = [
            outcome(act)
            for act in (
                lambda: lib.Function(a, b),
                lambda: lib.Function([], a),
                lambda: f([X]),
                lambda: f({"a": X, "b": Z}),
            )
        ]
        values = f([X, Z])
        kinds = [
            shapes,
            {k: tuple(t.shape) for k, t in spec.items()},
            {k: tuple(t.shape) for k, t in symbolic.items()},
        ]
        return (
            [np.asarray(values["sum"]), np.asarray(values["b"])],
            kinds,
            errors,
            len(f.inputs),
            len(f.outputs),
        )

    ours, theirs = results(lumbre), results(keras)
    for a, b in zip(ours[0], theirs[0], strict=True):
        close(a, b)
    assert ours[1:] == theirs[1:]


def test_functions_are_copied() -> None:
    x = lumbre.Input((WIDTH,))
    layer = lumbre.layers.Dense(2)
    f = lumbre.Function({"x": x}, layer(x))
    g = copy.deepcopy(f)
    np.testing.assert_array_equal(g({"x": X}).numpy(), f({"x": X}).numpy())
    layer.kernel.assign(lumbre.ops.zeros((WIDTH, 2)))
    assert g({"x": X}).numpy().any() and not f({"x": X}).numpy().any()


def scale(lib: Any) -> type:
    class Scale(lib.Operation):  # type: ignore[misc,name-defined]
        def __init__(self, k: float, name: str | None = None) -> None:
            super().__init__(name=name)
            self.k = k

        def call(self, x: Any) -> Any:
            return x * self.k

        def compute_output_spec(self, x: Any) -> Any:
            return lib.KerasTensor(x.shape, dtype=x.dtype)

    return Scale


def test_operations() -> None:
    def facts(lib: Any) -> list[Any]:
        lib.utils.clear_session()
        kind = scale(lib)
        operation = kind(3.0)
        x = lib.Input((WIDTH,), name="x")
        y = operation(x)
        model = lib.Model(x, y)
        again = kind.from_config(operation.get_config())
        return [
            np.asarray(operation(X)).tolist(), np.asarray(model(X)).tolist(), operation.name, tuple(y.shape),
            [o.name for o in model.operations], tuple(operation.input.shape), tuple(operation.output.shape),
            operation.get_config(), again.k, outcome(lambda: kind(1.0, name="a/b")),
            outcome(lambda: lib.Operation()(X)), outcome(lambda: kind(2.0).output),
            [issubclass(c, lib.Operation) for c in (lib.Layer, lib.Model, lib.Sequential, lib.Function)],
        ]  # fmt: skip

    assert facts(lumbre) == facts(keras)


def test_operations_train_captured_and_in_configs() -> None:
    kind = scale(lumbre)
    x = lumbre.Input((WIDTH,))
    model = lumbre.Model(x, kind(0.5)(lumbre.layers.Dense(3)(x)))
    model.compile("sgd", "mse")
    model.fit(X, ONE_HOT, batch_size=10, verbose=0)
    assert_captured(model, "train")
    twin = lumbre.models.model_from_json(model.to_json(), custom_objects={"Scale": kind})
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(twin(X).numpy(), model(X).numpy())
    assert "(Scale)" in summary(model)


# Scopes


def test_names() -> None:
    def paths(lib: Any) -> list[Any]:
        lib.utils.clear_session()
        found = []
        with lib.name_scope("outer"):
            found.append(lib.Variable(np.ones(2), name="v").path)
            with lib.name_scope("inner"):
                found.append(lib.Variable(np.ones(2), name="w").path)
                layer = lib.layers.Dense(2, name="d")
                layer.build((None, 3))
                found += [w.path for w in layer.weights]
        found.append(lib.Variable(np.ones(2), name="z").path)
        return [*found, outcome(lambda: lib.name_scope("a/b")), outcome(lambda: lib.name_scope(3))]

    assert paths(lumbre) == paths(keras)


def test_the_device() -> None:
    with lumbre.device("cpu:0"), lumbre.device("CPU"):
        assert lumbre.ops.ones((2,)).numpy().tolist() == [1.0, 1.0]
    for name in ("gpu:0", "cuda", 3):
        with pytest.raises(ValueError, match="Lumbre computes on the CPU"), lumbre.device(name):
            pass


def test_variables_in_a_stateless_scope() -> None:
    def values(lib: Any) -> list[Any]:
        v = lib.Variable(np.ones(2, "float32"), name="v")
        u = lib.Variable(np.ones(2, "float32"))
        found: list[Any] = []

        def note(value: Any) -> None:
            found.append(None if value is None else np.asarray(value).tolist())

        with lib.StatelessScope([(v, np.array([5.0, 6.0], "float32"))]) as scope:
            for value in (v.value, v + 1, lib.ops.square(v)):
                note(value)
            v.assign(v * 2)
            note(v.value)
            with lib.StatelessScope() as inner:
                v.assign_add(np.ones(2))
                note(v.value)
            note(inner.get_current_value(v))
        note(v)
        note(scope.get_current_value(v))
        note(scope.get_current_value(u))
        with lib.StatelessScope() as other:
            v.assign_sub([0.5, 0.5])
            note(v.value)
        note(v)
        note(other.get_current_value(v))
        for mapping in ([(3, 4)], [(v, np.ones(3))]):
            found.append(outcome(lambda m=mapping: lib.StatelessScope(state_mapping=m)))
        return found

    assert values(lumbre) == values(keras)


def test_kernels_that_update_in_place_stay_in_the_scope() -> None:
    generator = lumbre.random.SeedGenerator(1)
    before = generator.state.numpy()
    with lumbre.StatelessScope() as scope:
        inside = [lumbre.random.normal((3,), seed=generator).numpy() for _ in range(2)]
    np.testing.assert_array_equal(generator.state.numpy(), before)
    assert (inside[0] != inside[1]).any()
    np.testing.assert_array_equal(lumbre.random.normal((3,), seed=generator).numpy(), inside[0])
    lumbre.random.normal((3,), seed=generator)
    np.testing.assert_array_equal(scope.get_current_value(generator.state).numpy(), generator.state.numpy())


def test_losses_are_collected() -> None:
    class Penalty(lumbre.layers.Layer):
        def call(self, x: Any) -> Any:
            self.add_loss(lumbre.ops.sum(x))
            return x

    with lumbre.StatelessScope(collect_losses=True) as scope:
        Penalty()(lumbre.ops.ones((2, 2)))
    assert [loss.item() for loss in scope.losses] == [4.0]


def test_stateless_calls() -> None:
    def values(lib: Any) -> Any:
        model = lib.Sequential(
            [
                lib.Input((WIDTH,)),
                lib.layers.BatchNormalization(),
                lib.layers.Dense(3, kernel_regularizer="l2", kernel_initializer="ones"),
            ]
        )
        trained = [
            lib.ops.convert_to_tensor(np.full(v.shape, 0.5, "float32")) for v in model.trainable_variables
        ]
        kept = model.get_weights()
        y, state, losses = model.stateless_call(
            trained, model.non_trainable_variables, X, training=True, return_losses=True
        )
        optimizer = lib.optimizers.Adam(0.1)
        optimizer.build(model.trainable_variables)
        grads = [lib.ops.ones_like(v) for v in trained]
        stepped, slots = optimizer.stateless_apply(optimizer.variables, grads, trained)
        for a, b in zip(kept, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        assert not np.asarray(optimizer.iterations).any()
        errors = [
            outcome(act)
            for act in (
                lambda: model.stateless_call(trained[:1], [], X),
                lambda: lib.layers.Dense(1).stateless_call([], [], X),
                lambda: optimizer.stateless_apply([], grads, trained),
                lambda: lib.optimizers.SGD(0.1).stateless_apply([], [], []),
            )
        ]
        return [y, *state, *losses, *stepped, *slots], errors

    (ours, errors), (theirs, expected) = values(lumbre), values(keras)
    assert errors == expected
    for a, b in zip(ours, theirs, strict=True):
        close(a, b, rtol=1e-4, atol=1e-5)


def test_gradients_through_a_stateless_call() -> None:
    layer = lumbre.layers.Dense(1, use_bias=False)
    layer.build((None, WIDTH))
    kernel = lumbre.Tensor(np.ones((WIDTH, 1), "float32"))
    gradient = lumbre.grad(lambda k: lumbre.ops.sum(layer.stateless_call([k], [], X)[0]), [kernel])[0]
    close(gradient, X.sum(0)[:, None])
