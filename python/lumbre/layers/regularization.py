"""Noise in training, penalties on outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lumbre import ops, random, regularizers
from lumbre.config import image_data_format
from lumbre.layers.input_spec import InputSpec
from lumbre.layers.layer import Layer
from lumbre.random import SeedGenerator


class _TrainingOnly(Layer):
    """A random layer that is the identity outside training."""

    _exact_shapes = True

    def __init__(self, seed: int | None, active: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if seed is not None and not isinstance(seed, int):
            raise ValueError(f"Argument `seed` must be an integer. Received: seed={seed}")
        self.seed = seed
        if active:
            self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


def _check_share(name: str, value: Any, below: bool = False) -> None:
    """Refuses what is no number from 0 to 1 (with `below`, 1 is refused, too)."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:
        raise ValueError(
            f"Invalid value received for argument `{name}`. Expected a float value between 0 and 1. "
            f"Received: {name}={value}"
        )
    if below and value == 1:
        raise ValueError(
            f"Invalid value received for argument `{name}`. Expected a float value below 1, where nothing of "
            f"the inputs would be left. Received: {name}={value}"
        )


class Dropout(_TrainingOnly):
    """In training, sets a random part of the inputs to zero and scales the rest up.

    Kept values are divided by the probability of being kept, so that the expected sum stays.
    Source: Srivastava et al. 2014, Dropout: A Simple Way to Prevent Neural Networks from Overfitting.

    Args:
        rate: The probability of being dropped, 0 to 1.
        noise_shape: A shape that broadcasts to the inputs (None: the inputs' size); sizes of 1
            drop together.
        seed: A seed for the draws; by default a new one from the process's generator.

    Raises:
        ValueError: The rate is outside 0 to 1, or another argument is not valid.

    Example:
        >>> import lumbre
        >>> lumbre.layers.Dropout(0.5)(lumbre.ops.ones((1, 3)), training=False).numpy()
        array([[1., 1., 1.]], dtype=float32)
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        _check_share("rate", rate)
        super().__init__(seed, active=rate > 0, **kwargs)
        self.rate = rate
        self.noise_shape = _checked_noise_shape(noise_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        noise_shape = self._noise_shape(inputs)
        return random.dropout(inputs, self.rate, noise_shape=noise_shape, seed=self.seed_generator)

    def _noise_shape(self, inputs: Any) -> tuple[int, ...] | None:
        if self.noise_shape is None:
            return None
        pairs = zip(self.noise_shape, inputs.shape, strict=True)
        return tuple(size if n is None else n for n, size in pairs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rate": self.rate,
            "seed": self.seed,
            "noise_shape": self.noise_shape,
        }


def _checked_noise_shape(noise_shape: Any) -> tuple[int | None, ...] | None:
    if noise_shape is None:
        return None
    valid = isinstance(noise_shape, Sequence) and all(
        n is None or (isinstance(n, int) and n > 0) for n in noise_shape
    )
    if not valid:
        raise ValueError(
            "Invalid value received for argument `noise_shape`. Expected an iterable of integers "
            f"(e.g., a tuple or list). Received: noise_shape={noise_shape}"
        )
    return tuple(noise_shape)


class AlphaDropout(Dropout):
    """A `Dropout` for networks with `selu`: it keeps the mean 0 and the variance 1 of its inputs.

    In training, a random part of the inputs is set to what `selu` tends to far below zero, and an affine
    function of the result restores the moments. Source: Klambauer et al. 2017, Self-Normalizing Neural
    Networks.

    Args:
        rate: The probability of being dropped, 0 to 1 (excluded).
        noise_shape: A shape that broadcasts to the inputs (None: the inputs' size); sizes of 1
            drop together.
        seed: A seed for the draws; by default a new one from the process's generator.

    Raises:
        ValueError: The rate is outside 0 to 1, or another argument is not valid.

    Example:
        >>> import lumbre
        >>> lumbre.layers.AlphaDropout(0.5)(lumbre.ops.ones((1, 3)), training=False).numpy()
        array([[1., 1., 1.]], dtype=float32)
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        _check_share("rate", rate, below=True)
        super().__init__(rate, noise_shape, seed, **kwargs)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        noise_shape = self._noise_shape(inputs)
        return ops.random.alpha_dropout(inputs, self.rate, noise_shape, seed=self.seed_generator)


class _SpatialDropout(Dropout):
    """A `Dropout` of whole feature maps: one draw for all positions of a feature in a sample."""

    _rank: int

    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, seed=seed, **kwargs)
        known = ("channels_first", "channels_last")
        if data_format is not None and data_format not in known:
            raise ValueError(
                f"The `data_format` argument must be one of {known}. Received: data_format={data_format}"
            )
        self.data_format = data_format or image_data_format()
        self.input_spec = InputSpec(ndim=self._rank)

    def _noise_shape(self, inputs: Any) -> tuple[int, ...]:
        channel = 1 if self.data_format == "channels_first" else self._rank - 1
        return tuple(n if axis in (0, channel) else 1 for axis, n in enumerate(inputs.shape))

    def get_config(self) -> dict[str, Any]:
        config = {"rate": self.rate, "seed": self.seed, "name": self.name, "dtype": self.dtype}
        return {**config, "data_format": self.data_format}


