"""Watching a training step from within.

What a watcher computes with ops is recorded with the step, and replayed with it: watching needs no step
to be left. Layers tell of their outputs and optimizers of their updates; nobody listens unless the training
loop says so.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any


class Watcher:
    """Hooks inside a training step. They must do the same at each step, and keep their state in Variables."""

    def step_begins(self) -> None:
        """Before the forward pass."""

    def on_output(self, layer: Any, outputs: Any) -> None:
        """After a call of a layer on tensors, a model included."""

    def update_begins(self, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
        """Before an optimizer changes variables; the gradients are not clipped yet."""

    def update_ends(self, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
        """After an optimizer has changed variables."""

    def step_ends(self) -> None:
        """After the last update."""


class _Now(threading.local):
    watchers: tuple[Watcher, ...] = ()


now = _Now()
"""`now.watchers`: who watches the step that this thread is making."""


@contextlib.contextmanager
def watching(watchers: tuple[Watcher, ...]) -> Iterator[None]:
    """Within it is one training step, told to the watchers."""
    before, now.watchers = now.watchers, watchers
    try:
        for watcher in watchers:
            watcher.step_begins()
        yield
        for watcher in watchers:
            watcher.step_ends()
    finally:
        now.watchers = before


def tell_output(layer: Any, outputs: Any) -> None:
    """What a layer calls with what it computed."""
    for watcher in now.watchers:
        watcher.on_output(layer, outputs)


@contextlib.contextmanager
def update(gradients: Sequence[Any], variables: Sequence[Any]) -> Iterator[None]:
    """Within it an optimizer changes the variables."""
    for watcher in now.watchers:
        watcher.update_begins(gradients, variables)
    yield
    for watcher in now.watchers:
        watcher.update_ends(gradients, variables)
