"""What optimizers remember: the step count, the learning rate, a slot or more for each parameter."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lumbre import initializers, ops
from lumbre.autograd import Tensor
from lumbre.capture import Tracked
from lumbre.config import floatx
from lumbre.optimizers import schedules
from lumbre.optimizers.schedules.schedule import check_rate, check_schedule
from lumbre.tensor import Variable


class OptimizerState(Tracked):
    """The Variables of an optimizer. What is done with them is `Optimizer`'s."""

    # Assigning these only writes to a Variable, or sets something that Tracked sees by itself.
    _untracked = frozenset({"learning_rate", "iterations"})

    name: str
    built: bool
    gradient_accumulation_steps: int | None
    _iterations: Variable
    _learning_rate: Any

    def __init__(self) -> None:
        self.built = False
        self._variables: list[Variable] = []
        self._trainable_variables: list[Variable] = []
        self._index: dict[int, int] = {}

    def _number(self) -> None:
        """Gives each parameter its place among the slots."""
        self._index = {id(v): i for i, v in enumerate(self._trainable_variables)}

    def __setstate__(self, state: dict[str, Any]) -> None:  # of a copy, whose Variables are its own
        self.__dict__.update(state)
        self._number()

    def _rate(self, learning_rate: Any) -> Any:
        """The learning rate as it is kept: a schedule, a function, or a Variable."""
        if callable(learning_rate) and not isinstance(learning_rate, (Tensor, Variable)):
            check_schedule(learning_rate)
            return learning_rate
        if not isinstance(learning_rate, float):
            raise ValueError(
                "Argument `learning_rate` should be float, or an instance of LearningRateSchedule, or a "
                "callable (that takes in the current iteration value and returns the corresponding "
                f"learning rate value). Received instead: learning_rate={learning_rate}"
            )
        check_rate("learning_rate", learning_rate)
        return self._own(Variable(learning_rate, dtype=floatx(), trainable=False, name="learning_rate"))

    def _own(self, variable: Variable) -> Variable:
        variable.path = f"{self.name}/{variable.name}"
        self._variables.append(variable)
        return variable

    @property
    def variables(self) -> list[Variable]:
        """The iteration count, the learning rate unless it is a schedule, and the slots."""
        return list(self._variables)

    @property
    def iterations(self) -> Any:
        """How many updates were made."""
        if self.gradient_accumulation_steps:
            return ops.floor_divide(self._iterations, self.gradient_accumulation_steps)
        return self._iterations

    @property
    def learning_rate(self) -> Any:
        """The present learning rate: a Variable, or what the schedule or function gives."""
        if isinstance(self._learning_rate, schedules.LearningRateSchedule):
            return self._learning_rate(self._iterations.value)
        return self._learning_rate if isinstance(self._learning_rate, Variable) else self._learning_rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, schedules.LearningRateSchedule) or (
            callable(value) and not isinstance(value, (Tensor, Variable))
        ):
            check_schedule(value)
            if isinstance(self._learning_rate, Variable):
                self._variables = [v for v in self._variables if v is not self._learning_rate]
            self._learning_rate = value
        elif isinstance(self._learning_rate, schedules.LearningRateSchedule):
            raise TypeError(
                "This optimizer was created with a `LearningRateSchedule` object as its `learning_rate` "
                "constructor argument, hence its learning rate is not settable. If you need the "
                "learning rate to be settable, you should instantiate the optimizer with a float "
                "`learning_rate` argument."
            )
        elif isinstance(self._learning_rate, Variable):
            check_rate("learning_rate", value)
            self._learning_rate.assign(value)
        else:
            raise TypeError(
                "the learning rate of this optimizer is a function, which a number cannot replace: "
                "create the optimizer with a float `learning_rate`"
            )

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: str | None = None,
        name: str | None = None,
    ) -> Variable:
        """A new Variable of the optimizer's state."""
        start = initializers.get(initializer)
        return self._own(Variable(start, shape=tuple(shape), dtype=dtype, trainable=False, name=name))

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """A slot: a new Variable of the shape and dtype of a parameter."""
        reference = reference_variable.path.replace("/", "_")
        return self.add_variable(
            reference_variable.shape,
            initializer,
            dtype=reference_variable.dtype,
            name=f"{reference}_{name or 'var'}",
        )

    def add_optimizer_variables(
        self, trainable_variables: Iterable[Variable], name: str | Sequence[str], initializer: Any = "zeros"
    ) -> Any:
        """A slot for each parameter, as a list; with several names, a list of each kind of slot."""
        names = [name] if isinstance(name, str) else list(name)
        several = isinstance(initializer, (list, tuple))
        starts = list(initializer) if several else [initializer] * len(names)
        slots: list[list[Variable]] = [[] for _ in names]
        for v in trainable_variables:
            for kind, n, start in zip(slots, names, starts, strict=True):
                kind.append(self.add_variable_from_reference(v, n, start))
        return slots[0] if isinstance(name, str) else slots

    def _get_variable_index(self, variable: Variable) -> int:
        return self._index[id(variable)]

    def assign(self, variable: Variable, value: Any) -> None:
        """Sets a variable: what Keras's optimizers call within `update_step`."""
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """Adds to a variable."""
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """Subtracts from a variable."""
        variable.assign_sub(value)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets all variables of the optimizer, in the order of `variables`.

        Raises:
            ValueError: The number of values or one of their shapes does not fit; nothing is set then.
        """
        if not self.built:
            raise ValueError(
                "You are calling `set_weights()` on an optimizer that has not yet been built. Please call "
                "`optimizer.build(trainable_variables)` to create the optimizer weights before calling "
                "`set_weights()`."
            )
        if len(weights) != len(self.variables):
            raise ValueError(
                f"optimizer {self.name} has {len(self.variables)} variables, got {len(weights)} values"
            )
        values = [np.asarray(w) for w in weights]
        for v, w in zip(self.variables, values, strict=True):
            if v.shape != w.shape:
                raise ValueError(
                    f"Optimizer variable {v.path} has shape {v.shape} not compatible with provided weight "
                    f"shape {w.shape}."
                )
        for v, w in zip(self.variables, values, strict=True):
            v.assign(w)

    def save_own_variables(self, store: Any) -> None:
        """Writes all variables into a mapping, under their numbers and in Keras's layout."""
        for i, v in enumerate(self.variables):
            store[str(i)] = v.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Sets all variables from what `save_own_variables` wrote.

        What an optimizer that had not made a step wrote sets the step count and the learning rate only.

        Raises:
            ValueError: A shape does not fit; nothing is set then.

        Warns:
            UserWarning: There are more or fewer; nothing is set.
        """
        self._load(store, self.variables)

    def _load(self, store: Any, own: Sequence[Variable | None]) -> None:
        """Sets Variables from the values of their numbers; those in the place of a None are passed over."""
        count = len(store)
        shape = getattr(store, "shape", lambda key: np.shape(store[key]))
        shapes = [shape(str(i)) for i in range(count)]
        if count != len(own) and (count > 2 or any(s != () for s in shapes)):
            warnings.warn(
                f"Skipping variable loading for optimizer '{self.name}', because it has {len(own)} variables "
                f"whereas the saved optimizer has {count} variables.",
                stacklevel=3,
            )
            return
        for v, found in zip(own, shapes, strict=False):
            if v is not None and v.shape != found:
                raise ValueError(
                    f"Optimizer variable {v.path} has shape {v.shape} not compatible with provided weight "
                    f"shape {found}."
                )
        for i, v in enumerate(own[:count]):
            if v is not None:
                v.assign(store[str(i)])
