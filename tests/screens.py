"""What a person sees of what a program writes: carriage returns, backspaces and colours carried out."""

from __future__ import annotations

import re


def seen(text: str) -> list[str]:
    """The lines on a screen that is wide enough, without spaces at their ends."""
    lines: list[list[str]] = [[]]
    column = 0
    for char in re.sub(r"\x1b\[[0-9;]*m", "", text):
        line = lines[-1]
        if char == "\n":
            lines.append([])
            column = 0
        elif char == "\r":
            column = 0
        elif char == "\b":
            column = max(column - 1, 0)
        else:
            line[column : column + 1] = [char]
            column += 1
    return ["".join(line).rstrip() for line in lines]
