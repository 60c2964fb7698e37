"""Groups: names, and the objects that they lead to."""

from __future__ import annotations

from collections.abc import Iterator

from lumbre.saving.h5.data import Dataset, Object
from lumbre.saving.h5.source import Fields, Source, leaves

SIGNATURE = b"\x89HDF\r\n\x1a\n"
UNDEFINED = 2**64 - 1
MAX_DEPTH = 32
MAX_OBJECTS = 200_000

_SYMBOL_TABLE, _LINK_INFO, _LINK = 0x11, 0x02, 0x06


class Group(Object):
    """A group: names, and the objects that they lead to."""

    def __init__(
        self, source: Source, address: int, path: str, above: tuple[int, ...], count: list[int]
    ) -> None:
        super().__init__(source, address, path)
        if self.is_dataset:
            raise self.error("is a data set, where a group is expected")
        self._above = (*above, address)
        self._count = count
        self._links: dict[str, int] | None = None
        self._made: dict[str, Group | Dataset] = {}

    @property
    def links(self) -> dict[str, int]:
        """The names in the group, and where the objects' headers are."""
        if self._links is None:
            self._links = self._read_links()
        return self._links

    def _read_links(self) -> dict[str, int]:
        table = self.message(_SYMBOL_TABLE)
        pairs = list(self._linked() if table is None else _symbols(self, *table.numbers(8, 2)))
        links = dict(pairs)
        if len(links) < len(pairs):
            raise self.error("has a name twice")
        return links

    def _linked(self) -> Iterator[tuple[str, int]]:
        """The links in messages of the header."""
        info = self.message(_LINK_INFO)
        if info is not None:
            flags = info.take(2)[1]
            info.take(8 if flags & 1 else 0)
            if info.number(8) != UNDEFINED:
                raise self.error(
                    "keeps its links in a heap, a newer form that Keras does not write: save the file again "
                    "with Keras, or with h5py and libver='earliest'"
                )
        for kind, _, fields in self._messages:
            if kind == _LINK:
                fields.position = 0
                yield _link(self, fields)

    def __contains__(self, name: str) -> bool:
        return name in self.links

    def __getitem__(self, name: str) -> Group | Dataset:
        """The object of that name.

        Raises:
            KeyError: There is none.
            FileFormatError: It is not what a group or data set should be, or leads back to where it is.
        """
        if name not in self._made:
            address = self.links[name]
            self._count[0] += 1
            if self._count[0] > MAX_OBJECTS:
                raise self.source.error(f"there are more than {MAX_OBJECTS:,} groups and data sets")
            if address in self._above:
                raise self.error(f"contains itself: {name!r} leads back to it")
            if len(self._above) > MAX_DEPTH:
                raise self.error(f"is nested more than {MAX_DEPTH} deep")
            path = f"{self.path.rstrip('/')}/{name}"
            if Object(self.source, address, path).is_dataset:
                self._made[name] = Dataset(self.source, address, path)
            else:
                self._made[name] = Group(self.source, address, path, self._above, self._count)
        return self._made[name]

    def find(self, path: str) -> Group | None:
        """The group at a path below this one; None where a name on the way is not there.

        Raises:
            FileFormatError: A data set is on the way.
        """
        group = self
        for name in path.split("/"):
            if name not in group:
                return None
            found = group[name]
            if not isinstance(found, Group):
                raise found.error("is a data set, where a group is expected")
            group = found
        return group

    def dataset(self, name: str) -> Dataset:
        """The data set of that name, which may be a path.

        Raises:
            KeyError: There is none.
            FileFormatError: It is a group.
        """
        above, _, last = name.rpartition("/")
        group = self.find(above) if above else self
        if group is None:
            raise KeyError(name)
        found = group[last]
        if isinstance(found, Group):
            raise found.error("is a group, where a data set is expected")
        return found

    @property
    def nbytes(self) -> int:
        """How many bytes of numbers there are in all data sets.

        Raises:
            FileFormatError: One should have more than the file has.
        """
        return sum(found.stored for found in self.walk() if isinstance(found, Dataset))

    def walk(self) -> Iterator[Group | Dataset]:
        """The group and all that is in it."""
        yield self
        for name in self.links:
            found = self[name]
            if isinstance(found, Group):
                yield from found.walk()
            else:
                yield found


def open_h5(source: Source) -> Group:
    """The root group of an HDF5 file.

    Raises:
        FileFormatError: It is not an HDF5 file, cut off, or of a form that Keras does not write.
    """
    if source.size < 24 or source.read(0, 8, "the signature") != SIGNATURE:
        raise source.error("not an HDF5 file: it does not begin with the signature of one")
    version = source.read(8, 1, "the version")[0]
    fields = source.fields(8, min(source.size - 8, 96), "the superblock")
    if version < 2:
        fields.take(5)
        sizes = fields.numbers(1, 2)
        fields.take(9 if version == 0 else 13)
        base, _, end, _ = fields.numbers(8, 4)
        fields.take(8)
        root = fields.number(8)
    elif version <= 3:
        fields.take(1)
        sizes = fields.numbers(1, 2)
        fields.take(1)
        base, _, end, root = fields.numbers(8, 4)
    else:
        raise source.error(f"a superblock of version {version} is not known")
    if sizes != [8, 8] or base != 0:
        raise source.error(
            f"places of {sizes[0]} and sizes of {sizes[1]} bytes, from byte {base:,} on, are not read"
        )
    if end > source.size:
        raise source.error(f"the file is cut off: it should have {end:,} bytes and has {source.size:,}")
    return Group(source, root, "/", (), [0])


def _link(group: Group, fields: Fields) -> tuple[str, int]:
    """Name and place of a link message."""
    flags = fields.take(2)[1]
    kind = fields.number(1) if flags & 8 else 0
    fields.take((8 if flags & 4 else 0) + (1 if flags & 16 else 0))
    name = _text(fields, fields.take(fields.number(1 << (flags & 3))))
    if kind:
        what = {1: "soft", 64: "external"}.get(kind, "user-defined")
        raise group.error(f"holds the {what} link {name!r}, which is not followed: Keras's files have none")
    return name, fields.number(8)


def _symbols(group: Group, tree: int, heap: int) -> Iterator[tuple[str, int]]:
    """Names and places in a symbol table."""
    source = group.source
    head = source.fields(heap, 32, f"the names of '{group.path}'")
    head.expect(b"HEAP")
    head.take(4)
    size, _, at = head.numbers(8, 3)
    names = source.read(at, size, head.what)
    for place in leaves(source, tree, 0, 8, f"the index of '{group.path}'"):
        node = source.fields(place[1], 8, f"the entries of '{group.path}'")
        node.expect(b"SNOD\x01")
        node.take(1)
        count = node.number(2)
        entries = source.fields(place[1] + 8, 40 * count, node.what)
        for _ in range(count):
            offset, header = entries.numbers(8, 2)
            cached = entries.number(4)
            entries.take(20)
            if offset >= len(names) or (end := names.find(b"\0", offset)) < 0:
                raise entries.error("has a name outside the names")
            name = _text(entries, names[offset:end])
            if cached == 2 or header == UNDEFINED:
                raise group.error(
                    f"holds the soft link {name!r}, which is not followed: Keras's files have none"
                )
            yield name, header


def _text(fields: Fields, data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise fields.error(f"has a name that is not UTF-8: {data[:80]!r}") from None
    if not text or "/" in text or "\0" in text:
        raise fields.error(f"has the name {text[:80]!r}")
    return text
