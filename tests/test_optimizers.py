"""Optimizers and schedules against the real Keras over several steps, and their messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import close, keras
from lumbre import optimizers
from lumbre.capture import Captured, changes
from lumbre.optimizers import schedules

SHAPES = [(5, 4), (4,), (), (3, 2, 2)]
STEPS = 7


def parameters(shapes: list[tuple[int, ...]] = SHAPES) -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(1)
    values = [rng.normal(size=s).astype("float32") for s in shapes]
    names = [f"{'bias' if len(s) == 1 else 'kernel'}_{i}" for i, s in enumerate(shapes)]
    ours = [lumbre.Variable(v, name=n) for v, n in zip(values, names, strict=True)]
    theirs = [keras.Variable(v, name=n) for v, n in zip(values, names, strict=True)]
    return ours, theirs


def gradients(step: int, scale: float = 1.0) -> list[np.ndarray]:
    rng = np.random.default_rng(step)
    return [np.asarray(rng.normal(size=s) * scale, "float32") for s in SHAPES]


def run(ours: Any, theirs: Any, steps: int = STEPS) -> None:
    """The same steps with both; parameters and state must agree after each."""
    # Keras takes 1 - 0.999ᵗ in float32, which leaves it four digits: 1e-4 of a step of 0.1.
    atol = 1e-5 if isinstance(ours, optimizers.Adam) else 1e-6
    mine, others = parameters()
    for step in range(steps):
        ours.apply([lumbre.Tensor(g) for g in gradients(step)], mine)
        theirs.apply([keras.ops.convert_to_tensor(g) for g in gradients(step)], others)
        for a, b in zip(mine, others, strict=True):
            close(a, b, atol=atol)
    for a, b in zip(ours.variables, theirs.variables, strict=True):
        assert a.name.split("_")[-1] == b.name.split("_")[-1]
        close(a, b, atol=atol)


OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"learning_rate": 0.1, "momentum": 1.0}),
    ("Adam", {"learning_rate": 0.1}),
    ("Adam", {"learning_rate": 0.1, "amsgrad": True}),
    ("Adam", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.7, "epsilon": 1e-2}),
    ("AdamW", {"learning_rate": 0.1}),
    ("AdamW", {"learning_rate": 0.1, "weight_decay": 0.3, "amsgrad": True}),
    ("RMSprop", {"learning_rate": 0.1}),
    ("RMSprop", {"learning_rate": 0.1, "momentum": 0.9, "centered": True, "rho": 0.6}),
]
SHARED: list[dict[str, Any]] = [
    {"clipnorm": 0.7},
    {"clipvalue": 0.3},
    {"global_clipnorm": 0.7},
    {"global_clipnorm": 1e6},
    {"weight_decay": 0.1},
    {"use_ema": True, "ema_momentum": 0.6},
    {"use_ema": True, "ema_momentum": 0.6, "ema_overwrite_frequency": 3},
    {"gradient_accumulation_steps": 3},
    {"gradient_accumulation_steps": 2, "use_ema": True, "weight_decay": 0.1, "clipnorm": 0.7},
    {"loss_scale_factor": 4.0},
]


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_steps(name: str, options: dict[str, Any]) -> None:
    run(getattr(optimizers, name)(**options), getattr(keras.optimizers, name)(**options))


@pytest.mark.parametrize(("name", "options"), [OPTIMIZERS[i] for i in (0, 2, 5, 8, 10)])
@pytest.mark.parametrize("shared", SHARED, ids="-".join)
def test_steps_with_shared_options(name: str, options: dict[str, Any], shared: dict[str, Any]) -> None:
    options = {**options, **shared}
    run(getattr(optimizers, name)(**options), getattr(keras.optimizers, name)(**options))


SCHEDULES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("ExponentialDecay", (0.5, 4, 0.8), {}),
    ("ExponentialDecay", (0.5, 4, 0.8), {"staircase": True}),
    ("InverseTimeDecay", (0.5, 4, 0.8), {}),
    ("InverseTimeDecay", (0.5, 4, 0.8), {"staircase": True}),
    ("PiecewiseConstantDecay", ([2, 5], [0.5, 0.25, 0.125]), {}),
    ("PiecewiseConstantDecay", ([2.5, 5.5], [0.5, 0.25, 0.125]), {}),
    ("PolynomialDecay", (0.5, 5), {}),
    ("PolynomialDecay", (0.5, 5, 0.1, 2.0), {}),
    ("PolynomialDecay", (0.5, 5, 0.1, 0.5), {"cycle": True}),
    ("CosineDecay", (0.5, 6), {"alpha": 0.1}),
    ("CosineDecay", (0.0, 6), {"warmup_target": 0.5, "warmup_steps": 3}),
    ("CosineDecay", (0.1, 6), {"warmup_target": 0.5}),
    ("CosineDecayRestarts", (0.5, 5), {"m_mul": 0.8, "alpha": 0.1}),
    ("CosineDecayRestarts", (0.5, 5), {"t_mul": 1.0, "m_mul": 0.8}),
]


@pytest.mark.parametrize(("name", "arguments", "options"), SCHEDULES)
def test_schedule(name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    ours = getattr(schedules, name)(*arguments, **options)
    theirs = getattr(keras.optimizers.schedules, name)(*arguments, **options)
    for step in range(24):
        value = ours(lumbre.Tensor(np.int64(step)))
        assert value.dtype == "float32"
        assert value.shape == ()
        close(value, theirs(step), atol=1e-7)
    assert ours.get_config() == theirs.get_config()
    assert schedules.serialize(ours) == keras.optimizers.schedules.serialize(theirs)
    assert schedules.deserialize(schedules.serialize(ours)).get_config() == ours.get_config()


def test_schedules_in_phases() -> None:
    """Against their formulas in float64: these are not Keras's."""
    falls = {
        "linear": lambda p: 1 - p,
        "cosine": lambda p: (1 + np.cos(np.pi * p)) / 2,
        "sqrt": lambda p: 1 - p**0.5,
    }
    for decay, fall in falls.items():
        ours = schedules.WarmupStableDecay(0.5, 5, 10, 20, 0.1, 0.05, decay)
        for step in range(45):
            rate = 0.1 + 0.4 * step / 5 if step < 5 else 0.05 + 0.45 * fall(np.clip((step - 15) / 20, 0, 1))
            close(ours(lumbre.Tensor(np.int64(step))), np.float32(rate), atol=1e-6)
        ours = schedules.OneCycle(0.5, 40, 0.25, 10.0, 100.0, decay)
        for step in range(50):
            up, down = np.clip(step / 10, 0, 1), np.clip((step - 10) / 30, 0, 1)
            rising, falling = 0.5 + (0.05 - 0.5) * fall(up), 0.0005 + (0.5 - 0.0005) * fall(down)
            close(
                ours(lumbre.Tensor(np.int64(step))), np.float32(rising if step < 10 else falling), atol=1e-6
            )
    for schedule in (ours, schedules.WarmupStableDecay(0.5, 0, 3, 4, decay="sqrt")):
        again = schedules.deserialize(schedules.serialize(schedule))
        assert type(again) is type(schedule)
        assert again.get_config() == schedule.get_config()
        assert again(2).item() == schedule(2).item()
    assert schedules.WarmupStableDecay(0.5, 0, 3, 4)(0).item() == 0.5


