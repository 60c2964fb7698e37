"""Tools beside models: seeds, labels, files, datasets, names, the progress bar."""

from lumbre.config import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from lumbre.ops.dtypes import standardize_dtype
from lumbre.registration import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from lumbre.serialization import deserialize_keras_object, serialize_keras_object
from lumbre.utils.downloads import get_file
from lumbre.utils.folders import text_dataset_from_directory
from lumbre.utils.graphs import get_source_inputs, is_keras_tensor
from lumbre.utils.naming import clear_session
from lumbre.utils.numerical import normalize, to_categorical
from lumbre.utils.packing import pack_x_y_sample_weight, unpack_x_y_sample_weight
from lumbre.utils.plot_model import plot_model
from lumbre.utils.progbar import Progbar
from lumbre.utils.py_dataset import PyDataset
from lumbre.utils.rng import set_random_seed
from lumbre.utils.sequences import pad_sequences
from lumbre.utils.splitting import split_dataset
from lumbre.utils.timeseries import timeseries_dataset_from_array

Sequence = PyDataset

__all__ = [
    "CustomObjectScope",
    "Progbar",
    "PyDataset",
    "Sequence",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]
