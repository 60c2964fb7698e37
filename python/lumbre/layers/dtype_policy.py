"""Which dtype a layer keeps its weights in, and which it computes in."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from typing import Any

import numpy as np

from lumbre import config
from lumbre.autograd import FLOATS, as_tensor
from lumbre.lookup import did_you_mean
from lumbre.tensor import Variable

_NAMES = (*sorted(FLOATS), "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


class DTypePolicy:
    """The dtype of a layer's weights and of its computation.

    Mixed policies, weights in float32 and computation in half of its width, are refused: there are no kernels
    for them, and casting back and forth would only cost time.

    Args:
        name: A dtype; by default that of `config.dtype_policy()`.

    Raises:
        ValueError: The name is no dtype, or that of a mixed or quantized policy.
        TypeError: The name is no string.

    Source: `keras.DTypePolicy`.

    Example:
        >>> DTypePolicy("float64").compute_dtype
        'float64'
    """

    quantization_mode = None

    def __init__(self, name: str | None = None) -> None:
        name = get(None).name if name is None else name
        if not isinstance(name, str):
            raise TypeError(
                f"'name' must be a string, such as 'float32'. Received: name={name} (of type {type(name)})"
            )
        if name in _MIXED:
            raise ValueError(
                f"the dtype policy '{name}' is not available: there are no kernels that compute in "
                f"{_MIXED[name]} with float32 weights, and on a CPU they would gain nothing. Use 'float32' "
                f"(the default); for weights and results stored in half the memory, '{_MIXED[name]}'"
            )
        if name not in _NAMES:
            raise ValueError(
                f"Cannot convert '{name}' to a mixed precision DTypePolicy. Valid policies are the names of "
                f"dtypes such as 'float32'.{did_you_mean(name, _NAMES)}"
            )
        self._name = name

    @property
    def name(self) -> str:
        """The policy's name, which is that of the dtype."""
        return self._name

    @property
    def compute_dtype(self) -> str:
        """The dtype that inputs are cast to, and outputs have."""
        return self._name

    @property
    def variable_dtype(self) -> str:
        """The dtype of weights."""
        return self._name

    def convert_input(self, x: Any, autocast: bool, dtype: str) -> Any:
        """An array as a tensor; with `autocast`, floating-point values in the given dtype."""
        if not isinstance(x, Variable) and not hasattr(x, "__array__"):
            return x
        tensor = as_tensor(x)
        return as_tensor(tensor, dtype) if autocast and tensor.dtype in FLOATS else tensor

    def get_config(self) -> dict[str, Any]:
        """What `DTypePolicy.from_config` rebuilds the policy from."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        """The policy of a config."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


FloatDTypePolicy = DTypePolicy


