"""`from lumbre.keras import backend as K`: what scripts call there.

First what Keras 3 has, then the functions of `tf.keras.backend` with their old names, orders of arguments
and defaults: where an op of `lumbre.ops` is the same, it stands here itself. `variable`, `zeros`, `ones` and
`eye` make Variables, as they did.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lumbre import activations, ops, random
from lumbre.autograd import Tensor, as_tensor
from lumbre.config import backend as backend
from lumbre.config import epsilon as epsilon
from lumbre.config import floatx as floatx
from lumbre.config import image_data_format as image_data_format
from lumbre.config import set_epsilon as set_epsilon
from lumbre.config import set_floatx as set_floatx
from lumbre.config import set_image_data_format as set_image_data_format
from lumbre.lookup import get_uid as get_uid
from lumbre.ops import abs as abs
from lumbre.ops import all as all
from lumbre.ops import any as any
from lumbre.ops import binary_crossentropy as binary_crossentropy
from lumbre.ops import cast as cast
from lumbre.ops import categorical_crossentropy as categorical_crossentropy
from lumbre.ops import cos as cos
from lumbre.ops import dot as dot
from lumbre.ops import elu as elu
from lumbre.ops import equal as equal
from lumbre.ops import exp as exp
from lumbre.ops import greater as greater
from lumbre.ops import greater_equal as greater_equal
from lumbre.ops import less as less
from lumbre.ops import less_equal as less_equal
from lumbre.ops import log as log
from lumbre.ops import max as max
from lumbre.ops import maximum as maximum
from lumbre.ops import mean as mean
from lumbre.ops import min as min
from lumbre.ops import minimum as minimum
from lumbre.ops import not_equal as not_equal
from lumbre.ops import one_hot as one_hot
from lumbre.ops import ones_like as ones_like
from lumbre.ops import prod as prod
from lumbre.ops import reshape as reshape
from lumbre.ops import result_type as result_type
from lumbre.ops import round as round
from lumbre.ops import shape as shape
from lumbre.ops import sigmoid as sigmoid
from lumbre.ops import sign as sign
from lumbre.ops import sin as sin
from lumbre.ops import softmax as softmax
from lumbre.ops import softplus as softplus
from lumbre.ops import softsign as softsign
from lumbre.ops import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from lumbre.ops import sqrt as sqrt
from lumbre.ops import square as square
from lumbre.ops import squeeze as squeeze
from lumbre.ops import stack as stack
from lumbre.ops import std as std
from lumbre.ops import stop_gradient as stop_gradient
from lumbre.ops import sum as sum
from lumbre.ops import tanh as tanh
from lumbre.ops import tile as tile
from lumbre.ops import transpose as transpose
from lumbre.ops import var as var
from lumbre.ops import zeros_like as zeros_like
from lumbre.ops.dtypes import is_float_dtype as is_float_dtype
from lumbre.ops.dtypes import is_int_dtype as is_int_dtype
from lumbre.ops.dtypes import standardize_dtype as standardize_dtype
from lumbre.tensor import Variable
from lumbre.utils.graphs import is_keras_tensor as is_keras_tensor
from lumbre.utils.naming import clear_session as clear_session

permute_dimensions = ops.transpose
pow = ops.power
random_normal = random.normal
random_uniform = random.uniform
repeat_elements = ops.repeat
truncated_normal = random.truncated_normal

# --------------------------------------------------------------------------------- tensors and variables


def variable(
    value: Any, dtype: str | None = None, name: str | None = None, constraint: Any = None
) -> Variable:
    """A Variable with this value, in floatx where no dtype is given.

    Example:
        >>> from lumbre.keras import backend as K
        >>> K.get_value(K.variable([1, 2])).tolist()
        [1.0, 2.0]
    """
    return Variable(value, dtype=dtype or floatx(), name=name, constraint=constraint)


def constant(
    value: Any, dtype: str | None = None, shape: Sequence[int] | None = None, name: str | None = None
) -> Tensor:
    """A tensor with this value, in floatx where no dtype is given; a number fills `shape`.

    Example:
        >>> from lumbre.keras import backend as K
        >>> K.get_value(K.constant(3, shape=(2,))).tolist()
        [3.0, 3.0]
    """
    made = as_tensor(value, dtype or floatx())
    if shape is None:
        return made
    return ops.broadcast_to(made, shape) if made.size == 1 else ops.reshape(made, shape)


def zeros(shape: Sequence[int], dtype: str | None = None, name: str | None = None) -> Variable:
    """A Variable of zeros."""
    return variable(ops.zeros(shape, dtype or floatx()), dtype, name)


def ones(shape: Sequence[int], dtype: str | None = None, name: str | None = None) -> Variable:
    """A Variable of ones."""
    return variable(ops.ones(shape, dtype or floatx()), dtype, name)


def eye(size: int, dtype: str | None = None, name: str | None = None) -> Variable:
    """A Variable with ones on its diagonal."""
    return variable(ops.eye(size, dtype=dtype or floatx()), dtype, name)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: str = "int32") -> Tensor:
    """The numbers from `start` on, or from 0 to `start`, as whole numbers by default."""
    return ops.arange(start, stop, step, dtype)


def cast_to_floatx(x: Any) -> Any:
    """The value in floatx: a tensor stays a tensor, anything else becomes a NumPy array."""
    return ops.cast(x, floatx()) if isinstance(x, (Tensor, Variable)) else np.asarray(x, floatx())


def get_value(x: Any) -> Any:
    """A tensor's or Variable's value as a NumPy array; anything else as it is."""
    return x.numpy() if hasattr(x, "numpy") else x


eval = get_value


def set_value(x: Variable, value: Any) -> None:
    """Gives a Variable another value."""
    x.assign(np.asarray(value, x.dtype))


def batch_get_value(tensors: Iterable[Any]) -> list[Any]:
    """The values of several tensors."""
    return [get_value(x) for x in tensors]


def batch_set_value(tuples: Iterable[tuple[Variable, Any]]) -> None:
    """Gives Variables other values, from pairs of both.

    Example:
        >>> from lumbre.keras import backend as K
        >>> a, b = K.variable(0), K.variable(0)
        >>> K.batch_set_value([(a, 1), (b, 2)])
        >>> [float(value) for value in K.batch_get_value([a, b])]
        [1.0, 2.0]
    """
    for x, value in tuples:
        set_value(x, value)


def update(x: Variable, new_x: Any) -> Any:
    """Gives a Variable another value."""
    return x.assign(new_x)


def update_add(x: Variable, increment: Any) -> Any:
    """Adds to a Variable."""
    return x.assign_add(increment)


def update_sub(x: Variable, decrement: Any) -> Any:
    """Subtracts from a Variable."""
    return x.assign_sub(decrement)


def moving_average_update(x: Variable, value: Any, momentum: Any) -> Any:
    """x ← momentum · x + (1 - momentum) · value.

    Example:
        >>> from lumbre.keras import backend as K
        >>> float(K.moving_average_update(K.variable(1.0), 0.0, 0.75))
        0.75
    """
    return x.assign_sub((x - value) * (1 - momentum))


def int_shape(x: Any) -> tuple[int | None, ...]:
    """The shape as a tuple, None for a size that is not known."""
    return tuple(x.shape)


def ndim(x: Any) -> int:
    """The number of axes."""
    return len(x.shape)


def dtype(x: Any) -> str:
    """The dtype's name."""
    return standardize_dtype(x.dtype)


