"""The record of a training run."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from lumbre.callbacks.callback import Callback, Logs
from lumbre.utils.extras import require

_COLUMNS = 3  # panels side by side


class History(Callback):
    """Collects the logs of every epoch; `fit` adds one, returns it and sets `model.history`.

    A notebook shows it as a table with the course of each value.

    Attributes:
        history: For each name, sorted, the list of its values, one Python float per epoch.
        epoch: The numbers of the epochs, from 0.
        params: The parameters of the run.

    Source: `keras.callbacks.History`.

    Example:
        >>> import lumbre
        >>> lumbre.callbacks.History().history
        {}
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self._epochs: dict[str, list[int]] = {}  # of each value: not every epoch has all of them

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_model": None}

    @property
    def model(self) -> Any:
        """The model, while it is in use: a record, which its model holds, does not keep it alive."""
        return None if self._model is None else self._model()

    def set_model(self, model: Any) -> None:
        self._model = weakref.ref(model)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
            self._epochs.setdefault(name, []).append(epoch)
        if self.model is not None:
            self.model.history = self

    def get_state(self) -> dict[str, Any]:
        return {
            "history": {name: list(values) for name, values in self.history.items()},
            "epoch": list(self.epoch),
            "epochs": {name: list(epochs) for name, epochs in self._epochs.items()},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self.history, self.epoch, self._epochs = state["history"], state["epoch"], state["epochs"]

    def _epochs_of(self, name: str) -> list[int]:
        """The epochs of a value, from 0; those of a list that somebody put there count from 0 on."""
        epochs = self._epochs.get(name, [])
        return epochs if len(epochs) == len(self.history[name]) else list(range(len(self.history[name])))

    def to_frame(self) -> Any:
        """The values as a pandas `DataFrame`: a row for each epoch (from 0), a column for each name.

        What an epoch lacks, such as the validation under `validation_freq=2`, is NaN.

        Raises:
            ImportError: pandas is not installed (`pip install 'lumbre[frame]'`).

        Example:
            >>> import lumbre, numpy as np
            >>> model = lumbre.Sequential([lumbre.Input((1,)), lumbre.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> x = np.ones((8, 1))
            >>> history = model.fit(x, x, epochs=2, verbose=0)
            >>> sorted(history.history)
            ['loss']
        """
        pandas = require("pandas", "frame", "History.to_frame()")
        columns = {
            name: pandas.Series(values, index=self._epochs_of(name)) for name, values in self.history.items()
        }
        frame = pandas.DataFrame(columns)
        frame.index.name = "epoch"
        return frame

    def plot(self, names: Iterable[str] | None = None, axes: Any = None) -> Any:
        """Draws the course of the values with matplotlib, a panel for each quantity.

        A value and its validation share a panel, and so do the layers of what `GradientMonitor` watches.
        Panels whose values are all positive and span more than two powers of ten have a logarithmic scale.

        Args:
            names: The quantities to draw, by default all: "loss" stands for `loss` and `val_loss`,
                "gradient_norm" for that of all layers.
            axes: The matplotlib axes to draw into, one for each panel; by default a new figure.

        Returns:
            The axes, in a list.

        Raises:
            ImportError: matplotlib is not installed (`pip install 'lumbre[plot]'`).
            ValueError: There is nothing to draw, a name is unknown, or there are too few axes.
        """
        pyplot = require("matplotlib.pyplot", "plot", "History.plot()")
        panels = self._panels(names)
        if axes is None:
            columns = min(_COLUMNS, len(panels))
            rows = math.ceil(len(panels) / columns)
            size = (4.5 * columns, 3.2 * rows)
            figure, grid = pyplot.subplots(rows, columns, squeeze=False, figsize=size, layout="constrained")
            axes = list(grid.flat)
            for unused in axes[len(panels) :]:
                figure.delaxes(unused)
        axes = list(axes) if isinstance(axes, Iterable) else [axes]
        if len(axes) < len(panels):
            raise ValueError(f"History.plot(): {len(panels)} panels need as many axes, got {len(axes)}")
        axes = axes[: len(panels)]
        for ax, (quantity, members) in zip(axes, panels.items(), strict=True):
            self._draw(ax, quantity, members)
        return axes

    def _panels(self, names: Iterable[str] | None) -> dict[str, list[str]]:
        """The names of the values in each panel."""
        panels: dict[str, list[str]] = {}
        for name in self.history:
            panels.setdefault(name.removeprefix("val_").partition("/")[0], []).append(name)
        if not panels:
            raise ValueError("History.plot(): there is nothing to draw yet; it is filled by `fit`")
        if names is None:
            return panels
        wanted = [names] if isinstance(names, str) else list(names)
        unknown = [name for name in wanted if name not in panels]
        if unknown:
            raise ValueError(f"History.plot(): no values are named {unknown[0]!r}; there are {list(panels)}")
        return {name: panels[name] for name in wanted}

    def _draw(self, ax: Any, quantity: str, members: Sequence[str]) -> None:
        for name in members:
            epochs = [epoch + 1 for epoch in self._epochs_of(name)]
            validation = name.startswith("val_")
            label = name.partition("/")[2] or ("validation" if validation else "training")
            marker = "o" if len(epochs) == 1 else ""
            ax.plot(epochs, self.history[name], "--" if validation else "-", marker=marker, label=label)
        values = [v for name in members for v in self.history[name] if math.isfinite(v)]
        if values and min(values) > 0 and max(values) > 100 * min(values):
            ax.set_yscale("log")
        ax.set_title(quantity)
        ax.set_xlabel("epoch")
        ax.locator_params(axis="x", integer=True)
        if len(members) > 1:
            ax.legend(frameon=False, fontsize="small")

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        import html

        from lumbre.utils import svg

        if not self.history:
            return "<p>History of no epochs yet</p>"
        rows = [
            f"<tr><td>{html.escape(name)}</td><td>{svg.sparkline(values)}</td>"
            f"<td>{values[0]:.4g}</td><td>{values[-1]:.4g}</td>"
            f"<td>{min(values):.4g}</td><td>{max(values):.4g}</td></tr>"
            for name, values in self.history.items()
        ]
        head = "".join(f"<th>{title}</th>" for title in ("", "course", "first", "last", "least", "greatest"))
        caption = f"<caption>{len(self.epoch)} epochs</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
