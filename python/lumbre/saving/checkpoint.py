"""Checkpoints of training: a folder for each, of which the newest complete one counts.

    runs/a/checkpoint-000012/
        tensors.safetensors   weights, optimizer slots and every other array
        state.json            everything else
        manifest.json         written last: the sizes and hashes of the other two

A folder is written beside, flushed and renamed, so a process that is killed leaves whole ones only. The
number counts the checkpoints of a run; only the last few are kept.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lumbre.lookup import users_level
from lumbre.saving import atomic, hashing, safetensors, strict_json
from lumbre.saving.errors import FileFormatError, shown

FORMAT = "lumbre checkpoint"
VERSION = 1
_PREFIX = "checkpoint-"
_TENSORS, _STATE, _MANIFEST = "tensors.safetensors", "state.json", "manifest.json"


class Checkpoint(NamedTuple):
    """A checkpoint that was read: its folder, its tensors by name, and its state."""

    path: str
    tensors: dict[str, np.ndarray]
    state: dict[str, Any]


class Packed(NamedTuple):
    """A state that is ready to be written, by another thread: whoever it came from may go on changing it."""

    tensors: dict[str, Any]
    state: Any


def packed(tensors: Mapping[str, Any], state: Mapping[str, Any]) -> Packed:
    """What `write` takes.

    Args:
        tensors: What `safetensors.save_file` takes.
        state: None, booleans, numbers, texts, arrays, and lists, tuples and dicts of them with texts as keys.

    Raises:
        TypeError: The state has something else.
    """
    arrays = dict(tensors)
    return Packed(arrays, pack(state, arrays))


def write(directory: str, content: Packed) -> str:
    """Writes the next checkpoint of a directory, which is made if it is not there; returns its folder.

    Raises:
        OSError: It cannot be written, which leaves the older checkpoints as they were.
    """
    arrays = content.tensors
    text = json.dumps(content.state, separators=(",", ":")).encode("utf-8")
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, f"{_PREFIX}{_next_number(directory):06d}")
    size = len(text) + sum(math.prod(a.shape) * _itemsize(a.dtype) for a in arrays.values())
    with atomic.new_folder(path, size) as folder:
        safetensors.save_file(arrays, os.path.join(folder, _TENSORS))
        Path(folder, _STATE).write_bytes(text)
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "files": {
                _TENSORS: {"bytes": os.path.getsize(os.path.join(folder, _TENSORS)), "tensors": len(arrays)},
                _STATE: {"bytes": len(text), "hash": hashing.digest(text)},
            },
        }
        Path(folder, _MANIFEST).write_text(json.dumps(manifest, indent=1), "utf-8")
    return path


def read(path: str) -> Checkpoint:
    """The checkpoint in a folder, every byte of it checked.

    Raises:
        FileFormatError: It is damaged, or was written by a later version.
        OSError: It cannot be read.
    """
    files = _manifest(path)
    state = _state(path, files)
    tensors = safetensors.load_file(os.path.join(path, _TENSORS), hashed=True)
    if len(tensors) != files[_TENSORS].get("tensors"):
        raise FileFormatError(
            os.path.join(path, _TENSORS), "its number of tensors is not the one in the manifest"
        )
    try:
        return Checkpoint(path, tensors, unpack(state, tensors))
    except (KeyError, TypeError) as error:
        raise FileFormatError(os.path.join(path, _STATE), f"it names no tensor there is: {error}") from error


def read_state(path: str) -> Any:
    """What the JSON in a checkpoint's folder says, checked, with arrays by their names.

    Raises:
        FileFormatError: It is damaged, or was written by a later version.
        OSError: It cannot be read.
    """
    return _state(path, _manifest(path))


def _state(path: str, files: Mapping[str, Mapping[str, Any]]) -> Any:
    """The state whose hash the manifest's `files` name."""
    file = os.path.join(path, _STATE)
    text = Path(file).read_bytes()
    if hashing.digest(text) != files[_STATE].get("hash"):
        raise FileFormatError(file, "it is damaged: its hash is not the one in the manifest")
    return strict_json.parse(text, file, "the state")


def is_checkpoint(path: str) -> bool:
    """Whether a path is the folder of a checkpoint."""
    return os.path.isfile(os.path.join(path, _MANIFEST))


def tensors_of(path: str) -> str:
    """The file with the tensors of a checkpoint."""
    return os.path.join(path, _TENSORS)


