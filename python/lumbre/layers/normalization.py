"""Normalization: batch, layer, root mean square, unit."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from lumbre import constraints, initializers, ops, regularizers
from lumbre.layers.input_spec import InputSpec
from lumbre.layers.layer import Layer


class _Normalization(Layer):
    """A layer whose outputs have the shape of its inputs, with a weight for each position along an axis."""

    _exact_shapes = True
    axis: Any

    def compute_output_shape(self, input_shape: Any) -> Any:
        self._axes(input_shape)
        return input_shape

    def _axes(self, input_shape: Any) -> tuple[int, ...]:
        """The axes, counted from the front, in ascending order."""
        rank = len(input_shape)
        axes = (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        for axis in axes:
            if not -rank <= axis < rank:
                raise ValueError(
                    f"Axis {axis} is out of bounds for input shape {tuple(input_shape)}. "
                    f"Received: axis={self.axis} (layer '{self.name}')"
                )
        return tuple(sorted(axis % rank for axis in axes))

    def _sizes(self, input_shape: Any) -> tuple[int, ...]:
        """The sizes along the axes, which must be known."""
        sizes = tuple(input_shape[axis] for axis in self._axes(input_shape))
        if None in sizes:
            raise ValueError(
                f"The size along axis={self.axis} of the inputs to layer '{self.name}' "
                f"({type(self).__name__}) must be known. Received: input_shape={input_shape}"
            )
        return sizes


class _Affine(_Normalization):
    """A normalization that ends in a learned factor γ and a learned offset β."""

    def __init__(
        self,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        beta_regularizer: Any,
        gamma_regularizer: Any,
        beta_constraint: Any,
        gamma_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.supports_masking = True
        self.gamma: Any = None
        self.beta: Any = None

    def _build_affine(self, shape: tuple[int, ...]) -> None:
        if self.scale:
            self.gamma = self.add_weight(
                shape=shape,
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                name="gamma",
            )
        if self.center:
            self.beta = self.add_weight(
                shape=shape,
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                name="beta",
            )

    def _affine_config(self) -> dict[str, Any]:
        return {
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": constraints.serialize(self.beta_constraint),
            "gamma_constraint": constraints.serialize(self.gamma_constraint),
        }


class BatchNormalization(_Affine):
    """Gives every feature mean 0 and variance 1 over the batch, then a learned mean β and deviation γ.

    In training, `y = γ · (x - mean) / sqrt(variance + epsilon) + β` with the moments of the batch (the
    variance is the biased one), and the moving statistics become
    `momentum · old + (1 - momentum) · new`. Otherwise, and where `trainable` is False, the moving
    statistics take the place of the batch's and stay as they are. Source: Ioffe and Szegedy 2015, Batch
    Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift.

    Args:
        axis: The axis of the features.
        momentum: How much of the moving statistics stays.
        epsilon: Added to the variance.
        center: Whether there is a β.
        scale: Whether there is a γ; a following linear layer can do without.
        beta_initializer: How β starts.
        gamma_initializer: How γ starts.
        moving_mean_initializer: How the moving mean starts.
        moving_variance_initializer: How the moving variance starts.
        beta_regularizer: A penalty on β.
        gamma_regularizer: A penalty on γ.
        beta_constraint: A projection of β after each update.
        gamma_constraint: A projection of γ after each update.
        renorm: Must be False: batch renormalization is not supported.
        renorm_clipping: Accepted as in Keras; it belongs to `renorm`.
        renorm_momentum: Accepted as in Keras; it belongs to `renorm`.
        synchronized: Accepted as in Keras: there is one replica.

    Call arguments:
        inputs: A tensor of any rank.
        training: Whether to use, and learn from, the moments of the batch.
        mask: Booleans of the inputs' shape without the last axis. Positions with False do not count in
            the moments.

    Raises:
        ValueError: `renorm` is set; `momentum`, `epsilon` or the axis is out of range; the mask has
            another rank.

    Warns:
        UserWarning: Once, if a batch has a single value of each feature in training: it is its own mean,
            the output is β whatever the input, and nothing can be learned from it.

    Example:
        >>> import lumbre
        >>> layer = lumbre.layers.BatchNormalization()
        >>> layer(lumbre.Tensor([[1.0], [3.0]]), training=True).numpy().round(2)
        array([[-1.],
               [ 1.]], dtype=float32)
        >>> layer.moving_mean.numpy().round(4)
        array([0.02], dtype=float32)
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Any = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        if renorm:
            raise ValueError(
                "BatchNormalization does not support batch renormalization. Received: renorm=True; leave it "
                "out, or use LayerNormalization, which does not depend on the batch either"
            )
        super().__init__(
            *(center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer),
            *(beta_constraint, gamma_constraint),
            **kwargs,
        )
        self.axis = int(axis)
        if not 0 <= momentum <= 1:
            raise ValueError(
                "Argument `momentum` must be a number from 0 (the moving statistics are the last batch's) "
                f"to 1 (they never change). Received: momentum={momentum}"
            )
        self.momentum = float(momentum)
        self.epsilon = _checked_epsilon(epsilon)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.renorm = renorm
        self.renorm_clipping = renorm_clipping
        self.renorm_momentum = renorm_momentum
        self.synchronized = synchronized
        self.moving_mean: Any = None
        self.moving_variance: Any = None

    def build(self, input_shape: Any) -> None:
        shape = self._sizes(input_shape)
        self._build_affine(shape)
        self.moving_mean = self.add_weight(
            shape=shape, initializer=self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape=shape, initializer=self.moving_variance_initializer, trainable=False, name="moving_variance"
        )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: shape[0]})

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None and len(mask.shape) != len(inputs.shape) - 1:
            raise ValueError(
                "The mask provided should be one dimension less than the inputs. "
                f"Received: mask.shape={mask.shape}, inputs.shape={inputs.shape}"
            )
        if not (training and self.trainable):
            y = ops.batch_normalization(
                *(inputs, self.moving_mean, self.moving_variance, self.axis, self.beta, self.gamma),
                epsilon=self.epsilon,
            )
            return ops.cast(y, self.compute_dtype)
        (axis,) = self._axes(inputs.shape)
        if inputs.shape[axis] and math.prod(inputs.shape) == inputs.shape[axis]:
            self._warn_of_a_single_row(inputs.shape)
        last = axis == len(inputs.shape) - 1
        if mask is not None and not last:
            raise ValueError(
                f"layer '{self.name}' (BatchNormalization) takes a mask only where the features are the last "
                f"axis. Received: axis={self.axis}, inputs.shape={inputs.shape}, mask.shape={mask.shape}"
            )
        rows = inputs if last else ops.moveaxis(inputs, axis, -1)
        y = ops.batch_normalization_training(
            *(rows, self.gamma, self.beta, mask),
            moving=(self.moving_mean, self.moving_variance),
            momentum=self.momentum,
            epsilon=self.epsilon,
        )
        return ops.cast(y if last else ops.moveaxis(y, -1, axis), self.compute_dtype)

    def _warn_of_a_single_row(self, shape: tuple[int, ...]) -> None:
        if self.__dict__.get("_warned"):
            return
        self.__dict__["_warned"] = True  # not an attribute that recorded steps depend on
        warnings.warn(
            f"Layer '{self.name}' (BatchNormalization) was called in training on inputs of shape {shape}, "
            "with a single value of each feature: it is its own mean, so the output is beta whatever the "
            "input, and the moving variance is drawn to 0. Use larger batches (the last one of an epoch may "
            "be small: choose a batch size that leaves no single sample) or LayerNormalization.",
            stacklevel=2,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            **self._affine_config(),
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
            "synchronized": self.synchronized,
            "renorm": self.renorm,
            "renorm_clipping": self.renorm_clipping,
            "renorm_momentum": self.renorm_momentum,
        }


