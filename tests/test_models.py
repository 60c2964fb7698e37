"""Models: graphs, chains, subclasses; the table of `summary`; configs; bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import layers, ops, tree

RNG = np.random.default_rng(7)
X = RNG.normal(size=(5, 4)).astype("float32")
Z = RNG.normal(size=(5, 4)).astype("float32")


def numbers(structure: Any) -> Any:
    return tree.map_structure(lambda t: np.asarray(t), structure)


def printed(model: Any, **options: Any) -> str:
    texts: list[str] = []
    model.summary(print_fn=lambda text, **_: texts.append(text), **options)
    assert len(texts) == 1
    return texts[0].rstrip("\n")


# Graphs. Each is made by the same code for lumbre and for Keras.


def branches(lib: Any) -> Any:
    a, b = lib.Input((4,), name="a"), lib.Input((4,), name="b")
    x = lib.layers.Dense(4, activation="relu", name="left")(a)
    y = lib.layers.Add(name="sum")([x, b])
    z = lib.ops.relu(y) + x * 2.0
    return lib.Model([a, b], [lib.layers.Dense(2, name="p")(z), y], name="branches")


def shared(lib: Any) -> Any:
    a, b = lib.Input((4,), name="a"), lib.Input((4,), name="b")
    dense = lib.layers.Dense(3, name="twice")
    joined = lib.layers.Concatenate(name="join")([dense(a), dense(b)])
    return lib.Model([a, b], lib.layers.Dense(1, name="out")(joined), name="shared")


def dicts(lib: Any) -> Any:
    a, b = lib.Input((4,), name="a"), lib.Input((4,), name="b")
    x = lib.layers.Dense(3, name="x")(a)
    return lib.Model(
        {"b": b, "a": a}, {"z": lib.layers.Dense(1, name="d")(x), "c": [x - 1.0, b]}, name="dicts"
    )


def nested(lib: Any) -> Any:
    inner = lib.Sequential([lib.layers.Dense(4, name="i1"), lib.layers.ReLU(name="i2")], name="inner")
    both = branches(lib)
    a, b = lib.Input((4,), name="a"), lib.Input((4,), name="b")
    p, y = both([inner(a), b])
    return lib.Model([a, b], lib.layers.Multiply(name="m")([p, y[:, :2]]), name="nested")


def cut(lib: Any) -> Any:
    whole = branches(lib)
    middle = whole.get_layer("left").output
    other = whole.inputs[1]
    return lib.Model([middle, other], whole.outputs[0], name="cut")


GRAPHS = [branches, shared, nested, cut]


@pytest.mark.parametrize("make", GRAPHS)
def test_graphs_compute_what_keras_computes(make: Callable[[Any], Any]) -> None:
    from keras_reference import close, keras

    ours, theirs = make(lumbre), make(keras)
    values = [RNG.normal(size=w.shape).astype("float32") for w in theirs.weights]
    ours.set_weights(values)
    theirs.set_weights(values)
    for mine, reference in zip(
        tree.flatten(ours([X, Z])), tree.flatten(numbers(theirs([X, Z]))), strict=True
    ):
        close(mine, reference)
    assert ours.output_names == theirs.output_names
    assert ours.input_shape == theirs.input_shape
    assert ours.output_shape == theirs.output_shape


@pytest.mark.parametrize("make", [branches, shared, nested])  # inputs at a cut are numbered differently
@pytest.mark.parametrize(
    "options", [{}, {"expand_nested": True}, {"show_trainable": True}, {"line_length": 70}]
)
def test_summaries_are_those_of_keras(make: Callable[[Any], Any], options: Any) -> None:
    from keras_reference import keras

    lumbre.utils.clear_session()
    keras.utils.clear_session()
    assert printed(make(lumbre), **options) == printed(make(keras), **options)


@pytest.mark.parametrize("make", [*GRAPHS, dicts])
def test_a_config_makes_an_equal_model(make: Callable[[Any], Any]) -> None:
    model = make(lumbre)
    copy = lumbre.models.model_from_json(model.to_json())
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    copy.set_weights(model.get_weights())
    inputs = {"a": X, "b": Z} if make is dicts else [X, Z]
    expected, found = numbers(model(inputs)), numbers(copy(inputs))
    tree.map_structure(np.testing.assert_array_equal, expected, found)
    assert json.loads(copy.to_json()) == json.loads(model.to_json())


def test_configs_of_graphs_are_readable_by_keras() -> None:
    from keras_reference import close, keras

    model = shared(lumbre)
    theirs = keras.Model.from_config(json.loads(model.to_json())["config"])
    theirs.set_weights(model.get_weights())
    close(model([X, Z]), theirs([X, Z]))


@pytest.mark.parametrize("make", [branches, nested, dicts])
def test_clones(make: Callable[[Any], Any]) -> None:
    model = make(lumbre)
    inputs = {"a": X, "b": Z} if make is dicts else [X, Z]
    seen: list[str] = []

    def copy_layer(layer: Any) -> Any:
        seen.append(layer.name)
        return layer.from_config(layer.get_config())

    for copy in (lumbre.models.clone_model(model), lumbre.models.clone_model(model, None, copy_layer)):
        assert not {id(w) for w in copy.weights} & {id(w) for w in model.weights}
        copy.set_weights(model.get_weights())
        tree.map_structure(np.testing.assert_array_equal, numbers(model(inputs)), numbers(copy(inputs)))
    assert seen and "a" not in seen
    chain = lumbre.Sequential([lumbre.Input((4,)), layers.Dense(3)])
    assert lumbre.models.clone_model(chain).output_shape == (None, 3)
    x = lumbre.Input((4,))
    assert lumbre.models.clone_model(chain, x).inputs == [x]


def test_structures_in_and_out() -> None:
    model = dicts(lumbre)
    out = model({"a": X, "b": Z, "unused": X})
    assert list(out) == ["z", "c"]
    assert out["z"].shape == (5, 1) and [t.shape for t in out["c"]] == [(5, 3), (5, 4)]
    np.testing.assert_array_equal(out["c"][1].numpy(), Z)
    assert model.output_names == ["subtract", "b", "d"] or model.output_names[1:] == ["b", "d"]
    lists = shared(lumbre)
    np.testing.assert_array_equal(lists({"b": Z, "a": X}).numpy(), lists([X, Z]).numpy())
    np.testing.assert_array_equal(lists((X, Z)).numpy(), lists([X, Z]).numpy())


def test_symbolic_calls_of_models() -> None:
    model = dicts(lumbre)
    out = model({"a": lumbre.Input((4,)), "b": lumbre.Input((4,))})
    assert out["z"].shape == (None, 1) and [t.shape for t in out["c"]] == [(None, 3), (None, 4)]
    assert model.compute_output_shape({"a": (7, 4), "b": (7, 4)})["z"] == (7, 1)


def test_unknown_sizes() -> None:
    x = lumbre.Input((None, 3))
    assert layers.Flatten()(x).shape == (None, None)
    assert layers.Reshape((-1, 2))(x).shape == (None, None, 2)
    assert layers.Dense(2)(x).shape == (None, None, 2)
    assert (x + 1).shape == (None, None, 3)
    assert x[:, 0].shape == (None, 3)
    assert lumbre.Input((2,), batch_size=3).shape == (3, 2)
    assert ops.concatenate([x, x], axis=1).shape == (None, None, 3)
    model = lumbre.Model(x, layers.Dense(1)(x))
    assert model(np.ones((2, 5, 3))).shape == (2, 5, 1)
    assert model(np.ones((1, 7, 3))).shape == (1, 7, 1)


def test_operators_of_symbolic_tensors() -> None:
    a = lumbre.Input((4,), name="a")
    results = [
        a + 1, 1 + a, a - 1, 1 - a, a * 2, 2 * a, a / 2, 2 / a, a // 2, a % 2, a**2, -a, abs(a),
        a > 0, a >= 0, a < 0, a <= 0, a[:, 1:3], a @ np.eye(4, dtype="float32"),
    ]  # fmt: skip
    x = np.abs(X) + 1
    expected = [
        x + 1, 1 + x, x - 1, 1 - x, x * 2, 2 * x, x / 2, 2 / x, x // 2, x % 2, x**2, -x, abs(x),
        x > 0, x >= 0, x < 0, x <= 0, x[:, 1:3], x,
    ]  # fmt: skip
    model = lumbre.Model(a, results)
    for ours, reference in zip(model(x), expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), reference, rtol=1e-5)


def test_intermediate_values_are_freed() -> None:
    a = lumbre.Input((4,))
    x = a
    for _ in range(6):
        x = layers.Activation("relu")(x)
    steps = lumbre.Model(a, x)._graph.steps
    assert [len(step.done) for step in steps] == [1] * 6


def test_deep_graphs() -> None:
    a = lumbre.Input((2,))
    x = a
    for _ in range(1500):
        x = x + 1.0
    assert lumbre.Model(a, x)(np.zeros((1, 2))).numpy().tolist() == [[1500.0, 1500.0]]


# Chains


def test_sequential_is_built_by_an_input_or_a_call() -> None:
    from keras_reference import keras

    lumbre.utils.clear_session()
    keras.utils.clear_session()
    for lib in (lumbre, keras):
        model = lib.Sequential([lib.layers.Dense(3), lib.layers.ReLU()])
        assert not model.built and model.weights == []
        model(X)
        assert model.built and len(model.layers) == 2 and model.output_shape == (5, 3)
        ready = lib.Sequential([lib.Input((4,)), lib.layers.Dense(3)])
        assert ready.built and ready.input_shape == (None, 4) and len(ready.layers) == 1
        assert ready.weights[0].path == f"{ready.name}/{ready.layers[0].name}/kernel"


def test_sequential_grows_and_shrinks() -> None:
    model = lumbre.Sequential(name="chain")
    model.add(lumbre.Input((4,)))
    model.add(layers.Dense(3))
    model.add(layers.Dense(2))
    assert model.output_shape == (None, 2)
    kernel = model.layers[0].kernel
    assert model.pop() is not None
    assert model.output_shape == (None, 3) and len(model.weights) == 2
    model.add(layers.Dense(6))
    assert model.output_shape == (None, 6) and model.layers[0].kernel is kernel
    assert model(X).shape == (5, 6)
    assert [len(layer._inbound_nodes) for layer in model.layers] == [1, 1]


def test_sequential_of_models() -> None:
    first = lumbre.Sequential([lumbre.Input((4,)), layers.Dense(3)])
    x = lumbre.Input((3,))
    model = lumbre.Sequential([first, lumbre.Model(x, layers.Dense(2)(x))])
    assert model.built and model.output_shape == (None, 2)
    assert len(model.weights) == 4


def test_a_last_axis_of_one_may_be_missing() -> None:
    model = lumbre.Sequential([lumbre.Input((1,)), layers.Dense(2)])
    assert model(np.ones(3)).shape == (3, 2)
    x = lumbre.Input((1,))
    assert lumbre.Model(x, layers.Dense(2)(x))(np.ones(3)).shape == (3, 2)


def test_sequential_of_a_layer_that_reads_values() -> None:
    class Eager(layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs if float(ops.sum(inputs)) > -1e9 else -inputs

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    model = lumbre.Sequential([lumbre.Input((4,)), Eager(), layers.Dense(2)])
    assert model.output_shape == (None, 2)
    assert model(X).shape == (5, 2)


def test_sequential_config() -> None:
    model = lumbre.Sequential([lumbre.Input((4,)), layers.Dense(3, "relu"), layers.Dropout(0.5)], name="s")
    copy = lumbre.Sequential.from_config(model.get_config())
    assert copy.name == "s" and copy.built
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(X).numpy(), model(X).numpy())
    unbuilt = lumbre.Sequential([layers.Dense(3)])
    assert not lumbre.models.model_from_json(unbuilt.to_json()).built


# Subclasses


class Net(lumbre.Model):
    def __init__(self, units: int = 3) -> None:
        super().__init__()
        self.hidden = layers.Dense(units, activation="relu")
        self.drop = layers.Dropout(0.5)
        self.heads = [layers.Dense(2)]

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.heads[0](self.drop(self.hidden(inputs), training=training))


def test_a_subclass_is_built_by_its_first_call() -> None:
    net = Net()
    assert not net.built and net.weights == []
    assert net(X).shape == (5, 2)
    assert net.built and len(net.weights) == 4 and len(net.layers) == 3
    assert net.weights[0].path == f"{net.name}/{net.hidden.name}/kernel"
    symbolic = Net()
    assert symbolic(lumbre.Input((4,))).shape == (None, 2)
    assert len(symbolic.weights) == 4
    by_shape = Net()
    by_shape.build((None, 4))
    assert len(by_shape.weights) == 4
    assert Net.from_config(Net(units=8).get_config()).hidden.units == 8


def test_a_subclass_in_a_graph() -> None:
    x = lumbre.Input((4,))
    net = Net()
    model = lumbre.Model(x, net(x) + 1.0)
    assert model.get_layer(net.name) is net
    np.testing.assert_allclose(model(X).numpy(), net(X).numpy() + 1, rtol=1e-6)


def test_a_subclass_that_is_a_graph() -> None:
    class Own(lumbre.Model):
        def __init__(self, units: int) -> None:
            self.dense = layers.Dense(units)
            x = lumbre.Input((4,))
            super().__init__(inputs=x, outputs=self.dense(x))

        def doubled(self, x: Any) -> Any:
            return self(x) * 2

    model = Own(3)
    assert isinstance(model, Own) and model.built and model.output_shape == (None, 3)
    assert len(model.layers) == 2 and len(model.weights) == 2
    np.testing.assert_allclose(model.doubled(X).numpy(), 2 * model(X).numpy())
    assert Own.from_config(model.get_config()).dense.units == 3


def test_a_failed_first_call_leaves_the_model_as_it_was() -> None:
    class Wrong(lumbre.Model):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = layers.Dense(3), layers.Reshape((2, 2))

        def call(self, inputs: Any) -> Any:
            return self.b(self.a(inputs))

    for model in (Wrong(), lumbre.Sequential([layers.Dense(3), layers.Reshape((2, 2))])):
        with pytest.raises(ValueError, match="total size of the tensor must be unchanged"):
            model(X)
        assert not model.built and model.weights == [] and not model.layers[0].built
    again = lumbre.Sequential([layers.Dense(3), layers.Permute((2, 1))])
    with pytest.raises(ValueError, match="expected ndim=3, found ndim=2"):
        again(X)
    assert again(np.ones((2, 5, 9))).shape == (2, 3, 5)


# Tables


def test_summary_of_a_chain() -> None:
    lumbre.utils.clear_session()
    model = lumbre.Sequential([layers.Dense(3), layers.ReLU()])
    expected = """
