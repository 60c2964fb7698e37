"""Files: models and weights saved and loaded, and how configs name classes."""

from __future__ import annotations

from lumbre.registration import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from lumbre.saving.errors import FileFormatError
from lumbre.saving.saving_api import inspect_file, load_model, load_weights, save_model, save_weights
from lumbre.serialization import deserialize_keras_object, serialize_keras_object
from lumbre.training.checkpoints import Checkpoint

__all__ = [
    "Checkpoint",
    "CustomObjectScope",
    "FileFormatError",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "inspect_file",
    "load_model",
    "load_weights",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
]
