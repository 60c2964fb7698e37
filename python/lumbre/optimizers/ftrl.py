"""Following the regularized leader."""

from __future__ import annotations

from typing import Any, Unpack

from lumbre import initializers
from lumbre.optimizers.elementwise import Elementwise
from lumbre.optimizers.optimizer import Rate, Shared


class Ftrl(Elementwise):
    """Follows the regularized leader: made for sparse linear models, whose weights it sets to exactly 0.

    With p = -learning_rate_power and η the learning rate, `a' = a + g²`,
    `l += g + 2 s w - (a'ᵖ - aᵖ) / η · w`, and
    `w = (clip(l, -l1, l1) - l) / (a'ᵖ / η + 2 l2 + beta / η)`, where s is the shrinkage. Source:
    McMahan et al. 2013, Ad Click Prediction: a View from the Trenches.

    Args:
        learning_rate: A float, a `LearningRateSchedule`, or a function without arguments.
        learning_rate_power: How rates fall with the squares seen: -0.5 as in Adagrad, 0 not at all.
        initial_accumulator_value: What a starts from.
        l1_regularization_strength: l1.
        l2_regularization_strength: l2.
        l2_shrinkage_regularization_strength: s, a penalty on the size of weights like the usual one.
        beta: A constant on the rate's denominator.

    The other arguments are those of `Optimizer`.

    Raises:
        ValueError: The power is positive, or one of the strengths or the initial value is negative.

    Example:
        >>> import lumbre
        >>> w = lumbre.Variable([1.0, 1.0])
        >>> optimizer = lumbre.optimizers.Ftrl(0.5, l1_regularization_strength=1.0)
        >>> optimizer.apply([lumbre.Tensor([4.0, 0.0])], [w])
        >>> w.numpy().round(3)
        array([0.298, 0.   ], dtype=float32)
    """

    rule = "ftrl"
    slots = ("accumulator", "linear")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(learning_rate, **shared)
        if learning_rate_power > 0:
            raise ValueError(
                "`learning_rate_power` needs to be negative or zero. Received: "
                f"learning_rate_power={learning_rate_power}."
            )
        for name, value in (
            ("initial_accumulator_value", initial_accumulator_value),
            ("l1_regularization_strength", l1_regularization_strength),
            ("l2_regularization_strength", l2_regularization_strength),
            ("l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength),
        ):
            if value < 0:
                raise ValueError(f"`{name}` needs to be positive or zero. Received: {name}={value}.")
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta

    def _slot_initializers(self) -> Any:
        return [initializers.Constant(self.initial_accumulator_value), "zeros"]

    def _numbers(self) -> dict[str, Any]:
        return {
            "learning_rate_power": self.learning_rate_power,
            "l1": self.l1_regularization_strength,
            "l2": self.l2_regularization_strength,
            "shrinkage": self.l2_shrinkage_regularization_strength,
            "beta": self.beta,
        }

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "learning_rate_power": self.learning_rate_power,
            "initial_accumulator_value": self.initial_accumulator_value,
            "l1_regularization_strength": self.l1_regularization_strength,
            "l2_regularization_strength": self.l2_regularization_strength,
            "l2_shrinkage_regularization_strength": self.l2_shrinkage_regularization_strength,
            "beta": self.beta,
        }
