"""The op table: what `@op` records of every op, for the generic tests and the documentation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lumbre.autograd import SymbolicOperand

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class In:
    """A random sample input, uniform in [low, high) (whole numbers for an integer dtype).

    `grad` says whether the op has a gradient with respect to it there; a domain should keep away
    from kinks by more than the step of a finite difference (1e-3).
    """

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    dtype: str = "float32"
    grad: bool = True


@dataclass(frozen=True)
class Case:
    """A sample call: the arguments of the op, with `In` (also inside lists) in the places of arrays.

    `ulp` bounds the error of the result, in units of the last place of float32, beside the largest
    magnitude of the reference's result; sums of n terms may state more.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    ulp: float = 4.0
    grad: bool = True


@dataclass(frozen=True)
class Bad:
    """A call that must raise `error` with a message that matches `match` (a regular expression)."""

    args: tuple[Any, ...]
    error: type[Exception]
    match: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Op:
    """One op: its function, its meaning in float64 NumPy, and samples."""

    name: str
    function: Callable[..., Any]
    ref: Callable[..., Any] | None
    cases: Sequence[Case]
    bad: Sequence[Bad]
    kernels: Sequence[str]


OPS: dict[str, Op] = {}
"""Every op by name."""

_symbolic: list[Callable[..., Any]] = []


def set_symbolic(build: Callable[..., Any]) -> None:
    """Says what becomes of an op that meets a symbolic tensor: `build(op, args, kwargs)`."""
    _symbolic[:] = [build]


def op(
    ref: Callable[..., Any] | None = None,
    cases: Sequence[Case] = (),
    bad: Sequence[Bad] = (),
    kernels: Sequence[str] = (),
    name: str | None = None,
) -> Callable[[F], F]:
    """Registers a function as an op.

    Args:
        ref: The same function on float64 NumPy arrays (integers stay integers), the reference.
        cases: Sample calls that the generic tests run.
        bad: Calls that must raise.
        kernels: The Rust rows that it calls itself (not through other ops).
        name: The op's name, the function's by default.
    """

    def register(function: F) -> F:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except SymbolicOperand:
                return _symbolic[0](call, args, kwargs)

        key = name or function.__name__
        OPS[key] = Op(key, call, ref, cases, bad, kernels)
        return call  # type: ignore[return-value]

    return register
