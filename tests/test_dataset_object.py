"""`lumbre.data.Dataset`: the elements, orders and errors that `tf.data` documents, and training on it."""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import lumbre
from lumbre import ops
from lumbre.data import AUTOTUNE, INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Dataset, TensorSpec

X = np.arange(20, dtype="float32").reshape(10, 2)
Y = np.arange(10)


def plain(dataset: Dataset) -> list[Any]:
    return [np.asarray(item).tolist() for item in dataset]


def numbers(n: int) -> Dataset:
    """0 to n - 1, as rows of an array."""
    return Dataset.from_tensor_slices(np.arange(n))


def generated(n: int) -> Dataset:
    """0 to n - 1, one by one: no rows behind them."""
    return Dataset.from_generator(lambda: iter(range(n)))


# Sources


def test_slices() -> None:
    first = next(iter(Dataset.from_tensor_slices((X, Y))))
    assert isinstance(first, tuple) and first[0].tolist() == [0, 1] and first[1] == 0
    assert first[0].dtype == np.float32 and first[1].dtype == Y.dtype
    as_dict = next(iter(Dataset.from_tensor_slices({"a": X, "b": (Y, Y)})))
    assert as_dict["a"].tolist() == [0, 1] and as_dict["b"][1] == 0

    class Pair(NamedTuple):
        left: Any
        right: Any

    pair = next(iter(Dataset.from_tensor_slices(Pair(X, Y)).batch(2)))
    assert isinstance(pair, Pair) and pair.right.tolist() == [0, 1]


def test_a_member_that_is_not_there() -> None:
    for dataset in (
        Dataset.from_tensor_slices((X, None)).shuffle(2, seed=1).batch(4),
        Dataset.from_tensor_slices((X, None)).map(lambda x, y: (x, y)).batch(4),
    ):
        x, y = next(iter(dataset))
        assert x.shape == (4, 2) and y is None
        assert dataset.element_spec == (TensorSpec((None, 2)), None)


def test_python_numbers_become_what_tensors_of_them_are() -> None:
    for values, dtype in (([1, 2], "int32"), ([1.5, 2], "float32"), ([True], "bool"), ([1 << 40], "int64")):
        assert next(iter(Dataset.from_tensor_slices(values))).dtype == dtype
    assert next(iter(Dataset.from_tensor_slices([X, X]))).shape == (10, 2)  # a list is one array
    assert next(iter(Dataset.from_tensors(3))).dtype == "int32"
    assert next(iter(Dataset.from_tensor_slices(np.ones(2)))).dtype == "float64"
    assert next(iter(Dataset.from_tensor_slices(["a", "ü"]).skip(1))).numpy() == "ü".encode()
    assert next(iter(Dataset.from_tensor_slices(ops.ones((2, 3))))).shape == (3,)


def test_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"age": [30, 40], "name": ["a", "b"]})
    first = next(iter(Dataset.from_tensor_slices((dict(frame), frame.pop("age")))))
    assert first[0]["age"] == 30 and first[0]["name"].numpy() == b"a" and first[1] == 30


def test_elements_are_arrays_that_scripts_take_for_tensors() -> None:
    for x, y in Dataset.from_tensor_slices((X, Y)).batch(4).take(1):
        assert isinstance(x, np.ndarray) and type(x.numpy()) is np.ndarray
        assert y[2].numpy() == 2 and ["a", "b", "c"][y[2]] == "c"
        assert [int(label.numpy()) for label in y] == [0, 1, 2, 3]
        x += 1  # the caller's own
    assert X[0, 0] == 0
    x, y = next(Dataset.from_tensor_slices((X, Y)).as_numpy_iterator())
    assert type(x) is np.ndarray and isinstance(y, np.int64)
    assert plain(Dataset.from_tensors(X)) == [X.tolist()]


def test_range() -> None:
    for arguments in ((5,), (2, 5), (0, 10, 3), (5, 0, -2)):
        assert plain(Dataset.range(*arguments)) == list(range(*arguments))
    assert next(iter(Dataset.range(2, output_type="int32"))).dtype == "int32"
    assert len(Dataset.range(10**12)) == 10**12


