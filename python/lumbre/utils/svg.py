"""Small pictures as SVG text."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

INK, LINE, FILL = "#1f2937", "#6b7280", "#eef2ff"
FONT = "font-family='ui-sans-serif, system-ui, sans-serif'"


def document(width: float, height: float, parts: Sequence[str]) -> str:
    """A picture of that size with the elements in it."""
    size = f"width='{width:.0f}' height='{height:.0f}' viewBox='0 0 {width:.0f} {height:.0f}'"
    return "\n".join([f"<svg xmlns='http://www.w3.org/2000/svg' {size}>", *parts, "</svg>"]) + "\n"


def text(x: float, y: float, content: str, size: int = 13, bold: bool = False) -> str:
    """A line of text around x, its base line at y."""
    weight = " font-weight='600'" if bold else ""
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='middle' {FONT} font-size='{size}'{weight} fill='{INK}'>"
        f"{html.escape(content)}</text>"
    )


def sparkline(values: Sequence[float], width: int = 160, height: int = 28) -> str:
    """The course of some values as a line without axes; what is not finite leaves a gap.

    Example:
        >>> sparkline([1.0, 0.5, 0.25]).count("<polyline")
        1
    """
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return document(width, height, [])
    low, high = min(finite), max(finite)
    across = (width - 6) / max(len(values) - 1, 1)
    up = (height - 6) / ((high - low) or 1.0)
    pieces: list[list[str]] = [[]]
    for i, value in enumerate(values):
        if math.isfinite(value):
            pieces[-1].append(f"{3 + across * i:.1f},{height - 3 - up * (value - low):.1f}")
        elif pieces[-1]:
            pieces.append([])
    style = f"fill='none' stroke='{INK}' stroke-width='1.5'"
    lines = [f"<polyline points='{' '.join(p)}' {style}/>" for p in pieces if p]
    return document(width, height, lines)
