"""Lumbre's own files: `.lumbre`, which is a file of tensors in the safetensors format.

The header's metadata says what it is: `lumbre.format`, the version of this layout; `lumbre.version`, of the
package that wrote it; and for a whole model `lumbre.model`, its config in JSON. The tensors are the weights
by path and, for a whole model, the optimizer's Variables and the states of random generators
(`saving/state.py`).
"""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lumbre.autograd import FLOATS
from lumbre.layers.context import Budget, context
from lumbre.models import Model
from lumbre.registration import CustomObjectScope
from lumbre.saving import state, strict_json
from lumbre.saving.errors import FileFormatError, shown
from lumbre.saving.safetensors import Reader, save_file
from lumbre.serialization import deserialize_keras_object, serialize_keras_object, sharing
from lumbre.tensor import Variable
from lumbre.training import arguments
from lumbre.wording import listed

FORMAT = "1"
_FORMAT, _VERSION, _MODEL = "lumbre.format", "lumbre.version", "lumbre.model"

# ------------------------------------------------------------------------------------------------- writing


def save_model(model: Any, path: Any) -> None:
    """Writes a model into a `.lumbre` file: config, weights, optimizer, random generators.

    Raises:
        TypeError: A part of the model has no `get_config`.
        ValueError: A part is a lambda.
        OSError: The file cannot be written; what was there before is unchanged.
    """
    with sharing():
        config = serialize_keras_object(model)
    document = {
        "config": config,
        "training": {"nan_policy": model.nan_policy, "excluded_from_decay": state.excluded_from_decay(model)},
    }
    tensors = {**state.weights(model), **state.seeds(model), **state.optimizer_state(model)}
    save_file(tensors, path, {**_marks(), _MODEL: json.dumps(document, separators=(",", ":"))})


def save_weights(model: Any, path: Any) -> None:
    """Writes the weights of a model, or of a layer, into a file.

    Raises:
        OSError: The file cannot be written; what was there before is unchanged.
    """
    save_file(state.weights(model), path, _marks())


def _marks() -> dict[str, str]:
    import lumbre

    return {_FORMAT: FORMAT, _VERSION: lumbre.__version__}


# ------------------------------------------------------------------------------------------------- reading


def open_lumbre(path: Any) -> Reader:
    """A `.lumbre` file with its header checked.

    Raises:
        FileFormatError: It is not what it should be.
    """
    reader = Reader(path, hashed=True)
    found = reader.metadata.get(_FORMAT)
    if found != FORMAT:
        reader.close()
        what = (
            "it was not written by Lumbre"
            if found is None
            else f"it has the layout {found!r}, and 1 is known here"
        )
        raise FileFormatError(path, what)
    return reader


def model_document(reader: Reader) -> dict[str, Any] | None:
    """What a file says of the model; None where it has weights only.

    Raises:
        FileFormatError: It is not the description of a model.
    """
    text = reader.metadata.get(_MODEL)
    if text is None:
        return None
    document = strict_json.parse(text.encode("utf-8", "surrogatepass"), reader.path, f"the header's {_MODEL}")
    training = document.get("training") if isinstance(document, dict) else None
    if (
        not isinstance(training, dict)
        or not isinstance(document.get("config"), dict)
        or not isinstance(training.get("excluded_from_decay"), list)
        or training.get("nan_policy") not in (None, *arguments.POLICIES)
    ):
        raise FileFormatError(reader.path, f"the header's {_MODEL} does not describe a model")
    return document  # type: ignore[no-any-return]


def load_model(path: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True) -> Any:
    """Reads a model from a `.lumbre` file.

    Args:
        path: The file.
        custom_objects: Classes and functions of your own by name.
        compile: Whether the model is compiled as it was, with the state of its optimizer.
        safe_mode: Accepted as in Keras; a file holds no code that could be run.

    Raises:
        FileFormatError: The file is not what it should be, or damaged.
        ValueError: A class is not known, or the tensors do not fit the model.
        OSError: It cannot be read.
    """
    with open_lumbre(path) as reader:
        document = model_document(reader)
        if document is None:
            raise ValueError(
                f"{shown(path)} holds weights only: build the model and call `model.load_weights`, or save "
                "a whole model with `model.save`"
            )
        config = document["config"]
        compile_config = config.pop("compile_config", None)
        with _describing(path), CustomObjectScope(custom_objects), sharing(), _budget(reader):
            model = deserialize_keras_object(config, safe_mode=safe_mode)
            if not isinstance(model, Model):
                raise FileFormatError(path, f"its config describes no model, but {type(model)}")
        _load(model, reader, state.weights(model), _weights_in(reader))
        _load(model, reader, state.seeds(model), _within(reader, state.SEEDS))
        if compile and compile_config:
            with _describing(path), CustomObjectScope(custom_objects), sharing():
                model.compile_from_config(compile_config)
            _load_training(model, reader, document["training"])
    return model


