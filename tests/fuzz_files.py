"""Throws damaged files at what reads files: `python tests/fuzz_files.py [seconds] [seed]`.

Each try takes a good file, changes some of it, and opens it. Anything but a model with the same weights or a
`ValueError` (which `FileFormatError` is) that names the file is a failure, and so is memory out of
proportion. A change is either of bytes, or of the JSON inside with the hashes set right again, as a file's
author could.

A format is a row of `TARGETS`: a good file, what opens it, and what changes it beside changes of bytes.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import hostile
import lumbre

Change = Callable[[random.Random, bytes], bytes]


class Target(NamedTuple):
    """A kind of file."""

    ending: str
    good: bytes
    open: Callable[[Path], Any]  # returns what must not differ, or raises
    changes: tuple[Change, ...]


MEMORY = 300 << 20  # how much more than at the start the process may take
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        3,
        2**31,
        2**63,
        10**12,
        -(10**30),
        0.5,
        -0.0,
        1e308,
        float("nan"),
        float("inf"),
    ),
    *(
        "",
        "a",
        "relu",
        "Dense",
        "keras.layers",
        "os",
        "float16",
        "x" * 1000,
        "\x00",
        "\x1b[31m",
        "é",
        "__main__",
    ),
    *(
        [],
        [0],
        [[]],
        [None, 2],
        [1] * 50,
        {},
        {"a": 1},
        {"class_name": "Dense", "config": {}},
        hostile.LAMBDA,
    ),
)


def of_bytes(rng: random.Random, data: bytes) -> bytes:
    """Some bits, bytes or pieces are other ones."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if not changed:
            break
        place = rng.randrange(len(changed))
        kind = rng.randrange(6)
        if kind == 0:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[place] = rng.choice((0, 255, 34, 44, 91, 123, rng.randrange(256)))
        elif kind == 2:
            del changed[place : place + rng.choice((1, 4, 100, 10_000))]
        elif kind == 3:
            piece = changed[place : place + rng.choice((1, 8, 200))]
            changed[place:place] = piece * rng.choice((1, 3, 50))
        elif kind == 4:
            changed[place : place + 8] = rng.choice((b"\xff" * 8, b"\0" * 8, rng.randbytes(8)))
        else:
            other = rng.randrange(len(changed))
            changed[place : place + 16], changed[other : other + 16] = (
                changed[other : other + 16],
                changed[place : place + 16],
            )
    return bytes(changed)


def of_json(rng: random.Random, value: Any) -> Any:
    """A copy of a JSON value with some parts replaced, moved, left out or said twice."""
    value = json.loads(json.dumps(value))
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key])

    walk(value)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        node, key = rng.choice(places)
        kind = rng.randrange(5)
        if (isinstance(node, dict) and key not in node) or (isinstance(node, list) and key >= len(node)):
            continue
        if kind <= 1:
            node[key] = rng.choice(VALUES)
        elif kind == 2:
            other, name = rng.choice(places)
            if not isinstance(other, list) and name in other:
                node[key] = json.loads(json.dumps(other[name]))
        elif kind == 3:
            del node[key]
        elif isinstance(node, list):
            node.insert(key, rng.choice([*VALUES, json.loads(json.dumps(node[key]))]))
        else:
            node[rng.choice(("name", "config", "units", "x", "module"))] = rng.choice(VALUES)
    return value


def of_header(rng: random.Random, data: bytes) -> bytes:
    """The header says something else, and its hash is right."""
    header, body = hostile.parts(data)
    changed = of_json(rng, header)
    return hostile.assembled(changed, body, signed=isinstance(changed.get("__metadata__"), dict))


def of_config(rng: random.Random, data: bytes) -> bytes:
    """The model is another one, and the hashes are right."""
    return hostile.signed_config(data, of_json(rng, hostile.document_of(data)))


def open_model(path: Path) -> Any:
    return [w.tobytes() for w in lumbre.saving.load_model(path).get_weights()]


def inspect(path: Path) -> Any:
    list(lumbre.saving.inspect_file(path))


def saved(ending: str, save: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"good{ending}"
        save(path)
        return path.read_bytes()


def targets() -> list[Target]:
    """The kinds of files, with good ones."""
    chain = hostile.small_model()
    a = lumbre.Input((2,), name="a")
    y = lumbre.layers.Dense(2, name="d")(a)
    graph = lumbre.Model({"a": a}, [lumbre.layers.Add()([y, y * 2.0]), y[:, :1]])
    lumbre_files = (of_config, of_header, of_bytes)
    return [
        Target(".lumbre", saved(".lumbre", chain.save), open_model, lumbre_files),
        Target(".lumbre", saved(".lumbre", graph.save), open_model, lumbre_files),
        Target(".lumbre", saved(".lumbre", chain.save), inspect, lumbre_files),
        Target(".safetensors", saved(".safetensors", chain.save_weights), inspect, (of_header, of_bytes)),
    ]


def memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fuzz(seconds: float, seed: int, folder: Path) -> tuple[int, int]:
    """Tries for so long. Returns how many files were opened, and how many of them were refused.

    Raises:
        AssertionError: One did something else.
    """
    kinds = targets()
    start, before, tries, refused = time.monotonic(), memory(), 0, 0
    while time.monotonic() - start < seconds:
        rng = random.Random(f"{seed} {tries}")
        target = rng.choice(kinds)
        data = rng.choice(target.changes)(rng, target.good)
        path = folder / f"fuzz{target.ending}"
        path.write_bytes(data)
        tries += 1
        begun = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                target.open(path)
        except ValueError as error:
            refused += 1
            assert str(path) in str(error), f"try {tries}: the file is not named in: {error}"
        except BaseException:
            (folder / f"failed{target.ending}").write_bytes(data)
            traceback.print_exc()
            raise AssertionError(f"seed {seed}, try {tries}: see failed{target.ending} in {folder}") from None
        assert time.monotonic() - begun < 20, f"seed {seed}, try {tries}: it took too long"
        assert memory() - before < MEMORY, f"seed {seed}, try {tries}: it took too much memory"
    return tries, refused


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    folder = Path(tempfile.mkdtemp(prefix="lumbre-fuzz-"))
    tries, refused = fuzz(seconds, seed, folder)
    print(f"seed {seed}: {tries} files, {refused} refused, {tries - refused} opened")


if __name__ == "__main__":
    main()
