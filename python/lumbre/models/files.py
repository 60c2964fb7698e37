"""`models.save_model` and `models.load_model`, which stand in `saving`."""

from __future__ import annotations

from typing import Any


def save_model(
    model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **options: Any
) -> None:
    """Saves a model: `lumbre.saving.save_model`, which says what is kept and which errors there are.

    Args:
        model: The model.
        filepath: The file; its ending says the format (`.lumbre`, `.keras`, `.h5`).
        overwrite: Whether an older file is replaced without asking.
        zipped: Accepted as in Keras.
        options: `save_format`, of old scripts.

    Source: `keras.models.save_model`.

    Example:
        >>> import lumbre, tempfile
        >>> model = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(2)])
        >>> path = f"{tempfile.mkdtemp()}/m.lumbre"
        >>> lumbre.models.save_model(model, path)
        >>> lumbre.models.load_model(path).output_shape
        (None, 2)
    """
    from lumbre import saving

    saving.save_model(model, filepath, overwrite=overwrite, zipped=zipped, **options)


def load_model(
    filepath: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """A model from a file: `lumbre.saving.load_model`, which says what errors there are.

    Args:
        filepath: The file; its ending says the format (`.lumbre`, `.keras`, `.h5`).
        custom_objects: Classes and functions of your own by name.
        compile: Whether the model is compiled as it was, with the optimizer's state.
        safe_mode: Accepted as in Keras; code in a file is never run.

    Returns:
        The model.

    Source: `keras.models.load_model`.

    Example:
        >>> import lumbre, tempfile
        >>> path = f"{tempfile.mkdtemp()}/m.lumbre"
        >>> lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(2)]).save(path)
        >>> lumbre.models.load_model(path).input_shape
        (None, 3)
    """
    from lumbre import saving

    return saving.load_model(filepath, custom_objects, compile, safe_mode)
