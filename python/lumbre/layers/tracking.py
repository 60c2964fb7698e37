"""Lists and dicts that tell the layer which holds them what is put into them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsIndex


class TrackedList(list[Any]):
    """A list in an attribute of a layer: layers and Variables in it belong to that layer."""

    def __init__(self, values: Iterable[Any], owner: Any) -> None:
        self._owner = owner
        super().__init__(owner._tracked(v) for v in values)

    def append(self, value: Any) -> None:
        super().append(self._owner._tracked(value))
        self._owner._changed()

    def insert(self, index: SupportsIndex, value: Any) -> None:
        super().insert(index, self._owner._tracked(value))
        self._owner._changed()

    def extend(self, values: Iterable[Any]) -> None:
        super().extend([self._owner._tracked(v) for v in values])
        self._owner._changed()

    def __iadd__(self, values: Iterable[Any]) -> TrackedList:  # type: ignore[misc]
        self.extend(values)
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        old = self[key] if isinstance(key, slice) else [self[key]]
        track = self._owner._tracked
        super().__setitem__(key, [track(v) for v in value] if isinstance(key, slice) else track(value))
        self._owner._released(old)

    def __delitem__(self, key: Any) -> None:
        old = self[key] if isinstance(key, slice) else [self[key]]
        super().__delitem__(key)
        self._owner._released(old)

    def pop(self, index: SupportsIndex = -1) -> Any:
        value = super().pop(index)
        self._owner._released([value])
        return value

    def remove(self, value: Any) -> None:
        index = next((i for i, v in enumerate(self) if v is value), None)
        del self[self.index(value) if index is None else index]

    def clear(self) -> None:
        del self[:]

    def __reduce__(self) -> Any:
        return list, (list(self),)


class TrackedDict(dict[Any, Any]):
    """A dict in an attribute of a layer: layers and Variables among its values belong to that layer."""

    def __init__(self, values: dict[Any, Any], owner: Any) -> None:
        self._owner = owner
        super().__init__({k: owner._tracked(v) for k, v in values.items()})

    def __setitem__(self, key: Any, value: Any) -> None:
        old = self.get(key)
        super().__setitem__(key, self._owner._tracked(value))
        self._owner._released([old])

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
        self._owner._released([value])
        return value

    def popitem(self) -> tuple[Any, Any]:
        key, value = super().popitem()
        self._owner._released([value])
        return key, value

    def clear(self) -> None:
        values = list(self.values())
        super().clear()
        self._owner._released(values)

    def __reduce__(self) -> Any:
        return dict, (dict(self),)
