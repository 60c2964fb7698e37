"""Layers that make one tensor of several."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from lumbre import ops
from lumbre.layers.layer import Layer

Shape = tuple[int | None, ...]


def _is_shape_list(input_shape: Any) -> bool:
    return isinstance(input_shape, (list, tuple)) and all(isinstance(s, (list, tuple)) for s in input_shape)


class Merge(Layer):
    """Combines the tensors of a list element by element.

    Tensors of fewer axes than the others are given axes of size 1 after the batch. Sizes of 1
    broadcast; batch sizes must be equal.
    """

    _exact_shapes = True
    _least = 1  # how many inputs there must be at least
    _most: int | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def _combine(self, tensors: list[Any]) -> Any:
        raise NotImplementedError

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def _check_count(self, input_shape: Any) -> None:
        if not _is_shape_list(input_shape):
            raise ValueError(
                f"A merge layer should be called on a list of inputs. Received: input_shape={input_shape} "
                "(not a list of shapes)"
            )
        kind, count = type(self).__name__, len(input_shape)
        if self._most is not None and count != self._most:
            raise ValueError(
                f"A `{kind}` layer should be called on exactly {self._most} inputs. "
                f"Received: input_shape={input_shape}"
            )
        if count < self._least:
            raise ValueError(
                f"A merge layer should be called on a list of at least {self._least} input. "
                f"Received {count} inputs. Full input_shape received: {input_shape}"
            )

    def call(self, inputs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)):
            raise ValueError(
                f"A merge layer should be called on a list of inputs. Received: inputs={inputs} "
                "(not a list of tensors)"
            )
        rank = max(len(x.shape) for x in inputs)
        return self._combine([_with_rank(x, rank) for x in inputs])

    def compute_output_shape(self, input_shape: Any) -> Any:
        self._check_count(input_shape)
        shapes = [tuple(s) for s in input_shape]
        batches = {s[0] for s in shapes if s and s[0] is not None}
        if len(batches) > 1:
            raise ValueError(
                f"Cannot merge tensors with different batch sizes. Received tensors with shapes {input_shape}"
            )
        rest = functools.reduce(_broadcast, [s[1:] for s in shapes])
        return (next(iter(batches), None), *rest)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        if previous_mask is None or any(m is None for m in previous_mask):
            return None
        return functools.reduce(ops.logical_or, previous_mask)


def _with_rank(x: Any, rank: int) -> Any:
    missing = rank - len(x.shape)
    return ops.reshape(x, (x.shape[0], *[1] * missing, *x.shape[1:])) if missing else x


def _broadcast(a: Shape, b: Shape) -> Shape:
    short, long = sorted((a, b), key=len)
    padded = (1,) * (len(long) - len(short)) + short
    sizes: list[int | None] = []
    for m, n in zip(padded, long, strict=True):
        if m is None or n is None:
            known = n if m is None else m
            sizes.append(None if known in (None, 1) else known)
        elif m == n or 1 in (m, n):
            sizes.append(max(m, n) if 0 not in (m, n) else 0)
        else:
            raise ValueError(f"Inputs have incompatible shapes. Received shapes {a} and {b}")
    return tuple(sizes)


class Add(Merge):
    """The sum of the inputs.

    Example:
        >>> import lumbre
        >>> one = lumbre.ops.ones((1, 2))
        >>> lumbre.layers.Add()([one, one, one]).numpy()
        array([[3., 3.]], dtype=float32)
    """

    def _combine(self, tensors: list[Any]) -> Any:
        return functools.reduce(ops.add, tensors)


class Subtract(Merge):
    """The first input minus the second.

    Example:
        >>> import lumbre
        >>> one = lumbre.ops.ones((1, 2))
        >>> lumbre.layers.Subtract()([one, one]).numpy()
        array([[0., 0.]], dtype=float32)
    """

    _most = 2

    def _combine(self, tensors: list[Any]) -> Any:
        return ops.subtract(tensors[0], tensors[1])


class Multiply(Merge):
    """The product of the inputs.

    Example:
        >>> import lumbre
        >>> two = lumbre.ops.ones((1, 2)) * 2
        >>> lumbre.layers.Multiply()([two, two]).numpy()
        array([[4., 4.]], dtype=float32)
    """

    def _combine(self, tensors: list[Any]) -> Any:
        return functools.reduce(ops.multiply, tensors)


class Average(Merge):
    """The mean of the inputs.

    Example:
        >>> import lumbre
        >>> one = lumbre.ops.ones((1, 2))
        >>> lumbre.layers.Average()([one, one * 2]).numpy()
        array([[1.5, 1.5]], dtype=float32)
    """

    def _combine(self, tensors: list[Any]) -> Any:
        return functools.reduce(ops.add, tensors) / len(tensors)


class Maximum(Merge):
    """The larger of the inputs, element by element.

    Example:
        >>> import lumbre
        >>> one = lumbre.ops.ones((1, 2))
        >>> lumbre.layers.Maximum()([one, one * 2]).numpy()
        array([[2., 2.]], dtype=float32)
    """

    def _combine(self, tensors: list[Any]) -> Any:
        return functools.reduce(ops.maximum, tensors)


class Minimum(Merge):
    """The smaller of the inputs, element by element.

    Example:
        >>> import lumbre
        >>> one = lumbre.ops.ones((1, 2))
        >>> lumbre.layers.Minimum()([one, one * 2]).numpy()
        array([[1., 1.]], dtype=float32)
    """

    def _combine(self, tensors: list[Any]) -> Any:
        return functools.reduce(ops.minimum, tensors)


class Concatenate(Merge):
    """The inputs one after another along an axis; their other sizes must be equal.

    Args:
        axis: The axis.

    Raises:
        ValueError: Another size differs.

    Example:
        >>> import lumbre
        >>> one = lumbre.ops.ones((1, 2))
        >>> lumbre.layers.Concatenate()([one, one]).shape
        (1, 4)
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        return ops.concatenate(list(inputs), axis=self.axis)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if not _is_shape_list(input_shape) or not input_shape:
            raise ValueError(
                "A `Concatenate` layer should be called on a list of at least 1 input. "
                f"Received: input_shape={input_shape}"
            )
        shapes = [tuple(s) for s in input_shape]
        rank = len(shapes[0])
        if not -rank <= self.axis < rank:
            raise ValueError(
                f"layer '{self.name}' (Concatenate) has axis={self.axis}, its inputs have {rank} axes: "
                f"input_shape={input_shape}"
            )
        axis = self.axis % rank
        merged: list[int | None] = list(shapes[0])
        for shape in shapes[1:]:
            if len(shape) != rank or any(
                m is not None and n is not None and m != n
                for i, (m, n) in enumerate(zip(merged, shape, strict=False))
                if i != axis
            ):
                raise ValueError(
                    "A `Concatenate` layer requires inputs with matching shapes except for the concatenation "
                    f"axis. Received: input_shape={input_shape}"
                )
            merged = [n if m is None else m for m, n in zip(merged, shape, strict=True)]
        along = [s[axis] for s in shapes]
        merged[axis] = None if None in along else sum(n for n in along if n is not None)
        return tuple(merged)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        if previous_mask is None or all(m is None for m in previous_mask):
            return None
        masks = []
        for x, mask in zip(inputs, previous_mask, strict=True):
            if mask is None:
                masks.append(ops.ones(x.shape, dtype="bool"))
            elif len(mask.shape) < len(x.shape):
                masks.append(ops.broadcast_to(ops.expand_dims(mask, -1), x.shape))
            else:
                masks.append(mask)
        return ops.any(ops.concatenate(masks, axis=self.axis), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


class Dot(Merge):
    """The products of two inputs, summed over an axis of each, sample by sample.

    From (batch, a…, n, b…) and (batch, c…, n, d…) comes (batch, a…, b…, c…, d…), and (batch, 1) where
    nothing but the batch is left.

    Args:
        axes: The axis of both, or a pair with the axis of each; not 0, the batch.
        normalize: Whether to divide the inputs by their norms along the axes first, so that the result is
            the cosine of the angle between them.

    Raises:
        TypeError: `axes` is neither.
        ValueError: The axes are out of range or of unequal size, or there are not two inputs.

    Example:
        >>> import lumbre
        >>> x, y = lumbre.Tensor([[1.0, 2.0]]), lumbre.Tensor([[3.0, 4.0]])
        >>> lumbre.layers.Dot(axes=1)([x, y]).numpy()
        array([[11.]], dtype=float32)
    """

    _most = 2

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axes, int):
            if not isinstance(axes, (list, tuple)):
                raise TypeError(
                    f"Invalid type for argument `axes`: it should be a list or an int. Received: axes={axes}"
                )
            if len(axes) != 2:
                raise ValueError(
                    "Invalid format for argument `axes`: it should contain two elements. "
                    f"Received: axes={axes}"
                )
            if not all(isinstance(axis, int) for axis in axes):
                raise ValueError(
                    "Invalid format for argument `axes`: list elements should be integers. "
                    f"Received: axes={axes}"
                )
        self.axes = axes
        self.normalize = normalize

    def _pair(self, shapes: Sequence[Shape]) -> tuple[int, int]:
        """The axis of each input, counted from the front."""
        given = (self.axes, self.axes) if isinstance(self.axes, int) else tuple(self.axes)
        for axis, shape in zip(given, shapes, strict=True):
            if not -len(shape) <= axis < len(shape) or axis % len(shape) == 0:
                raise ValueError(
                    f"layer '{self.name}' (Dot) cannot sum over axis {axis} of an input of shape {shape}: it "
                    "must be an axis of the input, and not axis 0, the batch. "
                    f"Received: axes={self.axes}, input_shape={list(shapes)}"
                )
        first, second = (axis % len(shape) for axis, shape in zip(given, shapes, strict=True))
        return first, second

    def compute_output_shape(self, input_shape: Any) -> Any:
        self._check_count(input_shape)
        a, b = (tuple(s) for s in input_shape)
        i, j = self._pair((a, b))
        if None not in (a[i], b[j]) and a[i] != b[j]:
            raise ValueError(
                f"Incompatible input shapes: axis values {a[i]} (at axis {i}) != {b[j]} (at axis {j}). "
                f"Full input shapes: {a}, {b}"
            )
        if None not in (a[0], b[0]) and a[0] != b[0]:
            raise ValueError(
                f"Cannot merge tensors with different batch sizes. Received tensors with shapes {input_shape}"
            )
        batch = b[0] if a[0] is None else a[0]
        rest = a[1:i] + a[i + 1 :] + b[1:j] + b[j + 1 :]
        return (batch, *(rest or (1,)))

    def call(self, inputs: Any) -> Any:
        x, y = inputs
        i, j = self._pair((x.shape, y.shape))
        if self.normalize:
            x, y = ops.normalize(x, axis=i), ops.normalize(y, axis=j)
        letters = "abcdefghijklmnop"
        first = "z" + letters[1 : x.ndim]
        second = "z" + letters[x.ndim : x.ndim + y.ndim - 1]
        second = second[:j] + first[i] + second[j + 1 :]
        rest = "".join(c for c in first[1:] + second[1:] if c != first[i])
        z = ops.einsum(f"{first},{second}->z{rest}", x, y)
        return z if rest else ops.expand_dims(z, -1)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axes": self.axes, "normalize": self.normalize}


