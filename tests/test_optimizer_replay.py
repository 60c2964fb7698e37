"""Optimizers inside recorded steps: replayed as eager, and never with numbers from before a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import optimizers
from lumbre.capture import changes
from lumbre.optimizers import schedules

RNG = np.random.default_rng(5)
X = RNG.normal(size=(64, 6)).astype("float32")
Y = RNG.normal(size=(64, 2)).astype("float32")


def network(optimizer: Any, eager: bool) -> Any:
    lumbre.utils.set_random_seed(3)
    layers = lumbre.layers
    model = lumbre.Sequential(
        [lumbre.Input((6,)), layers.Dense(5, "tanh", name="first"), layers.Dense(2, name="last")]
    )
    model.compile(optimizer, "mse", run_eagerly=eager)
    return model


def fit(model: Any, epochs: int = 2) -> None:
    model.fit(X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0)


def state(model: Any) -> list[np.ndarray]:
    return [*model.get_weights(), *(v.numpy() for v in model.optimizer.variables)]


def replayed_and_eager(make: Callable[[], Any], train: Callable[[Any], None]) -> Any:
    """Trains replayed and eager; the states must have the same bits. Returns the first model."""
    models = []
    for eager in (False, True):
        model = network(make(), eager)
        train(model)
        models.append(model)
    for a, b in zip(state(models[0]), state(models[1]), strict=True):
        np.testing.assert_array_equal(a, b)
    return models[0]


class Heavy(optimizers.Optimizer):
    """A user's optimizer with Keras's idioms: slots in `build`, assignments in `update_step`."""

    def __init__(self, learning_rate: float = 0.05, friction: float = 0.3, **kwargs: Any) -> None:
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.friction = friction

    def build(self, variables: Any) -> None:
        super().build(variables)
        self.speeds = [
            self.add_variable_from_reference(reference_variable=v, name="speed") for v in variables
        ]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        learning_rate = lumbre.ops.cast(learning_rate, variable.dtype)
        speed = self.speeds[self._get_variable_index(variable)]
        self.assign(speed, speed * (1.0 - self.friction) - gradient * learning_rate)
        self.assign_add(variable, speed)


SHARED: dict[str, Any] = {
    "weight_decay": 0.01,
    "global_clipnorm": 0.5,
    "use_ema": True,
    "ema_overwrite_frequency": 5,
    "gradient_accumulation_steps": 3,
}
KINDS: dict[str, Callable[..., Any]] = {
    name: getattr(optimizers, name)
    for name in (
        *("SGD", "Adam", "AdamW", "RMSprop", "Nadam", "Adamax", "Adagrad", "Adadelta", "Adafactor", "Ftrl"),
        *("Lion", "Lamb", "Muon", "ScheduleFreeAdamW"),
    )
}
KINDS["custom"] = Heavy
KINDS["loss scale"] = lambda **options: optimizers.LossScaleOptimizer(optimizers.Nadam(**options), 8.0, 3)


@pytest.mark.parametrize("shared", [{}, SHARED], ids=["plain", "shared"])
@pytest.mark.parametrize("kind", KINDS)
def test_replay_is_eager(kind: str, shared: dict[str, Any]) -> None:
    model = replayed_and_eager(lambda: KINDS[kind](learning_rate=0.05, **shared), fit)
    assert int(model.optimizer.iterations) == (16 if not shared else 5)


@pytest.mark.parametrize("shared", [{}, {"clipnorm": 0.1, "weight_decay": 0.1, "use_ema": True}])
@pytest.mark.parametrize("kind", KINDS)
def test_replay_is_eager_for_weights_in_panels(kind: str, shared: dict[str, Any]) -> None:
    """Matrices large enough for the order of elements that the products like best."""
    x = np.random.default_rng(0).normal(size=(256, 200)).astype("float32")
    states = []
    for eager in (False, True):
        lumbre.utils.set_random_seed(3)
        dense = lumbre.layers.Dense
        model = lumbre.Sequential([lumbre.Input((200,)), dense(150, "relu"), dense(130, "relu"), dense(1)])
        model.compile(KINDS[kind](learning_rate=0.01, **shared), "mse", run_eagerly=eager)
        model.fit(x, x[:, :1], batch_size=64, epochs=2, shuffle=False, verbose=0)
        states.append(state(model))
    for a, b in zip(*states, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["SGD", "Adam", "Adagrad", "Lamb", "Muon", "ScheduleFreeAdamW", "custom"])
def test_a_changing_rate(kind: str) -> None:
    def train(model: Any) -> None:
        fit(model)
        before = changes()
        model.optimizer.learning_rate = 0.01
        assert changes() == before  # a Variable: recorded steps stay and read it
        fit(model)
        model.optimizer.learning_rate.assign(0.5)
        fit(model)
        model.optimizer.learning_rate = schedules.CosineDecay(0.1, 60)
        fit(model)

    replayed_and_eager(lambda: KINDS[kind](learning_rate=0.05), train)


def test_a_rate_from_a_schedule_and_a_function() -> None:
    rate = lumbre.Variable(0.1)
    makes: list[Callable[[], Any]] = [
        lambda: optimizers.Nadam(schedules.OneCycle(0.1, 30)),
        lambda: optimizers.Lion(schedules.WarmupStableDecay(0.1, 4, 5, 20)),
        lambda: optimizers.Adagrad(lambda: rate),
    ]
    for make in makes:
        replayed_and_eager(make, fit)


@pytest.mark.parametrize("kind", ["Adam", "Adamax", "Lamb", "ScheduleFreeAdamW"])
def test_a_layer_frozen_between_fits(kind: str) -> None:
    def train(model: Any) -> None:
        fit(model)
        first, last = (layer.get_weights() for layer in model.layers)
        model.get_layer("first").trainable = False
        model.compile(KINDS[kind](learning_rate=0.05), "mse", run_eagerly=model.run_eagerly)
        fit(model)
        for a, b in zip(model.get_layer("first").get_weights(), first, strict=True):
            np.testing.assert_array_equal(a, b)
        assert not np.array_equal(model.get_layer("last").get_weights()[0], last[0])
        model.get_layer("first").trainable = True
        model.compile(KINDS[kind](learning_rate=0.05), "mse", run_eagerly=model.run_eagerly)
        fit(model)
        assert not np.array_equal(model.get_layer("first").get_weights()[0], first[0])

    replayed_and_eager(lambda: KINDS[kind](learning_rate=0.05), train)


def test_a_new_optimizer_after_training() -> None:
    def train(model: Any) -> None:
        for kind in ("Adam", "Adagrad", "Muon", "Adam", "loss scale", "SGD"):
            model.compile(KINDS[kind](learning_rate=0.05), "mse", run_eagerly=model.run_eagerly)
            fit(model)
            assert int(model.optimizer.iterations) == 16

    replayed_and_eager(lambda: optimizers.SGD(0.1), train)


def test_a_changed_constant_and_weights() -> None:
    def train(model: Any) -> None:
        fit(model)
        model.optimizer.epsilon = 0.1
        fit(model)
        model.set_weights([w * 0.5 for w in model.get_weights()])
        fit(model)
        model.optimizer.set_weights([np.zeros_like(v.numpy()) + 0.125 for v in model.optimizer.variables])
        fit(model)
        model.optimizer.clipnorm = 0.01
        fit(model)

    replayed_and_eager(lambda: optimizers.Adagrad(0.05), train)


def test_gradients_that_are_not_finite_change_nothing_but_the_scale() -> None:
    y = Y.copy()
    y[20] = 3e38  # a batch whose gradients overflow

    def train(model: Any) -> None:
        model.fit(X, y, batch_size=8, epochs=3, shuffle=False, verbose=0)

    model = replayed_and_eager(lambda: optimizers.LossScaleOptimizer(optimizers.SGD(0.05), 64.0, 1000), train)
    assert int(model.optimizer.iterations) == 21
    assert float(model.optimizer.dynamic_scale) == 8.0
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_a_wrapped_custom_optimizer_is_found_again() -> None:
    wrapped = optimizers.LossScaleOptimizer(Heavy(friction=0.5), 16.0)
    with pytest.raises(ValueError, match="Could not locate class 'Heavy'"):
        optimizers.deserialize(optimizers.serialize(wrapped))
    config = optimizers.serialize(wrapped)
    config["config"]["inner_optimizer"]["config"]["friction"] = 0.5
    again = optimizers.deserialize(config, custom_objects={"Heavy": Heavy})
    assert isinstance(again.inner_optimizer, Heavy)
    assert (again.inner_optimizer.friction, again.initial_scale) == (0.5, 16.0)


def test_the_state_of_a_wrapped_optimizer_travels() -> None:
    wrapped = [optimizers.LossScaleOptimizer(optimizers.Adam(rate), 16.0) for rate in (0.1, 0.2)]
    v = lumbre.Variable([1.0])
    wrapped[0].apply([lumbre.Tensor([1.0])], [v])
    store: dict[str, Any] = {}
    wrapped[0].save_own_variables(store)
    wrapped[1].build([v])
    wrapped[1].load_own_variables(store)
    for a, b in zip(wrapped[0].variables, wrapped[1].variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert float(wrapped[1].learning_rate.numpy()) == np.float32(0.1)


def test_a_scaled_loss_trains_as_an_unscaled_one() -> None:
    weights = []
    for factor in (None, 1024.0):
        model = network(optimizers.SGD(0.1, loss_scale_factor=factor), False)
        fit(model)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)  # a power of two


class Watch(lumbre.callbacks.Callback):
    """Keeps the first layer's weights as they are at each hook."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, np.ndarray]] = []

    def _keep(self, hook: str) -> None:
        self.seen.append((hook, self.model.get_weights()[0]))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._keep("epoch begin")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._keep("batch")

    def on_test_begin(self, logs: Any = None) -> None:
        self._keep("test")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._keep("epoch end")


