"""Saving and loading: training goes on to the bit, whatever the model; what does not fit is named."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import layers, ops, optimizers
from lumbre.cli import main
from lumbre.saving.safetensors import Reader

RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


@lumbre.saving.register_keras_serializable("tests")
class Block(layers.Layer):
    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.inner = [layers.Dense(units, activation="relu"), layers.Dense(units)]

    def call(self, x: Any) -> Any:
        return self.inner[1](self.inner[0](x)) + 1

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@lumbre.saving.register_keras_serializable("tests")
class Whole(lumbre.Model):
    def __init__(self, units: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.first = layers.Dense(units)
        self.drop = layers.Dropout(0.5)
        self.blocks = {"a": Block(units), "b": Block(units)}
        self.last = layers.Dense(1)

    def call(self, x: Any, training: bool | None = None) -> Any:
        x = self.drop(self.first(x), training=training)
        return self.last(self.blocks["b"](self.blocks["a"](x)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@lumbre.saving.register_keras_serializable("tests")
def own_loss(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


def chain() -> Any:
    return lumbre.Sequential(
        [
            lumbre.Input((4,)),
            layers.Dense(8, "relu", kernel_regularizer="l2", kernel_constraint="max_norm"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            Block(5),
            layers.Dense(1),
        ]
    )


def graph() -> Any:
    a = lumbre.Input((4,), name="a")
    h = layers.Dense(6, "tanh")(a)
    shared = layers.Dense(6)
    y = layers.GaussianNoise(0.1)(shared(shared(h)))
    inner = lumbre.Sequential([layers.Dense(6), layers.Dense(6)])
    y = ops.relu(inner(y)) * 2 + h[:, ::1]
    return lumbre.Model(a, layers.Dense(1)(y))


def numbers(model: Any) -> list[np.ndarray]:
    return [v.numpy() for v in [*model.variables, *model.optimizer.variables]]


def equal(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def schedule() -> Any:
    return optimizers.schedules.CosineDecay(0.01, 50)


RULES: dict[str, Callable[[], Any]] = {
    "adam": lambda: optimizers.Adam(schedule(), amsgrad=True),
    "sgd": lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True, global_clipnorm=1.0),
    "adamw": lambda: optimizers.AdamW(0.01, use_ema=True),
    "scaled": lambda: optimizers.LossScaleOptimizer(optimizers.RMSprop(0.01, centered=True, momentum=0.5)),
    "muon": lambda: optimizers.Muon(0.01),
    "adafactor": lambda: optimizers.Adafactor(0.01),
    "free": lambda: optimizers.ScheduleFreeAdamW(0.01),
    "accumulating": lambda: optimizers.Nadam(0.01, gradient_accumulation_steps=2),
}


@pytest.mark.parametrize(
    ("make", "rule"),
    [*((chain, r) for r in RULES), (graph, "adam"), (graph, "scaled"), (Whole, "adam"), (Whole, "muon")],
)
def test_training_goes_on_to_the_bit(make: Callable[[], Any], rule: str, tmp_path: Path) -> None:
    model = make()
    model.compile(
        RULES[rule](), lumbre.losses.Huber(0.5), metrics=["mae", lumbre.metrics.RootMeanSquaredError()]
    )
    model.fit(X, Y, epochs=2, verbose=0)
    path = tmp_path / "m.lumbre"
    model.save(path)
    saved = numbers(model)
    lumbre.utils.clear_session()
    again = lumbre.saving.load_model(path)
    assert type(again) is type(model)
    assert equal(saved, numbers(again))
    histories = []
    for one in (model, again):
        np.random.seed(3)
        histories.append(one.fit(X, Y, epochs=2, verbose=0).history)
    assert histories[0] == histories[1]
    assert equal(numbers(model), numbers(again))
    assert not equal(saved, numbers(again))


def test_weights_go_to_a_model_made_anew(tmp_path: Path) -> None:
    for i, make in enumerate((chain, graph, Whole)):
        model, again = make(), make()
        model(X[:2])
        again(X[:2])
        for ending in ("lumbre", "safetensors"):
            path = tmp_path / f"{i}.{ending}"
            model.save_weights(path)
            again.set_weights([np.zeros(w.shape) for w in again.weights])
            again.load_weights(path)
            assert equal(model.get_weights(), again.get_weights())
        model.compile("adam", "mse")
        model.save(tmp_path / "whole.lumbre")
        again.set_weights([np.zeros(w.shape) for w in again.weights])
        again.load_weights(tmp_path / "whole.lumbre")
        assert equal(model.get_weights(), again.get_weights())


def test_what_does_not_fit_is_named_and_changes_nothing(tmp_path: Path) -> None:
    dense = layers.Dense
    path = tmp_path / "w.lumbre"
    lumbre.Sequential([lumbre.Input((4,)), dense(3), dense(2, use_bias=False)]).save_weights(path)
    other = lumbre.Sequential([lumbre.Input((4,)), dense(5, use_bias=False), dense(2)])
    before = other.get_weights()
    with pytest.raises(ValueError) as caught:
        other.load_weights(path)
    text = str(caught.value)
    for part in (
        str(path),
        "the file lacks layers/dense_1/bias",
        "the model has no layers/dense/bias",
        "layers/dense/kernel has shape (4, 3) in the file and (4, 5) in the model",
    ):
        assert part in text, text
    assert equal(before, other.get_weights())
    fits = lumbre.Sequential([lumbre.Input((4,)), dense(3), dense(2)])
    with pytest.warns(UserWarning, match="left as they are"):
        fits.load_weights(path, skip_mismatch=True)
    with Reader(path) as reader:
        np.testing.assert_array_equal(fits.layers[0].kernel.numpy(), reader.read("layers/dense/kernel"))


def test_dtypes(tmp_path: Path) -> None:
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        layer, again = layers.Dense(3, dtype=dtype), layers.Dense(3, dtype=dtype)
        layer.build((None, 4))
        again.build((None, 4))
        path = tmp_path / f"{dtype}.lumbre"
        lumbre.saving.save_weights(layer, path)
        lumbre.saving.load_weights(again, path)
        assert equal(layer.get_weights(), again.get_weights())
        with Reader(path) as reader:
            assert reader.entries["kernel"].dtype == dtype


def test_values_taken_before_loading_stay(tmp_path: Path) -> None:
    layer = layers.Dense(3)
    layer.build((None, 4))
    path = tmp_path / "w.lumbre"
    lumbre.saving.save_weights(layer, path)
    saved = layer.kernel.numpy()
    layer.kernel.assign(np.zeros((4, 3)))
    held = layer.kernel.value
    lumbre.saving.load_weights(layer, path)
    assert not held.numpy().any()
    np.testing.assert_array_equal(layer.kernel.numpy(), saved)


def test_own_functions_and_classes(tmp_path: Path) -> None:
    class Unknown(layers.Dense):
        pass

    path = tmp_path / "m.lumbre"
    model = lumbre.Sequential([lumbre.Input((4,)), Unknown(1)])
    model.compile("sgd", own_loss)
    model.save(path)
    with pytest.raises(ValueError, match="register_keras_serializable"):
        lumbre.saving.load_model(path)
    for load in (
        lambda: lumbre.saving.load_model(path, custom_objects={"Unknown": Unknown}),
        lambda: lumbre.models.load_model(path, {"Unknown": Unknown}),
    ):
        assert type(load().layers[0]) is Unknown
    with lumbre.saving.custom_object_scope({"Unknown": Unknown}):
        again = lumbre.saving.load_model(path)
        assert not lumbre.saving.load_model(path, compile=False).compiled
    assert again.loss is own_loss


class Keeper(layers.Layer):
    """Decides itself what is saved."""

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight((2,), "ones", name="w")
        self.words = ["a", "b"]

    def call(self, x: Any) -> Any:
        return x * ops.sum(self.w)

    def save_own_variables(self, store: dict[str, Any]) -> None:
        super().save_own_variables(store)
        store["words"] = np.frombuffer("".join(self.words).encode(), np.uint8)

    def load_own_variables(self, store: Any) -> None:
        self.words = list(store["words"].tobytes().decode())
        super().load_own_variables({k: v for k, v in store.items() if k != "words"})


def test_layers_that_save_themselves(tmp_path: Path) -> None:
    model = lumbre.Sequential([lumbre.Input((4,)), Keeper(name="keeper")])
    model.layers[0].words = ["x", "y", "z"]
    model.layers[0].w.assign([3.0, 4.0])
    model.save(tmp_path / "m.lumbre")
    again = lumbre.saving.load_model(tmp_path / "m.lumbre", custom_objects={"Keeper": Keeper}).layers[0]
    assert again.words == ["x", "y", "z"]
    np.testing.assert_array_equal(again.w.numpy(), [3.0, 4.0])


def test_weight_decay_keeps_its_exceptions(tmp_path: Path) -> None:
    model = chain()
    model.compile(optimizers.AdamW(0.01), "mse")
    model.optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m.lumbre")
    again = lumbre.saving.load_model(tmp_path / "m.lumbre")
    decayed = [[m.optimizer._decays(v) for v in m.trainable_variables] for m in (model, again)]
    assert decayed[0] == decayed[1] and not all(decayed[1])


def test_endings_and_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = chain()
    with pytest.raises(ValueError, match=r"Invalid filepath extension .*`\.lumbre`.*m\.foo"):
        model.save(tmp_path / "m.foo")
    with pytest.raises(ValueError, match="not yet been built"):
        lumbre.Sequential([layers.Dense(1)]).save_weights(tmp_path / "w.lumbre")
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        model.load_weights(tmp_path / "none.lumbre")
    strange = os.fsencode(tmp_path) + b"/caf\xe9.lumbre"
    model.save_weights(strange)
    model.load_weights(strange)
    assert main(["inspect", os.fsdecode(strange)]) == 0
    assert "caf\\udce9.lumbre" in capsys.readouterr().out
    with pytest.raises(FileExistsError, match="no terminal to ask"):
        model.save_weights(strange, overwrite=False)


def test_lambdas_are_refused(tmp_path: Path) -> None:
    model = chain()
    model.compile("sgd", lambda y_true, y_pred: ops.mean(y_true - y_pred))
    with pytest.raises(ValueError, match="a lambda cannot be written"):
        model.save(tmp_path / "m.lumbre")
    assert not os.listdir(tmp_path)


def test_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = graph()
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    path = tmp_path / "m.lumbre"
    model.save(path)
    done = subprocess.run(
        [sys.executable, "-m", "lumbre", "inspect", str(path)], capture_output=True, text=True, check=True
    )
    for part in (
        "Functional",
        "Dense 'dense",
        "units=6",
        "optimizer: Adam(",
        "hash OK",
        "@optimizer/iteration",
        "4×6",
    ):
        assert part in done.stdout, done.stdout
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    assert main(["inspect", str(path)]) == 1
    assert "DAMAGED" in capsys.readouterr().out
    path.write_bytes(damaged[:100])
    assert main(["inspect", str(path)]) == 1
    assert "m.lumbre: the header" in capsys.readouterr().err


def test_modes_and_links(tmp_path: Path) -> None:
    model = chain()
    path = tmp_path / "real.lumbre"
    model.save_weights(path)
    path.chmod(0o640)
    (tmp_path / "link.lumbre").symlink_to(path)
    model.save_weights(tmp_path / "link.lumbre")
    assert (tmp_path / "link.lumbre").is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
