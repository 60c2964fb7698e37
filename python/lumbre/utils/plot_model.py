"""Drawings of models without graphviz."""

from __future__ import annotations

import os
from typing import Any

_FORMATS = {".svg": "svg", ".txt": "text", ".mmd": "mermaid", ".mermaid": "mermaid", ".md": "mermaid"}


class ModelPlot:
    """A drawing: its text is `str(plot)`; a notebook shows it.

    Attributes:
        format: "svg", "text" or "mermaid".
    """

    def __init__(self, content: str, format: str) -> None:
        self.content = content
        self.format = format

    def __str__(self) -> str:
        return self.content

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        if self.format == "svg":
            return {"image/svg+xml": self.content, "text/plain": "<drawing of a model>"}
        if self.format == "mermaid":
            return {"text/vnd.mermaid": self.content, "text/plain": self.content}
        return {"text/plain": self.content}


def plot_model(
    model: Any,
    to_file: Any = "model.svg",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    format: str | None = None,
) -> ModelPlot:
    """Draws a model: its layers as boxes, and arrows for what flows from one to the next.

    Nothing has to be installed for it. Of a model that is a class of the user's own the layers are shown
    without arrows: what calls what is known when it runs.

    Args:
        model: The model.
        to_file: The file to write, or None. Its ending says the format, unless `format` does: `.svg`, `.txt`
            or, for Mermaid, `.mmd` or `.md`.
        show_shapes: Whether boxes show the shape of the output.
        show_dtype: Whether they show the dtype of the computation.
        show_layer_names: Whether they show the layers' names.
        rankdir: "TB" for a picture that goes down, "LR" for one to the right; also "BT" and "RL".
        expand_nested: Whether models within are drawn layer by layer.
        show_layer_activations: Whether boxes show the activation function.
        show_trainable: Whether they show if training changes the weights.
        format: "svg", "text" or "mermaid".

    Returns:
        The drawing; a notebook shows it, and `str` of it is its text.

    Raises:
        ValueError: The format or the direction is none of these.

    Source: `keras.utils.plot_model`, which writes PNG by graphviz.

    Example:
        >>> import lumbre
        >>> dense = lumbre.layers.Dense
        >>> model = lumbre.Sequential([lumbre.Input((4,), name="in"), dense(3, name="a"), dense(1, name="b")])
        >>> print(lumbre.utils.plot_model(model, None, show_shapes=True, format="text"))
        in (InputLayer) · output: (None, 4)
          ↓
        a (Dense) · output: (None, 3)
          ↓
        b (Dense) · output: (None, 1)
        <BLANKLINE>
    """
    from lumbre.models import plotting, svg

    if format is None:
        ending = os.path.splitext(os.fspath(to_file))[1].lower() if to_file is not None else ".svg"
        format = _FORMATS.get(ending, ending)
    if format not in ("svg", "text", "mermaid"):
        raise ValueError(
            "plot_model: drawings are written as svg, text or mermaid (files .svg, .txt, .mmd, .md). "
            f"Received: to_file={to_file!r}, format={format!r}"
        )
    if rankdir not in ("TB", "LR", "BT", "RL"):
        raise ValueError(f"plot_model: `rankdir` must be 'TB', 'LR', 'BT' or 'RL'. Received: {rankdir!r}")
    show = plotting.Show(
        show_layer_names, show_shapes, show_dtype, show_layer_activations, show_trainable, expand_nested
    )
    picture = plotting.drawing(model, show)
    if format == "svg":
        content = svg.as_svg(picture, rankdir)
    elif format == "mermaid":
        content = plotting.as_mermaid(picture, rankdir)
    else:
        content = plotting.as_text(picture)
    if to_file is not None:
        fenced = str(to_file).endswith(".md")
        with open(to_file, "w", encoding="utf-8") as file:
            file.write(f"```mermaid\n{content}```\n" if fenced else content)
    return ModelPlot(content, format)