def test_generators_start_again_at_every_pass() -> None:
    starts = []

    def generator(n: int, scale: float) -> Iterator[Any]:
        starts.append(n)
        for i in range(n):
            yield np.full(2, i * scale), i

    signature = (TensorSpec((2,), "float32"), TensorSpec((), "int32"))
    dataset = Dataset.from_generator(generator, output_signature=signature, args=(3, 2.0))
    assert not starts, "lazy"
    for _ in range(2):
        items = list(dataset)
        assert [x.tolist() for x, _ in items] == [[0, 0], [2, 2], [4, 4]]
        assert items[0][0].dtype == "float32" and items[0][1].dtype == "int32"
    assert starts == [3, 3]
    assert dataset.element_spec == signature
    old = Dataset.from_generator(generator, ("float32", "int64"), ((None,), ()), args=(3, 2.0))
    assert old.element_spec == (TensorSpec((None,), "float32"), TensorSpec((), "int64"))
    assert next(iter(old))[1].dtype == "int64"
    texts = Dataset.from_generator(lambda: iter(["a", "b"]), output_signature=TensorSpec((), "string"))
    assert list(texts.as_numpy_iterator()) == [b"a", b"b"]


@pytest.mark.parametrize(
    ("value", "error"),
    [(np.zeros(3), ValueError), ("text", ValueError), ((1, 2), ValueError), ([["a", "b"]], ValueError)],
)
def test_a_generator_that_breaks_its_promise(value: Any, error: type[Exception]) -> None:
    dataset = Dataset.from_generator(lambda: iter([np.zeros(2), value]), output_signature=TensorSpec((2,)))
    with pytest.raises(error) as raised:
        list(dataset)
    assert "element 1 of the generator" in raised.value.__notes__[0]
    with pytest.raises(TypeError, match="the dtype float32 was expected"):
        list(Dataset.from_generator(lambda: iter(["a"]), output_signature=TensorSpec(())))


def test_zip() -> None:
    zipped = Dataset.zip(numbers(3), Dataset.range(10, 20))
    assert [(int(a), int(b)) for a, b in zipped] == [(0, 10), (1, 11), (2, 12)] and len(zipped) == 3
    assert len(Dataset.zip((numbers(3), Dataset.range(2)))) == 2  # as in TensorFlow 1 and 2
    nested = next(iter(Dataset.zip({"a": numbers(3), "b": (numbers(2), numbers(2))})))
    assert nested["a"] == 0 and len(nested["b"]) == 2
    assert len(Dataset.zip(numbers(3), numbers(1).repeat())) == 3
    with pytest.raises(TypeError, match="`zip` takes datasets"):
        Dataset.zip(numbers(3), X)


# Which elements: each stage on rows and on elements gives the same