@pytest.mark.parametrize("accumulate", [None, 2])
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_steps_with_a_schedule(name: str, accumulate: int | None) -> None:
    rates = [m.ExponentialDecay(0.5, 2, 0.5) for m in (schedules, keras.optimizers.schedules)]
    ours, theirs = (
        getattr(m, name)(rate, gradient_accumulation_steps=accumulate)
        for m, rate in zip((optimizers, keras.optimizers), rates, strict=True)
    )
    run(ours, theirs)
    close(ours.learning_rate, theirs.learning_rate)


def test_excluded_variables_do_not_decay() -> None:
    for how in ("names", "list"):
        mine, others = parameters()
        ours, theirs = optimizers.AdamW(0.1, 0.5), keras.optimizers.AdamW(0.1, 0.5)
        if how == "names":
            ours.exclude_from_weight_decay(var_names=["bias"])
            theirs.exclude_from_weight_decay(var_names=["bias"])
        else:
            ours.exclude_from_weight_decay(var_list=[mine[0]])
            theirs.exclude_from_weight_decay(var_list=[others[0]])
        for step in range(2):
            ours.apply([lumbre.Tensor(g) for g in gradients(step)], mine)
            theirs.apply([keras.ops.convert_to_tensor(g) for g in gradients(step)], others)
        for a, b in zip(mine, others, strict=True):
            close(a, b, atol=1e-5)


