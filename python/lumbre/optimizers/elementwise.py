"""The base of the optimizers that are one formula for each element: one kernel call, one pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor
from lumbre.optimizers.optimizer import Optimizer
from lumbre.tensor import Variable


class Elementwise(Optimizer):
    """An optimizer whose formula is a row of `rust/kernels/src/ops/optimizer`.

    A subclass names the row in `rule`, its constants (attributes of the same names, which are also
    its part of the config) in `numbers`, and its slots, in the row's order, in `slots`.
    """

    rule = ""
    numbers: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    fused = True

    def build(self, variables: Iterable[Variable]) -> None:
        if self.built:
            return
        variables = list(variables)
        super().build(variables)
        self._slots = self._make_slots(variables)

    def _make_slots(self, variables: list[Variable]) -> list[list[Variable]]:
        """For each kind of slot a list, of one slot for each variable."""
        slots: list[list[Variable]]
        slots = self.add_optimizer_variables(variables, self.slots, self._slot_initializers())
        return slots

    def _slot_initializers(self) -> Any:
        """What slots start from: one initializer for all kinds, or a list."""
        return "zeros"

    def _scalars(self) -> Sequence[Any]:
        """The row's scalar operands."""
        return ()

    def _numbers(self) -> dict[str, Any]:
        """The row's constants."""
        return {name: getattr(self, name) for name in self.numbers}

    def _slots_of(self, variables: list[Variable]) -> list[list[Variable]]:
        at = [self._get_variable_index(v) for v in variables]
        return [[kind[i] for i in at] for kind in self._slots]

    def update_all(
        self, grads: list[Tensor], variables: list[Variable], learning_rate: Any, **before: Any
    ) -> None:
        ops.optimizer_update(
            self.rule,
            variables,
            grads,
            self._slots_of(variables),
            learning_rate,
            self.iterations,
            self._scalars(),
            **before,
            **self._numbers(),
        )

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        self.update_all([gradient], [variable], learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **{name: getattr(self, name) for name in self.numbers}}
