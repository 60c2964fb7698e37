"""Frames and series of pandas and polars: trained on like arrays; errors name columns."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lumbre

pd: Any = pytest.importorskip("pandas")
pl: Any = pytest.importorskip("polars")

N = 40
RNG = np.random.default_rng(0)
X = RNG.integers(0, 8, (N, 4)).astype("float32")
Y = (X @ np.array([[0.1], [0.2], [0.0], [-0.1]], "float32")).astype("float32")
NAMES = ["age", "rooms", "price", "sold"]


def network(features: int = 4) -> Any:
    lumbre.utils.set_random_seed(0)
    model = lumbre.Sequential(
        [lumbre.Input((features,)), lumbre.layers.Dense(3, activation="tanh"), lumbre.layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    return model


def results(x: Any, y: Any, features: int = 4, **options: Any) -> list[Any]:
    """All that can be seen of a training run."""
    model = network(features)
    history = model.fit(x, y, 8, epochs=2, validation_split=0.25, verbose=0, **options).history
    return [history, model.evaluate(x, y, verbose=0), model.predict(x, verbose=0).tolist()]


def mixed(library: Any) -> Any:
    whole = X.astype("int64")
    columns = {"age": whole[:, 0].astype("uint8"), "rooms": whole[:, 1], "price": X[:, 2].astype("float64")}
    return library.DataFrame(columns | {"sold": X[:, 3] > 3})


def nullable() -> Any:
    frame = mixed(pd)
    return frame.astype({"age": "Int64", "rooms": "UInt8", "price": "Float32", "sold": "boolean"})


FRAMES: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame(X, columns=NAMES),
    "pandas, by columns": lambda: pd.DataFrame({name: X[:, i] for i, name in enumerate(NAMES)}),
    "pandas, float64": lambda: pd.DataFrame(X.astype("float64")),
    "pandas, sparse columns": lambda: pd.DataFrame(X).astype(pd.SparseDtype("float32", 0)),
    "pandas, numeric categories": lambda: pd.DataFrame(X.astype("int16")).astype("category"),
    "pandas, double names": lambda: pd.DataFrame(X, columns=["a", "a", "b", "b"]),
    "pandas, an index of its own": lambda: pd.DataFrame(X, index=np.arange(N)[::-1]),
    "polars": lambda: pl.DataFrame(X, schema=NAMES),
    "polars, chunks": lambda: pl.concat([pl.DataFrame(X[:9]), pl.DataFrame(X[9:])], rechunk=False),
}


@pytest.mark.parametrize("form", FRAMES)
def test_a_frame_trains_like_an_array(form: str) -> None:
    assert results(FRAMES[form](), Y) == results(X, Y)


@pytest.mark.parametrize("form", ["pandas", "polars", "nullable"])
def test_columns_of_several_dtypes(form: str) -> None:
    """Numbers and booleans together become floats."""
    frame = nullable() if form == "nullable" else mixed({"pandas": pd, "polars": pl}[form])
    values = np.column_stack([X[:, :3], X[:, 3] > 3]).astype("float32")
    assert results(frame, Y) == results(values, Y)


def test_columns_of_integers_stay_integers() -> None:
    seen: list[str] = []

    class Looks(lumbre.layers.Layer):
        def call(self, inputs: Any) -> Any:
            seen.append(str(inputs.dtype))
            return lumbre.ops.cast(inputs, "float32")

    model = lumbre.Sequential([Looks(dtype="int64"), lumbre.layers.Dense(1)])
    model.predict(pd.DataFrame({"a": [1, 2], "b": [3, 4]}), verbose=0)
    assert set(seen) == {"int64"}


@pytest.mark.parametrize(
    "series", [lambda y: pd.Series(y), lambda y: pl.Series("y", y)], ids=["pandas", "polars"]
)
def test_a_series_as_targets_and_weights(series: Callable[[Any], Any]) -> None:
    y, weights = Y[:, 0], np.linspace(0, 1, N)
    model = network()
    ours = model.fit(X, series(y), 8, sample_weight=series(weights), verbose=0).history
    assert ours == network().fit(X, y, 8, sample_weight=weights, verbose=0).history
    assert results(X, series(y)) == results(X, y)


def test_a_frame_as_targets() -> None:
    assert results(X, pd.DataFrame(Y, columns=["price"])) == results(X, Y)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_dicts_and_lists_of_series(library: str) -> None:
    frame = {"pandas": pd, "polars": pl}[library].DataFrame({"a": X[:, 0], "b": X[:, 1]})
    inputs = {name: lumbre.Input((1,), name=name) for name in ("a", "b")}
    joined = lumbre.layers.Concatenate()(list(inputs.values()))
    model = lumbre.Model(inputs, lumbre.layers.Dense(1)(joined))
    model.compile("sgd", "mse")
    arrays = {"a": X[:, 0], "b": X[:, 1]}
    expected = model.evaluate(arrays, Y, verbose=0)
    assert model.evaluate({name: frame[name] for name in inputs}, Y, verbose=0) == expected
    assert model.fit({name: frame[name] for name in inputs}, Y, verbose=0).history["loss"]
    listed = lumbre.Model(list(inputs.values()), lumbre.layers.Dense(1)(joined))
    both = listed.predict([frame["a"], frame["b"]], verbose=0)
    np.testing.assert_array_equal(both, listed.predict([X[:, 0], X[:, 1]], verbose=0))


def test_batches_of_frames() -> None:
    def batches() -> Any:
        for i in range(0, N, 8):
            yield pd.DataFrame(X[i : i + 8]), pd.Series(Y[i : i + 8, 0])

    ours = network().fit(batches(), shuffle=False, verbose=0).history
    assert ours == network().fit(X, Y[:, 0], 8, shuffle=False, verbose=0).history
    model = network()
    expected = model.train_on_batch(X[:8], Y[:8])
    assert network().train_on_batch(pl.DataFrame(X[:8]), pd.DataFrame(Y[:8])) == expected


# Missing values


def with_gap(kind: str) -> Any:
    if kind == "pandas NaN":
        frame = pd.DataFrame(X, columns=NAMES)
        frame.loc[17, "price"] = np.nan
        return frame
    values = X[:, 2].astype(int).tolist()
    values[17] = None
    columns = {"age": X[:, 0], "rooms": X[:, 1]}
    if kind == "pandas NA":
        return pd.DataFrame(columns | {"price": pd.array(values, dtype="Int64"), "sold": X[:, 3]})
    if kind == "pandas category":
        return pd.DataFrame(columns | {"price": pd.Categorical(values), "sold": X[:, 3]})
    return pl.DataFrame(columns | {"price": values, "sold": X[:, 3]})


@pytest.mark.parametrize("kind", ["pandas NaN", "pandas NA", "pandas category", "polars null"])
def test_missing_values_are_named_by_row_and_column(kind: str) -> None:
    frame, model = with_gap(kind), network()
    weights = [w.copy() for w in model.get_weights()]
    with pytest.raises(ValueError, match="`x` contains NaN or infinity, first met in row 17, column 'price'"):
        model.fit(frame, Y, N, verbose=0)
    with pytest.raises(ValueError, match="row 1, column 'price'"):
        model.fit(X, Y, validation_data=(frame[16:20], Y[16:20]), verbose=0)
    with pytest.raises(ValueError, match="row 17, column 'price'"):
        model.train_on_batch(frame, Y)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    assert np.isnan(model.predict(frame, verbose=0)).sum() == 1


def test_missing_booleans() -> None:
    nullable = pd.DataFrame({"b": pd.array([True, None], dtype="boolean")})
    for frame in (nullable, pl.DataFrame({"b": [True, None]})):
        with pytest.raises(ValueError, match="row 1, column 'b'"):
            network(1).fit(frame, Y[:2], verbose=0)


def test_missing_targets() -> None:
    y = pd.DataFrame({"low": Y[:, 0], "high": Y[:, 0]})
    y.loc[5, "high"] = np.nan
    model = lumbre.Sequential([lumbre.Input((4,)), lumbre.layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="`y` contains NaN or infinity, first met in row 5, column 'high'"):
        model.fit(X, y, verbose=0)


# What holds no numbers

DAY = datetime.date(2020, 1, 1)
BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "pandas text": (
        lambda: pd.DataFrame({"a": [1.0, 2.0], "city": ["Rome", "Oslo"]}),
        r"the column 'city' of `x` must hold numbers.*'Rome'.*df\['city'\].astype\('category'\).cat.codes",
    ),
    "pandas objects": (
        lambda: pd.DataFrame({"a": [1.0, 2.0], "b": np.array([3, b"?"], object)}),
        r"the column 'b' of `x`.*dtype object, with values like \"b'\?'\".*df.drop\(columns=\['b'\]\)",
    ),
    "pandas dates": (
        lambda: pd.DataFrame({"a": [1.0], "day": pd.to_datetime(["2020-01-01"])}),
        "the column 'day' of `x`.*days since a date",
    ),
    "pandas categories": (
        lambda: pd.DataFrame({"kind": pd.Categorical(["u", "v"])}),
        r"the column 'kind' of `x`.*dtype category.*df\['kind'\].cat.codes",
    ),
    "pandas nothing": (
        lambda: pd.DataFrame({"a": np.array([None, None], object)}),
        "the column 'a' of `x`.*and no value",
    ),
    "pandas complex": (lambda: pd.DataFrame({"z": [1j]}), "the column 'z' of `x`.*complex128"),
    "pandas series": (lambda: pd.Series(["a", "b"]), "`x` must hold numbers.*'a'"),
    "polars text": (
        lambda: pl.DataFrame({"a": [1.0, 2.0], "city": ["Rome", "Oslo"]}),
        r"the column 'city' of `x`.*dtype String.*df\['city'\].cast\(pl.Categorical\).to_physical\(\)",
    ),
    "polars dates": (lambda: pl.DataFrame({"day": [DAY]}), "the column 'day' of `x`.*dtype Date"),
    "polars categories": (
        lambda: pl.DataFrame({"kind": pl.Series(["u", "v"], dtype=pl.Categorical)}),
        r"the column 'kind' of `x`.*df\['kind'\].to_physical\(\)",
    ),
    "polars decimals": (
        lambda: pl.DataFrame({"d": pl.Series(["1.5"]).cast(pl.Decimal(10, 2))}),
        r"the column 'd' of `x`.*cast\(pl.Float32\)",
    ),
    "polars lists": (
        lambda: pl.DataFrame({"l": [[1, 2], [3, 4]]}),
        "the column 'l' of `x`.*each of its parts",
    ),
    "polars arrays": (lambda: pl.DataFrame({"l": np.ones((2, 3))}), r"the column 'l' of `x`.*shape \(3,\)"),
    "polars series": (lambda: pl.Series("s", ["a", "b"]), "`x` must hold numbers.*'a'"),
}


@pytest.mark.parametrize("case", BAD)
def test_columns_without_numbers_are_named(case: str) -> None:
    make, text = BAD[case]
    model = network()
    before = model.fit(X, Y, verbose=0).history
    weights = [w.copy() for w in model.get_weights()]
    for action in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(TypeError, match=f"(?s){text}"):
            action(make(), Y[:2])
    with pytest.raises(TypeError, match=f"(?s){text}"):
        model.predict(make())
    assert before and all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))


def test_frames_that_are_none() -> None:
    with pytest.raises(ValueError, match="a frame without columns"):
        network().fit(pd.DataFrame(index=range(N)), Y, verbose=0)
    with pytest.raises(ValueError, match="The data is empty"):
        network().fit(pd.DataFrame(X[:0]), Y[:0], verbose=0)
    with pytest.raises(ValueError, match=r"Collect a lazy frame first: x.collect\(\)"):
        network().fit(pl.DataFrame(X).lazy(), Y, verbose=0)
    with pytest.raises(ValueError, match="cardinality"):
        network().fit(pd.DataFrame(X), pd.Series(Y[:5, 0]), verbose=0)
