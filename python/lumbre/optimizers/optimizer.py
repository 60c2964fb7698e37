"""The base of all optimizers: everything but the rule by which one parameter follows its gradient."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypedDict

from lumbre import ops, watching
from lumbre.autograd import Tensor, as_tensor, no_grad
from lumbre.lookup import Gone, auto_name, unknown_options
from lumbre.optimizers import clipping, schedules
from lumbre.optimizers.schedules.schedule import check_rate
from lumbre.optimizers.state import OptimizerState
from lumbre.scopes import StatelessScope
from lumbre.tensor import Variable


class SharedButDecay(TypedDict, total=False):
    """The shared arguments of an optimizer with a weight decay of its own."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


class Shared(SharedButDecay, total=False):
    """The arguments that every optimizer has: those of `Optimizer` but the learning rate."""

    weight_decay: float | None


class Optimizer(OptimizerState):
    """A rule for following gradients.

    A subclass defines `build(variables)`, which creates its slots, and `update_step(gradient,
    variable, learning_rate)`, which assigns to the variable. One that can update all parameters in a
    single kernel call defines `update_all` beside it, and with `fused = True` receives there what
    `_before` returns, too, to clip and decay in the same pass.

    A step is: scale back, clip, decay weights, update, average, apply constraints, count.

    Args:
        learning_rate: A float, a `LearningRateSchedule`, or a function without arguments.
        weight_decay: The share, times the learning rate, by which weights shrink before each update.
        clipnorm: Each gradient is shortened to this norm.
        clipvalue: Each element of a gradient is cut to this magnitude.
        global_clipnorm: All gradients together are shortened to this norm.
        use_ema: Whether to keep an exponential moving average of the parameters, which replaces
            them at the end of `fit`.
        ema_momentum: What the average keeps of itself at each step.
        ema_overwrite_frequency: After every so many steps the average replaces the parameters.
        loss_scale_factor: What the loss is multiplied by (`scale_loss`) and gradients divided by.
        gradient_accumulation_steps: How many steps' gradients are averaged into one update.
        name: A name.

    Raises:
        ValueError: An argument is unknown or out of its range.
        TypeError: A float is set as learning rate in the place of a schedule.

    Example:
        >>> import lumbre
        >>> class SignDescent(lumbre.optimizers.Optimizer):
        ...     def update_step(self, gradient, variable, learning_rate):
        ...         variable.assign_sub(lumbre.ops.sign(gradient) * learning_rate)
        >>> w = lumbre.Variable([1.0, 2.0])
        >>> SignDescent(learning_rate=0.5).apply([lumbre.Tensor([3.0, -0.1])], [w])
        >>> w.numpy()
        array([0.5, 2.5], dtype=float32)
    """

    fused = False
    """Whether `update_all` clips gradients and decays weights itself."""

    lr = Gone("use `learning_rate`")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Spells the shared arguments out in the signature of a class that passes them on."""
        super().__init_subclass__(**kwargs)
        own = [p for p in inspect.signature(cls.__init__).parameters.values() if p.name != "self"]
        if own and own[-1].kind is inspect.Parameter.VAR_KEYWORD:
            base = inspect.signature(Optimizer.__init__).parameters
            named = {p.name for p in own}
            shared = [
                p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
                for name, p in base.items()
                if name in Shared.__annotations__ and name not in named
            ]
            cls.__signature__ = inspect.Signature([*own[:-1], *shared, own[-1]])  # type: ignore[attr-defined]

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("decay", None) is not None:
            warnings.warn("Argument `decay` is no longer supported and will be ignored.", stacklevel=3)
        if kwargs:
            hints = unknown_options(kwargs, type(self).__init__, Optimizer.__init__)
            raise ValueError(f"Argument(s) not recognized: {kwargs}.{hints}")
        self.name = name or auto_name(type(self).__name__)
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._check_options()
        super().__init__()
        self._averages: list[Variable] = []
        self._accumulators: list[Variable] = []
        self._no_decay: list[re.Pattern[str]] = []
        self._not_decayed: list[Variable] = []
        self._iterations = self._own(Variable(0, dtype="int64", trainable=False, name="iteration"))
        self._learning_rate: Any = self._rate(learning_rate)

    def _check_options(self) -> None:
        clips = (self.clipnorm, self.clipvalue, self.global_clipnorm)
        if sum(c is not None for c in clips) > 1:
            raise ValueError(
                "Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: "
                f"clipnorm={self.clipnorm}, clipvalue={self.clipvalue}, "
                f"global_clipnorm={self.global_clipnorm}"
            )
        for name in ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "loss_scale_factor"):
            check_rate(name, getattr(self, name))
        if self.use_ema and not 0 <= self.ema_momentum <= 1:
            raise ValueError(
                f"`ema_momentum` must be in the range [0, 1]. Received: ema_momentum={self.ema_momentum}"
            )
        every = self.ema_overwrite_frequency
        if self.use_ema and every is not None and (not isinstance(every, int) or every < 1):
            raise ValueError(
                "`ema_overwrite_frequency` must be an integer >= 1 or None. "
                f"Received: ema_overwrite_frequency={every}"
            )
        steps = self.gradient_accumulation_steps
        if steps is not None and (not isinstance(steps, int) or steps < 2):
            raise ValueError(
                "`gradient_accumulation_steps` must be an integer >= 2. "
                f"Received: gradient_accumulation_steps={steps}"
            )

    def build(self, variables: Iterable[Variable]) -> None:
        """Creates the slots of these variables, which are then the ones that can be updated."""
        self._trainable_variables = list(variables)
        self._number()
        if self.use_ema:
            self._averages = self.add_optimizer_variables(self._trainable_variables, "average")
        if self.gradient_accumulation_steps:
            self._accumulators = self.add_optimizer_variables(
                self._trainable_variables, "gradient_accumulator"
            )
        self.built = True

    # ------------------------------------------------------------------------------- step

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Any:
        """One step from pairs of gradient and variable. Returns the number of updates so far."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self.iterations

    def apply(self, grads: Iterable[Any], trainable_variables: Iterable[Variable] | None = None) -> None:
        """One step.

        Args:
            grads: A gradient per variable; None where there is none, which leaves that one out.
            trainable_variables: The variables, by default those that the optimizer was built with.

        Raises:
            ValueError: There is no gradient at all, or a variable is not one of those that the
                optimizer was built with.

        Example:
            >>> import lumbre
            >>> v = lumbre.Variable([1.0, 2.0])
            >>> lumbre.optimizers.SGD(0.5).apply([lumbre.Tensor([1.0, 1.0])], [v])
            >>> v.numpy().tolist()
            [0.5, 1.5]
        """
        gradients = list(grads)
        if not gradients:
            return
        variables = self._check_variables(gradients, trainable_variables)
        gradients, variables = _drop_missing(gradients, variables)
        with no_grad():
            tensors = [as_tensor(g, v.dtype) for g, v in zip(gradients, variables, strict=True)]
            _check_shapes(tensors, variables)
            if self.loss_scale_factor:
                tensors = [ops.divide(g, self.loss_scale_factor) for g in tensors]
            with watching.update(tensors, variables):
                if self.gradient_accumulation_steps:
                    self._accumulate(tensors, variables, self.gradient_accumulation_steps)
                else:
                    self._update(tensors, variables)
                if self.use_ema:
                    self._average()
                for v in variables:
                    if v.constraint is not None:
                        v.assign(v.constraint(v.value))
            ops.increment(self._iterations)

    def _check_variables(self, grads: list[Any], given: Iterable[Variable] | None) -> list[Variable]:
        if given is None:
            if not self.built:
                raise ValueError(
                    "When passing `grads` without `variables`, the optimizer must already be built on a "
                    "list of variables. Call `optimizer.build(trainable_variables)` first."
                )
            variables = self._trainable_variables
        else:
            variables = list(given)
            if not self.built:
                self.build(variables)
        for v in variables:
            if id(v) not in self._index:
                raise ValueError(
                    f"Unknown variable: {v}. This optimizer can only be called for the variables it was "
                    "originally built with. When working with a new set of variables, you should "
                    "recreate a new optimizer instance."
                )
        if len(grads) != len(variables):
            raise ValueError(
                "When passing `grads` as a list of gradient tensors, the gradients must match "
                f"`optimizer.variables` one-to-on. Received a list of {len(grads)} gradients, but the "
                f"optimizer is tracking {len(variables)} trainable variables."
            )
        return variables

    def _update(self, grads: list[Tensor], variables: list[Variable]) -> None:
        rate = self.learning_rate
        rate = rate if isinstance(rate, (Tensor, Variable)) else as_tensor(float(rate), "float32")
        # A subclass that redefines `update_step` below a class with `update_all` means the former.
        owner = next(c for c in type(self).__mro__ if "update_step" in vars(c))
        if "update_all" in vars(owner) and self.fused:
            self.update_all(grads, variables, rate, **self._before(grads, variables))
            return
        grads = self._clip(grads)
        self._decay(variables, rate)
        update = type(self).update_all if "update_all" in vars(owner) else Optimizer.update_all
        update(self, grads, variables, rate)

    def _before(self, grads: list[Tensor], variables: list[Variable]) -> dict[str, Any]:
        """What is done to gradients and weights before the update, as arguments of `optimizer_update`.

        Clipping to norms takes a pass over the gradients, for the norms.
        """
        before: dict[str, Any] = {"clipvalue": self.clipvalue}
        if self.clipnorm is not None and self.clipnorm > 0:
            before["factors"] = clipping.norm_factors(grads, self.clipnorm)
        elif self.global_clipnorm is not None and self.global_clipnorm > 0:
            before["factors"] = clipping.global_norm_factor(grads, self.global_clipnorm)
        if self.weight_decay is not None:
            before["weight_decay"] = self.weight_decay
            before["decayed"] = [int(self._decays(v)) for v in variables]
        return before

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        """Updates one variable, and its slots, by assigning to them."""
        raise NotImplementedError(f"{type(self).__name__} must implement `update_step()`")

    def update_all(
        self, grads: list[Tensor], variables: list[Variable], learning_rate: Any, **before: Any
    ) -> None:
        """Updates all variables: one after the other, where a subclass has nothing faster."""
        for g, v in zip(grads, variables, strict=True):
            self.update_step(g, v, learning_rate)

    def _clip(self, grads: list[Tensor]) -> list[Tensor]:
        before = self._before(grads, [])
        if before.get("factors") is not None:
            grads = clipping.scale(grads, before["factors"])
        return clipping.clip_by_value(grads, self.clipvalue) if self.clipvalue else grads

    def _decay(self, variables: list[Variable], rate: Any) -> None:
        if self.weight_decay is not None:
            decaying = [v for v in variables if self._decays(v)]
            ops.optimizer_update("decay", decaying, [], [], rate, weight_decay=self.weight_decay)

    def _decays(self, variable: Variable) -> bool:
        excluded = any(variable is v for v in self._not_decayed)
        return not excluded and not any(p.search(variable.name) for p in self._no_decay)

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Names variables that weight decay leaves alone, before training starts.

        Args:
            var_list: Variables.
            var_names: Regular expressions; variables in whose name one is found are left alone.

        Example:
            >>> import lumbre
            >>> lumbre.optimizers.AdamW().exclude_from_weight_decay(var_names=["bias", "gamma"])
        """
        self._no_decay = [re.compile(name) for name in var_names or ()]
        self._not_decayed = list(var_list or ())

    def _accumulate(self, grads: list[Tensor], variables: list[Variable], steps: int) -> None:
        """Collects the gradients, and updates with their mean at every `steps`-th call.

        Which call that is is data, not control flow, so that a recorded step does the same: the
        update is made at every call, and taken back at those where it is not due.
        """
        sums = [self._accumulators[self._get_variable_index(v)] for v in variables]
        collected = [ops.add(s.value, g) for s, g in zip(sums, grads, strict=True)]
        due = ops.equal(ops.mod(ops.add(self._iterations, 1), steps), 0)
        kept = {id(v) for v in (self._iterations, self._learning_rate, *self._averages, *self._accumulators)}
        touched = [*variables, *(v for v in self._variables if id(v) not in kept)]
        means = [ops.divide(c, float(steps)) for c in collected]
        only_if(due, touched, lambda: self._update(means, variables))
        for s, c in zip(sums, collected, strict=True):
            s.assign(ops.where(due, ops.zeros_like(c), c))

    def stateless_apply(
        self, optimizer_variables: Sequence[Any], grads: Sequence[Any], trainable_variables: Sequence[Any]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """One step with other values of the parameters and of the optimizer's state, which stay as they are.

        Args:
            optimizer_variables: The values of `variables`.
            grads: The gradients.
            trainable_variables: The values of the parameters that the optimizer was built with.

        Returns:
            The new values of the parameters and of `variables`.

        Raises:
            ValueError: The optimizer is not built, or the number of values or a shape is another.

        Source: `keras.optimizers.Optimizer.stateless_apply`.
        """
        if not self.built:
            raise ValueError(
                f"To call `stateless_apply`, {type(self).__name__} must be built (i.e. its variables must "
                "have been created). You can build it via `optimizer.build(trainable_variables)`."
            )
        known = [
            ("optimizer_variables", self.variables, optimizer_variables),
            ("trainable_variables", self._trainable_variables, trainable_variables),
        ]
        with StatelessScope.of(self, known) as scope:
            self.apply(grads, self._trainable_variables)
        trained, state = ([scope.get_current_value(v) for v in known[i][1]] for i in (1, 0))
        return trained, state

    # ---------------------------------------------------------------------------- average

    def _average(self) -> None:
        """Moves the averages on, from the parameters themselves at the first step."""
        started = ops.not_equal(self.iterations, 0)
        keep = ops.multiply(ops.cast(started, "float32"), self.ema_momentum)
        ops.optimizer_update("average", self._averages, self._trainable_variables, [], keep)
        if self.ema_overwrite_frequency:
            due = ops.equal(ops.mod(ops.add(self.iterations, 1), self.ema_overwrite_frequency), 0)
            for v, average in zip(self._trainable_variables, self._averages, strict=True):
                v.assign(ops.where(due, average.value, v.value))

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """What `fit` calls at its end: with `use_ema`, parameters become their averages."""
        if self.use_ema:
            for v in self._known(var_list):
                v.assign(self._averages[self._get_variable_index(v)].value)

    def enter_training(self, var_list: Iterable[Variable]) -> None:
        """What `fit` calls before the steps of an epoch: parameters become what gradients are taken at.

        Only an optimizer that infers with other parameters than it trains defines it; see
        `ScheduleFreeAdamW`.
        """

    def leave_training(self, var_list: Iterable[Variable]) -> None:
        """What `fit` calls after the steps of an epoch: parameters become those to infer with."""

    def _known(self, var_list: Iterable[Variable]) -> list[Variable]:
        """Those of the variables that this optimizer was built with."""
        return [v for v in var_list if id(v) in self._index]

    # --------------------------------------------------------------------- scaling, config

    def scale_loss(self, loss: Any) -> Any:
        """The loss that gradients are to be taken of."""
        return ops.multiply(loss, self.loss_scale_factor) if self.loss_scale_factor else loss

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain Python values."""
        rate = self._learning_rate
        if isinstance(rate, Variable):
            rate = float(rate.numpy())
        elif isinstance(rate, schedules.LearningRateSchedule):
            rate = schedules.serialize(rate)
        return {
            "name": self.name,
            "learning_rate": rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer:
        """The optimizer that `get_config` described."""
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = schedules.deserialize(config["learning_rate"], custom_objects)
        return cls(**config)


def only_if(condition: Tensor, variables: Sequence[Variable], act: Callable[[], None]) -> None:
    """Does something, and takes it back in these Variables where the condition, a tensor, is false.

    The condition is data, not control flow, so that a recorded step does the same.
    """
    before = [v.value for v in variables]
    act()
    for v, old in zip(variables, before, strict=True):
        v.assign(ops.where(condition, v.value, old))


def _drop_missing(grads: list[Any], variables: list[Variable]) -> tuple[list[Any], list[Variable]]:
    """The pairs that have a gradient; a warning names the variables that have none."""
    missing = [v.name for g, v in zip(grads, variables, strict=True) if g is None]
    if len(missing) == len(variables):
        raise ValueError("No gradients provided for any variable.")
    if missing:
        warnings.warn(
            f"Gradients do not exist for variables {missing} when minimizing the loss. If using "
            "`model.compile()`, did you forget to provide a `loss` argument?",
            stacklevel=3,
        )
    kept = [(g, v) for g, v in zip(grads, variables, strict=True) if g is not None]
    return [g for g, _ in kept], [v for _, v in kept]


def _check_shapes(grads: list[Tensor], variables: list[Variable]) -> None:
    for g, v in zip(grads, variables, strict=True):
        if g.shape != v.shape:
            raise ValueError(
                f"optimizer: the gradient of variable {v.path} has shape {g.shape}, expected {v.shape}, the "
                "variable's own"
            )


Rate = float | schedules.LearningRateSchedule | Callable[[], Any]
