"""What to say of names that are not here: TensorFlow's, old Keras's, and misspelt ones.

A module whose attribute is missing asks `message`, and so does an import of a module that is missing. Only
names that people are known to look for have an entry; a name that another library has and `lumbre.ops` has
too is found there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from lumbre.lookup import did_you_mean

_DOWNLOADS = "pretrained networks would have to be downloaded; build the network, and load weights"
_STRINGS = "dtypes are named by strings, as in `lumbre.ops.cast(x, {0!r})`"

_INSTEAD: dict[str, dict[str, str]] = {
    "lumbre": {
        # TensorFlow's top level, for scripts that begin with `import lumbre as tf`.
        "Module": "use `lumbre.Layer`",
        "TensorShape": "shapes are tuples",
        "TensorSpec": "use `lumbre.Input`",
        "add_n": "use `lumbre.ops.add`, or Python's `sum`",
        "boolean_mask": "index with a NumPy mask, or use `lumbre.ops.where`",
        "clip_by_global_norm": "give the optimizer `global_clipnorm`",
        "clip_by_norm": "give the optimizer `clipnorm`",
        "clip_by_value": "use `lumbre.ops.clip`",
        "compat": "there is one version only",
        "concat": "use `lumbre.ops.concatenate`",
        "constant": "use `lumbre.ops.convert_to_tensor`",
        "distribute": "everything runs on one CPU; `lumbre.set_num_threads` says how many of its cores",
        "executing_eagerly": "what is not captured by `lumbre.capture` runs eagerly",
        "function": "use `lumbre.capture`, which makes a step fast by recording it; `fit` does so itself",
        "gather": "use `lumbre.ops.take`",
        "gradients": "use `lumbre.grad(loss, variables)` or `lumbre.GradientTape`",
        "image": "use `lumbre.ops`",
        "io": "use Python's `open` and `pathlib`",
        "linalg": "use `lumbre.ops`, as in `lumbre.ops.matmul`",
        "math": "use `lumbre.ops`, as in `lumbre.ops.log`",
        "newaxis": "use None",
        "nn": "use `lumbre.ops`, as in `lumbre.ops.softmax`, or `lumbre.activations`",
        "norm": "use `lumbre.ops.sqrt(lumbre.ops.sum(lumbre.ops.square(x)))`",
        "numpy_function": "call it between steps, or on the data beforehand",
        "placeholder": "use `lumbre.Input`",
        "pow": "use `lumbre.ops.power`",
        "print": "use Python's `print` outside of captured steps, or a metric",
        "py_function": "call it between steps, or on the data beforehand",
        "range": "use `lumbre.ops.arange`",
        "reduce_all": "use `lumbre.ops.all`",
        "reduce_any": "use `lumbre.ops.any`",
        "reduce_max": "use `lumbre.ops.max`",
        "reduce_mean": "use `lumbre.ops.mean`",
        "reduce_min": "use `lumbre.ops.min`",
        "reduce_prod": "use `lumbre.ops.prod`",
        "reduce_sum": "use `lumbre.ops.sum`",
        "saved_model": "use `model.save`",
        "sparse": "give `fit` SciPy's sparse matrices; they are made dense batch by batch",
        "Session": "nothing needs one: call the function, or `model.predict`",
        "strings": "prepare texts in Python",
        "summary": "use `lumbre.callbacks.TensorBoard`",
        "test": "use pytest or unittest",
        "train": "use `lumbre.optimizers` and `lumbre.callbacks`",
        **dict.fromkeys(
            ("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"),
            _STRINGS,
        ),
        # Keras's own.
        "applications": _DOWNLOADS,
        "device_scope": "everything runs on the CPU",
        "distribution": "everything runs on one CPU; `lumbre.set_num_threads` says how many of its cores",
        "estimator": "use `lumbre.Model`",
        "experimental": "nothing here is experimental; look for the name without it",
        "mixed_precision": "there are no kernels for mixed precision; a CPU computes in float32",
        "quantizers": "there are no quantized kernels",
    },
    "lumbre.backend": {
        "function": "use `lumbre.capture`",
        "get_session": "nothing needs one",
        "gradients": "use `lumbre.grad(loss, variables)`",
        "image_dim_ordering": "use `image_data_format`",
        "learning_phase": "a layer is told by the argument `training` of its `call`",
        "manual_variable_initialization": "variables have their values from the start",
        "placeholder": "use `lumbre.Input`",
        "print_tensor": "use Python's `print` outside of captured steps, or a metric",
        "set_learning_phase": "pass `training=True` or `training=False` to the model",
        "set_session": "nothing needs one",
        "tf": "there is no TensorFlow underneath; use `lumbre.ops`",
    },
    "lumbre.config": {
        "experimental": "there are no devices to set up: everything runs on the CPU",
        "list_logical_devices": "everything runs on the CPU",
        "list_physical_devices": "everything runs on the CPU, with `lumbre.get_num_threads()` threads",
        "optimizer": "there is no graph optimizer to set up",
        "run_functions_eagerly": "use `model.compile(..., run_eagerly=True)`",
        "set_visible_devices": "everything runs on the CPU",
        "threading": "use `lumbre.set_num_threads`",
    },
    "lumbre.layers": {
        "BatchNorm": "use `lumbre.layers.BatchNormalization`",
        "DenseFeatures": "use `lumbre.Input` for each column and `lumbre.layers.Concatenate`",
        "Merge": "use `lumbre.layers.Add`, `lumbre.layers.Concatenate` or another of the merging layers",
        "experimental": "nothing here is experimental; look for the name in `lumbre.layers`",
    },
    "lumbre.optimizers": {
        "legacy": "use the optimizer of the same name in `lumbre.optimizers`",
        "experimental": "use the optimizer of the same name in `lumbre.optimizers`",
    },
    "lumbre.preprocessing": {
        "image": "use the layers for images, or prepare images beforehand",
        "text": "prepare texts beforehand; `pad_sequences` of `lumbre.utils` makes them equally long",
    },
    "lumbre.random": {
        "Generator": "use `lumbre.random.SeedGenerator`, and give it to functions as their `seed`",
        "poisson": "draw from `binomial`, or with NumPy",
        "stateless_normal": "use `normal` with an int as its `seed`",
        "stateless_uniform": "use `uniform` with an int as its `seed`",
    },
    "lumbre.saving": {
        "KerasFileEditor": "use `lumbre.saving.inspect_file` to look into a file, and `load_weights` with "
        "`skip_mismatch=True` to take what fits",
    },
    "lumbre.utils": {
        "OrderedEnqueuer": "give `fit` a `lumbre.utils.PyDataset`, which has workers of its own",
        "GeneratorEnqueuer": "give `fit` the generator; it is read in the background",
        "model_to_dot": "use `lumbre.utils.plot_model`, which draws without Graphviz",
        "multi_gpu_model": "everything runs on the CPU",
        "np_utils": "use `lumbre.utils.to_categorical`",
        "vis_utils": "use `lumbre.utils.plot_model`",
    },
}


def message(module: str, name: str, found: str = "module '{}' has no attribute '{}'") -> str:
    """What to say of a name that a module does not have.

    Example:
        >>> message("lumbre", "reduce_mean")
        "module 'lumbre' has no attribute 'reduce_mean': use `lumbre.ops.mean`"
        >>> message("lumbre.losses", "MeanSquareError")
        "module 'lumbre.losses' has no attribute 'MeanSquareError'. Did you mean 'MeanSquaredError'?"
    """
    text = found.format(module, name)
    instead = _INSTEAD.get(module, {}).get(name)
    if instead is None and module == "lumbre" and hasattr(sys.modules.get("lumbre.ops"), name):
        instead = f"use `lumbre.ops.{name}`"
    if instead is not None:
        return f"{text}: {instead.format(name)}"
    return f"{text}.{_nearest(module, name)}"


def _nearest(module: str, name: str) -> str:
    owner = sys.modules.get(module)
    # Modules within a family are not for users: `normalization` is no answer to `Normalization`.
    names = [
        n
        for n in dir(owner)
        if n[0] != "_" and (module == "lumbre" or not isinstance(getattr(owner, n), ModuleType))
    ]
    same = {n.lower(): n for n in names}
    alike = f"{name}s" if f"{name}s" in names else same.get(name.lower())
    if alike is not None:
        return f" Did you mean '{alike}'?"
    return did_you_mean(name, names, cutoff=0.75) or f" `dir({module})` tells what it has"


def attribute_of(module: str) -> Callable[[str], Any]:
    """A `__getattr__` for the module, which is called for names that it does not have."""

    def __getattr__(name: str) -> Any:
        if name.startswith("_"):  # Python asks for many of these, and people for none
            raise AttributeError(f"module '{module}' has no attribute '{name}'", name=name)
        raise AttributeError(message(module, name), name=name)

    return __getattr__


def install(package: ModuleType) -> None:
    """Gives the package's modules their `__getattr__`, those of them that have none."""
    for name, module in list(sys.modules.items()):
        if name == package.__name__ or name.startswith(package.__name__ + "."):
            module.__dict__.setdefault("__getattr__", attribute_of(module.__name__))
