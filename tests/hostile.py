"""Files that mean harm, or were harmed: what opening them does is tested in `test_hostile_files.py`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

import lumbre
from lumbre.saving import hashing

MODEL = "lumbre.model"


def small_model() -> Any:
    """A model of a few numbers, trained for a step."""
    model = lumbre.Sequential(
        [
            lumbre.Input((2,)),
            lumbre.layers.Dense(2, "relu"),
            lumbre.layers.Dropout(0.5),
            lumbre.layers.Dense(1),
        ]
    )
    model.compile(lumbre.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.fit(np.ones((4, 2), "float32"), np.ones((4, 1), "float32"), verbose=0)
    return model


def parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the tensors' bytes of a file."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def assembled(header: Any, body: bytes, signed: bool = True) -> bytes:
    """A file of a header and bytes, with the header's hash set right, as its author would."""
    if isinstance(header, dict) and signed:
        header = {**header, "__metadata__": {**header["__metadata__"], "lumbre.header": "0" * hashing.HEX}}
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    mark = b'"lumbre.header":"'
    if signed and mark in text:
        place = text.index(mark) + len(mark)
        text = text[:place] + hashing.digest(text).encode() + text[place + hashing.HEX :]
    return len(text).to_bytes(8, "little") + text + body


def signed_config(data: bytes, document: Any) -> bytes:
    """The file with another description of the model, and hashes that are right."""
    header, body = parts(data)
    header["__metadata__"][MODEL] = document if isinstance(document, str) else json.dumps(document)
    return assembled(header, body)


def document_of(data: bytes) -> Any:
    return json.loads(parts(data)[0]["__metadata__"][MODEL])


