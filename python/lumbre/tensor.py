"""Variables, and the operators and methods of tensors."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lumbre import _core, autograd, config, ops, scopes
from lumbre.arrays import values
from lumbre.autograd import FLOATS, Tensor, as_tensor, wrap
from lumbre.gradient_tape import use


class Variable:
    """State that training updates: a parameter, an optimizer slot, a counter.

    It takes part in every operation as its present value.

    Args:
        initializer: The initial value, or a function `(shape, dtype=...)` that returns it.
        shape: The shape, where the initializer is a function.
        dtype: The dtype; by default `floatx()` where the initializer is a function, else the value's own:
            float32 of Python floats, but float64 of NumPy's.
        trainable: Whether training may change it.
        name: A name for summaries and files.

    Raises:
        ValueError: An initializer function without a shape, or a value of another shape.

    Example:
        >>> import lumbre
        >>> v = lumbre.Variable([1.0, 2.0], name="v")
        >>> v.assign_add([1.0, 1.0])
        <Variable path=v, shape=(2,), dtype=float32, value=[2. 3.]>
    """

    __array_priority__ = 100

    def __init__(
        self,
        initializer: Any,
        shape: Any = None,
        dtype: str | None = None,
        trainable: bool = True,
        name: str | None = None,
        regularizer: Any = None,
        constraint: Any = None,
    ) -> None:
        if callable(initializer) and not isinstance(initializer, (Tensor, Variable)):
            if shape is None:
                raise ValueError(f"Variable {name or ''}: an initializer function needs a shape")
            value = as_tensor(initializer(tuple(shape), dtype=dtype or config.floatx()), dtype)
        else:
            value = as_tensor(initializer, dtype)
            if shape is not None and tuple(shape) != value.shape:
                raise ValueError(
                    f"Variable {name or ''}: the value has shape {value.shape}, expected {shape}"
                )
        self._cell = _core.Cell(value._a)
        self.shape: tuple[int, ...] = self._cell.shape
        self.dtype: str = self._cell.dtype
        self.initializer = initializer
        self.name = name or "variable"
        self.path = scopes.path_of(self.name)
        self.regularizer = regularizer
        self.constraint = constraint
        self.overwrite_with_gradient = False
        self.grad: Tensor | None = None
        self._trainable = trainable and self.dtype in FLOATS

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cell": self.numpy(), "grad": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cell = _core.Cell(as_tensor(state["_cell"], self.dtype)._a)

    @property
    def cell(self) -> Any:
        """Where the value is kept; kernels that are given it update it in place."""
        if scopes.open_scopes[0] and scopes.here.stateless is not None:
            return scopes.here.stateless.cell_of(self, lambda value: _core.Cell(value._a))
        return self._cell

    @property
    def trainable(self) -> bool:
        """Whether optimizers update it and gradients reach it; False for dtypes that are no floats."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        from lumbre.capture import switch

        if self._trainable != (bool(value) and self.dtype in FLOATS):
            self._trainable = not self._trainable
            switch(self)

    def __lumbre_tensor__(self) -> Tensor:
        """What `as_tensor` calls."""
        if scopes.open_scopes[0] and scopes.here.stateless is not None:
            value: Tensor | None = scopes.here.stateless.get_current_value(self)
            if value is not None:
                return value
        return self._own_value()

    def _own_value(self) -> Tensor:
        """The value outside of any `StatelessScope`."""
        return self._read(self._cell)

    def _read(self, cell: Any) -> Tensor:
        t = wrap(cell.read())
        t._var = self
        t.grad = self.grad
        t._requires = use(self) if autograd.mode.tapes else self._trainable
        return t

    @property
    def value(self) -> Tensor:
        """The present value as a tensor, which later updates leave as it is; its `grad` is the Variable's."""
        return self.__lumbre_tensor__()

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def assign(self, value: Any) -> Variable:
        """Replaces the value by one of the same shape, which is cast to the variable's dtype.

        Raises:
            ValueError: The shape differs.

        Example:
            >>> import lumbre
            >>> v = lumbre.Variable([1.0, 2.0])
            >>> v.assign([3, 4]).numpy().tolist()
            [3.0, 4.0]
        """
        if scopes.open_scopes[0] and scopes.here.stateless is not None:
            scopes.here.stateless.add_update((self, value))
            return self
        with autograd.no_grad():
            autograd.kernel("assign", self._fitting(value), inout=[self._cell])
        return self

    def _fitting(self, value: Any) -> Tensor:
        """A value as a tensor of the variable's dtype.

        Raises:
            ValueError: It has another shape.
        """
        new = as_tensor(value, self.dtype)
        if new.shape != self.shape:
            raise ValueError(
                f"The shape of the target variable and the shape of the target value in "
                f"`variable.assign(value)` must match. variable.shape={self.shape}, Received: "
                f"value.shape={new.shape}. Target variable: {self!r}"
            )
        return new

    def assign_add(self, value: Any) -> Variable:
        """Adds a value of a shape that broadcasts, and returns the Variable.

        Example:
            >>> import lumbre
            >>> lumbre.Variable([1.0, 2.0]).assign_add(1.0).numpy().tolist()
            [2.0, 3.0]
        """
        with autograd.no_grad():
            return self.assign(ops.add(self.value, as_tensor(value, self.dtype)))

    def assign_sub(self, value: Any) -> Variable:
        """Subtracts a value of a shape that broadcasts, and returns the Variable."""
        with autograd.no_grad():
            return self.assign(ops.subtract(self.value, as_tensor(value, self.dtype)))

    def numpy(self) -> np.ndarray:
        """A copy of the value as a NumPy array."""
        return self.value.numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.numpy(), dtype)

    def __repr__(self) -> str:
        seen = self.value._a
        value = "" if seen.is_dry else f", value={values(seen)}"
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}{value}>"

    __hash__ = object.__hash__


