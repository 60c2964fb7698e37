"""Process-wide settings, with Keras's names.

The default float type, the small constant and the place of images' channels are read from `keras.json` in
Keras's folder (`KERAS_HOME`, or `~/.keras`) where there is one; nothing is written. The limits of debugging
runs come from `KERAS_MAX_EPOCHS` and `KERAS_MAX_STEPS_PER_EPOCH`. `KERAS_BACKEND` has no effect: there is one
backend.
"""

from __future__ import annotations

import os
import sys
import warnings
from types import TracebackType
from typing import Any

__all__ = [
    "backend",
    "disable_interactive_logging",
    "disable_traceback_filtering",
    "dtype_policy",
    "enable_interactive_logging",
    "enable_traceback_filtering",
    "enable_unsafe_deserialization",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_interactive_logging_enabled",
    "is_traceback_filtering_enabled",
    "max_epochs",
    "max_steps_per_epoch",
    "set_backend",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_max_epochs",
    "set_max_steps_per_epoch",
]

_FLOATS = ("float16", "bfloat16", "float32", "float64")
_FORMATS = ("channels_last", "channels_first")
_settings: dict[str, Any] = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "dtype_policy": None,
    "max_epochs": None,
    "max_steps_per_epoch": None,
    "interactive_logging": True,
    "excepthook": None,
    "unsafe_deserialization": False,
}


def backend() -> str:
    """The name of the engine underneath.

    Example:
        >>> backend()
        'lumbre'
    """
    return "lumbre"


def set_backend(backend: str) -> None:
    """Accepts the one engine there is.

    Raises:
        ValueError: It is another one.

    Example:
        >>> set_backend("lumbre")
    """
    if backend != "lumbre":
        raise ValueError(f"Lumbre is its own backend and has no other. Received: backend={backend!r}")


# ------------------------------------------------------------------------------------------------- numbers


def floatx() -> str:
    """The dtype of weights and of computation where a layer states none.

    Example:
        >>> floatx()
        'float32'
    """
    value: str = _settings["floatx"]
    return value


def set_floatx(value: str) -> None:
    """Sets the dtype of weights and of computation where a layer states none.

    Args:
        value: "float32" or "float64"; "float16" and "bfloat16" are accepted, but models do not train in them.

    Raises:
        ValueError: It is not the name of a float dtype.

    Source: `keras.config.set_floatx`.

    Example:
        >>> import lumbre
        >>> set_floatx("float64")
        >>> lumbre.ops.zeros((2,)).dtype
        'float64'
        >>> set_floatx("float32")
    """
    if value not in _FLOATS:
        raise ValueError(f"Unknown `floatx` value: {value}. Expected one of {_FLOATS}")
    _settings["floatx"] = str(value)


def epsilon() -> float:
    """The small constant that keeps divisions and logarithms finite.

    Example:
        >>> epsilon()
        1e-07
    """
    value: float = _settings["epsilon"]
    return value


def set_epsilon(value: float) -> None:
    """Sets the small constant that keeps divisions and logarithms finite.

    Args:
        value: A small number above 0.

    Source: `keras.config.set_epsilon`.

    Example:
        >>> set_epsilon(1e-5)
        >>> epsilon()
        1e-05
        >>> set_epsilon(1e-7)
    """
    _settings["epsilon"] = float(value)


def image_data_format() -> str:
    """Where images keep their channels: "channels_last" or "channels_first".

    Example:
        >>> image_data_format()
        'channels_last'
    """
    value: str = _settings["image_data_format"]
    return value


def set_image_data_format(data_format: str) -> None:
    """Sets where images keep their channels.

    Args:
        data_format: "channels_last", (batch, height, width, channels), or "channels_first".

    Raises:
        ValueError: It is neither "channels_last" nor "channels_first".

    Source: `keras.config.set_image_data_format`.

    Example:
        >>> set_image_data_format("channels_first")
        >>> image_data_format()
        'channels_first'
        >>> set_image_data_format("channels_last")
    """
    name = str(data_format).lower()
    if name not in _FORMATS:
        raise ValueError(
            "The `data_format` argument must be one of {'channels_first', 'channels_last'}. "
            f"Received: data_format={data_format}"
        )
    _settings["image_data_format"] = name


def dtype_policy() -> Any:
    """The `DTypePolicy` of layers that are given none: the one that was set, else that of `floatx()`.

    Example:
        >>> dtype_policy()
        <DTypePolicy "float32">
    """
    from lumbre.layers import dtype_policy  # it stands above

    return dtype_policy.get(None)


def set_dtype_policy(policy: Any) -> None:
    """Sets the policy of layers that are given none.

    Args:
        policy: A `DTypePolicy` or the name of a float dtype.

    Raises:
        ValueError: It is neither, or a mixed policy, for which there are no kernels.

    Source: `keras.config.set_dtype_policy`.

    Example:
        >>> set_dtype_policy("mixed_float16")
        Traceback (most recent call last):
        ...
        ValueError: the dtype policy 'mixed_float16' is not available: ...
    """
    from lumbre.layers import dtype_policy

    if not isinstance(policy, (str, dtype_policy.DTypePolicy)):
        raise ValueError(
            "Invalid `policy` argument. Expected the name of a policy (such as 'float32') or a `DTypePolicy` "
            f"instance. Received: policy={policy} (of type {type(policy)})"
        )
    _settings["dtype_policy"] = dtype_policy.get(policy)


def chosen_dtype_policy() -> Any:
    """What `set_dtype_policy` was given, or None."""
    return _settings["dtype_policy"]


