"""From a name, a class, a config or the object itself to the object: what every `get()` does.

Keras accepts activations, initializers, losses and the rest in any of these forms. Each family
keeps a `Lookup` of its own; the functions `get`, `serialize` and `deserialize` of its module are
the lookup's methods.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, Self, TypeVar

from lumbre import registration, serialization

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
    return numbered(snake_case(prefix), _used)


def numbered(name: str, used: Counter[str]) -> str:
    """The name, with `_1`, `_2`, … where it was used before; counts the use."""
    count = used[name]
    used[name] += 1
    return f"{name}_{count}" if count else name


def get_uid(prefix: str = "") -> int:
    """How often this was asked for the prefix, with names that `auto_name` gave counted in.

    Example:
        >>> get_uid("example"), get_uid("example")
        (1, 2)
    """
    _used[prefix] += 1
    return _used[prefix]


def reset_names() -> None:
    """Starts `auto_name` again from the beginning."""
    _used.clear()


# Names of other libraries and older versions, which no spelling leads to.
_ELSEWHERE = {"lr": "learning_rate", "nb_epoch": "epochs", "n_epochs": "epochs", "init": "kernel_initializer"}


def did_you_mean(name: Any, known: Iterable[Any], cutoff: float = 0.6) -> str:
    """` Did you mean '...'?` with the nearest of the known names, or nothing below that likeness.

    Example:
        >>> did_you_mean("batchsize", ["epochs", "batch_size"]), did_you_mean("x", ["epochs"])
        (" Did you mean 'batch_size'?", '')
    """
    near = nearest(name, known, cutoff)
    return f" Did you mean '{near}'?" if near else ""


def nearest(name: Any, known: Iterable[Any], cutoff: float = 0.6) -> str | None:
    """The one of the known names that is most like a name; None below that likeness."""
    import difflib  # only mistakes need it

    names = [k for k in known if isinstance(k, str)]
    if not isinstance(name, str):
        return None
    if _ELSEWHERE.get(name) in names:
        return _ELSEWHERE[name]
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=cutoff)), None)


_FOREIGN = ("keras", "tensorflow", "tf_keras")


def foreign(value: Any) -> str:
    """What to say of an object or class of another library of Keras's names: nothing of any other.

    It looks the same in a script where one import line was forgotten, but computes with other tensors.

    Example:
        >>> foreign("adam")
        ''
    """
    made_of = inspect.getmro(value if inspect.isclass(value) else type(value))
    for part in (value, *made_of) if inspect.isfunction(value) else made_of:
        package = str(getattr(part, "__module__", None)).partition(".")[0]
        if package in _FOREIGN:
            return f" It belongs to the package '{package}': import it from `lumbre.keras`"
    return ""


def parameters(*functions: Callable[..., Any]) -> list[str]:
    """The names of the arguments that functions take, without `self`, `*args` and `**kwargs`."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = (inspect.signature(function).parameters.items() for function in functions)
    return [name for items in found for name, p in items if p.kind in named and name != "self"]


def unknown_options(options: Iterable[str], *functions: Callable[..., Any]) -> str:
    """The hints for options that none of the functions takes."""
    known = parameters(*functions)
    return "".join(did_you_mean(option, known) for option in options)


