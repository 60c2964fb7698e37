"""Packages that one feature needs and the rest does not: imported when used."""

from __future__ import annotations

import importlib
from types import ModuleType


def require(module: str, extra: str, what: str) -> ModuleType:
    """The module, or an error that says how to install it.

    Args:
        module: Its name.
        extra: The extra of ours that brings it.
        what: What needs it.

    Raises:
        ImportError: It is not installed.

    Example:
        >>> require("math", "plot", "counting").sqrt(4.0)
        2.0
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"{what} needs the package {package}, which is not installed. Run: pip install 'lumbre[{extra}]'"
        ) from error