def test_schedule_free_infers_with_the_mean_and_trains_beside_it() -> None:
    """Against the paper's three sequences in NumPy, on the gradients of a linear model."""
    model = lumbre.Sequential([lumbre.Input((6,)), lumbre.layers.Dense(2, use_bias=False)])
    start = model.get_weights()[0].astype("float64")
    optimizer = optimizers.ScheduleFreeAdamW(0.1, beta_1=0.7, epsilon=1e-6)
    model.compile(optimizer, "mse")
    watch = Watch()
    model.fit(
        *(X, Y), batch_size=16, epochs=2, shuffle=False, validation_data=(X, Y), callbacks=[watch], verbose=0
    )
    fit_again = model.get_weights()[0]

    x = z = y = start
    v, t, expected = np.zeros_like(start), 0, []
    for _ in range(2):
        expected.append(("epoch begin", x))
        for i in range(0, 64, 16):
            rows, targets = X[i : i + 16].astype("float64"), Y[i : i + 16]
            g = 2 * rows.T @ (rows @ y - targets) / targets.size
            t += 1
            v = 0.999 * v + 0.001 * g * g
            z = z - 0.1 * g / (np.sqrt(v / (1 - 0.999**t)) + 1e-6)
            x = x + (z - x) / t
            y = 0.3 * z + 0.7 * x
            expected.append(("batch", y))
        expected += [("test", x), ("epoch end", x)]
    assert [hook for hook, _ in watch.seen] == [hook for hook, _ in expected]
    for (hook, seen), (_, wanted) in zip(watch.seen, expected, strict=True):
        np.testing.assert_allclose(seen, wanted, rtol=0, atol=2e-5, err_msg=hook)
    np.testing.assert_allclose(fit_again, x, rtol=0, atol=2e-5)
    loss = float(np.mean((X @ fit_again - Y) ** 2))
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(loss, rel=1e-5)