def count_params(x: Any) -> int:
    """The number of elements."""
    return math.prod(x.shape)


def is_sparse(tensor: Any) -> bool:
    """False: there are no sparse tensors."""
    return False


def to_dense(tensor: Any) -> Any:
    """The tensor itself, since all are dense."""
    return tensor


# ------------------------------------------------------------------------------------------------- numbers


def argmax(x: Any, axis: int = -1) -> Tensor:
    """The index of the greatest element along an axis, the last by default."""
    return ops.argmax(x, axis)


def argmin(x: Any, axis: int = -1) -> Tensor:
    """The index of the least element along an axis, the last by default."""
    return ops.argmin(x, axis)


def cumsum(x: Any, axis: int = 0) -> Tensor:
    """Running sums along an axis, the first by default."""
    return ops.cumsum(x, axis)


def cumprod(x: Any, axis: int = 0) -> Tensor:
    """Running products along an axis, the first by default."""
    return ops.cumprod(x, axis)


def clip(x: Any, min_value: Any, max_value: Any) -> Tensor:
    """Elements below `min_value` become that, elements above `max_value` that; None is no bound.

    Example:
        >>> from lumbre.keras import backend as K
        >>> K.get_value(K.clip([-2.0, 0.5, 2.0], -1, None)).tolist()
        [-1.0, 0.5, 2.0]
    """
    low = -math.inf if min_value is None else min_value
    high = math.inf if max_value is None else max_value
    if isinstance(low, (int, float)) and isinstance(high, (int, float)):
        high = builtins.max(low, high)
    return ops.clip(x, low, high)


