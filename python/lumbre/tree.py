"""Nested structures: lists, tuples, named tuples, deques and dicts, with anything else (None too) as leaves.

The keys of a dict are visited in sorted order, those of an `OrderedDict` in their own. Source: `keras.tree`.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

Path = tuple[Any, ...]


class MAP_TO_NONE:
    """What the function of `traverse` returns to put None in a node's place.

    Example:
        >>> traverse(lambda x: MAP_TO_NONE if x == 2 else None, [1, [2]])
        [1, [None]]
    """


def is_nested(structure: Any) -> bool:
    """Whether the value is a list, tuple, deque or dict.

    Example:
        >>> is_nested([1]), is_nested("text")
        (True, False)
    """
    return isinstance(structure, (list, tuple, dict, deque))


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


def map_structure(function: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """A structure like the first, with `function` of the corresponding leaves of all of them.

    Args:
        function: Takes as many arguments as there are structures.
        structures: Structures that are alike.
        none_is_leaf: Whether `function` gets None, too; else None stays as it is.

    Raises:
        ValueError: The structures differ, or there is none.

    Example:
        >>> map_structure(lambda a, b: a + b, {"x": 1, "y": [2]}, {"x": 10, "y": [20]})
        {'x': 11, 'y': [22]}
    """
    if not structures:
        raise ValueError("map_structure() needs at least one structure")
    first, *others = structures
    if not is_nested(first):
        if none_is_leaf and not others:
            return function(first)
        for other in others:
            _check_node(first, other)
        if none_is_leaf or all(leaf is not None for leaf in structures):
            return function(*structures)
        if any(leaf is not None for leaf in structures):
            raise ValueError(f"the structures differ: None is beside a leaf in {structures!r}")
        return None
    return _mapped(
        first, others, lambda *children: map_structure(function, *children, none_is_leaf=none_is_leaf)
    )


def map_structure_up_to(shallow_structure: Any, function: Callable[..., Any], *structures: Any) -> Any:
    """`map_structure` down to the leaves of `shallow_structure`; what lies deeper is one argument.

    Args:
        shallow_structure: Says how deep to go; its leaves are not used.
        function: Takes as many arguments as there are structures.
        structures: Structures that begin like `shallow_structure`.

    Raises:
        ValueError: A structure differs or is not as deep, or there is none.

    Example:
        >>> map_structure_up_to([0, 0], lambda a, b: [a, b], [1, [2]], [[3], 4])
        [[1, [3]], [[2], 4]]
    """
    if not structures:
        raise ValueError("map_structure_up_to() needs at least one structure")
    if not is_nested(shallow_structure):
        return function(*structures)
    return _mapped(
        shallow_structure, structures, lambda child, *rest: map_structure_up_to(child, function, *rest)
    )


def _mapped(first: Any, others: Sequence[Any], function: Callable[..., Any]) -> Any:
    """A node like the first, with `function` of the corresponding children of all."""
    if not others:
        return _like(first, {key: function(child) for key, child in _children(first)})
    for other in others:
        _check_node(first, other)
    rows = [dict(_children(node)) for node in (first, *others)]
    return _like(first, {key: function(*(row[key] for row in rows)) for key in rows[0]})


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
    """Whether the value is a list or tuple of sizes, each an integer or None.

    Example:
        >>> is_shape((None, 3)), is_shape((None, 3.5))
        (True, False)
    """
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

    Args:
        function: A result of None keeps the node, `MAP_TO_NONE` puts None in its place.
        structure: A structure.
        top_down: Whether a node comes before its children; then a replaced node is not entered.

    Example:
        >>> traverse(lambda node: len(node) if isinstance(node, tuple) else None, [(5, 6), {"a": (7,)}])
        [2, {'a': 1}]
    """
    if top_down:
        replaced = function(structure)
        if replaced is not None:
            return None if replaced is MAP_TO_NONE else replaced
    if is_nested(structure):
        structure = _like(structure, {k: traverse(function, c, top_down) for k, c in _children(structure)})
    if not top_down:
        replaced = function(structure)
        if replaced is not None:
            return None if replaced is MAP_TO_NONE else replaced
    return structure


def assert_same_structure(a: Any, b: Any, check_types: bool | None = None) -> None:
    """Raises where two structures differ in anything but their leaves.

    All kinds of dict count as one kind; `assert_same_paths` does not tell a list from a tuple either.

    Args:
        a: A structure.
        b: Another one.
        check_types: Deprecated, without effect.

    Raises:
        ValueError: They differ.

    Example:
        >>> assert_same_structure([1, {"a": 2}], [3, {"a": None}])
    """
    if check_types is not None:
        warnings.warn(
            "The `check_types` argument is deprecated and no longer has any effect; for a looser check, use "
            "`assert_same_paths()`.",
            DeprecationWarning,
            stacklevel=2,
        )
    _check_node(a, b)
    if is_nested(a):
        theirs = dict(_children(b))
        for key, child in _children(a):
            assert_same_structure(child, theirs[key])


def assert_same_paths(a: Any, b: Any) -> None:
    """Raises where the leaves of two structures have other keys and indices, whatever kinds the nodes are.

    Raises:
        ValueError: A path of one is missing in the other.

    Example:
        >>> assert_same_paths([1, (2, 3)], (1, [2, 3]))
    """
    ours, theirs = ([path for path, _ in flatten_with_path(structure)] for structure in (a, b))
    lines = [
        f"\nPaths in `{name}` missing in `{other}`: {missing}"
        for name, other, missing in (
            ("a", "b", [path for path in ours if path not in theirs]),
            ("b", "a", [path for path in theirs if path not in ours]),
        )
        if missing
    ]
    if lines:
        raise ValueError("`a` and `b` don't have the same paths." + "".join(lines))


def lists_to_tuples(structure: Any) -> Any:
    """The structure with every list turned into a tuple.

    Example:
        >>> lists_to_tuples([1, [2], {"a": [3]}])
        (1, (2,), {'a': (3,)})
    """
    return traverse(lambda node: tuple(node) if isinstance(node, list) else None, structure, top_down=False)


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
    if isinstance(structure, dict):
        items = ((key, children[key]) for key in structure)
        if isinstance(structure, defaultdict):
            return defaultdict(structure.default_factory, items)
        return OrderedDict(items) if isinstance(structure, OrderedDict) else dict(items)
    if isinstance(structure, deque):
        return deque(children.values(), structure.maxlen)
    if hasattr(structure, "_fields"):
        return type(structure)(*children.values())
    return tuple(children.values()) if isinstance(structure, tuple) else list(children.values())


def _kind(node: Any) -> str:
    if hasattr(node, "_fields") and isinstance(node, tuple):
        return type(node).__name__
    return next((kind.__name__ for kind in (dict, list, tuple, deque) if isinstance(node, kind)), "leaf")


def _check_node(a: Any, b: Any) -> None:
    """Raises ValueError where two nodes are of different kinds, lengths or keys."""
    kinds = _kind(a), _kind(b)
    if kinds[0] != kinds[1]:
        raise ValueError(f"the structures differ: expected a {kinds[0]} like {a!r}, got a {kinds[1]}, {b!r}")
    if kinds[0] == "leaf":
        return
    if kinds[0] == "dict" and set(a) != set(b):
        raise ValueError(f"the structures differ: expected the keys {list(a)}, got {list(b)}")
    if len(a) != len(b):
        raise ValueError(
            f"the structures differ: expected {len(a)} members as in {a!r}, got {len(b)} in {b!r}"
        )
