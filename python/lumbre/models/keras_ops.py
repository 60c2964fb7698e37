"""Ops in the configs of functional models, in Keras's form: there every op is a class.

Some of a function's arguments are its constructor's and stand in the config, the others are of the call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

# Where Keras has the class of an op; the others are in `keras.src.ops.numpy`.
_MODULES = {
    name: f"keras.src.ops.{module}"
    for module, names in {
        "nn": "binary_crossentropy categorical_crossentropy celu elu gelu glu hard_sigmoid hard_silu "
        "hard_tanh leaky_relu log_sigmoid log_softmax moments normalize one_hot relu relu6 selu sigmoid silu "
        "softmax softplus softsign sparse_categorical_crossentropy squareplus",
        "core": "cast convert_to_tensor scatter slice slice_update stop_gradient unstack",
        "math": "erf in_top_k logsumexp rsqrt",
        "linalg": "norm",
    }.items()
    for name in names.split()
}

# The arguments of an op that are its constructor's.
OPTIONS = {
    name: tuple(options.split())
    for options, names in {
        "axis": "concatenate count_nonzero expand_dims flip stack take take_along_axis squeeze glu softmax "
        "log_softmax",
        "axis keepdims": "all any argmax argmin std mean var sum logsumexp",
        "axis keepdims initial": "max min",
        "axis keepdims dtype": "prod",
        "axis dtype": "cumprod cumsum",
        "axes": "tensordot transpose",
        "axis1 axis2": "swapaxes",
        "dtype": "arange full_like ones_like zeros_like cast",
        "dtype sparse ragged": "convert_to_tensor",
        "shape": "broadcast_to scatter slice",
        "shape dtype": "full",
        "x_min x_max": "clip",
        "subscripts": "einsum",
        "source destination": "moveaxis",
        "pad_width mode": "pad",
        "repeats": "tile",
        "repeats axis": "repeat",
        "newshape": "reshape",
        "decimals": "round",
        "indices_or_sections axis": "split",
        "k": "tril triu in_top_k",
        "b": "squareplus",
        "negative_slope": "leaky_relu",
        "alpha": "elu celu",
        "approximate": "gelu",
        "num_classes axis dtype sparse": "one_hot",
        "from_logits": "binary_crossentropy",
        "from_logits axis": "categorical_crossentropy sparse_categorical_crossentropy",
        "axes keepdims synchronized": "moments",
        "axis order epsilon": "normalize",
        "num axis": "unstack",
        "ord axis keepdims": "norm",
    }.items()
    for name in names.split()
}


def module_of(op: str) -> str:
    """The module in which Keras has the class of an op."""
    return _MODULES.get(op, "keras.src.ops.numpy")


def parted(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    """The arguments of a call of an op as Keras has them: the constructor's, and those of the call.

    Example:
        >>> import lumbre
        >>> parted(lumbre.ops.concatenate, (["a", "b"], 1), {})
        ({'axis': 1}, [['a', 'b']], {})
    """
    options = OPTIONS.get(function.__name__, ())
    if not options:
        return {}, list(args), dict(kwargs)
    bound = inspect.signature(function).bind(*args, **kwargs)
    own = {name: value for name, value in bound.arguments.items() if name in options}
    positional: list[Any] = []
    named: dict[str, Any] = {}
    gap = False
    for name, parameter in bound.signature.parameters.items():
        if name in options or name not in bound.arguments:
            gap = gap or (name not in options and parameter.kind is not parameter.VAR_POSITIONAL)
        elif parameter.kind is parameter.VAR_POSITIONAL:
            positional += bound.arguments[name]
        elif parameter.kind is parameter.VAR_KEYWORD:
            named.update(bound.arguments[name])
        elif gap or parameter.kind is parameter.KEYWORD_ONLY:
            named[name] = bound.arguments[name]
        else:
            positional.append(bound.arguments[name])
    return own, positional, named


def joined(
    function: Callable[..., Any], config: Mapping[str, Any], args: list[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call of an op from what `parted` made of them.

    Raises:
        ValueError: The config has an argument that the op does not take.

    Example:
        >>> import lumbre
        >>> joined(lumbre.ops.concatenate, {"axis": 1}, [["a", "b"]], {})
        ([['a', 'b']], {'axis': 1})
    """
    own = {name: value for name, value in config.items() if name != "name"}
    if function.__name__ == "einsum" and "subscripts" in own:
        args = [own.pop("subscripts"), *args]
    taken = inspect.signature(function).parameters
    for name in own:
        if name not in taken:
            raise ValueError(
                f"the op '{function.__name__}' has no argument '{name}'. It takes {', '.join(taken)}"
            )
    return args, {**own, **kwargs}
