"""The table that `model.summary()` prints."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from lumbre import console, tree

_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")
_BYTES = {"float64": 8, "int64": 8, "uint64": 8, "float16": 2, "bfloat16": 2, "int16": 2, "uint16": 2}
_ONE_BYTE = ("bool", "int8", "uint8")


def memory_text(size: float) -> str:
    """A number of bytes in the unit that keeps it under 1024.

    Example:
        >>> memory_text(407080)
        '397.54 KB'
    """
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.2f} {_UNITS[unit]}"


def summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
    styled: bool = False,
) -> str:
    """The text of `model.summary()`, whose arguments these are.

    Args:
        styled: Whether the title may be bold, where the output is a terminal.
    """
    import shutil  # with its compressors, 3 ms that an import should not take

    graph = model.__dict__.get("_graph")
    chain = graph is None or _is_chain(graph)
    header = ["Layer (type)", "Output Shape", "Param #"]
    align = ["<", "<", ">"]
    if not chain:
        header.append("Connected to")
        align.append("<")
    width = 88 if chain else 108
    ends = list(positions or ([0.45, 0.80, 1.0] if chain else [0.3, 0.56, 0.74, 1.0]))
    if show_trainable:
        width += 12
        ends = [e * 0.9 for e in ends] + [1.0]
        header.append("Trainable")
        align.append("^")
    width = line_length or min(width, shutil.get_terminal_size().columns - 4)
    columns = _widths(ends, width)
    layers = model.layers if graph is None else graph.operations
    first, last = _bounds(layers, layer_range)
    rows = [
        row
        for layer in layers[first:last]
        for row in _rows(layer, 0, None if chain else graph, expand_nested, show_trainable)
    ]
    bold = styled and console.is_terminal()
    title = f'Model: "{model.name}"'
    lines = [f"\x1b[1m{title}\x1b[0m" if bold else title]
    lines += _table(header, align, columns, rows)
    return "\n".join(lines + _footer(model)) + "\n"


def as_html(model: Any) -> str:
    """The table of `model.summary()` as HTML, for notebooks."""
    import html

    graph = model.__dict__.get("_graph")
    chain = graph is None or _is_chain(graph)
    header = ["Layer (type)", "Output Shape", "Param #", *([] if chain else ["Connected to"])]
    layers = model.layers if graph is None else graph.operations
    rows = [row for layer in layers for row in _rows(layer, 0, None if chain else graph, False, False)]
    head = "".join(f"<th>{title}</th>" for title in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    footer = "<br>".join(html.escape(line.strip()) for line in _footer(model))
    caption = f"<caption>{html.escape(f'{type(model).__name__} {model.name}')}</caption>"
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{footer}</p>"


def _is_chain(graph: Any) -> bool:
    """Whether the graph has no branches, and uses each layer once: a table needs no connections."""
    if len(set(graph.depths)) < len(graph.depths):
        return False
    if any(len(node.input_tensors) > 1 for node in graph.nodes):
        return False
    return all(
        sum(id(node) in graph.node_ids for node in operation._inbound_nodes) == 1
        for operation in graph.operations
    )


def _widths(ends: Sequence[float], width: int) -> list[int]:
    """The widths of the columns, without padding and borders."""
    widths, current = [], 0
    for end in ends:
        size = int(end * width) - current
        if size < 4:
            raise ValueError("Insufficient console width to print summary.")
        widths.append(size)
        current += size
    return widths


def _bounds(layers: Sequence[Any], layer_range: Sequence[str] | None) -> tuple[int, int]:
    if layer_range is None:
        return 0, len(layers)
    if len(layer_range) != 2:
        raise ValueError(
            "layer_range must be a list or tuple of length 2. Received: "
            f"layer_range = {layer_range} of length {len(layer_range)}"
        )
    if not all(isinstance(name, str) for name in layer_range):
        raise ValueError(f"layer_range should contain string type only. Received: {layer_range}")
    lower, upper = ([i for i, x in enumerate(layers) if re.match(name, x.name)] for name in layer_range)
    if not lower or not upper:
        raise ValueError(
            f"Passed layer_names do not match the layer names in the model. Received: {layer_range}"
        )
    if min(lower) > max(upper):
        return min(upper), max(lower) + 1
    return min(lower), max(upper) + 1


# Rows


def _rows(layer: Any, level: int, graph: Any, expand: bool, trainable: bool) -> list[list[str]]:
    prefix = "   " * level + "└ " if level else ""
    kind = getattr(layer, "class_label", type(layer).__name__)
    row = [f"{prefix}{layer.name} ({kind})", output_text(layer), _params_text(layer)]
    if graph is not None:
        row.append(_connections(layer, graph))
    if trainable:
        weights = getattr(layer, "weights", [])
        row.append(("Y" if layer.trainable else "N") if weights else "-")
    rows = [row]
    if expand:
        for inner in getattr(layer, "layers", []):
            rows += _rows(inner, level + 1, graph, expand, trainable)
    return rows


def _params_text(layer: Any) -> str:
    if not hasattr(layer, "count_params"):
        return "0"
    return f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"


def output_text(layer: Any) -> str:
    """The shape of a layer's last output, "?" where it is not known."""
    if layer._inbound_nodes:
        shapes = tree.map_structure(lambda t: _shape_text(t.shape), layer._inbound_nodes[-1].outputs)
    else:
        build_shapes = getattr(layer, "_build_shapes", None)
        if not build_shapes:
            return "?"
        try:
            shapes = layer.compute_output_shape(*build_shapes.values())
        except Exception:  # a layer of the user's that cannot say: a table is no place for errors
            return "?"
        shapes = tree.map_shape_structure(_shape_text, shapes)
    flat = tree.flatten(shapes)
    return str(flat[0]) if len(flat) == 1 else str(shapes).replace("'", "")


