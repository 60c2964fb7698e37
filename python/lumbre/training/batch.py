"""What happens to one batch: forward pass, loss, gradients, update, metrics.

Everything here is made of ops on tensors and runs inside a recorded step: no value is read, no
attribute is set. Values are read by `_read_logs`, between runs of batches.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

from lumbre import autograd, ops, tree
from lumbre.autograd import Tensor
from lumbre.callbacks.callback_list import pythonify_logs
from lumbre.tensor import Variable
from lumbre.training.compile import CompileLoss
from lumbre.training.compile_metrics import CompileMetrics
from lumbre.utils.packing import pack_x_y_sample_weight, unpack_x_y_sample_weight
from lumbre.watching import Watcher, watching


class BatchSteps:
    """The part of a model that knows batches; a mixin for `Trainer`, whose attributes it reads."""

    compiled = False
    optimizer: Any = None
    _compile_loss: CompileLoss | None = None
    _compile_metrics: CompileMetrics | None = None
    _loss_tracker: Any = None
    _watchers: tuple[Watcher, ...] = ()

    # What a subclass may override

    def compute_loss(
        self: Any,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The loss of a batch: `Σ weight · loss(y, y_pred)` over the outputs, plus added penalties.

        Override it for a loss of your own; it is what training minimises and the logs call `loss`.

        Args:
            x: The inputs.
            y: The targets.
            y_pred: The outputs for them.
            sample_weight: Weights of the samples.
            training: Whether the model is being trained, or evaluated.

        Returns:
            A scalar tensor.

        Raises:
            ValueError: There is nothing to minimise, or shapes do not fit.

        Example:
            >>> import lumbre
            >>> class Scaled(lumbre.Sequential):
            ...     def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
            ...         return 10.0 * lumbre.ops.mean(lumbre.ops.square(y - y_pred))
            >>> model = Scaled([lumbre.Input((2,)), lumbre.layers.Dense(1, kernel_initializer="zeros")])
            >>> model.compile("sgd")
            >>> model.evaluate(lumbre.ops.ones((4, 2)), lumbre.ops.ones((4, 1)), verbose=0)
            10.0
        """
        parts: list[Tensor] = []
        if self._compile_loss is not None:
            value = self._compile_loss(y, y_pred, sample_weight)
            if value is not None:
                parts.append(value)
        for penalty in self.losses:
            parts.append(ops.sum(penalty) if penalty.ndim else autograd.as_tensor(penalty))
        if not parts:
            if training:
                raise ValueError(
                    f"No loss to compute. Provide a `loss` argument in `compile()`: model '{self.name}' has "
                    f"none for its outputs {getattr(self, 'output_names', None) or ''}, and no layer adds "
                    "one (`add_loss`)"
                )
            return ops.zeros(())
        total = parts[0]
        for part in parts[1:]:
            total = ops.add(total, part)
        return total

    def compute_metrics(self: Any, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Brings the metrics up to date with a batch.

        Override it to measure more; what it returns is logged in the place of the metrics' values.

        Args:
            x: The inputs.
            y: The targets.
            y_pred: The outputs for them.
            sample_weight: Weights of the samples, for weighted metrics.

        Returns:
            The values of all metrics so far, by name.
        """
        self._update_metrics(y, y_pred, sample_weight)
        return dict(self.get_metrics_result())

    def train_step(self: Any, data: Any) -> dict[str, Any]:
        """Trains on one batch. Override it for a training loop of your own inside `fit`.

        Args:
            data: Tensors as `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

        Returns:
            What is logged, by name.

        Example:
            >>> import lumbre
            >>> class Plain(lumbre.Sequential):
            ...     def train_step(self, data):
            ...         x, y = data
            ...         loss = self.compute_loss(x, y, self(x, training=True))
            ...         grads = lumbre.grad(loss, self.trainable_variables)
            ...         self.optimizer.apply(grads, self.trainable_variables)
            ...         return {"loss": loss}
            >>> model = Plain([lumbre.Input((2,)), lumbre.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> x = lumbre.ops.ones((4, 2))
            >>> sorted(model.fit(x, x[:, :1], verbose=0).history)
            ['loss']
        """
        logs = self._default_train(*unpack_x_y_sample_weight(data))
        return dict(self.get_metrics_result()) if logs is None else dict(logs)

    def test_step(self: Any, data: Any) -> dict[str, Any]:
        """Evaluates one batch. Override it like `train_step`.

        Args:
            data: Tensors as `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

        Returns:
            What is logged, by name.
        """
        logs = self._default_test(*unpack_x_y_sample_weight(data))
        return dict(self.get_metrics_result()) if logs is None else dict(logs)

    def predict_step(self: Any, data: Any) -> Any:
        """The outputs for one batch. Override it to return something else from `predict`.

        Args:
            data: Tensors as `x` or `(x,)`.
        """
        return self(unpack_x_y_sample_weight(data)[0], training=False)

    # What a step runner calls

    def _train_batch(self: Any, x: Any, y: Any = None, sample_weight: Any = None) -> None:
        """One training step."""
        with watching(self._watchers):
            if is_overridden(self, "train_step"):
                logs = self.train_step(pack_x_y_sample_weight(x, y, sample_weight))
            else:
                logs = self._default_train(x, y, sample_weight)
        self._keep_logs("train", logs)

    def _test_batch(self: Any, x: Any, y: Any = None, sample_weight: Any = None) -> None:
        """One step of evaluation."""
        with autograd.no_grad():
            if is_overridden(self, "test_step"):
                logs = self.test_step(pack_x_y_sample_weight(x, y, sample_weight))
            else:
                logs = self._default_test(x, y, sample_weight)
            self._keep_logs("test", logs)

    def _predict_batch(self: Any, x: Any) -> Any:
        """The outputs for one batch."""
        with autograd.no_grad():
            if is_overridden(self, "predict_step"):
                return self.predict_step(pack_x_y_sample_weight(x))
            return self(x, training=False)

    def _default_train(self: Any, x: Any, y: Any, sample_weight: Any) -> Any:
        y_pred = self(x, training=True)
        loss = self._loss_of(x, y, y_pred, sample_weight, training=True)
        variables = self.trainable_variables
        if variables:
            scaled = self.optimizer.scale_loss(loss)
            self.optimizer.apply(autograd.grad(scaled, variables), variables)
        with autograd.no_grad():
            return self._measure(loss, x, y, y_pred, sample_weight)

    def _default_test(self: Any, x: Any, y: Any, sample_weight: Any) -> Any:
        y_pred = self(x, training=False)
        loss = self._loss_of(x, y, y_pred, sample_weight, training=False)
        return self._measure(loss, x, y, y_pred, sample_weight)

    def _measure(self: Any, loss: Tensor, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> Any:
        """Takes a batch into the metrics; `loss` counts as often as the batch has samples."""
        if self._loss_tracker is not None:
            samples = next(leaf for leaf in tree.flatten(x) if leaf is not None).shape[0]
            self._loss_tracker.update_state(loss, sample_weight=samples)
        if is_overridden(self, "compute_metrics"):
            return self.compute_metrics(x, y, y_pred, sample_weight)
        self._update_metrics(y, y_pred, sample_weight)
        return None

    def _loss_of(self: Any, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> Tensor:
        """`compute_loss`, also where a subclass wrote it without the `training` argument."""
        if is_overridden(self, "compute_loss"):
            names = inspect.signature(self.compute_loss).parameters
            takes_all = any(p.kind is p.VAR_KEYWORD for p in names.values())
            if "training" not in names and not takes_all:
                return autograd.as_tensor(self.compute_loss(x, y, y_pred, sample_weight))
        return autograd.as_tensor(self.compute_loss(x, y, y_pred, sample_weight, training=training))

    def _update_metrics(self: Any, y: Any, y_pred: Any, sample_weight: Any) -> None:
        if self._compile_metrics is not None:
            self._compile_metrics.update_state(y, y_pred, sample_weight)

    # Metrics

    @property
    def metrics(self: Any) -> list[Any]:
        """The loss, the metrics that the model is compiled with, and those in its attributes."""
        found: list[Any] = []
        if self.compiled:
            found.append(self._loss_tracker)
            if self._compile_metrics is not None:
                found.append(self._compile_metrics)
            if self._compile_loss is not None:
                found.extend(self._compile_loss.metrics)
        found.extend(self._metrics)
        for layer in self._flatten_layers(include_self=False):
            if not isinstance(layer, BatchSteps):
                found.extend(layer._metrics)
        return found

    @property
    def metrics_names(self) -> list[str]:
        """The names of `metrics`."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Forgets all batches; `fit` and `evaluate` do this before each epoch."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The values of the metrics over the batches since the last reset, as tensors, by name."""
        results: dict[str, Any] = {}
        with autograd.no_grad():
            for metric in self.metrics:
                if isinstance(metric, CompileMetrics) and not metric.built:
                    continue  # every step so far was the user's own
                value = metric.result()
                if isinstance(value, dict):
                    results.update(value)
                else:
                    results[metric.name] = value
        return results

    def _keep_logs(self, kind: str, logs: dict[str, Any] | None) -> None:
        """Keeps what a user's own step logs, tensors in Variables: a replayed step sets those too."""
        if logs is None:
            return
        kept: dict[str, dict[str, Any]] = self.__dict__.setdefault("_kept_logs", {})
        before = kept.get(kind, {})
        kept[kind] = {name: _kept(name, value, before.get(name)) for name, value in _flat(logs)}

    def _read_logs(self: Any, kind: str) -> dict[str, Any]:
        """The logs now, as Python floats: the metrics, or what a step of the user's own logged last.

        As in Keras, metrics with the names that the step logs come first, since they cover the whole
        epoch; but not where the step leaves them alone.
        """
        results = self.get_metrics_result()
        own = self.__dict__.get("_kept_logs", {}).get(kind)
        if own is not None and (set(own) != set(results) or float(self._loss_tracker.count) == 0):
            return pythonify_logs(own)
        return pythonify_logs(results)


def _flat(logs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The logs, with the members of nested dicts beside the others."""
    for name, value in logs.items():
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield name, value


def _kept(name: str, value: Any, place: Any) -> Any:
    """A tensor in a Variable, in `place` if that fits; anything else as it is."""
    if not isinstance(value, (Tensor, Variable)):
        return value
    fits = isinstance(place, Variable) and place.shape == value.shape and place.dtype == value.dtype
    if not fits:
        # From an array: no kernel runs that the next step would lack.
        place = Variable(np.zeros(value.shape, value.dtype), trainable=False, name=name)
    place.assign(value)
    return place


def is_overridden(model: Any, name: str) -> bool:
    """Whether the model's class has a method of its own in the place of one of `BatchSteps`."""
    return name in model.__dict__ or getattr(type(model), name) is not getattr(BatchSteps, name)
