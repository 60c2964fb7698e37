"""Whole models and weights in `.h5` files, the form from before `.keras`, as Keras 2 and 3 write them.

The model's config is JSON in the attribute `model_config`, how it was compiled in `training_config`. Weights
are in `model_weights/<layer's name>`, those of training before the others, and go to the layers that have
weights in their order, whatever these are called.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

from lumbre import losses, metrics, optimizers
from lumbre.saving import strict_json
from lumbre.saving.atomic import replacing
from lumbre.saving.errors import FileFormatError, shown
from lumbre.saving.h5 import Dataset, Group, Source, open_h5
from lumbre.saving.keras2 import upgraded
from lumbre.saving.keras_file import LAYOUT, explained, h5py_for, model_of
from lumbre.saving.keras_layout import own_variables, put
from lumbre.serialization import serialize_keras_object
from lumbre.tensor import Variable

_TOP = "top_level_model_weights"
_MOST_IN_ATTRIBUTE = 60_000

# ------------------------------------------------------------------------------------------- reading


def load_model(path: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True) -> Any:
    """Reads a whole model from an `.h5` file.

    Args:
        path: The file.
        custom_objects: Classes and functions of your own, by name.
        compile: Whether the model is compiled as it was.
        safe_mode: Whether code in the file is refused.

    Raises:
        FileFormatError: The file is not what it should be: the message says where.
        ValueError: A class is not known, or the weights do not fit.
        OSError: It cannot be read.
    """
    with open(path, "rb") as file:
        root = open_h5(Source(file, path))
        config = read_json(root, "model_config", path)
        if config is None:
            raise FileFormatError(
                path,
                "there is no model in it (no attribute 'model_config'): use `load_weights` for weights alone",
            )
        what = "the attribute 'model_config'"
        model = model_of(upgraded(config), path, root.nbytes, custom_objects, safe_mode, what)
        _load(model, _weights(root), path, False, False)
        training = read_json(root, "training_config", path) if compile else None
        if training is not None:
            with explained(path, "the attribute 'training_config'"):
                _compile(model, training, custom_objects)
            _load_optimizer(model, root, path)
    return model


def load_weights(model: Any, path: Any, skip_mismatch: bool = False, *, by_name: bool | None = None) -> None:
    """Sets the weights of a model from an `.h5` file.

    Args:
        model: The model.
        path: The file.
        skip_mismatch: Whether weights that do not fit are left as they are, with a warning.
        by_name: Whether layers get the weights of those of their names, and others none.

    Raises:
        FileFormatError: The file is not what it should be: the message says where.
        ValueError: The weights do not fit the model; nothing has changed.
        OSError: It cannot be read.
    """
    with open(path, "rb") as file:
        _load(model, _weights(open_h5(Source(file, path))), path, skip_mismatch, bool(by_name))


def _weights(root: Group) -> Group:
    if root.attribute("layer_names") is None and "model_weights" in root:
        return root.find("model_weights") or root
    return root


def read_json(root: Group, name: str, path: Any) -> Any:
    """The object in an attribute with JSON; None where there is none.

    Raises:
        FileFormatError: It is not an object.
    """
    text = root.attribute(name)
    if text is None:
        return None
    config = strict_json.parse(str(text).encode(), path, f"the attribute '{name}'")
    if not isinstance(config, dict):
        raise FileFormatError(path, f"the attribute '{name}' is not an object")
    return config


def _names(group: Group, attribute: str) -> list[str]:
    """A list of texts, which is in several attributes where it is long."""
    found = group.attribute(attribute)
    parts = [found] if found is not None else list(_parts(group, attribute))
    names = [name for part in parts for name in part]
    if not all(isinstance(name, str) for name in names):
        raise group.error(f"has an attribute '{attribute}' that is not a list of texts")
    return names


def _parts(group: Group, attribute: str) -> Iterator[Any]:
    number = 0
    while (part := group.attribute(f"{attribute}{number}")) is not None:
        yield part
        number += 1


def _legacy_weights(layer: Any) -> list[Variable]:
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _saved(group: Group, name: str) -> list[Dataset]:
    """The data sets of a layer, in its order."""
    found = group.find(name)
    if found is None:
        raise group.error(f"lists the layer {name!r} and does not have it")
    return _listed(found)


def _listed(group: Group) -> list[Dataset]:
    try:
        return [group.dataset(name) for name in _names(group, "weight_names")]
    except KeyError as error:
        raise group.error(f"lists the weight {error} and does not have it") from None


def _load(model: Any, group: Group, path: Any, skip_mismatch: bool, by_name: bool) -> None:
    saved = {name: _saved(group, name) for name in _names(group, "layer_names")}
    if not saved and not group.attribute("keras_version"):
        raise FileFormatError(path, "there are no weights of layers in it (no attribute 'layer_names')")
    pairs = []
    if by_name:
        pairs = [
            (layer, _legacy_weights(layer), saved[layer.name])
            for layer in model.layers
            if layer.name in saved
        ]
    else:
        own = [(layer, weights) for layer in model.layers if (weights := _legacy_weights(layer))]
        full = [data for data in saved.values() if data]
        if len(own) != len(full):
            raise ValueError(
                f"{shown(path)}: the model has {len(own)} layers with weights, and the file has {len(full)}: "
                f"{[name for name, data in saved.items() if data]}"
            )
        pairs = [(layer, weights, data) for (layer, weights), data in zip(own, full, strict=True)]
    top = group.find(_TOP)
    if top is not None and (data := _listed(top)):
        kept = {id(w) for w in model.weights}
        pairs.append((model, [w for w in own_variables(model) if id(w) in kept], data))
    _assign(pairs, path, skip_mismatch)


def _assign(pairs: list[tuple[Any, list[Variable], list[Dataset]]], path: Any, skip_mismatch: bool) -> None:
    """Sets Variables after all have been compared with what is there for them."""
    fitting: list[tuple[Variable, Dataset]] = []
    for layer, own, data in pairs:
        expected = [tuple(v.shape) for v in own]
        found = [d.shape for d in data]
        if expected == found:
            for d in data:
                d.verify()
            fitting += zip(own, data, strict=True)
            continue
        text = (
            f"{shown(path)}: the weights of layer '{layer.name}' have shapes {expected}, in the file {found}"
        )
        if not skip_mismatch:
            raise ValueError(f"{text}. Nothing was changed.")
        warnings.warn(f"{text}: they are left as they are", stacklevel=5)
    for v, d in fitting:
        put(v, d.read())


# Compiling


def _compile(model: Any, training: dict[str, Any], custom_objects: Any) -> None:
    optimizer = dict(training.get("optimizer_config") or {"class_name": "rmsprop", "config": {}})
    known = {"decay", "jit_compile", "is_legacy_optimizer"}  # of Keras 2
    optimizer["config"] = {k: v for k, v in optimizer["config"].items() if k not in known}
    model.compile(
        optimizer=optimizers.deserialize(optimizer, custom_objects),
        loss=_objects(losses, training.get("loss"), custom_objects),
        metrics=_objects(metrics, training.get("metrics"), custom_objects),
        weighted_metrics=_objects(metrics, training.get("weighted_metrics"), custom_objects),
        loss_weights=training.get("loss_weights"),
    )


def _objects(family: Any, config: Any, custom_objects: Any) -> Any:
    """Losses or metrics of configs in a structure; names stay names."""
    if isinstance(config, dict) and "class_name" in config:
        inner = config.get("config")
        if config["class_name"] in ("MeanMetricWrapper", "LossFunctionWrapper") and isinstance(inner, dict):
            return inner.get("fn") if isinstance(inner.get("fn"), str) else inner.get("name")
        return family.deserialize(config, custom_objects)
    if isinstance(config, dict):
        return {key: _objects(family, part, custom_objects) for key, part in config.items()}
    if isinstance(config, list):
        return [_objects(family, part, custom_objects) for part in config]
    return config


def _load_optimizer(model: Any, root: Group, path: Any) -> None:
    group = root.find("optimizer_weights")
    if group is None:
        return
    version = str(_weights(root).attribute("keras_version") or root.attribute("keras_version") or "1")
    data = _listed(group)
    model.optimizer.build(model.trainable_variables)
    own = model.optimizer.variables
    if version.startswith("3") and [d.shape for d in data] == [v.shape for v in own]:
        _assign([(model.optimizer, own, data)], path, False)
    elif data:
        warnings.warn(
            f"{shown(path)}: the state of the optimizer, as Keras {version} keeps it, does not fit "
            f"{type(model.optimizer).__name__}: it starts anew",
            stacklevel=4,
        )


# ------------------------------------------------------------------------------------------- writing


def save_model(model: Any, path: Any, include_optimizer: bool = True) -> None:
    """Writes a whole model as an `.h5` file, which Keras reads.

    Args:
        model: The model.
        path: The file.
        include_optimizer: Whether to write the optimizer, and how the model was compiled.

    Raises:
        ImportError: h5py is not installed.
        OSError: It cannot be written; what was there before is unchanged.
    """
    h5py = h5py_for(path)
    config = serialize_keras_object(model)
    compiled = config.pop("compile_config", None)
    with replacing(path) as file, h5py.File(file, "w") as h5:
        h5.attrs["keras_version"], h5.attrs["backend"] = LAYOUT, "jax"
        h5.attrs["model_config"] = json.dumps(
            {"class_name": config["class_name"], "config": config["config"]}
        )
        _write_weights(h5.create_group("model_weights"), model)
        if compiled and include_optimizer:
            training = {k: v for k, v in compiled.items() if k != "optimizer"}
            h5.attrs["training_config"] = json.dumps({**training, "optimizer_config": compiled["optimizer"]})
            if model.optimizer.built:
                _write(h5.create_group("optimizer_weights"), model.optimizer.variables)


def _write_weights(group: Any, model: Any) -> None:
    _write_names(group, "layer_names", [layer.name for layer in model.layers])
    group.attrs["keras_version"], group.attrs["backend"] = LAYOUT, "jax"
    for layer in sorted(model.layers, key=lambda layer: layer.name):
        _write(group.create_group(layer.name), _legacy_weights(layer))
    kept = {id(w) for w in model.weights}
    _write(group.create_group(_TOP), [w for w in own_variables(model) if id(w) in kept])


def _write(group: Any, variables: list[Variable]) -> None:
    names: list[str] = []
    for v in variables:
        names.append(v.path if v.path not in names else f"{v.path}_{len(names)}")
        group.create_dataset(names[-1], data=v.numpy())
    _write_names(group, "weight_names", names)


def _write_names(group: Any, attribute: str, names: list[str]) -> None:
    """Writes a list of texts, into several attributes where it is long."""
    if 16 * len(names) < _MOST_IN_ATTRIBUTE:
        group.attrs[attribute] = names
        return
    step = _MOST_IN_ATTRIBUTE // 16
    for number, start in enumerate(range(0, len(names), step)):
        group.attrs[f"{attribute}{number}"] = names[start : start + step]
