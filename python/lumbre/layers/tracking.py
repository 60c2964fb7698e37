"""Lists and dicts that tell the layer which holds them what is put into them."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, SupportsIndex


class _Held:
    """What is held by a layer, and knows it without keeping it alive: a model goes with its last user."""

    _owner: weakref.ref[Any]

    def __init__(self, owner: Any) -> None:
        self._owner = weakref.ref(owner)

    def _tracked(self, value: Any) -> Any:
        owner = self._owner()
        return value if owner is None else owner._tracked(value)

    def _changed(self) -> None:
        owner = self._owner()
        if owner is not None:
            owner._changed()

    def _released(self, values: list[Any]) -> None:
        owner = self._owner()
        if owner is not None:
            owner._released(values)


class TrackedList(list[Any], _Held):
    """A list in an attribute of a layer: layers and Variables in it belong to that layer."""

    def __init__(self, values: Iterable[Any], owner: Any) -> None:
        _Held.__init__(self, owner)
        list.__init__(self, (owner._tracked(v) for v in values))

    def append(self, value: Any) -> None:
        super().append(self._tracked(value))
        self._changed()

    def insert(self, index: SupportsIndex, value: Any) -> None:
        super().insert(index, self._tracked(value))
        self._changed()

    def extend(self, values: Iterable[Any]) -> None:
        super().extend([self._tracked(v) for v in values])
        self._changed()

    def __iadd__(self, values: Iterable[Any]) -> TrackedList:  # type: ignore[misc]
        self.extend(values)
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        old = self[key] if isinstance(key, slice) else [self[key]]
        track = self._tracked
        super().__setitem__(key, [track(v) for v in value] if isinstance(key, slice) else track(value))
        self._released(old)

    def __delitem__(self, key: Any) -> None:
        old = self[key] if isinstance(key, slice) else [self[key]]
        super().__delitem__(key)
        self._released(old)

    def pop(self, index: SupportsIndex = -1) -> Any:
        value = super().pop(index)
        self._released([value])
        return value

    def remove(self, value: Any) -> None:
        index = next((i for i, v in enumerate(self) if v is value), None)
        del self[self.index(value) if index is None else index]

    def clear(self) -> None:
        del self[:]

    def __reduce__(self) -> Any:
        return list, (list(self),)


class TrackedDict(dict[Any, Any], _Held):
    """A dict in an attribute of a layer: layers and Variables among its values belong to that layer."""

    def __init__(self, values: dict[Any, Any], owner: Any) -> None:
        _Held.__init__(self, owner)
        dict.__init__(self, {k: owner._tracked(v) for k, v in values.items()})

    def __setitem__(self, key: Any, value: Any) -> None:
        old = self.get(key)
        super().__setitem__(key, self._tracked(value))
        self._released([old])

    def __delitem__(self, key: Any) -> None:
        self.pop(key)

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        value = super().pop(key, *default)
        self._released([value])
        return value

    def popitem(self) -> tuple[Any, Any]:
        key, value = super().popitem()
        self._released([value])
        return key, value

    def clear(self) -> None:
        values = list(self.values())
        super().clear()
        self._released(values)

    def __reduce__(self) -> Any:
        return dict, (dict(self),)
