"""Activation functions: what a layer may apply to its output.

Each takes a tensor (a Tensor, Variable, symbolic tensor or array-like) of floats of any shape and
returns one of the same shape and dtype, element by element unless it says otherwise. All are made
of ops, and are differentiable as often as one likes. `get` turns a name into the function.
"""

from __future__ import annotations

from typing import Any

from lumbre import ops
from lumbre.lookup import Lookup
from lumbre.ops.softmaxes import normalised


def linear(x: Any) -> Any:
    """`x`: no activation.

    Example:
        >>> import lumbre
        >>> lumbre.activations.linear(3.0)
        3.0
    """
    return x


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """The rectifier, `max(x, 0)` by default.

    In general `max_value` where x ≥ max_value, `x` where threshold < x < max_value, and
    `negative_slope · (x - threshold)` below. Source: Nair and Hinton 2010, Rectified Linear Units
    Improve Restricted Boltzmann Machines; Maas et al. 2013 for the slope.

    Example:
        >>> import lumbre
        >>> lumbre.activations.relu([-2.0, 0.0, 8.0], negative_slope=0.5, max_value=5.0).numpy()
        array([-1.,  0.,  5.], dtype=float32)
    """
    if not threshold:
        y = ops.leaky_relu(x, negative_slope) if negative_slope else ops.relu(x)
    else:
        below = ops.multiply(ops.subtract(x, threshold), negative_slope)
        y = ops.where(ops.greater(x, threshold), x, below)
    return y if max_value is None else ops.minimum(y, max_value)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """`x` where x > 0, else `negative_slope · x`.

    Source: Maas, Hannun and Ng 2013, Rectifier Nonlinearities Improve Neural Network Acoustic Models.

    Example:
        >>> import lumbre
        >>> lumbre.activations.leaky_relu([-5.0, 5.0]).numpy()
        array([-1.,  5.], dtype=float32)
    """
    return ops.leaky_relu(x, negative_slope)


def relu6(x: Any) -> Any:
    """`min(max(x, 0), 6)`. Source: Krizhevsky 2010, Convolutional Deep Belief Networks on CIFAR-10.

    Example:
        >>> import lumbre
        >>> lumbre.activations.relu6([-1.0, 5.0, 9.0]).numpy()
        array([0., 5., 6.], dtype=float32)
    """
    return ops.relu6(x)


