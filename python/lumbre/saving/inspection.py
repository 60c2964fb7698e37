"""What is in a file, told without building anything: `lumbre inspect FILE`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from lumbre.saving import lumbre_file, state
from lumbre.saving.errors import FileFormatError, shown
from lumbre.saving.safetensors import Reader

_MARKS = {True: "hash OK", False: "DAMAGED", None: "no hash"}


def inspect_lumbre(path: Any) -> Iterator[str]:
    """The lines about a `.lumbre` or `.safetensors` file.

    Raises:
        FileFormatError: Its header is not what it should be.
    """
    whole = os.fsdecode(path).lower().endswith(".lumbre")
    with lumbre_file.open_lumbre(path) if whole else Reader(path) as reader:
        yield f"{reader.path}: {reader.size:,} bytes, {len(reader.entries)} tensors"
        if "lumbre.version" in reader.metadata:
            version, layout = reader.metadata["lumbre.version"], reader.metadata.get("lumbre.format")
            yield f"written by lumbre {printable(version)}, layout {printable(layout)}"
        document = lumbre_file.model_document(reader) if whole else None
        if document is not None:
            yield from outline(document["config"])
        elif whole:
            yield "weights only"
        yield ""
        yield from _tensors(reader)


def inspect_checkpoint(path: str) -> Iterator[str]:
    """The lines about a folder with a checkpoint of training.

    Raises:
        FileFormatError: A file in it is damaged.
    """
    from lumbre.saving import checkpoint  # what it imports takes some ms, and few need it

    if not checkpoint.is_checkpoint(path):
        raise FileFormatError(path, "this folder is no checkpoint: it has no manifest.json")
    state = checkpoint.read_state(path)
    where = state.get("position") if isinstance(state, dict) else None
    where = where if isinstance(where, dict) else {}
    step, epoch, batches = (printable(where.get(key)) for key in ("step", "epoch", "batches"))
    yield f"{shown(path)}: a checkpoint of training, after {step} batches of epoch {epoch} (counted from 0)"
    yield f"batches done: {batches}"
    yield ""
    with Reader(checkpoint.tensors_of(path), hashed=True) as reader:
        yield from _tensors(reader)


def _tensors(reader: Reader) -> Iterator[str]:
    names = sorted(reader.entries, key=lambda name: (name.startswith("@"), reader.entries[name].start))
    width = max((len(name) for name in names), default=0)
    damaged = 0
    for name in names:
        entry, intact = reader.entries[name], reader.intact(name)
        damaged += intact is False
        shape = "×".join(map(str, entry.shape)) or "scalar"
        size = f"{entry.dtype:9} {shape:14} {entry.nbytes:>14,} bytes"
        yield f"{printable(name):{min(width, 60)}}  {size}  {_MARKS[intact]}"
    weights = [e for name, e in reader.entries.items() if not name.startswith("@")]
    others = [(state.OPTIMIZER, "optimizer"), (state.SEEDS, "random generators")]
    sizes = [f"weights {sum(e.nbytes for e in weights):,}"]
    for prefix, what in others:
        found = [e.nbytes for name, e in reader.entries.items() if name.startswith(prefix)]
        if found:
            sizes.append(f"{what} {sum(found):,}")
    yield f"bytes: {', '.join(sizes)}"
    if damaged:
        yield f"{damaged} of {len(names)} tensors are damaged"


def outline(config: Any) -> Iterator[str]:
    """The lines about a model: its layers, indented, and how it was compiled."""
    yield from _layers(config, 0)
    compiled = config.get("compile_config") if isinstance(config, dict) else None
    if isinstance(compiled, dict):
        for what in ("optimizer", "loss", "metrics"):
            if compiled.get(what) is not None:
                yield f"{what}: {_object(compiled[what])}"


def _layers(config: Any, depth: int) -> Iterator[str]:
    if not isinstance(config, dict) or depth > 50:
        return
    inner = config.get("config")
    inner = inner if isinstance(inner, dict) else {}
    registered = config.get("registered_name")
    own = (
        f" (registered as {printable(registered)})"
        if isinstance(registered, str) and ">" in registered
        else ""
    )
    name = f"{printable(config.get('class_name'))} {printable(inner.get('name'))!r}"
    yield f"{'  ' * depth}{name}{own}{_options(inner)}"
    layers = inner.get("layers")
    for layer in layers if isinstance(layers, list) else []:
        yield from _layers(layer, depth + 1)


def _options(config: dict[str, Any]) -> str:
    shown = (
        "units",
        "activation",
        "rate",
        "batch_shape",
        "axis",
        "filters",
        "kernel_size",
        "input_dim",
        "output_dim",
    )
    found = [f"{key}={_object(config[key])}" for key in shown if config.get(key) is not None]
    return f": {', '.join(found)}" if found else ""


def _object(value: Any) -> str:
    """A config in few words."""
    if isinstance(value, dict) and "class_name" in value:
        inner = value.get("config")
        if not isinstance(inner, dict):
            return printable(inner)
        plain = [f"{k}={v}" for k, v in inner.items() if type(v) in (int, float, bool) and len(str(v)) < 30]
        return printable(f"{value['class_name']}({', '.join(plain)})")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_object(part) for part in value[:20])}]"
    return printable(value)


def printable(value: Any) -> str:
    """A value out of a file as text that does nothing to a terminal."""
    text = str(value)
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:201])
    return text if len(text) <= 200 else f"{text[:197]}..."