def _refuse_unknown(function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raises TypeError for an option that a function does not take, as Python does, with a hint."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & inspect.CO_VARKEYWORDS:
        return
    known = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
    for option in options:
        if option not in known:
            hint = did_you_mean(option, known) or f" It takes {', '.join(n for n in known if n != 'self')}."
            raise TypeError(f"{function.__qualname__}() got an unexpected keyword argument '{option}'.{hint}")


def users_level() -> int:
    """The `stacklevel` of the first caller outside of the package."""
    level, frame = 0, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("lumbre."):
        level, frame = level + 1, frame.f_back
    return level


class Gone:
    """An attribute that older versions of Keras have: reading or setting it says what to use instead.

    Args:
        instead: What to use.
    """

    def __init__(self, instead: str) -> None:
        self.instead = instead

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is not None and self.name in instance.__dict__:
            return instance.__dict__[self.name]
        raise AttributeError(f"'{owner.__name__}' object has no attribute '{self.name}': {self.instead}")

    def __set__(self, instance: Any, value: Any) -> None:
        if type(instance).__module__.startswith("lumbre."):
            self.__get__(instance, type(instance))
        instance.__dict__[self.name] = value  # a user's class may call what it has as it likes


class Options:
    """Base of classes whose constructor, given an unknown option, names the nearest one.

    Example:
        >>> import lumbre
        >>> try:
        ...     lumbre.losses.Huber(detla=2.0)
        ... except TypeError as error:
        ...     print(error)
        Huber.__init__() got an unexpected keyword argument 'detla'. Did you mean 'delta'?
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if cls.__init__ is object.__init__ and (args or kwargs):
            raise TypeError(f"{cls.__name__}() takes no arguments")
        if kwargs:
            _refuse_unknown(cls.__init__, kwargs)
        return super().__new__(cls)


_P = ParamSpec("_P")
_R = TypeVar("_R")


def options(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The function or method, which now names the nearest option when it is given an unknown one."""

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        _refuse_unknown(function, kwargs)
        return function(*args, **kwargs)

    return call


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
        by_name: Whether configs hold a function of the family as its name alone.
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
        by_name: bool = False,
    ) -> None:
        self.kind = kind
        self.module = module
        self.bases = bases
        self.callables = callables
        self.ignore_case = ignore_case
        self.by_name = by_name
        self.objects: dict[str, Any] = {}
        members = list(objects)
        for o in members:
            self.objects[self._key(o.__name__)] = o
        for o in members:
            # A function keeps its name against the snake_case form of a class.
            self.objects.setdefault(self._key(snake_case(o.__name__)), o)
        for name, o in (aliases or {}).items():
            self.objects[self._key(name)] = o
        registration.declare(module, {o.__name__: o for o in members})
        registration.declare(module, aliases or {})

    def _key(self, name: str) -> str:
        return name.lower() if self.ignore_case else name

    def get(self, identifier: Any) -> Any:
        """The object that an identifier means: None stays None, a class becomes an instance.

        Raises:
            ValueError: The identifier is none of the forms, or a name that nothing here has.

        Example:
            >>> import lumbre
            >>> lumbre.losses.get("mse").__name__
            'mean_squared_error'
            >>> lumbre.optimizers.get({"class_name": "SGD", "config": {"momentum": 0.9}}).momentum
            0.9
            >>> lumbre.metrics.get("AUC").name
            'auc'
        """
        if identifier is None:
            return None
        if isinstance(identifier, str):
            return self._instance(self.find(identifier))
        if isinstance(identifier, dict):
            return self.deserialize(identifier)
        if isinstance(identifier, self.bases):
            return identifier
        if foreign(identifier):
            raise self.error(identifier)
        if self.callables and callable(identifier):
            return self._instance(identifier)
        raise self.error(identifier)

    def find(self, name: str) -> Any:
        """The class or function of that name: of the user's, or of the family."""
        found = registration.get_registered_object(name)
        if found is not None:
            return found
        try:
            return self.objects[self._key(name)]
        except KeyError:
            raise self.error(name) from None

    def error(self, identifier: Any) -> ValueError:
        """The error for an identifier that means nothing here, with the nearest name as a hint."""
        text = f"Could not interpret {self.kind} identifier: {identifier}"
        if isinstance(identifier, str):
            hint = did_you_mean(self._key(identifier), self.objects)
        else:
            hint = foreign(identifier)
        return ValueError(f"{text}.{hint}" if hint else text)

    def serialize(self, obj: Any) -> Any:
        """An object as a config that `deserialize` reads: a dict, or the name of an activation.

        Raises:
            ValueError: It is a lambda, or has neither `get_config()` nor a name.

        Example:
            >>> import lumbre
            >>> config = lumbre.losses.serialize(lumbre.losses.Huber(delta=2.0))
            >>> config["class_name"], config["config"]["delta"]
            ('Huber', 2.0)
            >>> lumbre.activations.serialize(lumbre.activations.relu)
            'relu'
        """
        name = getattr(obj, "__name__", None)
        if self.by_name and inspect.isfunction(obj) and self.objects.get(str(name)) is obj:
            return name
        try:
            return serialization.serialize_keras_object(obj)
        except TypeError as error:
            raise ValueError(f"a {self.kind} cannot be serialized: {error}") from error

    def deserialize(
        self, config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
    ) -> Any:
        """The object of a config: a dict with `class_name` and `config`, or a name.

        Args:
            config: The config; None stays None.
            custom_objects: Classes and functions of your own by name.
            safe_mode: Accepted as in Keras; code in a config is never run.

        Raises:
            ValueError: It is neither, or names nothing that is known.

        Example:
            >>> import lumbre
            >>> config = lumbre.optimizers.serialize(lumbre.optimizers.Adam(beta_1=0.8))
            >>> lumbre.optimizers.deserialize(config).beta_1
            0.8
        """
        if config is None:
            return None
        with registration.CustomObjectScope(custom_objects):
            if isinstance(config, str):
                return self._instance(self.find(config))
            if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
                raise self.error(config)
            if config["class_name"] == "function":
                name = config.get("config")
                known = isinstance(name, str) and registration.get_registered_object(name) is None
                return (
                    self.objects.get(name)
                    if known and name in self.objects
                    else serialization.find_function(config)
                )
            found = self._find_class(config)
            return serialization.instance({"config": None, **config}, found)

    def _find_class(self, config: Mapping[str, Any]) -> Any:
        try:
            return serialization.find_class(config)
        except ValueError:
            ours = str(config.get("module") or "keras").partition(".")[0] in ("keras", "lumbre")
            found = self.objects.get(self._key(config["class_name"])) if ours else None
            if found is None:
                raise
            return found

    @staticmethod
    def _instance(found: Any) -> Any:
        if not inspect.isclass(found):
            return found
        needed = [
            p.name
            for p in inspect.signature(found).parameters.values()
            if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]
        if needed:
            call = f"{found.__name__}({', '.join(f'{name}=...' for name in needed)})"
            raise TypeError(
                f"{found.__name__} has arguments without a default and cannot be made from its name or "
                f"class alone: give an object, {call}"
            )
        return found()
