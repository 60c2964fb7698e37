"""Keras's own files: `.keras`, a ZIP archive, and `.weights.h5`, its part with the variables.

A `.keras` archive holds `metadata.json`, `config.json` (the model and how it was compiled) and
`model.weights.h5`. Reading needs nothing but this package; writing needs h5py. The parts are read where they
lie in the archive: nothing is extracted.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

from lumbre.layers.context import Budget, context
from lumbre.layers.layer import Layer
from lumbre.saving import strict_json
from lumbre.saving.archive import Archive
from lumbre.saving.atomic import replacing
from lumbre.saving.errors import FileFormatError, shown
from lumbre.saving.h5 import Group, Source, open_h5
from lumbre.saving.keras_layout import load_state, save_state
from lumbre.serialization import deserialize_keras_object, serialize_keras_object, sharing
from lumbre.utils.extras import require

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
LAYOUT = "3.15.1"
"""The version of Keras whose layout is written."""

_CONFIG_BYTES = 2**26


def h5py_for(path: Any) -> Any:
    """The module h5py, which writing these files needs.

    Raises:
        ImportError: It is not installed; the message has the command that installs it.
    """
    try:
        return require("h5py", "keras", f"writing {shown(path)}")
    except ImportError as error:
        raise ImportError(f"{error}. A `.lumbre` file needs no further package") from error.__cause__


def save_model(model: Any, path: Any) -> None:
    """Writes a model as a `.keras` file, which Keras reads: architecture, variables, optimizer.

    Args:
        model: The model.
        path: The file.

    Raises:
        ImportError: h5py is not installed.
        OSError: It cannot be written; what was there before is unchanged.
    """
    h5py = h5py_for(path)
    with sharing():
        config = json.dumps(serialize_keras_object(model)).encode()
    now = datetime.datetime.now()
    metadata = {"keras_version": LAYOUT, "date_saved": now.strftime("%Y-%m-%d@%H:%M:%S")}
    with replacing(path) as file, _scratch(path) as weights:
        with h5py.File(weights, "w") as h5:
            save_state(model, h5)
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(_entry(METADATA, now), json.dumps(metadata))
            archive.writestr(_entry(CONFIG, now), config)
            weights.seek(0)
            with archive.open(_entry(WEIGHTS, now), "w", force_zip64=True) as member:
                shutil.copyfileobj(weights, member, 2**20)


def _scratch(path: Any) -> Any:
    """A file without a name on the disk where the archive goes."""
    return tempfile.TemporaryFile(dir=os.path.dirname(os.fsdecode(path)) or ".")


def _entry(name: str, now: datetime.datetime) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, now.timetuple()[:6])


def load_model(path: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True) -> Any:
    """Reads a model from a `.keras` file.

    Args:
        path: The file.
        custom_objects: Classes and functions of your own, by name.
        compile: Whether the model is compiled as it was.
        safe_mode: Whether code in the file is refused.

    Raises:
        FileFormatError: The file is not what it should be: the message says where.
        ValueError: A class is not known, or the variables do not fit the model.
        OSError: It cannot be read.
    """
    with Archive(path) as archive:
        config = read_config(archive)
        if not compile:
            config["compile_config"] = None
        weights = read_weights(archive)
        model = model_of(config, path, weights.nbytes, custom_objects, safe_mode)
        load_state(model, weights, what=shown(path))
    return model


def model_of(
    config: Any, path: Any, size: int, custom_objects: Any, safe_mode: bool, what: str = CONFIG
) -> Any:
    """The model that a file describes, built.

    Args:
        config: The config.
        path: The file, for errors.
        size: How many bytes of weights the config may describe: as many as the file has.
        custom_objects: Classes and functions of the user's own, by name.
        safe_mode: Whether code in the file is refused.
        what: What errors call the config.

    Raises:
        FileFormatError: The config is not that of a model.
        TypeError: It does not fit a class.
    """
    before, context.budget = context.budget, Budget(size)
    try:
        with explained(path, what), sharing():
            model = deserialize_keras_object(config, custom_objects, safe_mode)
    finally:
        context.budget = before
    if not isinstance(model, Layer):
        raise FileFormatError(path, f"{what} describes no model, but {type(model).__name__}")
    return model


@contextlib.contextmanager
def explained(path: Any, what: str) -> Iterator[None]:
    """Says of an error which file, and what in it, it came from."""
    try:
        yield
    except (FileFormatError, OSError, ImportError, MemoryError):
        raise
    except TypeError as error:
        raise TypeError(f"{shown(path)}: {what}: {error}") from error
    except ValueError as error:
        raise FileFormatError(path, f"{what}: {error}") from error
    except Exception as error:
        raise FileFormatError(path, f"{what} is not well formed: {type(error).__name__}: {error}") from error


def read_config(archive: Archive) -> dict[str, Any]:
    """What the archive says of the model.

    Raises:
        FileFormatError: It is not there, not JSON, or not a config.
    """
    config = strict_json.parse(archive.read(CONFIG, _CONFIG_BYTES), archive.path, CONFIG)
    if not isinstance(config, dict):
        raise archive.error(f"{CONFIG} is not an object but {type(config).__name__}")
    return config


def read_weights(archive: Archive) -> Group:
    """The root group of the variables in the archive, which is as long readable as that is open."""
    if WEIGHTS not in archive and "model.weights.npz" in archive:
        raise archive.error(
            "the variables are in NumPy's form, which is not read: save the file again with h5"
        )
    return open_h5(archive.source(WEIGHTS))


def save_weights(model: Any, path: Any, *, objects_to_skip: Iterable[Any] | None = None) -> None:
    """Writes the variables of a model, with its optimizer's, as a `.weights.h5` file.

    Args:
        model: The model.
        path: The file.
        objects_to_skip: Layers and the like that are left out.

    Raises:
        ImportError: h5py is not installed.
        OSError: It cannot be written; what was there before is unchanged.
    """
    h5py = h5py_for(path)
    with replacing(path) as file, h5py.File(file, "w") as h5:
        save_state(model, h5, objects_to_skip or ())


def load_weights(
    model: Any, path: Any, skip_mismatch: bool = False, *, objects_to_skip: Iterable[Any] | None = None
) -> None:
    """Sets the variables of a model, and of its optimizer, from a `.weights.h5` or `.keras` file.

    Args:
        model: The model.
        path: The file.
        skip_mismatch: Whether layers that do not fit are left as they are, with a warning.
        objects_to_skip: Layers and the like that are left out.

    Raises:
        FileFormatError: The file is not what it should be: the message says where.
        ValueError: The variables do not fit the model; nothing has changed.
        OSError: It cannot be read.
    """
    with opened(path) as group:
        load_state(model, group, skip_mismatch, objects_to_skip or (), shown(path))


@contextlib.contextmanager
def opened(path: Any) -> Iterator[Group]:
    """The root group of the variables in a `.keras` archive or an HDF5 file.

    Raises:
        FileFormatError: It is neither.
        OSError: It cannot be read.
    """
    if os.fsdecode(path).endswith(".keras"):
        with Archive(path) as archive:
            yield read_weights(archive)
    else:
        with open(path, "rb") as file:
            yield open_h5(Source(file, path))