def test_clipping_follows_kerass_formulas_for_large_and_tiny_gradients() -> None:
    for scale in (1e-6, 1e3, 1e10):
        for option in ("clipnorm", "global_clipnorm", "clipvalue"):
            mine, others = parameters()
            ours, theirs = (m.SGD(1.0, **{option: 0.5}) for m in (optimizers, keras.optimizers))
            ours.apply([lumbre.Tensor(g) for g in gradients(0, scale)], mine)
            theirs.apply([keras.ops.convert_to_tensor(g) for g in gradients(0, scale)], others)
            for a, b in zip(mine, others, strict=True):
                close(a, b)


def test_constraints_are_applied_after_the_step() -> None:
    v = lumbre.Variable([1.0, -1.0], constraint=lumbre.constraints.NonNeg())
    optimizers.SGD(1.0).apply([lumbre.Tensor([2.0, -2.0])], [v])
    close(v, [0.0, 1.0])


def test_finalize_puts_the_averages_in_place() -> None:
    mine, others = parameters()
    ours, theirs = (m.SGD(0.1, use_ema=True, ema_momentum=0.5) for m in (optimizers, keras.optimizers))
    for step in range(3):
        ours.apply([lumbre.Tensor(g) for g in gradients(step)], mine)
        theirs.apply([keras.ops.convert_to_tensor(g) for g in gradients(step)], others)
    ours.finalize_variable_values(mine)
    theirs.finalize_variable_values(others)
    for a, b in zip(mine, others, strict=True):
        close(a, b)


def test_a_missing_gradient_leaves_its_variable() -> None:
    mine, _ = parameters()
    before = mine[1].numpy()
    optimizer = optimizers.Adam(0.1)
    grads: list[Any] = [lumbre.Tensor(g) for g in gradients(0)]
    grads[1] = None
    with pytest.warns(
        UserWarning, match=r"Gradients do not exist for variables \['bias_1'\] when minimizing"
    ):
        optimizer.apply(grads, mine)
    np.testing.assert_array_equal(mine[1].numpy(), before)
    assert optimizer.iterations.numpy() == 1


def test_learning_rate() -> None:
    optimizer = optimizers.SGD(0.5)
    assert float(optimizer.learning_rate) == 0.5
    variable = optimizer.learning_rate
    optimizer.learning_rate = 0.25
    assert optimizer.learning_rate is variable
    assert float(optimizer.learning_rate) == 0.25
    optimizer.learning_rate = schedules.ExponentialDecay(1.0, 1, 0.5)
    assert float(optimizer.learning_rate) == 1.0
    assert [v.name for v in optimizer.variables] == ["iteration"]
    with pytest.raises(TypeError, match="This optimizer was created with a `LearningRateSchedule` object"):
        optimizer.learning_rate = 0.1


def test_a_function_as_learning_rate() -> None:
    v = lumbre.Variable([1.0])
    optimizer = optimizers.SGD(learning_rate=lambda: 0.5)
    optimizer.apply([lumbre.Tensor([1.0])], [v])
    close(v, [0.5])