def softmax(x: Any, axis: int = -1) -> Any:
    """`exp(xᵢ) / Σⱼ exp(xⱼ)` over `axis`: the elements become positive and sum to one.

    The output remembers its logits, so that a cross-entropy of it is exact. Source: Bridle 1990,
    Probabilistic Interpretation of Feedforward Classification Network Outputs.

    Example:
        >>> import lumbre
        >>> lumbre.activations.softmax([0.0, 0.0]).numpy()
        array([0.5, 0.5], dtype=float32)
    """
    return normalised(x, axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """`xᵢ - log Σⱼ exp(xⱼ)` over `axis`: the logarithm of softmax, without its underflow.

    Example:
        >>> import lumbre
        >>> lumbre.activations.log_softmax([0.0, 1000.0]).numpy()
        array([-1000.,     0.], dtype=float32)
    """
    return ops.log_softmax(x, axis=axis)


def sigmoid(x: Any) -> Any:
    """`1 / (1 + exp(-x))`, which remembers `x`, so that a cross-entropy of it is exact.

    Example:
        >>> import lumbre
        >>> lumbre.activations.sigmoid([0.0]).numpy()
        array([0.5], dtype=float32)
    """
    return ops.sigmoid(x)


def log_sigmoid(x: Any) -> Any:
    """`log(1 / (1 + exp(-x))) = -softplus(-x)`.

    Example:
        >>> import lumbre
        >>> lumbre.activations.log_sigmoid([-200.0]).numpy()
        array([-200.], dtype=float32)
    """
    return ops.log_sigmoid(x)


def hard_sigmoid(x: Any) -> Any:
    """`relu6(x + 3) / 6`: a sigmoid of straight lines.

    Source: Howard et al. 2019, Searching for MobileNetV3.

    Example:
        >>> import lumbre
        >>> lumbre.activations.hard_sigmoid([-3.0, 0.0, 3.0]).numpy()
        array([0. , 0.5, 1. ], dtype=float32)
    """
    return ops.hard_sigmoid(x)


def sparse_sigmoid(x: Any) -> Any:
    """`min(max((x + 1) / 2, 0), 1)`: the derivative of `sparse_plus`.

    Source: Martins and Astudillo 2016, From Softmax to Sparsemax.

    Example:
        >>> import lumbre
        >>> lumbre.activations.sparse_sigmoid([-2.0, 0.0, 2.0]).numpy()
        array([0. , 0.5, 1. ], dtype=float32)
    """
    return ops.clip(ops.multiply(ops.add(x, 1.0), 0.5), 0.0, 1.0)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent, `(exp(x) - exp(-x)) / (exp(x) + exp(-x))`.

    Example:
        >>> import lumbre
        >>> lumbre.activations.tanh([0.0, 100.0]).numpy()
        array([0., 1.], dtype=float32)
    """
    return ops.tanh(x)


def hard_tanh(x: Any) -> Any:
    """`min(max(x, -1), 1)`.

    Example:
        >>> import lumbre
        >>> lumbre.activations.hard_tanh([-2.0, 0.5, 2.0]).numpy()
        array([-1. ,  0.5,  1. ], dtype=float32)
    """
    return ops.hard_tanh(x)


def tanh_shrink(x: Any) -> Any:
    """`x - tanh(x)`.

    Example:
        >>> import lumbre
        >>> lumbre.activations.tanh_shrink([0.0, 100.0]).numpy()
        array([ 0., 99.], dtype=float32)
    """
    return ops.subtract(x, ops.tanh(x))


def softplus(x: Any) -> Any:
    """`log(1 + exp(x))`: a smooth rectifier.

    Source: Dugas et al. 2001, Incorporating Second-Order Functional Knowledge for Better Option Pricing.

    Example:
        >>> import lumbre
        >>> lumbre.activations.softplus([-200.0, 200.0]).numpy()
        array([  0., 200.], dtype=float32)
    """
    return ops.softplus(x)


def softsign(x: Any) -> Any:
    """`x / (1 + |x|)`. Source: Bergstra et al. 2009, Quadratic Polynomials Learn Better Image Features.

    Example:
        >>> import lumbre
        >>> lumbre.activations.softsign([-1.0, 3.0]).numpy()
        array([-0.5 ,  0.75], dtype=float32)
    """
    return ops.softsign(x)


def sparse_plus(x: Any) -> Any:
    """`0` where x ≤ -1, `(x + 1)² / 4` up to 1, `x` from there on.

    Source: Martins and Astudillo 2016, From Softmax to Sparsemax.

    Example:
        >>> import lumbre
        >>> lumbre.activations.sparse_plus([-2.0, 0.0, 2.0]).numpy()
        array([0.  , 0.25, 2.  ], dtype=float32)
    """
    middle = ops.multiply(ops.square(ops.add(x, 1.0)), 0.25)
    y = ops.where(ops.less(x, 1.0), middle, x)
    return ops.where(ops.less_equal(x, -1.0), 0.0, y)


def squareplus(x: Any, b: float = 4) -> Any:
    """`(x + sqrt(x² + b)) / 2`: a rectifier without exponentials.

    Source: Barron 2021, Squareplus: A Softplus-Like Algebraic Rectifier.

    Example:
        >>> import lumbre
        >>> lumbre.activations.squareplus([0.0]).numpy()
        array([1.], dtype=float32)
    """
    return ops.squareplus(x, b)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """`x` where x > 0, else `alpha · (exp(x) - 1)`.

    Source: Clevert, Unterthiner and Hochreiter 2016, Fast and Accurate Deep Network Learning by
    Exponential Linear Units.

    Example:
        >>> import lumbre
        >>> lumbre.activations.elu([-200.0, 2.0]).numpy()
        array([-1.,  2.], dtype=float32)
    """
    return ops.elu(x, alpha)


def celu(x: Any, alpha: float = 1.0) -> Any:
    """`max(x, 0) + min(alpha · (exp(x / alpha) - 1), 0)`: an `elu` whose slope at 0 is 1.

    Source: Barron 2017, Continuously Differentiable Exponential Linear Units.

    Example:
        >>> import lumbre
        >>> lumbre.activations.celu([-200.0, 2.0], alpha=0.5).numpy()
        array([-0.5,  2. ], dtype=float32)
    """
    return ops.celu(x, alpha)


def selu(x: Any) -> Any:
    """`1.05070098 · elu(x, 1.67326324)`: the constants keep mean 0 and variance 1 from layer to layer.

    Source: Klambauer et al. 2017, Self-Normalizing Neural Networks.

    Example:
        >>> import lumbre
        >>> round(lumbre.activations.selu([1.0]).item(), 4)
        1.0507
    """
    return ops.selu(x)


def gelu(x: Any, approximate: bool = False) -> Any:
    """`x · Φ(x)`, with Φ the distribution function of the standard normal.

    With `approximate=True`, Φ is taken from a tanh. Source: Hendrycks and Gimpel 2016, Gaussian
    Error Linear Units.

    Example:
        >>> import lumbre
        >>> round(lumbre.activations.gelu([1.0]).item(), 4)
        0.8413
    """
    return ops.gelu(x, approximate=approximate)


def silu(x: Any) -> Any:
    """`x · sigmoid(x)`, also called swish.

    Source: Elfwing, Uchibe and Doya 2017; Ramachandran, Zoph and Le 2017, Searching for Activation
    Functions.

    Example:
        >>> import lumbre
        >>> lumbre.activations.silu([0.0, 200.0]).numpy()
        array([  0., 200.], dtype=float32)
    """
    return ops.silu(x)


def hard_silu(x: Any) -> Any:
    """`x · hard_sigmoid(x)`, also called hard swish. Source: Howard et al. 2019, MobileNetV3.

    Example:
        >>> import lumbre
        >>> lumbre.activations.hard_silu([-3.0, 3.0]).numpy()
        array([-0.,  3.], dtype=float32)
    """
    return ops.hard_silu(x)


def mish(x: Any) -> Any:
    """`x · tanh(softplus(x))`. Source: Misra 2019, Mish: A Self Regularized Activation Function.

    Example:
        >>> import lumbre
        >>> lumbre.activations.mish([0.0, 200.0]).numpy()
        array([  0., 200.], dtype=float32)
    """
    return ops.mish(x)


def exponential(x: Any) -> Any:
    """`exp(x)`.

    Example:
        >>> import lumbre
        >>> lumbre.activations.exponential([0.0]).numpy()
        array([1.], dtype=float32)
    """
    return ops.exp(x)


def glu(x: Any, axis: int = -1) -> Any:
    """`a · sigmoid(b)` with `a`, `b` the halves of `x` along `axis`, which the output is half as long in.

    Source: Dauphin et al. 2016, Language Modeling with Gated Convolutional Networks.

    Example:
        >>> import lumbre
        >>> lumbre.activations.glu([4.0, 0.0]).numpy()
        array([2.], dtype=float32)
    """
    return ops.glu(x, axis=axis)


def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """`x` where |x| > threshold, else 0.

    Example:
        >>> import lumbre
        >>> lumbre.activations.hard_shrink([-1.0, 0.25, 1.0]).numpy()
        array([-1.,  0.,  1.], dtype=float32)
    """
    return ops.where(ops.greater(ops.abs(x), threshold), x, 0.0)


def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """`x` moved towards 0 by `threshold`, and 0 where it would pass it.

    Source: Donoho 1995, De-noising by Soft-Thresholding.

    Example:
        >>> import lumbre
        >>> lumbre.activations.soft_shrink([-2.0, 0.25, 2.0]).numpy()
        array([-1.5,  0. ,  1.5], dtype=float32)
    """
    return ops.subtract(x, ops.clip(x, -threshold, threshold))


def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """`x` where x > threshold, else `default_value`.

    Example:
        >>> import lumbre
        >>> lumbre.activations.threshold([-1.0, 2.0], 0.0, 7.0).numpy()
        array([7., 2.], dtype=float32)
    """
    return ops.where(ops.greater(x, threshold), x, default_value)


def sparsemax(x: Any, axis: int = -1) -> Any:
    """The point of the probability simplex nearest to `x`: a softmax that gives exact zeros.

    `max(x - τ, 0)` with τ such that the sum over `axis` is 1. An element is above τ exactly when
    the elements greater than it exceed it by less than 1 in sum, which needs no sorting (and n²
    comparisons for an axis of length n). Source: Martins and Astudillo 2016, From Softmax to
    Sparsemax.

    Example:
        >>> import lumbre
        >>> lumbre.activations.sparsemax([1.0, 0.5, -3.0]).numpy()
        array([0.75, 0.25, 0.  ], dtype=float32)
    """
    z = ops.moveaxis(x, axis, -1)  # (…, n)
    excess = ops.relu(ops.subtract(ops.expand_dims(z, -2), ops.expand_dims(z, -1)))  # (…, n, n)
    kept = ops.less(ops.sum(excess, axis=-1), 1.0)  # (…, n)
    total = ops.sum(ops.where(kept, z, 0.0), axis=-1, keepdims=True)  # (…, 1)
    count = ops.sum(ops.cast(kept, z.dtype), axis=-1, keepdims=True)  # (…, 1)
    tau = ops.divide(ops.subtract(total, 1.0), count)
    return ops.moveaxis(ops.relu(ops.subtract(z, tau)), -1, axis)


swish = silu
hard_swish = hard_silu

_lookup = Lookup(
    "activation function",
    "keras.activations",
    [
        *(linear, relu, leaky_relu, relu6, softmax, log_softmax, sigmoid, log_sigmoid, hard_sigmoid),
        *(sparse_sigmoid, tanh, hard_tanh, tanh_shrink, softplus, softsign, sparse_plus, squareplus),
        *(elu, celu, selu, gelu, silu, hard_silu, mish, exponential, glu, hard_shrink, soft_shrink),
        *(threshold, sparsemax),
    ],
    aliases={"swish": silu, "hard_swish": hard_silu},
    by_name=True,
)

serialize = _lookup.serialize
deserialize = _lookup.deserialize


def get(identifier: Any) -> Any:
    """The activation that an identifier means: a name, a callable or a config; None is `linear`.

    Raises:
        ValueError: There is no activation of that name.

    Example:
        >>> import lumbre
        >>> lumbre.activations.get("relu").__name__
        'relu'
    """
    return linear if identifier is None else _lookup.get(identifier)
