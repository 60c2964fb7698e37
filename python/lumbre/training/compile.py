"""The losses that a model is compiled with."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lumbre import losses, metrics, ops, tree
from lumbre.autograd import Tensor, no_grad
from lumbre.capture import Tracked
from lumbre.training import arguments, labels
from lumbre.training.structure import Names, match, output_names, spread


class Entry(NamedTuple):
    """One output that has a loss."""

    place: int  # of the output among the leaves of y_pred
    loss: losses.Loss
    weight: float | None
    name: str
    shape: tuple[int, ...]  # of the output, when built


def kind_by_shape(y_true: Any, y_pred: Any) -> str:
    """Which form of accuracy or cross-entropy two shapes ask for, as Keras decides it.

    Returns:
        "binary" for outputs of width 1, "sparse" for class numbers against wider outputs, else
        "categorical".
    """
    true, pred = tuple(y_true.shape), tuple(y_pred.shape)
    if pred and pred[-1] == 1:
        return "binary"
    if len(true) < len(pred) or (true and true[-1] == 1 and pred and pred[-1] > 1):
        return "sparse"
    return "categorical"


_CROSSENTROPIES = {
    "binary": losses.binary_crossentropy,
    "sparse": losses.sparse_categorical_crossentropy,
    "categorical": losses.categorical_crossentropy,
}


def is_automatic(identifier: Any, names: tuple[str, ...]) -> bool:
    """Whether a name like "accuracy" or "acc" leaves the form to the shapes."""
    return isinstance(identifier, str) and identifier.lower() in names


def get_loss(identifier: Any, y_true: Any, y_pred: Any) -> losses.Loss:
    """The loss of a name, function or object; "crossentropy" and "ce" depend on the shapes."""
    if is_automatic(identifier, ("crossentropy", "ce")):
        found: Any = _CROSSENTROPIES[kind_by_shape(y_true, y_pred)]
    else:
        found = losses.get(identifier)
    if isinstance(found, losses.Loss):
        return found
    name = identifier if isinstance(identifier, str) else object_name(found)
    return losses.LossFunctionWrapper(found, name=name)


def object_name(value: Any) -> str:
    """The name of an object or function, else that of its class."""
    return str(getattr(value, "name", None) or getattr(value, "__name__", None) or type(value).__name__)


class CompileLoss(Tracked):
    """The total loss of a model: the sum over outputs of weight times loss.

    Args:
        loss: A name, function, `Loss` or None, or a list, dict or nested structure of these for
            the outputs.
        loss_weights: A number, or a list or dict of numbers for the outputs.
        output_names: The names of the model's outputs, if known.

    Raises:
        ValueError: A name is unknown, or `loss_weights` has a wrong type.

    Attributes:
        metrics: With several losses, the mean of each over the epoch, without its weight.
        excuses: Whether there are labels outside the classes that only their weight 0 excuses.
    """

    def __init__(self, loss: Any, loss_weights: Any = None, output_names: Names = None) -> None:
        arguments.check_loss_weights(loss_weights)
        for identifier in tree.flatten(loss):
            if isinstance(identifier, metrics.Metric):
                raise TypeError(
                    f"`loss` is the metric {identifier.name!r}, which cannot be descended. Pass a loss of "
                    "lumbre.losses, or its name"
                )
            if identifier is not None and not is_automatic(identifier, ("crossentropy", "ce")):
                losses.get(identifier)  # an unknown name is an error now
        self.built = False
        self.output_names = output_names
        self.metrics: list[metrics.Mean] = []
        self._loss = loss
        self._weights = loss_weights
        self._entries: list[Entry] = []
        self._wanted: list[bool] = []
        self._outputs: Any = None  # the structure of the outputs, with empty leaves
        self.excuses = False

    @property
    def variables(self) -> list[Any]:
        return [v for metric in self.metrics for v in metric.variables]

    def build(self, y_true: Any, y_pred: Any) -> None:
        """Decides which loss belongs to which output, from tensors or arrays of one batch."""
        names = self.output_names
        specs = spread(self._loss, y_pred, names, _is_leaf, self._error)
        self._check_all_named(y_pred)
        wanted = [spec is not None for spec in specs]
        targets = match(y_true, y_pred, names, wanted)
        weights = self._spread_weights(y_pred, wanted)
        outputs = tree.flatten(y_pred)
        found: list[losses.Loss | None] = [None] * len(outputs)
        for i, output in enumerate(outputs):
            if wanted[i]:
                if targets[i] is None:
                    raise no_targets(output_names(y_pred, names)[i] or i, "a loss")
                found[i] = get_loss(specs[i], targets[i], output)
        named = names is not None and len(names) == len(outputs)
        labels = output_names(y_pred, names if named else [loss.name if loss else "" for loss in found])
        entries = [
            Entry(i, loss, weights[i], labels[i] or loss.name, tuple(outputs[i].shape))
            for i, loss in enumerate(found)
            if loss is not None
        ]
        if isinstance(self._loss, dict) and isinstance(y_pred, dict):
            places = {name: i for i, name in enumerate(self._loss)}  # Keras's order, which `evaluate` shows
            entries.sort(key=lambda entry: places.get(entry.name, len(places)))
        if len(entries) > 1:
            self.metrics = [metrics.Mean(name=name) for name in _unique(e.name for e in entries)]
        self._outputs = tree.map_structure(lambda _: None, y_pred)
        self._entries, self._wanted, self.built = entries, wanted, True

    def _check_all_named(self, y_pred: Any) -> None:
        """Refuses a dict of losses that says nothing of an output."""
        spec, names = self._loss, self.output_names
        if not isinstance(spec, dict) or not tree.is_nested(y_pred):
            return
        outputs = y_pred if isinstance(y_pred, dict) and set(spec) <= set(y_pred) else names or ()
        left_out = [name for name in outputs if name not in spec]
        if left_out:
            raise ValueError(
                f"The output {left_out[0]!r} has no loss: expected keys {list(outputs)} in the loss dict, "
                f"but found loss.keys()={list(spec)}. Give it one, or None to leave it out of the training"
            )

    def unbuild(self) -> None:
        """Forgets what `build` decided: the batch it was decided from was refused."""
        self.metrics, self._entries, self._wanted, self.built = [], [], [], False

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor | None:
        """The total loss of a batch; None if no output has a loss.

        Args:
            y_true: Targets, one for each output.
            y_pred: The model's outputs.
            sample_weight: Weights for all outputs, or a structure with weights for each.

        Raises:
            ValueError: Targets or weights do not fit the outputs.
        """
        if not self.built:
            self.build(y_true, y_pred)
        outputs = tree.flatten(y_pred)
        targets = match(y_true, y_pred, self.output_names, self._wanted)
        weights = match_weights(sample_weight, y_pred, self.output_names, self._wanted)
        total: Tensor | None = None
        for k, entry in enumerate(self._entries):
            output = outputs[entry.place]
            target, weight = targets[entry.place], weights[entry.place]
            if target is None:
                raise no_targets(entry.name, "a loss")
            if self.excuses:
                target = labels.excuse(target, weight)
            with labels.hints(entry.loss, target, output):
                value = entry.loss(target, output, weight)
            if self.metrics:
                with no_grad():
                    self.metrics[k].update_state(value, sample_weight=output.shape[0])
            if entry.weight is not None:
                value = ops.multiply(value, entry.weight)
            total = value if total is None else ops.add(total, value)
        return total

    def targets(self, y: Any, sample_weight: Any = None) -> list[tuple[str, np.ndarray, Any, Entry]]:
        """The targets of each loss, as NumPy arrays, of one batch or of a whole data set.

        Args:
            y: The targets.
            sample_weight: Their weights.

        Returns:
            For each loss what its targets are called, they themselves, their weights, and the loss.
        """
        found = match(y, self._outputs, self.output_names, self._wanted)
        weights = match_weights(sample_weight, self._outputs, self.output_names, self._wanted)
        return [
            (
                "y" if len(found) == 1 else f"y[{entry.name!r}]",
                np.asanyarray(found[entry.place]),
                weights[entry.place],
                entry,
            )
            for entry in self._entries
            if found[entry.place] is not None
        ]

    def odd_outputs(self, y_pred: Any) -> dict[str, str]:
        """What is wrong with the outputs of one batch under losses that expect probabilities, by output."""
        outputs = tree.flatten(y_pred)
        names = ["the output" if len(outputs) == 1 else f"the output {e.name!r}" for e in self._entries]
        found = {
            name: labels.odd_outputs(name, outputs[entry.place], entry.loss)
            for name, entry in zip(names, self._entries, strict=True)
        }
        return {name: text for name, text in found.items() if text is not None}

    def _spread_weights(self, y_pred: Any, wanted: list[bool]) -> list[float | None]:
        weights = self._weights
        count = len(wanted)
        if weights is None:
            return [None] * count
        flat = [w for w in tree.flatten(weights) if w is not None]
        if not isinstance(weights, dict) and len(flat) not in (count, sum(wanted)):
            raise ValueError(
                f"`loss_weights` must match the number of losses, got {sum(wanted)} losses and "
                f"{len(flat)} weights."
            )
        if isinstance(weights, dict) and count > 1:
            return spread(weights, y_pred, self.output_names, _is_leaf, self._weights_error)
        rest = iter(flat)
        return [float(next(rest)) if w or len(flat) == count else None for w in wanted]

    def _error(self, reason: str) -> Exception:
        return ValueError(
            f"The `loss` argument does not match the model's outputs: {reason} Expected keys "
            f"{self.output_names} in loss dict, or a list in their order. Received: loss={self._loss}"
        )

    def _weights_error(self, reason: str) -> Exception:
        return ValueError(f"`loss_weights` does not match the model's outputs: {reason}")


def no_targets(output: str | int, what: str) -> ValueError:
    """The error for targets that were not given."""
    return ValueError(f"the output {output} has {what}, but `y` has no targets for it")


def match_weights(sample_weight: Any, y_pred: Any, names: Names, wanted: list[bool]) -> list[Any]:
    """The sample weights of each output; those given once are for all of them."""
    if not tree.is_nested(sample_weight):
        return [sample_weight] * len(wanted)
    if isinstance(sample_weight, dict) and len(wanted) > 1:
        keys = output_names(y_pred, names)
        if set(sample_weight) <= set(keys):
            return [sample_weight.get(key) for key in keys]
    return match(sample_weight, y_pred, names, wanted, "sample_weight")


def _is_leaf(spec: Any) -> bool:
    return not tree.is_nested(spec)


def _unique(names: Any) -> list[str]:
    """`<name>_loss` for each, numbered where models without output names have equal ones."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        n = seen[name] = seen.get(name, 0) + 1
        result.append(f"{name}_loss" if n == 1 else f"{name}_loss_{n - 1}")
    return result
