"""`compile`, `fit`, `evaluate`, `predict`: how users see training."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from lumbre import console, metrics, optimizers
from lumbre.callbacks.callback_list import CallbackList
from lumbre.callbacks.history import History
from lumbre.lookup import options, unknown_options
from lumbre.serialization import deserialize_keras_object, serialize_keras_object
from lumbre.training import arguments, checkpoints, loops
from lumbre.training.arrays import to_arrays
from lumbre.training.batch import BatchSteps
from lumbre.training.compile import CompileLoss
from lumbre.training.compile_metrics import CompileMetrics
from lumbre.training.data import (
    class_weight_to_sample_weights,
    given_or_balanced,
    split_off,
)
from lumbre.training.frozen import TrainableState
from lumbre.training.prepare import (
    admit,
    array_data,
    make_feed,
    validation_feed,
    warn_of_sorted_labels,
)
from lumbre.training.run_state import RunState
from lumbre.training.step import StepRunner


class Trainer(BatchSteps):
    """What makes a layer a model that can be trained: a mixin for `Model`.

    Attributes:
        optimizer, loss: As compiled.
        compiled: Whether `compile` has been called.
        history: The `History` of the last `fit`.
        stop_training: A callback sets it to True to stop `fit` after the current batch.
        nan_policy: What is done about NaN and infinity in data: "raise", "warn" or "allow"; None
            where `compile` was not told.
    """

    # Set while training without being part of the computation: recorded steps stay valid.
    _uncopied: frozenset[str] = frozenset(
        {"_runners", "_tried", "_said", "_kept_logs", "_fit_token", "_watchers"}
    )
    _untracked: frozenset[str] = frozenset({"history", "stop_training", "stop_evaluating", "stop_predicting"})

    loss: Any = None
    history: Any = None
    run_eagerly = False
    jit_compile: Any = "auto"
    steps_per_execution = 1
    nan_policy: str | None = None
    stop_training = False
    stop_evaluating = False
    stop_predicting = False

    @options
    def compile(
        self: Any,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        nan_policy: str | None = None,
    ) -> None:
        """Says how the model is trained.

        Args:
            optimizer: An optimizer or its name.
            loss: A loss, its name or a function `(y_true, y_pred)`; for several outputs a list, a
                dict by output name, or a structure like that of the outputs.
            loss_weights: The factor of each loss in the total.
            metrics: A list of metrics, names or functions; for several outputs as for `loss`.
                "accuracy" and "crossentropy" take the form that the shapes ask for.
            weighted_metrics: Metrics to which sample and class weights apply.
            run_eagerly: Whether every step runs Python code, so that it can be debugged.
            steps_per_execution: Batches between two calls of callbacks' batch hooks.
            jit_compile: Accepted and without effect: steps are always recorded where possible.
            auto_scale_loss: Accepted; float16 training is not available.
            nan_policy: What `fit` and `train_on_batch` do about NaN and infinity in the data:
                "raise" an error that names the first such row (the default), "warn" or "allow" (the
                default where a `TerminateOnNaN` is among the callbacks).

        Raises:
            ValueError: A name is unknown, or an argument has a wrong form.

        Source: `keras.Model.compile`.

        Example:
            >>> import lumbre
            >>> model = lumbre.Sequential([lumbre.Input((4,)), lumbre.layers.Dense(3)])
            >>> model.compile("adam", "mse", metrics=["mae"])
            >>> model.optimizer.name
            'adam'
        """
        if nan_policy is not None:
            arguments.one_of("nan_policy", nan_policy, arguments.POLICIES)
        arguments.one_of("jit_compile", arguments.plain(jit_compile), ("auto", True, False, None))
        names = getattr(self, "output_names", None)
        optimizer = optimizers.get(optimizer)
        made: dict[str, Any] = {
            "optimizer": optimizer,
            "loss": loss,
            "_compile_loss": None if loss is None else CompileLoss(loss, loss_weights, names),
            "_compile_metrics": _compile_metrics(metrics, weighted_metrics, names),
            "_loss_tracker": _loss_tracker(),
            "run_eagerly": run_eagerly,
            "steps_per_execution": arguments.positive_int("steps_per_execution", steps_per_execution) or 1,
            "jit_compile": jit_compile,
            "nan_policy": nan_policy,
            "stop_training": False,
            "compiled": True,
            "_compiled_trainable": TrainableState(self),
            "_tried": set(),
            "_said": set(),
            "_runners": {},
            "_kept_logs": {},
            "_compile_config": {
                "optimizer": optimizer,
                "loss": loss,
                "loss_weights": loss_weights,
                "metrics": metrics,
                "weighted_metrics": weighted_metrics,
                "run_eagerly": run_eagerly,
                "steps_per_execution": steps_per_execution,
                "jit_compile": jit_compile,
            },
        }
        # Past `__setattr__`: optimizers and metrics in attributes would become parts of the layer.
        self.__dict__.update(made)

    def get_compile_config(self: Any) -> dict[str, Any]:
        """The arguments of `compile` as plain values; empty before.

        Source: `keras.Model.get_compile_config`.

        Example:
            >>> import lumbre
            >>> model = lumbre.Sequential([lumbre.layers.Dense(1)])
            >>> model.compile("sgd", lumbre.losses.MeanSquaredError())
            >>> config = model.get_compile_config()
            >>> config["optimizer"]["class_name"], config["loss"]["class_name"]
            ('SGD', 'MeanSquaredError')
        """
        if not self.compiled:
            return {}
        config: dict[str, Any] = serialize_keras_object({**self._compile_config, "optimizer": self.optimizer})
        return config

    def compile_from_config(self: Any, config: Mapping[str, Any]) -> None:
        """Compiles the model as `get_compile_config` says, with an optimizer that has not learned yet.

        Args:
            config: What `get_compile_config` returned.

        Raises:
            ValueError: A class is not known.

        Source: `keras.Model.compile_from_config`.
        """
        if type(self).compile is not Trainer.compile:
            warnings.warn(
                f"`compile()` was not called, since {type(self).__name__} has one of its own: override "
                "`get_compile_config()` and `compile_from_config(config)`, too, or call `compile()` yourself",
                stacklevel=2,
            )
            return
        self.compile(**deserialize_keras_object(config))
        if self.built and self.trainable_variables:
            self.optimizer.build(self.trainable_variables)

    @options
    def fit(
        self: Any,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: dict[int, float] | str | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | list[int] = 1,
        *,
        checkpoint: Any = None,
        resume: bool = False,
    ) -> History:
        """Trains the model.

        Args:
            x: Inputs: an array (n, …) or anything that NumPy can see as one, a list or dict of
                them for several inputs; or a source of batches `(x,)`, `(x, y)` or
                `(x, y, sample_weight)`: a generator, an iterable, a PyDataset.
            y: Targets (n, …), in the structure of the outputs; None with a source.
            batch_size: Samples per step; 32 by default.
            epochs: The number of the last epoch; `epochs - initial_epoch` are trained.
            verbose: 0 silent, 1 or "auto" a progress bar, 2 a line per epoch.
            callbacks: A `Callback` or a list of them.
            validation_split: The part of the samples, from the end, that validates.
            validation_data: `(x, y)`, `(x, y, sample_weight)` or a source; comes before
                `validation_split`.
            shuffle: Whether each epoch takes the samples in a new order (from NumPy's global
                generator); "batch" shuffles only within batches.
            class_weight: From class numbers to the weight of their samples (1 for those left out); or
                "balanced", beyond Keras: n / (classes · samples of the class), so that all classes count
                alike.
            sample_weight: Weights (n,) or (n, t) of the samples in loss and weighted metrics.
            initial_epoch: The number of the first epoch.
            steps_per_epoch: Steps in an epoch; by default one pass through the data.
            validation_steps, validation_batch_size: The same for validation.
            validation_freq: Validates every so many epochs, or after those in a list (from 1).
            checkpoint: Beyond Keras: the folder in which to save the state of the run after each epoch, or a
                `lumbre.saving.Checkpoint`, which says where and how often.
            resume: Beyond Keras: whether to go on from the newest checkpoint in that folder, where there is
                one. Arrays and PyDatasets go on at the next batch, and the run ends in the same bits as if it
                had not been interrupted; generators go on at the beginning of an epoch.

        Returns:
            The `History`; its `history` has a list of floats for each metric.

        Raises:
            ValueError: The model is not compiled, the data does not fit, or the checkpoint is of another
                model, optimizer or data.
            TypeError: The data holds no numbers.
            RuntimeError: The model is being trained already.
            FileExistsError: There are checkpoints in the folder, and `resume` is False.
            OSError: A checkpoint could not be written; older ones are as they were.

        Source: `keras.Model.fit`.

        Example:
            >>> import lumbre, numpy as np
            >>> model = lumbre.Sequential([lumbre.Input((1,)), lumbre.layers.Dense(1)])
            >>> model.compile(lumbre.optimizers.SGD(0.1), "mse")
            >>> x = np.linspace(-1, 1, 64)[:, None]
            >>> history = model.fit(x, 3 * x + 1, epochs=60, verbose=0)
            >>> history.history["loss"][-1] < 1e-3
            True
        """
        self._assert_compiled()
        epoch_numbers = arguments.epoch_range(initial_epoch, epochs)
        batch_size = arguments.positive_int("batch_size", batch_size)
        steps_per_epoch = arguments.positive_int("steps_per_epoch", steps_per_epoch)
        validation_steps = arguments.positive_int("validation_steps", validation_steps)
        validation_batch_size = arguments.positive_int("validation_batch_size", validation_batch_size)
        validation_freq = arguments.frequency(validation_freq)
        validation_split = arguments.split_fraction(validation_split)
        arguments.check_verbose(verbose)
        arguments.check_shuffle(shuffle)
        arguments.check_callbacks(callbacks)
        policy = arguments.nan_policy(self, callbacks)
        with self._being_trained():
            whole = None
            if validation_split and validation_data is None:
                whole = array_data(x, y, sample_weight)
                x, held_out = split_off(whole, validation_split)
                validation_data = held_out.structures
            feed = make_feed(
                self, "train", x, y, sample_weight, batch_size, steps_per_epoch, shuffle, class_weight, policy
            )
            if whole is not None:
                warn_of_sorted_labels(self, whole.y, x.n)
            validation = None
            if validation_data is not None:
                size = validation_batch_size or batch_size
                held = validation_feed(self, validation_data, size, validation_steps, policy)
                validation = loops.Validation(held, validation_freq)
            hooks = self._callback_list(callbacks, True, verbose, epoch_numbers.stop, feed.num_batches)
            saver = self._saver(checkpoint, resume, feed, hooks, verbose)
            self.stop_training = False
            with self._watched(hooks.watchers), saver or contextlib.nullcontext():
                loops.fit(self, feed, hooks, epoch_numbers, validation, saver)
        return self.history  # type: ignore[no-any-return]

    def evaluate(
        self: Any,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The loss and the metrics on data, in inference mode.

        Args:
            x, y, batch_size, verbose, sample_weight, callbacks: As in `fit`.
            steps: The number of batches; by default one pass through the data.
            return_dict: Whether the values are returned by name.

        Returns:
            The loss, or a list of the loss and the metrics, or a dict.

        Raises:
            ValueError: The model is not compiled, or the data does not fit.

        Source: `keras.Model.evaluate`.
        """
        self._assert_compiled()
        if kwargs:
            hints = unknown_options(kwargs, Trainer.evaluate)
            raise ValueError(f"Arguments not recognized: {kwargs}.{hints}")
        batch_size, steps = self._checked(batch_size, steps, verbose, callbacks)
        feed = make_feed(self, "test", x, y, sample_weight, batch_size, steps)
        hooks = self._callback_list(callbacks, False, verbose, 1, feed.num_batches)
        logs = loops.evaluate(self, feed, hooks)
        return logs if return_dict else self._values_in_order(logs)

    @options
    def predict(
        self: Any,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The outputs for inputs, in inference mode, as NumPy arrays.

        Args:
            x, batch_size, verbose, callbacks: As in `fit`.
            steps: The number of batches; by default one pass through the data.

        Returns:
            Arrays (n, …) in the structure of the model's outputs.

        Raises:
            ValueError: The data does not fit.

        Source: `keras.Model.predict`.
        """
        batch_size, steps = self._checked(batch_size, steps, verbose, callbacks)
        feed = make_feed(self, "predict", x, batch_size=batch_size, steps=steps)
        hooks = self._callback_list(callbacks, False, verbose, 1, feed.num_batches)
        return loops.predict(self, feed, hooks)

    @options
    def train_on_batch(
        self: Any,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | str | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One training step on one batch.

        Args:
            x, y, sample_weight, class_weight: As in `fit`, of one batch.
            return_dict: Whether the values are returned by name.

        Returns:
            The loss of this batch, or a list of the loss and the metrics, or a dict.

        Raises:
            ValueError: The model is not compiled, or the batch does not fit; nothing has changed.

        Source: `keras.Model.train_on_batch`.
        """
        self._assert_compiled()
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError(
                    "Arguments `sample_weight` and `class_weight` cannot be specified at the same time. "
                    f"Received: sample_weight={sample_weight}, class_weight={class_weight}"
                )
            arguments.check_class_weight(class_weight)
            y = to_arrays(y, "y")
            weights = given_or_balanced(class_weight, lambda: y)
            sample_weight = class_weight_to_sample_weights(y, weights)
            return self._on_batch("train", x, y, sample_weight, return_dict, weights)
        return self._on_batch("train", x, y, sample_weight, return_dict)

    @options
    def test_on_batch(
        self: Any, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The loss and the metrics on one batch, in inference mode.

        Args:
            x, y, sample_weight: As in `evaluate`, of one batch.
            return_dict: Whether the values are returned by name.

        Returns:
            The loss of this batch, or a list of the loss and the metrics, or a dict.

        Raises:
            ValueError: The model is not compiled, or the batch does not fit.

        Source: `keras.Model.test_on_batch`.
        """
        self._assert_compiled()
        return self._on_batch("test", x, y, sample_weight, return_dict)

    def predict_on_batch(self: Any, x: Any) -> Any:
        """The outputs for one batch, in inference mode, as NumPy arrays.

        Args:
            x: Inputs of one batch.

        Raises:
            ValueError: The batch does not fit.

        Source: `keras.Model.predict_on_batch`.
        """
        batch = (to_arrays(x, "x"), None, None)
        admit(self, "predict", batch, "allow")
        return self._runner("predict").run_batch(batch)[1][0]

    # Within

    @contextlib.contextmanager
    def _being_trained(self: Any) -> Iterator[None]:
        """Within it no other `fit` may begin, and what is trainable is what was when compiling.

        Raises:
            RuntimeError: The model is being trained already.
        """
        token = object()
        if self.__dict__.setdefault("_fit_token", token) is not token:
            raise RuntimeError(
                f"model '{self.name}' is being trained: `fit` was called again before it returned. Wait "
                "for it, or train a copy (`clone_model`)"
            )
        try:
            with self._compiled_trainable.applied(self):
                yield
        finally:
            del self.__dict__["_fit_token"]

    @contextlib.contextmanager
    def _watched(self: Any, watchers: tuple[Any, ...]) -> Iterator[None]:
        """Within it steps tell watchers what they do; afterwards the optimizer's averages are the weights."""
        if watchers:
            self._watchers = watchers  # steps are recorded anew
        try:
            yield
        finally:
            if watchers:
                del self._watchers
            if self.optimizer is not None and self.optimizer.built:
                self.optimizer.finalize_variable_values(self.trainable_variables)

    def _saver(
        self: Any, checkpoint: Any, resume: Any, feed: Any, hooks: CallbackList, verbose: Any
    ) -> checkpoints.Saver | None:
        """What saves the state of the run and knows where to resume, if that is asked for."""
        asked = checkpoints.request(checkpoint, resume, hooks)
        if asked is None:
            return None
        saver = checkpoints.Saver(asked, RunState(self, feed, hooks))
        if saver.found is not None:
            checkpoints.warn_of_generator(feed)
            if verbose:
                console.show(f"Resuming from {saver.found}: {saver.position.batches} batches are done.")
        return saver

    @staticmethod
    def _checked(batch_size: Any, steps: Any, verbose: Any, callbacks: Any) -> tuple[int | None, int | None]:
        """The arguments that `evaluate` and `predict` share, checked."""
        arguments.check_verbose(verbose)
        arguments.check_callbacks(callbacks)
        return arguments.positive_int("batch_size", batch_size), arguments.positive_int("steps", steps)

    def _on_batch(
        self: Any, kind: str, x: Any, y: Any, sample_weight: Any, return_dict: bool, class_weight: Any = None
    ) -> Any:
        batch = (to_arrays(x, "x"), to_arrays(y, "y"), to_arrays(sample_weight, "sample_weight"))
        policy = arguments.nan_policy(self) if kind == "train" else "allow"
        with self._compiled_trainable.applied(self) if kind == "train" else contextlib.nullcontext():
            admit(self, kind, batch, policy, class_weight)
            self.reset_metrics()
            self._runner(kind).run_batch(batch)
        logs = self._read_logs(kind)
        return logs if return_dict else self._values_in_order(logs)

    def _runner(self: Any, kind: str) -> Any:
        """The step runner of a kind, made once for each `compile` and setting of `run_eagerly`."""
        runners = self.__dict__.setdefault("_runners", {})
        key = (kind, bool(self.run_eagerly))
        if key not in runners:
            runners[key] = StepRunner(self, kind, self.run_eagerly)
        return runners[key]

    def _callback_list(
        self: Any, callbacks: Any, history: bool, verbose: Any, epochs: int, steps: int | None
    ) -> CallbackList:
        if isinstance(callbacks, CallbackList):
            return callbacks
        return CallbackList(
            callbacks,
            add_history=history,
            add_progbar=verbose != 0,
            model=self,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        )

    def _assert_compiled(self: Any) -> None:
        if not self.compiled:
            raise ValueError("You must call `compile()` before using the model.")

    def _values_in_order(self: Any, logs: dict[str, Any]) -> Any:
        """The values as a list: the loss, the loss of each output, then the metrics."""
        names: list[str] = []
        for metric in self.metrics:
            single = not isinstance(metric, CompileMetrics)
            names += [metric.name] if single else [m.name for m in metric.metrics]
        values = [logs[name] for name in names if name in logs]
        values += [logs[name] for name in sorted(logs) if name not in names]
        return values[0] if len(values) == 1 else values


def _compile_metrics(plain: Any, weighted: Any, names: Any) -> CompileMetrics | None:
    return None if plain is None and weighted is None else CompileMetrics(plain, weighted, names)


def _loss_tracker() -> Any:
    return metrics.Mean(name="loss")