class SpatialDropout1D(_SpatialDropout):
    """In training, drops whole features of (batch, time, features): neighbouring steps carry the same news.

    Source: Tompson et al. 2015, Efficient Object Localization Using Convolutional Networks.

    Args:
        rate: The probability of being dropped, 0 to 1.
        seed: A seed for the draws; by default a new one from the process's generator.

    Raises:
        ValueError: The rate is outside 0 to 1, or the inputs have another rank than 3.

    Example:
        >>> import lumbre
        >>> y = lumbre.layers.SpatialDropout1D(0.5, seed=1)(lumbre.ops.ones((1, 4, 3)), training=True)
        >>> bool((y.numpy() == y.numpy()[:, :1]).all())
        True
    """

    _rank = 3

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, "channels_last", seed, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["data_format"]
        return config


class SpatialDropout2D(_SpatialDropout):
    """In training, drops whole feature maps of images (batch, rows, columns, channels).

    Source: Tompson et al. 2015, Efficient Object Localization Using Convolutional Networks.

    Args:
        rate: The probability of being dropped, 0 to 1.
        data_format: "channels_last", or "channels_first" for (batch, channels, rows, columns).
        seed: A seed for the draws; by default a new one from the process's generator.

    Raises:
        ValueError: The rate is outside 0 to 1, the format is neither, or the inputs' rank is not 4.

    Example:
        >>> import lumbre
        >>> lumbre.layers.SpatialDropout2D(0.5)(lumbre.ops.ones((1, 4, 4, 3))).shape
        (1, 4, 4, 3)
    """

    _rank = 4


class SpatialDropout3D(_SpatialDropout):
    """In training, drops whole feature maps of volumes (batch, x, y, z, channels).

    Source: Tompson et al. 2015, Efficient Object Localization Using Convolutional Networks.

    Args:
        rate: The probability of being dropped, 0 to 1.
        data_format: "channels_last", or "channels_first" for (batch, channels, x, y, z).
        seed: A seed for the draws; by default a new one from the process's generator.

    Raises:
        ValueError: The rate is outside 0 to 1, the format is neither, or the inputs' rank is not 5.

    Example:
        >>> import lumbre
        >>> lumbre.layers.SpatialDropout3D(0.5)(lumbre.ops.ones((1, 2, 2, 2, 3))).shape
        (1, 2, 2, 2, 3)
    """

    _rank = 5


class GaussianDropout(_TrainingOnly):
    """In training, multiplies the inputs by normal noise with mean 1 and variance rate / (1 - rate).

    That is the variance that `Dropout` of this rate brings. Source: Srivastava et al. 2014, Dropout: A
    Simple Way to Prevent Neural Networks from Overfitting, section 10.

    Args:
        rate: The rate of the `Dropout` that it takes the place of, 0 to 1 (excluded).
        seed: A seed for the draws; by default a new one from the process's generator.

    Raises:
        ValueError: The rate is outside 0 to 1.

    Example:
        >>> import lumbre
        >>> lumbre.layers.GaussianDropout(0.5)(lumbre.ops.ones((1, 3))).numpy()
        array([[1., 1., 1.]], dtype=float32)
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        _check_share("rate", rate, below=True)
        super().__init__(seed, active=rate > 0, **kwargs)
        self.rate = rate

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        return ops.random.gaussian_dropout(inputs, self.rate, seed=self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class GaussianNoise(_TrainingOnly):
    """In training, adds normal noise with mean zero.

    Args:
        stddev: The standard deviation, 0 to 1.
        seed: A seed for the draws.

    Raises:
        ValueError: `stddev` is outside 0 to 1.

    Example:
        >>> import lumbre
        >>> lumbre.layers.GaussianNoise(0.1)(lumbre.ops.ones((1, 3))).numpy()
        array([[1., 1., 1.]], dtype=float32)
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        _check_share("stddev", stddev)
        super().__init__(seed, active=stddev > 0, **kwargs)
        self.stddev = stddev

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.stddev == 0:
            return inputs
        noise = random.normal(
            inputs.shape, mean=0.0, stddev=self.stddev, dtype=self.compute_dtype, seed=self.seed_generator
        )
        return ops.add(inputs, noise)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


class ActivityRegularization(Layer):
    """Returns its inputs, and adds `l1 * sum(|x|) + l2 * sum(x²)`, per sample, to the loss.

    Args:
        l1: The factor of the absolute values.
        l2: The factor of the squares.

    Example:
        >>> import lumbre
        >>> layer = lumbre.layers.ActivityRegularization(l1=0.5)
        >>> y = layer(lumbre.ops.ones((2, 3)))
        >>> layer.losses[0].item()
        1.5
    """

    _exact_shapes = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.supports_masking = True
        self.l1 = l1
        self.l2 = l2
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("activity_regularizer", None)
        return {**config, "l1": self.l1, "l2": self.l2}