# ---------------------------------------------------------------------------------------------- debugging


def max_epochs() -> int | None:
    """The most epochs that a call of `fit` trains, whatever it is told; None: as many as it is told.

    Example:
        >>> set_max_epochs(2)
        >>> max_epochs()
        2
        >>> set_max_epochs(None)
    """
    value: int | None = _settings["max_epochs"]
    return value


def set_max_epochs(max_epochs: int | None) -> None:
    """Limits the epochs of every call of `fit`, to try a script out; also set by `KERAS_MAX_EPOCHS`.

    Raises:
        ValueError: It is neither None nor a whole number above 0.

    Example:
        >>> set_max_epochs(1)
        >>> set_max_epochs(None)
    """
    _settings["max_epochs"] = _limit("max_epochs", max_epochs)


def max_steps_per_epoch() -> int | None:
    """The most steps of an epoch of `fit`, `evaluate` and `predict`; None: as many as the data gives.

    Example:
        >>> max_steps_per_epoch() is None
        True
    """
    value: int | None = _settings["max_steps_per_epoch"]
    return value


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Limits the steps of every epoch, to try a script out; also set by `KERAS_MAX_STEPS_PER_EPOCH`.

    Raises:
        ValueError: It is neither None nor a whole number above 0.

    Example:
        >>> set_max_steps_per_epoch(10)
        >>> max_steps_per_epoch()
        10
        >>> set_max_steps_per_epoch(None)
    """
    _settings["max_steps_per_epoch"] = _limit("max_steps_per_epoch", max_steps_per_epoch)


def _limit(name: str, value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ValueError(f"`{name}` must be None or a whole number above 0. Received: {name}={value!r}")


# ------------------------------------------------------------------------------------------- what is shown


def enable_interactive_logging() -> None:
    """Progress and summaries are written to standard output, as from the start.

    Example:
        >>> enable_interactive_logging()
        >>> is_interactive_logging_enabled()
        True
    """
    _settings["interactive_logging"] = True


def disable_interactive_logging() -> None:
    """Progress and summaries go to the logger "lumbre" of Python's `logging`, at level INFO.

    Of a progress bar only the finished lines do.

    Example:
        >>> disable_interactive_logging()
        >>> is_interactive_logging_enabled()
        False
        >>> enable_interactive_logging()
    """
    _settings["interactive_logging"] = False


def is_interactive_logging_enabled() -> bool:
    """Whether progress and summaries are written to standard output.

    Example:
        >>> is_interactive_logging_enabled()
        True
    """
    return bool(_settings["interactive_logging"])


def enable_traceback_filtering() -> None:
    """An error that ends a program is shown without Lumbre's own lines, but for the one that raised it.

    It is off from the start: the lines tell where in a network an error arose.

    Example:
        >>> enable_traceback_filtering()
        >>> is_traceback_filtering_enabled()
        True
        >>> disable_traceback_filtering()
    """
    if sys.excepthook is not _show_filtered:
        _settings["excepthook"] = sys.excepthook
        sys.excepthook = _show_filtered


def disable_traceback_filtering() -> None:
    """An error that ends a program is shown with all lines, as from the start.

    Example:
        >>> enable_traceback_filtering()
        >>> disable_traceback_filtering()
        >>> is_traceback_filtering_enabled()
        False
    """
    if sys.excepthook is _show_filtered:
        sys.excepthook = _settings["excepthook"]


def is_traceback_filtering_enabled() -> bool:
    """Whether an error that ends a program is shown without Lumbre's own lines."""
    return sys.excepthook is _show_filtered


def _show_filtered(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    frames = []
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    ours = os.path.dirname(__file__) + os.sep
    kept = None
    for frame in reversed(frames):
        if frame is frames[-1] or not frame.tb_frame.f_code.co_filename.startswith(ours):
            kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    _settings["excepthook"](kind, error.with_traceback(kept), kept)


# --------------------------------------------------------------------------------------------------- files


def enable_unsafe_deserialization() -> None:
    """Accepted as in Keras, and noted; code in a config or a file is never run, whatever is set."""
    _settings["unsafe_deserialization"] = True


def is_unsafe_deserialization_enabled() -> bool:
    """Whether `enable_unsafe_deserialization` was called."""
    return bool(_settings["unsafe_deserialization"])


def keras_home() -> str:
    """Keras's folder: what `KERAS_HOME` names, else `~/.keras`."""
    return os.path.expanduser(os.environ.get("KERAS_HOME") or os.path.join("~", ".keras"))


def _read_file() -> None:
    """Takes over what `keras.json` says."""
    path = os.path.join(keras_home(), "keras.json")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return
    import json  # most have no such file

    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError("it holds no object")
    except ValueError as error:
        warnings.warn(f"{path} is not read: {error}", stacklevel=2)
        return
    for name, setter in (
        ("floatx", set_floatx),
        ("epsilon", set_epsilon),
        ("image_data_format", set_image_data_format),
    ):
        if name in found:
            try:
                setter(found[name])
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path} has an unsuitable {name}: {error}") from None


def _read_environment() -> None:
    for name, setter in (("MAX_EPOCHS", set_max_epochs), ("MAX_STEPS_PER_EPOCH", set_max_steps_per_epoch)):
        text = os.environ.get(f"KERAS_{name}")
        if text:
            try:
                setter(int(text))
            except ValueError:
                raise ValueError(f"KERAS_{name} must be a whole number above 0, got {text!r}") from None


_read_file()
_read_environment()
