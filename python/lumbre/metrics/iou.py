"""Intersection over union of true and predicted classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lumbre import ops
from lumbre.autograd import Tensor, as_tensor
from lumbre.config import epsilon
from lumbre.metrics.metric import Metric


class IoU(Metric):
    """`TP / (TP + FP + FN)`, the mean of it over the target classes that occur.

    Classes outside of 0 ... num_classes - 1 count nothing. Weights count as given, also without a
    float `dtype` (in Keras they are cut to whole numbers then, with a warning).

    Args:
        num_classes: How many classes there are.
        target_class_ids: Those that are measured.
        ignore_class: A true class whose samples count nothing.
        sparse_y_true: Whether `y_true` holds class indices, or otherwise a score for each class along `axis`.
        sparse_y_pred: The same for `y_pred`.
        axis: The axis of the classes where there are scores.

    Raises:
        ValueError: A target class is out of range.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.IoU(num_classes=2, target_class_ids=[0])
        >>> round(metric([0, 0, 1, 1], [0, 1, 0, 1]).item(), 4)
        0.3333
    """

    _direction = "up"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name=name, dtype=dtype or "int32")
        ids = list(target_class_ids)
        wrong = [i for i in ids if not 0 <= i < num_classes]
        if wrong:
            raise ValueError(f"Target class id {max(wrong)} is out of range, which is [0, {num_classes}).")
        self.num_classes = num_classes
        self.target_class_ids = ids
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        shape = (num_classes, num_classes)
        self.total_cm = self.add_variable(shape, "zeros", dtype="float64", name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch.

        Args:
            y_true: Class indices of any shape, or scores of classes.
            y_pred: The same for the predictions.
            sample_weight: A number, or a weight for each pair of classes.

        Raises:
            ValueError: The shapes do not fit.
        """
        y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
        y_true = y_true if self.sparse_y_true else ops.argmax(y_true, axis=self.axis)
        y_pred = y_pred if self.sparse_y_pred else ops.argmax(y_pred, axis=self.axis)
        if y_true.size != y_pred.size:
            raise ValueError(
                f"metric '{self.name}': `y_true` and `y_pred` must name the classes of the same samples. "
                f"Received: {y_true.shape} true and {y_pred.shape} predicted classes"
            )
        if sample_weight is not None:
            sample_weight = as_tensor(sample_weight)
            if sample_weight.size not in (1, y_true.size):
                raise ValueError(
                    f"metric '{self.name}': `sample_weight` must be a number or hold a weight for each of "
                    f"the {y_true.size} classes. Received: sample_weight.shape={sample_weight.shape}"
                )
            sample_weight = ops.reshape(sample_weight, (-1,) if sample_weight.ndim else ())
        ops.confusion_counts(
            self.total_cm,
            ops.reshape(y_true, (-1,)),
            ops.reshape(y_pred, (-1,)),
            sample_weight,
            ignored=self.ignore_class,
        )

    def result(self) -> Tensor:
        matrix = self.total_cm.value
        hits = ops.sum(ops.multiply(matrix, ops.eye(self.num_classes, dtype="float64")), axis=0)
        union = ops.subtract(ops.add(ops.sum(matrix, axis=0), ops.sum(matrix, axis=1)), hits)
        targets = as_tensor(self.target_class_ids, "int32")
        hits, union = ops.take(hits, targets), ops.take(union, targets)
        occurs = ops.cast(ops.greater(union, 1e-9), "float64")
        ratios = ops.multiply(ops.divide(hits, ops.add(union, epsilon())), occurs)
        return ops.cast(ops.divide(ops.sum(ratios), ops.add(ops.sum(occurs), epsilon())), "float32")

    def get_config(self) -> dict[str, Any]:
        names = ("num_classes", "target_class_ids", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _without(config: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in names}


class BinaryIoU(IoU):
    """The intersection over union of the classes 0 and 1, `y_pred >= threshold` being 1.

    Args:
        target_class_ids: Which of 0 and 1 are measured.
        threshold: The least score of class 1.

    Raises:
        ValueError: A target class is neither 0 nor 1.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.BinaryIoU(threshold=0.3)
        >>> round(metric([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7]).item(), 4)
        0.3333
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name=name, dtype=dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch of targets 0 and 1, and scores of the same shape."""
        above = ops.greater_equal(as_tensor(y_pred, "float32"), self.threshold)
        super().update_state(y_true, ops.cast(above, "int32"), sample_weight)

    def get_config(self) -> dict[str, Any]:
        config = _without(
            super().get_config(), "num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis"
        )
        return {**config, "threshold": self.threshold}


class MeanIoU(IoU):
    """The intersection over union, the mean over all classes that occur. See `IoU`.

    Example:
        >>> import lumbre
        >>> round(lumbre.metrics.MeanIoU(num_classes=2)([0, 0, 1, 1], [0, 1, 0, 1]).item(), 4)
        0.3333
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        options: dict[str, Any] = {"sparse_y_true": sparse_y_true, "sparse_y_pred": sparse_y_pred}
        super().__init__(num_classes, range(num_classes), name, dtype, ignore_class, axis=axis, **options)

    def get_config(self) -> dict[str, Any]:
        return _without(super().get_config(), "target_class_ids")


class OneHotIoU(IoU):
    """The intersection over union of target classes, for one-hot targets. See `IoU`.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.OneHotIoU(num_classes=2, target_class_ids=[0])
        >>> round(metric([[1, 0], [0, 1]], [[0.7, 0.3], [0.6, 0.4]]).item(), 4)
        0.5
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        options: dict[str, Any] = {"sparse_y_true": False, "sparse_y_pred": sparse_y_pred}
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, axis=axis, **options)

    def get_config(self) -> dict[str, Any]:
        return _without(super().get_config(), "sparse_y_true")


class OneHotMeanIoU(MeanIoU):
    """The intersection over union, the mean over all classes, for one-hot targets. See `IoU`.

    Example:
        >>> import lumbre
        >>> metric = lumbre.metrics.OneHotMeanIoU(num_classes=2)
        >>> round(metric([[1, 0], [0, 1]], [[0.7, 0.3], [0.6, 0.4]]).item(), 4)
        0.25
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        options: dict[str, Any] = {"sparse_y_true": False, "sparse_y_pred": sparse_y_pred}
        super().__init__(num_classes, name, dtype, ignore_class, axis=axis, **options)

    def get_config(self) -> dict[str, Any]:
        return _without(super().get_config(), "sparse_y_true")
