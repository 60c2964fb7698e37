"""The base of callbacks that follow one value from epoch to epoch."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from typing import Any

from lumbre.callbacks.callback import Callback, Logs


class MonitorCallback(Callback):
    """Decides whether a value of the logs has become better.

    With `mode="auto"`, `loss` and `val_loss` are to fall; anything else goes the way that the metric of
    that name says of itself.

    Args:
        monitor: The name in the logs.
        mode: "min", "max" or "auto".
        baseline: What the first value must beat; None: any will do.
        min_delta: By how much a value must be better to count.

    Source: `keras.callbacks.MonitorCallback`.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0,
    ) -> None:
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"{type(self).__name__} mode '{mode}' is unknown, fallback to auto mode.", stacklevel=3
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self.monitor_op: Callable[[Any, Any], bool] | None = None

    def _set_monitor_op(self, logs: Logs) -> None:
        """Finds the direction, once the metrics are known: at the end of the first epoch.

        Raises:
            ValueError: With mode "auto", neither the name nor a metric says which direction is better.
        """
        direction = {"min": "down", "max": "up"}.get(self.mode) or self._direction()
        if direction is None:
            raise ValueError(
                f"{type(self).__name__} callback received monitor={self.monitor}, but Keras isn't able to "
                "automatically determine whether that metric should be maximized or minimized. Pass "
                "`mode='max'` in order to monitor based on the highest metric value, or pass `mode='min'` in "
                f"order to use the lowest value. Available metrics are: {','.join(logs)}"
            )
        self.monitor_op = operator.gt if direction == "up" else operator.lt

    def _direction(self) -> str | None:
        name = self.monitor.removeprefix("val_")
        for metric in getattr(self.model, "metrics", ()):
            # A group knows its members under their names in the logs.
            members = metric.by_name() if hasattr(metric, "by_name") else {metric.name: metric}
            direction = getattr(members.get(name), "_direction", None)
            if direction is not None:
                return str(direction)
        return "down" if name == "loss" else None

    def _is_improvement(self, value: float, reference: float | None) -> bool:
        if reference is None:
            return True
        assert self.monitor_op is not None
        margin = self.min_delta if self.monitor_op is operator.gt else -self.min_delta
        return bool(self.monitor_op(value - margin, reference))

    def _value(self, logs: Logs, missing: str) -> Any:
        """The value of an epoch's finished logs; a warning that begins with `missing` if it is not there."""
        if self.monitor_op is None:
            self._set_monitor_op(logs)
        value = logs.get(self.monitor)
        if value is None:
            warnings.warn(
                f"{missing} metric `{self.monitor}` which is not available. Available metrics are: "
                f"{','.join(logs)}",
                stacklevel=4,
            )
        return value
