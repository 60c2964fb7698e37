"""`models.save_model` and `models.load_model`, which stand in `saving`."""

from __future__ import annotations

from typing import Any


def save_model(
    model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **options: Any
) -> None:
    """Saves a model: `lumbre.saving.save_model`."""
    from lumbre import saving

    saving.save_model(model, filepath, overwrite=overwrite, zipped=zipped, **options)


def load_model(
    filepath: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """A model from a file: `lumbre.saving.load_model`."""
    from lumbre import saving

    return saving.load_model(filepath, custom_objects, compile, safe_mode)
