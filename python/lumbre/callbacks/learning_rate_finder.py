"""A test of learning rates before training."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from lumbre.callbacks.callback import Callback, Logs
from lumbre.callbacks.learning_rates import rate_of
from lumbre.utils.extras import require

DEFAULT_STEPS = 100
MARGIN = 4.0
"""The test ends when the smoothed loss is so many times its least value."""


LEAST_DESCENT = 0.05
"""A loss that falls by less than this share of its first level is taken for one that does not fall."""


class LearningRateFinder(Callback):
    """Tries learning rates from `start` to `end` in one short run, and suggests one.

    Each batch is trained on with a greater rate than the last, by a constant factor. Plotted against the
    rate, the loss stays flat first, then falls, and at last rises again; the suggestion is the rate at which
    the loss falls most steeply. The run ends when the loss has become four times its least value, or
    not finite. Then weights, random state, optimizer and metrics are put back: what follows trains as if
    nothing had been tried.

    Args:
        start: The first learning rate.
        end: The last one.
        steps: Batches in the test; by default as many as `fit` would make, 100 if that is not known.
        smoothing: How much of the running mean of the loss stays at each batch, from 0 to less than 1.

    Attributes:
        rates, losses: The rate and the loss of each batch.
        smoothed: The running mean of the losses, its start corrected for.
        suggestion: The learning rate of steepest descent, None before the test or where the loss never fell.

    Raises:
        ValueError: An argument is out of its range, or the optimizer's rate is a schedule.

    Source: Smith 2017, Cyclical Learning Rates for Training Neural Networks, section 3.3.

    Example:
        >>> import lumbre, numpy as np
        >>> lumbre.utils.set_random_seed(0)
        >>> model = lumbre.Sequential([lumbre.Input((4,)), lumbre.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).standard_normal((256, 4))
        >>> finder = lumbre.callbacks.LearningRateFinder(1e-4, 10.0, steps=60)
        >>> history = model.fit(x, x @ np.ones(4), epochs=9, verbose=0, callbacks=[finder])
        >>> 1e-3 < finder.suggestion < 1.0
        True
    """

    def __init__(
        self, start: float = 1e-6, end: float = 10.0, steps: int | None = None, smoothing: float = 0.9
    ) -> None:
        if not (0 < start < end and math.isfinite(end)):
            raise ValueError(f"LearningRateFinder: 0 < start < end is needed, got start={start}, end={end}")
        if steps is not None and (not isinstance(steps, int) or steps < 3):
            raise ValueError(f"LearningRateFinder: `steps` must be a whole number from 3 on, got {steps}")
        if not 0 <= smoothing < 1:
            raise ValueError(f"LearningRateFinder: `smoothing` must lie in [0, 1), got {smoothing}")
        self.start = float(start)
        self.end = float(end)
        self.steps = steps
        self.smoothing = float(smoothing)
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self.suggestion: float | None = None
        self._saved: list[tuple[Any, np.ndarray]] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        model = self.model
        optimizer = model.optimizer
        if not any(v is optimizer.learning_rate for v in optimizer.variables):
            raise ValueError(
                "LearningRateFinder sets the learning rate itself: compile the model with an optimizer whose "
                "`learning_rate` is a float, not a schedule or a function"
            )
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        self._saved = [(v, v.numpy()) for v in (*model.variables, *optimizer.variables)]
        self.rates, self.losses, self.smoothed, self.suggestion = [], [], [], None
        self._mean = 0.0
        self._count = self._planned()

    def _planned(self) -> int:
        """How many batches the test has."""
        params = self.params or {}
        known = params.get("steps") and params.get("epochs")
        available = params["steps"] * params["epochs"] if known else None
        if self.steps is None:
            return max(available or DEFAULT_STEPS, 3)
        if available is not None and available < self.steps:
            warnings.warn(
                f"LearningRateFinder: `fit` makes {available} steps, fewer than steps={self.steps}: rates up "
                f"to {self._rate(available - 1, self.steps):.3g} are tried. Train for more epochs, or on "
                "smaller batches",
                stacklevel=5,
            )
        return self.steps

    def _rate(self, step: int, count: int) -> float:
        """start · (end / start)^(step / (count - 1))"""
        return float(self.start * (self.end / self.start) ** (step / (count - 1)))

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self.model.optimizer.learning_rate = self._rate(len(self.rates), self._count)
        self.model.reset_metrics()  # so that the loss is the next batch's alone

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = float((logs or {})["loss"])
        self.rates.append(rate_of(self.model.optimizer))
        self.losses.append(loss)
        self._mean = self.smoothing * self._mean + (1 - self.smoothing) * loss
        self.smoothed.append(self._mean / (1 - self.smoothing ** len(self.losses)))
        diverged = not math.isfinite(loss) or self.smoothed[-1] > MARGIN * min(self.smoothed)
        if diverged or len(self.rates) >= self._count:
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        self.restore()
        self.suggestion = self._steepest()

    def restore(self) -> None:
        """Puts everything back as it was before the test; for use after one that an error broke off."""
        for variable, value in self._saved:
            variable.assign(value)
        self._saved = []
        self.model.reset_metrics()

    def _steepest(self) -> float | None:
        """The rate at which the loss falls most, by the logarithm of the rate.

        Slopes and levels are those of a line through the losses around each rate. Slopes before a quarter of
        the descent are not looked at: where the loss is still flat, the steepest is an accident of batches.
        """
        count = int(np.argmin(self.smoothed)) + 1  # behind the least the loss rises
        reach = max(len(self.rates) // 10, 1)  # batches on either side
        logs, losses = np.log(self.rates), np.asarray(self.losses)
        windows = [slice(i - reach, i + reach + 1) for i in range(reach, count - reach)]
        if not windows:
            return None
        slopes = np.array([np.polyfit(logs[w], losses[w], 1)[0] for w in windows])
        levels = np.array([losses[w].mean() for w in windows])
        descent = levels[0] - levels.min()
        if descent < LEAST_DESCENT * levels[0]:
            return None
        slopes[levels > levels[0] - descent / 4] = 0.0
        return self.rates[int(np.argmin(slopes)) + reach]

    def plot(self, ax: Any = None) -> Any:
        """Draws the losses against the learning rates with matplotlib, and marks the suggestion.

        Args:
            ax: The matplotlib axes to draw into; by default those of a new figure.

        Returns:
            The axes.

        Raises:
            ImportError: matplotlib is not installed (`pip install 'lumbre[plot]'`).
            ValueError: No test was made yet.
        """
        pyplot = require("matplotlib.pyplot", "plot", "LearningRateFinder.plot()")
        if not self.rates:
            raise ValueError("LearningRateFinder.plot(): no test was made yet: pass the callback to `fit`")
        if ax is None:
            _, ax = pyplot.subplots(layout="constrained")
        ax.plot(self.rates, self.losses, color="0.8", label="loss")
        ax.plot(self.rates, self.smoothed, label="smoothed")
        if self.suggestion is not None:
            ax.axvline(self.suggestion, linestyle="--", color="C3", label=f"suggestion {self.suggestion:.2g}")
        ax.set_xscale("log")
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss")
        ax.legend(frameon=False)
        return ax