@pytest.mark.parametrize("make", [numbers, generated])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda d: d.take(3), [0, 1, 2]),
        (lambda d: d.take(0), []),
        (lambda d: d.take(-1), list(range(10))),
        (lambda d: d.take(99), list(range(10))),
        (lambda d: d.skip(7), [7, 8, 9]),
        (lambda d: d.skip(-1), []),
        (lambda d: d.skip(99), []),
        (lambda d: d.skip(2).take(5).skip(1), [3, 4, 5, 6]),
        (lambda d: d.shard(3, 1), [1, 4, 7]),
        (lambda d: d.shard(3, 2).skip(1), [5, 8]),
        (lambda d: d.take(2).repeat(3), [0, 1] * 3),
        (lambda d: d.repeat().take(12), [*range(10), 0, 1]),
        (lambda d: d.repeat(0), []),
        (lambda d: d.take(0).repeat(), []),
        (lambda d: d.take(2).concatenate(d.skip(9)), [0, 1, 9]),
        (lambda d: d.filter(lambda i: i % 3 == 0), [0, 3, 6, 9]),
        (lambda d: d.cache().take(3), [0, 1, 2]),
        (lambda d: d.prefetch(2), list(range(10))),
        (lambda d: d.prefetch(AUTOTUNE).map(lambda i: i * 2).take(2), [0, 2]),
        (lambda d: d.batch(4), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]),
        (lambda d: d.batch(4, drop_remainder=True), [[0, 1, 2, 3], [4, 5, 6, 7]]),
        (lambda d: d.batch(20), [list(range(10))]),
        (lambda d: d.take(4).batch(2).batch(2), [[[0, 1], [2, 3]]]),
        (lambda d: d.batch(4).unbatch(), list(range(10))),
        (lambda d: d.batch(4).skip(2), [[8, 9]]),
        (lambda d: d.take(3).repeat(2).batch(4), [[0, 1, 2, 0], [1, 2]]),
        (lambda d: d.skip(8).map(lambda i: (i, -i)).map(lambda a, b: a - b), [16, 18]),
        (lambda d: d.apply(lambda x: x.take(1)), [0]),
        (lambda d: d.take(3).flat_map(lambda i: Dataset.range(int(i))), [0, 0, 1]),
    ],
)
def test_which_elements(make: Any, change: Any, expected: list[Any]) -> None:
    dataset = change(make(10))
    assert plain(dataset) == expected
    assert plain(dataset) == expected, "and again"
    count = int(dataset.cardinality())
    if count >= 0:
        assert count == len(dataset) == len(expected)
    if make is numbers and count < 0:
        assert count == UNKNOWN_CARDINALITY


def test_large_arrays_come_in_order() -> None:
    n = 200_001
    for dataset in (
        numbers(n).batch(1000),
        numbers(n).skip(70_000).batch(1000),
        numbers(n).shard(3, 1).batch(9),
    ):
        got = np.concatenate(list(dataset))
        start = int(got[0])
        np.testing.assert_array_equal(got, np.arange(n)[start :: int(got[1] - got[0])])


def test_enumerate_and_reduce() -> None:
    assert [(int(i), int(x)) for i, x in numbers(3).enumerate(start=5)] == [(5, 0), (6, 1), (7, 2)]
    total = Dataset.from_tensor_slices((X, Y)).reduce(0.0, lambda state, pair: state + ops.sum(pair[0]))
    assert float(total) == X.sum()
    assert int(numbers(5).reduce(np.int64(0), lambda count, _: count + 1)) == 5


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"size": 3}, [[0, 1, 2], [3, 4, 5], [6]]),
        ({"size": 3, "drop_remainder": True}, [[0, 1, 2], [3, 4, 5]]),
        # These three are the examples of TensorFlow's documentation.
        ({"size": 3, "shift": 1, "drop_remainder": True}, [[i, i + 1, i + 2] for i in range(5)]),
        ({"size": 3, "shift": 2, "stride": 2, "drop_remainder": True}, [[0, 2, 4], [2, 4, 6]]),
        ({"size": 3, "shift": 1}, [*([i, i + 1, i + 2] for i in range(5)), [5, 6], [6]]),
        ({"size": 2, "shift": 4}, [[0, 1], [4, 5]]),
        ({"size": 1, "shift": 3, "stride": 2}, [[0], [3], [6]]),
    ],
)
def test_windows(options: dict[str, Any], expected: list[list[int]]) -> None:
    for dataset in (Dataset.range(7), generated(7)):
        windows = dataset.window(**options)
        assert [plain(window) for window in windows] == expected
    assert len(Dataset.range(7).window(**options)) == len(expected)
    pairs = (
        Dataset.zip(Dataset.range(4), Dataset.range(4, 8))
        .window(2)
        .flat_map(lambda a, b: Dataset.zip(a.batch(2), b.batch(2)))
    )
    assert [(a.tolist(), b.tolist()) for a, b in pairs] == [([0, 1], [4, 5]), ([2, 3], [6, 7])]


