"""Layers to configs and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumbre.layers.layer import Layer

_classes: dict[str, type] = {}


def register(*classes: type) -> None:
    """Makes classes known to `deserialize` by their names."""
    _classes.update({c.__name__: c for c in classes})


def serialize(layer: Any) -> dict[str, Any]:
    """A layer as a dict that `deserialize` reads: its class and its config, without weights.

    Example:
        >>> import lumbre
        >>> lumbre.layers.serialize(lumbre.layers.Flatten())["class_name"]
        'Flatten'
    """
    kind = type(layer)
    known = _classes.get(kind.__name__) is kind
    config: dict[str, Any] = {
        "module": "keras.layers" if known else kind.__module__,
        "class_name": kind.__name__,
        "config": layer.get_config(),
        "registered_name": None if known else kind.__name__,
    }
    if "Functional" in (c.__name__ for c in kind.__mro__):
        config["module"] = "keras.src.models.functional"
    elif kind.__name__ == "Sequential":
        config["module"] = "keras"
    build_config = layer.get_build_config() if isinstance(layer, Layer) else None
    if build_config is not None:
        config["build_config"] = build_config
    return config


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, type] | None = None) -> Any:
    """A new layer from what `serialize` wrote, built as the old one was.

    Args:
        config: The dict.
        custom_objects: Classes of your own by name.

    Raises:
        ValueError: The class is not known.

    Example:
        >>> import lumbre
        >>> config = lumbre.layers.serialize(lumbre.layers.Dense(3))
        >>> lumbre.layers.deserialize(config).units
        3
    """
    name = config["class_name"]
    kind = (custom_objects or {}).get(name) or _classes.get(name)
    if kind is None:
        raise ValueError(
            f"Unknown layer: '{name}'. Please ensure you are using a class of `lumbre.layers`, or pass your "
            "own class in `custom_objects`."
        )
    inner = dict(config["config"])
    if custom_objects and getattr(kind, "_holds_configs", False):
        layer = kind.from_config(inner, custom_objects=custom_objects)  # type: ignore[attr-defined]
    else:
        layer = kind.from_config(inner)  # type: ignore[attr-defined]
    build_config = config.get("build_config")
    if build_config:
        layer.build_from_config(build_config)
    return layer