def _load_training(model: Any, reader: Reader, training: Mapping[str, Any]) -> None:
    slots = _within(reader, state.OPTIMIZER)
    model.__dict__["nan_policy"] = training.get("nan_policy")
    with _describing(reader.path):
        if model.optimizer is None or not model.__dict__.get("compiled"):
            return
        if training["excluded_from_decay"]:
            by_path = state.weights(model)
            excluded = [by_path[path] for path in training["excluded_from_decay"] if path in by_path]
            model.optimizer.exclude_from_weight_decay(var_list=excluded)
        if slots and not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
    if slots:
        _load(model, reader, state.optimizer_state(model), slots)


@contextlib.contextmanager
def _budget(reader: Reader) -> Iterator[None]:
    """Weights that are made within take no more memory than the file has bytes of tensors."""
    before = context.budget
    context.budget = Budget(sum(e.nbytes for e in reader.entries.values()))
    try:
        yield
    finally:
        context.budget = before


@contextlib.contextmanager
def _describing(path: Any) -> Iterator[None]:
    """Names the file in an error about its config."""
    try:
        yield
    except FileFormatError:
        raise
    except ValueError as error:
        raise ValueError(f"{shown(path)}: {error}") from error
    except (TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        text = str(error) if isinstance(error, TypeError) else f"{type(error).__name__}: {error}"
        raise FileFormatError(path, f"its config does not describe a model: {text}") from error


def load_weights(model: Any, path: Any, skip_mismatch: bool = False) -> None:
    """Sets the weights of a model, or of a layer, from a file with weights or a whole model.

    Args:
        model: The model, built.
        path: The file.
        skip_mismatch: Whether weights that are missing, or have another shape, are left as they are, with a
            warning.

    Raises:
        FileFormatError: The file is not what it should be, or damaged; nothing has changed then.
        ValueError: Weights are missing, are too many, or have another shape; nothing has changed then.
        OSError: It cannot be read.
    """
    with open_lumbre(path) as reader:
        _load(model, reader, state.weights(model), _weights_in(reader), skip_mismatch)


def load_safetensors(model: Any, path: Any, skip_mismatch: bool = False) -> None:
    """As `load_weights`, from a file that may have been written elsewhere, without hashes."""
    with Reader(path) as reader:
        _load(model, reader, state.weights(model), _weights_in(reader), skip_mismatch)


def _weights_in(reader: Reader) -> list[str]:
    return [name for name in reader.entries if not name.startswith("@")]


def _within(reader: Reader, prefix: str) -> list[str]:
    return [name for name in reader.entries if name.startswith(prefix)]


def _load(
    model: Any, reader: Reader, places: Mapping[str, Any], names: Iterable[str], skip_mismatch: bool = False
) -> None:
    """Puts tensors of a file where they belong, once it is sure that all fit and are intact."""
    names = list(names)
    own = {path: layer for path, layer in state.layers_by_path(model).items() if state.saves_itself(layer)}
    taken = {name: path for name in names if (path := name.rpartition("/")[0]) in own}
    places = {name: v for name, v in places.items() if isinstance(v, Variable)}
    fitting, problems = _compare(reader, places, [n for n in names if n not in taken])
    if problems:
        text = f"{shown(reader.path)} does not fit the model '{model.name}': {'; '.join(problems)}"
        if not skip_mismatch:
            raise ValueError(text)
        warnings.warn(f"{text}. These were left as they are", stacklevel=4)
    reader.verify([*fitting, *taken])
    for name in fitting:
        _assign(reader, name, places[name])
    for path in dict.fromkeys(taken.values()):
        mine = [name for name, of in taken.items() if of == path]
        own[path].load_own_variables({name.rpartition("/")[2]: reader.read(name) for name in mine})


def _compare(reader: Reader, places: Mapping[str, Variable], names: list[str]) -> tuple[list[str], list[str]]:
    """The names of the tensors that have a place, and what does not fit."""
    problems = []
    missing = [name for name in places if name not in reader.entries]
    extra = [name for name in names if name not in places]
    if missing:
        problems.append(f"the file lacks {listed(missing)}")
    if extra:
        problems.append(f"the model has no {listed(extra)}")
    fitting = []
    for name in names:
        if name not in places:
            continue
        entry, v = reader.entries[name], places[name]
        if entry.shape != v.shape:
            problems.append(f"{name} has shape {entry.shape} in the file and {v.shape} in the model")
        elif entry.dtype != v.dtype and not (entry.dtype in FLOATS and v.dtype in FLOATS):
            problems.append(f"{name} has dtype {entry.dtype} in the file and {v.dtype} in the model")
        else:
            fitting.append(name)
    return fitting, problems


def _assign(reader: Reader, name: str, variable: Variable) -> None:
    """Reads a tensor into a Variable: straight into its memory where that is possible."""
    entry, cell = reader.entries[name], variable.cell
    as_it_lies = entry.dtype == variable.dtype and entry.dtype != "bool" and sys.byteorder == "little"
    if as_it_lies and entry.nbytes and hasattr(cell, "fill"):  # Windows has no `fill`
        cell.fill(reader.fileno(), entry.start)
    else:
        variable.assign(reader.read(name))
