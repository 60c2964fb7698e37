"""Lumbre under TensorFlow's and Keras's names, and what is said of names that are not there."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
from typing import Any

import pytest

import lumbre
from lumbre import absent
from processes import script

MODULES = [
    name
    for name in sorted(sys.modules)
    if name.startswith("lumbre.") and "._" not in name and not name.startswith("lumbre.keras")
]


def test_one_package_under_two_names() -> None:
    import lumbre as tf
    import lumbre.keras.layers
    import lumbre.keras.models as models
    from lumbre.keras import backend as K
    from lumbre.keras import layers, regularizers
    from lumbre.keras.layers import Dense
    from lumbre.keras.models import Sequential
    from lumbre.keras.optimizers.schedules import ExponentialDecay

    assert tf.keras.layers.Dense is Dense is lumbre.layers.Dense is lumbre.keras.layers.Dense
    assert Sequential is lumbre.Sequential is models.Sequential is tf.keras.Sequential
    assert layers is lumbre.layers and regularizers is lumbre.regularizers and K is lumbre.backend
    assert ExponentialDecay is lumbre.optimizers.schedules.ExponentialDecay
    assert tf.keras.Variable is tf.Variable is lumbre.Variable


@pytest.mark.parametrize("name", MODULES)
def test_every_module_is_the_same_object(name: str) -> None:
    alias = name.replace("lumbre.", "lumbre.keras.", 1)
    assert importlib.import_module(alias) is sys.modules[name]
    assert sys.modules[name].__spec__.name == name and sys.modules[name].__name__ == name


def test_functions_named_like_their_modules_stay() -> None:
    from lumbre.keras.capture import Tracked
    from lumbre.keras.profile import profile

    assert isinstance(Tracked, type) and callable(lumbre.capture) and lumbre.profile is profile


def test_the_alias_comes_first() -> None:
    """In a process whose first import is below the alias."""
    code = "from lumbre.keras.layers import Dense; import lumbre; print(Dense is lumbre.layers.Dense)"
    assert script(code) == "True"
    assert (
        script("import lumbre.keras as keras; print(keras.layers.Dense.__module__)") == "lumbre.layers.core"
    )


def test_a_script_for_tf_keras_runs() -> None:
    code = """
import numpy as np
import lumbre as tf
from lumbre.keras import backend as K
from lumbre.keras.models import Sequential
from lumbre.keras.layers import Dense, Dropout
from lumbre.keras.optimizers import Adam
from lumbre.keras.callbacks import EarlyStopping

tf.keras.utils.set_random_seed(1)
tf.random.set_seed(1)

def rmse(y_true, y_pred):
    return K.sqrt(K.mean(K.square(y_true - y_pred), axis=-1))

