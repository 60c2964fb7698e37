"""The base of all layers: building, calling, configs."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from lumbre import regularizers, tree
from lumbre.autograd import FLOATS, Tensor, as_tensor
from lumbre.layers import dtype_policy as policies
from lumbre.layers.around import (
    Snapshot,
    as_shape,
    masks_of,
    plain_arguments,
    refuse_non_tensors,
    split_config,
    tracking_build,
    within,
)
from lumbre.layers.context import Signature, context, explain, shape_of, shapes_of, signature_of
from lumbre.layers.input_spec import InputSpec, check_inputs
from lumbre.layers.operation import Operation, checked_name
from lumbre.layers.state import State
from lumbre.layers.stateless import StatelessCalls
from lumbre.layers.symbolic import KerasTensor, computing, infer, symbolic_call
from lumbre.lookup import auto_name, foreign, unknown_options
from lumbre.tensor import Variable
from lumbre.watching import now, tell_output


class Layer(State, StatelessCalls, Operation):
    """A function of tensors with weights: the base class of every layer and model.

    A subclass makes its weights in `build(input_shape)`, with `add_weight`, and computes in
    `call(inputs)`. Layers and Variables in attributes, also inside lists and dicts, belong to it.

    Args:
        activity_regularizer: A penalty on the outputs, divided by the batch size.
        trainable: Whether training changes the weights.
        dtype: The dtype of weights and computation, or a `DTypePolicy`.
        autocast: Whether floating-point inputs are cast to the dtype of computation.
        name: The layer's name; by default the class name in snake case, with a number.
        input_shape: The shape of one sample; for old code, `Sequential` takes it for an `Input`.
        input_dim: The same for samples of one axis.

    Raises:
        ValueError: An argument is unknown or not valid.

    Example:
        >>> import lumbre
        >>> class Scale(lumbre.layers.Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight((input_shape[-1],), "ones", name="factor")
        ...     def call(self, inputs):
        ...         return inputs * self.factor
        >>> Scale()([[1.0, 2.0]] * lumbre.ops.ones((1, 2))).shape
        (1, 2)
    """

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        input_shape = kwargs.pop("input_shape", None)
        input_dim = kwargs.pop("input_dim", None)
        kind = type(self).__name__
        if kwargs:
            hints = unknown_options(kwargs, type(self).__init__, Layer.__init__)
            raise ValueError(f"Unrecognized keyword arguments passed to {kind}: {kwargs}.{hints}")
        if not isinstance(trainable, bool):
            raise ValueError(
                f"Expected `trainable` to be a boolean. Received: trainable={trainable} "
                f"(of type {type(trainable)})"
            )
        self.name = checked_name(auto_name(kind) if name is None else name)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        policy = policies.get(dtype)
        self._policy = policy[self.name] if isinstance(policy, policies.DTypePolicyMap) else policy
        self.autocast = autocast
        self.supports_masking = False
        self.input_spec: Any = None
        self._build_shapes: dict[str, Any] | None = None
        self._path: str | None = None
        self._input_shape_arg: tuple[int | None, ...] | None = None
        if input_dim is not None:
            input_shape = (input_dim,)
        if input_shape is not None:
            self._input_shape_arg = tuple(input_shape)
            warnings.warn(
                "Do not pass an `input_shape`/`input_dim` argument to a layer. When using Sequential models, "
                "prefer using an `Input(shape)` object as the first layer in the model instead.",
                stacklevel=3,
            )
        if not trainable:
            self.trainable = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = tracking_build(cls.__dict__["build"])  # type: ignore[method-assign]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        if cls.get_config is Layer.get_config:
            self.__dict__["_init_args"] = (args, kwargs)
        return self

    # What is known of the layer

    @property
    def path(self) -> str:
        """The names of the layers around it and its own, from when it was built."""
        return self._path or self.name

    @property
    def dtype_policy(self) -> policies.DTypePolicy:
        """The dtypes of the weights and of the computation."""
        return self._policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        self._policy = policies.get(value)

    @property
    def dtype(self) -> str:
        """The dtype of the weights."""
        return self._policy.variable_dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype of the weights."""
        return self._policy.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """The dtype that inputs are cast to and outputs have."""
        return self._policy.compute_dtype

    _what = "layer"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    # Building

    def build(self, input_shape: Any) -> None:
        """Makes the weights for inputs of this shape (None where a size is not known).

        Layers with weights override it. Otherwise, layers within are built by computing the
        shapes of a call.
        """
        if all(layer.built for layer in self._flatten_layers(include_self=False)):
            return
        inputs = tree.map_shape_structure(lambda s: KerasTensor(s, self.compute_dtype), input_shape)
        try:
            infer(self.call, (inputs,), {})
        except Exception as error:
            warnings.warn(
                f"`build()` was called on layer '{self.name}', however the layer does not have a `build()` "
                "method implemented and it looks like it has unbuilt state. This will cause the layer to be "
                "marked as built, despite not being actually built, which may cause failures down the line. "
                f"Make sure to implement a proper `build()` method. (`call()` on that shape: {error})",
                stacklevel=4,
            )

    def _create(self, make: Callable[[], Variable]) -> Variable:
        with computing(), within(self):
            variable = make()
            variable.path = "/".join([*(layer.name for layer in context.path), variable.name])
        return variable

    def _build_for(self, bound: dict[str, Any]) -> None:
        """Builds the layer for the arguments of a call."""
        build = type(self).build
        if getattr(build, "_is_default", False):
            self.built = True  # the call builds the layers within
            shapes = {
                name: shapes_of(value) for name, value in bound.items() if name not in ("training", "mask")
            }
            if len(shapes) == 1 and tree.flatten(shapes):
                self.__dict__["_build_shapes"] = shapes
            return
        names = [p for p in inspect.signature(self.build).parameters if p not in ("args", "kwargs")]
        if len(names) <= 1:
            self.build(shapes_of(next(iter(bound.values()), None)))
            return
        shapes = {f"{name}_shape": shapes_of(value) for name, value in bound.items()}
        self.build(**{name: shapes[name] for name in names if name in shapes})

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes that the layer was built for, for `build_from_config`."""
        shapes = self._build_shapes
        if not shapes:
            return None
        return {"input_shape": next(iter(shapes.values()))} if len(shapes) == 1 else {"shapes_dict": shapes}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds the layer as `get_build_config` says."""
        if config and not self.built:
            if "shapes_dict" in config:
                self.build(**{k: as_shape(v) for k, v in config["shapes_dict"].items()})
            else:
                self.build(as_shape(config["input_shape"]))

    # Calling

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Computes the outputs from the inputs. To be overridden."""
        raise NotImplementedError(f"Layer {type(self).__name__} does not have a `call` method implemented.")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Applies the layer to tensors, arrays or symbolic tensors, building it if needed.

        Args:
            args: The inputs, as `call` takes them.
            kwargs: Further arguments of `call`; `training` and `mask` are understood by all layers.

        Raises:
            ValueError: An input has the wrong rank or size; nothing has changed then.
        """
        if len(args) == 1 and self._fast:
            x = args[0]
            kind = type(x)
            if kind is np.ndarray:
                x = self._converted(x)
                kind = type(x)
            if x._mask is None if kind is Tensor else kind is np.ndarray:
                if not kwargs:
                    return self._call_tensor(x, None)
                if len(kwargs) == 1 and "training" in kwargs:
                    return self._call_tensor(x, kwargs["training"])
        return self._call_any(args, kwargs)

    def _call_tensor(self, x: Any, training: bool | None) -> Any:
        """The short way: one tensor without a mask into a layer that is built.

        A model that casts its inputs itself may get an array.
        """
        dtype = x.dtype
        if self.autocast and dtype != self._policy.compute_dtype and dtype in FLOATS:
            dtype = self._policy.compute_dtype
            x = as_tensor(x, dtype)
        spec = self.input_spec
        if spec is not None and (type(spec) is not InputSpec or spec.problem(x.shape, dtype)):
            check_inputs(spec, x, self.name)
        here = context.__dict__  # this thread's: each look into a `threading.local` costs as much as a call
        before = here["training"]
        signature = self._signature
        if training is None:
            training = before if before is not None else signature.default
        entry = here["entry"]
        if entry is None:
            here["entry"] = self
            if self._lossy:
                self._clear_losses()
        here["training"] = training
        try:
            if signature.takes_training and training is not None:
                outputs = self.call(x, training=training)
            else:
                outputs = self.call(x)
            if now.watchers:
                tell_output(self, outputs)
            return outputs
        except Exception as error:
            explain(self, error, x)
            raise
        finally:
            here["training"] = before
            here["entry"] = entry

    def _call_any(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if "name" not in self.__dict__:
            raise RuntimeError(
                f"In layer '{type(self).__name__}', you forgot to call `super().__init__()` as the first "
                "statement in the `__init__()` method. Go add it!"
            )
        signature = signature_of(self)
        training = kwargs.pop("training", None)
        args = tuple(self._converted(a) for a in args)
        kwargs = {k: self._converted(v) for k, v in kwargs.items()}
        if not self._takes_any:
            refuse_non_tensors(args)
        if kwargs.get("mask", 0) is None or (not signature.takes_mask and "mask" in kwargs):
            kwargs.pop("mask")
        bound = signature.bind(args, kwargs)
        if training is None and signature.takes_training and bound.get("training") is not None:
            training = bound["training"]
        values = [v for v in tree.flatten([args, kwargs]) if isinstance(v, KerasTensor)]
        if self.input_spec is not None and bound:
            check_inputs(self.input_spec, next(iter(bound.values())), self.name)
        if values and training is not None and "training" not in bound:
            kwargs["training"] = training
        if self.built:
            return self._apply(args, kwargs, training, bool(values))
        before = Snapshot(self)
        try:
            self._build_for(bound)
            return self._apply(args, kwargs, training, bool(values))
        except BaseException:
            before.restore()
            raise

    def _apply(self, args: Any, kwargs: dict[str, Any], training: bool | None, symbolic: bool) -> Any:
        return symbolic_call(self, args, kwargs) if symbolic else self._run(args, kwargs, training)

    def _converted(self, value: Any) -> Any:
        """The value with arrays in it as tensors, and floating-point ones cast to the compute dtype."""
        if isinstance(value, KerasTensor) or value is None:
            return value
        if tree.is_nested(value):
            return tree.map_structure(self._converted, value)
        if isinstance(value, (Tensor, Variable)):
            tensor = as_tensor(value)
            dtype = self._policy.compute_dtype
            if self.autocast and tensor.dtype in FLOATS and tensor.dtype != dtype:
                mask, tensor = tensor._mask, as_tensor(tensor, dtype)
                tensor._mask = mask
            return tensor
        if isinstance(value, np.ndarray) or hasattr(value, "__array__") or hasattr(value, "__dlpack__"):
            if type(value).__name__ == "KerasTensor":
                raise ValueError(f"Layer '{self.name}' was called on {value}.{foreign(value)}")
            array = np.asarray(value) if hasattr(value, "__array__") else value
            if self.autocast and isinstance(array, np.ndarray) and array.dtype.kind == "f":
                return as_tensor(array, self._policy.compute_dtype)
            return as_tensor(array)
        return value

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any], training: bool | None) -> Any:
        """Calls `call` with tensors, in the mode and with the masks that apply."""
        signature = signature_of(self)
        before, entry = context.training, context.entry
        if training is None:
            training = before if before is not None else signature.default
        if entry is None:
            context.entry = self
            if self._lossy:
                self._clear_losses()
        context.training = training
        masks = masks_of(args[0]) if args else None
        if signature.takes_training and training is not None and "training" not in kwargs:
            positional = signature.names.index("training") < len(args)
            kwargs = kwargs if positional else {**kwargs, "training": training}
        if signature.takes_mask and masks is not None and "mask" not in kwargs:
            kwargs = {**kwargs, "mask": masks}
        if signature.masked:
            kwargs = self._masks_by_name(signature, args, kwargs)
        try:
            with within(self):
                outputs = self.call(*args, **kwargs)
                self._after_call(args[0] if args else None, masks, outputs)
        except Exception as error:
            explain(self, error, args[0] if len(args) == 1 else args)
            raise
        finally:
            context.training, context.entry = before, entry
        self._decide_fast()
        if now.watchers:
            tell_output(self, outputs)
        return outputs

    @staticmethod
    def _masks_by_name(signature: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by name of a call, with `<argument>_mask` for each argument that carries a mask."""
        bound = signature.bind(args, kwargs)
        found = {f"{name}_mask": masks_of(bound.get(name)) for name in signature.masked}
        return {**kwargs, **{k: m for k, m in found.items() if m is not None and bound.get(k) is None}}

    def _after_call(self, inputs: Any, masks: Any, outputs: Any) -> None:
        """Sets the outputs' masks and adds the penalty on the activity."""
        if self.supports_masking:
            found = self.compute_mask(inputs, masks)
            for output, mask in zip(tree.flatten(outputs), tree.flatten(found), strict=False):
                if isinstance(output, Tensor) and output._mask is None:
                    output._mask = mask
        elif masks is not None and not self._passes_masks and not signature_of(self).takes_mask:
            warnings.warn(
                f"Layer '{self.name}' (of type {type(self).__name__}) was passed an input with a mask "
                "attached to it. However, this layer does not support masking and will therefore destroy the "
                "mask information. Downstream layers will not see the mask.",
                stacklevel=4,
            )
        origin = getattr(outputs, "_origin", None)
        if origin and origin[0] == "softmax" and outputs.shape[-1] == 1 and not self._layers:
            self._warn_of_one_unit(outputs.shape)
        if self.activity_regularizer is not None:
            for output in tree.flatten(outputs):
                if isinstance(output, Tensor):
                    self.add_loss(self.activity_regularizer(output) / max(output.shape[0], 1))

    def _warn_of_one_unit(self, shape: tuple[int, ...]) -> None:
        if not self.__dict__.get("_has_warned"):
            self.__dict__["_has_warned"] = True
            seen = ", ".join(map(str, (None, *shape[1:])))
            warnings.warn(
                f"You are using a softmax over axis -1 of a tensor of shape ({seen}), in layer "
                f"'{self.name}'. This axis has size 1. The softmax operation will always return the value 1, "
                "which is likely not what you intended. Did you mean to use a sigmoid instead?",
                stacklevel=5,
            )

    def _decide_fast(self) -> None:
        """Whether the next call may take the short way: nothing is to be done after `call`."""
        marks = self.supports_masking and type(self).compute_mask is not Layer.compute_mask
        self.__dict__["_signature"] = signature_of(self)
        self.__dict__["_fast"] = (
            self.built
            and self.activity_regularizer is None
            and not marks
            and "call" not in self.__dict__
            and self._signature.first is not None
        )

    _signature: Any
    _takes_any = False  # whether positional arguments may be something else than tensors
    _passes_masks = False  # whether the layers within see to the masks

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the outputs; by default that of the inputs.

        Called only where `supports_masking` is set.
        """
        return previous_mask

    # Shapes

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The shape of the outputs for inputs of the given shape, computing nothing.

        Raises:
            NotImplementedError: It cannot be found out without weights that are not made yet.
        """
        own_build = not getattr(type(self).build, "_is_default", False)
        waiting = any(not layer.built for layer in self._flatten_layers(include_self=False))
        if waiting or (own_build and not self.built):
            raise NotImplementedError(
                f"Layer {type(self).__name__} does not have a `compute_output_shape` method implemented. "
                "Should implement `def compute_output_shape(self, input_shape)`."
            )
        shapes = [*args, *kwargs.values()]
        inputs = [
            tree.map_shape_structure(lambda s: KerasTensor(s, self.compute_dtype), shape) for shape in shapes
        ]
        outputs = infer(self.call, tuple(inputs), {})
        return tree.map_structure(lambda t: t.shape, outputs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The symbolic outputs of a call on symbolic inputs.

        `call` is run without computing anything. Where it cannot be (it reads a value), a
        `compute_output_shape` of the layer's own gives the shape.
        """
        try:
            return infer(self, args, kwargs)
        except Exception:
            if type(self).compute_output_shape is Layer.compute_output_shape or self._exact_shapes:
                raise
            shape = self.compute_output_shape(*(tree.map_structure(shape_of, a) for a in args))
        return tree.map_shape_structure(lambda s: KerasTensor(s, self.compute_dtype), shape)

    _exact_shapes = False  # whether `call` always runs dry, so that its errors are the user's

    # Configs

    def get_config(self) -> dict[str, Any]:
        """The arguments that `from_config` rebuilds the layer from.

        A layer of your own with further arguments either overrides it or has only plain values
        (numbers, strings, lists of them) among its arguments.

        Raises:
            NotImplementedError: The constructor was given other values.
        """
        base = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": policies.serialize(self._policy),
        }
        if self.activity_regularizer is not None:
            base["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        if type(self).get_config is not Layer.get_config:
            return base
        return {**plain_arguments(self), **base}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A new layer with the arguments of a config. Weights are not part of it.

        Raises:
            TypeError: The config does not fit the constructor.
        """
        config, rest = split_config(cls, config)
        try:
            layer = cls(**config)
        except TypeError as error:
            raise TypeError(
                f"Error when deserializing class '{cls.__name__}' using config={config}.\n\n"
                f"Exception encountered: {error}"
            ) from error
        if "dtype" in rest:
            layer._policy = policies.get(rest["dtype"])
        layer.name = rest.get("name", layer.name)
        if rest.get("trainable") is False:
            layer.trainable = False
        return layer


Layer.build = tracking_build(Layer.build)  # type: ignore[method-assign]
Layer.build._is_default = True  # type: ignore[attr-defined]
