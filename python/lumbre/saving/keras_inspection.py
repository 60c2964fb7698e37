"""What is in Keras's files, told without building anything: rows of `lumbre inspect FILE`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lumbre.saving import strict_json
from lumbre.saving.archive import Archive
from lumbre.saving.errors import shown
from lumbre.saving.h5 import Dataset, Group, Source, open_h5
from lumbre.saving.inspection import outline, printable
from lumbre.saving.keras_file import METADATA, WEIGHTS, read_config, read_weights
from lumbre.saving.legacy_h5 import read_json


def inspect_keras(path: Any) -> Iterator[str]:
    """The lines about a `.keras` archive.

    Raises:
        FileFormatError: It is not what it should be.
    """
    with Archive(path) as archive:
        yield f"{shown(path)}: {archive.size:,} bytes, {len(archive.members)} members"
        if METADATA in archive:
            metadata = strict_json.parse(archive.read(METADATA, 2**20), path, METADATA)
            if isinstance(metadata, dict):
                version, date = (printable(metadata.get(key)) for key in ("keras_version", "date_saved"))
                yield f"Keras's layout of version {version}, saved {date}"
        yield from outline(read_config(archive))
        yield ""
        root = read_weights(archive)
        yield f"{WEIGHTS}: {archive.members[WEIGHTS].file_size:,} bytes, checksum OK"
        yield from _numbers(root)


def inspect_h5(path: Any) -> Iterator[str]:
    """The lines about a `.weights.h5` or `.h5` file.

    Raises:
        FileFormatError: It is not what it should be.
    """
    with open(path, "rb") as file:
        source = Source(file, path)
        root = open_h5(source)
        yield f"{shown(path)}: {source.size:,} bytes"
        config = read_json(root, "model_config", path)
        if config is None:
            yield "weights only"
        else:
            yield f"a whole model, of Keras {printable(root.attribute('keras_version'))}"
            yield from outline({**config, "compile_config": _compiled(root, path)})
        yield ""
        yield from _numbers(root)


def _compiled(root: Group, path: Any) -> dict[str, Any] | None:
    training = read_json(root, "training_config", path)
    return training and {**training, "optimizer": training.get("optimizer_config")}


def _numbers(root: Group) -> Iterator[str]:
    data = [found for found in root.walk() if isinstance(found, Dataset)]
    width = min(max((len(d.path) - 1 for d in data), default=0), 60)
    for d in data:
        shape = "×".join(map(str, d.shape)) or "scalar"
        yield f"{printable(d.path[1:]):{width}}  {d.dtype:9} {shape:14} {d.nbytes:>14,} bytes"
    slots = sum(d.nbytes for d in data if d.path.startswith("/optimizer"))
    more = f", optimizer {slots:,}" if slots else ""
    yield f"bytes: weights {sum(d.nbytes for d in data) - slots:,}{more}"
