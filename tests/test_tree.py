"""Nested structures."""

from __future__ import annotations

import pytest

from lumbre import tree


def test_tree() -> None:
    structure = {"b": [1, (2, None)], "a": 3}
    assert tree.flatten(structure) == [3, 1, 2, None]
    assert tree.pack_sequence_as(structure, "wxyz") == {"b": ["x", ("y", "z")], "a": "w"}
    assert tree.map_structure(lambda a, b: (a, b), [1, {"k": 2}], (3, {"k": 4})) == [(1, 3), {"k": (2, 4)}]
    assert tree.map_shape_structure(lambda s: len(s), [(1, None), [2]]) == [2, 1]
    for attempt in (
        lambda: tree.map_structure(max, [1, 2], [1]),
        lambda: tree.pack_sequence_as([1, 2], [1]),
        lambda: tree.assert_same_structure([1], (1,)),
        lambda: tree.assert_same_structure({"a": 1}, {"b": 1}),
    ):
        with pytest.raises(ValueError):
            attempt()
    tree.assert_same_structure([1, {"a": 2}], (3, {"a": 4}), check_types=False)
    assert tree.traverse(lambda v: 0 if v is None else None, [None, [1]]) == [0, [1]]
