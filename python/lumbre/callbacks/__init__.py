"""Callbacks: code that runs at the events of training."""

from lumbre.callbacks.callback import Callback
from lumbre.callbacks.callback_list import CallbackList
from lumbre.callbacks.history import History
from lumbre.callbacks.progbar_logger import ProgbarLogger

__all__ = ["Callback", "CallbackList", "History", "ProgbarLogger"]
