"""Sequences, series, texts and splits: compared with the real Keras where it runs, else with plain NumPy."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import utils
from lumbre.data import Dataset

RNG = np.random.default_rng(0)


# The arguments are Keras's


@pytest.mark.parametrize(
    "name",
    [
        "get_file",
        "normalize",
        "pad_sequences",
        "split_dataset",
        "text_dataset_from_directory",
        "timeseries_dataset_from_array",
    ],
)
def test_arguments_are_kerass(name: str) -> None:
    keras = pytest.importorskip("keras")
    expected = inspect.signature(getattr(keras.utils, name)).parameters.values()
    got = inspect.signature(getattr(utils, name)).parameters.values()
    assert [(p.name, p.default) for p in got] == [(p.name, p.default) for p in expected]


def test_older_names() -> None:
    assert lumbre.preprocessing.sequence.pad_sequences is utils.pad_sequences
    assert lumbre.preprocessing.timeseries_dataset_from_array is utils.timeseries_dataset_from_array
    assert lumbre.preprocessing.text_dataset_from_directory is utils.text_dataset_from_directory
    from lumbre.keras.preprocessing.sequence import pad_sequences

    assert pad_sequences is utils.pad_sequences


# pad_sequences

LISTS = [[1], [2, 3], [], [4, 5, 6, 7]]
VECTORS = [RNG.random((n, 2)) for n in (3, 1, 4)]


@pytest.mark.parametrize(
    ("sequences", "options"),
    [
        (LISTS, {}),
        (LISTS, {"maxlen": 2}),
        (LISTS, {"maxlen": 6, "value": -1}),
        (LISTS, {"padding": "post"}),
        (LISTS, {"padding": "post", "truncating": "post", "maxlen": 3}),
        (LISTS, {"truncating": "post", "maxlen": 2, "dtype": "float32", "value": 0.5}),
        (LISTS, {"dtype": "int64"}),
        ([np.array([1, 2]), (3,)], {"maxlen": 3}),
        (np.arange(6).reshape(2, 3), {"maxlen": 2}),
        ([[1.7, 2.2], [-1.9]], {}),
        (VECTORS, {"dtype": "float64", "value": 9.0}),
        (VECTORS, {"dtype": "float32", "maxlen": 2, "padding": "post"}),
        ([["a", "bc"], ["d"]], {"dtype": object, "value": ""}),
        ([["a", "bc"], ["d"]], {"dtype": "<U5", "value": "pad"}),
        ([[], []], {}),
        ([[], []], {"maxlen": 3}),
    ],
)
def test_pad_sequences_like_keras(sequences: Any, options: dict[str, Any]) -> None:
    keras = pytest.importorskip("keras")
    expected = keras.utils.pad_sequences(sequences, **options)
    got = utils.pad_sequences(sequences, **options)
    assert got.dtype == expected.dtype and got.shape == expected.shape
    np.testing.assert_array_equal(got, expected)


def test_pad_sequences_at_its_edges() -> None:
    assert utils.pad_sequences([]).shape == (0, 0)
    assert utils.pad_sequences(LISTS, maxlen=0).shape == (4, 0)  # where Keras's slice [-0:] takes all


@pytest.mark.parametrize(
    ("sequences", "options", "says"),
    [
        (5, {}, "must be iterable"),
        ([1, 2], {}, "Found non-iterable: 1"),
        ([[1], [[2]]], {}, "of sequence at position 1 is different"),
        (LISTS, {"padding": "left"}, 'Padding type "left" not understood'),
        (LISTS, {"truncating": "left"}, 'Truncating type "left" not understood'),
        (LISTS, {"value": "x"}, "`dtype=object`"),
    ],
)
def test_pad_sequences_refuses(sequences: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        utils.pad_sequences(sequences, **options)


# normalize


@pytest.mark.parametrize("order", [1, 2, np.inf])
@pytest.mark.parametrize("axis", [-1, 1])
def test_normalize_like_keras(order: float, axis: int) -> None:
    keras = pytest.importorskip("keras")
    x = RNG.standard_normal((4, 3, 2))[:, :, 0] if axis == -1 else RNG.standard_normal((4, 3))
    x[2] = 0
    np.testing.assert_allclose(utils.normalize(x, axis, order), keras.utils.normalize(x, axis, order))
    if order == np.inf:  # Keras's op for tensors takes whole numbers only, and ours, too
        return
    tensor = utils.normalize(lumbre.ops.convert_to_tensor(x.astype("float32")), axis, order)
    assert isinstance(tensor, lumbre.Tensor)
    np.testing.assert_allclose(tensor.numpy(), keras.utils.normalize(x, axis, order), rtol=1e-5, atol=1e-6)


def test_normalize_along_the_first_axis() -> None:
    x = RNG.standard_normal((3, 5)).astype("float32")
    got = utils.normalize(x, axis=0)
    assert got.dtype == "float32"
    np.testing.assert_allclose(np.sqrt((got.astype("float64") ** 2).sum(axis=0)), 1, rtol=1e-6)
    assert utils.normalize([3, 4]).tolist() == [0.6, 0.8]


# timeseries_dataset_from_array


def windows(n: int, length: int, stride: int, rate: int, start: int, end: int | None) -> list[list[int]]:
    """The rows of each window, from the definition, one by one."""
    found, last = [], n if end is None else end
    for first in range(start, last, stride):
        rows = [first + j * rate for j in range(length)]
        if rows[-1] < last:
            found.append(rows)
    return found


@pytest.mark.parametrize("n", [20, 99])
@pytest.mark.parametrize(
    ("length", "stride", "rate", "start", "end"),
    [(3, 1, 1, 0, None), (10, 3, 2, 0, None), (4, 2, 3, 5, None), (5, 1, 2, 2, 15), (1, 4, 1, 0, 19)],
)
def test_windows_of_a_series(
    n: int, length: int, stride: int, rate: int, start: int, end: int | None
) -> None:
    data = RNG.random((n, 2)).astype("float32")
    targets = RNG.random(n)
    options = {"start_index": start or None, "end_index": end}
    dataset = utils.timeseries_dataset_from_array(data, targets, length, stride, rate, 4, **options)
    expected = windows(n, length, stride, rate, start, end)
    x = np.concatenate([x for x, _ in dataset])
    y = np.concatenate([y for _, y in dataset])
    assert x.dtype == "float32" and x.shape == (len(expected), length, 2)
    np.testing.assert_array_equal(x, data[np.array(expected)])
    np.testing.assert_array_equal(y, targets[[rows[0] for rows in expected]])
    assert [len(batch) for batch, _ in dataset][:-1] == [4] * (len(dataset) - 1)
    alone = utils.timeseries_dataset_from_array(data, None, length, stride, rate, None, **options)
    np.testing.assert_array_equal(np.stack(list(alone)), x)


def test_the_examples_of_kerass_documentation() -> None:
    series = np.arange(99)
    dataset = utils.timeseries_dataset_from_array(
        series, None, sequence_length=10, sampling_rate=2, sequence_stride=3
    )
    batch = np.concatenate(list(dataset))
    assert batch[:2].tolist() == [list(range(0, 20, 2)), list(range(3, 23, 2))]
    assert batch[-1].tolist() == list(range(78, 98, 2))
    for x, y in utils.timeseries_dataset_from_array(series[:-10], series[10:], sequence_length=10):
        assert np.array_equal(x[0], series[:10]) and np.array_equal(y[0], series[10])


def test_fewer_targets_and_short_series() -> None:
    series = np.arange(10)
    dataset = utils.timeseries_dataset_from_array(series, series[:4], 3, start_index=2, batch_size=None)
    assert [(x.tolist(), int(y)) for x, y in dataset] == [([2, 3, 4], 2), ([3, 4, 5], 3)]
    assert len(utils.timeseries_dataset_from_array(series, series, 11)) == 0


def test_a_shuffled_series() -> None:
    series = np.arange(500)

    def orders(seed: int | None) -> list[list[int]]:
        dataset = utils.timeseries_dataset_from_array(series, series, 5, shuffle=True, seed=seed)
        passes = []
        for _ in range(2):
            pairs = [(x, y) for x, y in dataset]
            x, y = (np.concatenate(members) for members in zip(*pairs, strict=True))
            np.testing.assert_array_equal(x, y[:, None] + np.arange(5))  # windows keep their targets
            passes.append(y.tolist())
        return passes

    first = orders(3)
    assert first == orders(3) and first[0] != first[1] and first != orders(4)
    assert sorted(first[0]) == list(range(496))
    utils.set_random_seed(1)
    drawn = orders(None)
    utils.set_random_seed(1)
    assert orders(None) == drawn


def test_overlapping_windows_take_no_memory() -> None:
    series = np.zeros((200_000, 4), "float32")
    dataset = utils.timeseries_dataset_from_array(series, series[:, 0], 1000, batch_size=2)
    assert np.shares_memory(dataset._stage.sources[0].columns()[0], series)
    assert next(iter(dataset))[0].shape == (2, 1000, 4)


def test_training_on_a_series() -> None:
    series = np.sin(np.arange(300) / 5).astype("float32")
    dataset = utils.timeseries_dataset_from_array(
        series[:-8, None], series[8:], 8, shuffle=True, batch_size=32
    )
    utils.set_random_seed(0)
    net = lumbre.Sequential([lumbre.Input((8, 1)), lumbre.layers.Flatten(), lumbre.layers.Dense(1)])
    net.compile(lumbre.optimizers.Adam(0.05), "mse")
    assert net.fit(dataset, epochs=20, verbose=0).history["loss"][-1] < 1e-3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"start_index": -1}, "`start_index` must be 0 or greater"),
        ({"start_index": 10}, "`start_index` must be lower than the length"),
        ({"start_index": 5, "end_index": 5}, "`end_index` must be higher than `start_index`"),
        ({"end_index": 10}, "`end_index` must be lower than the length"),
        ({"end_index": -3}, "`end_index` must be higher than 0"),
        ({"sampling_rate": 0}, "`sampling_rate` must be higher than 0"),
        ({"sampling_rate": 10}, "`sampling_rate` must be lower than the length"),
        ({"sequence_stride": 0}, "`sequence_stride` must be higher than 0"),
        ({"sequence_stride": 10}, "`sequence_stride` must be lower than the length"),
        ({"sequence_length": 0}, "`sequence_length` must be higher than 0"),
        ({"format": "torch"}, "`format` should be either"),
    ],
)
def test_a_series_refuses(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        utils.timeseries_dataset_from_array(np.arange(10), None, **({"sequence_length": 2} | options))


# text_dataset_from_directory


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """Two classes with files in subfolders, and files and folders that do not count."""
    for name, count in (("pos", 7), ("neg", 5), (".hidden", 1)):
        for i in range(count):
            folder = tmp_path / name / ("deep" if i % 3 == 2 else "")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{i}.{'TXT' if i == 1 else 'txt'}").write_text(f"{name} {i} ü", "utf-8")
    (tmp_path / "pos" / "notes.md").write_text("no")
    return tmp_path


def texts_and_labels(dataset: Dataset) -> tuple[list[str], np.ndarray]:
    texts, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return [text.decode() for batch in texts for text in batch], np.concatenate(labels)


@pytest.mark.parametrize("label_mode", ["int", "binary", "categorical"])
@pytest.mark.parametrize("class_names", [None, ["pos", "neg"]])
def test_texts_in_kerass_order(reviews: Path, label_mode: str, class_names: Any) -> None:
    """Without shuffling, the files and labels are those of Keras's own index of the folder."""
    index = pytest.importorskip("keras.src.utils.dataset_utils").index_directory
    paths, numbers, names = index(
        str(reviews), "inferred", (".txt",), class_names=class_names, shuffle=False, verbose=False
    )
    dataset = utils.text_dataset_from_directory(
        reviews, label_mode=label_mode, class_names=class_names, batch_size=5, shuffle=False, verbose=False
    )
    texts, labels = texts_and_labels(dataset)
    assert texts == [Path(path).read_text("utf-8") for path in paths] and len(texts) == 12
    assert dataset.class_names == names == (class_names or ["neg", "pos"])
    expected = {
        "int": numbers.astype("int32"),
        "binary": numbers.astype("float32")[:, None],
        "categorical": np.eye(2, dtype="float32")[numbers],
    }[label_mode]
    assert labels.dtype == expected.dtype
    np.testing.assert_array_equal(labels, expected)
    assert len(dataset) == 3


