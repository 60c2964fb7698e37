"""dtype policies by name, as in Keras; mixed ones are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from keras_reference import keras
from lumbre import layers
from lumbre.dtype_policies import DTypePolicy, DTypePolicyMap, deserialize, get, serialize


def test_policies_are_those_of_keras() -> None:
    def facts(lib: Any) -> list[Any]:
        policies = lib.dtype_policies
        policy = policies.DTypePolicy("float32")
        found: list[Any] = [
            policy.name, policy.compute_dtype, policy.variable_dtype, repr(policy), policy.get_config(),
            policies.get("float64").name, policies.get(policy) is policy, policies.get(None).name,
            policies.serialize(policy), policies.deserialize(policies.serialize(policy)) == policy,
            policies.get(policies.serialize(policy)).name, policies.get(np.float16).name,
            policies.get("int32").name,
            lib.DTypePolicy is policies.DTypePolicy, policy == policies.DTypePolicy("float64"),
            policy.quantization_mode,
        ]  # fmt: skip
        layer = lib.layers.Dense(2, dtype="float64")
        found += [layer.dtype, layer.compute_dtype, layer.variable_dtype, layer.dtype_policy.name]
        layer.dtype_policy = "float16"
        found.append(layer.dtype_policy.name)
        for bad in ("float33", 3, [1]):
            try:
                found.append(policies.get(bad))
            except Exception as error:
                found.append(type(error).__name__)
        return found

    assert facts(lumbre) == facts(keras)


def test_maps_are_those_of_keras() -> None:
    def facts(lib: Any) -> list[Any]:
        kinds = lib.dtype_policies
        policies = kinds.DTypePolicyMap()
        policies["a/b"] = kinds.DTypePolicy("float64")
        policies["c/.*"] = kinds.DTypePolicy("float16")
        found = [
            policies["a/b"].name,
            policies["c/d"].name,
            policies["zz"].name,
            len(policies),
            list(policies),
        ]
        for key, value in (("a/b", kinds.DTypePolicy("float64")), ("x", 3)):
            try:
                policies[key] = value
            except ValueError:
                found.append(key)
        return [*found, policies.compute_dtype, policies.default_policy.name]

    assert facts(lumbre) == facts(keras)
    policies = DTypePolicyMap(policy_map={"d": DTypePolicy("float64")})
    again = deserialize(serialize(policies))
    assert isinstance(again, DTypePolicyMap) and dict(again) == dict(policies)
    assert layers.Dense(2, dtype=policies, name="d").dtype == "float64"
    assert layers.Dense(2, dtype=policies, name="e").dtype == "float32"


@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "use",
    [
        DTypePolicy,
        get,
        lambda name: layers.Dense(2, dtype=name),
        lambda name: lumbre.Sequential([layers.Dense(2)]).layers[0].__setattr__("dtype_policy", name),
        lambda name: layers.Dense.from_config({"units": 2, "dtype": name}),
        lambda name: deserialize({**serialize(DTypePolicy("float32")), "config": {"name": name}}),
    ],
)
def test_mixed_policies_are_refused(use: Any, name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is not available: .* Use 'float32'"):
        use(name)


def test_inputs_are_converted() -> None:
    policy = DTypePolicy("float32")
    assert policy.convert_input(np.ones(2), True, "float32").dtype == "float32"
    assert policy.convert_input(np.ones(2), False, "float32").dtype == "float64"
    assert policy.convert_input(np.ones(2, "int32"), True, "float32").dtype == "int32"
    assert policy.convert_input("text", True, "float32") == "text"
