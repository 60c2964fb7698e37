"""Process-wide settings: their effect, where they are read from, and what they refuse."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre import config
from processes import script


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    settings, hook = dict(config._settings), sys.excepthook
    yield
    config._settings.update(settings)
    sys.excepthook = hook


def model() -> Any:
    made = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


X = np.ones((40, 3), "float32")
Y = np.ones((40, 1), "float32")


def test_the_module_is_keras_s() -> None:
    """The rest of Keras's names belong to attention on GPUs and to another library's modules."""
    keras = pytest.importorskip("keras")
    theirs = {name for name in dir(keras.config) if name[0] != "_"}
    left_out = {name for name in theirs if "flash" in name or "nnx" in name}
    assert theirs - left_out == set(config.__all__)
    for name in config.__all__:
        ours, other = inspect.signature(getattr(config, name)), inspect.signature(getattr(keras.config, name))
        assert list(ours.parameters) == list(other.parameters), name


def test_floatx_decides_on_weights() -> None:
    config.set_floatx("float64")
    assert lumbre.layers.Dense(2).compute_dtype == "float64" and config.dtype_policy().name == "float64"
    assert lumbre.ops.zeros((2,)).dtype == "float64" and lumbre.random.normal((2,)).dtype == "float64"
    with pytest.raises(ValueError, match="Unknown `floatx` value: int8"):
        config.set_floatx("int8")
    assert config.floatx() == "float64"


def test_the_dtype_policy_decides_on_layers() -> None:
    config.set_dtype_policy("float64")
    assert lumbre.layers.Dense(2).dtype_policy == lumbre.DTypePolicy("float64") == config.dtype_policy()
    assert config.floatx() == "float32"
    config.set_dtype_policy(lumbre.DTypePolicy("float32"))
    assert lumbre.layers.Dense(2).compute_dtype == "float32"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("mixed_float16", "kernel"),
        ("mixed_bfloat16", "kernel"),
        ("float3", "float3"),
        (3, "Invalid `policy`"),
    ],
)
def test_what_is_no_policy(policy: Any, words: str) -> None:
    before = config.dtype_policy()
    with pytest.raises(ValueError, match=words):
        config.set_dtype_policy(policy)
    assert config.dtype_policy() == before


def test_the_other_settings() -> None:
    config.set_epsilon(1e-3)
    assert config.epsilon() == lumbre.backend.epsilon() == 1e-3
    config.set_image_data_format("Channels_First")
    assert config.image_data_format() == "channels_first"
    with pytest.raises(ValueError, match=r"must be one of \{'channels_first', 'channels_last'\}"):
        config.set_image_data_format("first")
    config.set_backend("lumbre")
    with pytest.raises(ValueError, match=r"its own backend and has no other\. Received: backend='jax'"):
        config.set_backend("jax")


def test_the_limits_of_a_trial_run() -> None:
    config.set_max_epochs(2)
    with pytest.warns(UserWarning, match="Limiting epochs to 2") as caught:
        history = model().fit(X, Y, epochs=50, verbose=0)
    assert caught[0].filename == __file__
    assert history.epoch == [0, 1] and history.params["epochs"] == 2
    assert model().fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]
    config.set_max_epochs(None)

    config.set_max_steps_per_epoch(3)
    seen: list[int] = []

    class Count(lumbre.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(batch)

    model().fit(X, Y, batch_size=8, verbose=0, callbacks=[Count()])
    model().fit(((X[:4], Y[:4]) for _ in range(9)), verbose=0, shuffle=False, callbacks=[Count()])
    model().fit(X, Y, steps_per_epoch=2, verbose=0, callbacks=[Count()])
    assert seen == [0, 1, 2, 0, 1, 2, 0, 1]
    assert model().predict(X, batch_size=4, verbose=0).shape == (12, 1)
    for bad in (0, -1, 1.5, True, "2"):
        with pytest.raises(ValueError, match="must be None or a whole number above 0"):
            config.set_max_epochs(bad)
        with pytest.raises(ValueError, match="must be None or a whole number above 0"):
            config.set_max_steps_per_epoch(bad)
    assert (config.max_epochs(), config.max_steps_per_epoch()) == (None, 3)


SETTINGS = """
from lumbre import config
print(config.floatx(), config.epsilon(), config.image_data_format(), config.max_epochs(), config.backend())
"""


def settings(folder: Path, content: Any = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a process tells whose Keras folder has that `keras.json`."""
    if content is not None:
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / "keras.json").write_text(text)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("KERAS")}
    return subprocess.run(
        [sys.executable, "-c", SETTINGS],
        env={**clean, "PYTHONPATH": os.pathsep.join(sys.path), "KERAS_HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_settings_come_from_keras_s_file(tmp_path: Path) -> None:
    done = settings(tmp_path)
    assert (done.stdout, done.stderr) == ("float32 1e-07 channels_last None lumbre\n", "")
    assert not list(tmp_path.iterdir()), "nothing is written"
    content = {"floatx": "float64", "epsilon": 1e-5, "backend": "jax", "image_data_format": "channels_first"}
    assert settings(tmp_path, content).stdout == "float64 1e-05 channels_first None lumbre\n"
    assert settings(tmp_path, {"epsilon": 0.5}).stdout == "float32 0.5 channels_last None lumbre\n"


def test_the_folder_without_the_variable(tmp_path: Path) -> None:
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text('{"epsilon": 0.25}')
    assert settings(tmp_path, KERAS_HOME="", HOME=str(tmp_path)).stdout.split()[1] == "0.25"


def test_an_unsuitable_file(tmp_path: Path) -> None:
    done = settings(tmp_path, "{broken")
    assert done.returncode == 0 and "keras.json is not read" in done.stderr
    done = settings(tmp_path, "[1]")
    assert done.returncode == 0 and "it holds no object" in done.stderr
    for content in ({"floatx": "int8"}, {"epsilon": "small"}, {"epsilon": None}, {"image_data_format": 3}):
        done = settings(tmp_path, content)
        (name,) = content
        assert done.returncode == 1 and f"keras.json has an unsuitable {name}" in done.stderr


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    done = settings(tmp_path, KERAS_MAX_EPOCHS="7", KERAS_BACKEND="tensorflow")
    assert done.stdout == "float32 1e-07 channels_last 7 lumbre\n"
    done = settings(tmp_path, KERAS_MAX_EPOCHS="many")
    assert "KERAS_MAX_EPOCHS must be a whole number above 0, got 'many'" in done.stderr


RAISES = """
import lumbre

class Own(lumbre.Layer):
    def call(self, x):
        return lumbre.ops.reshape(x, (7, -3))

switch = getattr(lumbre.config, "{}_traceback_filtering")
switch()
Own()(lumbre.ops.ones((2, 2)))
"""


def raised(how: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", RAISES.format(how)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "\nValueError: " in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith('  File "')]


def test_tracebacks_without_our_lines() -> None:
    every, few = raised("disable"), raised("enable")
    assert len(every) > len(few) == 3
    assert ["<string>" in line for line in few] == [True, True, False]
    assert few[-1] == every[-1], "where it was raised"
    config.enable_traceback_filtering()
    config.enable_traceback_filtering()
    assert config.is_traceback_filtering_enabled()
    config.disable_traceback_filtering()
    assert not config.is_traceback_filtering_enabled()


def test_clear_session_starts_names_again() -> None:
    lumbre.utils.clear_session()
    assert [lumbre.layers.Dense(1).name for _ in range(2)] == ["dense", "dense_1"]
    assert [lumbre.backend.get_uid("dense") for _ in range(2)] == [3, 4]
    lumbre.backend.clear_session()
    assert lumbre.layers.Dense(1).name == "dense"
    assert [lumbre.backend.get_uid() for _ in range(2)] == [1, 2]


@pytest.mark.parametrize(
    "dtype", [None, "float16", float, int, bool, str, "int", np.float64, np.dtype("uint8"), np.int16]
)
def test_dtypes_like_keras(dtype: Any) -> None:
    keras = pytest.importorskip("keras")
    assert lumbre.utils.standardize_dtype(dtype) == keras.utils.standardize_dtype(dtype)
    for name in ("is_float_dtype", "is_int_dtype"):
        assert getattr(lumbre.backend, name)(dtype) == getattr(keras.backend, name)(dtype)


def test_what_is_no_dtype() -> None:
    class Foreign:  # as PyTorch's look
        def __str__(self) -> str:
            return "torch.float16"

    assert lumbre.utils.standardize_dtype(Foreign()) == "float16"
    for bad in ("float3", "complex64", object, [1]):
        with pytest.raises(ValueError, match="Invalid dtype: "):
            lumbre.utils.standardize_dtype(bad)


def test_sources_of_a_symbolic_tensor() -> None:
    a, b, c = (lumbre.Input((3,), name=name) for name in "abc")
    deep = a
    for _ in range(3000):  # deeper than Python's stack
        deep = deep + 1
    y = lumbre.layers.Add()([b, lumbre.layers.Concatenate()([deep, a])[:, :3]])
    assert [t.name for t in lumbre.utils.get_source_inputs(y)] == ["b", "a"]
    assert lumbre.utils.get_source_inputs(c) == [c]
    assert lumbre.utils.get_source_inputs(5) == 5
    assert lumbre.utils.is_keras_tensor(y) and not lumbre.utils.is_keras_tensor(lumbre.ops.ones(2))


def test_unsafe_deserialization_is_asked_for() -> None:
    assert not config.is_unsafe_deserialization_enabled()
    config.enable_unsafe_deserialization()
    assert config.is_unsafe_deserialization_enabled()


def test_import_is_silent() -> None:
    assert script("import lumbre") == ""
