"""The logs and weights as event files for TensorBoard."""

from __future__ import annotations

import os
import time
import warnings
from typing import Any

import numpy as np

from lumbre.callbacks.callback import Callback, Logs
from lumbre.callbacks.learning_rates import rate_of
from lumbre.utils.extras import require

_BINS = 30


class TensorBoard(Callback):
    """Writes event files that TensorBoard shows: `tensorboard --logdir logs`.

    Training is in `log_dir/train`, validation in `log_dir/validation`. At each epoch's end the logs become
    scalars `epoch_<name>` (in both folders under the name without `val_`), with the learning rate; each
    evaluation gives `evaluation_<name>_vs_iterations`. What `GradientMonitor` adds to the logs is written
    too.

    Args:
        log_dir: The folder.
        histogram_freq: Epochs between two histograms of all weights; 0: none.
        write_graph: Whether to write the model's structure.
        write_images: Whether to write weights as images where histograms are written.
        write_steps_per_second: Whether to write how many steps were made per second.
        update_freq: "epoch"; or "batch" or a number n, to write the logs at every batch or every n-th as
            `batch_<name>`: batches then run one by one.
        profile_batch: Accepted when 0: `lumbre.profile` shows the times of kernels.
        embeddings_freq: Accepted when 0.
        embeddings_metadata: Accepted when None.

    Raises:
        ImportError: tensorboardX is not installed (`pip install 'lumbre[tensorboard]'`).
        ValueError: An argument is out of its range, or asks for what is not there.

    Source: `keras.callbacks.TensorBoard`; the files are written by tensorboardX.

    Example:
        >>> import importlib.util, os, tempfile
        >>> import numpy as np
        >>> import lumbre
        >>> if importlib.util.find_spec("tensorboardX"):
        ...     folder = tempfile.mkdtemp()
        ...     board = lumbre.callbacks.TensorBoard(folder, histogram_freq=1)
        ...     model = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(1)])
        ...     model.compile("adam", "mse")
        ...     _ = model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0, callbacks=[board])
        ...     assert "train" in os.listdir(folder)
    """

    def __init__(
        self,
        log_dir: Any = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        self._tensorboard_x = require("tensorboardX", "tensorboard", "callbacks.TensorBoard")
        for name, value in (("profile_batch", profile_batch), ("embeddings_freq", embeddings_freq)):
            if value:
                raise ValueError(f"TensorBoard: `{name}` is not available. Received: {name}={value!r}")
        if embeddings_metadata is not None:
            raise ValueError("TensorBoard: `embeddings_metadata` is not available")
        every = 1 if update_freq == "batch" else update_freq
        if every != "epoch" and (not isinstance(every, int) or every < 1):
            raise ValueError(
                "TensorBoard: `update_freq` must be 'epoch', 'batch' or a whole number of at least 1. "
                f"Received: update_freq={update_freq!r}"
            )
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = every
        if every != "epoch":  # otherwise there is no hook for batches, and nothing is slower
            self.on_train_batch_end = self._on_train_batch_end  # type: ignore[method-assign]
        self._writers: dict[str, Any] = {}
        self._batches = 0
        self._epoch_start = (0.0, 0)
        self._batch_start = (0.0, 0)

    def _writer(self, kind: str) -> Any:
        if kind not in self._writers:
            folder = os.path.join(self.log_dir, kind)
            self._writers[kind] = self._tensorboard_x.SummaryWriter(folder, write_to_disk=True)
        return self._writers[kind]

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self._close()
        if self.write_graph:
            self._write_model()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._batches = 0
        self._batch_start = (time.perf_counter(), 0)

    def get_state(self) -> dict[str, Any]:
        return {"batches": self._batches}

    def set_state(self, state: dict[str, Any]) -> None:
        self._batches = state["batches"]
        self._batch_start = (time.perf_counter(), self._batches)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_start = (time.perf_counter(), self._iterations())

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        training = {k: v for k, v in logs.items() if not k.startswith("val_")}
        training["learning_rate"] = rate_of(
            getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        )
        if self.write_steps_per_second:
            start, before = self._epoch_start
            training["steps_per_second"] = (self._iterations() - before) / (time.perf_counter() - start)
        validation = {k.removeprefix("val_"): v for k, v in logs.items() if k.startswith("val_")}
        self._scalars("train", "epoch_", training, "", epoch)
        self._scalars("validation", "epoch_", validation, "", epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_test_end(self, logs: Logs | None = None) -> None:
        if self.model.optimizer is not None:
            self._scalars("validation", "evaluation_", logs or {}, "_vs_iterations", self._iterations())

    def _on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        assert isinstance(self.update_freq, int)
        if self._batches % self.update_freq:
            return
        values = dict(logs or {})
        if self.write_steps_per_second:
            now, (start, before) = time.perf_counter(), self._batch_start
            values["steps_per_second"] = (self._batches - before) / (now - start)
            self._batch_start = now, self._batches
        self._scalars("train", "batch_", values, "", self._batches)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close()

    # Writing

    def _iterations(self) -> int:
        return int(np.asarray(self.model.optimizer.iterations))

    def _scalars(self, kind: str, prefix: str, values: Logs, suffix: str, step: int) -> None:
        for name, value in values.items():
            if np.ndim(value) == 0:
                self._writer(kind).add_scalar(f"{prefix}{name}{suffix}", float(value), step)

    def _write_weights(self, epoch: int) -> None:
        writer = self._writer("train")
        for weight in self.model.weights:
            values = weight.numpy()
            if np.isfinite(values).all():  # there are no bins for the others
                writer.add_histogram(f"{weight.path}/histogram", values, epoch, bins=_BINS)
            if self.write_images:
                image = _image(values)
                if image is not None:
                    writer.add_image(f"{weight.path}/image", image, epoch, dataformats="HW")

    def _write_model(self) -> None:
        """The model as JSON, which the graph plugin draws."""
        try:
            text = self.model.to_json()
        except Exception as error:  # a model of the user's own that has no config
            warnings.warn(f"Model failed to serialize as JSON. Ignoring... {error}", stacklevel=2)
            return
        protocol = require("tensorboardX.proto.summary_pb2", "tensorboard", "callbacks.TensorBoard")
        tensors = require("tensorboardX.proto.tensor_pb2", "tensorboard", "callbacks.TensorBoard")
        plugin = protocol.SummaryMetadata.PluginData(plugin_name="graph_keras_model", content=b"1")
        value = protocol.Summary.Value(
            tag="keras",
            metadata=protocol.SummaryMetadata(plugin_data=plugin),
            tensor=tensors.TensorProto(dtype="DT_STRING", string_val=[text.encode()]),
        )
        self._writer("train").file_writer.add_summary(protocol.Summary(value=[value]), 0)

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


def _image(values: np.ndarray) -> np.ndarray | None:
    """A weight as a picture from 0 to 1, wider than high; None for one of more than two axes."""
    values = np.squeeze(values)
    if values.ndim > 2 or values.size == 0:
        return None
    picture = np.atleast_2d(values)
    picture = picture.T if picture.shape[0] > picture.shape[1] else picture
    low, high = float(picture.min()), float(picture.max())
    return np.asarray((picture - low) / ((high - low) or 1.0), "float32")
