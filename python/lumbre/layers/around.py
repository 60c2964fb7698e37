"""What happens around a layer's `build` and `call`: paths, undoing, arguments."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from lumbre import tree
from lumbre.autograd import Tensor, as_tensor
from lumbre.capture import touch
from lumbre.layers.context import context
from lumbre.layers.symbolic import KerasTensor, computing


class Snapshot:
    """The attributes of a layer and of the layers in it, to go back to after an error."""

    def __init__(self, layer: Any) -> None:
        self.saved = [(inner, dict(inner.__dict__)) for inner in layer._flatten_layers()]
        containers = [v for _, d in self.saved for v in d.values() if isinstance(v, (list, dict))]
        self.contents: list[tuple[Any, Any]] = [(v, v.copy()) for v in containers]

    def restore(self) -> None:
        """Puts everything back: what was built since is not built any more."""
        for layer, attributes in self.saved:
            layer.__dict__.clear()
            layer.__dict__.update(attributes)
        for container, content in self.contents:  # past the methods that follow changes
            if isinstance(container, list):
                list.__setitem__(container, slice(None), content)
            else:
                dict.clear(container)
                dict.update(container, content)
        touch()


@contextlib.contextmanager
def within(layer: Any) -> Iterator[None]:
    """Puts the layer on the path of what is built meanwhile."""
    path = context.path
    if path and path[-1] is layer:
        yield
        return
    path.append(layer)
    try:
        yield
    finally:
        path.pop()


def tracking_build(build: Callable[..., None]) -> Callable[..., None]:
    """`build` with what comes before and after: the path, `built`, the shapes; undone on an error."""

    @functools.wraps(build)
    def tracked(self: Any, *args: Any, **kwargs: Any) -> None:
        if self.__dict__.get("_building"):  # super().build() of a subclass
            build(self, *args, **kwargs)
            return
        before = Snapshot(self)
        self.__dict__["_building"] = True
        try:
            with computing(), within(self):
                build(self, *args, **kwargs)
                self._path = "/".join(layer.name for layer in context.path)
        except BaseException:
            before.restore()
            raise
        finally:
            self.__dict__.pop("_building", None)
        self.built = True
        shapes = inspect.signature(build).bind(self, *args, **kwargs).arguments
        self._build_shapes = dict(list(shapes.items())[1:])
        self._locked = self._lockable

    tracked._is_default = False  # type: ignore[attr-defined]
    return tracked


def masks_of(inputs: Any) -> Any:
    """The masks of the tensors in a structure, or None where there is none."""
    if isinstance(inputs, Tensor):
        return inputs._mask
    if not tree.is_nested(inputs):
        return None
    masks = tree.map_structure(lambda t: getattr(t, "_mask", None), inputs)
    return masks if any(m is not None for m in tree.flatten(masks)) else None


def attach_mask(x: Tensor, mask: Any) -> None:
    """Gives a tensor its mask, one value for each place of its first axes.

    Raises:
        ValueError: The shapes do not fit.
    """
    mask = as_tensor(mask)
    if mask.shape != x.shape[: mask.ndim]:
        raise ValueError(
            f"`mask` must have the shape of the inputs, or of their first axes. Received: "
            f"inputs.shape={x.shape}, mask.shape={mask.shape}"
        )
    x._mask = mask


def refuse_non_tensors(args: tuple[Any, ...]) -> None:
    for value in tree.flatten(list(args)):
        if value is not None and not isinstance(value, (Tensor, KerasTensor)):
            raise ValueError(
                "Only input tensors may be passed as positional arguments. The following argument value "
                f"should be passed as a keyword argument: {value} (of type {type(value)})"
            )


def as_shape(config: Any) -> Any:
    """The shapes of a config, where JSON has turned tuples into lists."""
    return None if config is None else tree.map_shape_structure(tuple, config)


def plain_arguments(layer: Any) -> dict[str, Any]:
    """What the constructor was given, if a config can hold it."""
    args, kwargs = layer.__dict__.get("_init_args", ((), {}))
    try:
        bound = inspect.signature(type(layer).__init__).bind(layer, *args, **kwargs)
    except TypeError:
        return {}
    named = dict(list(bound.arguments.items())[1:])
    kinds = {p.kind: name for name, p in bound.signature.parameters.items()}
    named.update(named.pop(kinds.get(inspect.Parameter.VAR_KEYWORD, ""), {}))
    if kinds.get(inspect.Parameter.VAR_POSITIONAL) in named or any(
        not (v is None or isinstance(v, (bool, int, float, str))) for v in tree.flatten(list(named.values()))
    ):
        raise NotImplementedError(
            f"Object {layer.name} was created by passing non-serializable argument values in "
            f"`__init__()`, and therefore {type(layer).__name__} must override the method `get_config()` in "
            "order to be serializable."
        )
    return named


def split_config(kind: type, config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A config as arguments of a constructor, and what every layer has but this one does not take."""
    parameters = inspect.signature(kind).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return config, {}
    rest: dict[str, Any] = {
        k: config[k] for k in ("name", "trainable", "dtype") if k in config and k not in parameters
    }
    return {k: v for k, v in config.items() if k not in rest}, rest
