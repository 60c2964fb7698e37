"""The base of all models."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from lumbre import console
from lumbre.layers.layer import Layer
from lumbre.lookup import Gone
from lumbre.models import summary as _summary
from lumbre.registration import written_class
from lumbre.training.trainer import Trainer


def _is_functional(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether the arguments of a constructor are the inputs and outputs of a graph."""
    return (
        len(args) >= 2
        or (len(args) == 1 and "outputs" in kwargs)
        or ("inputs" in kwargs and "outputs" in kwargs)
    )


_INSTEAD = {
    "export": "use `save`; other runtimes' formats are not written",
    "quantize": "there are no quantized kernels",
    "get_state_tree": "use `get_weights`, and `optimizer.variables`",
    "set_state_tree": "use `set_weights`",
    "save_spec": "use `input_shape`",
}
_graph_classes: dict[type, type] = {}


def _graph_class(kind: type) -> Any:
    """A subclass of `Model` with `Functional` put beneath it, made once. Configs name the class itself."""
    from lumbre.models.functional import Functional

    if kind not in _graph_classes:
        named = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
        _graph_classes[kind] = type(kind.__name__, (kind, Functional), {**named, "_written_as": kind})
    return _graph_classes[kind]


def _new_graph(kind: type[Any]) -> Any:
    """An empty model of a class that describes itself as a graph, for the state of a copy."""
    made = _graph_class(kind)
    return made.__new__(made)


