"""The place where data enters a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lumbre import config
from lumbre.layers.layer import Layer
from lumbre.layers.symbolic import KerasTensor, Node


class InputLayer(Layer):
    """The node of a graph that stands for an input; `Input` makes one and returns its tensor.

    Args:
        shape: The shape of one sample, None for sizes that are not known.
        batch_size: The number of samples, where it is fixed.
        dtype: The dtype, float32 by default.
        sparse: Must be False or None.
        ragged: Must be False or None.
        batch_shape: The shape with the batch, instead of `shape` and `batch_size`.
        input_tensor: A symbolic tensor to stand for the input.
        optional: Whether None may be passed.
        name: The name of the layer and of the tensor.

    Raises:
        ValueError: No shape, or contradictory ones.

    Source: `keras.layers.InputLayer`.

    Example:
        >>> import lumbre
        >>> layer = lumbre.layers.InputLayer(shape=(3,), name="features")
        >>> layer.output.shape
        (None, 3)
    """

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Sequence[int | None] | None = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, dtype=None, **kwargs)
        if input_tensor is not None:
            if not isinstance(input_tensor, KerasTensor):
                raise ValueError(
                    f"Argument `input_tensor` must be a KerasTensor. Received invalid type: "
                    f"{type(input_tensor)}"
                )
            batch_shape = input_tensor.shape if batch_shape is None and shape is None else batch_shape
            dtype = dtype or input_tensor.dtype
        if sparse or ragged:
            raise ValueError("sparse and ragged inputs are not supported; pass dense tensors")
        if shape is not None and batch_shape is not None:
            raise ValueError("You cannot pass both `shape` and `batch_shape` at the same time.")
        if batch_size is not None and batch_shape is not None:
            raise ValueError("You cannot pass both `batch_size` and `batch_shape` at the same time.")
        if shape is not None:
            batch_shape = (batch_size, *_as_sizes(shape))
        if batch_shape is None:
            raise ValueError("You must pass a `shape` argument.")
        self._batch_shape = _as_sizes(batch_shape)
        self._dtype = config.floatx() if dtype is None else getattr(dtype, "__name__", None) or str(dtype)
        self.optional = optional
        self.built = True
        self._connect(name)

    def _connect(self, name: str | None) -> None:
        Node(self, (), {}, KerasTensor(self._batch_shape, self._dtype, name=name))

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_tensor_name": self.output._name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        name = state.pop("_tensor_name")
        super().__setstate__(state)
        self._connect(name)

    @property
    def batch_shape(self) -> tuple[int | None, ...]:
        """The shape, with the batch."""
        return self._batch_shape

    @property
    def dtype(self) -> str:
        """The dtype of the input."""
        return self._dtype

    def call(self) -> None:
        """An input computes nothing."""

    def get_config(self) -> dict[str, Any]:
        return {
            "batch_shape": self._batch_shape,
            "dtype": self._dtype,
            "sparse": False,
            "ragged": False,
            "name": self.name,
            "optional": self.optional,
        }


def _as_sizes(shape: Any) -> tuple[int | None, ...]:
    if not isinstance(shape, (list, tuple)):
        raise ValueError(f"Cannot convert '{shape}' to a shape.")
    for n in shape:
        if n is not None and (not isinstance(n, int) or isinstance(n, bool) or n < 0):
            raise ValueError(
                f"Cannot convert '{shape}' to a shape. Found invalid entry '{n}' of type '{type(n)}'."
            )
    return tuple(shape)


def Input(
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
) -> KerasTensor:
    """A symbolic tensor that stands for the data of a functional model.

    Args:
        shape: The shape of one sample, None for sizes that are not known.
        batch_size: The number of samples, where it is fixed.
        dtype: The dtype, float32 by default.
        sparse: Must be False or None.
        ragged: Must be False or None.
        batch_shape: The shape with the batch, instead of `shape` and `batch_size`.
        name: The input's name, under which a dict of data may give it.
        tensor: A symbolic tensor to stand for the input.
        optional: Whether None may be passed.

    Raises:
        ValueError: No shape, or contradictory ones.

    Example:
        >>> import lumbre
        >>> lumbre.Input((784,), name="image")
        <KerasTensor shape=(None, 784), dtype=float32, sparse=False, ragged=False, name=image>
    """
    layer = InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        ragged=ragged,
        batch_shape=batch_shape,
        name=name,
        input_tensor=tensor,
        optional=optional,
    )
    tensor_out: KerasTensor = layer.output
    return tensor_out