x = np.random.rand(256, 4).astype(K.floatx())
model = Sequential([Dense(16, activation="relu", input_shape=(4,)), Dropout(0.1), Dense(1)])
model.compile(optimizer=Adam(0.01), loss=rmse, metrics=["mae"])
history = model.fit(x, x.sum(1), epochs=30, verbose=0, callbacks=[EarlyStopping(monitor="loss", patience=30)])
print(history.history["loss"][-1] < 0.2 * history.history["loss"][0], model.count_params())
"""
    assert script(code) == "True 97"


ELSEWHERE = {
    "tf.function": "lumbre.capture",
    "tf.reduce_mean": "lumbre.ops.mean",
    "tf.reduce_sum": "lumbre.ops.sum",
    "tf.constant": "lumbre.ops.convert_to_tensor",
    "tf.cast": "lumbre.ops.cast",
    "tf.matmul": "lumbre.ops.matmul",
    "tf.square": "lumbre.ops.square",
    "tf.math": "lumbre.ops",
    "tf.nn": "lumbre.activations",
    "tf.float32": "lumbre.ops.cast(x, 'float32')",
    "tf.distribute": "lumbre.set_num_threads",
    "tf.config.list_physical_devices": "lumbre.get_num_threads()",
    "tf.config.run_functions_eagerly": "run_eagerly=True",
    "tf.keras.applications": "downloaded",
    "tf.keras.mixed_precision": "float32",
    "tf.keras.backend.learning_phase": "training",
    "tf.keras.backend.function": "lumbre.capture",
    "tf.keras.utils.model_to_dot": "lumbre.utils.plot_model",
    "tf.keras.layers.Danse": "Did you mean 'Dense'?",
    "tf.keras.layers.dropout": "Did you mean 'Dropout'?",
    "tf.keras.losses.MeanSquareError": "Did you mean 'MeanSquaredError'?",
    "tf.keras.callbacks.EarlyStoping": "Did you mean 'EarlyStopping'?",
    "tf.clip_by_value": "lumbre.ops.clip",
    "tf.clip_by_global_norm": "global_clipnorm",
    "tf.keras.layer": "Did you mean 'layers'?",
    "tf.keras.layers.Something": "`dir(lumbre.layers)`",
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_not_here_names_what_is(name: str) -> None:
    path, _, last = name.rpartition(".")
    owner: Any = lumbre
    for part in path.split(".")[1:]:
        owner = getattr(owner, part)
    with pytest.raises(AttributeError) as caught:
        getattr(owner, last)
    assert ELSEWHERE[name] in str(caught.value)
    assert caught.value.name == last
    assert not hasattr(owner, last) and getattr(owner, last, 3) == 3


IMPORTS = {
    "from lumbre.keras.layers import Danse": "Did you mean 'Dense'?",
    "from lumbre.layers import Danse": "Did you mean 'Dense'?",
    "from lumbre import reduce_mean": "use `lumbre.ops.mean`",
    "import lumbre.keras.applications": "pretrained networks would have to be downloaded",
    "from lumbre.keras.applications import VGG16": "pretrained networks would have to be downloaded",
    "from lumbre.keras.applications.vgg16 import VGG16": "pretrained networks would have to be downloaded",
    "from lumbre.keras import applications": "pretrained networks would have to be downloaded",
    "import lumbre.python.framework": "'lumbre' has neither a module nor a name 'python'",
    "from lumbre.keras.layer import Dense": "Did you mean 'layers'?",
}


@pytest.mark.parametrize("statement", IMPORTS)
def test_imports_of_what_is_not_here(statement: str) -> None:
    with pytest.raises(ImportError, match=re.escape(IMPORTS[statement])):
        exec(statement, {})


def test_short_names_of_losses() -> None:
    for short, name in (
        ("mse", "mean_squared_error"),
        ("MAE", "mean_absolute_error"),
        ("kld", "kl_divergence"),
    ):
        function = getattr(lumbre.losses, name)
        assert getattr(lumbre.losses, short) is function and getattr(lumbre.metrics, short) is function
    assert lumbre.losses.logcosh is lumbre.losses.log_cosh


def test_modules_within_a_family_are_no_hints() -> None:
    assert "'normalization'" not in absent.message("lumbre.layers", "Normalization")


def test_attributes_of_older_keras() -> None:
    model = lumbre.Sequential([lumbre.Input((2,)), lumbre.layers.Dense(1)])
    model.compile("sgd", "mse")
    for owner, name, instead in (
        (model, "fit_generator", "use `fit`"),
        (model, "predict_classes", "argmax"),
        (model.optimizer, "lr", "use `learning_rate`"),
    ):
        with pytest.raises(AttributeError, match=instead):
            getattr(owner, name)
        with pytest.raises(AttributeError, match=instead):
            setattr(owner, name, 0.1)
        assert not hasattr(owner, name)

    class Own(lumbre.Model):
        def __init__(self) -> None:
            super().__init__()
            self.predict_proba = 3

    assert Own().predict_proba == 3


def test_probing_goes_on_working() -> None:
    """What asks for a module that may be missing gets Python's own answers."""
    assert importlib.util.find_spec("lumbre.layers.__main__") is None
    assert importlib.util.find_spec("lumbre.layers.core") is not None
    assert not hasattr(lumbre, "__path_of_nothing__")
    with pytest.raises(ImportError):
        importlib.import_module("lumbre.nothing")
    with pytest.raises(ModuleNotFoundError, match="No module named 'lumbrera'"):
        importlib.import_module("lumbrera")
    done = subprocess.run(
        [sys.executable, "-m", "lumbre.layers"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "cannot be directly executed" in done.stderr


def test_the_old_place_of_functions_for_data() -> None:
    """What `lumbre.utils` has of these, it has under the old names too, and nothing else is there."""
    from lumbre.keras.preprocessing import sequence

    for place, name in (
        (sequence, "pad_sequences"),
        (lumbre.preprocessing, "text_dataset_from_directory"),
        (lumbre.preprocessing, "timeseries_dataset_from_array"),
        (lumbre.preprocessing, "image_dataset_from_directory"),
    ):
        assert getattr(place, name, None) is getattr(lumbre.utils, name, None)
    assert not hasattr(sequence, "Progbar") and not hasattr(lumbre.preprocessing, "Progbar")
    with pytest.raises(ImportError, match=r"`pad_sequences` of `lumbre\.utils` makes them equally long"):
        exec("from lumbre.keras.preprocessing.text import Tokenizer", {})
    with pytest.raises(AttributeError, match="the layers for images"):
        lumbre.keras.preprocessing.image  # noqa: B018


def test_star_imports() -> None:
    names: dict[str, Any] = {}
    exec("from lumbre.keras.layers import *\nfrom lumbre.keras import *", names)
    assert names["Dense"] is lumbre.layers.Dense and names["layers"] is lumbre.layers


def test_the_table_tells_the_truth() -> None:
    """Each entry is of a name that is not there, and sends nobody to one that is not there either."""
    for module, names in absent._INSTEAD.items():
        if module not in sys.modules:
            continue
        for name, text in names.items():
            assert name not in vars(sys.modules[module]), f"{module}.{name} exists now: drop its line"
            for path in re.findall(r"`lumbre\.([\w.]+)", text):
                found: Any = lumbre
                for part in path.split("."):
                    found = getattr(found, part)


def test_the_top_level_is_keras_s() -> None:
    keras = pytest.importorskip("keras")
    classes = {name for name in dir(keras) if name[0].isupper()}
    elsewhere = {"FloatDTypePolicy", "Quantizer", "RematScope", "SymbolicScope"}
    assert classes - elsewhere <= set(lumbre.__all__)
    assert lumbre.version() == lumbre.__version__