def test_padded_batches() -> None:
    ragged = Dataset.from_generator(lambda: iter([([1], 1.0), ([2, 3], 2.0), ([4, 5, 6], 3.0)]))
    batches = [(a.tolist(), b.tolist()) for a, b in ragged.padded_batch(2)]
    assert batches == [([[1, 0], [2, 3]], [1, 2]), ([[4, 5, 6]], [3])]
    fixed = next(iter(ragged.padded_batch(2, padded_shapes=([4], []), padding_values=(-1, 0.0))))
    assert fixed[0].tolist() == [[1, -1, -1, -1], [2, 3, -1, -1]]
    with pytest.raises(ValueError, match="does not fit into the padded shape"):
        list(ragged.padded_batch(3, padded_shapes=([2], [])))
    with pytest.raises(ValueError, match="`padded_batch` fills the shorter ones up"):
        list(ragged.batch(2))
    words = Dataset.from_generator(lambda: iter([["a"], ["b", "c"]])).padded_batch(2)
    assert next(words.as_numpy_iterator()).tolist() == [[b"a", b""], [b"b", b"c"]]


# Order


@pytest.mark.parametrize("make", [numbers, generated])
@pytest.mark.parametrize("size", [1, 3, 100, 5000])
def test_a_shuffle_loses_nothing_and_looks_no_further_than_its_buffer(make: Any, size: int) -> None:
    n = 3000
    order = [int(i) for i in make(n).shuffle(size, seed=4)]
    assert sorted(order) == list(range(n))
    assert all(value < place + size for place, value in enumerate(order))
    assert (order == list(range(n))) == (size == 1)


def test_rows_and_elements_are_shuffled_alike_where_the_buffer_is_small() -> None:
    assert plain(numbers(50).shuffle(7, seed=1)) == plain(generated(50).shuffle(7, seed=1))


def test_every_order_is_equally_likely() -> None:
    for dataset in (numbers(4).shuffle(4), generated(4).shuffle(4)):
        counts = Counter(tuple(order) for order in (plain(dataset) for _ in range(2400)))
        assert len(counts) == 24
        assert max(abs(count - 100) for count in counts.values()) < 50  # five standard deviations


@pytest.mark.parametrize("make", [numbers, generated])
def test_seeds(make: Any) -> None:
    seeded = make(30).shuffle(30, seed=1)
    first, second = plain(seeded), plain(seeded)
    assert first != second
    again = make(30).shuffle(30, seed=1)
    assert [plain(again), plain(again)] == [first, second]
    assert plain(make(30).shuffle(30, seed=2)) != first
    fixed = make(30).shuffle(30, seed=1, reshuffle_each_iteration=False)
    assert plain(fixed) == plain(fixed)
    unseeded = make(30).shuffle(30, reshuffle_each_iteration=False)
    assert plain(unseeded) == plain(unseeded) != plain(make(30).shuffle(30, reshuffle_each_iteration=False))
    twice = plain(make(30).shuffle(30).repeat(2))
    assert sorted(twice[:30]) == sorted(twice[30:]) and twice[:30] != twice[30:]


def test_orders_follow_from_the_global_seed_even_behind_threads() -> None:
    def orders() -> list[Any]:
        lumbre.utils.set_random_seed(3)
        slow = numbers(40).shuffle(40).map(lambda i: i).prefetch(3)
        dataset = Dataset.zip(slow, generated(40).shuffle(9).map(lambda i: i).prefetch(2))
        passes = []
        for _ in range(2):
            items = []
            for a, b in dataset:
                items.append((int(a), int(b)))
                np.random.random()  # what the reader draws meanwhile changes nothing
            passes.append(items)
        return passes

    first = orders()
    assert first == orders() and first[0] != first[1]


def test_datasets_that_draw_nothing_leave_the_global_generator_alone() -> None:
    before = np.random.get_state()[1].tolist()  # type: ignore[index]
    plain(numbers(5).shuffle(5, seed=1).batch(2))
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]


# Functions


