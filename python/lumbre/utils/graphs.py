"""Questions about the placeholders of functional models."""

from __future__ import annotations

from typing import Any


def is_keras_tensor(x: Any) -> bool:
    """Whether the value is a placeholder in a functional model.

    Source: `keras.utils.is_keras_tensor`.

    Example:
        >>> import lumbre
        >>> is_keras_tensor(lumbre.Input((3,))), is_keras_tensor(lumbre.ops.ones(3))
        (True, False)
    """
    return hasattr(x, "_keras_history")


def get_source_inputs(tensor: Any) -> Any:
    """The inputs from which a placeholder follows, as a list; anything else as it is.

    Source: `keras.utils.get_source_inputs`.

    Example:
        >>> import lumbre
        >>> a, b = lumbre.Input((3,), name="a"), lumbre.Input((3,), name="b")
        >>> [t.name for t in get_source_inputs((a + b) * a)]
        ['a', 'b']
    """
    if not is_keras_tensor(tensor):
        return tensor
    sources: list[Any] = []
    seen: set[int] = set()
    waiting = [tensor]
    while waiting:  # depth first, from left to right
        t = waiting.pop()
        if id(t) in seen:
            continue
        seen.add(id(t))
        history = t._keras_history
        before = history.operation._inbound_nodes[history.node_index].input_tensors if history else []
        if before:
            waiting.extend(reversed(before))
        else:
            sources.append(t)
    return sources
