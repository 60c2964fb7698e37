"""What must be the same in two processes for one to go on where the other stopped, and what differs."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from lumbre.optimizers.optimizer import Optimizer

# What a config says of the beginning only: where a run goes on, the values come from the checkpoint.
_OF_THE_BEGINNING = ("name", "seed")


def describe(model: Any, feed: Any) -> dict[str, Any]:
    """What a run is: its model, loss, metrics, optimizers and data, as plain values.

    Names are left out, since automatic ones count up in a process; so are seeds and initializers.
    """
    layers = model._flatten_layers()
    places = {layer.name: f"layer {i}" for i, layer in enumerate(layers)}
    compiled = model._compile_config
    return {
        # What is owned comes first: a difference is named by the layer that has it, not by the model.
        "layers": [_object(layer, places) for layer in reversed(layers)],
        "loss": _plain(compiled.get("loss"), places),
        "loss_weights": _plain(compiled.get("loss_weights"), places),
        "metrics": _plain([compiled.get("metrics"), compiled.get("weighted_metrics")], places),
        "optimizers": [_object(optimizer, places) for optimizer in optimizers_of(model)],
        "data": _plain(feed.describe(), {}),
    }


def optimizers_of(model: Any) -> list[Optimizer]:
    """The optimizer of the model, and those in attributes that a training step of its own may use."""
    found = {id(o): o for o in (model.optimizer, *vars(model).values()) if isinstance(o, Optimizer)}
    return list(found.values())


def difference(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """The first difference between two descriptions, in words; None if there is none."""
    for part, what in (("layers", "layer"), ("optimizers", "optimizer")):
        found = _in_objects(what, before[part], now[part])
        if found is not None:
            return found
    for part, what in (("loss", "loss"), ("loss_weights", "loss_weights"), ("metrics", "metrics")):
        found = _in_values(what, before[part], now[part])
        if found is not None:
            return found
    return _in_values("data", before["data"], now["data"])


def _in_objects(what: str, before: list[Any], now: list[Any]) -> str | None:
    if len(before) != len(now):
        kinds, kinds_now = (", ".join(kind for kind, *_ in reversed(objects)) for objects in (before, now))
        return f"there are {len(before)} {what}s in the checkpoint ({kinds}) and {len(now)} now ({kinds_now})"
    for (kind, _, config), (kind_now, name, config_now) in zip(before, now, strict=True):
        if kind != kind_now:
            return f"the {what} '{name}' is of the class {kind} in the checkpoint and {kind_now} now"
        found = _in_values(f"the {what} '{name}' ({kind}), argument", config, config_now)
        if found is not None:
            return found
    return None


def _in_values(place: str, before: Any, now: Any) -> str | None:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in (*before, *(k for k in now if k not in before)):
            found = _in_values(f"{place} {key}", before.get(key), now.get(key))
            if found is not None:
                return found
        return None
    nested = isinstance(before, list) and any(isinstance(v, (dict, list)) for v in before)
    if nested and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        texts = (_in_values(f"{place}[{i}]", one, other) for i, (one, other) in pairs)
        return next((text for text in texts if text is not None), None)
    return None if before == now else f"{place}: {before!r} in the checkpoint, {now!r} now"


def _object(thing: Any, places: dict[str, str]) -> list[Any]:
    """The class, the name, which is for messages only, and the config."""
    return [type(thing).__name__, thing.name, _config(thing, places)]


def _config(thing: Any, places: dict[str, str]) -> Any:
    """The config of a layer or an optimizer; None where its class offers none."""
    try:
        config = thing.get_config()
    except Exception:  # a class of the user's own, which need not have one
        return None
    return _plain(config, places)


def _plain(value: Any, places: dict[str, str]) -> Any:
    """A config as values that survive JSON, without what may differ between two processes."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return places.get(value, value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if not _is_of_the_beginning(k)}
        return {places.get(str(k), str(k)): _plain(v, places) for k, v in kept.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v, places) for v in value]
    if hasattr(value, "get_config"):
        return [type(value).__name__, _config(value, places)]
    return getattr(value, "__name__", type(value).__name__)


def _is_of_the_beginning(key: Any) -> bool:
    return key in _OF_THE_BEGINNING or str(key).endswith("_initializer")
