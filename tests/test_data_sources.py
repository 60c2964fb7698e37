"""Arrays of every dtype, order and kind, and every source of batches: all train alike, or say why not."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumbre
from small_models import LABELS, WEIGHTS, N, X, close, compiled

WHOLE = np.random.default_rng(3).integers(0, 2, X.shape)  # numbers that every dtype has
SIZE = 10


def results(x: Any, y: Any = LABELS, **options: Any) -> list[Any]:
    """All that can be seen of training, evaluating and predicting."""
    lumbre.utils.set_random_seed(0)
    model = compiled()
    history = model.fit(x, y, SIZE, epochs=2, validation_split=0.2, verbose=0, **options).history
    return [history, model.evaluate(x, y, verbose=0), model.predict(x, verbose=0).tolist()]


EXPECTED = results(WHOLE.astype("float32"))


# Arrays


DTYPES = """bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 >i4 >u2 >f4 >f8"""


@pytest.mark.parametrize("dtype", DTYPES.split())
def test_dtypes(dtype: str) -> None:
    assert results(WHOLE.astype(dtype)) == EXPECTED


def test_bfloat16() -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    assert results(WHOLE.astype(bfloat16)) == EXPECTED
    weights = np.linspace(0, 1, N).astype(bfloat16)
    ours = compiled().fit(X, LABELS, sample_weight=weights, shuffle=False, verbose=0).history
    theirs = (
        compiled().fit(X, LABELS, sample_weight=weights.astype("float32"), shuffle=False, verbose=0).history
    )
    assert ours == theirs


@pytest.mark.parametrize("dtype", ["datetime64[s]", "timedelta64[s]", "complex64", "U3", "O", "longdouble"])
def test_dtypes_without_numbers_of_ours(dtype: str) -> None:
    with pytest.raises(TypeError, match="`x` must hold numbers or booleans, but it has dtype"):
        compiled().fit(WHOLE.astype(dtype), LABELS, verbose=0)


def unaligned(values: np.ndarray) -> np.ndarray:
    memory = np.zeros(values.nbytes + 1, "uint8")[1:]
    view = memory.view(values.dtype).reshape(values.shape)
    view[:] = values
    return view


def field(values: np.ndarray) -> np.ndarray:
    """A column of records whose size is no multiple of an element's."""
    records = np.zeros(len(values), [("label", "i1"), ("x", "f4", values.shape[1:])])
    records["x"] = values
    return records["x"]


ORDERS: dict[str, Callable[[np.ndarray], Any]] = {
    "Fortran": np.asfortranarray,
    "negative strides": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "every second": lambda a: np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2],
    "unaligned": unaligned,
    "a field of records": field,
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "a list of lists": lambda a: a.tolist(),
    "a list of rows": lambda a: tuple(map(tuple, a.tolist())),
    "a matrix": np.asmatrix,
    "nothing masked": np.ma.asarray,
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_orders(order: str) -> None:
    assert results(ORDERS[order](WHOLE.astype("float32"))) == EXPECTED


def test_a_repeated_row() -> None:
    row = np.broadcast_to(X[0], X.shape)
    assert results(row) == results(row.copy())


class Array:
    def __init__(self, a: np.ndarray) -> None:
        self.a = a

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.a


class Interface:
    def __init__(self, a: np.ndarray) -> None:
        self.a, self.__array_interface__ = a, a.__array_interface__


class Capsule:
    def __init__(self, a: np.ndarray) -> None:
        self.__dlpack__, self.__dlpack_device__ = a.__dlpack__, a.__dlpack_device__


@pytest.mark.parametrize("form", [Array, Interface, Capsule, lumbre.ops.convert_to_tensor, lumbre.Variable])
def test_array_likes(form: Callable[[np.ndarray], Any]) -> None:
    assert results(form(WHOLE.astype("float32")), form(LABELS.astype("int32"))) == EXPECTED


def test_tensors_of_jax() -> None:
    jnp = pytest.importorskip("jax.numpy")
    for dtype in ("float32", "bfloat16"):
        assert results(jnp.asarray(WHOLE, dtype)) == EXPECTED


def test_tensors_of_torch() -> None:
    torch: Any = pytest.importorskip("torch")
    x = torch.tensor(WHOLE, dtype=torch.float32)
    for form in (x, x.double(), x.bfloat16(), x.clone().requires_grad_(), x.T.contiguous().T):
        assert results(form, torch.tensor(LABELS)) == EXPECTED
    with pytest.raises(TypeError, match="`x` is a Tensor that cannot be read as an array"):
        compiled().fit(x.to_sparse(), LABELS, verbose=0)