def test_the_same_files_validate_as_in_keras(reviews: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keras = pytest.importorskip("keras.src.utils.dataset_utils")
    paths, numbers, _ = keras.index_directory(str(reviews), "inferred", (".txt",), seed=7, verbose=False)
    options = {"validation_split": 0.25, "seed": 7}
    train, held_out = utils.text_dataset_from_directory(reviews, subset="both", **options)
    printed = capsys.readouterr().out
    assert "Found 12 files belonging to 2 classes." in printed
    assert "Using 9 files for training." in printed and "Using 3 files for validation." in printed
    texts, labels = texts_and_labels(held_out)
    expected, classes = keras.get_training_or_validation_split(paths, numbers, 0.25, "validation")
    assert (
        texts == [Path(path).read_text("utf-8") for path in expected] and labels.tolist() == classes.tolist()
    )
    rest = sorted(texts_and_labels(train)[0])
    assert rest == sorted(Path(path).read_text("utf-8") for path in paths if path not in expected)
    single = utils.text_dataset_from_directory(reviews, subset="training", **options)
    assert sorted(texts_and_labels(single)[0]) == rest


def test_shuffled_texts_keep_their_labels(reviews: Path) -> None:
    dataset = utils.text_dataset_from_directory(reviews, seed=1, verbose=False)
    first, second = texts_and_labels(dataset), texts_and_labels(dataset)
    assert first[0] != second[0] and sorted(first[0]) == sorted(second[0])
    for texts, labels in (first, second):
        assert [text.split()[0] for text in texts] == [["neg", "pos"][label] for label in labels]


def test_texts_without_labels_or_with_given_ones(reviews: Path) -> None:
    dataset = utils.text_dataset_from_directory(
        reviews / "neg", labels=None, batch_size=None, max_length=3, shuffle=False, verbose=False
    )
    assert list(dataset.as_numpy_iterator()) == [b"neg"] * 5 and dataset.class_names is None
    given = utils.text_dataset_from_directory(
        reviews / "neg", labels=[4, 2, 4, 2, 2], shuffle=False, verbose=False
    )
    assert texts_and_labels(given)[1].tolist() == [4, 2, 4, 2, 2] and given.class_names == ["2", "4"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"labels": "given"}, "should be a list/tuple of integer labels"),
        ({"labels": [1], "class_names": ["a"]}, 'only pass `class_names` if `labels="inferred"`'),
        ({"labels": None, "class_names": ["a"]}, "cannot be specified"),
        ({"labels": [1, 2]}, "len.labels. is 2 while we found 13 files"),
        ({"label_mode": "onehot"}, "`label_mode` argument must be one of"),
        ({"class_names": ["pos", "other"]}, "did not match the names of the subdirectories"),
        ({"class_names": ["pos"], "label_mode": "binary"}, "exactly 2 class_names"),
        ({"validation_split": 2, "subset": "both", "seed": 1}, "must be between 0 and 1"),
        ({"validation_split": 0.5}, "If `subset` is set"),
        ({"subset": "training"}, "If `subset` is set"),
        ({"validation_split": 0.5, "subset": "test", "seed": 1}, "`subset` must be either"),
        ({"validation_split": 0.5, "subset": "training"}, "you must provide a `seed`"),
        ({"validation_split": 0.01, "subset": "both", "seed": 1}, "No validation text files found"),
        ({"format": "torch"}, "`format` should be either"),
    ],
)
def test_texts_refuse(reviews: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        utils.text_dataset_from_directory(reviews, **options)


def test_a_folder_without_texts(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="No text files found in directory"):
        utils.text_dataset_from_directory(tmp_path)
    with pytest.raises(FileNotFoundError):
        utils.text_dataset_from_directory(tmp_path / "none")


# split_dataset


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"left_size": 0.8}, (8, 2)),
        ({"right_size": 3}, (7, 3)),
        ({"left_size": 4, "right_size": 2}, (4, 2)),
        ({"left_size": 0.25, "right_size": 0.5}, (2, 5)),
        ({"left_size": 1}, (1, 9)),
    ],
)
def test_the_sizes_of_a_split_are_kerass(sizes: dict[str, Any], expected: tuple[int, int]) -> None:
    keras = pytest.importorskip("keras.src.utils.dataset_utils")
    assert keras._rescale_dataset_split_sizes(sizes.get("left_size"), sizes.get("right_size"), 10) == expected
    left, right = utils.split_dataset(np.arange(10), **sizes)
    assert (len(left), len(right)) == expected
    assert [int(x) for x in left] == list(range(expected[0]))
    assert [int(x) for x in right] == list(range(10 - expected[1], 10))


