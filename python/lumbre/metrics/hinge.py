"""Means of the hinge losses."""

from __future__ import annotations

from typing import Any

from lumbre import losses
from lumbre.metrics.reduction import MeanMetricWrapper


class Hinge(MeanMetricWrapper):
    """The mean hinge loss of targets -1 and 1 (or 0 and 1).

    Example:
        >>> import lumbre
        >>> lumbre.metrics.Hinge()([[0.0, 1.0]], [[0.5, 0.5]]).item()
        1.0
    """

    _direction = "down"

    def __init__(self, name: str = "hinge", dtype: Any = None) -> None:
        super().__init__(losses.hinge, name, dtype)


class SquaredHinge(MeanMetricWrapper):
    """The mean squared hinge loss of targets -1 and 1 (or 0 and 1).

    Example:
        >>> import lumbre
        >>> lumbre.metrics.SquaredHinge()([[0.0, 1.0]], [[0.5, 0.5]]).item()
        1.25
    """

    _direction = "down"

    def __init__(self, name: str = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(losses.squared_hinge, name, dtype)


class CategoricalHinge(MeanMetricWrapper):
    """The mean hinge loss of one-hot targets.

    Example:
        >>> import lumbre
        >>> lumbre.metrics.CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.75]]).item()
        0.75
    """

    _direction = "down"

    def __init__(self, name: str = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(losses.categorical_hinge, name, dtype)