def test_setting_the_learning_rate_keeps_recorded_steps() -> None:
    optimizer = optimizers.Adam(0.5)
    before = changes()
    optimizer.learning_rate = 0.25
    assert changes() == before
    optimizer.beta_1 = 0.8
    assert changes() > before


def test_a_step_sets_no_attributes_after_the_first() -> None:
    mine, _ = parameters()
    options = {"use_ema": True, "gradient_accumulation_steps": 2, "clipnorm": 1.0, "weight_decay": 0.1}
    optimizer = optimizers.Adam(schedules.CosineDecay(0.1, 10), **options)
    optimizer.build(mine)
    before = changes()
    optimizer.apply([lumbre.Tensor(g) for g in gradients(0)], mine)
    assert changes() == before


RECORDED: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"momentum": 0.9, "nesterov": True, "clipnorm": 0.5}),
    ("SGD", {"learning_rate": schedules.PiecewiseConstantDecay([2, 4], [0.1, 0.05, 0.01])}),
    ("Adam", {"learning_rate": schedules.CosineDecay(0.0, 6, warmup_target=0.1, warmup_steps=3)}),
    ("Adam", {"amsgrad": True, "global_clipnorm": 0.5, "use_ema": True, "ema_overwrite_frequency": 3}),
    ("AdamW", {"learning_rate": 0.1, "gradient_accumulation_steps": 3, "clipvalue": 0.1}),
    ("RMSprop", {"learning_rate": 0.1, "centered": True, "momentum": 0.5, "gradient_accumulation_steps": 2}),
]