def test_schedule_free_goes_on_from_weights_that_were_set() -> None:
    optimizer = optimizers.ScheduleFreeAdamW(0.01)
    model = network(optimizer, False)
    optimizer.build(model.trainable_variables)
    weights = [w + 1.0 for w in model.get_weights()]
    model.set_weights(weights)  # before the first step: z starts there, too
    optimizer.enter_training(model.trainable_variables)
    for z, w in zip(optimizer._slots[0], weights, strict=True):
        np.testing.assert_array_equal(z.numpy(), w)
    fit(model)
    assert float(optimizer._averaged) == 1.0
    model.set_weights(weights)  # as the average
    optimizer.enter_training(model.trainable_variables)
    optimizer.leave_training(model.trainable_variables)
    for a, b in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_schedule_free_step_from_the_average_without_entering() -> None:
    """A step that finds the average in the parameters goes on from it: nothing is extrapolated."""
    w = lumbre.Variable([1.0, -1.0])
    optimizer = optimizers.ScheduleFreeAdamW(0.1, beta_1=0.5)
    for g in ([1.0, 2.0], [2.0, -1.0]):
        optimizer.apply([lumbre.Tensor(g)], [w])
    optimizer.finalize_variable_values([w])
    x, z = w.numpy().astype("float64"), optimizer._slots[0][0].numpy().astype("float64")
    optimizer.apply([lumbre.Tensor([0.0, 0.0])], [w])
    np.testing.assert_allclose(w.numpy(), 0.5 * z + 0.5 * (x + (z - x) / 3), rtol=1e-6)
