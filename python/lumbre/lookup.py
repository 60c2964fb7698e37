"""From a name, a class, a config or the object itself to the object: what every `get()` does.

Keras accepts activations, initializers, losses and the rest in any of these forms. Each family
keeps a `Lookup` of its own; the functions `get`, `serialize` and `deserialize` of its module are
the lookup's methods.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

_used: Counter[str] = Counter()


def snake_case(name: str) -> str:
    """A class name as Keras writes it in the names of objects: `Conv2D` is `conv2d`.

    Example:
        >>> snake_case("MeanSquaredError"), snake_case("ReLU"), snake_case("KLDivergence")
        ('mean_squared_error', 're_lu', 'kl_divergence')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def auto_name(prefix: str) -> str:
    """A name that no other call of this process got: `adam`, `adam_1`, `adam_2`, …"""
    prefix = snake_case(prefix)
    count = _used[prefix]
    _used[prefix] += 1
    return f"{prefix}_{count}" if count else prefix


def reset_names() -> None:
    """Starts `auto_name` again from the beginning."""
    _used.clear()


class Lookup:
    """The members of one family by name.

    Args:
        kind: What the family is called in an error, as Keras calls it ("loss", "metric", …).
        module: The family's public module, which a serialized object names.
        objects: Classes, found by their own name and by its snake_case form, and functions.
        aliases: Further names.
        bases: Classes whose instances are members although they cannot be called.
        callables: Whether any callable is a member, and a class stands for an instance of it.
        ignore_case: Whether names are compared without regard to case.
    """

    def __init__(
        self,
        kind: str,
        module: str,
        objects: Iterable[Any],
        aliases: Mapping[str, Any] | None = None,
        bases: tuple[type, ...] = (),
        callables: bool = True,
        ignore_case: bool = False,
    ) -> None:
        self.kind = kind
        self.module = module
        self.bases = bases
        self.callables = callables
        self.ignore_case = ignore_case
        self.objects: dict[str, Any] = {}
        members = list(objects)
        for o in members:
            self.objects[self._key(o.__name__)] = o
        for o in members:
            # A function keeps its name against the snake_case form of a class.
            self.objects.setdefault(self._key(snake_case(o.__name__)), o)
        for name, o in (aliases or {}).items():
            self.objects[self._key(name)] = o

    def _key(self, name: str) -> str:
        return name.lower() if self.ignore_case else name

    def get(self, identifier: Any) -> Any:
        """The object that an identifier means: None stays None, a class becomes an instance.

        Raises:
            ValueError: The identifier is none of the forms, or a name that nothing here has.
        """
        if identifier is None:
            return None
        if isinstance(identifier, str):
            return self._instance(self.find(identifier))
        if isinstance(identifier, dict):
            return self.deserialize(identifier)
        if isinstance(identifier, self.bases):
            return identifier
        if self.callables and callable(identifier):
            return self._instance(identifier)
        raise self.error(identifier)

    def find(self, name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The class or function of that name."""
        if custom_objects and name in custom_objects:
            return custom_objects[name]
        try:
            return self.objects[self._key(name)]
        except KeyError:
            raise self.error(name) from None

    def error(self, identifier: Any) -> ValueError:
        """The error for an identifier that means nothing here, with the nearest name as a hint."""
        text = f"Could not interpret {self.kind} identifier: {identifier}"
        if isinstance(identifier, str):
            near = difflib.get_close_matches(self._key(identifier), self.objects, n=1)
            text += f". Did you mean '{near[0]}'?" if near else ""
        return ValueError(text)

    def serialize(self, obj: Any) -> Any:
        """An object as a config that `deserialize` reads: a dict, or a function's name."""
        if obj is None:
            return None
        if not hasattr(obj, "get_config"):
            name = getattr(obj, "__name__", None)
            if name is None:
                raise ValueError(f"a {self.kind} without `get_config()` cannot be serialized: {obj}")
            return name
        return {
            "module": self.module,
            "class_name": type(obj).__name__,
            "config": obj.get_config(),
            "registered_name": None,
        }

    def deserialize(self, config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The object of a config: a dict with `class_name` and `config`, or a name."""
        if isinstance(config, str):
            return self._instance(self.find(config, custom_objects))
        if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
            raise self.error(config)
        name, inner = config["class_name"], config.get("config")
        if name == "function" and isinstance(inner, str):
            return self.find(inner, custom_objects)
        try:
            found = self.find(name, custom_objects)
        except ValueError:
            raise self.error(config) from None
        if not inspect.isclass(found):
            return found
        make = getattr(found, "from_config", None)
        if make is None:
            return found(**(inner or {}))
        if custom_objects and "custom_objects" in inspect.signature(make).parameters:
            return make(inner or {}, custom_objects=custom_objects)
        return make(inner or {})

    @staticmethod
    def _instance(found: Any) -> Any:
        return found() if inspect.isclass(found) else found
