"""What the objects of an HDF5 file hold: attributes, and the numbers of data sets."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from lumbre.saving.errors import FileFormatError
from lumbre.saving.h5.source import Fields, Source, leaves, messages

UNDEFINED = 2**64 - 1
MAX_RANK = 32

_DATASPACE, _DATATYPE, _EXTERNAL, _LAYOUT, _FILTERS = 0x01, 0x03, 0x07, 0x08, 0x0B
_ATTRIBUTE, _ATTRIBUTE_INFO = 0x0C, 0x15
_DEFLATE, _SHUFFLE = 1, 2
_EXPANDED = 1032  # what deflate makes of a byte at most

BFLOAT16 = "bfloat16"
TEXT = "text"  # of any length

Kind = np.dtype[Any] | str

# Sign and sizes of the floating-point numbers that there are: by size, where the exponent begins and how long
# it and the mantissa are.
_FLOATS: dict[tuple[int, int, int, int], Kind] = {
    (2, 10, 5, 10): np.dtype("<f2"),
    (2, 7, 8, 7): BFLOAT16,
    (4, 23, 8, 23): np.dtype("<f4"),
    (8, 52, 11, 52): np.dtype("<f8"),
}


class Object:
    """A group or a data set: the messages of its header."""

    def __init__(self, source: Source, address: int, path: str) -> None:
        self.source = source
        self.address = address
        self.path = path
        self._messages = list(messages(source, address, f"the header of '{path}'"))

    def message(self, kind: int) -> Fields | None:
        """The first message of a kind, from its beginning."""
        for found, shared, fields in self._messages:
            if found == kind:
                if shared:
                    raise self.error("shares a description with other objects, which Keras's files do not")
                fields.position = 0
                return fields
        return None

    def error(self, what: str) -> FileFormatError:
        return self.source.error(f"'{self.path}' {what}")

    @property
    def is_dataset(self) -> bool:
        return any(kind == _LAYOUT for kind, *_ in self._messages)

    def attribute(self, name: str) -> Any:
        """An attribute: text, a list of texts, or numbers as an array; None where there is none."""
        info = self.message(_ATTRIBUTE_INFO)
        if info is not None:
            flags = info.take(2)[1]
            info.take(2 if flags & 1 else 0)
            if info.number(8) != UNDEFINED:
                raise self.error("keeps its attributes in a heap of their own, which Keras's files do not")
        for kind, shared, fields in self._messages:
            if kind == _ATTRIBUTE and not shared:
                fields.position = 0
                found, read = _attribute(fields)
                if found == name:
                    return read()
        return None


class Dataset(Object):
    """An array of numbers.

    Attributes:
        shape: Its shape.
        dtype: The dtype of its numbers; bfloat16, which NumPy lacks, is read as float32.
    """

    def __init__(self, source: Source, address: int, path: str) -> None:
        super().__init__(source, address, path)
        if self.message(_EXTERNAL) is not None:
            raise self.error("keeps its numbers in other files, which are not opened")
        space, kind = self.message(_DATASPACE), self.message(_DATATYPE)
        if space is None or kind is None:
            raise self.error("has no shape or no type")
        shape = _shape(space)
        if shape is None:
            raise self.error("holds nothing, not even a shape")
        self.shape = shape
        self._kind = self._number_kind(kind)
        self.dtype = "float32" if self._kind == BFLOAT16 else np.dtype(self._kind).name
        self.itemsize = 2 if self._kind == BFLOAT16 else np.dtype(self._kind).itemsize
        self.size = math.prod(self.shape)
        self.nbytes = self.size * self.itemsize
        self._filters = _filters(self)

    def _number_kind(self, fields: Fields) -> Kind:
        kind = _kind(fields)
        if isinstance(kind, np.dtype) and kind == np.dtype("V2") and self.attribute("dtype") == BFLOAT16:
            return BFLOAT16
        if kind == TEXT or (isinstance(kind, np.dtype) and kind.kind not in "biuf"):
            raise self.error(f"holds no numbers but {kind}")
        return kind

    def read(self) -> np.ndarray:
        """The numbers, in the machine's byte order.

        Raises:
            FileFormatError: What the file has is not as many numbers as the shape says, or not well formed.
        """
        layout = self.message(_LAYOUT)
        assert layout is not None
        version, kind = layout.numbers(1, 2)
        if version not in (3, 4):
            raise self.error(f"has a layout of version {version}, which is not known")
        if kind == 0:
            data = layout.take(layout.number(2))
            if len(data) != self.nbytes:
                raise self.error(
                    f"has {len(data):,} bytes, and {self.nbytes:,} are needed for {self._described}"
                )
            raw = np.frombuffer(data, np.uint8)
        elif kind == 1:
            raw = self._contiguous(*layout.numbers(8, 2))
        elif kind == 2 and version == 3:
            return self._decoded(self._chunked(layout))
        elif kind == 3:
            raise self.error("is a virtual data set, made of other files, which are not opened")
        else:
            raise self.error(
                "has its chunks in an order that Keras does not write: save the file again with Keras"
            )
        if self._filters:
            raise self.error("has filters but no chunks")
        return self._decoded(raw)

    @property
    def stored(self) -> int:
        """How many bytes of numbers it has; of numbers in chunks, how many it can have.

        Raises:
            FileFormatError: They should be more than the file has.
        """
        layout = self.message(_LAYOUT)
        assert layout is not None
        _, kind = layout.numbers(1, 2)
        if kind == 1:
            return self._place(*layout.numbers(8, 2))[1]
        return min(self.nbytes, _EXPANDED * self.source.size)

    def verify(self) -> None:
        """Looks whether `read` will do: compressed numbers are read once.

        Raises:
            FileFormatError: It will not.
        """
        layout = self.message(_LAYOUT)
        assert layout is not None
        version, kind = layout.numbers(1, 2)
        if kind == 1 and version in (3, 4) and not self._filters:
            self._place(*layout.numbers(8, 2))
        else:
            self.read()

    @property
    def _described(self) -> str:
        return f"the shape {self.shape} of {self._kind}"

    def _place(self, at: int, size: int) -> tuple[int, int]:
        """Where numbers in one piece are, and how many bytes."""
        if self.nbytes == 0:
            return 0, 0
        if at == UNDEFINED or size != self.nbytes:
            stored = 0 if at == UNDEFINED else size
            raise self.error(f"stores {stored:,} bytes, and {self.nbytes:,} are needed for {self._described}")
        self.source.check(at, size, f"'{self.path}'")
        return at, size

    def _contiguous(self, at: int, size: int) -> np.ndarray:
        at, size = self._place(at, size)
        raw = np.empty(size, np.uint8)
        self.source.fill(raw.data, at, f"'{self.path}'")
        return raw

    def _chunked(self, layout: Fields) -> np.ndarray:
        """The numbers of all chunks, which must be all that the shape needs."""
        rank = layout.number(1) - 1
        tree = layout.number(8)
        *chunk, itemsize = layout.numbers(4, rank + 1)
        if rank != len(self.shape) or itemsize != self.itemsize or 0 in chunk:
            raise self.error(f"has chunks of {chunk}, which do not fit {self._described}")
        if self.size == 0:
            return np.empty(0, np.uint8)
        counts = [-(-n // m) for n, m in zip(self.shape, chunk, strict=True)]
        chunk_bytes = math.prod(chunk) * itemsize
        entries, stored = [], 0
        if tree != UNDEFINED:
            for key, at in leaves(self.source, tree, 1, 16 + 8 * rank, f"the chunks of '{self.path}'"):
                size = int.from_bytes(key[:4], "little")
                where = [int.from_bytes(key[i : i + 8], "little") for i in range(8, 8 + 8 * rank, 8)]
                self.source.check(at, size, f"a chunk of '{self.path}'")
                entries.append((size, int.from_bytes(key[4:8], "little"), where, at))
                stored += size
        if len(entries) != math.prod(counts) or chunk_bytes * len(entries) > _EXPANDED * stored + 4096:
            raise self.error(
                f"stores {len(entries):,} chunks of {stored:,} bytes, which are not {self._described}"
            )
        wide = np.zeros([c * m for c, m in zip(counts, chunk, strict=True)], f"V{itemsize}")
        filled: set[tuple[int, ...]] = set()
        for size, mask, where, at in entries:
            if any(w % m or w >= n for w, m, n in zip(where, chunk, self.shape, strict=True)):
                raise self.error(f"has a chunk at {where}, outside of its shape {self.shape}")
            filled.add(tuple(where))
            data = self.source.data(at, size, f"a chunk of '{self.path}'")
            block = np.frombuffer(self._unfiltered(data, mask, chunk_bytes), f"V{itemsize}")
            wide[tuple(slice(w, w + m) for w, m in zip(where, chunk, strict=True))] = block.reshape(chunk)
        if len(filled) != len(entries):
            raise self.error("has two chunks at one place")
        return np.ascontiguousarray(wide[tuple(slice(0, n) for n in self.shape)]).view(np.uint8).reshape(-1)

    def _unfiltered(self, data: bytes, mask: int, size: int) -> bytes:
        for i in reversed(range(len(self._filters))):
            if mask >> i & 1:
                continue
            if self._filters[i] == _DEFLATE:
                inflate = zlib.decompressobj()
                try:
                    data = inflate.decompress(data, size + 1)
                except zlib.error as error:
                    raise self.error(f"has a chunk that does not decompress: {error}") from None
            else:
                whole = len(data) // self.itemsize * self.itemsize
                planes = np.frombuffer(data[:whole], np.uint8).reshape(self.itemsize, -1)
                data = planes.T.tobytes() + data[whole:]
        if len(data) != size:
            raise self.error(f"has a chunk of {len(data):,} bytes, where {size:,} are needed")
        return data

    def _decoded(self, raw: np.ndarray) -> np.ndarray:
        if self._kind == BFLOAT16:
            wide = raw.view("<u2").astype("<u4") << 16
            return wide.view("<f4").astype("float32", copy=False).reshape(self.shape)
        dtype = np.dtype(self._kind)
        if dtype == np.bool_ and raw.size and raw.max() > 1:
            raw = (raw != 0).view(np.uint8)
        return raw.view(dtype).astype(self.dtype, copy=False).reshape(self.shape)


def _shape(fields: Fields) -> tuple[int, ...] | None:
    """The shape of a dataspace message; None where there is no element, not even a scalar."""
    version, rank, _ = fields.numbers(1, 3)
    if version not in (1, 2):
        raise fields.error(f"has a shape of version {version}, which is not known")
    kind = fields.number(1)
    fields.take(4 if version == 1 else 0)
    if rank > MAX_RANK:
        raise fields.error(f"has {rank} axes")
    if version == 2 and kind == 2:
        return None
    return tuple(fields.numbers(8, rank))


def _kind(fields: Fields) -> Kind:
    """The type of a datatype message: a dtype, bfloat16 or text."""
    head = fields.number(1)
    bits, size = fields.number(3), fields.number(4)
    kind = head & 15
    order = ">" if bits & 1 else "<"
    if kind == 0 and size in (1, 2, 4, 8):
        offset, precision = fields.numbers(2, 2)
        if offset == 0 and precision == 8 * size:
            return np.dtype(f"{order}{'i' if bits & 8 else 'u'}{size}")
    if kind == 1:
        fields.take(4)
        exponent_at, exponent, mantissa_at, mantissa = fields.numbers(1, 4)
        found = _FLOATS.get((size, exponent_at, exponent, mantissa))
        if found is not None and mantissa_at == 0 and not bits & 64 and (order == "<" or found != BFLOAT16):
            return found if isinstance(found, str) else np.dtype(f"{order}f{size}")
    if kind == 3 and size > 0:
        return np.dtype(f"S{size}")
    if kind == 5 and size > 0:
        return np.dtype(f"V{size}")
    if kind == 8 and size == 1 and bits & 0xFFFF == 2:  # h5py's form of a boolean
        _kind(fields)
        if fields.take(fields.left).replace(b"\0", b"").startswith(b"FALSETRUE"):
            return np.dtype(np.bool_)
    if kind == 9 and bits & 15 == 1:
        return TEXT
    names = {
        2: "times",
        4: "bit fields",
        6: "records",
        7: "references",
        8: "enumerations",
        9: "sequences",
        10: "arrays",
    }
    raise fields.error(f"has a type that is not read: {names.get(kind, 'numbers')} of {size} bytes")


def _filters(dataset: Dataset) -> list[int]:
    """The numbers of the filters, in the order in which they were applied."""
    fields = dataset.message(_FILTERS)
    if fields is None:
        return []
    version, count = fields.numbers(1, 2)
    fields.take(6 if version == 1 else 0)
    found = []
    for _ in range(count):
        number = fields.number(2)
        length = fields.number(2) if version == 1 or number >= 256 else 0
        _, values = fields.numbers(2, 2)
        fields.take(-(-length // 8) * 8 if version == 1 else length)
        fields.take(4 * (values + (values % 2 if version == 1 else 0)))
        if number not in (_DEFLATE, _SHUFFLE):
            raise dataset.error(f"has the filter {number}, and only gzip and shuffle are read")
        found.append(number)
    if len(set(found)) < len(found):
        raise dataset.error("has a filter twice")
    return found


def _attribute(fields: Fields) -> tuple[str, Callable[[], Any]]:
    """The name of an attribute message, and how to read its value."""
    version = fields.number(1)
    if version not in (1, 2, 3):
        raise fields.error(f"has an attribute of version {version}, which is not known")
    shared = fields.number(1) if version > 1 else fields.take(1) and 0
    lengths = fields.numbers(2, 3)
    fields.take(1 if version == 3 else 0)
    parts = []
    for length in lengths:
        parts.append(fields.part(length, fields.what))
        fields.take(-length % 8 if version == 1 else 0)
    name = bytes(parts[0].data).rstrip(b"\0").decode("utf-8", "replace")

    def read() -> Any:
        if shared:
            raise fields.error(f"has an attribute {name!r} of a type kept elsewhere")
        kind, shape = _kind(parts[1]), _shape(parts[2])
        if shape is None:
            return None
        return _value(fields, kind, shape)

    return name, read


def _value(fields: Fields, kind: Kind, shape: tuple[int, ...]) -> Any:
    count = math.prod(shape)
    if kind == TEXT:
        if count * 16 > fields.left:
            raise fields.error("has an attribute that is cut off")
        texts = [_decode(fields, _heap_item(fields.source, *_place(fields))) for _ in range(count)]
        return texts if shape else texts[0]
    if kind == BFLOAT16:
        raise fields.error("has an attribute of a type that is not read")
    dtype = np.dtype(kind)
    array = np.frombuffer(fields.take(count * dtype.itemsize), dtype).reshape(shape)
    if dtype.kind != "S":
        return array
    texts = [_decode(fields, bytes(item).rstrip(b"\0")) for item in array.reshape(-1)]
    return texts if shape else texts[0]


def _place(fields: Fields) -> tuple[int, int, int]:
    return fields.number(4), fields.number(8), fields.number(4)


def _heap_item(source: Source, length: int, address: int, index: int) -> bytes:
    """A text in a global heap."""
    if length == 0:
        return b""
    head = source.fields(address, 16, "a heap of texts")
    head.expect(b"GCOL\x01")
    head.take(3)
    end = head.number(8)
    at = 16
    while at + 16 <= end:
        item = source.fields(address + at, 16, "a heap of texts")
        number = item.number(2)
        item.take(6)
        size = item.number(8)
        if number == index and number:
            if length > size:
                break
            return source.read(address + at + 16, length, "a text")
        if number == 0:
            break
        at += 16 + -(-size // 8) * 8
    raise source.error(
        f"the heap of texts at byte {address:,} does not have the text {index} of {length:,} bytes"
    )


def _decode(fields: Fields, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise fields.error(f"has a text that is not UTF-8: {data[:80]!r}") from None
