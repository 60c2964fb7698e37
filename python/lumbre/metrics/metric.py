"""The base of all metrics: state in Variables, advanced batch by batch, read when something asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lumbre import initializers, ops
from lumbre.autograd import Tensor
from lumbre.capture import Tracked
from lumbre.config import floatx
from lumbre.lookup import auto_name
from lumbre.scopes import StatelessScope
from lumbre.tensor import Variable


class Metric(Tracked):
    """A running measure: subclasses define `update_state` and `result`.

    The state is made of Variables (see `add_variable`), so that an update runs inside a recorded
    training step; Variables and metrics that are set as attributes count as its own.

    Args:
        dtype: The dtype of the result; by default `lumbre.config.floatx()`.
        name: Its name in logs; by default the class's in snake_case.

    Example:
        >>> import lumbre
        >>> class Positives(lumbre.metrics.Metric):
        ...     def __init__(self, name="positives"):
        ...         super().__init__(name=name)
        ...         self.seen = self.add_variable(shape=(), initializer="zeros", name="seen")
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         positive = lumbre.ops.cast(lumbre.ops.greater(y_pred, 0.5), self.dtype)
        ...         self.seen.assign_add(lumbre.ops.sum(positive))
        ...     def result(self):
        ...         return self.seen.value
        >>> Positives()([1, 0, 1], [0.9, 0.2, 0.6]).item()
        2.0
    """

    _direction: str | None = None  # "up" where more is better, "down" where less is

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self._variables: list[Variable] = []
        self._metrics: list[Metric] = []
        self.name = name or auto_name(type(self).__name__)
        self._dtype: str = getattr(dtype, "compute_dtype", dtype) or floatx()

    @property
    def dtype(self) -> str:
        """The dtype of the state, where a Variable is given none."""
        return self._dtype

    @property
    def variables(self) -> list[Variable]:
        """The state: the metric's own Variables, then those of metrics inside it."""
        self._check_initialized()
        return [*self._variables, *(v for m in self._metrics for v in m.variables)]

    def add_variable(
        self,
        shape: tuple[int, ...],
        initializer: Any,
        dtype: str | None = None,
        aggregation: str | None = "sum",
        name: str | None = None,
    ) -> Variable:
        """A new Variable of the state, which `reset_state` sets to zero.

        Args:
            shape: Its shape.
            initializer: What it starts as: an initializer or its name.
            dtype: Its dtype; by default the metric's.
            aggregation: Accepted for compatibility: there is only one replica.
            name: Its name.
        """
        self._check_initialized()
        variable = Variable(
            initializers.get(initializer),
            shape=tuple(shape),
            dtype=dtype or self.dtype,
            trainable=False,
            name=name,
        )
        self._variables.append(variable)
        return variable

    def add_weight(
        self,
        shape: tuple[int, ...] = (),
        initializer: Any = None,
        dtype: str | None = None,
        name: str | None = None,
    ) -> Variable:
        """`add_variable` under the name that layers use for it; a scalar 0 by default."""
        return self.add_variable(shape, initializer or "zeros", dtype=dtype, name=name)

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Takes in a batch; each kind of metric says what of it: often `y_true`, `y_pred`, `sample_weight`.

        Example:
            >>> import lumbre
            >>> mean = lumbre.metrics.Mean()
            >>> mean.update_state([1.0, 3.0])
            >>> mean.update_state([8.0])
            >>> mean.result().item()
            4.0
            >>> mean.reset_state()
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `update_state()`")

    def result(self) -> Any:
        """The present value, a Tensor (or a dict of them)."""
        raise NotImplementedError(f"{type(self).__name__} must implement `result()`")

    def reset_state(self) -> None:
        """Forgets all batches."""
        for v in self.variables:
            v.assign(ops.zeros(v.shape, dtype=v.dtype))

    def stateless_update_state(
        self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any
    ) -> list[Tensor]:
        """What `update_state` makes of a state given as values; the metric's own stays as it is.

        Raises:
            ValueError: There is not one value for each Variable.

        Example:
            >>> import lumbre
            >>> mean = lumbre.metrics.Mean()
            >>> state = mean.stateless_update_state(mean.stateless_reset_state(), [1.0, 3.0])
            >>> mean.stateless_result(state).item(), mean.result().item()
            (2.0, 0.0)
        """
        with self._in_state(metric_variables) as scope:
            self.update_state(*args, **kwargs)
            return [scope.get_current_value(v).detach() for v in self.variables]

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """`result` of a state given as values.

        Raises:
            ValueError: There is not one value for each Variable.
        """
        with self._in_state(metric_variables):
            return self.result()

    def stateless_reset_state(self) -> list[Tensor]:
        """The values of a state that has seen nothing."""
        return [ops.zeros(v.shape, dtype=v.dtype) for v in self.variables]

    def _in_state(self, values: Sequence[Any]) -> StatelessScope:
        """Within it the Variables have these values."""
        return StatelessScope.of(self, [("metric_variables", self.variables, values)])

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor | Any:
        """Takes in a batch and returns the value over all batches so far."""
        self._check_initialized()
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain Python values."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """The metric that `get_config` described."""
        return cls(**config)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (Variable, Metric)):
            self._check_initialized()
            mine: list[Any] = self._variables if isinstance(value, Variable) else self._metrics
            if all(known is not value for known in mine):
                mine.append(value)
        super().__setattr__(name, value)

    def _check_initialized(self) -> None:
        if "_variables" not in self.__dict__:
            raise RuntimeError(
                "You forgot to call `super().__init__()` in the `__init__()` method. Go add it!"
            )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"