class Model(Trainer, Layer):
    """Layers that are trained together.

    There are three ways to make one: `Sequential([...])` for a chain, `Model(inputs, outputs)` for
    any graph of symbolic tensors that starts with `Input`s (a `Functional`), or a subclass that
    makes its layers in `__init__` and uses them in `call(inputs, training=False)`.

    Args:
        inputs: Symbolic tensors in any structure.
        outputs: Symbolic tensors in any structure that follow from the inputs.
        name: The model's name.

    Attributes:
        inputs, outputs: The symbolic tensors of a graph, flat; None for a subclass of one's own.
        input_names, output_names: For each of them, the name of the layer that it comes from.

    Raises:
        ValueError: The outputs do not follow from the inputs.

    Example:
        >>> import lumbre
        >>> x = lumbre.Input((4,))
        >>> model = lumbre.Model(x, lumbre.layers.Dense(2)(x))
        >>> model(lumbre.ops.ones((3, 4))).shape
        (3, 2)
    """

    _untracked = Trainer._untracked | Layer._untracked
    _uncopied = Trainer._uncopied | Layer._uncopied
    _plain = frozenset({"optimizer", "loss", "history", "inputs", "outputs", "input_names", "output_names"})
    _passes_masks = True

    fit_generator = Gone("use `fit`, which takes generators")
    evaluate_generator = Gone("use `evaluate`, which takes generators")
    predict_generator = Gone("use `predict`, which takes generators")
    predict_classes = Gone("use `predict(x).argmax(axis=-1)`, or `predict(x) > 0.5` for one output")
    predict_proba = Gone("use `predict`")
    add_metric = Gone("make the metric an attribute, and call its `update_state`")

    inputs: Any = None
    outputs: Any = None
    input_names: list[str] | None = None
    output_names: list[str] | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and _is_functional(args, kwargs):
            from lumbre.models.functional import Functional

            return super().__new__(Functional, *args, **kwargs)
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from lumbre.models.functional import Functional

        if _is_functional(args, kwargs) and not isinstance(self, Functional):
            # A subclass that describes itself as a graph: Functional is put beneath it.
            object.__setattr__(self, "__class__", _graph_class(type(self)))
            Functional.__init__(self, *args, **kwargs)  # type: ignore[arg-type]
            return
        super().__init__(*args, **kwargs)

    def __reduce_ex__(self, protocol: Any) -> Any:
        written = written_class(type(self))
        if written is type(self):
            return super().__reduce_ex__(protocol)
        return _new_graph, (written,), self.__getstate__()  # no module has the class that was put together

    def __getattr__(self, name: str) -> Any:
        """Called for names that a model does not have: says of Keras's what to use instead."""
        if name in _INSTEAD:
            raise AttributeError(
                f"'{type(self).__name__}' object has no attribute '{name}': {_INSTEAD[name]}", name=name
            )
        return object.__getattribute__(self, name)  # raises again what a property raised

    def call(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"Model {type(self).__name__} does not have a `call()` method implemented.")

    # Layers

    @property
    def layers(self) -> list[Any]:
        """The layers directly in the model, in order."""
        return list(self._flatten_layers(include_self=False, recursive=False))

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError(
            "`Model.layers` attribute is reserved and should not be used. Please use another name."
        )

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """A layer of the model by its name or by its place in `layers`.

        Raises:
            ValueError: There is no such layer, or not exactly one of the arguments is given.

        Example:
            >>> import lumbre
            >>> model = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(2, name="out")])
            >>> model.get_layer("out") is model.get_layer(index=0)
            True
        """
        if name is not None and index is not None:
            raise ValueError(
                f"Provide only a layer name or a layer index. Received: index={index}, name={name}."
            )
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(
                    f"Was asked to retrieve layer at index {index} but model only has {len(layers)} layers."
                )
            return layers[index]
        if name is None:
            raise ValueError("Provide either a layer name or layer index at `get_layer`.")
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(f"No such layer: {name}. Existing layers are: {[layer.name for layer in layers]}.")

    # Printing and configs

    def summary(
        self,
        line_length: int | None = None,
        positions: list[float] | None = None,
        print_fn: Callable[..., Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: list[str] | tuple[str, str] | None = None,
    ) -> None:
        """Prints a table of the layers, and how many parameters there are.

        Args:
            line_length: The table's width; by default what the terminal allows, up to 88 or 108.
            positions: Where the columns end, as parts of the width.
            print_fn: Called with the whole text instead of `print`.
            expand_nested: Whether the layers of models within are listed.
            show_trainable: Whether there is a column for that.
            layer_range: Names (or regular expressions) of the first and the last layer to list.

        Raises:
            ValueError: `layer_range` matches no layers, or the width is too small.

        Example:
            >>> import lumbre
            >>> model = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(2, name="out")])
            >>> model.summary(print_fn=lambda text: print(text.splitlines()[-3].strip()))
            Total params: 8 (32.00 B)
        """
        text = _summary.summary(
            self, line_length, positions, expand_nested, show_trainable, layer_range, styled=print_fn is None
        )
        if print_fn is None:
            console.show(text, end="")
        else:
            print_fn(text)

    def _repr_html_(self) -> str:
        """What a notebook shows: the table of `summary`."""
        return _summary.as_html(self)

    def to_json(self, **kwargs: Any) -> str:
        """The model's class and config as JSON; keyword arguments go to `json.dumps`.

        Example:
            >>> import lumbre
            >>> model = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(2, name="out")])
            >>> again = lumbre.models.model_from_json(model.to_json())
            >>> again.get_layer("out").units
            2
        """
        from lumbre.layers.serialization import serialize

        return json.dumps(serialize(self), **kwargs)

    # Files

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **options: Any) -> None:
        """Saves the model: `lumbre.saving.save_model`.

        Example:
            >>> import tempfile
            >>> import lumbre
            >>> model = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(2, name="out")])
            >>> path = f"{tempfile.mkdtemp()}/m.lumbre"
            >>> model.save(path)
            >>> lumbre.saving.load_model(path).count_params()
            8
        """
        from lumbre import saving

        saving.save_model(self, filepath, overwrite=overwrite, zipped=zipped, **options)

    def save_weights(
        self, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None, **options: Any
    ) -> None:
        """Saves the weights: `lumbre.saving.save_weights`.

        Example:
            >>> import tempfile
            >>> import lumbre
            >>> model = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(2, name="out")])
            >>> path = f"{tempfile.mkdtemp()}/weights.lumbre"
            >>> model.save_weights(path)
            >>> model.load_weights(path)
        """
        from lumbre import saving

        saving.save_weights(self, filepath, overwrite, max_shard_size, **options)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **options: Any) -> None:
        """Sets the weights from a file: `lumbre.saving.load_weights`."""
        from lumbre import saving

        saving.load_weights(self, filepath, skip_mismatch=skip_mismatch, **options)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """A new model from what `get_config` returned.

        Args:
            config: The config.
            custom_objects: Classes of your own by name, for layers within.

        Raises:
            ValueError: A class is not known.
            TypeError: The config does not fit the constructor.
        """
        cls = written_class(cls)
        if "input_layers" in config and "layers" in config:
            from lumbre.models.functional import Functional
            from lumbre.models.rebuild import functional_from_config, takes_ends

            kind = Functional if cls is Model else cls
            if kind is Functional or takes_ends(kind):
                return functional_from_config(kind, config, custom_objects)
        return super().from_config(config)


def model_from_json(json_string: str, custom_objects: Any = None) -> Any:
    """The model, without weights, of what `Model.to_json` returned.

    Example:
        >>> import lumbre
        >>> model = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(2)])
        >>> lumbre.models.model_from_json(model.to_json()).count_params()
        8
    """
    from lumbre.layers.serialization import deserialize

    return deserialize(json.loads(json_string), custom_objects)
