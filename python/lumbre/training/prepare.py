"""Before the first step: sources become feeds, the model is built, and the data is looked at.

Whatever cannot be trained on is refused here, with the model as it was.
"""

from __future__ import annotations

import contextlib
import warnings
import weakref
from typing import Any

import numpy as np

from lumbre import autograd, tree
from lumbre.training import checks
from lumbre.training.batch import is_overridden
from lumbre.training.data import (
    ArrayData,
    batch_dtype,
    class_weight_to_sample_weights,
    unpack_x_y_sample_weight,
    with_class_weight,
)
from lumbre.training.feeds import ArrayFeed, Feed
from lumbre.training.iterables import IterData, IterFeed, is_source


def make_feed(
    model: Any,
    kind: str,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: Any = None,
    steps: Any = None,
    shuffle: bool | str = False,
    class_weight: Any = None,
) -> Feed:
    """The feed for what the user gave as data, after the model was built for it and it was checked.

    Args:
        model: The model.
        kind: "train", "test" or "predict".
        x: Arrays, or a source of batches.
        y, sample_weight: Arrays; None with a source.
        batch_size, steps, shuffle: As in `ArrayFeed`.
        class_weight: From class numbers to weights.

    Raises:
        TypeError, ValueError: The data is not acceptable.
    """
    batch_size = checks.positive_int("batch_size", batch_size)
    steps = checks.positive_int("steps_per_epoch" if kind == "train" else "steps", steps)
    _check_class_weight(class_weight)
    if is_source(x):
        return _source_feed(model, kind, x, y, sample_weight, steps, shuffle, class_weight)
    data = x if isinstance(x, ArrayData) else ArrayData(x, y, sample_weight)
    if class_weight is not None:
        data = with_class_weight(data, class_weight)
    checks.check_targets(data.y, data.sample_weight, model.nan_policy)
    feed = ArrayFeed(data, batch_size, steps, shuffle)
    prepare(model, kind, data.structures, feed.batch_size)
    check_labels(model, kind, data.y)
    return feed


def _source_feed(
    model: Any,
    kind: str,
    x: Any,
    y: Any,
    sample_weight: Any,
    steps: int | None,
    shuffle: bool | str,
    class_weight: dict[int, float] | None,
) -> IterFeed:
    data = IterData(x, shuffle)
    for name, what, value in (
        ("y", "the targets", y),
        ("sample_weights", "the sample weights", sample_weight),
    ):
        if value is not None:
            raise ValueError(
                f"When providing `x` as a {data.kind}, `{name}` should not be passed. Instead, {what} "
                f"should be included as part of the {data.kind}."
            )
    weigh = None
    if class_weight is not None:
        if data.once:
            raise ValueError(
                "Argument `class_weight` is not supported for Python generator inputs. "
                f"Received: class_weight={class_weight}"
            )
        weights = class_weight

        def weigh(targets: Any) -> np.ndarray:
            return class_weight_to_sample_weights(targets, weights)

    feed = IterFeed(data, steps, lambda batch: admit(model, kind, batch), weigh)
    admit(model, kind, feed.first_batch())
    return feed


def _check_class_weight(class_weight: Any) -> None:
    if class_weight is None:
        return
    if not isinstance(class_weight, dict):
        raise ValueError(
            f"`class_weight` must be a dict from class numbers to weights. Received: {class_weight!r}"
        )
    for label, weight in class_weight.items():
        if not np.isfinite(weight) or weight < 0:
            raise ValueError(f"`class_weight` must hold finite weights of at least 0: {{{label}: {weight}}}")


def validation_parts(data: Any) -> tuple[Any, Any, Any]:
    """x, y and sample_weight of `validation_data`: a tuple of arrays, or a source."""
    return (data, None, None) if is_source(data) else unpack_x_y_sample_weight(data)


def admit(model: Any, kind: str, batch: tuple[Any, Any, Any]) -> None:
    """Checks one batch that the user made, and builds the model for it if that is to be done.

    Raises:
        TypeError, ValueError: The model cannot take it; nothing has changed then.
    """
    # A prediction from NaN is NaN, which harms nothing.
    checks.check_batch(batch, "allow" if kind == "predict" else model.nan_policy)
    prepare(model, kind, batch)
    check_labels(model, kind, batch[1])


