"""A drawing of a model as SVG: boxes in rows by their depth, arrows that go around boxes."""

from __future__ import annotations

import itertools

from lumbre.models.plotting import Drawing
from lumbre.utils import svg

_CHAR, _ROW = 7.4, 18.0  # about the width of a character, and the height of a line of text
_PAD, _GAP, _BETWEEN = 12.0, 28.0, 44.0  # within a box, beside it, from row to row
_SWEEPS = 4
_HEAD = (
    "<defs><marker id='head' viewBox='0 0 8 8' refX='8' refY='4' markerWidth='8' markerHeight='8' "
    f"orient='auto'><path d='M0,0 L8,4 L0,8 z' fill='{svg.LINE}'/></marker></defs>"
)


class _Item:
    """A box, or a place in a row that a long arrow passes through."""

    def __init__(self, lines: list[str], down: bool) -> None:
        self.lines = lines
        width = max((len(line) for line in lines), default=0) * _CHAR + 2 * _PAD if lines else 8.0
        height = len(lines) * _ROW + _PAD if lines else 0.0
        # Across a row, and along the arrows: the picture may go down or to the right.
        self.across, self.along = (width, height) if down else (height or 8.0, width if lines else 0.0)
        self.width, self.height = width, height
        self.before: list[_Item] = []
        self.after: list[_Item] = []
        self.position = 0.0  # of its middle, across
        self.top = 0.0  # of its row, along


def as_svg(picture: Drawing, rankdir: str = "TB") -> str:
    """The picture, downwards ("TB") or to the right ("LR").

    Rows are the lengths of the longest ways from a beginning; within them, boxes are near what they are
    connected to (Sugiyama, Tagawa and Toda 1981, Methods for Visual Understanding of Hierarchical Systems).
    """
    down = rankdir in ("TB", "BT")
    rows, chains = _rows(picture, down)
    _order(rows)
    length = _place(rows)
    widest = max((item.position + item.across / 2 for row in rows for item in row), default=0.0) + _PAD

    def point(across: float, along: float) -> tuple[float, float]:
        if rankdir in ("BT", "RL"):
            along = length - along
        return (across, along) if down else (along, across)

    parts = [_HEAD]
    for chain in chains:
        stops = [(chain[0].position, chain[0].top + chain[0].along)]
        for item in chain[1:-1]:
            stops += [(item.position, item.top), (item.position, item.top + item.along)]
        stops.append((chain[-1].position, chain[-1].top))
        parts.append(_arrow([point(*stop) for stop in stops], down))
    for row in rows:
        parts += [_box(item, *point(item.position, item.top + item.along / 2)) for item in row if item.lines]
    width, height = (widest, length) if down else (length, widest)
    return svg.document(width, height, parts)


def _rows(picture: Drawing, down: bool) -> tuple[list[list[_Item]], list[list[_Item]]]:
    """The items of each row, and for each arrow the items from its tail to its head."""
    depths = _depths(picture)
    items = [_Item(lines, down) for lines in picture.boxes]
    rows: list[list[_Item]] = [[] for _ in range(max(depths, default=-1) + 1)]
    for item, depth in zip(items, depths, strict=True):
        rows[depth].append(item)
    chains = []
    for source, target in picture.arrows:
        chain = [items[source]]
        for depth in range(depths[source] + 1, depths[target]):
            chain.append(_Item([], down))
            rows[depth].append(chain[-1])
        chain.append(items[target])
        for a, b in itertools.pairwise(chain):
            a.after.append(b)
            b.before.append(a)
        chains.append(chain)
    return rows, chains


def _depths(picture: Drawing) -> list[int]:
    """The length of the longest way to each box; arrows lead from earlier boxes to later ones."""
    depths = [0] * len(picture.boxes)
    for _ in picture.boxes:  # as often as the longest way may need
        changed = False
        for source, target in picture.arrows:
            if source != target and depths[target] <= depths[source] < len(picture.boxes):
                depths[target], changed = depths[source] + 1, True
        if not changed:
            break
    return depths


def _order(rows: list[list[_Item]]) -> None:
    """Sorts each row by the mean place of the neighbours in the row before, then after, and so on."""
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for row in rows if forward else reversed(rows):
            for place, item in enumerate(row):
                item.position = float(place)
            for item in row:
                near = item.before if forward else item.after
                item.top = sum(n.position for n in near) / len(near) if near else item.position
            row.sort(key=lambda item: item.top)
            for place, item in enumerate(row):
                item.position = float(place)


def _place(rows: list[list[_Item]]) -> float:
    """Gives every item its place, rows centred; returns the length of the picture along the arrows."""
    sizes = [sum(item.across for item in row) + _GAP * (len(row) - 1) for row in rows]
    top = _PAD
    for row, size in zip(rows, sizes, strict=True):
        across = _PAD + (max(sizes) - size) / 2
        along = max((item.along for item in row), default=0.0)
        for item in row:
            item.position = across + item.across / 2
            item.top = top
            if not item.lines:
                item.along = along
            across += item.across + _GAP
        top += along + _BETWEEN
    return top - _BETWEEN + _PAD if rows else 2 * _PAD


def _arrow(points: list[tuple[float, float]], down: bool) -> str:
    (x, y), *rest = points
    path = f"M{x:.1f},{y:.1f}"
    for nx, ny in rest:
        if down:
            path += f" C{x:.1f},{(y + ny) / 2:.1f} {nx:.1f},{(y + ny) / 2:.1f} {nx:.1f},{ny:.1f}"
        else:
            path += f" C{(x + nx) / 2:.1f},{y:.1f} {(x + nx) / 2:.1f},{ny:.1f} {nx:.1f},{ny:.1f}"
        x, y = nx, ny
    return f"<path d='{path}' fill='none' stroke='{svg.LINE}' marker-end='url(#head)'/>"


def _box(item: _Item, x: float, y: float) -> str:
    left, top = x - item.width / 2, y - item.height / 2
    rectangle = (
        f"<rect x='{left:.1f}' y='{top:.1f}' width='{item.width:.1f}' height='{item.height:.1f}' rx='5' "
        f"fill='{svg.FILL}' stroke='{svg.LINE}'/>"
    )
    lines = [
        svg.text(x, top + _PAD / 2 + _ROW * (i + 0.72), line, size=13 if i == 0 else 12, bold=i == 0)
        for i, line in enumerate(item.lines)
    ]
    return "\n".join([rectangle, *lines])
