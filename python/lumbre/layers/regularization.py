"""Noise in training, penalties on outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lumbre import ops, random, regularizers
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
        if not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
            raise ValueError(
                "Invalid value received for argument `rate`. Expected a float value between 0 and 1. "
                f"Received: rate={rate}"
            )
        super().__init__(seed, active=rate > 0, **kwargs)
        self.rate = rate
        self.noise_shape = _checked_noise_shape(noise_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        noise_shape = self.noise_shape
        if noise_shape is not None:
            pairs = zip(noise_shape, inputs.shape, strict=True)
            noise_shape = tuple(size if n is None else n for n, size in pairs)
        return random.dropout(inputs, self.rate, noise_shape=noise_shape, seed=self.seed_generator)

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
        if not isinstance(stddev, (int, float)) or not 0 <= stddev <= 1:
            raise ValueError(
                "Invalid value received for argument `stddev`. Expected a float value between 0 and 1. "
                f"Received: stddev={stddev}"
            )
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
