"""Datasets as pipelines: `Dataset` with `map`, `shuffle`, `batch` and the rest of `tf.data`."""

from lumbre.data import experimental
from lumbre.data.dataset import AUTOTUNE, Dataset
from lumbre.data.elements import TensorSpec
from lumbre.data.stages import INFINITE as INFINITE_CARDINALITY
from lumbre.data.stages import UNKNOWN as UNKNOWN_CARDINALITY

__all__ = ["AUTOTUNE", "INFINITE_CARDINALITY", "UNKNOWN_CARDINALITY", "Dataset", "TensorSpec", "experimental"]
