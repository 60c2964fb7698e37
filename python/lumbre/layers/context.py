"""What is known while layers call each other: the mode, the path, whether anything is computed."""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from lumbre import tree
from lumbre.lookup import did_you_mean
from lumbre.scopes import here


class Context(threading.local):
    """The state of the calls in progress on this thread."""

    def __init__(self) -> None:
        self.entry: Any = None  # the outermost layer being called
        self.training: bool | None = None
        self.path = here.path  # the layers whose build or first call is under way, and scopes of names
        self.probe: Probe | None = None  # set while only shapes are computed
        self.budget: Budget | None = None  # set while a model is built whose weights a file has


class Budget:
    """How many bytes of weights may be made: as many as a file has, which then go into them.

    The weights are not initialized: those of layers that save and load themselves are, which may not set all.
    """

    def __init__(self, size: int) -> None:
        self.left = size

    def initializer(self, layer: Any, initializer: Any, shape: tuple[int, ...], dtype: str) -> Any:
        """What a weight begins with.

        Raises:
            ValueError: It takes more bytes than are left.
        """
        size = math.prod(shape) * (2 if dtype == "bfloat16" else np.dtype(dtype).itemsize)
        if size > self.left:
            raise ValueError(
                f"layer '{layer.name}' asks for a weight of shape {shape}, {size:,} bytes, and the file has "
                f"{self.left:,} bytes of weights left"
            )
        self.left -= size
        own = type(layer).load_own_variables.__module__ == __package__ + ".state"
        return _unset if own else initializer


def _unset(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.zeros(shape, "float32" if dtype == "bfloat16" else dtype)


class Probe:
    """The number that stands for an unknown size in a dry run, and the axes where it may.

    A layer that is built within a dry run must get None for it. A size equal to the number on
    the last axis, or on the first one where the batch size is known, is taken for what it is.
    """

    __slots__ = ("batch", "others", "size")

    def __init__(self, size: int, batch: bool, others: bool) -> None:
        self.size = size
        self.batch = batch
        self.others = others

    def hide(self, shape: tuple[int, ...]) -> tuple[int | None, ...]:
        """The shape with None where the number stands for an unknown size."""
        return tuple(
            None if n == self.size and (self.batch if axis == 0 else self.others) else n
            for axis, n in enumerate(shape)
        )


context = Context()


class Signature:
    """What the call of a layer class accepts, found out once per class."""

    __slots__ = ("default", "first", "masked", "names", "signature", "takes_mask", "takes_training")

    def __init__(self, call: Callable[..., Any]) -> None:
        self.signature = inspect.signature(call)
        kinds = inspect.Parameter
        parameters = list(self.signature.parameters.values())
        self.names = tuple(
            p.name for p in parameters if p.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
        )
        self.first = self.names[0] if self.names else None
        self.takes_training = "training" in self.names
        self.takes_mask = "mask" in self.names
        # Arguments with a mask of their own, as in `call(query, value, query_mask=None)`.
        self.masked = tuple(name for name in self.names if f"{name}_mask" in self.names)
        default = self.signature.parameters["training"].default if self.takes_training else None
        self.default: bool | None = None if default is inspect.Parameter.empty else default

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name.

        Raises:
            TypeError: `call` does not take them.
        """
        try:
            return dict(self.signature.bind_partial(*args, **kwargs).arguments)
        except TypeError as error:
            hints = "".join(did_you_mean(name, self.names) for name in kwargs if name not in self.names)
            raise TypeError(f"{error}.{hints}" if hints else str(error)) from None


_signatures: dict[Any, Signature] = {}


def signature_of(layer: Any) -> Signature:
    """The signature of `type(layer).call`, without `self`."""
    call = type(layer).call
    found = _signatures.get(call)
    if found is None:
        found = _signatures[call] = Signature(layer.call)
    return found


def shape_of(value: Any) -> Any:
    """The shape of a tensor as `build` is to see it, or None for what is no tensor."""
    if not hasattr(value, "shape"):
        return None
    shape = tuple(value.shape)
    return shape if context.probe is None else context.probe.hide(shape)


def shapes_of(structure: Any) -> Any:
    """The shapes of the tensors in a structure, in the same structure."""
    return tree.map_structure(shape_of, structure) if tree.is_nested(structure) else shape_of(structure)


_PLAIN_ERRORS = (ValueError, TypeError, RuntimeError, IndexError, AttributeError, ArithmeticError)


def explain(layer: Any, error: Exception, inputs: Any) -> None:
    """Adds to an error, once, in which layer it happened and on what."""
    if not isinstance(error, _PLAIN_ERRORS) or "_names_layer" in vars(error):
        return
    if len(error.args) != 1 or not isinstance(error.args[0], str):
        return
    kind, text = type(layer).__name__, error.args[0]
    if isinstance(error, RecursionError):
        text = f"{text}{_cycle(layer)}"
    error.args = (
        f"Exception encountered when calling {kind}.call().\n\n{text}\n\n"
        f"Arguments received by {kind}.call() of layer '{layer.name}':\n  • inputs={describe(inputs)}",
    )
    vars(error)["_names_layer"] = True


def _cycle(layer: Any) -> str:
    """The layers that call each other in a circle, if the calls under way do that."""
    names = [scope.name for scope in context.path]
    if not names or names.index(names[-1]) == len(names) - 1:
        return f": perhaps layer '{layer.name}' calls itself" if names == [layer.name] else ""
    first = names.index(names[-1])
    circle = names[first : names.index(names[-1], first + 1) + 1]
    return f": the layers call each other in a circle, {' → '.join(circle)}"


def describe(inputs: Any) -> str:
    """A structure of tensors by their shapes and dtypes."""

    def one(value: Any) -> str:
        if hasattr(value, "shape") and hasattr(value, "dtype"):
            return f"{type(value).__name__}(shape={shape_of(value)}, dtype={value.dtype})"
        return repr(value)[:80]

    described = tree.map_structure(one, inputs) if tree.is_nested(inputs) else one(inputs)
    return described if isinstance(described, str) else str(described).replace("'", "")