def _manifest(path: str) -> dict[str, dict[str, Any]]:
    """The files that the manifest names, which have the sizes that it says."""
    file = os.path.join(path, _MANIFEST)
    manifest = strict_json.parse(Path(file).read_bytes(), file, "the manifest")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise FileFormatError(file, f"this is not the manifest of a {FORMAT}")
    if manifest.get("version") != VERSION:
        raise FileFormatError(
            file, f"the version is {manifest.get('version')!r}, and this is read: {VERSION}"
        )
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(
        isinstance(files.get(name), dict) for name in (_TENSORS, _STATE)
    ):
        raise FileFormatError(file, f"it does not name {_TENSORS} and {_STATE}")
    for name in (_TENSORS, _STATE):
        size = os.path.getsize(os.path.join(path, name))
        if size != files[name].get("bytes"):
            raise FileFormatError(
                os.path.join(path, name),
                f"it has {size:,} bytes, and had {files[name].get('bytes')} when it was written",
            )
    return files


def newest(directory: str) -> Checkpoint | None:
    """The newest complete checkpoint of a directory; None if there is none.

    Damaged ones are skipped with a warning that names them and what is wrong.
    """
    for path in reversed(folders(directory)):
        try:
            return read(path)
        except (OSError, ValueError, KeyError) as error:
            warnings.warn(
                f"the checkpoint {shown(path)} is damaged and skipped: {error}", stacklevel=users_level()
            )
    return None


def folders(directory: str) -> list[str]:
    """The folders of a directory's checkpoints, the newest last."""
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(directory):
            number = name.removeprefix(_PREFIX)
            if name != number and number.isdecimal():
                found.append((int(number), os.path.join(directory, name)))
    return [path for _, path in sorted(found)]


def prune(directory: str, keep: int) -> None:
    """Removes all but the newest checkpoints, and what killed processes left behind."""
    for path in folders(directory)[:-keep]:
        shutil.rmtree(path, ignore_errors=True)
    _remove_leftovers(directory)


def remove(directory: str) -> None:
    """Removes all checkpoints, and the directory if nothing else is in it."""
    for path in folders(directory):
        shutil.rmtree(path, ignore_errors=True)
    _remove_leftovers(directory)
    with contextlib.suppress(OSError):
        os.rmdir(directory)


def _remove_leftovers(directory: str) -> None:
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            if name.startswith(f".{_PREFIX}") and name.endswith(".tmp"):
                atomic.remove_leftovers(os.path.join(directory, name[1:].partition(".")[0]))


def _itemsize(dtype: Any) -> int:
    return 2 if str(dtype) == "bfloat16" else np.dtype(dtype).itemsize


def _next_number(directory: str) -> int:
    existing = folders(directory)
    return int(os.path.basename(existing[-1]).removeprefix(_PREFIX)) + 1 if existing else 1


# Values and arrays as JSON beside tensors. What JSON lacks is a dict with one key that begins with "$".


def pack(value: Any, arrays: dict[str, np.ndarray], place: str = "state") -> Any:
    """The value as JSON has it; its arrays are put into `arrays` under the place where they were found.

    Raises:
        TypeError: There is something that is neither; the message names its place.

    Example:
        >>> arrays = {}
        >>> packed = pack({"best": 0.5, "weights": (np.ones(2), None)}, arrays)
        >>> packed
        {'best': 0.5, 'weights': {'$tuple': [{'$array': 'state/weights/0'}, None]}}
        >>> unpack(packed, arrays)
        {'best': 0.5, 'weights': (array([1., 1.]), None)}
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{place}: the keys of a dict must be texts, got {key!r}")
        packed = {key: pack(v, arrays, f"{place}/{key}") for key, v in value.items()}
        return {"$dict": packed} if any(key.startswith("$") for key in value) else packed
    if isinstance(value, (list, tuple)):
        members = [pack(v, arrays, f"{place}/{i}") for i, v in enumerate(value)]
        return members if isinstance(value, list) else {"$tuple": members}
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        array = array.copy() if array.flags.writeable else array  # which may change before it is written
        if array.dtype.kind in "biuf":
            arrays[place] = array
            return {"$array": place}
    raise TypeError(
        f"{place}: a checkpoint holds None, booleans, numbers, texts, arrays, and lists, tuples and dicts of "
        f"them, got {type(value).__name__}: {value!r}"
    )


def unpack(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """What `pack` was given."""
    if isinstance(value, list):
        return [unpack(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((kind, content),) = value.items()
        if kind == "$array":
            array = arrays[content]
            return array if array.ndim else array[()]
        if kind == "$tuple":
            return tuple(unpack(v, arrays) for v in content)
        if kind == "$dict":
            value = content
    return {key: unpack(v, arrays) for key, v in value.items()}