def hard_sigmoid(x: Any) -> Tensor:
    """clip(0.2 · x + 0.5, 0, 1), as it was before Keras 3."""
    return ops.clip(x * 0.2 + 0.5, 0.0, 1.0)


def relu(x: Any, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """`lumbre.activations.relu` with its old arguments: `alpha` is the slope below the threshold."""
    return activations.relu(x, negative_slope=alpha, max_value=max_value, threshold=threshold)


def l2_normalize(x: Any, axis: Any = None) -> Tensor:
    """x / √max(Σ x², 1e-12) along an axis, or over all elements."""
    total = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(total, 1e-12)))


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Tensor:
    """Elements of the first where the condition holds, else of the second; both may be functions.

    Example:
        >>> from lumbre.keras import backend as K
        >>> K.get_value(K.switch([True, False], K.ones((2,)), K.zeros((2,)))).tolist()
        [1.0, 0.0]
    """
    first, second = (e() if callable(e) else e for e in (then_expression, else_expression))
    condition = as_tensor(condition, "bool")
    missing = len(first.shape) - len(condition.shape)
    return ops.where(ops.reshape(condition, (*condition.shape, *(1,) * missing)), first, second)


def batch_dot(x: Any, y: Any, axes: Any = None) -> Tensor:
    """The product of each sample of `x` with that of `y` over one axis of each.

    Args:
        x: Of shape (batch, …).
        y: Of shape (batch, …).
        axes: The axis of `x` and that of `y`, or one for both; by default the last of `x` and the last but
            one of `y`, or the last where it has two.

    Raises:
        ValueError: An operand has one axis only, or the sizes differ.

    Example:
        >>> from lumbre.keras import backend as K
        >>> K.batch_dot(K.ones((5, 3, 4)), K.ones((5, 4, 2))).shape
        (5, 3, 2)
        >>> K.batch_dot(K.ones((5, 4)), K.ones((5, 4))).shape
        (5, 1)
    """
    ranks = ndim(x), ndim(y)
    if builtins.min(ranks) < 2:
        raise ValueError(f"batch_dot: expected inputs of rank 2 or more, got shapes {x.shape} and {y.shape}")
    if axes is None:
        axes = (ranks[0] - 1, ranks[1] - 1 if ranks[1] == 2 else ranks[1] - 2)
    axes = [axes, axes] if isinstance(axes, int) else list(axes)
    a, b = (axis % rank for axis, rank in zip(axes, ranks, strict=True))
    if 0 in (a, b) or x.shape[a] != y.shape[b]:
        raise ValueError(
            f"batch_dot: axes {axes} of shapes {x.shape} and {y.shape} must be equally long, and not the "
            "batch's"
        )
    letters = iter("abcdefghijklmnopqrstuvwxy")
    left = ["Z", *(next(letters) for _ in range(ranks[0] - 1))]
    right = ["Z", *(next(letters) for _ in range(ranks[1] - 1))]
    right[b] = left[a]
    kept = [c for i, c in enumerate(left) if i != a] + [c for i, c in enumerate(right) if i not in (0, b)]
    product = ops.einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", x, y)
    return ops.expand_dims(product, 1) if ranks == (2, 2) else product


# -------------------------------------------------------------------------------------------------- shapes


def concatenate(tensors: Sequence[Any], axis: int = -1) -> Tensor:
    """Tensors joined along an axis, the last by default."""
    return ops.concatenate(tensors, axis)


def expand_dims(x: Any, axis: int = -1) -> Tensor:
    """The tensor with another axis of size 1, by default at the end."""
    return ops.expand_dims(x, axis)


def flatten(x: Any) -> Tensor:
    """All elements in one row."""
    return ops.reshape(x, (-1,))


def batch_flatten(x: Any) -> Tensor:
    """Each sample's elements in one row."""
    return ops.reshape(x, (-1, math.prod(x.shape[1:])))


