"""Tools beside models: seeds, labels, names, the progress bar."""

from lumbre.utils.naming import clear_session
from lumbre.utils.numerical import to_categorical
from lumbre.utils.packing import pack_x_y_sample_weight, unpack_x_y_sample_weight
from lumbre.utils.plot_model import plot_model
from lumbre.utils.progbar import Progbar
from lumbre.utils.rng import set_random_seed

__all__ = [
    "Progbar",
    "clear_session",
    "pack_x_y_sample_weight",
    "plot_model",
    "set_random_seed",
    "to_categorical",
    "unpack_x_y_sample_weight",
]