def headers(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Headers that lie."""
    header, body = parts(data)
    name = next(
        n for n, e in header.items() if n != "__metadata__" and e["data_offsets"][0] > 16 and e["shape"]
    )
    entry = header[name]

    def changed(**new: Any) -> bytes:
        return assembled({**header, name: {**entry, **new}}, body)

    start, stop = entry["data_offsets"]
    yield "header length 2^63", (2**63).to_bytes(8, "little") + data[8:]
    yield "header length of all ones", b"\xff" * 8 + data[8:]
    yield "header of the whole file", (len(data) - 8).to_bytes(8, "little") + data[8:]
    yield "empty", b""
    yield "eight bytes", b"\0" * 8
    yield "negative offsets", changed(data_offsets=[-8, stop])
    yield "offsets the wrong way", changed(data_offsets=[stop, start])
    yield "offsets beyond the end", changed(data_offsets=[start, 2**40])
    yield "overlapping", changed(data_offsets=[0, stop - start])
    yield "offsets that are no numbers", changed(data_offsets=["0", "8"])
    yield "offsets that are true", changed(data_offsets=[False, True])
    yield "fractional offsets", changed(data_offsets=[0.5, stop])
    yield "one offset", changed(data_offsets=[start])
    yield "huge shape", changed(shape=[2**62, 2**62])
    yield "shape of huge numbers", changed(shape=[10**400] * 20)
    yield "shape that overflows to the right size", changed(shape=[2**63, 2, entry["shape"][0]])
    yield "negative shape", changed(shape=[-1, -1])
    yield "rank 10,000", changed(shape=[1] * 10_000)
    yield "shape that is no list", changed(shape={"a": 1})
    yield "unknown dtype", changed(dtype="F31")
    yield "dtype that is no text", changed(dtype=["F32"])
    yield "wider dtype", changed(dtype="F64")
    yield "further keys", changed(code="os.system('true')")
    yield "an entry that is a list", assembled({**header, name: [1, 2]}, body)
    yield "metadata that are numbers", assembled({**header, "__metadata__": {"a": 1}}, body)
    yield "metadata in a list", assembled({**header, "__metadata__": []}, body, signed=False)
    yield "no hashes", assembled({k: v for k, v in header.items() if k != "__metadata__"}, body, signed=False)
    yield "a hash of another kind", assembled(_with_hashes(header, dict.fromkeys(_hashes(header), 7)), body)
    yield "hashes in a list", assembled(_with_hashes(header, []), body)
    yield "hash of no tensor", assembled(_with_hashes(header, {**_hashes(header), "x": "0" * 32}), body)
    yield "bytes after the end", data + b"\0"
    yield (
        "a tensor too many",
        assembled({**header, "x": {**entry, "data_offsets": [0, 0], "shape": [0]}}, body),
    )
    text = assembled(header, b"")[8:]
    yield "spaces in the header", assembled(json.dumps(header).encode(), body)
    yield "wrong UTF-8", assembled(text.replace(b'"lumbre.version"', b'"lumbre.v\xff\xfe"'), body)
    quoted = json.dumps(name).encode()
    yield "a name that is no text", assembled(text.replace(quoted, b'"\\ud800"', 1), body)
    yield "a name that paints the terminal", assembled(text.replace(quoted, b'"\\u001b[31m"', 1), body)
    yield "NaN in JSON", assembled(text.replace(b'"shape":[', b'"shape":[NaN,', 1), body)
    yield "infinity in JSON", assembled(text.replace(b'"shape":[', b'"shape":[1e999,', 1), body)
    yield (
        "a number of 5,000 digits",
        assembled(text.replace(b'"shape":[', b'"shape":[' + b"9" * 5000 + b", ", 1), body),
    )
    yield "duplicate keys", assembled(text[:-1] + b', "__metadata__": {}}', body)
    yield "JSON nested 100,000 deep", assembled(b"[" * 100_000 + b"]" * 100_000, b"")
    yield "open brackets only", assembled(b"[" * 100_000, b"")
    yield "objects nested 100,000 deep", assembled(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b"")
    yield "a million tensors", assembled(_many(1_000_000), b"")
    yield "two million lists", assembled(b"[" + b"[]," * 2_000_000 + b"[]]", b"")
    yield "strings that do not end", assembled(b'{"' + b'\\"' * 200_000, b"")
    yield "not JSON", assembled(b"import os; os.system('true')", body)
    yield "a list", assembled(b"[1, 2, 3]", body)
    yield "a pickle", b"\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."
    yield "a ZIP archive", b"PK\x03\x04" + b"\0" * 200


def _hashes(header: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(header["__metadata__"]["lumbre.hashes"])
    return found


def _with_hashes(header: dict[str, Any], hashes: Any) -> dict[str, Any]:
    return {**header, "__metadata__": {**header["__metadata__"], "lumbre.hashes": json.dumps(hashes)}}


def _many(count: int) -> bytes:
    entry = b'":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
    return b"{" + b"".join(b'"%d' % i + entry for i in range(count))[:-1] + b"}"


LAMBDA = {
    "class_name": "__lambda__",
    "config": {"code": "4wEAAAAAAAAAAAAAAAIAAAA=", "defaults": None, "closure": None},
}


def configs(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Descriptions of models that name code, or ask for the impossible; their hashes are right."""
    document = document_of(data)

    def layer(**new: Any) -> bytes:
        changed = json.loads(json.dumps(document))
        changed["config"]["config"]["layers"][1].update(new)
        return signed_config(data, changed)

    def option(**new: Any) -> bytes:
        inner = document["config"]["config"]["layers"][1]["config"]
        return layer(config={**inner, **new})

    def compiled(**new: Any) -> bytes:
        changed = json.loads(json.dumps(document))
        changed["config"]["compile_config"].update(new)
        return signed_config(data, changed)

    yield "os.system as a layer", layer(module="os", class_name="system", registered_name="system")
    yield "builtins.eval as a layer", layer(module="builtins", class_name="eval")
    yield "a function of the os", layer(module="builtins", class_name="function", config="os.system")
    yield "subprocess.Popen", layer(module="subprocess", class_name="Popen", config={"args": ["true"]})
    yield "a dotted path in keras", layer(module="keras.src.utils.file_utils", class_name="get_file")
    yield "a private name of ours", layer(module="lumbre.saving", class_name="__builtins__")
    yield "a module of ours", layer(module="keras", class_name="ops")
    yield "a loss as a layer", layer(module="keras.losses", class_name="MeanSquaredError", config={})
    yield "class name with dots", layer(class_name="Dense.__init__.__globals__")
    yield "class name that is a list", layer(class_name=["Dense"])
    yield "Lambda with bytecode", layer(class_name="Lambda", config={"function": LAMBDA})
    yield "activation of bytecode", option(activation=LAMBDA)
    yield (
        "eval as activation",
        option(activation={"module": "builtins", "class_name": "function", "config": "eval"}),
    )
    yield (
        "initializer of another module",
        option(kernel_initializer={"module": "os", "class_name": "system", "config": {"command": "true"}}),
    )
    yield "a layer of terabytes", option(units=10**12)
    yield "a layer of 10^400 units", option(units=10**400)
    yield "units of text", option(units="many")
    yield "units of NaN", option(units=float("nan"))
    yield "units below zero", option(units=-3)
    yield "unknown option", option(code="import os")
    yield "dtype of objects", option(dtype="object")
    yield "a config that is a list", layer(config=[1, 2])
    yield "no config", signed_config(data, {"training": document["training"]})
    yield "a number", signed_config(data, 3)
    yield "text that is no JSON", signed_config(data, "{")
    yield "description nested 100,000 deep", signed_config(data, "[" * 100_000 + "]" * 100_000)
    yield (
        "models nested 60 deep",
        signed_config(data, {**document, "config": _nested(document["config"], 60)}),
    )
    yield "loss of bytecode", compiled(loss=LAMBDA)
    yield "eval as loss", compiled(loss={"module": "builtins", "class_name": "function", "config": "eval"})
    yield (
        "optimizer of another module",
        compiled(optimizer={"module": "os", "class_name": "system", "config": {}}),
    )
    yield "unknown argument of compile", compiled(code="true")
    yield (
        "an expensive pattern",
        signed_config(
            data,
            {
                **document,
                "training": {"nan_policy": None, "excluded_from_decay": {"names": ["(a+)+$"], "paths": []}},
            },
        ),
    )
    yield (
        "policy of text",
        signed_config(data, {**document, "training": {**document["training"], "nan_policy": "run"}}),
    )


def _nested(config: Any, depth: int) -> Any:
    for _ in range(depth):
        config = {**config, "config": {**config["config"], "layers": [config["config"]["layers"][0], config]}}
    return config


def flipped(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The file with each bit flipped in turn."""
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(damaged)


def fingerprint(model: Any) -> str:
    """All that a model computes with."""
    return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()