def check_labels(model: Any, kind: str, y: Any) -> None:
    """Refuses labels outside the classes, where the loss says what the classes are."""
    loss = model._compile_loss
    if kind != "predict" and y is not None and loss is not None and loss.built:
        loss.check_labels(y)


def prepare(model: Any, kind: str, data: tuple[Any, Any, Any], batch_size: int | None = None) -> None:
    """Builds what a batch needs and tries the computation out on the first, once for each form of batch.

    The trial runs in inference mode, in which layers keep their state; metrics get their values
    back. So a shape that does not fit, anywhere between the inputs and the last metric, raises
    before anything has changed.
    """
    key = (kind == "predict", _form(data))
    tried: set[Any] = model.__dict__.setdefault("_tried", set())
    if key not in tried:
        x, y, sample_weight = tree.map_structure(lambda leaf: _as_tensor(leaf, batch_size), data)
        with autograd.no_grad():
            if is_overridden(model, f"{kind}_step"):
                _build_custom(model, x, y, sample_weight)
            elif kind == "predict":
                model(x, training=False)
            else:
                _try_out(model, x, y, sample_weight)
        tried.add(key)
    if kind == "train":
        _build_optimizer(model)


def _form(data: tuple[Any, Any, Any]) -> Any:
    """Structure, dtypes and shapes without the first axis, as something hashable."""
    return tuple(
        (path, None if leaf is None else (leaf.dtype, leaf.shape[1:]))
        for path, leaf in tree.flatten_with_path(data)
    )


def _as_tensor(leaf: Any, rows: int | None) -> Any:
    return None if leaf is None else autograd.as_tensor(leaf[:rows], batch_dtype(leaf.dtype))


def _build_custom(model: Any, x: Any, y: Any, sample_weight: Any) -> None:
    """Builds a model with a step of its own, as far as calling it and its losses does that.

    What does not fit may be nothing that the user's step does; it is built when that step comes to it.
    """
    with contextlib.suppress(Exception):
        _try_out(model, x, y, sample_weight)


def _try_out(model: Any, x: Any, y: Any, sample_weight: Any) -> None:
    y_pred = model(x, training=False)
    fresh = [part for part in (model._compile_loss, model._compile_metrics) if part and not part.built]
    try:
        for part in fresh:
            part.build(y, y_pred)
        with checks.values_kept([v for metric in model.metrics for v in metric.variables]):
            loss = model._loss_of(x, y, y_pred, sample_weight, training=False)
            model._measure(loss, x, y, y_pred, sample_weight)
    except Exception:
        for part in fresh:
            part.unbuild()
        raise


def _build_optimizer(model: Any) -> None:
    _warn_if_trainable_changed(model)
    if model.optimizer is None or model.optimizer.built or not model.built:
        return
    variables = model.trainable_variables
    if variables:
        model.optimizer.build(variables)
    elif not is_overridden(model, "train_step"):
        warnings.warn("The model does not have any trainable weights.", stacklevel=4)


def trainable_state(model: Any) -> dict[Any, bool]:
    """Which layers are trainable now, by weak references to them."""
    return {weakref.ref(layer): layer.trainable for layer in model._flatten_layers()}


def _warn_if_trainable_changed(model: Any) -> None:
    before = model.__dict__.get("_compiled_trainable", {})
    now = trainable_state(model)
    changed = [layer().name for layer, trainable in now.items() if before.get(layer, trainable) != trainable]
    if changed:
        warnings.warn(
            "A layer's `trainable` state has changed since the model was compiled. This can result in "
            "unexpected behavior, as the compiled optimizer and loss functions may not track the "
            "correct variables. Please recompile your model (e.g. `model.compile(...)`) before calling "
            f"`fit()` or `evaluate()` so the change takes effect. Changed layers: {changed}",
            stacklevel=4,
        )
        model.__dict__["_compiled_trainable"] = now