def test_map_gets_tensors_and_gives_arrays() -> None:
    seen: list[Any] = []

    def scale(x: Any, y: Any) -> Any:
        seen.append((x, y))
        return ops.cast(x, "float32") / 255.0, y

    x, y = next(
        iter(Dataset.from_tensor_slices((X.astype("uint8"), Y)).map(scale, num_parallel_calls=AUTOTUNE))
    )
    assert isinstance(seen[0][0], lumbre.Tensor) and isinstance(x, np.ndarray)
    np.testing.assert_allclose(x, X[0] / 255.0, rtol=1e-6)
    assert x.dtype == "float32" and y.dtype == "int64"
    row = next(iter(Dataset.from_tensor_slices({"a": X}).map(lambda row: {"b": row["a"] * 2, "n": 1})))
    assert row["b"].tolist() == [0, 2] and row["n"].dtype == "int32"
    text = Dataset.from_tensor_slices(["one two"]).map(lambda t: len(t[()].split()))
    assert plain(text) == [2]


def test_a_pipeline_is_not_on_the_tape() -> None:
    w = lumbre.Variable(2.0)

    def loss(w: Any) -> Any:
        (x,) = Dataset.from_tensors(1.0).map(lambda x: x * w)
        return w * float(x)

    assert float(lumbre.grad(loss, [w])[0]) == 2.0


def test_errors_of_functions_arrive() -> None:
    def bad(x: Any) -> Any:
        if int(x) == 3:
            raise KeyError("three")
        return x

    for dataset in (numbers(5).map(bad), numbers(5).map(bad).prefetch(2), numbers(5).filter(bad).batch(9)):
        with pytest.raises(KeyError, match="three"):
            list(dataset)
    with pytest.raises(TypeError, match="must return a Dataset"):
        list(numbers(2).flat_map(lambda x: x))
    with pytest.raises(ValueError, match="members have different shapes"):
        list(numbers(2).map(lambda x: [np.zeros(1), np.zeros(2)]))


def test_cache_runs_functions_once() -> None:
    calls: list[int] = []

    def square(x: Any) -> Any:
        calls.append(int(x))
        return x * x

    dataset = generated(6).map(square).cache()
    assert plain(dataset.take(3)) == [0, 1, 4]  # not a whole pass: nothing is kept
    for _ in range(3):
        assert plain(dataset) == [0, 1, 4, 9, 16, 25]
    assert calls == [0, 1, 2, *range(6)] or calls == [0, 1, 2, 3, *range(6)]
    assert sorted(plain(dataset.shuffle(6))) == [0, 1, 4, 9, 16, 25]
    ragged = Dataset.from_generator(lambda: iter([[1], [2, 3]])).cache()
    assert plain(ragged) == plain(ragged) == [[1], [2, 3]]
    for item in ragged:
        item += 1
    assert plain(ragged) == [[1], [2, 3]], "what is kept cannot be changed from outside"
    frozen = numbers(30).shuffle(30).cache()
    assert plain(frozen) == plain(frozen) == plain(frozen)
    with pytest.raises(ValueError, match="not in a file"):
        numbers(3).cache("folder/name")


def prefetching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "lumbre-prefetch"]


def test_prefetch_works_ahead_and_stops() -> None:
    made: list[int] = []
    dataset = numbers(100).map(lambda i: made.append(int(i)) or i).prefetch(3)
    iterator = iter(dataset)
    assert int(next(iterator)) == 0
    deadline = time.time() + 5
    while len(made) < 5 and time.time() < deadline:  # one taken, three ready, one in hand
        time.sleep(0.001)
    time.sleep(0.02)
    assert made == [0, 1, 2, 3, 4] and len(prefetching()) == 1
    del iterator
    gc.collect()
    assert not prefetching()
    assert len(list(dataset)) == 100 and not prefetching()
    endless = iter(numbers(3).map(lambda i: i).repeat().prefetch(1))
    assert [int(next(endless)) for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]
    del endless
    gc.collect()
    assert not prefetching()
    next(iter(numbers(10).batch(2).prefetch(2)))
    assert not prefetching(), "no thread for what costs less than a thread"


