"""The safetensors format: names, dtypes, shapes and bytes, and nothing that could be executed.

A file is 8 bytes with the header's length, the header in JSON, and the tensors' bytes one after the other
(https://github.com/huggingface/safetensors). What is added here stands in the header's metadata, where other
readers leave it alone:

* `lumbre.hashes`: the digest of each tensor (`saving/hashing.py`), as a JSON object;
* `lumbre.header`: the digest of the header itself, taken with zeros in its own place.

Writing goes tensor by tensor, and hashes on the way in other threads. Reading believes nothing: each number
of the header is checked against the file's size before memory is taken for it, and each tensor against its
hash.
"""

from __future__ import annotations

import json
import math
import os
import stat
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Self

import numpy as np

from lumbre.saving import atomic, hashing, strict_json
from lumbre.saving.errors import FileFormatError
from lumbre.wording import short

if TYPE_CHECKING:
    from concurrent.futures import Future

_CODES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "float16": "F16",
    "bfloat16": "BF16",
    "uint32": "U32",
    "int32": "I32",
    "float32": "F32",
    "uint64": "U64",
    "int64": "I64",
    "float64": "F64",
}
_DTYPES = {code: dtype for dtype, code in _CODES.items()}
# Dtypes of the format that tensors here do not have, in bits, so that a file with them can be listed.
_FOREIGN = {"F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4, "C64": 64}
_BITS = {code: 16 if name == "bfloat16" else np.dtype(name).itemsize * 8 for code, name in _DTYPES.items()}
_BITS.update(_FOREIGN)

MAX_HEADER = 100_000_000  # the format's own limit
MAX_RANK = 32
_HASHES, _HEADER = "lumbre.hashes", "lumbre.header"
_NO_DIGEST = "0" * hashing.HEX
_AHEAD = 16  # how many chunks may wait to be hashed


class Entry(NamedTuple):
    """What the header says of a tensor.

    `dtype` is the name of a dtype, or the format's code where tensors here have none such; the tensor's bytes
    are those from `start` to `stop` of the file.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def nbytes(self) -> int:
        return self.stop - self.start


# ------------------------------------------------------------------------------------------ writing


def save_file(tensors: Mapping[str, Any], path: Any, metadata: Mapping[str, str] | None = None) -> None:
    """Writes tensors into a file, which takes the place of an older one when it is complete.

    Args:
        tensors: NumPy arrays of any layout, Variables or tensors by name. Only one at a time is copied, and
            only where its memory is not in the file's order.
        path: Where the file is to be: str, bytes or PathLike.
        metadata: Texts to put into the header.

    Raises:
        TypeError: A tensor has a dtype that the format does not have.
        OSError: The file cannot be written; see `atomic.replacing`.

    Source: https://github.com/huggingface/safetensors

    Example:
        >>> import tempfile
        >>> path = f"{tempfile.mkdtemp()}/a.safetensors"
        >>> save_file({"w": np.ones((2, 3), "float32").T}, path, {"of": "an example"})
        >>> load_file(path)["w"].shape
        (3, 2)
    """
    order = sorted(tensors, key=lambda name: -_BITS[_code(name, tensors[name])])
    sizes = {name: _size(name, tensors[name]) for name in order}
    header = _header(tensors, sizes, metadata or {}, dict.fromkeys(order, _NO_DIGEST))
    total = 8 + len(header) + sum(sizes.values())
    with atomic.replacing(path, total) as file:
        file.write(len(header).to_bytes(8, "little") + header)
        digests = _write_tensors(file, tensors, order)
        file.seek(8)
        file.write(_signed(_header(tensors, sizes, metadata or {}, digests)))


def _code(name: str, tensor: Any) -> str:
    dtype = getattr(tensor, "dtype", None)
    code = _CODES.get(str(dtype)) or _CODES.get(getattr(dtype, "name", ""))
    if code is None:
        raise TypeError(f"the tensor {name!r} has the dtype {dtype}, which a file of tensors cannot hold")
    return code


def _size(name: str, tensor: Any) -> int:
    return int(math.prod(tensor.shape)) * _BITS[_code(name, tensor)] // 8


def _header(
    tensors: Mapping[str, Any],
    sizes: Mapping[str, int],
    metadata: Mapping[str, str],
    digests: Mapping[str, str],
) -> bytes:
    own = {_HEADER: _NO_DIGEST, _HASHES: json.dumps(digests, separators=(",", ":"))}
    entries: dict[str, Any] = {"__metadata__": {**metadata, **own}}
    start = 0
    for name, size in sizes.items():
        shape = [int(n) for n in tensors[name].shape]
        code = _code(name, tensors[name])
        entries[name] = {"dtype": code, "shape": shape, "data_offsets": [start, start + size]}
        start += size
    text = json.dumps(entries, separators=(",", ":")).encode("utf-8")
    return text + b" " * (-len(text) % 8)  # the tensors' bytes begin at a multiple of 8


def _signed(header: bytes) -> bytes:
    """The header with its own digest in the place of the zeros."""
    place = header.index(f'"{_HEADER}":"'.encode()) + len(_HEADER) + 4
    return header[:place] + hashing.digest(header).encode() + header[place + hashing.HEX :]


def _write_tensors(file: BinaryIO, tensors: Mapping[str, Any], order: Sequence[str]) -> dict[str, str]:
    """Writes the bytes of the tensors. Returns their digests."""
    with hashing.pool() as pool:
        digests: dict[str, str] = {}
        for name in order:
            hashes: list[Future[bytes]] = []
            for chunk in _chunks(tensors[name]):
                if len(hashes) >= _AHEAD:
                    hashes[-_AHEAD].result()  # chunks that wait to be hashed take memory
                hashes.append(pool.submit(hashing.one, chunk))
                file.write(chunk)
            digests[name] = hashing.joined(h.result() for h in hashes)
        return digests


def _chunks(tensor: Any) -> Iterator[memoryview]:
    """The bytes of a tensor in row-major order and little endian, a chunk of the hash at a time."""
    cell: Any = getattr(tensor, "cell", None)
    held = cell.hold() if hasattr(cell, "hold") else cell  # a Variable's cell, or what was held of one before
    if held is not None and held.in_panels:  # float32: put in order piece by piece, and never copied whole
        count, step = math.prod(tensor.shape), hashing.CHUNK // 4
        for start in range(0, count, step):
            yield _bytes(held.part(start, min(start + step, count)))
        return
    array = getattr(tensor, "_a", tensor) if held is None else held.read()
    bfloat16 = str(getattr(array, "dtype", "")) == "bfloat16"
    data = _upper_halves(tensor) if bfloat16 else _bytes(array)
    for start in range(0, len(data), hashing.CHUNK):
        yield data[start : start + hashing.CHUNK]


def _bytes(array: Any) -> memoryview:
    """The bytes as they are in memory, where they are in order there."""
    values = np.asarray(array)
    values = values.astype(values.dtype.newbyteorder("<"), order="C", copy=False)
    return memoryview(values.reshape(-1).view(np.uint8).data)


def _upper_halves(tensor: Any) -> memoryview:
    """bfloat16, which NumPy lacks: the upper 16 bits of each value as float32, which is the same value."""
    wide = np.ascontiguousarray(np.asarray(tensor, "float32")).reshape(-1).view("<u4")
    return memoryview((wide >> 16).astype("<u2").view(np.uint8).data)


# ------------------------------------------------------------------------------------------ reading


class Reader:
    """A file of tensors, whose header has been read and checked.

    Args:
        path: The file: str, bytes or PathLike.
        hashed: Whether a file without hashes is refused. One that has them is always checked.

    Attributes:
        entries: What the header says of each tensor, by name.
        metadata: The texts of the header, without the hashes.
        digests: The digest of each tensor; None where the file has none.

    Raises:
        FileFormatError: The file is not what it should be.
        OSError: It cannot be read.

    Example:
        >>> import tempfile
        >>> path = f"{tempfile.mkdtemp()}/a.safetensors"
        >>> save_file({"w": np.arange(3)}, path)
        >>> with Reader(path) as file:
        ...     file.entries["w"].shape, file.read("w")
        ((3,), array([0, 1, 2]))
    """

    def __init__(self, path: Any, hashed: bool = False) -> None:
        self.path = os.fsdecode(path)
        mode = os.stat(self.path).st_mode
        if not stat.S_ISREG(mode):
            raise FileFormatError(self.path, "this is not a regular file")
        self._lock = threading.Lock()
        self._file: BinaryIO = open(self.path, "rb", buffering=0)  # noqa: SIM115 - closed in `close`
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            self._read_header()
            if hashed and self.digests is None:
                raise FileFormatError(self.path, "the tensors' hashes are missing from the header")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    # The header

    def _read_header(self) -> None:
        first = self._file.read(8)
        if len(first) < 8:
            raise FileFormatError(
                self.path, f"the file ends after {len(first)} of the 8 bytes of its header's length"
            )
        length = int.from_bytes(first, "little")
        if length > self.size - 8:
            raise FileFormatError(
                self.path,
                f"the header should have {length:,} bytes, and the file has {self.size - 8:,} after byte 8",
            )
        if length > MAX_HEADER:
            raise FileFormatError(self.path, f"the header has {length:,} bytes, more than {MAX_HEADER:,}")
        data = bytearray(length)
        self._fill(memoryview(data), 8)
        signed = self._check_header(bytes(data))
        header = strict_json.parse(bytes(data), self.path, "the header", finite=True)
        if not isinstance(header, dict):
            raise FileFormatError(self.path, "the header is not a JSON object")
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise FileFormatError(self.path, "the header's __metadata__ is not an object of texts")
        self.metadata: dict[str, str] = metadata
        self.entries = self._entries(header, 8 + length)
        self.digests = self._digests(signed)

    def _entries(self, header: dict[str, Any], begin: int) -> dict[str, Entry]:
        entries = {name: self._entry(name, value, begin) for name, value in header.items()}
        end = begin
        for name, entry in sorted(entries.items(), key=lambda item: item[1][2:]):
            if entry.start != end:
                what = "overlaps with another" if entry.start < end else "leaves a gap before it"
                raise FileFormatError(
                    self.path, f"the tensor {name!r} {what}: it begins at byte {entry.start}, not {end}"
                )
            end = entry.stop
        if end != self.size:
            raise FileFormatError(self.path, f"the tensors end at byte {end:,}, the file at {self.size:,}")
        return entries

    def _entry(self, name: str, value: Any, begin: int) -> Entry:
        def wrong(what: str) -> FileFormatError:
            return FileFormatError(self.path, f"the header's entry for the tensor {short(name)}: {what}")

        if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
            raise wrong("it should have dtype, shape and data_offsets, and nothing else")
        if not name.isprintable():
            raise wrong("its name has characters that cannot be printed")
        code, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
        if not isinstance(code, str) or code not in _BITS:
            raise wrong(f"the dtype {short(code)} is not known")
        if not _whole(shape) or len(shape) > MAX_RANK:
            raise wrong(f"the shape {short(shape)} is not a list of at most {MAX_RANK} whole numbers")
        if not _whole(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= self.size - begin:
            raise wrong(
                f"the offsets {short(offsets)} are not two places in the {self.size - begin:,} bytes of data"
            )
        bits = math.prod(shape) * _BITS[code]
        if (offsets[1] - offsets[0]) * 8 != bits:
            raise wrong(
                f"{code} of shape {short(shape)} takes {short(bits // 8)} bytes, not "
                f"{offsets[1] - offsets[0]:,}"
            )
        start, stop = offsets
        return Entry(_DTYPES.get(code, code), tuple(shape), begin + start, begin + stop)

    def _check_header(self, header: bytes) -> bool:
        """Compares a header that has a digest of itself with it. Whether it has one."""
        mark = f'"{_HEADER}":"'.encode()
        place = header.find(mark) + len(mark)
        if place < len(mark):
            return False
        blank = header[:place] + _NO_DIGEST.encode() + header[place + hashing.HEX :]
        if hashing.digest(blank).encode() != header[place : place + hashing.HEX]:
            raise FileFormatError(self.path, "the header is damaged: its hash is not the one that it names")
        return True

    def _digests(self, signed: bool) -> dict[str, str] | None:
        """The tensors' digests; None where there are none."""
        own = {key: self.metadata.pop(key) for key in (_HEADER, _HASHES) if key in self.metadata}
        if len(own) < 2 or not signed:
            if own or any(key.startswith("lumbre") for key in self.metadata):
                raise FileFormatError(self.path, "the header is damaged: it lacks one of its hashes")
            return None
        digests = strict_json.parse(own[_HASHES].encode(), self.path, f"the header's {_HASHES}")
        if not isinstance(digests, dict) or digests.keys() != self.entries.keys():
            raise FileFormatError(self.path, f"the header's {_HASHES} does not name the tensors of the file")
        return digests

    # The tensors

    def read(self, name: str) -> np.ndarray:
        """A tensor as a NumPy array; bfloat16, which NumPy lacks, as float32.

        Raises:
            FileFormatError: The bytes do not have the hash that the header names, or the dtype is not known.
            KeyError: There is no such tensor.
        """
        entry = self.entries[name]
        self._check_dtype(name)
        data = np.empty(entry.nbytes, np.uint8)
        self._read(name, data.data)
        return decoded(data, entry)

    def verify(self, names: Iterable[str] | None = None) -> None:
        """Reads tensors without keeping them, all by default, and compares their hashes.

        Raises:
            FileFormatError: One is damaged.
        """
        for name in self.entries if names is None else names:
            self._read(name, None)

    def intact(self, name: str) -> bool | None:
        """Whether a tensor has the hash that the header names; None where the file has no hashes."""
        if self.digests is None:
            return None
        try:
            self._read(name, None)
        except FileFormatError:
            return False
        return True

    def fileno(self) -> int:
        """The open file's descriptor."""
        return self._file.fileno()

    def _check_dtype(self, name: str) -> None:
        dtype = self.entries[name].dtype
        if dtype in _FOREIGN:
            raise FileFormatError(
                self.path, f"the tensor {name!r} has the dtype {dtype}, which tensors here do not have"
            )

    def _read(self, name: str, into: memoryview | None) -> None:
        """Reads a tensor, or looks at it only, chunk by chunk, and compares the hash."""
        entry = self.entries[name]
        starts = range(entry.start, entry.stop, hashing.CHUNK)

        def chunk(start: int) -> bytes:
            count = min(hashing.CHUNK, entry.stop - start)
            if into is not None:
                part = into[start - entry.start :][:count]
            else:
                part = memoryview(_scratch())[:count]
            self._fill(part, start)
            return hashing.one(part) if self.digests is not None else b""

        if len(starts) < 4:
            chunks = [chunk(start) for start in starts]
        else:
            with hashing.pool() as pool:
                chunks = list(pool.map(chunk, starts))
        if self.digests is not None and hashing.joined(chunks) != self.digests[name]:
            raise FileFormatError(
                self.path,
                f"the tensor {name!r} (bytes {entry.start:,} to {entry.stop:,}) is damaged: its hash is "
                "not the one that the header names",
            )

    def _fill(self, into: memoryview, start: int) -> None:
        """Reads bytes of the file from a place on, from any thread."""
        while len(into):
            count = self._read_at(into, start)
            if count == 0:
                raise FileFormatError(
                    self.path, f"the file ends at byte {start:,}, {len(into):,} bytes too early"
                )
            into, start = into[count:], start + count

    def _read_at(self, into: memoryview, start: int) -> int:
        """Reads at most as many bytes as there is room for, and says how many."""
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [into], start)
        with self._lock:  # Windows and old versions of macOS can only read from where the file stands
            self._file.seek(start)
            return self._file.readinto(into)  # type: ignore[attr-defined, no-any-return]