def test_a_shuffled_split_has_kerass_order() -> None:
    import random

    order = list(range(10))
    random.seed(5)  # as Keras does before it shuffles the list of samples
    random.shuffle(order)
    x = np.arange(20).reshape(10, 2)
    left, right = utils.split_dataset([x, np.arange(10)], left_size=6, shuffle=True, seed=5)
    assert [int(y) for _, y in left] + [int(y) for _, y in right] == order
    assert [x.tolist() for x, _ in left] == [x[i].tolist() for i in order[:6]]


@pytest.mark.parametrize(
    "make",
    [
        lambda x: Dataset.from_tensor_slices((x, x)).batch(4),
        lambda x: Dataset.from_tensor_slices((x, x)).map(lambda a, b: (a, b)).batch(4).prefetch(1),
    ],
)
def test_a_dataset_of_batches_is_split_by_samples(make: Any) -> None:
    left, right = utils.split_dataset(make(np.arange(10)), right_size=0.3)
    assert [x.tolist() for x, _ in left] == [[0, 1, 2, 3], [4, 5, 6]] and [y.tolist() for _, y in right] == [
        [7, 8, 9]
    ]
    part = Dataset.range(20).skip(3).take(4)
    assert [[int(i) for i in ds] for ds in utils.split_dataset(part, 0.5)] == [[3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("dataset", "options", "error", "says"),
    [
        (np.arange(10), {}, ValueError, "At least one of the `left_size` or `right_size`"),
        (np.arange(10), {"left_size": 10}, ValueError, "`left_size` should be either a positive integer"),
        (np.arange(10), {"right_size": 1.5}, ValueError, "`right_size` should be either"),
        (np.arange(10), {"left_size": -1}, ValueError, "`left_size` should be"),
        (np.arange(10), {"left_size": "half"}, TypeError, "Invalid `left_size` Type"),
        (np.arange(10), {"left_size": 0.7, "right_size": 0.7}, ValueError, "greater than 1"),
        (np.arange(10), {"left_size": 7, "right_size": 7}, ValueError, "smaller than the 10"),
        (np.arange(10), {"left_size": 0.01}, ValueError, "left side dataset split will be empty"),
        ("text", {"left_size": 1}, TypeError, "must be a Dataset"),
        ([], {"left_size": 1}, ValueError, "Received an empty list"),
        ([[1, 2]], {"left_size": 1}, ValueError, "at index 0"),
        ([np.arange(3), np.arange(4)], {"left_size": 1}, ValueError, "same number of rows"),
        (Dataset.range(3).repeat(), {"left_size": 1}, ValueError, "infinite dataset cannot be split"),
        (Dataset.range(0), {"left_size": 1}, ValueError, "empty dataset"),
    ],
)
def test_a_split_refuses(dataset: Any, options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        utils.split_dataset(dataset, **options)
