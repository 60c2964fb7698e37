"""Models and weights in files: which format a path means, and what is asked before a file is replaced."""

from __future__ import annotations

import errno
import functools
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from lumbre.layers.lambda_layer import Lambda, check_named
from lumbre.saving import inspection, lumbre_file
from lumbre.saving.atomic import check_writable
from lumbre.saving.errors import shown


class Format(NamedTuple):
    """What can be done with files of one kind; None for what cannot.

    `options` are further arguments of its functions for weights, `needs` checks that what writing needs is
    installed.
    """

    ending: str
    save_model: Callable[[Any, Any], None] | None = None
    load_model: Callable[..., Any] | None = None  # (path, custom_objects, compile, safe_mode)
    save_weights: Callable[[Any, Any], None] | None = None
    load_weights: Callable[..., None] | None = None  # (model, path, skip_mismatch)
    inspect_file: Callable[[Any], Iterable[str]] | None = None
    options: frozenset[str] = frozenset()
    needs: Callable[[Any], Any] | None = None


def _of(module: str, name: str) -> Callable[..., Any]:
    """A function of a module that is imported when it is called."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(f"lumbre.saving.{module}"), name)(*args, **kwargs)

    return call


_H5PY = _of("keras_file", "h5py_for")


def _legacy(ending: str) -> Format:
    return Format(
        ending,
        save_model=_of("legacy_h5", "save_model"),
        load_model=_of("legacy_h5", "load_model"),
        load_weights=_of("legacy_h5", "load_weights"),
        inspect_file=_of("keras_inspection", "inspect_h5"),
        options=frozenset({"by_name"}),
        needs=_H5PY,
    )


# An ending that ends with another one comes before it.
FORMATS: tuple[Format, ...] = (
    Format(
        ".lumbre",
        save_model=lumbre_file.save_model,
        load_model=lumbre_file.load_model,
        save_weights=lumbre_file.save_weights,
        load_weights=lumbre_file.load_weights,
        inspect_file=inspection.inspect_lumbre,
    ),
    Format(
        ".safetensors",
        save_weights=lumbre_file.save_weights,
        load_weights=lumbre_file.load_safetensors,
        inspect_file=inspection.inspect_lumbre,
    ),
    Format(
        ".keras",
        save_model=_of("keras_file", "save_model"),
        load_model=_of("keras_file", "load_model"),
        load_weights=_of("keras_file", "load_weights"),
        inspect_file=_of("keras_inspection", "inspect_keras"),
        needs=_H5PY,
    ),
    Format(
        ".weights.h5",
        save_weights=_of("keras_file", "save_weights"),
        load_weights=_of("keras_file", "load_weights"),
        inspect_file=_of("keras_inspection", "inspect_h5"),
        options=frozenset({"objects_to_skip"}),
        needs=_H5PY,
    ),
    _legacy(".h5"),
    _legacy(".hdf5"),
)


def format_of(
    path: Any, what: str, options: Mapping[str, Any] | None = None
) -> tuple[str, Callable[..., Any]]:
    """The path as str, and the function that does `what` with a file of its ending.

    Args:
        path: The path.
        what: The name of one of the functions of `Format`.
        options: Further arguments, which become those of the function; those that are None are left out.

    Raises:
        ValueError: No format has that ending, or it cannot do that, or takes no such argument.
        TypeError: No format takes such an argument.
        ImportError: Writing needs a package that is not installed.
    """
    path = os.fsdecode(path)
    found = next((f for f in FORMATS if path.lower().endswith(f.ending)), None)
    function = getattr(found, what) if found is not None else None
    if found is None or function is None:
        known = ", ".join(f"`{f.ending}`" for f in FORMATS if getattr(f, what) is not None)
        raise ValueError(
            f"Invalid filepath extension for `{what}`. The endings of files for this are {known}; "
            f"`.lumbre` is Lumbre's own, and needs nothing else. Received: filepath={shown(path)}"
        )
    given = {name: value for name, value in (options or {}).items() if value is not None}
    for name in given:
        takes = [f.ending for f in FORMATS if name in f.options]
        if not takes:
            raise TypeError(f"`{what}` got an unexpected keyword argument '{name}'")
        if name not in found.options:
            raise ValueError(
                f"`{name}` is only for files that end in {' or '.join(takes)}. "
                f"Received: filepath={shown(path)}"
            )
    if found.needs is not None and what.startswith("save"):
        found.needs(path)
    return path, functools.partial(function, **given) if given else function


def save_model(
    model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **options: Any
) -> None:
    """Saves a model: architecture, weights, how it was compiled, and the state of its optimizer.

    The file is written beside, flushed to the disk and renamed: until then an older one stands as it was. It
    holds no code.

    Args:
        model: The model.
        filepath: The file: str, bytes or PathLike. Its ending says the format; `.lumbre` needs nothing else.
        overwrite: Whether an older file is replaced without asking; otherwise a terminal is asked.
        zipped: Accepted as in Keras; None or whatever the format is anyway.
        options: `save_format`, of old scripts, which the ending says anyway.

    Raises:
        ValueError: The ending is not known, or a part of the model is a lambda.
        TypeError: A part of the model has no `get_config`.
        FileExistsError: The file exists, `overwrite` is False, and there is no terminal to ask.
        OSError: The file cannot be written.

    Source: `keras.saving.save_model`.

    Example:
        >>> import lumbre, tempfile
        >>> model = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(2)])
        >>> path = f"{tempfile.mkdtemp()}/m.lumbre"
        >>> model.save(path)
        >>> lumbre.saving.load_model(path).count_params()
        8
    """
    if options.pop("save_format", None) is not None:
        warnings.warn(
            "`save_format` is not needed: the ending says the format", DeprecationWarning, stacklevel=3
        )
    path, save = format_of(filepath, "save_model", options)
    for layer in model._flatten_layers():
        if isinstance(layer, Lambda):
            check_named(layer)
    if _may_write(path, overwrite):
        save(model, path)


def load_model(
    filepath: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """A model from a file that `save_model` wrote; training goes on where it was.

    Classes are never imported by a name in the file: it names Lumbre's own, and those that you registered.

    Args:
        filepath: The file.
        custom_objects: Classes and functions of your own by name.
        compile: Whether the model is compiled as it was, with the state of its optimizer.
        safe_mode: Accepted as in Keras; code in a file is never run.

    Raises:
        ValueError: The ending is not known; the file is not what it should be, or damaged; a class is not
            known.
        FileNotFoundError: There is no such file.
        OSError: It cannot be read.

    Source: `keras.saving.load_model`.

    Example:
        >>> import lumbre, tempfile
        >>> path = f"{tempfile.mkdtemp()}/m.lumbre"
        >>> lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(2)]).save(path)
        >>> lumbre.saving.load_model(path).output_shape
        (None, 2)
    """
    path, load = format_of(filepath, "load_model")
    _check_exists(path)
    return load(path, custom_objects, compile, safe_mode)


def save_weights(
    model: Any, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None, **options: Any
) -> None:
    """Saves the weights of a model, or of a layer, without its architecture.

    Args:
        model: The model, built.
        filepath: The file, whose ending says the format.
        overwrite: Whether an older file is replaced without asking; otherwise a terminal is asked.
        max_shard_size: Must be None: the weights are in one file.
        options: `objects_to_skip`, layers that are left out, for `.weights.h5`.

    Raises:
        ValueError: The ending is not known, or the model is not built, or `max_shard_size` is given.
        FileExistsError: The file exists, `overwrite` is False, and there is no terminal to ask.
        OSError: The file cannot be written.

    Source: `keras.saving.save_weights`.

    Example:
        >>> import lumbre, tempfile
        >>> path = f"{tempfile.mkdtemp()}/w.lumbre"
        >>> model = lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(2)])
        >>> lumbre.saving.save_weights(model, path)
        >>> lumbre.saving.load_weights(model, path)
    """
    if max_shard_size is not None:
        raise ValueError(
            "Weights are written into one file, however large: `max_shard_size` must be None. "
            f"Received: max_shard_size={max_shard_size}"
        )
    path, save = format_of(filepath, "save_weights", options)
    _check_built(model, "saving")
    if _may_write(path, overwrite):
        save(model, path)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, **options: Any) -> None:
    """Sets the weights of a model, or of a layer, from a file of weights or of a whole model.

    Args:
        model: The model, built.
        filepath: The file.
        skip_mismatch: Whether weights that are missing or have another shape are left as they are, with a
            warning.
        options: `objects_to_skip`, layers that are left out, for `.weights.h5`; `by_name`, whether layers get
            the weights of those of their names, for `.h5`.

    Raises:
        ValueError: The ending is not known; the file is not what it should be, or damaged; it does not fit
            the model, or the model is not built. Nothing has changed then.
        FileNotFoundError: There is no such file.
        OSError: It cannot be read.

    Source: `keras.saving.load_weights`.

    Example:
        >>> import lumbre, tempfile
        >>> layer = lumbre.layers.Dense(2)
        >>> layer.build((None, 3))
        >>> path = f"{tempfile.mkdtemp()}/w.safetensors"
        >>> lumbre.saving.save_weights(layer, path)
        >>> lumbre.saving.load_weights(layer, path)
    """
    path, load = format_of(filepath, "load_weights", options)
    _check_exists(path)
    _check_built(model, "loading")
    load(model, path, skip_mismatch)


def inspect_file(filepath: Any) -> Iterable[str]:
    """What is in a file, as lines of text, without building anything: what `lumbre inspect FILE` prints.

    Args:
        filepath: The file, or the folder of a checkpoint.

    Raises:
        ValueError: The ending is not known, or the file is not what it should be.
        FileNotFoundError: There is no such file.

    Example:
        >>> import lumbre, tempfile
        >>> path = f"{tempfile.mkdtemp()}/w.lumbre"
        >>> lumbre.Sequential([lumbre.Input((3,)), lumbre.layers.Dense(2)]).save_weights(path)
        >>> for line in list(lumbre.saving.inspect_file(path))[2:]:
        ...     print(line)
        weights only
        <BLANKLINE>
        layers/dense/kernel  float32   3×2                        24 bytes  hash OK
        layers/dense/bias    float32   2                           8 bytes  hash OK
        bytes: weights 32
    """
    if os.path.isdir(os.fsdecode(filepath)):
        return inspection.inspect_checkpoint(os.fsdecode(filepath))
    path, inspect = format_of(filepath, "inspect_file")
    _check_exists(path)
    found: Iterable[str] = inspect(path)
    return found


def _check_built(model: Any, doing: str) -> None:
    if not model.built:
        raise ValueError(
            f"You are {doing} weights of a model that has not yet been built. Try building the model first "
            "by calling it on some data or by using `build()`."
        )


def _check_exists(path: str) -> None:
    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, "File not found: there is no such file", path)


def _may_write(path: str, overwrite: bool) -> bool:
    """Whether the file is to be written; says why it cannot before any work is done for it."""
    check_writable(path)
    if overwrite or not os.path.exists(path):
        return True
    if not (sys.stdin is not None and sys.stdin.isatty()):
        raise FileExistsError(
            errno.EEXIST,
            "the file exists, and there is no terminal to ask whether to replace it: overwrite=True",
            path,
        )
    answer = ""
    while answer not in ("y", "n"):
        answer = input(f"[WARNING] {shown(path)} already exists - overwrite? [y/n]").strip().lower()
    return answer == "y"
