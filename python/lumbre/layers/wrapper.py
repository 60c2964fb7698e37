"""The base of layers around another layer."""

from __future__ import annotations

from typing import Any

from lumbre.layers.layer import Layer


class Wrapper(Layer):
    """A layer that holds another one, to be overridden: `call` says what it does with `self.layer`.

    Args:
        layer: The layer within, which is built when this one is.

    Raises:
        ValueError: It is no layer.

    Source: `keras.layers.Wrapper`.

    Example:
        >>> import lumbre
        >>> class Residual(lumbre.layers.Wrapper):
        ...     def call(self, inputs):
        ...         return inputs + self.layer(inputs)
        >>> block = Residual(lumbre.layers.Dense(3))
        >>> block(lumbre.ops.ones((2, 3))).shape, len(block.weights)
        ((2, 3), 2)
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise ValueError(
                f"Layer {layer} supplied to Wrapper isn't a supported layer type. Please ensure wrapped "
                "layer is a valid layer of lumbre."
            )
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True

    def get_config(self) -> dict[str, Any]:
        from lumbre.layers.serialization import serialize

        return {**super().get_config(), "layer": serialize(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """A new wrapper, with a new layer, from what `get_config` returned.

        Args:
            config: The config.
            custom_objects: Classes of your own by name.

        Raises:
            ValueError: The class of the layer within is not known.
        """
        from lumbre.layers.serialization import deserialize

        config = dict(config)
        return super().from_config({**config, "layer": deserialize(config["layer"], custom_objects)})
