"""Which loss, metric, target and weight belongs to which output of a model.

The outputs of a model are the leaves of what it returns. What the user gives for them (losses,
targets, …) may be one thing for all, a list in the order of the outputs, a dict by output name, or
a structure like that of the outputs; here it becomes a list with one member for each output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lumbre import tree
from lumbre.lookup import did_you_mean

Names = Sequence[str] | None


def is_flat(structure: Any) -> bool:
    """Whether a structure has one level: a list or dict of leaves."""
    return tree.is_nested(structure) and not any(map(tree.is_nested, _members(structure)))


def _members(structure: Any) -> list[Any]:
    return list(structure.values()) if isinstance(structure, dict) else list(structure)


def output_names(y_pred: Any, names: Names) -> list[str | None]:
    """The name of each output: its key where the model returns a dict, else the model's own name.

    In deeper structures the keys on the way are joined with "/".
    """
    leaves = tree.flatten_with_path(y_pred)
    known: Sequence[str | None] = names if names and len(names) == len(leaves) else [None] * len(leaves)
    result: list[str | None] = []
    for (path, _), name in zip(leaves, known, strict=True):
        if path and isinstance(path[-1], int):
            path = (*path[:-1], name)
        result.append("/".join(map(str, path)) if path and path[-1] is not None else name)
    return result


def spread(
    spec: Any, y_pred: Any, names: Names, is_leaf: Callable[[Any], bool], error: Callable[[str], Exception]
) -> list[Any]:
    """One member of `spec` for each output, None for outputs that it leaves out.

    Args:
        spec: What the user gave.
        y_pred: What the model returned.
        names: The model's names of its outputs, if it has any.
        is_leaf: Whether a part of `spec` is meant as it is for one output.
        error: Makes the exception for a reason.
    """
    if not tree.is_nested(y_pred):
        return [_single(spec, names, is_leaf, error)]
    if isinstance(spec, dict):
        return _by_key(spec, y_pred, names, is_leaf, error)
    if isinstance(spec, (list, tuple)):
        return _by_position(spec, y_pred, names, is_leaf, error)
    return [spec] * len(tree.flatten(y_pred))


def _single(
    spec: Any, names: Names, is_leaf: Callable[[Any], bool], error: Callable[[str], Exception]
) -> Any:
    if is_leaf(spec):
        return spec
    if isinstance(spec, dict):
        keys = list(spec)
        if len(keys) == 1 and (not names or len(names) != 1 or keys[0] == names[0]):
            return spec[keys[0]]
        hint = "".join(did_you_mean(key, names or ()) for key in keys)
        raise error(f"it has the keys {keys}, the model one output{f' {names[0]!r}' if names else ''}.{hint}")
    if len(spec) == 1:
        return spec[0]
    raise error(f"it has {len(spec)} members, the model one output.")


def _by_key(
    spec: dict[Any, Any],
    y_pred: Any,
    names: Names,
    is_leaf: Callable[[Any], bool],
    error: Callable[[str], Exception],
) -> list[Any]:
    if isinstance(y_pred, dict) and set(spec) <= set(y_pred):
        result: list[Any] = []
        for key, member in _sorted_items(y_pred):
            if key in spec and spec[key] is not None:
                result += spread(spec[key], member, None, is_leaf, error)
            else:
                result += [None] * len(tree.flatten(member))
        return result
    count = len(tree.flatten(y_pred))
    if names and len(names) == count and set(spec) <= set(names):
        return [spec.get(name) for name in names]
    known = list(y_pred) if isinstance(y_pred, dict) else list(names or [])
    raise error(f"its keys are {list(spec)}, the outputs are named {known}.{_hints(spec, known)}")


def _hints(keys: Any, known: Sequence[str]) -> str:
    """The nearest of the known keys for each that is not one of them."""
    return "".join(did_you_mean(key, known) for key in keys if key not in known)


def _by_position(
    spec: Sequence[Any],
    y_pred: Any,
    names: Names,
    is_leaf: Callable[[Any], bool],
    error: Callable[[str], Exception],
) -> list[Any]:
    count = len(tree.flatten(y_pred))
    members = [m for _, m in _sorted_items(y_pred)] if isinstance(y_pred, dict) else list(y_pred)
    if len(spec) == len(members):
        result: list[Any] = []
        for part, member in zip(spec, members, strict=True):
            leaves = len(tree.flatten(member))
            result += [None] * leaves if part is None else spread(part, member, None, is_leaf, error)
        return result
    if len(spec) == count:
        return list(spec)
    raise error(f"it has {len(spec)} members, the model {count} outputs.")


def _sorted_items(structure: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """The members of a dict in the order in which `tree` counts leaves."""
    paths = tree.flatten_with_path(structure)
    keys = list(dict.fromkeys(path[0] for path, _ in paths))
    return [(key, structure[key]) for key in keys]


def match(y: Any, y_pred: Any, names: Names, wanted: Sequence[bool], what: str = "y_true") -> list[Any]:
    """The targets (or weights) of each output, None where there are none.

    Args:
        y: The targets: a structure like `y_pred`, a list, a dict by output name, or one array for
            a model with one output. Outputs that are not `wanted` may be left out.
        y_pred: What the model returned.
        names: The model's names of its outputs.
        wanted: Whether each output has a loss.
        what: What `y` is called in an error.

    Raises:
        ValueError: They do not fit together.
    """
    flat = tree.flatten(y)
    count = len(wanted)
    if y is None:
        return [None] * count
    if isinstance(y, dict) and count > 1:
        keys = output_names(y_pred, names)
        if set(y) <= set(keys):
            found = [y.get(key) for key in keys]
            if all(f is not None for f, w in zip(found, wanted, strict=True) if w):
                return found
        elif names and set(y) <= set(names):
            return [y.get(name) for name in names]
    elif len(flat) == count:
        return flat
    elif len(flat) == sum(wanted):
        rest = iter(flat)
        return [next(rest) if w else None for w in wanted]
    if isinstance(y, dict) and is_flat(y_pred) is False and len(flat) == count:
        return flat
    known = list(y_pred) if isinstance(y_pred, dict) else list(names or ())
    hints = _hints(y, known) if isinstance(y, dict) else ""
    raise ValueError(
        f"{what} and y_pred have different structures.\n"
        f"{what}: {tree.map_structure(lambda _: '*', y)}\n"
        f"y_pred: {tree.map_structure(lambda _: '*', y_pred)}\n"
        + (f"The outputs are named {known}.{hints}\n" if known else "")
    )
