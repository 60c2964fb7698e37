"""Which class or function a name in a config means: the ones here, and those that users registered.

A config names classes as Keras does, by a module and a class name. Neither is ever imported: names are looked
up in tables, which the families of layers, losses and so on fill in with `declare` when they are imported,
and users with `register_keras_serializable`.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

_T = TypeVar("_T")

_registered: dict[str, Any] = {}
_names: dict[Any, str] = {}
_families: dict[str, dict[str, Any]] = {}  # module without "keras." -> class name -> class
_public: dict[Any, tuple[str, str, str | None]] = {}  # class -> module, class name, registered name


class _Scope(threading.local):
    objects: Mapping[str, Any] = {}


_scope = _Scope()

# ------------------------------------------------------------------------------ classes of users


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[_T], _T]:
    """A decorator that makes a class or function known to configs and files, as `package>name`.

    Args:
        package: Whose it is.
        name: What it is called; by default as in Python.

    Raises:
        ValueError: A class has no `get_config`.

    Source: `keras.saving.register_keras_serializable`.

    Example:
        >>> import lumbre
        >>> @lumbre.saving.register_keras_serializable("examples")
        ... class Twice(lumbre.layers.Layer):
        ...     def call(self, inputs):
        ...         return 2 * inputs
        >>> lumbre.saving.get_registered_name(Twice)
        'examples>Twice'
    """

    def register(obj: _T) -> _T:
        if inspect.isclass(obj) and not hasattr(obj, "get_config"):
            raise ValueError("Cannot register a class that does not have a get_config() method.")
        key = f"{package}>{name if name is not None else obj.__name__}"  # type: ignore[attr-defined]
        _registered[key] = obj
        _names[obj] = key
        return obj

    return register


def get_registered_name(obj: Any) -> str:
    """The name that a class or function is registered under; its own name where it is not.

    Source: `keras.saving.get_registered_name`.

    Example:
        >>> import lumbre
        >>> @lumbre.saving.register_keras_serializable("mine", name="Halving")
        ... def halve(x):
        ...     return x / 2
        >>> lumbre.saving.get_registered_name(halve)
        'mine>Halving'
    """
    if inspect.isclass(obj):
        obj = written_class(obj)
    try:
        return _names[obj]
    except (KeyError, TypeError):
        name: str = obj.__name__
        return name


def written_class(kind: type) -> type:
    """The class that configs name for objects of a class: itself, or the user's that it was made from."""
    written: type = kind.__dict__.get("_written_as", kind)
    return written


def get_registered_object(
    name: str,
    custom_objects: Mapping[str, Any] | None = None,
    module_objects: Mapping[str, Any] | None = None,
) -> Any:
    """The class or function of that name, or None: of a scope, registered, or in one of the mappings.

    Args:
        name: The name, with its package where it is registered: "package>name".
        custom_objects: Where to look after that, by name.
        module_objects: Where to look last, by name.

    Source: `keras.saving.get_registered_object`.

    Example:
        >>> import lumbre
        >>> @lumbre.saving.register_keras_serializable("mine")
        ... def third(x):
        ...     return x / 3
        >>> lumbre.saving.get_registered_object("mine>third") is third
        True
        >>> lumbre.saving.get_registered_object("third") is None
        True
    """
    for objects in (_scope.objects, _registered, custom_objects or {}, module_objects or {}):
        if name in objects:
            return objects[name]
    return None


def get_custom_objects() -> dict[str, Any]:
    """The registered classes and functions by name; what is put into this dict is registered, too.

    Source: `keras.saving.get_custom_objects`.

    Example:
        >>> import lumbre
        >>> lumbre.saving.get_custom_objects()["double"] = lambda x: 2 * x
        >>> lumbre.activations.get("double")(4)
        8
        >>> del lumbre.saving.get_custom_objects()["double"]
    """
    return _registered


class CustomObjectScope:
    """Within it, configs and files may name these classes and functions.

    Args:
        custom_objects: The objects by name. Those of a scope around it stay known.

    Source: `keras.saving.CustomObjectScope`.

    Example:
        >>> import lumbre
        >>> class Doubled(lumbre.layers.Dense):
        ...     pass
        >>> config = lumbre.layers.serialize(Doubled(3))
        >>> with lumbre.saving.custom_object_scope({"Doubled": Doubled}):
        ...     lumbre.layers.deserialize(config).units
        3
    """

    def __init__(self, custom_objects: Mapping[str, Any] | None) -> None:
        self.custom_objects = dict(custom_objects or {})
        self._before: Mapping[str, Any] = {}

    def __enter__(self) -> Self:
        self._before = _scope.objects
        _scope.objects = {**_scope.objects, **self.custom_objects}
        return self

    def __exit__(self, *error: Any) -> None:
        _scope.objects = self._before


custom_object_scope = CustomObjectScope

# ---------------------------------------------------------------------------------- classes of ours


def declare(module: str, objects: Mapping[str, Any]) -> None:
    """Makes classes and functions known that are part of Keras's API, or of ours beside it.

    Args:
        module: The module that configs name: "keras.layers".
        objects: The objects by the names that configs use.
    """
    _families.setdefault(module.removeprefix("keras").removeprefix("."), {}).update(objects)
    for name, obj in objects.items():
        if inspect.isclass(obj):
            _public.setdefault(obj, (module, name, None))


def declare_as(obj: type, module: str, name: str, registered_name: str | None) -> None:
    """Says how configs name a class, where it is not by the module of its family."""
    _public[obj] = (module, name, registered_name)


def public_name(kind: type) -> tuple[str, str, str | None] | None:
    """Module, class name and registered name by which configs name a class of ours, or None."""
    return _public.get(kind)


def built_in(module: Any, name: Any) -> Any:
    """The class or function of ours that a config names, or None.

    Args:
        module: The module of a config: public (`keras.layers`) or where Keras's source has it
            (`keras.src.layers.core.dense`).
        name: The class name.
    """
    parts = module.split(".") if isinstance(module, str) else []
    if not isinstance(name, str) or not parts or parts[0] not in ("keras", "lumbre"):
        return None
    parts = parts[1:]
    if parts[:1] == ["src"]:
        parts = parts[1:]
    for length in range(len(parts), -1, -1):
        family = _families.get(".".join(parts[:length]))
        if family is not None and name in family:
            return family[name]
    return None


def built_in_function(name: Any) -> Any:
    """The function of ours of that name, of whichever family, or None."""
    for family in ("activations", "losses", "metrics", "initializers", "regularizers", "constraints"):
        found = _families.get(family, {}).get(name) if isinstance(name, str) else None
        if inspect.isfunction(found):
            return found
    return None


def names_of(family: str) -> list[str]:
    """The names that are declared for one family: "layers"."""
    return list(_families.get(family, ()))