class DTypePolicyMap(DTypePolicy, MutableMapping[str, DTypePolicy]):
    """Policies by the paths of layers.

    A path that is a key has that key's policy; else one that some keys match as regular expressions, from
    beginning to end, has theirs; any other has the default.

    Args:
        default_policy: The policy of the rest; by default `config.dtype_policy()`.
        policy_map: A dict to start with.

    Raises:
        ValueError: A value is no policy, a key is set twice, or several keys match a path.

    Source: `keras.dtype_policies.DTypePolicyMap`.

    Example:
        >>> policies = DTypePolicyMap()
        >>> policies["encoder/.*"] = DTypePolicy("float64")
        >>> policies["encoder/dense"].name, policies["decoder"].name
        ('float64', 'float32')
    """

    def __init__(self, default_policy: Any = None, policy_map: dict[str, Any] | None = None) -> None:
        self._default = default_policy if default_policy is None else get(default_policy)
        self._policies: dict[str, DTypePolicy] = {k: get(v) for k, v in (policy_map or {}).items()}

    @property
    def default_policy(self) -> DTypePolicy:
        """The policy of paths that no key matches."""
        return get(None) if self._default is None else self._default

    @property
    def name(self) -> str:
        """The default policy's name after `map_`."""
        return f"map_{self.default_policy.name}"

    @property
    def compute_dtype(self) -> str:
        """That of the default policy."""
        return self.default_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """That of the default policy."""
        return self.default_policy.variable_dtype

    def __getitem__(self, key: str) -> DTypePolicy:
        if key in self._policies:
            return self._policies[key]
        matching = [k for k in self._policies if re.fullmatch(k, key)]
        if len(matching) > 1:
            raise ValueError(f"Path '{key}' matches multiple dtype policy specification keys: {matching}.")
        return self._policies[matching[0]] if matching else self.default_policy

    def __setitem__(self, key: str, policy: DTypePolicy) -> None:
        if key in self._policies:
            raise ValueError(
                f"{key} already exists in the DTypePolicyMap with value {self._policies[key]}. Please make "
                "sure to not use duplicated keys."
            )
        if not isinstance(policy, DTypePolicy):
            raise ValueError(
                f"{policy} has type {type(policy)}. It should be a `DTypePolicy`: use `dtype_policies.get`"
            )
        self._policies[key] = policy

    def __delitem__(self, key: str) -> None:
        del self._policies[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._policies)

    def __len__(self) -> int:
        return len(self._policies)

    def __contains__(self, key: object) -> bool:
        return key in self._policies

    def get_config(self) -> dict[str, Any]:
        policies = {key: serialize(policy) for key, policy in self._policies.items()}
        return {"default_policy": self._default and serialize(self._default), "policy_map": policies}

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<DTypePolicyMap {self._policies}, default {self.default_policy}>"


def get(identifier: Any = None) -> DTypePolicy:
    """The policy that a `dtype` argument means.

    Args:
        identifier: None for the default (`config.dtype_policy()`), a policy, a name, a NumPy dtype or
            type, or a config as `serialize` writes it.

    Raises:
        ValueError: It means no dtype, or a mixed policy.

    Example:
        >>> get("float64").compute_dtype
        'float64'
        >>> import numpy as np
        >>> get(np.float32)
        <DTypePolicy "float32">
    """
    if identifier is None:
        return config.chosen_dtype_policy() or DTypePolicy(config.floatx())
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        return DTypePolicy(identifier)
    name = getattr(identifier, "__name__", None) or getattr(identifier, "name", None)
    if name not in _NAMES and isinstance(identifier, type) and issubclass(identifier, (bool, int, float)):
        name = np.dtype(identifier).name
    if not isinstance(name, str):
        raise ValueError(
            "Cannot interpret `dtype` argument. Expected a string or an instance of DTypePolicy. "
            f"Received: dtype={identifier}"
        )
    return DTypePolicy(name)


def serialize(policy: DTypePolicy) -> dict[str, Any]:
    """The policy as a config that `get` reads.

    Example:
        >>> serialize(DTypePolicy("float64"))["config"]
        {'name': 'float64'}
    """
    return {
        "module": "keras",
        "class_name": type(policy).__name__,
        "config": policy.get_config(),
        "registered_name": None,
    }


def deserialize(config: dict[str, Any], custom_objects: dict[str, type] | None = None) -> DTypePolicy:
    """The policy of a config as `serialize` writes it.

    Args:
        config: The config.
        custom_objects: Classes of your own by name.

    Raises:
        ValueError: The class is not known.

    Example:
        >>> deserialize(serialize(DTypePolicy("float64")))
        <DTypePolicy "float64">
    """
    known: dict[str, type] = {
        "DTypePolicy": DTypePolicy,
        "FloatDTypePolicy": DTypePolicy,
        "DTypePolicyMap": DTypePolicyMap,
        **(custom_objects or {}),
    }
    name = config.get("class_name")
    if name not in known:
        raise ValueError(f"Unknown dtype policy: {name!r}. Known are {sorted(known)}")
    return known[name].from_config(config["config"])  # type: ignore[attr-defined,no-any-return]
