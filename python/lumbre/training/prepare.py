"""Before the first step: sources become feeds, the model is built, and the data is looked at.

Whatever cannot be trained on is refused here, with the model as it was.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np

from lumbre import autograd, config, random, tree
from lumbre.data import Dataset
from lumbre.lookup import users_level
from lumbre.training import arguments, checks, labels
from lumbre.training.arrays import batch_dtype, path_name, to_arrays
from lumbre.training.batch import is_overridden
from lumbre.training.data import (
    ArrayData,
    class_weight_to_sample_weights,
    given_or_balanced,
    pieces,
    with_class_weight,
)
from lumbre.training.feeds import ArrayFeed, Feed
from lumbre.training.iterables import IterData, IterFeed, is_source
from lumbre.training.pipelines import pipeline_feed
from lumbre.training.rows import LazyRows
from lumbre.utils.packing import unpack_x_y_sample_weight


def make_feed(
    model: Any,
    kind: str,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = False,
    class_weight: Any = None,
    nan_policy: str = "allow",
) -> Feed:
    """The feed for what the user gave as data, after the model was built for it and it was checked.

    Args:
        model: The model.
        kind: "train", "test" or "predict".
        x: Arrays, or a source of batches.
        y, sample_weight: Arrays; None with a source.
        batch_size, steps, shuffle: As in `ArrayFeed`.
        class_weight: From class numbers to weights, or "balanced".
        nan_policy: "raise", "warn" or "allow".

    Raises:
        TypeError, ValueError: The data is not acceptable.
    """
    arguments.check_class_weight(class_weight)
    class_weight = given_or_balanced(class_weight, lambda: _labels(x, y))
    feed: ArrayFeed | None = None
    if isinstance(x, Dataset):
        shuffle = False  # the default means arrays; a dataset has its own order
        if y is None and sample_weight is None:
            feed = pipeline_feed(x, steps, class_weight, nan_policy)
    most = config.max_steps_per_epoch()
    if feed is None and is_source(x):
        steps = steps if most is None else min(steps or most, most)
        return _source_feed(model, kind, x, y, sample_weight, steps, shuffle, class_weight, nan_policy)
    if feed is None:
        data = x if isinstance(x, ArrayData) else ArrayData(x, y, sample_weight)
        if class_weight is not None:
            data = with_class_weight(data, class_weight)
        feed = ArrayFeed(data, batch_size, steps, shuffle, nan_policy)
    if most is not None:
        feed.limit(most)
    data = feed.data
    prepare(model, kind, data.structures, feed.batch_size)
    check_targets(model, kind, data.structures, nan_policy, class_weight)
    if kind == "test" and nan_policy != "allow":
        # Validation goes through the same rows each time: looked at once, before training.
        for name, array in zip(data.names, data.inputs, strict=False):
            checks.refuse_nan(model, name, array[: feed.rows_per_epoch], nan_policy)
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
    nan_policy: str,
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
    if data.indexed and data.num_batches is None and steps is None:
        raise ValueError(
            f"The {data.kind} has no end (its `num_batches` is None). Say how many batches to take: "
            f"`{'steps_per_epoch' if kind == 'train' else 'steps'}`"
            + (", of validation data `validation_steps`" if kind == "test" else "")
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

    gate = Gate(model, kind, data.kind, nan_policy, class_weight)
    feed = IterFeed(data, gate, steps, weigh, nan_policy if kind == "train" else "allow")
    feed.admit_first(fresh=not getattr(model.optimizer, "built", True))
    return feed


def _labels(x: Any, y: Any) -> Any:
    """All labels, which balanced weights need to know before training."""
    if is_source(x):
        raise ValueError(
            "`class_weight='balanced'` needs all labels before training, but `x` is a source of batches. "
            "Count the classes and give a dict: the weight of a class is n / (classes * n of the class)"
        )
    return x.y if isinstance(x, ArrayData) else to_arrays(y, "y")


def array_data(x: Any, y: Any, sample_weight: Any) -> ArrayData:
    """Arrays of which `validation_split` holds a part out.

    Raises:
        ValueError: It is a source of batches, which has no end to hold out.
    """
    if is_source(x):
        raise ValueError(
            "Argument `validation_split` is only supported for tensors or NumPy arrays. "
            f"Found incompatible type in the input: {[type(x)]}"
        )
    return ArrayData(x, y, sample_weight)


def validation_feed(model: Any, data: Any, batch_size: int | None, steps: int | None, policy: str) -> Feed:
    """The feed of `validation_data`: a source of batches, or arrays `(x,)`, `(x, y)`, `(x, y, weights)`."""
    parts: tuple[Any, Any, Any] = (data, None, None) if is_source(data) else unpack_x_y_sample_weight(data)
    return make_feed(model, "test", *parts, batch_size, steps, nan_policy=policy)


def admit(
    model: Any, kind: str, batch: tuple[Any, Any, Any], nan_policy: str, class_weight: Any = None
) -> None:
    """Checks one batch that the user made, and builds the model for it if that is to be done.

    Raises:
        TypeError, ValueError: The model cannot take it; nothing has changed then.
    """
    data = ArrayData(*batch)  # dtypes, numbers of samples
    _check_inputs(model, kind, data.names, data.inputs, nan_policy)
    prepare(model, kind, data.structures)
    check_targets(model, kind, data.structures, nan_policy, class_weight)


def _check_inputs(model: Any, kind: str, names: list[str], inputs: list[Any], nan_policy: str) -> None:
    """Looks at the values of the inputs of a batch."""
    rounds = kind == "train" and checks.computes_floats(model)
    for name, array in zip(names, inputs, strict=False):
        checks.refuse_nan(model, name, array, nan_policy)
        if rounds:
            checks.check_integers(model, name, array)


class Gate:
    """`admit` for the batches of a source, which are mostly alike: what only the form decides is done once.

    Args:
        model, kind, nan_policy, class_weight: As for `admit`.
        source: What the source is called in an error.
    """

    def __init__(self, model: Any, kind: str, source: str, nan_policy: str, class_weight: Any = None) -> None:
        self.model, self.kind, self.source = model, kind, source
        self.nan_policy, self.class_weight = nan_policy, class_weight
        self._form: Any = None

    def __call__(self, batch: ArrayData, index: int) -> None:
        """Refuses a batch, the `index`th of its pass, that the model cannot take.

        The values of inputs that are trained on are left to the step, which looks at them anyway.

        Raises:
            TypeError, ValueError: As `admit`; also if its structure is not that of those before.
        """
        form = _form(batch.structures)
        if form != self._form:
            self._admit_form(batch, form, index)
            return
        if self.kind != "train":
            _check_inputs(self.model, self.kind, batch.names, batch.inputs, self.nan_policy)
        check_targets(self.model, self.kind, batch.structures, self.nan_policy, self.class_weight)

    def _admit_form(self, batch: ArrayData, form: Any, index: int) -> None:
        """Lets a batch of another form in, if the model takes it and only sizes differ."""
        change = None if self._form in (None, form) else self._changed(form, index)
        try:
            admit(self.model, self.kind, batch.structures, self.nan_policy, self.class_weight)
        except (TypeError, ValueError) as error:
            if change is None:
                raise
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{change}. {error}") from error
        if change is not None and _places(form) != _places(self._form):
            raise ValueError(f"{change}. All batches of a source need one structure")
        if change is not None and _kinds(form) != _kinds(self._form):
            raise TypeError(f"{change}. All batches of a source need the same kinds of dtypes")
        self._form = form

    def _changed(self, form: Any, index: int) -> str:
        return (
            f"batch {index} of the {self.source} (counted from 0) holds {_described(form)}, those before it "
            f"held {_described(self._form)}"
        )


def _places(form: Any) -> list[Any]:
    """Where there are leaves."""
    return [path for path, leaf in form if leaf is not None]


def _kinds(form: Any) -> list[str]:
    """Of what kind the numbers of each leaf are: floating point, whole, boolean."""
    return ["i" if leaf[0].kind == "u" else leaf[0].kind for _, leaf in form if leaf is not None]


def _described(form: Any) -> str:
    """A batch in words."""
    parts = []
    for (place, *path), leaf in form:
        name = path_name(("x", "y", "sample_weight")[place], tuple(path))
        if leaf is not None:
            sizes = ", ".join(["n", *map(str, leaf[1])]) + ("" if leaf[1] else ",")
            parts.append(f"`{name}` ({sizes}) {leaf[0]}")
        elif path or place == 0:
            parts.append(f"`{name}` None")
    return ", ".join(parts)


def check_targets(
    model: Any, kind: str, data: tuple[Any, Any, Any], nan_policy: str, class_weight: Any = None
) -> None:
    """Refuses targets and weights that the losses cannot mean, once it is known what the losses are.

    What belongs to a loss or a step of the user's own is not looked at.

    Raises:
        ValueError: A label is outside the classes, a value is not finite, or a class is unknown.
    """
    if kind == "predict":
        return
    checks.check_weights(model, data[2], nan_policy)
    loss = model._compile_loss
    own = is_overridden(model, f"{kind}_step") or is_overridden(model, "compute_loss")
    if data[1] is None or own or loss is None or not loss.built:
        return
    for start, (_, y, sample_weight) in pieces(data):
        try:
            _check_piece(model, loss, y, sample_weight, nan_policy, class_weight)
        except ValueError as error:
            if start:
                error.add_note(f"Rows are counted from row {start} of the data here.")
            raise


def _check_piece(
    model: Any, loss: Any, y: Any, sample_weight: Any, nan_policy: str, class_weight: Any
) -> None:
    """`check_targets` for samples whose targets are arrays."""
    for name, target, weight, entry in loss.targets(y, sample_weight):
        if labels.is_own(entry.loss):
            continue
        checks.refuse_nan(model, name, target, nan_policy)
        if class_weight is not None:
            _check_classes(class_weight, entry)
        if labels.check_targets(name, target, weight, entry.loss, entry.shape):
            loss.excuses = True
            if model._compile_metrics is not None:
                model._compile_metrics.excuses = True
        if not labels.takes_indices(entry.loss):
            checks.check_integers(model, name, target)
        odd = labels.complaint(name, target, entry.loss)
        if odd is not None:
            checks.warn_once(model, odd, f"targets {name}")


def _check_classes(class_weight: dict[int, float], entry: Any) -> None:
    """Refuses class weights for classes that the output has not.

    Raises:
        ValueError: A class is unknown.
    """
    count = labels.class_count(entry.loss, entry.shape)
    unknown = [label for label in class_weight if count is not None and label >= count]
    if unknown:
        raise ValueError(
            f"`class_weight` has the unknown class {unknown[0]!r}: the output has {count} classes, 0 to "
            f"{(count or 0) - 1}"
        )


def warn_of_sorted_labels(model: Any, y: Any, at: int) -> None:
    """Warns if the samples from `at` on, which validate, were cut off from sorted labels."""
    loss = model._compile_loss
    lazy = any(isinstance(leaf, LazyRows) for leaf in tree.flatten(y))
    if y is None or lazy or loss is None or not loss.built:
        return
    for name, target, _, entry in loss.targets(y):
        behind = labels.classes_behind(target, at) if labels.takes_classes(entry.loss) else []
        if behind:
            checks.warn_once(
                model,
                f"`{name}` is sorted, and `validation_split` takes the last samples, before shuffling: they "
                f"have only the classes {_shown(behind)}. Shuffle first, x and y in the same order: "
                "order = np.random.permutation(len(y)); x, y = x[order], y[order]",
                f"sorted {name}",
            )


def _shown(values: list[Any]) -> str:
    return ", ".join(f"{v:g}" for v in values[:5]) + (", …" if len(values) > 5 else "")


def prepare(model: Any, kind: str, data: tuple[Any, Any, Any], batch_size: int | None = None) -> None:
    """Builds what a batch needs and tries the computation out on the first, once for each form of batch.

    The trial runs in inference mode, in which layers keep their state; metrics get their values
    back. So a shape that does not fit, anywhere between the inputs and the last metric, raises
    before anything has changed.
    """
    key = (kind == "predict", _form(data))
    tried: set[Any] = model.__dict__.setdefault("_tried", set())
    if key not in tried:
        with np.errstate(over="ignore"):  # what is too large for float32 is refused, or allowed, as infinity
            x, y, sample_weight = tree.map_structure(lambda leaf: _as_tensor(leaf, batch_size), data)
        state = [v for v in model.variables if not v.trainable]  # a layer of the user's may count its calls
        with autograd.no_grad(), checks.values_kept([*state, random.global_seed_generator().state]):
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
    if model._compile_loss is not None and not is_overridden(model, "compute_loss"):
        for name, text in model._compile_loss.odd_outputs(y_pred).items():
            checks.warn_once(model, text, name)


def _build_optimizer(model: Any) -> None:
    if model.optimizer is None or model.optimizer.built or not model.built:
        return
    variables = model.trainable_variables
    if variables:
        model.optimizer.build(variables)
    elif not is_overridden(model, "train_step"):
        warnings.warn("The model does not have any trainable weights.", stacklevel=users_level())
