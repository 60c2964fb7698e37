"""Lumbre: Keras 3's way of training neural networks, made for the CPU.

Kernels know numbers and nothing else. The runtime owns memory and the one door through which every
kernel is called, so it can also write the calls down and play them back. Python says what a model is.
"""

try:
    from lumbre import _core  # noqa: F401
except ImportError as e:  # pragma: no cover - depends on the installation
    raise ImportError(
        f"lumbre's native module cannot be loaded ({e}): reinstall with `pip install --force-reinstall "
        "lumbre`, or build it from a checkout with `pip install .` (needs Rust from https://rustup.rs)"
    ) from e

from lumbre import autograd, ops, tensor
from lumbre.autograd import Tensor, grad, no_grad
from lumbre.capture import capture
from lumbre.gradient_tape import GradientTape
from lumbre.profile import profile
from lumbre.tensor import Variable

from lumbre import (  # isort: skip
    activations,
    backend,
    callbacks,
    config,
    constraints,
    data,
    datasets,
    dtype_policies,
    initializers,
    keras_alias,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    preprocessing,
    random,
    regularizers,
    saving,
    tree,
    utils,
)
from lumbre.initializers import Initializer
from lumbre.layers import DTypePolicy, Input, InputSpec, Layer
from lumbre.layers.operation import Operation
from lumbre.layers.symbolic import KerasTensor
from lumbre.losses import Loss
from lumbre.metrics import Metric
from lumbre.models import Function, Model, Sequential
from lumbre.optimizers import Optimizer
from lumbre.regularizers import Regularizer
from lumbre.scopes import StatelessScope, device, name_scope
from lumbre.threads import get_num_threads, set_num_threads

__version__ = "0.1.0"


def version() -> str:
    """The version of Lumbre.

    Example:
        >>> import lumbre
        >>> lumbre.version() == lumbre.__version__
        True
    """
    return __version__


keras_alias.install()

__all__ = [
    "DTypePolicy",
    "Function",
    "GradientTape",
    "Initializer",
    "Input",
    "InputSpec",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Operation",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "StatelessScope",
    "Tensor",
    "Variable",
    "activations",
    "autograd",
    "backend",
    "callbacks",
    "capture",
    "config",
    "constraints",
    "data",
    "datasets",
    "device",
    "dtype_policies",
    "get_num_threads",
    "grad",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "name_scope",
    "no_grad",
    "ops",
    "optimizers",
    "preprocessing",
    "profile",
    "random",
    "regularizers",
    "saving",
    "set_num_threads",
    "tensor",
    "tree",
    "utils",
    "version",
]
