"""What is trained is what was trainable when the model was compiled."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

from lumbre.training import checks


class TrainableState:
    """Which layers and Variables of a model are trainable now; it keeps none of them alive.

    Args:
        model: The model.
    """

    def __init__(self, model: Any) -> None:
        layers = model._flatten_layers()
        self._layers = [(weakref.ref(x), x._trainable) for x in layers]
        self._variables = [(weakref.ref(v), v.trainable) for x in layers for v in x._trainable_variables]

    def __getstate__(self) -> Any:
        return [[(ref(), value) for ref, value in kept] for kept in (self._layers, self._variables)]

    def __setstate__(self, state: Any) -> None:
        refs = [[(weakref.ref(x), value) for x, value in kept if x is not None] for kept in state]
        self._layers, self._variables = refs

    def changed(self) -> list[Any]:
        """The layers that are not as they were: they themselves, or one of their Variables."""
        variables = {
            id(v) for ref, value in self._variables if (v := ref()) is not None and v.trainable != value
        }
        return [
            x
            for ref, value in self._layers
            if (x := ref()) is not None
            and (x._trainable != value or any(id(v) in variables for v in x._trainable_variables))
        ]

    @contextlib.contextmanager
    def applied(self, model: Any) -> Iterator[None]:
        """Within it the layers are as they were; a warning says which had been changed since.

        Raises:
            Whatever happens within; the layers are then as the user left them.
        """
        changed = self.changed()
        if not changed:
            yield
            return
        names = [x.name for x in changed]
        checks.warn_once(
            model,
            "A layer's `trainable` state has changed since the model was compiled, and the model is trained "
            "as compiled. Please recompile your model (e.g. `model.compile(...)`) before calling `fit()` so "
            f"the change takes effect. Changed layers: {names}",
            f"trainable {names}",
        )
        layers = [(x, x._trainable) for x in changed]
        variables = [(v, v.trainable) for x in changed for v in x._trainable_variables]
        known = {id(v): value for ref, value in self._variables if (v := ref()) is not None}
        compiled = {id(x): value for ref, value in self._layers if (x := ref()) is not None}
        try:
            for x in changed:
                x._trainable = compiled[id(x)]
                for v in x._trainable_variables:  # those of a layer built since are as the layer was
                    v.trainable = known.get(id(v), compiled[id(x)])
            yield
        finally:
            for x, value in layers:
                x._trainable = value
            for v, value in variables:
                v.trainable = value