# What is known before


def test_lengths() -> None:
    assert len(numbers(10).batch(3)) == 4
    assert len(numbers(10).batch(3, drop_remainder=True).repeat(2).prefetch(1).cache()) == 6
    assert int(numbers(3).repeat().cardinality()) == INFINITE_CARDINALITY == -1
    assert generated(3).cardinality().numpy() == UNKNOWN_CARDINALITY == -2
    with pytest.raises(TypeError, match=r"The dataset is infinite\."):
        len(numbers(3).repeat().batch(2))
    with pytest.raises(TypeError, match=r"The dataset length is unknown\."):
        len(generated(3).batch(2))
    assert numbers(0) and generated(1), "a dataset is true, whatever its length"
    kept = generated(4).cache()
    list(kept)
    assert len(kept.batch(3)) == 2


def test_older_names() -> None:
    old = lumbre.data.experimental
    assert old.AUTOTUNE == lumbre.data.AUTOTUNE == -1
    assert old.cardinality(numbers(3).repeat()) == old.INFINITE_CARDINALITY
    assert old.cardinality(generated(3)) == old.UNKNOWN_CARDINALITY


def test_element_spec() -> None:
    ds = Dataset.from_tensor_slices((X, {"y": Y}))
    rows = (TensorSpec((2,), "float32"), {"y": TensorSpec((), "int64")})
    assert ds.element_spec == rows == ds.shuffle(3).take(2).repeat().cache().prefetch(1).element_spec
    batches = (TensorSpec((None, 2), "float32"), {"y": TensorSpec((None,), "int64")})
    assert ds.batch(4).element_spec == batches
    assert ds.batch(4, drop_remainder=True).element_spec[0] == TensorSpec((4, 2), "float32")
    assert ds.batch(4).map(lambda x, y: (x[:, 0], y["y"])).element_spec[0] == TensorSpec((None,), "float32")
    assert ds.batch(4).unbatch().element_spec == rows
    assert ds.map(lambda x, y: ops.sum(x)).element_spec == TensorSpec((), "float32")
    assert Dataset.range(3).element_spec == TensorSpec((), "int64")
    assert Dataset.zip(ds, Dataset.range(3)).element_spec == (rows, TensorSpec((), "int64"))
    assert generated(3).padded_batch(2).element_spec == TensorSpec((None,), "int32")
    assert Dataset.from_tensor_slices(["a"]).element_spec == TensorSpec((), "string")
    assert "element_spec=TensorSpec(shape=(2,), dtype='float32'" in repr(Dataset.from_tensor_slices(X))
    assert repr(numbers(3).map(lambda i: 1 / 0)) == "<MapDataset>"
    with pytest.raises(ValueError, match="nothing is known of its elements"):
        _ = generated(0).element_spec


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Dataset.from_tensor_slices((X, Y[:5])), ValueError, "same number of rows"),
        (lambda: Dataset.from_tensor_slices(3), ValueError, "from_tensors"),
        (lambda: Dataset.from_tensor_slices(()), ValueError, "at least one array"),
        (lambda: Dataset.from_tensor_slices([[1], [2, 3]]), ValueError, "from_generator"),
        (lambda: Dataset.from_generator([1, 2]), TypeError, "`generator` must be callable"),
        (lambda: numbers(3).batch(0), ValueError, "`batch_size` must be a whole number from 1"),
        (lambda: numbers(3).batch(2.5), ValueError, "`batch_size`"),
        (lambda: numbers(3).shuffle(0), ValueError, "`buffer_size`"),
        (lambda: numbers(3).prefetch(-3), ValueError, "`buffer_size`"),
        (lambda: numbers(3).window(0), ValueError, "`size`"),
        (lambda: numbers(3).shard(2, 2), ValueError, "`index` must be from 0 to 1"),
        (lambda: numbers(3).concatenate(X), TypeError, "`concatenate` takes datasets"),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        make()
