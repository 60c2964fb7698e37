"""Tools beside models: seeds, labels, names, the progress bar."""

from lumbre.utils.naming import clear_session
from lumbre.utils.numerical import to_categorical
from lumbre.utils.plot_model import plot_model
from lumbre.utils.progbar import Progbar
from lumbre.utils.rng import set_random_seed

__all__ = ["Progbar", "clear_session", "plot_model", "set_random_seed", "to_categorical"]