def _scratch() -> bytearray:
    """A chunk of memory that belongs to the thread."""
    if not hasattr(_threads, "scratch"):
        _threads.scratch = bytearray(hashing.CHUNK)
    return _threads.scratch  # type: ignore[no-any-return]


_threads = threading.local()


def decoded(data: np.ndarray, entry: Entry) -> np.ndarray:
    """A tensor's bytes as an array; bfloat16 as float32."""
    if entry.dtype == "bfloat16":
        wide = data.view("<u2").astype("<u4") << 16
        return wide.view("<f4").astype("float32", copy=False).reshape(entry.shape)
    dtype = np.dtype(entry.dtype)
    if dtype == np.bool_ and data.size and data.max() > 1:
        data = (data != 0).view(np.uint8)
    values = data.view(dtype)
    return (values if sys.byteorder == "little" else values.byteswap()).reshape(entry.shape)


def load_file(path: Any, hashed: bool = False) -> dict[str, np.ndarray]:
    """All tensors of a file, by name.

    Args:
        path: The file.
        hashed: Whether a file without hashes is refused.

    Raises:
        FileFormatError: The file is not what it should be, or damaged.
        OSError: It cannot be read.
    """
    with Reader(path, hashed) as file:
        return {name: file.read(name) for name in file.entries}


def _whole(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)