Model: "sequential"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ dense (Dense)                   │ ?                      │   0 (unbuilt) │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ re_lu (ReLU)                    │ ?                      │             0 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 0 (0.00 B)
 Trainable params: 0 (0.00 B)
 Non-trainable params: 0 (0.00 B)
"""
    assert printed(model, line_length=76) == expected.strip("\n")
    model.build((None, 4000))
    text = printed(model, line_length=76)
    assert "│ dense (Dense)                   │ (None, 3)              │        12,003 │" in text
    assert " Total params: 12,003 (46.89 KB)" in text


def test_summary_prints_and_counts_what_is_frozen(capsys: pytest.CaptureFixture[str]) -> None:
    model = lumbre.Sequential([lumbre.Input((4,)), layers.Dense(3), layers.Dense(2)])
    model.layers[0].trainable = False
    model.summary(layer_range=[model.layers[1].name, model.layers[1].name])
    text = capsys.readouterr().out
    assert model.layers[0].name + " (" not in text and model.layers[1].name + " (" in text
    assert " Trainable params: 8 (32.00 B)\n Non-trainable params: 15 (60.00 B)\n" in text
    with pytest.raises(ValueError, match="Passed layer_names do not match the layer names"):
        model.summary(layer_range=["x", "y"])


def test_summary_with_an_optimizer() -> None:
    model = lumbre.Sequential([lumbre.Input((4,)), layers.Dense(3)])
    model.compile("adam", "mse")
    assert "Optimizer params" not in printed(model)
    model.optimizer.build(model.trainable_variables)
    assert " Optimizer params: 32 (136.00 B)" in printed(model) or "Optimizer params: 32 (" in printed(model)


# Bad input


def test_layers_by_name_and_index() -> None:
    model = shared(lumbre)
    assert model.get_layer("twice") is model.get_layer(index=2)
    for attempt, text in (
        (lambda: model.get_layer("zz"), r"No such layer: zz. Existing layers are: \['a', 'b', 'twice'"),
        (lambda: model.get_layer(index=9), "asked to retrieve layer at index 9 but model only has 5 layers"),
        (lambda: model.get_layer(), "Provide either a layer name or layer index at `get_layer`"),
        (lambda: model.get_layer("a", 1), "Provide only a layer name or a layer index"),
    ):
        with pytest.raises(ValueError, match=text):
            attempt()
    with pytest.raises(AttributeError, match="attribute is reserved"):
        model.layers = []
    with pytest.raises(AttributeError, match=r"Use `add\(\)` and `pop\(\)`"):
        lumbre.Sequential().layers = []


A, B = lumbre.Input((4,), name="a"), lumbre.Input((4,), name="b")
TWO = lumbre.Model([A, B], layers.Add()([A, B]), name="two")
ONE = lumbre.Model(A, layers.Dense(2)(A), name="one")
NAMED = lumbre.Model({"b": B, "a": A}, layers.Add()([A, B]), name="named")
BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: lumbre.Sequential([3]),
        ValueError,
        r"Only instances of `keras.Layer` can be added to a Sequential model. Received: 3 \(of type",
    ),
    (
        lambda: lumbre.Sequential([layers.Dense(1, name="x"), layers.Dense(1, name="x")]),
        ValueError,
        "All layers added to a Sequential model should have unique names. Name 'x' is already",
    ),
    (lambda: lumbre.Sequential()(X), ValueError, "cannot be built because it has no layers"),
    (lambda: lumbre.Sequential([layers.Dense(1)]).inputs, AttributeError, "has no defined inputs yet"),
    (lambda: lumbre.Sequential([layers.Dense(1)]).count_params(), ValueError, "the layer isn't built"),
    (lambda: lumbre.Model([A], [3]), ValueError, "All `outputs` values must be KerasTensors. Received"),
    (lambda: lumbre.Model([X], [A]), ValueError, "All `inputs` values must be KerasTensors. Received"),
    (
        lambda: lumbre.Model(A, layers.Dense(1)(B)),
        ValueError,
        "Output with path `` is not connected to `inputs`",
    ),
    (lambda: lumbre.Model()(X), NotImplementedError, r"Model Model does not have a `call\(\)` method"),
    (lambda: TWO(X), ValueError, r'"two" expects 2 input\(s\), but it received 1 input tensors'),
    (lambda: TWO({"a": X}), ValueError, 'Missing data for input "b". You passed a data dictionary with keys'),
    (
        lambda: TWO([X, X[:, :3]]),
        ValueError,
        r"Input 1 with name 'b' of layer 'two' is incompatible with the layer: expected shape=\(None, 4\), "
        r"found shape=\(5, 3\)",
    ),
    (lambda: ONE(X[0]), ValueError, r"Expected shape \(None, 4\), but input has incompatible shape \(4,\)"),
    (lambda: NAMED(X), ValueError, r"expects 2 named input\(s\) with keys \['b', 'a'\]"),
    (lambda: NAMED([X, Z]), ValueError, "structure of `inputs` doesn't match the expected structure"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_bad_input(case: int) -> None:
    attempt, kind, text = BAD[case]
    with pytest.raises(kind, match=text):
        attempt()


def test_a_wrong_width_in_a_chain() -> None:
    model = lumbre.Sequential([lumbre.Input((4,)), layers.Dense(4, name="first")])
    text = (
        r"(?s)Exception encountered when calling Sequential.call\(\).*Input 0 with name 'None' of layer "
        r"'first' is incompatible with the layer: expected axis -1 of input shape to have value 4, but "
        r"received input with shape \(5, 3\).*Arguments received by"
    )
    with pytest.raises(ValueError, match=text):
        model(X[:, :3])


def test_names_in_a_graph_are_unique() -> None:
    x = lumbre.Input((2,))
    y = layers.Dense(1, name="same")(layers.Dense(2, name="same")(x))
    with pytest.raises(ValueError, match='The name "same" is used 2 times in the model'):
        lumbre.Model(x, y)


def test_keys_that_are_not_names_warn() -> None:
    with pytest.warns(UserWarning, match="all keys in the dict must match the names"):
        lumbre.Model({"q": A}, layers.Dense(1)(A))
