"""A function of the user's as a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from lumbre import ops, registration, tree
from lumbre.layers.layer import Layer
from lumbre.layers.symbolic import KerasTensor, infer
from lumbre.serialization import code_refused


class Lambda(Layer):
    """Applies a function to its inputs.

    The function computes with ops and has no weights: what it changes, or takes from Variables around it,
    training does not see. For that, write a layer.

    Args:
        function: Called with the inputs, and with `mask` and `training` if it has such arguments.
        output_shape: The shape of the outputs without the batch, or a function of the input shape; needed
            only where the function cannot be run without values.
        mask: The mask of the outputs, or a function `(inputs, mask)` that returns it; none by default.
        arguments: Further arguments of the function, by name.

    Raises:
        TypeError: `function` is no function.
        ValueError: `arguments` is no dict.

    Source: `keras.layers.Lambda`.

    Example:
        >>> import lumbre
        >>> lumbre.layers.Lambda(lambda x: x ** 2)(lumbre.Tensor([[1.0, 2.0, 3.0]])).numpy()
        array([[1., 4., 9.]], dtype=float32)
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(
                f"Lambda: `function` must be callable. Received: {function} (of type {type(function)})"
            )
        if arguments is not None and not isinstance(arguments, Mapping):
            raise ValueError(
                "Lambda: `arguments` must be a dict from the names of the function's arguments to values. "
                f"Received: arguments={arguments}"
            )
        self.function = function
        self.arguments = dict(arguments or {})
        self.mask = mask
        self.supports_masking = mask is not None
        self._output_shape = output_shape
        names = inspect.signature(function).parameters if _has_signature(function) else {}
        self._hands_on = tuple(name for name in ("mask", "training") if name in names)
        self.built = True

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        given = {"mask": mask, "training": training}
        return self.function(inputs, **self.arguments, **{name: given[name] for name in self._hands_on})

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return (
            infer(self, args, kwargs)
            if self._output_shape is None
            else super().compute_output_spec(*args, **kwargs)
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        if callable(self._output_shape):
            return self._output_shape(input_shape)
        if self._output_shape is not None:
            batch = tree.flatten(input_shape)[0]
            return tree.map_shape_structure(lambda shape: (batch, *shape), self._output_shape)
        inputs = tree.map_shape_structure(lambda s: KerasTensor(s, self.compute_dtype), input_shape)
        return tree.map_structure(lambda t: t.shape, infer(self.call, (inputs,), {}))

    # Configs and copies

    def _clone(self) -> Lambda:
        base = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype_policy}
        return type(self)(self.function, self._output_shape, self.mask, self.arguments, **base)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "function": _written(self.function), "arguments": self.arguments}
        if self._output_shape is not None:
            config["output_shape"] = _written(self._output_shape)
        if self.mask is not None:
            config["mask"] = _written(self.mask)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None, safe_mode: Any = None) -> Any:
        """A new layer from what `get_config` returned.

        Args:
            config: The config.
            custom_objects: Functions of your own by name.
            safe_mode: Accepted as in Keras; code that a file brings along is never run.

        Raises:
            ValueError: The function is a lambda, or its name is not known.
        """
        config = dict(config)
        for name in ("function", "output_shape", "mask"):
            if name in config:
                config[name] = _read(config[name], custom_objects)
        return super().from_config(config)


def check_named(layer: Lambda) -> None:
    """Refuses a layer of which a file could not say what it does.

    Raises:
        ValueError: One of its functions has no name.
    """
    parts = {"function": layer.function, "output_shape": layer._output_shape, "mask": layer.mask}
    for what, part in parts.items():
        if callable(part) and getattr(part, "__name__", "<lambda>") == "<lambda>":
            raise ValueError(
                f"the `{what}` of the Lambda layer '{layer.name}' is {part}. A function without a name "
                "cannot be written into a file, which holds no code: define it with `def`, and register it "
                "with `@lumbre.saving.register_keras_serializable()`"
            )


def _has_signature(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function)
    except (TypeError, ValueError):  # some built-in functions
        return False
    return True


def _written(value: Any) -> Any:
    """A function as its name in a config; a lambda has none, and its code is not written."""
    if not callable(value):
        return value
    name = registration.get_registered_name(value) if hasattr(value, "__name__") else type(value).__name__
    if name == "<lambda>":
        return {"class_name": "__lambda__", "config": {}}
    return {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}


def _read(value: Any, custom_objects: Any) -> Any:
    if isinstance(value, list) and tree.is_shape(value):
        return tuple(value)
    if not isinstance(value, Mapping) or "class_name" not in value:
        return value
    if value["class_name"] == "__lambda__":
        raise code_refused("a `Lambda` layer whose `function` is a Python lambda")
    name = value["config"] if isinstance(value.get("config"), str) else value["class_name"]
    function = registration.get_registered_object(name, custom_objects)
    if function is None:
        function = getattr(ops, name) if name in ops.__all__ else registration.built_in_function(name)
    if not callable(function):
        raise ValueError(
            f"Unknown function '{name}' of a `Lambda` layer. Pass it in `custom_objects={{{name!r}: {name}}}`"
        )
    return function
