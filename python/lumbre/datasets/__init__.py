"""Data sets: one that travels in the package, and readers for those that do not."""

from lumbre.datasets import digits, mnist

__all__ = ["digits", "mnist"]
