"""Dense and the layers that do next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lumbre import activations, constraints, initializers, ops, regularizers
from lumbre.layers.input_spec import InputSpec
from lumbre.layers.layer import Layer
from lumbre.ops.products import FUSED_ACTIVATIONS

# By identity, since any callable may be an activation, also one that cannot be hashed.
_fused: dict[int, str | None] = {id(activations.linear): None}
_fused.update({id(activations.get(name)): name for name in FUSED_ACTIVATIONS if name})


def fused_name(activation: Callable[..., Any]) -> str | None:
    """The name under which `ops.linear` applies an activation itself, "" where it does not."""
    return _fused.get(id(activation), "")


class Dense(Layer):
    """`activation(inputs @ kernel + bias)` along the last axis.

    Args:
        units: The size of the output's last axis.
        activation: A function or its name; none by default.
        use_bias: Whether there is a bias.
        kernel_initializer: How the kernel, of shape (inputs, units), starts.
        bias_initializer: How the bias, of shape (units,), starts.
        kernel_regularizer: A penalty on the kernel.
        bias_regularizer: A penalty on the bias.
        activity_regularizer: A penalty on the outputs.
        kernel_constraint: A projection of the kernel after each update.
        bias_constraint: A projection of the bias after each update.

    Inputs of shape (batch, …, inputs) give outputs of shape (batch, …, units).

    Raises:
        ValueError: `units` is not a positive integer; the last axis of an input has another size
            than the layer was built for.

    Example:
        >>> import lumbre
        >>> lumbre.layers.Dense(4, activation="relu")(lumbre.ops.ones((2, 3))).shape
        (2, 4)
    """

    _exact_shapes = True

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(units, int) or units <= 0:
            raise ValueError(
                f"Received an invalid value for `units`, expected a positive integer. Received: units={units}"
            )
        kwargs.pop("quantization_config", None)  # written by Keras, None unless quantized
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = units
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.kernel: Any = None
        self.bias: Any = None
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        width = input_shape[-1]
        if width is None:
            raise ValueError(
                f"The last dimension of the inputs to layer '{self.name}' (Dense) must be known. "
                f"Received: input_shape={input_shape}"
            )
        self.kernel = self.add_weight(
            shape=(width, self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: width})

    def call(self, inputs: Any) -> Any:
        name = fused_name(self.activation)
        if name != "":
            return ops.linear(inputs, self.kernel, self.bias, activation=name)  # (b, …, units)
        return self.activation(ops.linear(inputs, self.kernel, self.bias))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }


class Identity(Layer):
    """Returns its inputs.

    Example:
        >>> import lumbre
        >>> lumbre.layers.Identity()(lumbre.ops.ones((1, 2))).shape
        (1, 2)
    """

    _exact_shapes = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class Masking(Layer):
    """Marks the time steps to skip: those where every feature equals `mask_value`.

    The outputs are the inputs with these steps set to zero, and carry the mask, of shape
    (batch, time), to the layers that follow.

    Args:
        mask_value: The value that fills a step to skip.

    Example:
        >>> import numpy as np
        >>> import lumbre
        >>> y = lumbre.layers.Masking()(np.array([[[1.0, 2.0], [0.0, 0.0]]]))
        >>> y.shape
        (1, 2, 2)
    """

    _exact_shapes = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value
        self.supports_masking = True
        self.built = True

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs: Any) -> Any:
        kept = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)  # (b, t, 1)
        return inputs * ops.cast(kept, inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mask_value": self.mask_value}
