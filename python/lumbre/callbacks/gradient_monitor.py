"""Gradients, weights, updates and activations, watched layer by layer from within the training step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbre import activations, ops, tree
from lumbre.autograd import Tensor, no_grad
from lumbre.callbacks.callback import Callback, Logs
from lumbre.tensor import Variable
from lumbre.watching import Watcher

NAMES = ("gradient_norm", "weight_norm", "update_norm", "update_ratio", "zeros", "saturation")
"""What is watched: names in the logs begin so, and go on with `/` and the layer."""

# What counts as dead or saturated, by the name of the activation function.
_SIGNED = frozenset({"tanh", "hard_tanh", "softsign"})
_UNIT = frozenset({"sigmoid", "hard_sigmoid", "sparse_sigmoid", "softmax", "sparsemax"})
_ZERO = frozenset({"relu", "relu6", "hard_shrink", "hard_silu", "soft_shrink", "sparse_plus", "threshold"})
_CLASSES = {"ReLU": "relu", "Softmax": "softmax"}  # layers that are an activation themselves


class GradientMonitor(Callback):
    """Watches, layer by layer, how gradients, weights, updates and activations fare.

    At every `every`-th step of an epoch, from its first, it takes for each layer with trainable weights w and
    their gradients g (before clipping), all weights of the layer together,

        ‖g‖,   ‖w‖ before the update,   ‖w' - w‖, where w' are the weights after it,

    and for each layer with an activation function the share of its outputs that are 0, or, where the
    function is bounded, within 0.01 of a bound, where its slope is next to nothing. The means over an epoch
    are added to its logs, hence to the history, to TensorBoard and to CSV files:

    | name | |
    |---|---|
    | `gradient_norm/<layer>` | ‖g‖: it vanishes or explodes from layer to layer |
    | `weight_norm/<layer>` | ‖w‖ |
    | `update_norm/<layer>` | ‖w' - w‖ |
    | `update_ratio/<layer>` | ‖w' - w‖ / ‖w‖; about 1e-3 is healthy |
    | `zeros/<layer>` | the share of activations that are 0, for ReLU and its like |
    | `saturation/<layer>` | the share of saturated ones, for sigmoid, tanh, softmax and their like |

    All of it is computed by kernels inside the recorded step, with the same bits for any number of threads.
    A progress bar does not show these names, unless `verbose` is 1.

    Args:
        every: Steps from one measurement to the next. One moves about twice the memory of an update by
            `SGD`: a quarter of a step of a 784-512-512-10 network on batches of 128, so with 20 some 2 %.
        verbose: 1 shows the values on the progress bar too.

    Raises:
        ValueError: `every` is no whole number of at least 1.

    Source: Glorot and Bengio 2010, Understanding the Difficulty of Training Deep Feedforward Neural Networks;
    for the ratio of 1e-3, Karpathy, CS231n: Neural Networks Part 3.

    Example:
        >>> import lumbre, numpy as np
        >>> model = lumbre.Sequential([lumbre.Input((4,)), lumbre.layers.Dense(8, "tanh", name="first")])
        >>> model.compile("sgd", "mse")
        >>> x = np.ones((64, 4))
        >>> monitor = lumbre.callbacks.GradientMonitor(every=1)
        >>> history = model.fit(x, np.ones((64, 8)), verbose=0, callbacks=[monitor]).history
        >>> for name in history:
        ...     print(name)
        loss
        gradient_norm/first
        weight_norm/first
        update_norm/first
        update_ratio/first
        saturation/first
    """

    def __init__(self, every: int = 20, verbose: int = 0) -> None:
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise ValueError(f"`every` must be a whole number of at least 1. Received: every={every!r}")
        self.every = every
        self.verbose = verbose
        self.watcher = self._gauge = _Gauge(every)
        prefixes = (
            "gradient_norm/",
            "weight_norm/",
            "update_norm/",
            "update_ratio/",
            "zeros/",
            "saturation/",
        )
        self.unshown = () if verbose else prefixes

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._gauge.attach(self.model)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._gauge.reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs.update(self._gauge.means())

    def get_state(self) -> dict[str, Any]:
        return {"sums": [variable.numpy() for variable in self._gauge.sums()]}

    def set_state(self, state: dict[str, Any]) -> None:
        for variable, value in zip(self._gauge.sums(), state["sums"], strict=True):
            variable.assign(value)


class _Gauge(Watcher):
    """The part that is inside the step: Variables that ops add to."""

    def __init__(self, every: int) -> None:
        self.every = every

    def attach(self, model: Any) -> None:
        """Makes the Variables for a model, which is built."""
        layers = model._flatten_layers()
        counts = Counter(layer.name for layer in layers)

        def name(layer: Any) -> str:
            return str(layer.name if counts[layer.name] == 1 else layer.path)

        owners = [x for x in layers if any(v.trainable for v in x._trainable_variables)]
        self.owners = [name(layer) for layer in owners]
        self.group_of = {id(v): i for i, x in enumerate(owners) for v in x._trainable_variables}
        active = [(x, kind) for x in layers if (kind := _range(x)) is not None]
        self.active = [(name(layer), kind) for layer, kind in active]
        self.place_of = {id(layer): i for i, (layer, _) in enumerate(active)}
        self.before: dict[int, Variable] = {}
        self.steps = _state((), "int64")
        self.norms = _state((len(owners), 3))
        self.activity = _state((len(active),))
        self.outputs: list[tuple[int, Tensor]] = []

    def sums(self) -> tuple[Variable, Variable, Variable]:
        """What is kept from step to step within an epoch."""
        return self.steps, self.norms, self.activity

    def reset(self) -> None:
        """Begins an epoch."""
        for variable in self.sums():
            variable.assign(np.zeros(variable.shape, variable.dtype))

    def means(self) -> dict[str, float]:
        """The means over the measurements since `reset`, by their names in the logs."""
        count = -(-int(self.steps.numpy()) // self.every) or 1
        found: dict[str, float] = {}
        for layer, (gradient, weight, update) in zip(self.owners, self.norms.numpy() / count, strict=True):
            found[f"gradient_norm/{layer}"] = float(gradient)
            found[f"weight_norm/{layer}"] = float(weight)
            found[f"update_norm/{layer}"] = float(update)
            found[f"update_ratio/{layer}"] = float(update / weight) if weight else 0.0
        for (layer, kind), share in zip(self.active, self.activity.numpy() / count, strict=True):
            found[f"{'zeros' if kind == 'zeros' else 'saturation'}/{layer}"] = float(share)
        return found

    # Within the step

    def step_begins(self) -> None:
        self.outputs = []

    def on_output(self, layer: Any, outputs: Any) -> None:
        place = self.place_of.get(id(layer))
        if place is not None:
            tensors = [t for t in tree.flatten(outputs) if isinstance(t, Tensor) and not t._a.is_dry]
            self.outputs += [(place, t) for t in tensors if t.dtype in ("float32", "float64")]

    def update_begins(self, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
        watched = [v for v in variables if id(v) in self.group_of]
        for v in watched:
            if id(v) not in self.before:
                self.before[id(v)] = _state(v.shape, v.dtype)
        copies = [self.before[id(v)] for v in watched]
        ops.snapshot(copies, [v.value for v in watched], self.steps.value, self.every)

    def update_ends(self, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
        watched = [(g, v) for g, v in zip(gradients, variables, strict=True) if id(v) in self.group_of]
        if watched:
            ops.norms_update(
                self.norms,
                [g for g, _ in watched],
                [v.value for _, v in watched],
                [self.before[id(v)] for _, v in watched],
                [self.group_of[id(v)] for _, v in watched],
                self.steps.value,
                self.every,
            )

    def step_ends(self) -> None:
        with no_grad():
            if self.outputs:
                ops.activity_update(
                    self.activity,
                    [t.detach() for _, t in self.outputs],
                    [place for place, _ in self.outputs],
                    [kind for _, kind in self.active],
                    self.steps.value,
                    self.every,
                )
            ops.increment(self.steps)
        self.outputs = []


def _state(shape: tuple[int, ...], dtype: str = "float64") -> Variable:
    return Variable(np.zeros(shape, dtype), trainable=False)


def _range(layer: Any) -> str | None:
    """What is counted of a layer's outputs (see `ops.activity_update`), None if nothing is."""
    function = getattr(layer, "activation", None)
    name = _CLASSES.get(type(layer).__name__, "linear")
    if function is not None:
        name = getattr(function, "__name__", type(function).__name__)
    if name in _SIGNED:
        return "signed"
    if name in _UNIT:
        return "unit"
    # A function of the user's own may be zero, for all that is known.
    return "zeros" if name in _ZERO or not hasattr(activations, name) else None
