"""A chain of layers."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from lumbre import ops, tree
from lumbre.autograd import Tensor, as_tensor
from lumbre.layers.around import attach_mask, plain_arguments
from lumbre.layers.input_layer import InputLayer
from lumbre.layers.layer import Layer
from lumbre.layers.symbolic import KerasTensor, Node
from lumbre.lookup import auto_name, foreign
from lumbre.models.copying import described, made
from lumbre.models.model import Model


class Sequential(Model):
    """Layers one after another, each with one input and one output.

    The layers are built as soon as the shape of the data is known: from an `Input` in front (or an
    `input_shape` of the first layer), otherwise at the first call.

    Args:
        layers: The layers; more can be added with `add`.
        trainable: Whether training changes the weights.
        name: The model's name.

    Raises:
        ValueError: A member is not a layer, or two have the same name.

    Example:
        >>> import lumbre
        >>> model = lumbre.Sequential([lumbre.layers.Dense(8, "relu"), lumbre.layers.Dense(1)])
        >>> model(lumbre.ops.ones((2, 4))).shape
        (2, 1)
    """

    _lockable = False
    _takes_any = True
    _exact_shapes = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__new__(cls, *args, **kwargs)
        if cls.get_config is Sequential.get_config and not _starts_empty(cls):
            made.__dict__["_init_args"] = (args, kwargs)
        return made

    def __init__(self, layers: Any = None, trainable: bool = True, name: str | None = None) -> None:
        Layer.__init__(self, name=name)
        self.autocast = False  # the layers cast
        self.__dict__["_tensors"] = []
        if layers is not None:
            for layer in layers if isinstance(layers, (list, tuple)) else [layers]:
                self._append(layer)
            self._extend()
        if not trainable:
            self.trainable = False

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_tensors": [described(t) for t in self._tensors]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        outputs = state.pop("_tensors")
        super().__setstate__({**state, "_tensors": []})
        for layer, described_output in zip(self._layers, outputs, strict=False):
            if not self._tensors:
                self._tensors.append(layer.output)
            else:
                node = Node(layer, (self._tensors[-1],), {}, made(described_output))
                self._tensors.append(node.outputs)

    # The symbolic tensors between the layers, as far as the chain has been applied to an input.
    _tensors: list[Any]

    @property
    def layers(self) -> list[Any]:
        """The layers, without the input."""
        layers = self._layers
        return list(layers[1:] if layers and isinstance(layers[0], InputLayer) else layers)

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError(
            "`Sequential.layers` attribute is reserved and should not be used. "
            "Use `add()` and `pop()` to change the layers in this model."
        )

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Puts a layer at the end.

        Args:
            layer: A layer, or the tensor of an `Input`, which must be the first.
            rebuild: Whether to build the layer now, where the shape of its input is known.

        Raises:
            ValueError: It is not a layer, or one of the same name is in the model.

        Example:
            >>> import lumbre
            >>> model = lumbre.Sequential()
            >>> model.add(lumbre.Input((3,)))
            >>> model.add(lumbre.layers.Dense(2))
            >>> model.output_shape
            (None, 2)
        """
        self._append(layer)
        if rebuild:
            self._extend()

    def pop(self, rebuild: bool = True) -> Any:
        """Takes the last layer off and returns it.

        Args:
            rebuild: Accepted as in Keras.

        Example:
            >>> import lumbre
            >>> model = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(2)])
            >>> model.add(lumbre.layers.Dense(1))
            >>> model.pop().units, model.output_shape
            (1, (None, 2))
        """
        layer = self._layers.pop()
        del self._tensors[len(self._layers) :]
        self.built = bool(self._tensors) and len(self._layers) > 1
        self._changed()
        self.__dict__["_fast"] = False
        return layer

    def _append(self, layer: Any) -> None:
        if isinstance(layer, KerasTensor) and isinstance(layer._keras_history[0], InputLayer):
            layer = layer._keras_history[0]
        if not isinstance(layer, Layer):
            raise ValueError(
                "Only instances of `keras.Layer` can be added to a Sequential model. "
                f"Received: {layer} (of type {type(layer)}){foreign(layer)}"
            )
        if isinstance(layer, InputLayer) and self._layers:
            kind = "an Input" if isinstance(self._layers[0], InputLayer) else "layers"
            raise ValueError(
                f"Sequential model '{self.name}' has already been configured to use {kind}: an Input must be "
                f"the first member. Received: {layer}"
            )
        if layer is self or any(inner is self for inner in layer._flatten_layers()):
            raise ValueError(
                f"Sequential model '{self.name}' cannot be a layer of itself: '{layer.name}' would make a "
                "cycle"
            )
        if any(layer.name == other.name and layer is not other for other in self._layers):
            raise ValueError(
                "All layers added to a Sequential model should have unique names. Name "
                f"'{layer.name}' is already the name of a layer in this model. Update the `name` argument to "
                "pass a unique name."
            )
        if not self._layers and not isinstance(layer, InputLayer) and layer._input_shape_arg is not None:
            self._layers.append(InputLayer(shape=layer._input_shape_arg))
        self._layers.append(layer)
        self.__dict__["_fast"] = False
        self.built = False
        self._changed()

    def _extend(self) -> None:
        """Builds what can be built: layers behind the last one whose output is known."""
        layers = self._layers
        if not layers:
            return
        if not self._tensors:
            first = layers[0]
            if isinstance(first, InputLayer):
                self._tensors.append(first.output)
            elif len(layers) > 1 and isinstance(getattr(first, "input_shape", None), tuple):
                Sequential.build(self, first.input_shape)
                return
            else:
                return
        if len(layers) > 1:
            Sequential.build(self, self._tensors[0].shape)

    def build(self, input_shape: Any = None) -> None:
        """Builds all layers for inputs of this shape, the batch included.

        Raises:
            ValueError: There are no layers, or the shape does not fit the model's input.
        """
        if not self._layers:
            raise ValueError(
                f"Sequential model {self.name} cannot be built because it has no layers. "
                "Call `model.add(layer)`."
            )
        if not self._tensors:
            self._start(input_shape)
        elif input_shape is not None and not _compatible(self._tensors[0].shape, input_shape):
            raise ValueError(
                f"Sequential model '{self.name}' has already been configured to use input shape "
                f"{self._tensors[0].shape}. You cannot build it with input_shape {input_shape}"
            )
        for layer in self._layers[len(self._tensors) :]:
            try:
                self._tensors.append(layer(self._tensors[-1]))
            except NotImplementedError:
                # The layer's shapes cannot be found out; the first call builds the rest.
                del self._tensors[:]
                return
        auto_name(
            "functional"
        )  # Keras keeps a graph within, which takes a name: other graphs are numbered alike

    def _start(self, input_shape: Any) -> None:
        first = self._layers[0]
        if isinstance(first, InputLayer):
            self._tensors.append(first.output)
        elif input_shape is None:
            raise ValueError(
                f"Sequential model {self.name} cannot be built: pass the shape of the inputs, or start the "
                "model with an `Input`"
            )
        else:
            dtype = getattr(first, "input_dtype", None) or first.compute_dtype
            entry = InputLayer(batch_shape=tuple(input_shape), dtype=dtype)
            self._layers.insert(0, entry)
            self._tensors.append(entry.output)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Applies the layers in turn. `training` and masks reach them by themselves."""
        layers = self._layers
        x = inputs
        if mask is not None and isinstance(x, Tensor):
            attach_mask(x, mask)
        if isinstance(layers[0], InputLayer):
            x = self._as_entry(x, layers[0])
            layers = layers[1:]
        for layer in layers:
            x = layer(x)
        return x

    def _as_entry(self, x: Any, entry: InputLayer) -> Any:
        """The input with the rank and the dtype that the model starts with."""
        wanted, dtype = entry.batch_shape, entry.dtype
        if type(x) is not Tensor or x.dtype != dtype:
            if tree.is_nested(x) and len(flat := tree.flatten(x)) == 1:
                x = flat[0]  # a list or dict of one
            mask = getattr(x, "_mask", None)
            x = as_tensor(x, dtype)
            x._mask = mask
        shape = x.shape
        if len(shape) == len(wanted):
            return x
        if len(shape) == len(wanted) + 1 and shape[-1] == 1:
            return ops.squeeze(x, -1)
        if len(shape) == len(wanted) - 1 and wanted[-1] == 1:
            return ops.expand_dims(x, -1)
        raise ValueError(
            f"Invalid input shape for input {type(x).__name__} with name '{entry.name}'. Expected shape "
            f"{wanted}, but input has incompatible shape {shape}"
        )

    def _converted(self, value: Any) -> Any:
        return value if self.built else super()._converted(value)

    # Shapes

    def compute_output_shape(self, input_shape: Any) -> Any:
        for layer in self.layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    @property
    def inputs(self) -> Any:
        """The symbolic input, in a list."""
        return [self._known("inputs")[0]]

    @property
    def outputs(self) -> Any:
        """The symbolic output, in a list."""
        return tree.flatten(self._known("outputs")[-1])

    @property
    def input_shape(self) -> Any:
        """The shape of the input, None for sizes that are not known."""
        return self._known("input shape")[0].shape

    @property
    def output_shape(self) -> Any:
        """The shape of the output, None for sizes that are not known."""
        return tree.map_structure(lambda t: t.shape, self._known("output shape")[-1])

    @property
    def input_dtype(self) -> str:
        """The dtype of the input."""
        dtype: str = self._known("input dtype")[0].dtype
        return dtype

    def _known(self, what: str) -> list[Any]:
        if len(self._tensors) < len(self._layers) or not self._tensors:
            raise AttributeError(f"Sequential model '{self.name}' has no defined {what} yet.")
        return self._tensors

    @property
    def input(self) -> Any:
        """The symbolic input."""
        return self._known("input")[0]

    @property
    def output(self) -> Any:
        """The symbolic output."""
        return self._known("output")[-1]

    @property
    def input_names(self) -> list[str] | None:  # type: ignore[override]
        """The name of the input, in a list; None before it is known."""
        return [self._layers[0].name] if self._tensors else None

    @property
    def output_names(self) -> list[str] | None:  # type: ignore[override]
        """The name of the last layer, in a list; None before the model is built."""
        done = self._tensors and len(self._tensors) == len(self._layers)
        return [self._layers[-1].name for _ in tree.flatten(self._tensors[-1])] if done else None

    # Configs

    def get_config(self) -> dict[str, Any]:
        from lumbre.layers.serialization import serialize

        if type(self).get_config is Sequential.get_config and not _starts_empty(type(self)):
            own = {**plain_arguments(self), "name": self.name}  # its constructor makes the layers
            return own if self._trainable else {**own, "trainable": False}
        config = {**Layer.get_config(self), "layers": [serialize(layer) for layer in self._shown()]}
        if self._tensors:
            config["build_input_shape"] = self._tensors[0].shape
        return config

    def _shown(self) -> Iterable[Any]:
        return self._layers

    def get_build_config(self) -> dict[str, Any] | None:
        return None

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        from lumbre.layers.serialization import deserialize

        if "layers" not in config:
            return super().from_config(config)
        model = cls(name=config.get("name"))
        for layer in config["layers"]:
            model.add(deserialize(layer, custom_objects), rebuild=False)
        model._extend()
        shape = config.get("build_input_shape")
        if shape and not model.built and model._layers:
            model.build(tuple(shape))
        if config.get("trainable") is False:
            model.trainable = False
        return model


def _starts_empty(kind: type) -> bool:
    """Whether the constructor of a class can be called without the layers."""
    if kind is Sequential:
        return True
    try:
        inspect.signature(kind).bind(name="")
    except TypeError:
        return False
    return True


def _compatible(known: Any, given: Any) -> bool:
    return len(known) == len(given) and all(
        m is None or n is None or m == n for m, n in zip(known[1:], given[1:], strict=True)
    )
