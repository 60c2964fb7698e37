"""Fifty steps of every optimizer with and without each shared argument, beside the real Keras."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import close, jax, keras
from lumbre import optimizers

STEPS = 50
SHAPES = [(5, 4), (4,), (), (3, 2, 2)]
NAMES = ["kernel", "bias", "scale", "deep_kernel"]

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {},
    "SGD momentum": {"momentum": 0.9, "nesterov": True, "learning_rate": 0.01},
    "Adam": {},
    "Adam amsgrad": {"amsgrad": True},
    "AdamW": {},
    "RMSprop": {},
    "RMSprop centered": {"momentum": 0.9, "centered": True, "learning_rate": 0.01},
    "Nadam": {"beta_1": 0.8},
    "Adamax": {"beta_2": 0.9},
    "Adagrad": {"initial_accumulator_value": 0.3},
    "Adadelta": {"learning_rate": 1.0, "rho": 0.9},
    "Ftrl": {
        "l1_regularization_strength": 0.05,
        "l2_regularization_strength": 0.02,
        "l2_shrinkage_regularization_strength": 0.03,
        "beta": 0.1,
    },
    "Ftrl power": {"learning_rate_power": -0.7},
    "Lion": {"learning_rate": 0.01},
    "Lamb": {},
    "Adafactor": {},
    "Adafactor clipped": {"clip_threshold": 0.5, "beta_2_decay": -0.6, "epsilon_2": 0.1},
    "Muon": {"exclude_layers": ["deep"]},
    "Muon plain": {"nesterov": False, "rms_rate": None, "adam_lr_ratio": 0.5, "adam_weight_decay": None},
    "ScheduleFreeAdamW": {},
    "ScheduleFreeAdamW warm": {"warmup_steps": 9, "beta_1": 0.8},
}
SHARED: list[dict[str, Any]] = [
    {},
    {
        "clipnorm": 0.7,
        "weight_decay": 0.1,
        "use_ema": True,
        "ema_momentum": 0.6,
        "ema_overwrite_frequency": 3,
    },
    {
        "global_clipnorm": 0.7,
        "weight_decay": 0.1,
        "gradient_accumulation_steps": 3,
        "loss_scale_factor": 4.0,
    },
    {"clipvalue": 0.3, "use_ema": True, "ema_momentum": 0.9},
]


def start() -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(1)
    values = [rng.normal(size=s).astype("float32") for s in SHAPES]
    return tuple(  # type: ignore[return-value]
        [m.Variable(v, name=n) for v, n in zip(values, NAMES, strict=True)] for m in (lumbre, keras)
    )


def gradients(step: int) -> list[np.ndarray]:
    rng = np.random.default_rng(step)
    return [np.asarray(rng.normal(size=s), "float32") for s in SHAPES]


def made(key: str, **options: Any) -> tuple[Any, Any]:
    options = {"learning_rate": 0.1, **OPTIMIZERS[key], **options}
    ours, theirs = (getattr(m, key.split()[0])(**options) for m in (optimizers, keras.optimizers))
    if "weight_decay" in options:
        for optimizer in (ours, theirs):
            optimizer.exclude_from_weight_decay(var_names=["bias"])
    return ours, theirs


RUNS = [(key, shared) for key in OPTIMIZERS for shared in SHARED if " " not in key or not shared]


@pytest.mark.parametrize(("key", "shared"), RUNS, ids=[f"{key} {'-'.join(s)}" for key, s in RUNS])
def test_fifty_steps(key: str, shared: dict[str, Any]) -> None:
    ours, theirs = made(key, **shared)
    mine, others = start()
    ours.build(mine)
    theirs.build(others)
    step_of_keras = jax.jit(theirs.stateless_apply)
    weights, slots = [v.value for v in others], [v.value for v in theirs.variables]
    for step in range(STEPS):
        ours.apply([lumbre.Tensor(g) for g in gradients(step)])
        weights, slots = step_of_keras(slots, gradients(step), weights)
    for a, b in zip(mine, weights, strict=True):
        close(a, b, rtol=0, atol=1e-4)
    if isinstance(ours, optimizers.Adafactor):
        return  # our slots are fewer, on purpose
    # One more than Keras's at the end: whether the parameters hold the average.
    extra = int(isinstance(ours, optimizers.ScheduleFreeAdamW))
    kept = ours.variables[: len(ours.variables) - extra]
    for a, v, b in zip(kept, theirs.variables, slots, strict=True):
        if not v.name.startswith("variable"):  # Keras gives no name to Nadam's product
            assert a.name.split("_")[-1] == v.name.split("_")[-1]
        close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("key", OPTIMIZERS)
def test_config_and_names(key: str) -> None:
    ours, theirs = made(key, name="o", weight_decay=0.01)
    assert ours.get_config() == theirs.get_config()
    assert optimizers.serialize(ours) == keras.optimizers.serialize(theirs)
    again = optimizers.deserialize(optimizers.serialize(ours))
    assert type(again) is type(ours)
    assert again.get_config() == ours.get_config()
    for name in (key.split()[0], key.split()[0].lower()):
        assert type(optimizers.get(name)) is type(ours)


@pytest.mark.parametrize("name", sorted({key.split()[0] for key in OPTIMIZERS}))
def test_arguments_and_defaults(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(m, name)).parameters for m in (optimizers, keras.optimizers))
    assert set(ours) - set(theirs) <= {"shared"}
    for key, parameter in theirs.items():
        if key != "kwargs":
            assert ours[key].default == parameter.default, key


def test_loss_scale_optimizer() -> None:
    def wrap(m: Any) -> Any:
        inner = m.Adam(0.1, use_ema=True, weight_decay=0.1)
        return m.LossScaleOptimizer(inner, initial_scale=64.0, dynamic_growth_steps=3)

    ours, theirs = wrap(optimizers), wrap(keras.optimizers)
    mine, others = start()
    ours.build(mine)
    theirs.build(others)
    step_of_keras = jax.jit(theirs.stateless_apply)
    weights, slots = [v.value for v in others], [v.value for v in theirs.variables]
    for step in range(STEPS):
        grads = [64 * g for g in gradients(step)]
        if step % 7 == 5:
            grads[step % 4] = np.full_like(grads[step % 4], (np.inf, np.nan)[step % 2])
        ours.apply([lumbre.Tensor(g) for g in grads])
        weights, slots = step_of_keras(slots, grads, weights)
    for a, b in zip([*mine, *ours.variables], [*weights, *slots], strict=True):
        close(a, b, rtol=1e-4, atol=1e-4)
    assert [v.name for v in ours.variables] == [v.name for v in theirs.variables]
    assert ours.get_config()["inner_optimizer"]["class_name"] == "Adam"
    assert optimizers.deserialize(optimizers.serialize(ours)).get_config() == ours.get_config()
    close(ours.scale_loss(2.0), 2.0 * float(ours.dynamic_scale))
