"""The base of all initializers, and those that draw nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbre import ops
from lumbre.autograd import Tensor, as_tensor
from lumbre.config import floatx
from lumbre.lookup import Options


class Initializer(Options):
    """What fills a new weight. Subclasses define `__call__(shape, dtype=None)` and `get_config`.

    Example:
        >>> import lumbre
        >>> class Sevens(lumbre.initializers.Initializer):
        ...     def __call__(self, shape, dtype=None):
        ...         return lumbre.ops.full(shape, 7.0, dtype=dtype)
        >>> Sevens()((2,)).numpy()
        array([7., 7.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        raise NotImplementedError("Initializer subclasses must implement the `__call__()` method.")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain Python values."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """The initializer that `get_config` described."""
        return cls(**config)

    def clone(self) -> Initializer:
        """Another initializer of the same configuration."""
        return type(self).from_config(self.get_config())


class Zeros(Initializer):
    """All elements are 0.

    Example:
        >>> import lumbre
        >>> lumbre.initializers.Zeros()((2,)).numpy()
        array([0., 0.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        return ops.zeros(tuple(shape), dtype=dtype or floatx())


class Ones(Initializer):
    """All elements are 1.

    Example:
        >>> import lumbre
        >>> lumbre.initializers.Ones()((2,)).numpy()
        array([1., 1.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        return ops.ones(tuple(shape), dtype=dtype or floatx())


class Constant(Initializer):
    """All elements are `value`: a number, or an array that broadcasts to the shape.

    Example:
        >>> import lumbre
        >>> lumbre.initializers.Constant(10.0)((2,)).numpy()
        array([10., 10.], dtype=float32)
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        return ops.broadcast_to(as_tensor(self.value, dtype or floatx()), tuple(shape))

    def get_config(self) -> dict[str, Any]:
        value = self.value
        return {"value": value if isinstance(value, (bool, int, float)) else np.asarray(value).tolist()}


class Identity(Initializer):
    """`gain` times the identity matrix; the shape must have two dimensions.

    Raises:
        ValueError: The shape has another number of dimensions.

    Example:
        >>> import lumbre
        >>> lumbre.initializers.Identity(gain=2.0)((2, 2)).numpy()
        array([[2., 0.],
               [0., 2.]], dtype=float32)
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        if len(shape) != 2:
            raise ValueError(
                "Identity matrix initializer can only be used for 2D matrices. "
                f"Received: shape={shape} of rank {len(shape)}."
            )
        return ops.multiply(ops.eye(shape[0], shape[1], dtype=dtype or floatx()), self.gain)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


# Windows as sums of cosines: w(k) = Σᵢ (-1)ⁱ aᵢ cos(2π i k / n). Harris 1978, On the Use of Windows for
# Harmonic Analysis with the Discrete Fourier Transform; Nuttall 1981, Some Windows with Very Good Sidelobe
# Behavior.
_WINDOWS = {
    "boxcar": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
}


class STFT(Initializer):
    """The kernel of a convolution that computes a short-time Fourier transform.

    For a shape (length, 1, n / 2 + 1), element [t, 0, f] is cos(-2π t f / n), or the sine of it, times the
    window at t, divided by the window's size.

    Args:
        side: "real" for the cosines, "imag" for the sines.
        window: "boxcar", "hann", "hamming", "blackman", "nuttall" or "blackmanharris"; the values
            themselves, of shape (length,); or None for neither window nor scaling.
        scaling: "density" divides by √Σw², "spectrum" by Σ|w|, None by nothing.
        periodic: Whether the window is one period, as a spectrum wants it, or symmetric.

    Raises:
        ValueError: An argument is none of these, or the shape is another one.

    Example:
        >>> import lumbre
        >>> lumbre.initializers.STFT(window=None)((2, 1, 2)).numpy().round(3)[:, 0]
        array([[ 1.,  1.],
               [ 1., -1.]], dtype=float32)
    """

    def __init__(
        self,
        side: str = "real",
        window: Any = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        if side not in ("real", "imag"):
            raise ValueError(f"side should be 'real' or 'imag', not {side}")
        if isinstance(window, str) and window not in _WINDOWS:
            raise ValueError(
                f"Unknown window type: {window!r}. Expected one of {sorted(_WINDOWS)}, or the values of "
                "another one as an array"
            )
        if scaling not in (None, "density", "spectrum"):
            raise ValueError(
                f"Scaling is invalid, it must be `None`, 'density' or 'spectrum'. Received scaling={scaling}"
            )
        self.side = side
        self.window = window
        self.scaling = scaling
        self.periodic = periodic

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        if len(shape) != 3:
            raise ValueError(
                "The STFT initializer makes kernels of shape (length, 1, frequencies). "
                f"Received: shape={tuple(shape)}"
            )
        length, _, frequencies = shape
        time = np.arange(length).reshape(length, 1, 1)
        turns = time * np.arange(frequencies) / (2 * (frequencies - 1)) if frequencies > 1 else 0 * time
        kernel = (np.cos if self.side == "real" else np.sin)(-2 * np.pi * turns)
        if self.window is not None:
            kernel = kernel * self._window(length).reshape(length, 1, 1)
        return as_tensor(np.broadcast_to(kernel, tuple(shape)), dtype or floatx())

    def _window(self, length: int) -> np.ndarray:
        """The window, scaled."""
        if isinstance(self.window, str):
            k = np.arange(length) / max(length if self.periodic else length - 1, 1)
            terms = enumerate(_WINDOWS[self.window])
            w = np.sum([(-1) ** i * a * np.cos(2 * np.pi * i * k) for i, a in terms], axis=0)
            w = np.ones(1) if length == 1 else w
        else:
            w = np.asarray(self.window, "float64")
            if w.shape != (length,):
                raise ValueError(
                    "The shape of `window` must be equal to [frame_length]. "
                    f"Received: window shape={w.shape}, frame_length={length}"
                )
        sizes = {None: 1.0, "density": np.sqrt(np.sum(w**2)), "spectrum": np.sum(np.abs(w))}
        scaled: np.ndarray = w / sizes[self.scaling]
        return scaled

    def get_config(self) -> dict[str, Any]:
        window = self.window
        return {
            "side": self.side,
            "window": window if window is None or isinstance(window, str) else np.asarray(window).tolist(),
            "periodic": self.periodic,
            "scaling": self.scaling,
        }
