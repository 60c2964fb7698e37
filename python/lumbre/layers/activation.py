"""Activations as layers of their own."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from lumbre import activations, constraints, initializers, ops, regularizers
from lumbre.layers.input_spec import InputSpec
from lumbre.layers.layer import Layer


def _masked_logit(dtype: str) -> float:
    """What a masked position counts as: so low that its share is 0."""
    return -3e4 if dtype == "float16" else -1e9


class _Elementwise(Layer):
    """A layer without weights whose outputs have the shape of its inputs."""

    _exact_shapes = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class Activation(_Elementwise):
    """Applies an activation function.

    Args:
        activation: A function or its name.

    Example:
        >>> import lumbre
        >>> lumbre.layers.Activation("relu")(lumbre.ops.ones((1, 2)) * -1).numpy()
        array([[0., 0.]], dtype=float32)
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


class ReLU(_Elementwise):
    """`max(inputs, 0)`, optionally leaky, bounded and with another threshold.

    Args:
        max_value: The largest output; no bound by default.
        negative_slope: The slope below the threshold.
        threshold: The value below which the slope applies.

    Raises:
        ValueError: An argument is negative.

    Example:
        >>> import lumbre
        >>> lumbre.layers.ReLU(max_value=1.0)(lumbre.ops.ones((1, 2)) * 3).numpy()
        array([[1., 1.]], dtype=float32)
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if max_value is not None and max_value < 0:
            raise ValueError(
                f"max_value of a ReLU layer cannot be a negative value. Received: max_value={max_value}"
            )
        if negative_slope is None or negative_slope < 0:
            raise ValueError(
                "negative_slope of a ReLU layer cannot be None or a negative value. "
                f"Received: negative_slope={negative_slope}"
            )
        if threshold is None or threshold < 0:
            raise ValueError(
                "threshold of a ReLU layer cannot be None or a negative value. "
                f"Received: threshold={threshold}"
            )
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def call(self, inputs: Any) -> Any:
        return activations.relu(
            inputs,
            negative_slope=self.negative_slope,
            max_value=self.max_value,
            threshold=self.threshold,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


class LeakyReLU(_Elementwise):
    """The inputs where they are positive, `negative_slope * inputs` elsewhere.

    Args:
        negative_slope: The slope below zero.

    Raises:
        ValueError: The slope is None or negative.

    Example:
        >>> import lumbre
        >>> lumbre.layers.LeakyReLU(0.5)(lumbre.ops.ones((1, 2)) * -1).numpy()
        array([[-0.5, -0.5]], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        if "alpha" in kwargs:  # its name before Keras 3
            negative_slope = kwargs.pop("alpha")
            warnings.warn("Argument `alpha` is deprecated. Use `negative_slope` instead.", stacklevel=2)
        super().__init__(**kwargs)
        if negative_slope is None or negative_slope < 0:
            raise ValueError(
                "The negative_slope value of a Leaky ReLU layer cannot be None or negative value. "
                f"Expected a float. Received: negative_slope={negative_slope}"
            )
        self.negative_slope = negative_slope

    def call(self, inputs: Any) -> Any:
        return activations.leaky_relu(inputs, negative_slope=self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "negative_slope": self.negative_slope}


class PReLU(Layer):
    """The inputs where they are positive, `alpha * inputs` elsewhere, with learned slopes.

    Args:
        alpha_initializer: How the slopes start.
        alpha_regularizer: A penalty on the slopes.
        alpha_constraint: A projection of the slopes after each update.
        shared_axes: Axes (from 1) along which one slope is shared.

    Example:
        >>> import lumbre
        >>> lumbre.layers.PReLU()(lumbre.ops.ones((1, 2)) * -1).numpy()
        array([[0., 0.]], dtype=float32)
    """

    _exact_shapes = True

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes

    def build(self, input_shape: Any) -> None:
        shape = list(input_shape[1:])
        for axis in self.shared_axes or ():
            shape[axis - 1] = 1
        self.alpha = self.add_weight(
            shape=shape,
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            name="alpha",
        )
        shared = self.shared_axes or ()
        axes = {i: n for i, n in enumerate(input_shape) if i > 0 and i not in shared}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=axes)

    def call(self, inputs: Any) -> Any:
        return ops.subtract(ops.relu(inputs), ops.multiply(self.alpha, ops.relu(-inputs)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha_initializer": initializers.serialize(self.alpha_initializer),
            "alpha_regularizer": regularizers.serialize(self.alpha_regularizer),
            "alpha_constraint": constraints.serialize(self.alpha_constraint),
            "shared_axes": None if self.shared_axes is None else list(self.shared_axes),
        }


class ELU(_Elementwise):
    """The inputs where they are positive, `alpha * (exp(inputs) - 1)` elsewhere.

    Args:
        alpha: The limit far below zero, with its sign turned.

    Example:
        >>> import lumbre
        >>> lumbre.layers.ELU()(lumbre.ops.zeros((1, 2))).numpy()
        array([[0., 0.]], dtype=float32)
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Any) -> Any:
        return activations.elu(inputs, alpha=self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


class Softmax(_Elementwise):
    """`exp(inputs)` scaled so that it adds up to one along an axis.

    Args:
        axis: The axis, or several.

    Call arguments:
        inputs: The logits.
        mask: Booleans that broadcast to the inputs; where False, the output is zero.

    Raises:
        ValueError: The mask does not broadcast to the inputs.

    Example:
        >>> import lumbre
        >>> lumbre.layers.Softmax()(lumbre.ops.zeros((1, 2))).numpy()
        array([[0.5, 0.5]], dtype=float32)
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis if isinstance(axis, int) else tuple(axis)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return self._softmax(inputs)
        _check_mask(inputs.shape, mask.shape)
        kept = mask if mask.dtype == "bool" else ops.greater(mask, 0.5)
        outputs = self._softmax(ops.where(kept, inputs, _masked_logit(inputs.dtype)))
        return ops.where(kept, outputs, 0.0)  # where everything is masked, too

    def _softmax(self, inputs: Any) -> Any:
        if isinstance(self.axis, int):
            return activations.softmax(inputs, axis=self.axis)
        if len(self.axis) == 1:
            return activations.softmax(inputs, axis=self.axis[0])
        return ops.exp(inputs - ops.logsumexp(inputs, axis=self.axis, keepdims=True))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


def _check_mask(shape: tuple[int, ...], mask_shape: tuple[int, ...]) -> None:
    if len(mask_shape) > len(shape):
        problem = "and must not have more dimensions"
    elif any(m not in (1, n) for m, n in zip(mask_shape[::-1], shape[::-1], strict=False)):
        problem = "Each mask dimension must be 1 or match the corresponding input dimension"
    else:
        return
    raise ValueError(
        f"The `mask` must be broadcastable to `inputs`. {problem}. "
        f"Received: inputs.shape={shape}, mask.shape={mask_shape}"
    )