@pytest.mark.parametrize("dtype", ["float32", "uint8", ">f4"])
def test_a_memory_map(dtype: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", WHOLE.astype(dtype))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert results(mapped) == EXPECTED


def test_the_row_of_a_nan_is_the_users() -> None:
    """Also where rows are picked before kernels see them."""
    for dtype in ("float32", ">f4", ">f8"):
        bad = X.astype(dtype)
        bad[33, 1] = np.nan
        model = compiled()
        with pytest.raises(ValueError, match="`x` contains NaN or infinity, first met in row 33"):
            model.fit(bad, LABELS, 4, epochs=3, verbose=0)
        with pytest.raises(ValueError, match="row 33"):
            model.fit(X, LABELS, validation_data=(bad, LABELS), verbose=0)


# Sparse matrices


def sparse_forms() -> list[str]:
    return ["csr_matrix", "csc_matrix", "coo_matrix", "lil_matrix", "bsr_matrix", "csr_array", "coo_array"]


@pytest.mark.parametrize("form", sparse_forms())
def test_sparse_matrices(form: str) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    matrix = getattr(sparse, form)
    for dtype in ("float32", "float64"):
        assert results(matrix(WHOLE.astype(dtype))) == EXPECTED
    assert results(matrix(WHOLE.astype("int8"))) == EXPECTED
    x, model = matrix(X), compiled()
    assert model.fit(x, LABELS, verbose=0, validation_data=(x, LABELS), batch_size=N).history["val_loss"]
    assert compiled().train_on_batch(x, LABELS) == compiled().train_on_batch(X, LABELS)


def test_sparse_matrices_are_never_dense() -> None:
    """A matrix of 40 GB, if it were."""
    sparse = pytest.importorskip("scipy.sparse")
    n, wide = 10**6, 10**4
    x = sparse.csr_array((np.ones(n, "float32"), (np.arange(n), np.arange(n) % wide)), shape=(n, wide))
    model = lumbre.Sequential([lumbre.Input((wide,)), lumbre.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(
        x, np.ones(n), 32, steps_per_epoch=5, verbose=0, validation_data=(x[:64], np.ones(64))
    )
    assert history.history["loss"] and model.predict(x, verbose=0, steps=2, batch_size=8).shape == (16, 1)


def test_sparse_targets() -> None:
    """Looked at piece by piece, and one bad one named."""
    sparse = pytest.importorskip("scipy.sparse")
    n, wide = 1500, 1000
    rng = np.random.default_rng(0)
    x, y = rng.random((n, 3), "float32"), (rng.random((n, wide)) < 0.01).astype("float32")

    def model() -> Any:
        lumbre.utils.set_random_seed(0)
        made = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(wide, activation="sigmoid")])
        made.compile("sgd", "binary_crossentropy")
        return made

    ours = model().fit(x, sparse.csr_array(y), verbose=0, validation_split=0.1).history
    lumbre.utils.set_random_seed(0)
    assert ours == model().fit(x, y, verbose=0, validation_split=0.1).history
    y[1400, 7] = 2.0
    with pytest.raises(ValueError, match="`y` has a label outside the two classes") as caught:
        model().fit(x, sparse.csr_array(y), verbose=0)
    (note,) = caught.value.__notes__
    row = int(str(caught.value).split("row ")[1].split(" ")[0])
    assert row + int(note.split("row ")[1].split(" ")[0]) == 1400


def test_sparse_labels_and_class_weights() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    hot = np.eye(3, dtype="float32")[LABELS]
    model, weights = compiled(), {0: 3.0}
    model.compile("sgd", "categorical_crossentropy")
    before = model.get_weights()
    losses = []
    for y in (hot, sparse.csr_array(hot)):
        model.set_weights(before)
        losses.append(model.fit(X, y, class_weight=weights, shuffle=False, verbose=0).history["loss"])
    assert losses[0] == losses[1]


def test_a_sparse_matrix_without_numbers() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    for dtype, text in (("complex64", "complex64"), ("longdouble", "float128|longdouble")):
        with pytest.raises(TypeError, match=f"`x` must hold numbers or booleans, but it has dtype ({text})"):
            compiled().fit(sparse.csr_matrix(WHOLE.astype(dtype)), LABELS, verbose=0)
    objects = sparse.csr_matrix((2, 4), dtype="float32")
    objects.data = objects.data.astype(object)
    with pytest.raises(TypeError, match="dtype object"):
        compiled().fit(objects, LABELS[:2], verbose=0)


# Sources


def batches(*columns: np.ndarray) -> Iterator[tuple[Any, ...]]:
    for i in range(0, N, SIZE):
        yield tuple(column[i : i + SIZE] for column in columns)


class Loader:
    """Like PyTorch's DataLoader: batches that are lists of tensors, a length, no access by index."""

    def __init__(self, collate: Callable[[tuple[Any, ...]], Any] = list, *columns: np.ndarray) -> None:
        self.collate, self.columns, self.passes = collate, columns or (X, LABELS), 0

    def __len__(self) -> int:
        return N // SIZE

    def __iter__(self) -> Iterator[Any]:
        self.passes += 1
        return map(self.collate, batches(*self.columns))


class TensorLike:
    """Like a tensor of PyTorch that requires gradients: an array only once it is detached."""

    def __init__(self, a: np.ndarray, requires_grad: bool = True) -> None:
        self.a, self.requires_grad = a, requires_grad

    def detach(self) -> TensorLike:
        return TensorLike(self.a, False)

    def __dlpack__(self) -> Any:
        raise AssertionError("there is `__array__`")

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self.a


class TensorFlowLike:
    """Like a data set of tf.data: elements that are no arrays, unless one asks for them."""

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("there is `as_numpy_iterator`")

    def __len__(self) -> int:
        raise TypeError("The dataset is infinite.")

    def as_numpy_iterator(self) -> Iterator[Any]:
        return batches(X, LABELS)


SOURCES: dict[str, Callable[[], Any]] = {
    "lists": Loader,
    "tuples": lambda: Loader(tuple),
    "tensors": lambda: Loader(lambda batch: [TensorLike(a) for a in batch]),
    "tensors of ours": lambda: Loader(lambda batch: [lumbre.ops.convert_to_tensor(a) for a in batch]),
    "lists of numbers": lambda: Loader(lambda batch: [a.tolist() for a in batch]),
    "tf.data": TensorFlowLike,
}


@pytest.mark.parametrize("source", SOURCES)
def test_sources_train_like_arrays(source: str) -> None:
    make = SOURCES[source]
    model, expected = compiled(), compiled()
    ours = model.fit(make(), epochs=3, shuffle=False, verbose=0, validation_data=make()).history
    theirs = expected.fit(X, LABELS, SIZE, epochs=3, shuffle=False, verbose=0, validation_data=(X, LABELS))
    close(ours, theirs.history)
    assert model.evaluate(make(), verbose=0) == model.evaluate(X, LABELS, SIZE, verbose=0)
    np.testing.assert_array_equal(model.predict(make(), verbose=0), model.predict(X, SIZE, verbose=0))


def test_a_loader_is_gone_through_once_an_epoch() -> None:
    loader = Loader()
    compiled().fit(loader, epochs=3, shuffle=False, verbose=0)
    assert loader.passes == 3


def test_a_data_loader_of_torch() -> None:
    torch: Any = pytest.importorskip("torch")
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(torch.tensor(X), torch.tensor(LABELS)), batch_size=SIZE)
    ours = compiled().fit(loader, epochs=2, shuffle=False, verbose=0, validation_data=loader).history
    theirs = compiled().fit(X, LABELS, SIZE, epochs=2, shuffle=False, verbose=0, validation_data=(X, LABELS))
    close(ours, theirs.history)
    with pytest.warns(UserWarning, match="already-shuffled"):
        compiled().fit(loader, verbose=0)
    with pytest.raises(ValueError, match="gives samples, not batches"):
        compiled().fit(loader.dataset, verbose=0)