def repeat(x: Any, n: int) -> Tensor:
    """Of (batch, features), (batch, n, features): each sample n times.

    Example:
        >>> from lumbre.keras import backend as K
        >>> K.repeat(K.ones((2, 3)), 4).shape
        (2, 4, 3)
    """
    if ndim(x) != 2:
        raise ValueError(f"Expected input `x` to have rank 2. Received: rank(x)={ndim(x)}")
    return ops.repeat(ops.expand_dims(x, 1), n, axis=1)


def reverse(x: Any, axes: Any) -> Tensor:
    """The elements in reverse order along the axes."""
    return ops.flip(x, axes)


def gather(reference: Any, indices: Any) -> Tensor:
    """The slices of the first axis that have these indices."""
    return ops.take(reference, indices, axis=0)


def temporal_padding(x: Any, padding: tuple[int, int] = (1, 1)) -> Tensor:
    """Zeros before and after the steps of (batch, steps, features)."""
    return ops.pad(x, ((0, 0), tuple(padding), (0, 0)))


def spatial_2d_padding(x: Any, padding: Any = ((1, 1), (1, 1)), data_format: str | None = None) -> Tensor:
    """Zeros around images."""
    around = (tuple(padding[0]), tuple(padding[1]))
    first = (data_format or image_data_format()) == "channels_first"
    return ops.pad(x, ((0, 0), (0, 0), *around) if first else ((0, 0), *around, (0, 0)))


# -------------------------------------------------------------------------------- networks, losses, chance


def bias_add(x: Any, bias: Any, data_format: str | None = None) -> Tensor:
    """The sum with one number per channel, or one for each place and channel."""
    if (data_format or image_data_format()) == "channels_first" and ndim(x) > 2:
        shape = bias.shape
        bias = ops.reshape(bias, (1, shape[-1], *(shape[:-1] or (1,) * (ndim(x) - 2))))
    return ops.add(x, bias)


def batch_normalization(
    x: Any, mean: Any, var: Any, beta: Any, gamma: Any, axis: int = -1, epsilon: float = 1e-3
) -> Tensor:
    """gamma · (x - mean) / √(var + epsilon) + beta."""
    return ops.batch_normalization(x, mean, var, axis, offset=beta, scale=gamma, epsilon=epsilon)


def in_top_k(predictions: Any, targets: Any, k: int) -> Tensor:
    """Whether each target is among the k greatest predictions.

    Example:
        >>> from lumbre.keras import backend as K
        >>> K.get_value(K.in_top_k([[0.1, 0.7, 0.2]], [2], k=2)).tolist()
        [True]
    """
    return ops.in_top_k(targets, predictions, k)


def dropout(x: Any, level: float, noise_shape: Any = None, seed: Any = None) -> Tensor:
    """`lumbre.random.dropout` with its old arguments."""
    return random.dropout(x, level, noise_shape=noise_shape, seed=seed)


def random_bernoulli(
    shape: Sequence[int], p: float = 0.0, dtype: str | None = None, seed: Any = None
) -> Tensor:
    """Ones with probability p, else zeros."""
    return ops.cast(ops.less(random.uniform(shape, seed=seed), p), dtype or floatx())


def random_normal_variable(
    shape: Sequence[int],
    mean: float,
    scale: float,
    dtype: str | None = None,
    name: str | None = None,
    seed: Any = None,
) -> Variable:
    """A Variable of normal numbers."""
    return variable(random.normal(shape, mean, scale, dtype, seed), dtype, name)


def random_uniform_variable(
    shape: Sequence[int],
    low: float,
    high: float,
    dtype: str | None = None,
    name: str | None = None,
    seed: Any = None,
) -> Variable:
    """A Variable of evenly distributed numbers."""
    return variable(random.uniform(shape, low, high, dtype, seed), dtype, name)


def map_fn(fn: Callable[[Any], Any], elems: Any, name: str | None = None, dtype: Any = None) -> Tensor:
    """The function of each slice of the first axis, stacked.

    Example:
        >>> from lumbre.keras import backend as K
        >>> K.get_value(K.map_fn(lambda x: x * x, K.arange(4))).tolist()
        [0, 1, 4, 9]
    """
    return ops.stack([fn(elems[i]) for i in range(elems.shape[0])])