def _binary(f: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: f(self, other)


def _reflected(f: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: f(other, self)


def _method(f: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(f)  # `help` of the method is that of the op
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return f(self, *args, **kwargs)

    return method


def _iterate(self: Any) -> Iterator[Tensor]:
    if not self.shape:
        raise TypeError("a tensor without axes cannot be iterated over")
    return (self[i] for i in range(self.shape[0]))


def _length(self: Any) -> int:
    if not self.shape:
        raise TypeError("a tensor without axes has no length")
    return int(self.shape[0])


def _format(self: Any, spec: str) -> str:
    """As a number, where there is one and a format for it."""
    return format(as_tensor(self).item() if spec and not self.shape else str(self), spec)


def _array_function(self: Any, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
    """NumPy's functions are given the values and return what they do for arrays, as its ufuncs do."""
    if function is np.result_type:  # JAX asks so, whose results would silently be without gradients
        raise TypeError(
            "a Tensor was given to another library, or to np.result_type: use lumbre.ops, or "
            "np.asarray(tensor)"
        )
    return function(*_as_arrays(args), **_as_arrays(kwargs))


def _as_arrays(value: Any) -> Any:
    if isinstance(value, (Tensor, Variable)):
        return np.asarray(value)
    if type(value) in (tuple, list):
        return type(value)(map(_as_arrays, value))
    return {k: _as_arrays(v) for k, v in value.items()} if type(value) is dict else value


def _repr(self: Tensor) -> str:
    if self._a.is_dry:
        return f"<Tensor shape={self.shape} dtype={self.dtype} (symbolic)>"
    return f"<Tensor shape={self.shape} dtype={self.dtype}\n{values(self._a)!r}>"


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": ops.add,
    "sub": ops.subtract,
    "mul": ops.multiply,
    "truediv": ops.divide,
    "floordiv": ops.floor_divide,
    "mod": ops.mod,
    "pow": ops.power,
    "matmul": ops.matmul,
}

_OPERATORS: dict[str, Callable[..., Any]] = {
    "__neg__": _method(ops.negative),
    "__pos__": lambda self: as_tensor(self),
    "__abs__": _method(ops.abs),
    "__invert__": _method(ops.logical_not),
    "__getitem__": _method(ops.getitem),
    "__iter__": _iterate,
    "__len__": _length,
    "__bool__": lambda self: bool(as_tensor(self).item()),
    "__float__": lambda self: float(as_tensor(self).item()),
    "__int__": lambda self: int(as_tensor(self).item()),
    "__index__": lambda self: int(as_tensor(self).item()),
    "__round__": lambda self, digits=None: round(as_tensor(self).item(), digits),
    "__format__": _format,
    "__array_function__": _array_function,
    "astype": _method(ops.cast),
    "tolist": lambda self: as_tensor(self).numpy().tolist(),
    **{name: _method(getattr(ops, name)) for name in ("sum", "mean", "max", "min", "prod", "all", "any")},
    **{name: _method(getattr(ops, name)) for name in ("argmax", "argmin", "std", "var", "transpose")},
    "reshape": lambda self, *shape: ops.reshape(
        self, shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    ),
    "__eq__": _binary(ops.equal),
    "__ne__": _binary(ops.not_equal),
    "__lt__": _binary(ops.less),
    "__le__": _binary(ops.less_equal),
    "__gt__": _binary(ops.greater),
    "__ge__": _binary(ops.greater_equal),
    "__and__": _binary(ops.logical_and),
    "__or__": _binary(ops.logical_or),
    "__xor__": _binary(ops.logical_xor),
    **{f"__{name}__": _binary(f) for name, f in _ARITHMETIC.items()},
    **{f"__r{name}__": _reflected(f) for name, f in _ARITHMETIC.items()},
}

for _name, _function in _OPERATORS.items():
    setattr(Tensor, _name, _function)
    setattr(Variable, _name, _function)
Tensor.__repr__ = _repr  # type: ignore[method-assign,assignment]
Tensor.__hash__ = object.__hash__  # type: ignore[method-assign]
Tensor.T = property(ops.transpose)  # type: ignore[attr-defined]
