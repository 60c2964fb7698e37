"""Frames and series of pandas and polars as arrays of rows.

Nothing of either is imported: a frame is what has `columns` and `to_numpy`, its columns tell their
dtypes. A frame keeps columns, training reads rows: a frame becomes one array in row-major order, in
the dtype that its columns have together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lumbre.config import floatx

_BLOCK_BYTES = 1 << 19  # rows written together: columns are scattered into what stays in the cache


class FrameArray(np.ndarray):
    """The values of a frame (rows, columns), and its parts; errors name its columns.

    Attributes:
        columns: The names of the columns; None for a series.
    """

    columns: list[Any] | None = None

    def __array_finalize__(self, origin: Any) -> None:
        self.columns = getattr(origin, "columns", None)


def is_frame(value: Any) -> bool:
    """Whether the value is a table of named columns."""
    return hasattr(value, "columns") and hasattr(value, "to_numpy")


def is_series(value: Any) -> bool:
    """Whether the value is a column of pandas or polars."""
    return (
        hasattr(value, "to_numpy") and hasattr(value, "dtype") and not hasattr(value, "__array_interface__")
    )


def frame_array(frame: Any, name: str) -> np.ndarray:
    """The rows of a frame, whose columns are numbers or booleans; what is missing becomes NaN.

    Args:
        frame: Of pandas, polars, or like one of them.
        name: What it is called in an error.

    Raises:
        TypeError: A column holds no numbers; it is named.
        ValueError: There is no column.
    """
    names = list(frame.columns)
    if not names:
        raise ValueError(f"`{name}` is a frame without columns")
    arrays = [series_array(column, name, label) for label, column in zip(names, _columns(frame), strict=True)]
    dtype = np.result_type(*[a.dtype for a in arrays])
    dtype = np.dtype(floatx()) if dtype.kind == "f" else dtype
    rows = np.empty((len(arrays[0]), len(arrays)), dtype)
    step = max(1, _BLOCK_BYTES // (len(arrays) * dtype.itemsize))
    with np.errstate(over="ignore"):  # what is too large for floatx counts as infinity, as in an array
        for start in range(0, len(rows), step):
            for i, array in enumerate(arrays):
                rows[start : start + step, i] = array[start : start + step]
    values = rows.view(FrameArray)
    values.columns = names
    return values


def _columns(frame: Any) -> Iterator[Any]:
    if hasattr(frame, "get_columns"):
        return iter(frame.get_columns())
    return (frame.iloc[:, i] for i in range(len(frame.columns)))  # by place: names may be double


def series_array(series: Any, name: str, label: Any = None) -> np.ndarray:
    """A column as an array: its own memory where it has one without gaps; what is missing becomes NaN.

    Args:
        series: Of pandas, polars, or like one of them.
        name: What it, or its frame, is called in an error.
        label: The name of the column, if it is one of a frame.

    Raises:
        TypeError: It holds no numbers.
    """
    polars = hasattr(series, "null_count")
    array: Any = _polars_array(series) if polars else _pandas_array(series)
    if array is None or array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        where = f"`{name}`" if label is None else f"the column {label!r} of `{name}`"
        example = _example(series)
        like = " and no value" if example is None else f", with values like {str(example)[:40]!r}"
        raise TypeError(
            f"{where} must hold numbers or booleans, but it has dtype {series.dtype}{like}. "
            f"{_remedy(series, label, example)}"
        )
    if label is not None and array.ndim != 1:
        raise TypeError(
            f"the column {label!r} of `{name}` has values of shape {array.shape[1:]}: pass it by itself, as "
            "an input of its own"
        )
    return np.asarray(array)


def _pandas_array(series: Any) -> np.ndarray | None:
    """The values of a pandas series; None where they are no numbers."""
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return np.asarray(series.to_numpy()) if dtype.kind in "biuf" else None
    categories = getattr(dtype, "categories", None)
    inner: Any = dtype if categories is None else categories.dtype
    plain = getattr(inner, "numpy_dtype", getattr(inner, "subtype", inner))
    if not isinstance(plain, np.dtype) or plain.kind not in "biuf":
        return None
    if series.isna().any():
        plain = plain if plain.kind == "f" else np.dtype("float64")
        if categories is not None:
            series = series.astype("float64")
        return np.asarray(series.to_numpy(dtype=plain, na_value=np.nan))
    return np.asarray(series.to_numpy(dtype=plain))


def _polars_array(series: Any) -> np.ndarray | None:
    """The values of a polars series; None where they are no numbers."""
    if str(series.dtype).startswith("Decimal"):
        return None
    if series.null_count() and str(series.dtype) == "Boolean":
        series = series.cast(int)
    return np.asarray(series.to_numpy())


def _example(series: Any) -> Any:
    """A value that is no number, or any, by which the column is recognised; None if there is no value."""
    present = series.drop_nulls() if hasattr(series, "drop_nulls") else series.dropna()
    values = present.head(1000).to_list() if hasattr(present, "head") else present[:1000].tolist()
    return next((v for v in values if not isinstance(v, (bool, int, float))), values[0] if values else None)


def _remedy(series: Any, label: Any, example: Any) -> str:
    """What to do about a column that is not numeric, in the words of its library."""
    pandas, kind = hasattr(series, "iloc"), str(series.dtype).lower()
    here, leave_out = "s", ""
    if label is not None:
        here = f"df[{label!r}]"
        leave_out = f", or leave the column out: df.drop({'columns=' if pandas else ''}[{label!r}])"
    if "date" in kind or "time" in kind or "duration" in kind:
        return f"Make numbers of dates and durations, for example days since a date{leave_out}"
    if "decimal" in kind or (kind == "object" and not isinstance(example, str)):
        as_floats = f"{here}.astype('float32')" if pandas else f"{here}.cast(pl.Float32)"
        return f"If its values are numbers: {as_floats}{leave_out}"
    if kind.startswith(("list", "array", "struct")):
        return f"Make a column of each of its parts, or an array (rows, parts) of it alone{leave_out}"
    if "categor" in kind or "enum" in kind:
        codes = f"{here}.cat.codes" if pandas else f"{here}.to_physical()"
    else:
        codes = (
            f"{here}.astype('category').cat.codes" if pandas else f"{here}.cast(pl.Categorical).to_physical()"
        )
    return f"Give each value a number: {codes}{leave_out}"