def _function(layer_class: Callable[..., Merge]) -> Callable[..., Any]:
    def merge(inputs: Sequence[Any], **kwargs: Any) -> Any:
        return layer_class(**kwargs)(inputs)

    kind = layer_class.__name__
    merge.__name__ = merge.__qualname__ = kind.lower()
    merge.__doc__ = f"""`{kind}(**kwargs)(inputs)`: see `{kind}`.

    Args:
        inputs: A list of tensors or KerasTensors (batch, …) whose shapes broadcast; `subtract` takes two.
        kwargs: Arguments of the layer, such as `name`.

    Returns:
        A tensor of the shape that they broadcast to.

    Raises:
        ValueError: They are not a list, too few, or of shapes that do not broadcast.

    Source: `keras.layers.{kind.lower()}`.

    Example:
        >>> import lumbre
        >>> a, b = lumbre.Input((3,)), lumbre.Input((3,))
        >>> lumbre.layers.{kind.lower()}([a, b]).shape
        (None, 3)
    """
    return merge


add = _function(Add)
subtract = _function(Subtract)
multiply = _function(Multiply)
average = _function(Average)
maximum = _function(Maximum)
minimum = _function(Minimum)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate(axis, **kwargs)(inputs)`: see `Concatenate`.

    Args:
        inputs: A list of tensors or KerasTensors whose shapes differ at most on `axis`.
        axis: The axis along which they are joined.
        kwargs: Further arguments of the layer, such as `name`.

    Returns:
        A tensor; its size on `axis` is the sum of theirs.

    Raises:
        ValueError: They are not a list, or differ in another axis.

    Source: `keras.layers.concatenate`.

    Example:
        >>> import lumbre
        >>> a, b = lumbre.Input((3,)), lumbre.Input((5,))
        >>> lumbre.layers.concatenate([a, b]).shape
        (None, 8)
    """
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """`Dot(axes, **kwargs)(inputs)`: see `Dot`.

    Args:
        inputs: A list of two tensors or KerasTensors (batch, …).
        axes: The axis to sum over, or one for each of the two.
        kwargs: Further arguments of the layer, such as `normalize`.

    Returns:
        A tensor (batch, …): the other axes of the first, then those of the second; (batch, 1) without others.

    Raises:
        ValueError: They are not two, or their sizes on the axes differ.

    Source: `keras.layers.dot`.

    Example:
        >>> import lumbre
        >>> a, b = lumbre.Input((3,)), lumbre.Input((3,))
        >>> lumbre.layers.dot([a, b], axes=1).shape
        (None, 1)
    """
    return Dot(axes=axes, **kwargs)(inputs)