def _shape_text(shape: Iterable[int | None]) -> str:
    return f"({', '.join(map(str, shape))})"


def _connections(layer: Any, graph: Any) -> str:
    sources = [
        graph.resolve(t)._keras_history
        for node in layer._inbound_nodes
        if id(node) in graph.node_ids
        for t in node.input_tensors
    ]
    texts = [f"{operation.name}[{node}][{tensor}]" for operation, node, tensor in sources]
    return ", ".join(texts) or "-"


# Drawing


def _table(header: list[str], align: list[str], widths: list[int], rows: list[list[str]]) -> list[str]:
    """The lines of a table with its rows, each cell wrapped to the width of its column."""
    inner = _fit(widths)

    def rule(left: str, line: str, cross: str, right: str) -> str:
        return left + cross.join(line * (w + 2) for w in inner) + right

    def lines(cells: list[str], border: str) -> list[str]:
        wrapped = [_wrap(c, w) for c, w in zip(cells, inner, strict=True)]
        height = max(map(len, wrapped))
        return [
            border
            + border.join(
                f" {(w[i] if i < len(w) else ''):{a}{size}} "
                for w, a, size in zip(wrapped, align, inner, strict=True)
            )
            + border
            for i in range(height)
        ]

    result = [rule("┏", "━", "┳", "┓"), *lines(header, "┃"), rule("┡", "━", "╇", "┩")]
    for index, row in enumerate(rows):
        if index:
            result.append(rule("├", "─", "┼", "┤"))
        result += lines(row, "│")
    return [*result, rule("└", "─", "┴", "┘")]


def _fit(widths: Sequence[int]) -> list[int]:
    """The widths of the texts in a table as wide as the columns together.

    Padding and borders are taken off the columns evenly.
    """
    excess, fitted = 3 * len(widths) + 1, []
    for index, width in enumerate(widths):
        share = round(excess / (len(widths) - index))
        excess -= share
        fitted.append(max(width - share, 1))
    return fitted


def _wrap(text: str, width: int) -> list[str]:
    """The text in lines of at most that width, broken at spaces; longer words are cut with `…`."""
    lines: list[str] = []
    current = ""
    for word in re.findall(r"\s*\S+\s*", text):
        if current and len((current + word).rstrip()) > width:
            lines.append(current)
            current = ""
        current += word
    lines.append(current)
    return [_cut(line.rstrip(), width) for line in lines]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _footer(model: Any) -> list[str]:
    trainable, fixed = model.trainable_weights, model.non_trainable_weights
    optimizer = getattr(model, "optimizer", None) if getattr(model, "compiled", False) else None
    slots = list(optimizer.variables) if optimizer is not None and optimizer.built else []
    lines = [
        _count_line("Total params", [*trainable, *fixed, *slots]),
        _count_line("Trainable params", trainable),
        _count_line("Non-trainable params", fixed),
    ]
    if optimizer is not None and optimizer.built:
        lines.append(_count_line("Optimizer params", slots))
    return lines


def _count_line(title: str, variables: Sequence[Any]) -> str:
    count = sum(math.prod(v.shape) for v in variables)
    size = sum(
        math.prod(v.shape) * (1 if v.dtype in _ONE_BYTE else _BYTES.get(v.dtype, 4)) for v in variables
    )
    return f" {title}: {count:,} ({memory_text(size)})"
