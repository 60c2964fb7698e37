"""The arguments of `compile` as plain values, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lumbre import losses, metrics, optimizers

_FAMILIES: dict[str, Any] = {
    "optimizer": optimizers,
    "loss": losses,
    "metrics": metrics,
    "weighted_metrics": metrics,
}


def serialized(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with configs in the places of optimizers, losses and metrics.

    Names stay names; a function of the user's own is written as its name.
    """
    return {name: _walk(value, _leaf(name)) for name, value in arguments.items()}


def deserialized(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that `serialized` wrote, with new objects.

    Raises:
        ValueError: A class is not known.
    """
    return {name: _read(name, value) for name, value in config.items()}


def _leaf(name: str) -> Callable[[Any], Any]:
    def write(value: Any) -> Any:
        plain = value is None or isinstance(value, (bool, int, float, str))
        return value if plain or name not in _FAMILIES else _FAMILIES[name].serialize(value)

    return write


def _walk(value: Any, leaf: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _walk(member, leaf) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_walk(member, leaf) for member in value]
    return leaf(value)


def _read(name: str, value: Any) -> Any:
    if isinstance(value, Mapping) and "class_name" in value and "config" in value:
        return _FAMILIES[name].deserialize(value)
    if isinstance(value, Mapping):
        return {key: _read(name, member) for key, member in value.items()}
    return [_read(name, member) for member in value] if isinstance(value, (list, tuple)) else value
