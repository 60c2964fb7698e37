"""AdamW without a schedule: gradients are taken at one point, and an average of others is the result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Unpack

from lumbre import ops
from lumbre.autograd import Tensor, no_grad
from lumbre.optimizers.elementwise import Elementwise
from lumbre.optimizers.optimizer import Rate, Shared
from lumbre.tensor import Variable


class ScheduleFreeAdamW(Elementwise):
    """AdamW that needs no decay of its learning rate, nor to know when training ends.

    Three sequences: z takes Adam's steps (without momentum), x is the mean of all z, and gradients are
    taken at y between them. In step t, with v as in `Adam`:
    `z -= learning_rate · g / (sqrt(v / (1 - β₂ᵗ)) + epsilon)`, `x += (z - x) / t`,
    `y = (1 - β₁) z + β₁ x`. Source: Defazio et al. 2024, The Road Less Scheduled.

    The weights to train at, y, are not those to use, x. The model's parameters hold y only during the
    steps of an epoch of `fit`: at the end of each epoch, before validation and `on_epoch_end`, they
    become x, and y again when the next begins. So metrics on validation data, checkpoints,
    `restore_best_weights` and the trained model are about x, and there is no `train()` or `eval()` to
    forget. In a loop of your own, call `enter_training(variables)` before and
    `leave_training(variables)` after training, or at least `finalize_variable_values(variables)` at
    the end; a step finds out by itself (from a Variable, `averaged`) which of the two it was given. If
    weights are set while the parameters hold x, training goes on from these as x.

    A slot holds z; x is not kept but follows from y and z, so that memory and time are Adam's.

    Args:
        learning_rate: A float, a `LearningRateSchedule`, or a function without arguments. A constant
            is what this is made for; 1 to 10 times that of AdamW with a schedule.
        beta_1: The share of x in y, from 0 (excluded) to 1.
        beta_2: What v keeps of itself at each step.
        epsilon: Keeps the division finite.
        warmup_steps: Over how many steps the learning rate rises to its value.

    The other arguments are those of `Optimizer`.

    Raises:
        ValueError: `beta_1` is not in (0, 1].

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable([1.0])
        >>> optimizer = lumbre.optimizers.ScheduleFreeAdamW(learning_rate=0.5, beta_1=0.5)
        >>> for g in (4.0, -4.0):
        ...     optimizer.apply([lumbre.Tensor([g])], [w])
        >>> w.numpy().round(4)
        array([0.875], dtype=float32)
        >>> optimizer.leave_training([w])
        >>> w.numpy().round(4)
        array([0.75], dtype=float32)
    """

    rule = "schedule_free_adamw"
    numbers = ("beta_1", "beta_2", "epsilon", "warmup_steps")
    slots = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: Rate = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(learning_rate, **shared)
        if not 0 < beta_1 <= 1:
            raise ValueError(f"`beta_1` must be in the range (0, 1]. Received: beta_1={beta_1}")
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.warmup_steps = warmup_steps

    def build(self, variables: Iterable[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        for z, v in zip(self._slots[0], self._trainable_variables, strict=True):
            z.assign(v.value)
        self._averaged = self.add_variable((), "zeros", name="averaged")

    def _scalars(self) -> Sequence[Any]:
        return (self._averaged,)

    def update_all(
        self, grads: list[Tensor], variables: list[Variable], learning_rate: Any, **before: Any
    ) -> None:
        super().update_all(grads, variables, learning_rate, **before)
        self._averaged.assign(0.0)

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        self.update_all([gradient], [variable], learning_rate)

    def enter_training(self, var_list: Iterable[Variable]) -> None:
        if not self.built:
            return
        variables = self._known(var_list)
        if not int(self.iterations):  # the weights may have been set since z was
            for v, z in zip(variables, self._slots_of(variables)[0], strict=True):
                z.assign(v.value)
        elif float(self._averaged.numpy()):
            self._move(variables, self.beta_1)
        self._averaged.assign(0.0)

    def leave_training(self, var_list: Iterable[Variable]) -> None:
        if self.built and int(self.iterations) and not float(self._averaged.numpy()):
            self._move(self._known(var_list), 1.0 / self.beta_1)
            self._averaged.assign(1.0)

    def _move(self, variables: list[Variable], factor: float) -> None:
        """Moves weights on their line through z: β₁ times as far from it is from x to y, 1 / β₁ back."""
        with no_grad():
            for v, z in zip(variables, self._slots_of(variables)[0], strict=True):
                away = ops.multiply(ops.subtract(v.value, z.value), factor)
                v.assign(ops.add(z.value, away))

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Parameters become x; with `use_ema` the averages of y, as with any optimizer."""
        variables = list(var_list)
        self.leave_training(variables)
        super().finalize_variable_values(variables)

    def save_own_variables(self, store: Any) -> None:
        """Writes all variables into a mapping in Keras's layout.

        Keras knows no x. That the parameters hold it is written where only we look: as an attribute of
        the group in an HDF5 file, else behind the rest.
        """
        count = len(self.variables) - self.built
        for i, v in enumerate(self.variables[:count]):
            store[str(i)] = v.numpy()
        if self.built and hasattr(store, "set_attribute"):
            store.set_attribute("averaged", float(self._averaged.numpy()))
        elif self.built:
            store[str(count)] = self._averaged.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Sets all variables from what `save_own_variables`, or Keras's, wrote."""
        own = self.variables
        if not self.built or not hasattr(store, "attribute"):
            self._load(store, own)
            return
        self._load(store, own[:-1])
        averaged = store.attribute("averaged")
        self._averaged.assign(0.0 if averaged is None else float(averaged))
