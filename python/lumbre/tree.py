"""Nested structures: lists, tuples, named tuples and dicts, with anything else (None too) as leaves.

The keys of a dict are visited in sorted order, those of an `OrderedDict` in their own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

Path = tuple[Any, ...]


def is_nested(structure: Any) -> bool:
    """Whether the value is a list, tuple or dict.

    Example:
        >>> is_nested([1]), is_nested("text")
        (True, False)
    """
    return isinstance(structure, (list, tuple, dict))


def flatten(structure: Any) -> list[Any]:
    """The leaves of a structure, in order.

    Example:
        >>> flatten({"b": [1, 2], "a": None})
        [None, 1, 2]
    """
    if not is_nested(structure):
        return [structure]
    leaves: list[Any] = []
    for _, child in _children(structure):
        leaves.extend(flatten(child))
    return leaves


def flatten_with_path(structure: Any) -> list[tuple[Path, Any]]:
    """The leaves of a structure, each with the keys and indices that lead to it.

    Example:
        >>> flatten_with_path({"a": [10, 20]})
        [(('a', 0), 10), (('a', 1), 20)]
    """
    if not is_nested(structure):
        return [((), structure)]
    return [
        ((key, *path), leaf) for key, child in _children(structure) for path, leaf in flatten_with_path(child)
    ]


def map_structure(function: Callable[..., Any], *structures: Any) -> Any:
    """A structure like the first, with `function` of the corresponding leaves of all of them.

    Raises:
        ValueError: The structures differ.

    Example:
        >>> map_structure(lambda a, b: a + b, {"x": 1, "y": [2]}, {"x": 10, "y": [20]})
        {'x': 11, 'y': [22]}
    """
    if not structures:
        raise ValueError("map_structure() needs at least one structure")
    first = structures[0]
    if not is_nested(first):
        return function(*structures)
    if len(structures) == 1:
        return _like(first, {key: map_structure(function, child) for key, child in _children(first)})
    for other in structures[1:]:
        _check_node(first, other, check_types=False)
    rows = [dict(_children(s)) for s in structures]
    return _like(first, {key: map_structure(function, *(r[key] for r in rows)) for key in rows[0]})


def map_shape_structure(function: Callable[[tuple[int | None, ...]], Any], structure: Any) -> Any:
    """`map_structure` for structures of shapes: a tuple or list of sizes is one leaf.

    Example:
        >>> map_shape_structure(len, {"a": (None, 3), "b": [(2,), (2, 4, 5)]})
        {'a': 2, 'b': [1, 3]}
    """
    if is_shape(structure):
        return function(tuple(structure))
    if not is_nested(structure):
        raise ValueError(f"expected a shape or a structure of shapes, got {structure!r}")
    return _like(structure, {k: map_shape_structure(function, s) for k, s in _children(structure)})


def is_shape(value: Any) -> bool:
    """Whether the value is a list or tuple of sizes, each an integer or None."""
    return isinstance(value, (list, tuple)) and all(
        n is None or (isinstance(n, int) and not isinstance(n, bool)) for n in value
    )


def pack_sequence_as(structure: Any, flat_sequence: Iterable[Any]) -> Any:
    """A structure like the given one with other leaves: the inverse of `flatten`.

    Raises:
        ValueError: The number of leaves is not the structure's.

    Example:
        >>> pack_sequence_as({"b": 0, "a": (0, 0)}, [1, 2, 3])
        {'b': 3, 'a': (1, 2)}
    """
    leaves = list(flat_sequence)
    count = len(flatten(structure))
    if len(leaves) != count:
        raise ValueError(f"the structure has {count} leaves, but the sequence has {len(leaves)}: {structure}")
    iterator = iter(leaves)
    return map_structure(lambda _: next(iterator), structure)


def traverse(function: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """The structure with every node, not only the leaves, replaced by what `function` returns.

    A result of None keeps the node. With `top_down`, a replaced node is not entered.
    """
    if top_down:
        replaced = function(structure)
        if replaced is not None:
            return replaced
    if is_nested(structure):
        structure = _like(structure, {k: traverse(function, c, top_down) for k, c in _children(structure)})
    if not top_down:
        replaced = function(structure)
        if replaced is not None:
            return replaced
    return structure


def assert_same_structure(a: Any, b: Any, check_types: bool = True) -> None:
    """Raises ValueError where two structures differ in anything but their leaves.

    Args:
        a: A structure.
        b: Another one.
        check_types: Whether a list and a tuple count as different.
    """
    if not is_nested(a) and not is_nested(b):
        return
    _check_node(a, b, check_types)
    theirs = dict(_children(b))
    for key, child in _children(a):
        assert_same_structure(child, theirs[key], check_types)


def lists_to_tuples(structure: Any) -> Any:
    """The structure with every list turned into a tuple.

    Example:
        >>> lists_to_tuples([1, [2], {"a": [3]}])
        (1, (2,), {'a': (3,)})
    """
    if not is_nested(structure):
        return structure
    if isinstance(structure, dict):
        return _like(structure, {k: lists_to_tuples(c) for k, c in structure.items()})
    items = [lists_to_tuples(c) for c in structure]
    return _like(structure, dict(enumerate(items))) if hasattr(structure, "_fields") else tuple(items)


def _children(structure: Any) -> Iterator[tuple[Any, Any]]:
    if not isinstance(structure, dict):
        return enumerate(structure)
    if isinstance(structure, OrderedDict):
        return iter(structure.items())
    try:
        keys: Sequence[Any] = sorted(structure)
    except TypeError:  # keys of different types have no order
        keys = list(structure)
    return ((key, structure[key]) for key in keys)


def _like(structure: Any, children: dict[Any, Any]) -> Any:
    """A node of the structure's kind with these children; a dict keeps its own order of keys."""
    if isinstance(structure, OrderedDict):
        return OrderedDict((key, children[key]) for key in structure)
    if isinstance(structure, dict):
        return {key: children[key] for key in structure}
    if hasattr(structure, "_fields"):
        return type(structure)(*children.values())
    return tuple(children.values()) if isinstance(structure, tuple) else list(children.values())


def _check_node(a: Any, b: Any, check_types: bool) -> None:
    def kind(node: Any) -> str:
        if isinstance(node, dict):
            return "dict"
        if not check_types and isinstance(node, (list, tuple)):
            return "sequence"
        if isinstance(node, list):
            return "list"
        return "tuple" if isinstance(node, tuple) else "leaf"

    same_keys = set(a) == set(b) if isinstance(a, dict) and isinstance(b, dict) else True
    if kind(a) != kind(b) or not same_keys or (kind(a) != "leaf" and len(a) != len(b)):
        raise ValueError(f"the structures differ: {a!r} is not like {b!r}")
