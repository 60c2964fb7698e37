"""Process-wide settings: the default float type, the small constant, where images keep channels."""

from __future__ import annotations

_FLOATS = ("float16", "bfloat16", "float32", "float64")
_FORMATS = ("channels_last", "channels_first")
_settings: dict[str, str] = {"floatx": "float32", "image_data_format": "channels_last"}
_epsilon = 1e-7


def floatx() -> str:
    """The dtype of weights and of computation where a layer states none.

    Example:
        >>> floatx()
        'float32'
    """
    return _settings["floatx"]


def set_floatx(value: str) -> None:
    """Sets the default float dtype.

    Raises:
        ValueError: It is not the name of a float dtype.
    """
    if value not in _FLOATS:
        raise ValueError(f"Unknown `floatx` value: {value}. Expected one of {_FLOATS}")
    _settings["floatx"] = value


def epsilon() -> float:
    """The small constant that keeps divisions and logarithms finite.

    Example:
        >>> epsilon()
        1e-07
    """
    return _epsilon


def set_epsilon(value: float) -> None:
    """Sets the small constant."""
    global _epsilon
    _epsilon = float(value)


def image_data_format() -> str:
    """Where images keep their channels: "channels_last" or "channels_first".

    Example:
        >>> image_data_format()
        'channels_last'
    """
    return _settings["image_data_format"]


def set_image_data_format(data_format: str) -> None:
    """Sets where images keep their channels.

    Raises:
        ValueError: It is neither "channels_last" nor "channels_first".
    """
    if data_format not in _FORMATS:
        raise ValueError(
            "The `data_format` argument must be one of {'channels_first', 'channels_last'}. "
            f"Received: data_format={data_format}"
        )
    _settings["image_data_format"] = data_format


def backend() -> str:
    """The name of the engine underneath.

    Example:
        >>> backend()
        'lumbre'
    """
    return "lumbre"