@pytest.mark.parametrize(("name", "options"), RECORDED)
def test_recorded_steps_equal_eager_ones(name: str, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(9, 6, 4)).astype("float32")
    y = rng.integers(0, 3, (9, 6))
    seen = []
    for recorded in (False, True):
        w = lumbre.Variable(np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3), name="w")
        b = lumbre.Variable(np.zeros(3, "float32"), name="b", constraint=lumbre.constraints.MaxNorm(0.1))
        optimizer = getattr(optimizers, name)(**options)
        loss_fn = lumbre.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2)
        penalty, mean = lumbre.regularizers.L1L2(0.01, 0.02), lumbre.metrics.Mean()
        accuracy = lumbre.metrics.SparseCategoricalAccuracy()
        optimizer.build([w, b])

        def step(x: Any, y: Any) -> Any:
            p = lumbre.ops.matmul(x, w) + b  # noqa: B023 - called within the iteration
            loss = loss_fn(y, p) + penalty(w)  # noqa: B023
            grads = lumbre.grad(loss, [w, b])  # noqa: B023
            optimizer.apply(grads, [w, b])  # noqa: B023
            mean.update_state(loss.detach(), sample_weight=6.0)  # noqa: B023
            accuracy.update_state(y, p.detach())  # noqa: B023
            return loss.detach()

        captured = Captured(step, on_eager=pytest.fail)
        losses = []
        for batch in zip(x, y, strict=True):
            arguments = [lumbre.Tensor(a) for a in batch]
            entry = captured.entry(None)
            if not recorded:
                losses.append(step(*arguments).item())
            elif entry.program is None:
                losses.append(captured.run(entry, arguments).item())
            else:
                outputs = entry.program.replay([t._a for t in arguments], keep_outputs=True)[2]
                losses.append(float(np.asarray(outputs[0]).item()))
        assert (captured.entry(None).program is not None) == recorded
        state = [v.numpy() for v in (w, b, *optimizer.variables, *mean.variables, *accuracy.variables)]
        seen.append((losses, state))
    assert seen[0][0] == seen[1][0]
    for a, b in zip(seen[0][1], seen[1][1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_custom_optimizer() -> None:
    class Signs(optimizers.Optimizer):
        def __init__(self, learning_rate: float = 0.5) -> None:
            super().__init__(learning_rate=learning_rate)

        def build(self, variables: Any) -> None:
            if self.built:
                return
            super().build(variables)
            self.counts = [
                self.add_variable_from_reference(reference_variable=v, name="count")
                for v in self._trainable_variables
            ]

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            self.counts[self._get_variable_index(variable)].assign_add(lumbre.ops.ones_like(gradient))
            variable.assign_sub(lumbre.ops.sign(gradient) * learning_rate)

    v = lumbre.Variable([1.0, 1.0], name="v")
    optimizer = Signs()
    assert optimizer.name.startswith("signs")
    for _ in range(2):
        optimizer.apply_gradients([(lumbre.Tensor([3.0, -3.0]), v)])
    close(v, [0.0, 2.0])
    close(optimizer.counts[0], [2.0, 2.0])
    assert optimizer.variables[-1].path == f"{optimizer.name}/v_count"


def test_update_step_of_a_subclass_is_not_bypassed() -> None:
    class Ascent(optimizers.Adam):
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            super().update_step(-gradient, variable, learning_rate)

    v = lumbre.Variable([1.0])
    Ascent(0.5).apply([lumbre.Tensor([1.0])], [v])
    close(v, [1.5], atol=1e-5)


def test_float64_parameters() -> None:
    v = lumbre.Variable(np.array([1.0, 2.0]), dtype="float64")
    w = lumbre.Variable([1.0], dtype="float32")
    for optimizer in (
        optimizers.SGD(0.1, momentum=0.9, clipnorm=1.0),
        optimizers.Adam(0.1, weight_decay=0.1),
    ):
        optimizer.apply([lumbre.Tensor([1.0, 1.0], dtype="float64"), lumbre.Tensor([1.0])], [v, w])
    assert v.dtype == "float64"


def test_config() -> None:
    for name, options in OPTIMIZERS:
        ours, theirs = (getattr(m, name)(**options, name="o") for m in (optimizers, keras.optimizers))
        assert ours.get_config() == theirs.get_config()
        assert optimizers.serialize(ours) == keras.optimizers.serialize(theirs)
        assert optimizers.deserialize(optimizers.serialize(ours)).get_config() == ours.get_config()
    scheduled = optimizers.Adam(schedules.ExponentialDecay(0.1, 10, 0.9))
    clone = optimizers.Adam.from_config(scheduled.get_config())
    assert clone.get_config() == scheduled.get_config()


def test_weights_travel() -> None:
    mine, _ = parameters()
    a, b = optimizers.Adam(0.1), optimizers.Adam(0.2)
    a.apply([lumbre.Tensor(g) for g in gradients(0)], mine)
    store: dict[str, Any] = {}
    a.save_own_variables(store)
    b.build(mine)
    b.load_own_variables(store)
    for x, y in zip(a.variables, b.variables, strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())


def test_get() -> None:
    for name, kind in [
        ("adam", "Adam"),
        ("ADAM", "Adam"),
        ("sgd", "SGD"),
        ("AdamW", "AdamW"),
        ("rmsprop", "RMSprop"),
    ]:
        assert type(optimizers.get(name)).__name__ == kind
    optimizer = optimizers.SGD()
    assert optimizers.get(optimizer) is optimizer
    assert optimizers.get({"class_name": "SGD", "config": {"momentum": 0.5}}).momentum == 0.5


V = [lumbre.Variable(np.zeros(2, "float32"), name="v")]
G = lumbre.Tensor([1.0, 1.0])


def built() -> optimizers.Optimizer:
    optimizer = optimizers.Adam()
    optimizer.build(V)
    return optimizer


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optimizers.get("adamm"), "Could not interpret optimizer identifier: adamm"),
        (lambda: optimizers.get(3), "Could not interpret optimizer identifier: 3"),
        (lambda: optimizers.Adam(lr=0.1), r"Argument\(s\) not recognized: \{'lr': 0.1\}"),
        (lambda: optimizers.Adam(1), "Argument `learning_rate` should be float, or an instance of"),
        (lambda: optimizers.SGD(momentum=2.0), r"`momentum` must be a float between \[0, 1\]."),
        (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0), "Only one of `clipnorm`, `clipvalue` and"),
        (
            lambda: optimizers.SGD(use_ema=True, ema_momentum=2),
            r"`ema_momentum` must be in the range \[0, 1\]",
        ),
        (lambda: optimizers.SGD(gradient_accumulation_steps=1), "must be an integer >= 2"),
        (lambda: optimizers.AdamW(weight_decay=None), "`weight_decay` must be a float"),
        (lambda: optimizers.Adam().apply([G]), "the optimizer must already be built on a list of variables"),
        (
            lambda: built().apply([G], [lumbre.Variable([1.0, 1.0])]),
            "Unknown variable: <Variable path=variable",
        ),
        (lambda: built().apply([None]), "No gradients provided for any variable."),
        (lambda: built().apply([G, G]), "Received a list of 2 gradients, but the optimizer is tracking 1"),
        (lambda: built().apply([lumbre.Tensor([1.0])]), r"the gradient of variable v has shape \(1,\)"),
        (lambda: optimizers.Adam().set_weights([]), "an optimizer that has not yet been built"),
        (
            lambda: schedules.PiecewiseConstantDecay([1, 2], [1.0]),
            "The length of boundaries should be 1 less",
        ),
        (
            lambda: optimizers.Ftrl(learning_rate_power=0.5),
            "`learning_rate_power` needs to be negative or zero",
        ),
        (lambda: optimizers.Ftrl(beta=0.1, l1_regularization_strength=-1), "needs to be positive or zero"),
        (lambda: optimizers.Lion(beta_1=0.0), "Argument `beta_1` must be in the"),
        (lambda: optimizers.ScheduleFreeAdamW(beta_1=0.0), r"`beta_1` must be in the range \(0, 1\]"),
        (lambda: optimizers.Lamb(lr=1.0), r"Argument\(s\) not recognized: \{'lr': 1.0\}"),
        (
            lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), clipnorm=1.0),
            "LossScaleOptimizer does not support `clipnorm`. Instead, set `clipnorm` on the",
        ),
        (
            lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), dynamic=False),
            "no longer supports `dynamic=False`",
        ),
        (
            lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), scale=1),
            "does not support arguments: `scale`",
        ),
        (lambda: schedules.OneCycle(0.1, 0), "Argument `total_steps` must be > 0"),
        (lambda: schedules.OneCycle(0.1, 10, pct_start=1.0), "`pct_start` must be between 0 and 1"),
        (
            lambda: schedules.OneCycle(0.1, 10, anneal="cosin"),
            r"`anneal` must be one of \['linear', 'cosine'",
        ),
        (lambda: schedules.WarmupStableDecay(0.1, -1, 1, 1), "Argument `warmup_steps` must be >= 0"),
        (lambda: schedules.WarmupStableDecay(0.1, 1, 1, 0), "Argument `decay_steps` must be > 0"),
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.9), "Argument `decay_steps` must be > 0. Received"),
        (lambda: schedules.CosineDecayRestarts(0.1, 0), "Argument `first_decay_steps` must be > 0"),
    ],
)
def test_bad_input(call: Any, message: str) -> None:
    before = V[0].numpy()
    with pytest.raises(ValueError, match=message):
        call()
    np.testing.assert_array_equal(V[0].numpy(), before)


def test_a_loss_scale_needs_an_optimizer() -> None:
    with pytest.raises(TypeError, match="`inner_optimizer` must be an optimizer"):
        optimizers.LossScaleOptimizer("adam")  # type: ignore[arg-type]


def test_abstract_methods_say_so() -> None:
    with pytest.raises(NotImplementedError, match="must implement `update_step"):
        optimizers.Optimizer(0.1).apply([G], V)
    with pytest.raises(NotImplementedError, match=r"must override `__call__\(self, step\)`"):
        schedules.LearningRateSchedule()(0)


def test_decay_is_ignored_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="Argument `decay` is no longer supported and will be ignored."):
        optimizers.SGD(decay=0.1)
