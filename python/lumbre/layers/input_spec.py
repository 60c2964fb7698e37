"""What a layer demands of its inputs, and the check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lumbre import tree
from lumbre.layers.context import describe

Shape = tuple[int | None, ...]


class InputSpec:
    """Rank, sizes and dtype that one input of a layer must have; what is None is free.

    Args:
        dtype: The input's dtype.
        shape: The whole shape, None for a free axis.
        ndim: The rank.
        max_ndim: The largest rank.
        min_ndim: The smallest rank.
        axes: Sizes of single axes, `{axis: size}`.
        allow_last_axis_squeeze: Whether a last axis of size 1 may be missing or too many.
        name: The input's name, for dicts of inputs.
        optional: Whether None may be passed.

    Example:
        >>> InputSpec(min_ndim=2, axes={-1: 784})
        InputSpec(min_ndim=2, axes={-1: 784})
    """

    def __init__(
        self,
        dtype: str | None = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = dtype
        self.shape = None if shape is None else tuple(shape)
        self.ndim = ndim if self.shape is None else len(self.shape)
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.axes = {int(a): n for a, n in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name = name
        self.optional = optional
        top = self.ndim if self.ndim is not None else self.max_ndim
        if self.axes and top is not None and max(self.axes) >= top:
            raise ValueError(f"Axis {max(self.axes)} is greater than the maximum allowed value: {top - 1}")

    def get_config(self) -> dict[str, Any]:
        """The arguments, those of Keras's in any case and others where they differ from the defaults."""
        names = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes", "optional")
        return {**{name: getattr(self, name) for name in names}, **self._stated()}

    def _stated(self) -> dict[str, Any]:
        """The arguments that differ from the defaults."""
        defaults = {"allow_last_axis_squeeze": False, "optional": False, "axes": {}}
        config = {k: v for k, v in vars(self).items() if v != defaults.get(k)}
        if self.shape is not None:
            del config["ndim"]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        """The spec of a config."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"InputSpec({', '.join(f'{k}={v}' for k, v in self._stated().items())})"

    def problem(self, shape: Shape, dtype: str) -> str | None:
        """What is wrong with an input of this shape and dtype, or None."""
        ndim = len(shape)
        if self.shape is not None:
            shape = self._squeezed(shape)
            ndim = len(shape)
        if self.ndim is not None and ndim != self.ndim:
            return f"expected ndim={self.ndim}, found ndim={ndim}. Full shape received: {shape}"
        if self.max_ndim is not None and ndim > self.max_ndim:
            return f"expected max_ndim={self.max_ndim}, found ndim={ndim}"
        if self.min_ndim is not None and ndim < self.min_ndim:
            return f"expected min_ndim={self.min_ndim}, found ndim={ndim}. Full shape received: {shape}"
        if self.dtype is not None and dtype != self.dtype:
            return f"expected dtype={self.dtype}, found dtype={dtype}"
        for axis, size in self.axes.items():
            if size is not None and shape[axis] not in (size, None):
                return (
                    f"expected axis {axis} of input shape to have value {size}, "
                    f"but received input with shape {shape}"
                )
        if self.shape is not None and any(
            want is not None and got not in (want, None) for want, got in zip(self.shape, shape, strict=True)
        ):
            return f"expected shape={self.shape}, found shape={shape}"
        return None

    def _squeezed(self, shape: Shape) -> Shape:
        """The shape with its last axis of size 1 dropped or added, where the spec allows it."""
        assert self.shape is not None
        if not self.allow_last_axis_squeeze:
            return shape
        if len(shape) == len(self.shape) + 1 and shape[-1] == 1:
            return shape[:-1]
        if len(shape) == len(self.shape) - 1 and self.shape[-1] == 1:
            return (*shape, 1)
        return shape


def check_inputs(input_spec: Any, inputs: Any, layer_name: str) -> None:
    """Raises ValueError where the inputs of a layer are not as its `input_spec` says.

    Args:
        input_spec: An InputSpec, or a list, tuple or dict of them.
        inputs: The inputs in the same structure: anything with `shape` and `dtype`.
        layer_name: The layer's name, for the message.
    """
    specs = tree.flatten(input_spec)
    if isinstance(input_spec, dict) and isinstance(inputs, dict):
        missing = [name for name in input_spec if name not in inputs]
        if missing:
            raise ValueError(
                f'Missing data for input "{missing[0]}". You passed a data dictionary with keys '
                f"{list(inputs)}. Expected the following keys: {list(input_spec)}"
            )
        inputs = [inputs[name] for name in sorted(input_spec)]
    values = tree.flatten(inputs)
    if len(values) != len(specs):
        raise ValueError(
            f'Layer "{layer_name}" expects {len(specs)} input(s), but it received {len(values)} input '
            f"tensors. Inputs received: {describe(values)}"
        )
    for index, (value, spec) in enumerate(zip(values, specs, strict=True)):
        if spec is None or (value is None and spec.optional):
            continue
        if value is None or not hasattr(value, "shape"):
            raise ValueError(
                f"Inputs to a layer should be tensors. Got '{value}' (of type {type(value)}) as input "
                f"for layer '{layer_name}'."
            )
        problem = spec.problem(tuple(value.shape), value.dtype)
        if problem is not None:
            raise ValueError(
                f"Input {index} with name '{spec.name}' of layer '{layer_name}' is incompatible with "
                f"the layer: {problem}"
            )
