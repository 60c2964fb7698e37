"""Models as drawings: which boxes and arrows there are, as text and as Mermaid; `svg` draws them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lumbre import tree
from lumbre.models.summary import output_text


@dataclass(frozen=True)
class Show:
    """What a box tells of its layer, beside its class."""

    names: bool = True
    shapes: bool = False
    dtypes: bool = False
    activations: bool = False
    trainable: bool = False
    nested: bool = False

    def lines(self, layer: Any, name: str) -> list[str]:
        """The lines of a box, its title first."""
        title = type(layer).__name__
        lines = [f"{name} ({title})" if self.names else title]
        if self.activations and getattr(layer, "activation", None) is not None:
            function = layer.activation
            lines.append(f"activation: {getattr(function, '__name__', type(function).__name__)}")
        if self.shapes:
            lines.append(f"output: {output_text(layer)}")
        if self.dtypes:
            lines.append(f"dtype: {getattr(layer, 'compute_dtype', getattr(layer, 'dtype', '?'))}")
        if self.trainable and getattr(layer, "weights", []):
            lines.append("trainable" if layer.trainable else "not trainable")
        return lines


@dataclass
class Drawing:
    """Boxes, each with its lines of text, and arrows between their numbers."""

    boxes: list[list[str]] = field(default_factory=list)
    arrows: list[tuple[int, int]] = field(default_factory=list)

    def add(self, lines: list[str]) -> int:
        """A new box; returns its number."""
        self.boxes.append(lines)
        return len(self.boxes) - 1

    def connect(self, sources: Sequence[int], target: int) -> None:
        """Arrows from boxes to one, each drawn once."""
        for source in sources:
            if (source, target) not in self.arrows:
                self.arrows.append((source, target))

    def sources(self, box: int) -> list[int]:
        """The boxes with an arrow to this one."""
        return [source for source, target in self.arrows if target == box]


def drawing(model: Any, show: Show) -> Drawing:
    """The boxes and arrows of a model: those of its graph, or a chain; no arrows where neither is known."""
    result = Drawing()
    _add_model(result, model, show, "", None)
    return result


def _add_model(
    result: Drawing, model: Any, show: Show, prefix: str, given: list[list[int]] | None
) -> list[list[int]]:
    """Adds a model.

    Args:
        given: For each of its inputs the boxes that feed it, where it is part of another model.

    Returns:
        For each of its outputs the boxes that it comes from.
    """
    graph = model.__dict__.get("_graph")
    if graph is None:
        return _add_chain(result, model, show, prefix, given)
    boxes: dict[int, list[int]] = {}  # tensor -> where it comes from
    known: dict[int, int] = {}  # layer -> its box
    for i, t in enumerate(graph.inputs):
        if given is not None:  # an input within a model is what feeds it
            boxes[id(t)] = given[i] if i < len(given) else []
    for node in graph.nodes:
        outputs = tree.flatten(node.outputs)
        if all(id(t) in boxes for t in outputs):
            continue
        sources = [boxes.get(id(graph.resolve(t)), []) for t in node.input_tensors]
        made = _add_layer(result, node.operation, show, prefix, sources, known)
        for i, t in enumerate(outputs):
            boxes[id(t)] = made[i] if i < len(made) else made[-1]
    return [boxes.get(id(graph.resolve(t)), []) for t in graph.outputs]


def _add_chain(
    result: Drawing, model: Any, show: Show, prefix: str, given: list[list[int]] | None
) -> list[list[int]]:
    layers = list(model._shown()) if hasattr(model, "_shown") else model.layers
    if given is not None:
        layers = [layer for layer in layers if type(layer).__name__ != "InputLayer"]
    ordered = hasattr(model, "_shown")  # a model of the user's own: what calls what is not known
    before = given or []
    known: dict[int, int] = {}
    for layer in layers:
        made = _add_layer(result, layer, show, prefix, before, known)
        before = made if ordered else []
    return before


def _add_layer(
    result: Drawing, layer: Any, show: Show, prefix: str, sources: list[list[int]], known: dict[int, int]
) -> list[list[int]]:
    """Adds a layer with its arrows, once however often it is called; returns where its outputs come from."""
    if show.nested and hasattr(layer, "layers"):
        return _add_model(result, layer, show, f"{prefix}{layer.name}/", sources)
    if id(layer) not in known:
        known[id(layer)] = result.add(show.lines(layer, prefix + layer.name))
    box = known[id(layer)]
    result.connect([s for group in sources for s in group], box)
    return [[box]]


# ---------------------------------------------------------------------------------------------------- as text


def as_text(picture: Drawing) -> str:
    """A line per box, in order; where it does not follow from the line above, with what it follows from."""
    lines = []
    for box, (title, *more) in enumerate(picture.boxes):
        sources = picture.sources(box)
        if sources == [box - 1]:
            lines.append("  ↓")
        elif box:
            lines.append("")
        lines.append(" · ".join([title, *more]))
        if sources and sources != [box - 1]:
            lines[-1] += " ← " + ", ".join(picture.boxes[s][0] for s in sources)
    return "\n".join(lines) + "\n"


def as_mermaid(picture: Drawing, rankdir: str = "TB") -> str:
    """A flowchart in Mermaid's language, which GitHub and notebooks draw.

    Source: https://mermaid.js.org/syntax/flowchart.html
    """
    lines = [f"flowchart {rankdir}"]
    for box, texts in enumerate(picture.boxes):
        label = "<br/>".join(html.escape(text) for text in texts)
        lines.append(f'    n{box}["{label}"]')
    lines += [f"    n{source} --> n{target}" for source, target in picture.arrows]
    return "\n".join(lines) + "\n"
