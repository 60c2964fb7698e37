"""The metrics that a model is compiled with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lumbre import metrics as metrics_module
from lumbre import tree
from lumbre.metrics import Metric
from lumbre.training.compile import is_automatic, kind_by_shape, match_weights, no_targets, object_name
from lumbre.training.labels import excuse
from lumbre.training.structure import Names, match, output_names, spread

# Names that leave the form to the shapes.
_FORMS: dict[tuple[str, ...], dict[str, Callable[..., Metric]]] = {
    ("accuracy", "acc"): {
        "binary": metrics_module.BinaryAccuracy,
        "sparse": metrics_module.SparseCategoricalAccuracy,
        "categorical": metrics_module.CategoricalAccuracy,
    },
    ("crossentropy", "ce"): {
        "binary": metrics_module.BinaryCrossentropy,
        "sparse": metrics_module.SparseCategoricalCrossentropy,
        "categorical": metrics_module.CategoricalCrossentropy,
    },
}
_AUTOMATIC = tuple(name for names in _FORMS for name in names)


def get_metric(identifier: Any, y_true: Any, y_pred: Any) -> Metric:
    """The metric of a name, function or object; "accuracy" and "crossentropy" depend on the shapes.

    In the logs it has the name that was given: "acc" stays "acc".
    """
    for names, forms in _FORMS.items():
        if is_automatic(identifier, names):
            return forms[kind_by_shape(y_true, y_pred)](name=identifier)
    found: Any = metrics_module.get(identifier)
    name = identifier if isinstance(identifier, str) else object_name(found)
    if not isinstance(found, Metric):
        return metrics_module.MeanMetricWrapper(found, name=name)
    if isinstance(identifier, str):
        found.name = name
    return found


class CompileMetrics(Metric):
    """All metrics of a model: `metrics` without, `weighted_metrics` with sample weights.

    Args:
        metrics: A list for a model with one output; for several, a list with a metric or list of
            metrics for each, or a dict of these by output name.
        weighted_metrics: The same.
        output_names: The names of the model's outputs, if known.

    Attributes:
        excuses: Whether there are labels outside the classes that only their weight 0 excuses.

    Raises:
        ValueError: Not a list, tuple or dict, or a name is unknown.
    """

    def __init__(self, metrics: Any, weighted_metrics: Any = None, output_names: Names = None) -> None:
        super().__init__(name="compile_metrics")
        given = {"metrics": metrics, "weighted_metrics": weighted_metrics}
        for argument, value in given.items():
            if value and not isinstance(value, (list, tuple, dict)):
                raise ValueError(
                    f"Expected `{argument}` argument to be a list, tuple, or dict. "
                    f"Received instead: {argument}={value} of type {type(value)}"
                )
            for identifier in tree.flatten(value or []):
                if isinstance(identifier, str) and not is_automatic(identifier, _AUTOMATIC):
                    metrics_module.get(identifier)  # an unknown name is an error now
        self.built = False
        self.excuses = False
        self.output_names = output_names
        self._given = given
        # (output, is weighted, name in the logs, metric), in the order of the results
        self._entries: tuple[tuple[int, bool, str, Metric], ...] = ()
        self._wanted: list[bool] = []

    @property
    def metrics(self) -> list[Metric]:
        return [metric for *_, metric in self._entries]

    @property
    def variables(self) -> list[Any]:
        return [v for metric in self.metrics for v in metric.variables]

    def build(self, y_true: Any, y_pred: Any) -> None:
        """Decides which metric belongs to which output, from tensors or arrays of one batch."""
        plain = self._spread("metrics", y_pred)
        weighted = self._spread("weighted_metrics", y_pred)
        wanted = [bool(p or w) for p, w in zip(plain, weighted, strict=True)]
        targets = match(y_true, y_pred, self.output_names, wanted)
        outputs = tree.flatten(y_pred)
        for i, is_wanted in enumerate(wanted):
            if is_wanted and targets[i] is None:
                raise no_targets(i, "metrics")
        found = [
            (i, is_weighted, get_metric(identifier, targets[i], outputs[i]))
            for is_weighted, lists in ((False, plain), (True, weighted))
            for i, identifiers in enumerate(lists)
            for identifier in identifiers
        ]
        prefixes = self._prefixes(y_pred, len(outputs))
        names = _log_names([(prefixes[i], is_weighted, metric.name) for i, is_weighted, metric in found])
        self._entries = tuple(
            (i, is_weighted, name, metric)
            for (i, is_weighted, metric), name in zip(found, names, strict=True)
        )
        self._wanted, self.built = wanted, True

    def _prefixes(self, y_pred: Any, count: int) -> Sequence[str | None]:
        """What the names in the logs begin with, for each output."""
        if count == 1:
            return [None]
        known = self.output_names
        if known and len(known) == count and not isinstance(y_pred, dict):
            return known  # a list of outputs; losses say in which dict within it one is, too
        return output_names(y_pred, known)

    def by_name(self) -> dict[str, Metric]:
        """The metrics by their names in the logs; none before `build`."""
        return {name: metric for _, _, name, metric in self._entries}

    def unbuild(self) -> None:
        """Forgets what `build` decided: the batch it was decided from was refused."""
        self._entries, self._wanted, self.built = (), [], False

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if not self.built:
            self.build(y_true, y_pred)
        outputs = tree.flatten(y_pred)
        targets = match(y_true, y_pred, self.output_names, self._wanted)
        weights = match_weights(sample_weight, y_pred, self.output_names, self._wanted)
        for i, is_weighted, name, metric in self._entries:
            if targets[i] is None:
                raise no_targets(i, f"the metric {name}")
            if is_weighted:
                target = excuse(targets[i], weights[i]) if self.excuses else targets[i]
                metric.update_state(target, outputs[i], sample_weight=weights[i])
            else:
                metric.update_state(targets[i], outputs[i])

    def result(self) -> Any:
        """The value of each metric by its name in the logs.

        Raises:
            ValueError: No batch was seen yet.
        """
        if not self.built:
            raise ValueError("Cannot get result() since the metric has not yet been built.")
        return {name: metric.result() for _, _, name, metric in self._entries}

    def reset_state(self) -> None:
        for metric in self.metrics:
            metric.reset_state()

    def _spread(self, argument: str, y_pred: Any) -> list[list[Any]]:
        """For each output, the list of its metrics."""
        spec = self._given[argument]
        count = len(tree.flatten(y_pred))
        if not spec:
            return [[] for _ in range(count)]
        if count == 1:
            return [tree.flatten(spec)]

        def error(reason: str) -> Exception:
            return ValueError(
                f"Invalid `{argument}`. `{argument}` should contain metrics objects and either be a "
                f"dict or a list matching the output names of the functional model {self.output_names} "
                f"or match the output structure of the model: {reason}\nReceived: {argument}={spec}"
            )

        parts = spread(spec, y_pred, self.output_names, lambda part: True, error)
        return [[] if p is None else [m for m in tree.flatten(p) if m is not None] for p in parts]


def _log_names(metrics: list[tuple[str | None, bool, str]]) -> list[str]:
    """Names in the logs: with the output's name in front, `weighted_` or a number where taken."""
    taken: dict[str, int] = {}
    names = []
    for prefix, is_weighted, name in metrics:
        full = f"{prefix}_{name}" if prefix else name
        if full in taken and is_weighted:
            full = f"{prefix}_weighted_{name}" if prefix else f"weighted_{name}"
        n = taken[full] = taken.get(full, 0) + 1
        names.append(full if n == 1 else f"{full}_{n - 1}")
    return names
