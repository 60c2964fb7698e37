"""Which dtype a layer keeps its weights in, and which it computes in."""

from __future__ import annotations

from typing import Any

from lumbre import config

_FLOATS = ("float16", "bfloat16", "float32", "float64")


class DTypePolicy:
    """A layer's pair of dtypes.

    Args:
        name: A dtype, used for both, or "mixed_float16" or "mixed_bfloat16": weights in float32,
            computation in the half-width type.

    Raises:
        ValueError: The name is neither.

    Example:
        >>> DTypePolicy("mixed_bfloat16").compute_dtype
        'bfloat16'
    """

    def __init__(self, name: str = "float32") -> None:
        if name in ("mixed_float16", "mixed_bfloat16"):
            self.compute_dtype, self.variable_dtype = name.removeprefix("mixed_"), "float32"
        elif name in (*_FLOATS, "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"):
            self.compute_dtype = self.variable_dtype = name
        else:
            raise ValueError(
                f"Cannot convert '{name}' to a mixed precision DTypePolicy. Valid policies include "
                "'mixed_float16', 'mixed_bfloat16', and the name of any float dtype such as 'float32'."
            )
        self.name = name

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


def get(identifier: Any = None) -> DTypePolicy:
    """The policy that a `dtype` argument means.

    Args:
        identifier: None for the default (`config.dtype_policy()`), a policy, a name, a NumPy dtype or
            type, or a config as `serialize` writes it.
    """
    if identifier is None:
        return config.chosen_dtype_policy() or DTypePolicy(config.floatx())
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return DTypePolicy.from_config(identifier["config"])
    if isinstance(identifier, str):
        return DTypePolicy(identifier)
    return DTypePolicy(str(getattr(identifier, "__name__", None) or getattr(identifier, "name", identifier)))


def serialize(policy: DTypePolicy) -> dict[str, Any]:
    """The policy as a config that `get` reads."""
    return {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": policy.get_config(),
        "registered_name": None,
    }
