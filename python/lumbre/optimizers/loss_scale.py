"""A loss scale that finds its own size, around another optimizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lumbre import initializers, ops
from lumbre.autograd import Tensor, as_tensor, no_grad
from lumbre.lookup import unknown_options
from lumbre.optimizers.optimizer import Optimizer, only_if
from lumbre.tensor import Variable


class LossScaleOptimizer(Optimizer):
    """Multiplies the loss, and divides the gradients, by as large a number as keeps them finite.

    Small gradients are then not lost to a narrow floating-point format. A step whose gradients are not
    all finite is left out and halves the scale; after `dynamic_growth_steps` finite steps in a row the
    scale doubles. Source: Micikevicius et al. 2018, Mixed Precision Training.

    Args:
        inner_optimizer: The optimizer that makes the steps; its `loss_scale_factor` is set to None.
        initial_scale: The scale at the start.
        dynamic_growth_steps: How many finite steps double the scale.
        name: A name.

    The shared arguments of optimizers belong to the inner optimizer.

    Raises:
        ValueError: A shared argument is given here.
        TypeError: The inner optimizer is none.

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable([1.0])
        >>> optimizer = lumbre.optimizers.LossScaleOptimizer(lumbre.optimizers.SGD(0.5), initial_scale=8.0)
        >>> optimizer.build([w])
        >>> optimizer.scale_loss(2.0).item()
        16.0
        >>> optimizer.apply([lumbre.Tensor([8.0])], [w])
        >>> optimizer.apply([lumbre.Tensor([float("inf")])], [w])
        >>> w.numpy(), float(optimizer.dynamic_scale)
        (array([0.5], dtype=float32), 4.0)
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(inner_optimizer, Optimizer):
            raise TypeError(
                "LossScaleOptimizer: `inner_optimizer` must be an optimizer. Received: "
                f"inner_optimizer={inner_optimizer!r}"
            )
        if not kwargs.pop("dynamic", True):
            raise ValueError(
                "LossScaleOptimizer no longer supports `dynamic=False`. Instead, simply set "
                "`loss_scale_factor` directly on the `inner_optimizer`."
            )
        for key, default in _SHARED_DEFAULTS.items():
            if kwargs.pop(key, default) != default:
                raise ValueError(
                    f"LossScaleOptimizer does not support `{key}`. Instead, set `{key}` on the "
                    "`inner_optimizer`."
                )
        if kwargs:
            hints = unknown_options(kwargs, LossScaleOptimizer.__init__)
            raise ValueError(
                f"LossScaleOptimizer does not support arguments: `{'`, `'.join(kwargs)}`.{hints}"
            )
        super().__init__(0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.initial_scale = initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps
        inner_optimizer.loss_scale_factor = None  # or gradients would be scaled twice

    def build(self, variables: Iterable[Variable]) -> None:
        if self.built:
            return
        variables = list(variables)
        start = initializers.Constant(self.initial_scale)
        self.step_counter = self.add_variable((), "zeros", dtype="int32", name="step_counter")
        self.dynamic_scale = self.add_variable((), start, dtype="float32", name="dynamic_scale")
        self.inner_optimizer.build(variables)
        super().build(variables)

    @property
    def variables(self) -> list[Variable]:
        """The iteration count and learning rate of the wrapper, which stay 0, its own, the inner's."""
        return [*self._variables, *self.inner_optimizer.variables]

    def apply(self, grads: Iterable[Any], trainable_variables: Iterable[Variable] | None = None) -> None:
        """One step of the inner optimizer, unless a gradient is not finite."""
        gradients = list(grads)
        if not gradients:
            return
        variables = self._check_variables(gradients, trainable_variables)
        with no_grad():
            tensors = [None if g is None else as_tensor(g) for g in gradients]
            finite = _all_finite([g for g in tensors if g is not None])
            scale = self.dynamic_scale.value
            unscaled = [None if g is None else ops.divide(g, ops.cast(scale, g.dtype)) for g in tensors]
            touched = [*variables, *self.inner_optimizer.variables]
            if self.inner_optimizer.use_ema:
                known = {id(v) for v in touched}
                touched += [v for v in self._trainable_variables if id(v) not in known]
            only_if(finite, touched, lambda: self.inner_optimizer.apply(unscaled, variables))
            self._rescale(finite)

    def _rescale(self, finite: Tensor) -> None:
        """Doubles the scale after enough finite steps; halves it after one that was not."""
        count = ops.add(self.step_counter, 1)
        full = ops.logical_and(finite, ops.greater_equal(count, self.dynamic_growth_steps))
        factor = ops.where(finite, ops.where(full, 2.0, 1.0), 0.5)
        self.dynamic_scale.assign(ops.multiply(self.dynamic_scale, factor))
        counting = ops.logical_and(finite, ops.logical_not(full))
        self.step_counter.assign(ops.where(counting, count, ops.zeros_like(count)))

    @property
    def learning_rate(self) -> Any:
        """The inner optimizer's."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    @property
    def iterations(self) -> Any:
        """How many steps were made, by the inner optimizer."""
        return self.inner_optimizer.iterations

    def scale_loss(self, loss: Any) -> Any:
        """The loss times the scale."""
        return ops.multiply(loss, self.dynamic_scale if self.built else self.initial_scale)

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Passes it on to the inner optimizer."""
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)

    def enter_training(self, var_list: Iterable[Variable]) -> None:
        self.inner_optimizer.enter_training(var_list)

    def leave_training(self, var_list: Iterable[Variable]) -> None:
        self.inner_optimizer.leave_training(var_list)

    def get_config(self) -> dict[str, Any]:
        from lumbre.optimizers import serialize

        return {
            "name": self.name,
            "inner_optimizer": serialize(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer:
        from lumbre.optimizers import deserialize

        config = dict(config)
        inner = deserialize(config.pop("inner_optimizer"), custom_objects)
        return cls(inner, **config)


_SHARED_DEFAULTS = {
    "weight_decay": None,
    "clipnorm": None,
    "global_clipnorm": None,
    "clipvalue": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


def _all_finite(gradients: list[Tensor]) -> Tensor:
    finite = [ops.all(ops.isfinite(g)) for g in gradients]
    return ops.all(ops.stack(finite)) if finite else as_tensor(True)
