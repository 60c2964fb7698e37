"""Nested structures, beside Keras's."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any

import pytest

import lumbre
from lumbre import tree

Point = namedtuple("Point", "x y")
STRUCTURES: list[Any] = [
    5,
    None,
    [],
    {"b": [1, (2, None)], "a": 3},
    OrderedDict([("b", 1), ("a", [2])]),
    defaultdict(list, {"b": 1, "a": (2, 3)}),
    deque([1, [2]]),
    Point(1, [2, Point(3, None)]),
    {1: 2, "a": 3},
    [(1, 2), {"b": 3, "a": [4]}],
]
ONE: dict[str, Any] = {  # functions of a module `tree` and a structure
    "is_nested": lambda t, s: t.is_nested(s),
    "flatten": lambda t, s: t.flatten(s),
    "flatten_with_path": lambda t, s: t.flatten_with_path(s),
    "map_structure": lambda t, s: t.map_structure(lambda v: (v, "x"), s),
    "map_none": lambda t, s: t.map_structure(lambda v: (v, "x"), s, none_is_leaf=False),
    "map_two": lambda t, s: t.map_structure(lambda v, w: (w, v), s, s),
    "pack_sequence_as": lambda t, s: t.pack_sequence_as(s, "pqrstuv"[: len(t.flatten(s))]),
    "lists_to_tuples": lambda t, s: t.lists_to_tuples(s),
    "traverse": lambda t, s: t.traverse(lambda v: t.MAP_TO_NONE if v == 3 else None, s),
    "traverse_up": lambda t, s: t.traverse(lambda v: len(v) if isinstance(v, tuple) else None, s, False),
    "visited": lambda t, s: visited(t, s, True),
    "visited_up": lambda t, s: visited(t, s, False),
    "up_to": lambda t, s: t.map_structure_up_to([0, 0], lambda v, w: (v, w), [s, 1], [2, s]),
}
PAIRS: list[tuple[Any, Any]] = [
    ([1], (1,)),
    ([1], 1),
    (1, [1]),
    ([1], [1, 2]),
    ({"a": 1}, OrderedDict(a=2)),
    ({"a": 1}, defaultdict(int, a=2)),
    ({"a": 1}, {"b": 1}),
    ({"a": 1}, [1]),
    (Point(1, 2), (1, 2)),
    (Point(1, 2), [1, 2]),
    ([None], [1]),
    ([1], [None]),
    ([1, (2, 3)], (1, [2, 3])),
    ([1, (2, 3)], (1, [2, 3, 4])),
    ({"a": []}, {"a": {}}),
    (deque([1]), [1]),
    ([1, [2]], [3, [4]]),
]
TWO: dict[str, Any] = {
    "assert_same_structure": lambda t, a, b: t.assert_same_structure(a, b),
    "assert_same_paths": lambda t, a, b: t.assert_same_paths(a, b),
    "map_structure": lambda t, a, b: t.map_structure(lambda v, w: (v, w), a, b),
    "map_structure_up_to": lambda t, a, b: t.map_structure_up_to(a, lambda v: v, b),
    "map_none": lambda t, a, b: t.map_structure(lambda v, w: (v, w), a, b, none_is_leaf=False),
}


def visited(module: Any, structure: Any, top_down: bool) -> list[Any]:
    seen: list[Any] = []
    module.traverse(lambda node: seen.append(node), structure, top_down=top_down)
    return seen


def outcome(function: Any, *args: Any) -> Any:
    try:
        return repr(function(*args))
    except (ValueError, TypeError) as error:
        return type(error)


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
@pytest.mark.parametrize("name", ONE)
def test_of_one_structure_like_keras(name: str, structure: Any) -> None:
    theirs = pytest.importorskip("keras").tree
    assert outcome(ONE[name], tree, structure) == outcome(ONE[name], theirs, structure)


@pytest.mark.parametrize("pair", PAIRS, ids=repr)
@pytest.mark.parametrize("name", TWO)
def test_of_two_structures_like_keras(name: str, pair: Any) -> None:
    theirs = pytest.importorskip("keras").tree
    if name == "map_structure_up_to" and pair[0] == [None]:
        assert tree.map_structure_up_to([None], len, ["ab"]) == [
            2
        ]  # Keras refuses None in the structure it follows
        return
    assert outcome(TWO[name], tree, *pair) == outcome(TWO[name], theirs, *pair)


def test_shapes_are_leaves() -> None:
    assert tree.map_shape_structure(len, [(1, None), [2]]) == [2, 1]
    assert tree.map_shape_structure(len, {"a": ()}) == {"a": 0}
    with pytest.raises(ValueError, match="expected a shape or a structure of shapes, got 'ab'"):
        tree.map_shape_structure(len, "ab")


def test_what_differs_is_said() -> None:
    for a, b, words in (
        ([1], (2,), r"expected a list like \[1\], got a tuple, \(2,\)"),
        ({"a": 1}, {"b": 1}, r"expected the keys \['a'\], got \['b'\]"),
        ([1, 2], [1], r"expected 2 members as in \[1, 2\], got 1 in \[1\]"),
    ):
        with pytest.raises(ValueError, match=words):
            tree.assert_same_structure(a, b)
    with pytest.raises(ValueError, match=r"Paths in `a` missing in `b`: \[\('k',\)\]"):
        tree.assert_same_paths({"k": 1}, [1])
    with pytest.raises(ValueError, match="the structure has 2 leaves, but the sequence has 1"):
        tree.pack_sequence_as([1, 2], [1])
    for call in (tree.map_structure, lambda f: tree.map_structure_up_to([1], f)):
        with pytest.raises(ValueError, match="needs at least one structure"):
            call(len)


def test_the_deprecated_argument() -> None:
    with pytest.warns(DeprecationWarning, match="`check_types` argument is deprecated"):
        tree.assert_same_structure([1], [2], check_types=True)


def test_the_module_is_complete() -> None:
    keras = pytest.importorskip("keras")
    assert {n for n in dir(keras.tree) if n[0] != "_"} <= set(dir(lumbre.tree))
