"""What Keras keeps under this name: tools that make data ready."""

from lumbre.preprocessing import sequence
from lumbre.utils.folders import text_dataset_from_directory
from lumbre.utils.timeseries import timeseries_dataset_from_array

__all__ = ["sequence", "text_dataset_from_directory", "timeseries_dataset_from_array"]