def _checked_epsilon(epsilon: Any) -> float:
    good = isinstance(epsilon, (int, float)) and not isinstance(epsilon, bool) and math.isfinite(epsilon)
    if not good or epsilon < 0:
        raise ValueError(
            f"Argument `epsilon` must be a finite number, not negative. Received: epsilon={epsilon}"
        )
    return float(epsilon)


def _checked_axis(axis: Any) -> int | list[int]:
    if isinstance(axis, (list, tuple)):
        return list(axis)
    if isinstance(axis, int):
        return axis
    raise TypeError(
        f"Expected an int or a list/tuple of ints for the argument 'axis', but received: {axis!r}"
    )


class LayerNormalization(_Affine):
    """Gives every sample mean 0 and variance 1 over its features, then a learned mean β and deviation γ.

    `y = γ · (x - mean) / sqrt(variance + epsilon) + β`, with the moments of each row for itself: in
    training and afterwards alike, whatever the batch. Source: Ba, Kiros and Hinton 2016, Layer
    Normalization.

    Args:
        axis: The axis of the features, or several.
        epsilon: Added to the variance.
        center: Whether there is a β.
        scale: Whether there is a γ.
        beta_initializer: How β starts.
        gamma_initializer: How γ starts.
        beta_regularizer: A penalty on β.
        gamma_regularizer: A penalty on γ.
        beta_constraint: A projection of β after each update.
        gamma_constraint: A projection of γ after each update.
        rms_scaling: Must be False, as Keras advises: it scaled by the variance; see `RMSNormalization`.

    Raises:
        TypeError: The axis is no int and no list of them.
        ValueError: The axis is out of range; `epsilon` is negative or not finite; `rms_scaling` is set.

    Example:
        >>> import lumbre
        >>> lumbre.layers.LayerNormalization()(lumbre.Tensor([[1.0, 3.0]])).numpy().round(2)
        array([[-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        *,
        rms_scaling: bool = False,
        **kwargs: Any,
    ) -> None:
        if rms_scaling:
            raise ValueError(
                "LayerNormalization does not support rms_scaling=True, which scaled by the variance and not "
                "by the root mean square: use RMSNormalization"
            )
        super().__init__(
            *(center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer),
            *(beta_constraint, gamma_constraint),
            **kwargs,
        )
        self.axis = _checked_axis(axis)
        self.epsilon = _checked_epsilon(epsilon)
        self.autocast = False  # narrow inputs are normalized in float32

    def build(self, input_shape: Any) -> None:
        self._build_affine(self._sizes(input_shape))

    def call(self, inputs: Any) -> Any:
        y = ops.layer_normalization(inputs, self.gamma, self.beta, self._axes(inputs.shape), self.epsilon)
        return ops.cast(y, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self.axis,
            "epsilon": self.epsilon,
            "rms_scaling": False,
            **self._affine_config(),
        }


class RMSNormalization(_Normalization):
    """`scale · x / sqrt(mean(x²) + epsilon)`, with the mean over the features of each sample.

    Source: Zhang and Sennrich 2019, Root Mean Square Layer Normalization.

    Args:
        axis: The axis of the features, or several.
        epsilon: Added to the mean of the squares.

    Raises:
        TypeError: The axis is no int and no list of them.
        ValueError: The axis is out of range.

    Example:
        >>> import lumbre
        >>> lumbre.layers.RMSNormalization()(lumbre.Tensor([[1.0, -7.0]])).numpy().round(2)
        array([[ 0.2, -1.4]], dtype=float32)
    """

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _checked_axis(axis)
        self.epsilon = _checked_epsilon(epsilon)
        self.supports_masking = True
        self.scale: Any = None

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(shape=self._sizes(input_shape), initializer="ones", name="scale")

    def call(self, inputs: Any) -> Any:
        return ops.rms_normalization(inputs, self.scale, self._axes(inputs.shape), self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}


class UnitNormalization(_Normalization):
    """`x / ‖x‖`: every sample gets Euclidean norm 1 over its features.

    Args:
        axis: The axis of the features, or several.

    Raises:
        TypeError: The axis is no int and no list of them.
        ValueError: The axis is out of range.

    Example:
        >>> import lumbre
        >>> lumbre.layers.UnitNormalization()(lumbre.Tensor([[3.0, 4.0]])).numpy()
        array([[0.6, 0.8]], dtype=float32)
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _checked_axis(axis)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any) -> Any:
        return ops.normalize(inputs, axis=self._axes(inputs.shape), order=2, epsilon=1e-12)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}
