"""`keras.backend`: the old functions, with their old arguments, beside NumPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import random
from lumbre.keras import backend as K

RNG = np.random.default_rng(1)
A = RNG.uniform(0.1, 0.9, (3, 4)).astype("float32")
B = RNG.uniform(0.1, 0.9, (3, 4)).astype("float32")
C = RNG.uniform(0.1, 0.9, (3, 4, 5)).astype("float32")
D = RNG.uniform(0.1, 0.9, (3, 5, 2)).astype("float32")
P = (A / A.sum(1, keepdims=True)).astype("float32")
HOT = np.eye(4, dtype="float32")[[2, 0, 1]]
IMAGE = C[None]


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


CASES: dict[str, tuple[Any, Any]] = {  # what K gives, and what it means
    "abs": (lambda: K.abs(-A), lambda: A),
    "mean": (lambda: K.mean(A, axis=-1), lambda: A.mean(-1)),
    "sum": (lambda: K.sum(A, axis=0, keepdims=True), lambda: A.sum(0, keepdims=True)),
    "prod": (lambda: K.prod(A), lambda: A.prod()),
    "var": (lambda: K.var(A, 1), lambda: A.var(1)),
    "std": (lambda: K.std(A), lambda: A.std()),
    "max": (lambda: K.max(A, axis=1), lambda: A.max(1)),
    "argmax": (lambda: K.argmax(A), lambda: A.argmax(-1)),
    "argmin": (lambda: K.argmin(A, 0), lambda: A.argmin(0)),
    "all": (lambda: K.all(A > 0.5, axis=1), lambda: (A > 0.5).all(1)),
    "any": (lambda: K.any(A > 0.5), lambda: (A > 0.5).any()),
    "square": (lambda: K.square(A), lambda: A**2),
    "sqrt": (lambda: K.sqrt(A), lambda: np.sqrt(A)),
    "exp": (lambda: K.exp(A), lambda: np.exp(A)),
    "log": (lambda: K.log(A), lambda: np.log(A)),
    "pow": (lambda: K.pow(A, 3), lambda: A**3),
    "round": (lambda: K.round(A * 10), lambda: np.round(A * 10)),
    "sign": (lambda: K.sign(A - 0.5), lambda: np.sign(A - 0.5)),
    "clip": (lambda: K.clip(A, 0.3, 0.6), lambda: np.clip(A, 0.3, 0.6)),
    "clip below": (lambda: K.clip(A, 0.4, None), lambda: np.maximum(A, 0.4)),
    "clip reversed": (lambda: K.clip(A, 0.6, 0.3), lambda: np.full_like(A, 0.6)),
    "maximum": (lambda: K.maximum(A, B), lambda: np.maximum(A, B)),
    "equal": (lambda: K.equal(A, A), lambda: np.ones_like(A, bool)),
    "less_equal": (lambda: K.less_equal(A, B), lambda: A <= B),
    "cumsum": (lambda: K.cumsum(A), lambda: A.cumsum(0)),
    "cumprod": (lambda: K.cumprod(A, 1), lambda: A.cumprod(1)),
    "dot": (lambda: K.dot(A, B.T), lambda: A @ B.T),
    "dot of more axes": (lambda: K.dot(C, D[0]), lambda: C @ D[0]),
    "batch_dot": (lambda: K.batch_dot(C, D), lambda: C @ D),
    "batch_dot of rows": (lambda: K.batch_dot(A, B), lambda: (A * B).sum(1, keepdims=True)),
    "batch_dot with axes": (lambda: K.batch_dot(C, A, axes=1), lambda: np.einsum("bij,bi->bj", C, A)),
    "batch_dot of four": (
        lambda: K.batch_dot(IMAGE, IMAGE, axes=(3, -1)),
        lambda: np.einsum("abcd,aefd->abcef", IMAGE, IMAGE),
    ),
    "l2_normalize": (lambda: K.l2_normalize(A, 1), lambda: A / np.sqrt((A**2).sum(1, keepdims=True))),
    "relu": (lambda: K.relu(A - 0.5), lambda: np.maximum(A - 0.5, 0)),
    "relu with a slope": (
        lambda: K.relu(A - 0.5, alpha=0.1),
        lambda: np.where(A > 0.5, A - 0.5, (A - 0.5) / 10),
    ),
    "relu with a bound": (lambda: K.relu(A * 9, max_value=6.0), lambda: np.minimum(A * 9, 6)),
    "hard_sigmoid": (lambda: K.hard_sigmoid(A * 9 - 4), lambda: np.clip((A * 9 - 4) / 5 + 0.5, 0, 1)),
    "softmax": (lambda: K.softmax(A), lambda: softmax(A)),
    "sigmoid": (lambda: K.sigmoid(A), lambda: 1 / (1 + np.exp(-A))),
    "flatten": (lambda: K.flatten(A), lambda: A.ravel()),
    "batch_flatten": (lambda: K.batch_flatten(C), lambda: C.reshape(3, 20)),
    "reshape": (lambda: K.reshape(A, (4, 3)), lambda: A.reshape(4, 3)),
    "permute_dimensions": (lambda: K.permute_dimensions(C, (0, 2, 1)), lambda: C.transpose(0, 2, 1)),
    "transpose": (lambda: K.transpose(A), lambda: A.T),
    "expand_dims": (lambda: K.expand_dims(A), lambda: A[..., None]),
    "squeeze": (lambda: K.squeeze(A[:, None], 1), lambda: A),
    "concatenate": (lambda: K.concatenate([A, B]), lambda: np.concatenate([A, B], -1)),
    "stack": (lambda: K.stack([A, B]), lambda: np.stack([A, B])),
    "tile": (lambda: K.tile(A, (2, 1)), lambda: np.tile(A, (2, 1))),
    "repeat": (lambda: K.repeat(A, 3), lambda: np.repeat(A[:, None], 3, 1)),
    "repeat_elements": (lambda: K.repeat_elements(A, 2, axis=1), lambda: np.repeat(A, 2, 1)),
    "reverse": (lambda: K.reverse(A, 1), lambda: A[:, ::-1]),
    "gather": (lambda: K.gather(A, [2, 0]), lambda: A[[2, 0]]),
    "one_hot": (lambda: K.one_hot([2, 0], 3), lambda: np.eye(3)[[2, 0]]),
    "arange": (lambda: K.arange(2, 8, 2), lambda: np.arange(2, 8, 2)),
    "switch": (lambda: K.switch(A[:, 0] > 0.5, A, lambda: B), lambda: np.where(A[:, :1] > 0.5, A, B)),
    "temporal_padding": (lambda: K.temporal_padding(C, (2, 0)), lambda: np.pad(C, ((0, 0), (2, 0), (0, 0)))),
    "spatial_2d_padding": (
        lambda: K.spatial_2d_padding(IMAGE, ((1, 0), (0, 2))),
        lambda: np.pad(IMAGE, ((0, 0), (1, 0), (0, 2), (0, 0))),
    ),
    "bias_add": (lambda: K.bias_add(A, B[0]), lambda: A + B[0]),
    "bias_add first": (
        lambda: K.bias_add(IMAGE, A[:, 0], "channels_first"),
        lambda: IMAGE + A[:, 0].reshape(1, 3, 1, 1),
    ),
    "batch_normalization": (
        lambda: K.batch_normalization(A, A.mean(0), A.var(0), B[0], B[1]),
        lambda: B[1] * (A - A.mean(0)) / np.sqrt(A.var(0) + 1e-3) + B[0],
    ),
    "binary_crossentropy": (
        lambda: K.binary_crossentropy(HOT, A),
        lambda: -(HOT * np.log(A) + (1 - HOT) * np.log(1 - A)),
    ),
    "categorical_crossentropy": (
        lambda: K.categorical_crossentropy(HOT, P),
        lambda: -(HOT * np.log(P)).sum(1),
    ),
    "sparse_categorical_crossentropy": (
        lambda: K.sparse_categorical_crossentropy(np.array([2, 0, 1]), A, from_logits=True),
        lambda: -(HOT * np.log(softmax(A))).sum(1),
    ),
    "in_top_k": (lambda: K.in_top_k(A, A.argmax(1), 1), lambda: np.ones(3, bool)),
    "map_fn": (lambda: K.map_fn(K.sum, K.constant(A)), lambda: A.sum(1)),
    "cast": (lambda: K.cast(A * 9, "int32"), lambda: (A * 9).astype("int32")),
    "cast_to_floatx": (lambda: K.cast_to_floatx([1, 2]), lambda: np.array([1.0, 2.0])),
    "constant": (lambda: K.constant(3, shape=(2, 2)), lambda: np.full((2, 2), 3.0)),
    "eye": (lambda: K.eye(3), lambda: np.eye(3)),
}


@pytest.mark.parametrize("name", CASES)
def test_functions_mean_what_they_meant(name: str) -> None:
    got, want = (np.asarray(K.eval(make())) for make in CASES[name])
    assert got.shape == want.shape and got.dtype.kind == want.dtype.kind
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)


def test_variables() -> None:
    v = K.variable([1, 2], name="v")
    assert isinstance(v, lumbre.Variable) and v.dtype == "float32" and v.name == "v"
    K.set_value(v, [3, 4])
    K.update_add(v, 1.0)
    K.update_sub(v, [1.0, 0.0])
    assert K.get_value(v).tolist() == [3.0, 5.0]
    K.moving_average_update(v, np.array([1.0, 1.0], "float32"), 0.75)
    assert K.get_value(v).tolist() == [2.5, 4.0]
    K.update(v, [0.0, 0.0])
    w = K.zeros((2, 3))
    K.batch_set_value([(v, [5, 6]), (w, np.ones((2, 3)))])
    assert [x.sum() for x in K.batch_get_value([v, w])] == [11.0, 6.0]
    assert isinstance(K.ones((2,)), lumbre.Variable) and K.count_params(w) == 6
    assert K.int_shape(w) == (2, 3) and K.ndim(w) == 2 and K.dtype(w) == "float32"
    assert not K.is_sparse(w) and K.to_dense(w) is w and K.get_value(3) == 3


def test_chance() -> None:
    random.set_seed(1)
    assert K.random_normal((1000,), stddev=3.0).numpy().std() == pytest.approx(3.0, rel=0.1)
    assert K.random_bernoulli((1000,), p=0.2).numpy().mean() == pytest.approx(0.2, abs=0.05)
    assert K.random_uniform_variable((1000,), 2.0, 4.0).numpy().mean() == pytest.approx(3.0, abs=0.1)
    assert K.random_normal_variable((1000,), 2.0, 1.0, seed=3).numpy().mean() == pytest.approx(2.0, abs=0.1)
    assert set(np.unique(K.dropout(np.ones(50, "float32"), 0.5, seed=1).numpy())) == {0.0, 2.0}


def test_placeholders() -> None:
    x = lumbre.Input((3, 4))
    assert K.int_shape(x) == (None, 3, 4) and K.is_keras_tensor(x)
    assert K.int_shape(K.mean(K.square(x), axis=-1)) == (None, 3)
    assert K.int_shape(K.concatenate([x, x])) == (None, 3, 8)


def test_gradients_flow() -> None:
    v = K.variable(A)
    (g,) = lumbre.grad(K.sum(K.square(K.clip(v, 0.4, 0.6))), [v])
    np.testing.assert_allclose(g.numpy(), np.where((A > 0.4) & (A < 0.6), 2 * A, 0), rtol=1e-6)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="rank 2"):
        K.repeat(C, 2)
    with pytest.raises(ValueError, match=r"batch_dot: axes \[2, 1\] of shapes \(3, 4, 5\) and \(3, 4, 5\)"):
        K.batch_dot(C, C)
    with pytest.raises(ValueError, match="rank 2 or more"):
        K.batch_dot(A[0], A[0])


def test_the_rest_of_keras_s_backend() -> None:
    keras = pytest.importorskip("keras")
    assert {name for name in dir(keras.backend) if name[0] != "_"} <= set(dir(K))
