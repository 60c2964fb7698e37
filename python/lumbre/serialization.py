"""Objects to configs and back, in Keras's form: dicts, lists and plain values that JSON can hold.

An object is `{"module", "class_name", "config", "registered_name"}`, with `build_config` and `compile_config`
where it has them. What a class is called, and which class a name means, is in `registration.py`. No code is
ever read from a config: a lambda or a function's bytecode is refused whatever `safe_mode` says.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from lumbre import registration
from lumbre.registration import CustomObjectScope
from lumbre.wording import short

_PLAIN = (str, int, float, bool, type(None))


class _Sharing(threading.local):
    configs: dict[int, tuple[Any, dict[str, Any]]] | None = (
        None  # by id: the object, to keep it, and its config
    )
    objects: dict[Any, Any] | None = None


_sharing = _Sharing()


@contextlib.contextmanager
def sharing() -> Iterator[None]:
    """Within it, an object that is met twice is one object again after it was read: `shared_object_id`."""
    before = (_sharing.configs, _sharing.objects)
    _sharing.configs, _sharing.objects = {}, {}
    try:
        yield
    finally:
        _sharing.configs, _sharing.objects = before


# ---------------------------------------------------------------------------------------------- to configs


def serialize_keras_object(obj: Any) -> Any:
    """An object as a config, which `deserialize_keras_object` makes an equal object of.

    Args:
        obj: A layer, loss, optimizer or anything else with `get_config`, a function, a plain value, or lists,
            tuples and dicts of such.

    Raises:
        TypeError: Something has no `get_config`.
        ValueError: Something is a lambda, which only its code could describe.

    Source: `keras.saving.serialize_keras_object`.

    Example:
        >>> import lumbre
        >>> config = lumbre.saving.serialize_keras_object(lumbre.losses.Huber(delta=2.0))
        >>> config["module"], config["class_name"], config["config"]["delta"]
        ('keras.losses', 'Huber', 2.0)
    """
    if type(obj) in _PLAIN:
        return obj
    if isinstance(obj, (list, tuple)):
        parts = [serialize_keras_object(part) for part in obj]
        return tuple(parts) if isinstance(obj, tuple) else parts
    if isinstance(obj, dict):
        return {key: serialize_keras_object(value) for key, value in obj.items()}
    special = _special(obj)
    if special is not None:
        return special
    if isinstance(obj, np.generic) or (isinstance(obj, np.ndarray) and obj.ndim == 0):
        return obj.item()
    if isinstance(obj, _PLAIN):
        return obj
    if isinstance(obj, types.FunctionType):
        return _function_config(obj)
    return _object_config(obj)


def _special(obj: Any) -> dict[str, Any] | None:
    """A value that JSON lacks, as a config with a name of its own; None for anything else."""
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode("utf-8")}}
    if isinstance(obj, slice):
        parts = {name: serialize_keras_object(getattr(obj, name)) for name in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": parts}
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(obj, np.ndarray) and obj.ndim > 0:
        return {"class_name": "__numpy__", "config": {"value": obj.tolist(), "dtype": obj.dtype.name}}
    if hasattr(obj, "_keras_history"):
        history = obj._keras_history
        config = {
            "shape": obj.shape,
            "dtype": obj.dtype,
            "keras_history": [history[0].name, *history[1:]] if history else None,
        }
        return {"class_name": "__keras_tensor__", "config": config}
    if hasattr(obj, "__dlpack__") and hasattr(obj, "numpy"):
        return {
            "class_name": "__tensor__",
            "config": {"value": obj.numpy().tolist(), "dtype": str(obj.dtype)},
        }
    return None


def _function_config(function: Any) -> dict[str, Any]:
    if function.__name__ == "<lambda>":
        raise ValueError(
            "a lambda cannot be written into a config or a file, which hold no code: define a function "
            "with a name, and register it with `@lumbre.saving.register_keras_serializable()`. "
            f"Received: {function} (line {function.__code__.co_firstlineno} of "
            f"{function.__code__.co_filename})"
        )
    return {
        "module": "builtins",
        "class_name": "function",
        "config": registration.get_registered_name(function),
        "registered_name": "function",
    }


def _object_config(obj: Any) -> dict[str, Any]:
    kind = registration.written_class(type(obj))
    if hasattr(obj, "get_config") and not inspect.isclass(obj):
        inner = obj.get_config()
        if not isinstance(inner, dict):
            raise TypeError(f"The `get_config()` method of {obj} should return a dict. It returned: {inner}")
        inner = serialize_keras_object(inner)
    elif hasattr(obj, "__name__"):
        inner = registration.get_registered_name(obj)
    else:
        raise TypeError(
            f"Cannot serialize object {obj} of type {kind}. To be serializable, a class must implement the "
            "`get_config()` method."
        )
    module = None if kind.__module__ == "__main__" else kind.__module__
    named = registration.public_name(kind) or (module, kind.__name__, registration.get_registered_name(kind))
    config = {"module": named[0], "class_name": named[1], "config": inner, "registered_name": named[2]}
    for what in ("build_config", "compile_config"):
        get = getattr(obj, f"get_{what}", None)
        part = get() if get is not None else None
        if part is not None:
            config[what] = serialize_keras_object(part)
    _note(obj, config)
    return config


def _note(obj: Any, config: dict[str, Any]) -> None:
    seen = _sharing.configs
    if seen is None:
        return
    if id(obj) in seen:
        first = seen[id(obj)][1]
        number = first.setdefault("shared_object_id", 1 + list(seen).index(id(obj)))
        config["shared_object_id"] = number
    else:
        seen[id(obj)] = (obj, config)


# -------------------------------------------------------------------------------------------- from configs


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """A new object from what `serialize_keras_object` returned.

    Args:
        config: The config, or lists and dicts of configs and plain values.
        custom_objects: Classes and functions of your own by name.
        safe_mode: Accepted as in Keras. Code in a config is never run, whatever it says.

    Raises:
        ValueError: A class or function is not known, or the config holds code.
        TypeError: The config is none, or does not fit the class.

    Source: `keras.saving.deserialize_keras_object`.

    Example:
        >>> import lumbre
        >>> config = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}}
        >>> lumbre.saving.deserialize_keras_object(config).units
        3
    """
    with CustomObjectScope(custom_objects):
        return _deserialize(config)


def _deserialize(config: Any) -> Any:
    if isinstance(config, str):
        found = registration.get_registered_object(config)
        return config if found is None else found
    if isinstance(config, (list, tuple)):
        return [_deserialize(part) for part in config]
    if isinstance(config, _PLAIN):
        return config
    if not isinstance(config, dict):
        raise TypeError(f"Could not parse config: {config}")
    if "class_name" not in config or "config" not in config:
        return {key: _deserialize(value) for key, value in config.items()}
    name, inner = config["class_name"], config["config"]
    if name in ("__lambda__", "__typespec__"):
        raise code_refused("a Python lambda")
    if name in SPECIAL:
        return SPECIAL[name](inner or {})
    if name == "function":
        return find_function(config)
    return instance(config, find_class(config))


def code_refused(what: str) -> ValueError:
    """The error for a config that holds code."""
    return ValueError(
        f"Requested the deserialization of {what}. Code from a config or a file is never run here, neither "
        "with `safe_mode=False` nor after `enable_unsafe_deserialization()`: it could do anything. "
        "Write a function with a name (`def`), register it with "
        "`@lumbre.saving.register_keras_serializable()` or pass it in `custom_objects`, and save again; or "
        "build the model in Python and read only its weights with `load_weights`"
    )


def _slice(config: Mapping[str, Any]) -> slice:
    return slice(*(_deserialize(config.get(part)) for part in ("start", "stop", "step")))


def _array(config: Mapping[str, Any]) -> np.ndarray:
    dtype = config["dtype"]
    return np.array(config["value"], "float32" if dtype == "bfloat16" else dtype)


SPECIAL: dict[str, Callable[[Any], Any]] = {
    "__bytes__": lambda config: config["value"].encode("utf-8"),
    "__slice__": _slice,
    "__ellipsis__": lambda config: Ellipsis,
    "__numpy__": _array,
    "__tensor__": _array,
}
"""Values that JSON lacks, by the names of their configs: what makes them again."""


def find_class(config: Mapping[str, Any], family: str | None = None) -> Any:
    """The class that a config names.

    Args:
        config: The config.
        family: The module in which a name without one is looked up, too: "keras.layers".

    Raises:
        ValueError: It is not known.
    """
    name, module = config["class_name"], config.get("module")
    registered = config.get("registered_name", name)
    found = registration.get_registered_object(registered) if isinstance(registered, str) else None
    if found is None:
        found = registration.built_in(module, name)
    if found is None and isinstance(name, str):
        found = registration.get_registered_object(name)
    if found is None and family is not None and (module is None or "registered_name" not in config):
        found = registration.built_in(family, name)
    if found is None:
        raise unknown("class", config)
    return found


def find_function(config: Mapping[str, Any]) -> Any:
    """The function that a config names.

    Raises:
        ValueError: It is not known.
    """
    name = config["config"]
    found = registration.get_registered_object(name) if isinstance(name, str) else None
    if found is None:
        found = registration.built_in(config.get("module"), name)
    if found is None:
        found = registration.built_in_function(name)
    if not callable(found):
        raise unknown("function", {**config, "class_name": name})
    return found


def unknown(kind: str, config: Mapping[str, Any]) -> ValueError:
    """The error for a class or function that no table has."""
    name, module = config["class_name"], config.get("module")
    text = f"Could not locate {kind} {short(name)}"
    if (
        isinstance(module, str)
        and module.partition(".")[0] in ("keras", "lumbre")
        and not config.get("registered_name")
    ):
        return ValueError(f"{text}: Lumbre has no {short(f'{module}.{name}')}.")
    return ValueError(
        f"{text} (module {short(module)}, registered as {short(config.get('registered_name'))}). Make "
        f"sure custom {'classes' if kind == 'class' else 'functions'} are decorated with "
        "`@lumbre.saving.register_keras_serializable()` and imported before, or pass "
        f"`custom_objects={{{short(name)}: ...}}`."
    )


def instance(config: Mapping[str, Any], found: Any) -> Any:
    """An object of a class from a config that names it, built and compiled as the config says.

    Raises:
        TypeError: The config does not fit the class.
        ValueError: A value in it is not valid.
    """
    inner = config["config"] if config["config"] is not None else {}
    number = config.get("shared_object_id")
    shared = _sharing.objects
    if shared is not None and number is not None and number in shared:
        return shared[number]
    if not inspect.isclass(found):
        return found
    kind: Any = found
    if not isinstance(inner, dict):
        raise TypeError(f"the config of {short(config['class_name'])} should be a dict, got {short(inner)}")
    if not hasattr(kind, "from_config"):
        raise TypeError(
            f"Unable to reconstruct an instance of '{config['class_name']}' because the class is missing a "
            "`from_config()` method."
        )
    made = kind.from_config(inner)
    build_config = config.get("build_config")
    if build_config and not getattr(made, "built", True):
        made.build_from_config(build_config)
    compile_config = config.get("compile_config")
    if compile_config and hasattr(made, "compile_from_config"):
        made.compile_from_config(compile_config)
    if shared is not None and number is not None:
        shared[number] = made
    return made