def test_batches_of_dicts_and_weights() -> None:
    inputs = {name: lumbre.Input((2,), name=name) for name in ("left", "right")}
    model = lumbre.Model(inputs, lumbre.layers.Dense(3)(lumbre.layers.Add()(list(inputs.values()))))
    model.compile("sgd", lumbre.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.get_weights()
    halves = {"left": X[:, :2], "right": X[:, 2:]}
    expected = model.fit(halves, LABELS, SIZE, sample_weight=WEIGHTS, shuffle=False, verbose=0).history
    model.set_weights(before)
    loader = Loader(
        lambda b: ({"left": TensorLike(b[0]), "right": TensorLike(b[1])}, *b[2:]),
        *halves.values(),
        LABELS,
        WEIGHTS,
    )
    assert model.fit(loader, shuffle=False, verbose=0).history == expected


def test_a_generator_gives_no_more_than_is_asked() -> None:
    taken = []

    def endless() -> Iterator[Any]:
        while True:
            for batch in batches(X, LABELS):
                taken.append(1)
                yield batch

    model = compiled()
    model.fit(endless(), steps_per_epoch=3, epochs=2, shuffle=False, verbose=0)
    assert len(taken) == 6
    model.evaluate(endless(), steps=2, verbose=0)
    assert len(taken) == 8


def test_what_a_generator_raises_is_its_own() -> None:
    def breaks() -> Iterator[Any]:
        yield X[:8], LABELS[:8]
        raise LookupError("no such file")

    model = compiled()
    with pytest.raises(LookupError, match="no such file") as caught:
        model.fit(breaks(), shuffle=False, verbose=0)
    assert caught.value.__notes__ == ["This was batch 1 of the generator (counted from 0)."]
    assert model.optimizer.iterations.numpy() == 1
    model.fit(X, LABELS, verbose=0)


def test_batches_of_other_sizes_are_welcome() -> None:
    """The number of rows, float64 among float32, int32 among int64."""
    cuts = [(0, 7), (7, 8), (8, 40), (40, 50)]
    dtypes = [("float32", "int64"), ("float64", "int32"), ("float16", "uint8"), ("float32", "int64")]
    mixed = ((X[a:b].astype(f), LABELS[a:b].astype(i)) for (a, b), (f, i) in zip(cuts, dtypes, strict=True))
    model = compiled()
    model.fit(mixed, shuffle=False, verbose=0)
    assert model.optimizer.iterations.numpy() == 4


def test_sequences_of_several_lengths_are_welcome() -> None:
    model = lumbre.Sequential([lumbre.Input((None, 2)), lumbre.layers.Dense(1)])
    model.compile("sgd", "mse")
    batches = ((np.ones((4, t, 2)), np.ones((4, t, 1))) for t in (3, 5, 2))
    model.fit(batches, shuffle=False, verbose=0)
    assert model.optimizer.iterations.numpy() == 3


MIDWAY: dict[str, tuple[Any, type[Exception], str]] = {
    "fewer features": (
        (X[:8, :3], LABELS[:8]),
        ValueError,
        r"batch 2 of the generator .*holds `x` \(n, 3\) float32, `y` \(n,\) int64, those before it held "
        r"`x` \(n, 4\) float32",
    ),
    "no targets": ((X[:8],), ValueError, r"batch 2 .*holds `x` \(n, 4\) float32, those before .*`y`"),
    "two inputs": (([X[:8], X[:8]], LABELS[:8]), ValueError, r"batch 2 .*holds `x\[0\]`.*`x\[1\]`"),
    "a dict": (({"a": X[:8]}, LABELS[:8]), ValueError, r"batch 2 .*holds `x\['a'\]`"),
    "weights": ((X[:8], LABELS[:8], WEIGHTS[:8]), ValueError, "batch 2 .*`sample_weight`.*one structure"),
    "integers": (
        (X[:8].astype("int32"), LABELS[:8]),
        TypeError,
        r"batch 2 .*holds `x` \(n, 4\) int32.*held `x` \(n, 4\) float32.*same kinds of dtypes",
    ),
    "text": ((np.full((8, 4), "a"), LABELS[:8]), TypeError, "`x` must hold numbers"),
    "nothing": (None, ValueError, "batch 2 of the generator is None"),
    "nothing inside": (([None], LABELS[:8]), ValueError, "`x` holds no array|batch 2"),
    "four members": ((X, LABELS, WEIGHTS, WEIGHTS), ValueError, "Data is expected to be in format"),
    "other lengths": ((X[:8], LABELS[:7]), ValueError, "cardinality"),
    "no rows": ((X[:0], LABELS[:0]), ValueError, "The data is empty"),
    "NaN": ((X[:8] * np.nan, LABELS[:8]), ValueError, "`x` contains NaN or infinity"),
    "a label too large": ((X[:8], LABELS[:8] + 9), ValueError, "`y` has a label outside"),
}


@pytest.mark.parametrize("case", MIDWAY)
def test_another_batch_midway(case: str) -> None:
    bad, error, text = MIDWAY[case]
    model = compiled()
    good = [(X[:8], LABELS[:8]), (X[8:16], LABELS[8:16])]
    with pytest.raises(error, match=f"(?s){text}") as caught:
        model.fit(iter([*good, bad]), shuffle=False, verbose=0)
    assert "This was batch 2 of the generator (counted from 0)." in caught.value.__notes__
    expected = compiled()
    expected.fit(iter(good), shuffle=False, verbose=0)
    for ours, theirs in zip(model.variables, expected.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    model.fit(iter(good), shuffle=False, verbose=0)


@pytest.mark.parametrize("source", [lambda: iter([]), lambda: Loader(list, X[:0], LABELS[:0])])
def test_an_empty_source(source: Callable[[], Any]) -> None:
    model = compiled()
    before = model.get_weights()
    for action in (model.fit, model.evaluate, model.predict):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about `shuffle`
            with pytest.raises(ValueError, match=r"must yield at least one batch|The data is empty"):
                action(source(), verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_warnings_name_the_users_line() -> None:
    def batches() -> Iterator[Any]:
        yield X[:10], LABELS[:10]

    with pytest.warns(UserWarning) as caught:
        compiled().fit(batches(), steps_per_epoch=3, verbose=0)
    assert {w.filename for w in caught} == {__file__}
    assert {str(w.message)[:9] for w in caught} == {"`shuffle=", "Your inpu"}
