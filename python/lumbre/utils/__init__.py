"""Tools beside models: seeds, labels, names, data sets of one's own, the progress bar."""

from lumbre.utils.naming import clear_session
from lumbre.utils.numerical import to_categorical
from lumbre.utils.plot_model import plot_model
from lumbre.utils.progbar import Progbar
from lumbre.utils.py_dataset import PyDataset
from lumbre.utils.rng import set_random_seed

Sequence = PyDataset

__all__ = [
    "Progbar",
    "PyDataset",
    "Sequence",
    "clear_session",
    "plot_model",
    "set_random_seed",
    "to_categorical",
]
