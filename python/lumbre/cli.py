"""The command `lumbre`, also `python -m lumbre`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: What comes after the command's name; by default the process's.

    Returns:
        0; 1 where a file cannot be read or is damaged.
    """
    parser = argparse.ArgumentParser("lumbre", description="Tools for Lumbre's files.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    inspect = commands.add_parser("inspect", help="print what is in a file, without building anything")
    inspect.add_argument("file", nargs="+", help="a file that a model or its weights were saved in")
    options = parser.parse_args(arguments)
    return max(_inspect(file) for file in options.file)


def _inspect(file: str) -> int:
    from lumbre.saving import inspect_file

    try:
        lines = list(inspect_file(file))
    except (OSError, ValueError, ImportError) as error:
        _print(f"lumbre inspect: {error}", sys.stderr)
        return 1
    try:
        for line in lines:
            _print(line, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
    return int(any("DAMAGED" in line for line in lines))


def _print(line: str, stream: object) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), file=stream)  # type: ignore[call-overload]
