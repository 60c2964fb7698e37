"""Callbacks: code that runs at the events of training."""

from lumbre.callbacks.callback import Callback
from lumbre.callbacks.callback_list import CallbackList
from lumbre.callbacks.csv_logger import CSVLogger
from lumbre.callbacks.early_stopping import EarlyStopping
from lumbre.callbacks.gradient_monitor import GradientMonitor
from lumbre.callbacks.history import History
from lumbre.callbacks.lambda_callback import LambdaCallback
from lumbre.callbacks.learning_rate_finder import LearningRateFinder
from lumbre.callbacks.learning_rates import LearningRateScheduler, ReduceLROnPlateau
from lumbre.callbacks.model_checkpoint import BackupAndRestore, ModelCheckpoint
from lumbre.callbacks.progbar_logger import ProgbarLogger
from lumbre.callbacks.remote_monitor import RemoteMonitor
from lumbre.callbacks.swap_ema_weights import SwapEMAWeights
from lumbre.callbacks.tensorboard import TensorBoard
from lumbre.callbacks.terminate_on_nan import TerminateOnNaN

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "GradientMonitor",
    "History",
    "LambdaCallback",
    "LearningRateFinder",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]
