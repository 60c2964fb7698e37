"""Standard output as it comes: a terminal, a notebook, a file, closed, missing, or without a `━`.

What people are to see during training goes through `show`, so that it can neither fail nor stop a training.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from typing import Any

from lumbre import config

_ASCII = str.maketrans("━─┃│┏┳┓┡╇┩├┼┤└┴┘…", "=-||++++++++++++.")
"""For the characters of bars and tables, one of ASCII each, so that columns stay aligned."""


def show(text: str, end: str = "\n") -> None:
    """Writes to standard output, or to the logger "lumbre" where interactive logging is disabled.

    Characters that the output's encoding lacks are replaced. Without an output, or with a closed one, nothing
    happens; one that cannot be written to (a pipe whose reader has gone, a log on a full disk) is warned of
    once, and tried again with the next line.

    Example:
        >>> show("3/3 ━━━")
        3/3 ━━━
    """
    if not config.is_interactive_logging_enabled():
        import logging  # most never need it

        if text.strip():
            logging.getLogger("lumbre").info("%s", text.strip("\n"))
        return
    if _is_open():
        try:
            sys.stdout.write(writable(text + end))
            sys.stdout.flush()
        except OSError as error:
            _warn_once(error)


_warned = False


def _warn_once(error: OSError) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"standard output cannot be written to ({error}); what is shown there is lost, nothing else is",
            RuntimeWarning,
            stacklevel=3,
        )


def writable(text: str) -> str:
    """The text with characters that standard output can encode."""
    if can_write(text):
        return text
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)


def can_write(text: str) -> bool:
    """Whether standard output can encode the text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def is_terminal() -> bool:
    """Whether a person looks at standard output in a terminal, or in PyCharm's, which does not say so."""
    if not _is_open() or not config.is_interactive_logging_enabled():
        return False
    isatty = getattr(sys.stdout, "isatty", None)
    return bool(isatty and isatty()) or "PYCHARM_HOSTED" in os.environ


def is_notebook() -> bool:
    """Whether standard output is a notebook's cell: Jupyter's, Colab's and other users' of its kernel."""
    return config.is_interactive_logging_enabled() and type(sys.stdout).__module__.startswith("ipykernel.")


class CellLine:
    """A line of a notebook's cell that can be rewritten, and is one output however often it is.

    Text written with a carriage return looks so in a notebook too, but its file would keep every version of
    the line, and each as an output of its own where no person looks on.
    """

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, text: str) -> None:
        """Puts the text in the line's place."""
        data = {"text/plain": text}
        if self._handle is None:
            display = importlib.import_module("IPython.display").display
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def columns() -> int | None:
    """The width of the terminal; None where there is none to ask."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (AttributeError, OSError, ValueError):  # StringIO, a notebook: no file behind it
        return None


def _is_open() -> bool:
    # A program without a console has no output at all.
    return sys.stdout is not None and not getattr(sys.stdout, "closed", False)
