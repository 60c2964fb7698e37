"""What holds for the code within a `with`: names, the values of Variables, the device."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any


class _Here(threading.local):
    """The scopes that this thread is in."""

    def __init__(self) -> None:
        self.path: list[Any] = []  # the scopes and layers, by `name`, that new Variables belong to
        self.stateless: Any = None  # the innermost `StatelessScope`


here = _Here()
open_scopes = [0]
"""How many `StatelessScope`s are open, on all threads: while there is none, nobody has to look."""


def path_of(name: str) -> str:
    """The path of a Variable of that name that is made here."""
    return "/".join([*(scope.name for scope in here.path), name]) if here.path else name


class name_scope:
    """Within it, the paths of Variables and layers begin with a name.

    Args:
        name: The name, without "/".
        caller, deduplicate, override_parent: Accepted as in Keras, which uses them itself.

    Raises:
        ValueError: `name` is no string, or has a "/".

    Source: `keras.name_scope`.

    Example:
        >>> import lumbre
        >>> with lumbre.name_scope("encoder"):
        ...     lumbre.Variable([1.0], name="scale").path
        'encoder/scale'
    """

    def __init__(
        self, name: str, caller: Any = None, deduplicate: bool = True, override_parent: Any = None
    ) -> None:
        if not isinstance(name, str) or "/" in name:
            raise ValueError(
                f"Argument `name` must be a string and cannot contain character `/`. Received: name={name}"
            )
        self.name = name

    def __enter__(self) -> name_scope:
        here.path.append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        here.path.pop()


class StatelessScope:
    """Within it, Variables have other values, and what is assigned to them stays in the scope.

    Args:
        state_mapping: Pairs of a Variable and the value that it has within; others keep their own.
        collect_losses: Whether what `add_loss` is given goes to `losses`, of the scope.
        initialize_variables: Accepted as in Keras; Variables have a value from the beginning.

    Attributes:
        losses: The collected losses.

    Raises:
        ValueError: A key is no Variable, or a value has another shape.

    Source: `keras.StatelessScope`.

    Example:
        >>> import lumbre
        >>> v = lumbre.Variable(1.0)
        >>> with lumbre.StatelessScope([(v, lumbre.ops.convert_to_tensor(5.0))]) as scope:
        ...     _ = v.assign_add(1.0)
        >>> float(v), float(scope.get_current_value(v))
        (1.0, 6.0)
    """

    def __init__(
        self,
        state_mapping: Iterable[tuple[Any, Any]] | None = None,
        collect_losses: bool = False,
        initialize_variables: bool = True,
    ) -> None:
        self.collect_losses = collect_losses
        self.losses: list[Any] = []
        self._variables: dict[int, Any] = {}  # keeps them, so that no other gets the id
        self._values: dict[int, Any] = {}
        self._cells: dict[int, Any] = {}  # of Variables that kernels update in place
        for variable, value in state_mapping or ():
            if not hasattr(variable, "__lumbre_tensor__"):
                raise ValueError(
                    "Invalid reference variable in StatelessScope: all keys in argument `mapping` must be "
                    f"Variable instances. Received instead: {variable}"
                )
            self.add_update((variable, value))

    @classmethod
    def of(cls, owner: Any, known: Iterable[tuple[str, Sequence[Any], Sequence[Any]]]) -> StatelessScope:
        """A scope with the values that a stateless call was given.

        Args:
            owner: Whose call it is, for an error.
            known: The name of each argument, the Variables that it stands for, and the values given.

        Raises:
            ValueError: The values are not as many as the Variables.
        """
        pairs: list[tuple[Any, Any]] = []
        for name, variables, values in known:
            if len(variables) != len(values):
                raise ValueError(
                    f"Argument `{name}` must be a list of tensors corresponding 1:1 to "
                    f"{type(owner).__name__}().{name}. Received list with length {len(values)}, but expected "
                    f"{len(variables)} variables."
                )
            pairs += zip(variables, values, strict=True)
        return cls(pairs)

    def __enter__(self) -> StatelessScope:
        self._outer, here.stateless = here.stateless, self
        open_scopes[0] += 1
        return self

    def __exit__(self, *error: Any) -> None:
        open_scopes[0] -= 1
        here.stateless = self._outer

    def add_loss(self, loss: Any) -> None:
        """Adds to `losses`."""
        self.losses.append(loss)

    def add_update(self, update: tuple[Any, Any]) -> None:
        """Gives a Variable, the first of the pair, a value within the scope.

        Raises:
            ValueError: The value has another shape.
        """
        variable, value = update
        self._values[id(variable)] = variable._fitting(value)
        self._variables[id(variable)] = variable
        self._cells.pop(id(variable), None)

    def get_current_value(self, variable: Any) -> Any:
        """The value of a Variable in the scope, or None where it has its own."""
        cell = self._cells.get(id(variable))
        return self._values.get(id(variable)) if cell is None else variable._read(cell)

    def cell_of(self, variable: Any, make: Any) -> Any:
        """The place where kernels update the value of the scope, made from it when first asked for."""
        key = id(variable)
        if key not in self._cells:
            value = self._values.get(key)
            self._cells[key] = make(variable._own_value() if value is None else value)
            self._variables[key] = variable
        return self._cells[key]


@contextlib.contextmanager
def device(device_name: str) -> Iterator[None]:
    """Says where to compute: on the CPU, the only place there is.

    Args:
        device_name: "cpu", also with a number: "cpu:0", "/CPU:0".

    Raises:
        ValueError: It is another device.

    Source: `keras.device`.

    Example:
        >>> import lumbre
        >>> with lumbre.device("cpu:0"):
        ...     lumbre.ops.ones((2,)).shape
        (2,)
    """
    if not isinstance(device_name, str) or not re.fullmatch(r"(/?(device:)?)cpu(:\d+)?", device_name.lower()):
        raise ValueError(
            f"Lumbre computes on the CPU: `device_name` must be 'cpu' or 'cpu:0'. Received: {device_name!r}"
        )
    yield
