"""Sequences: `lumbre.utils.pad_sequences` under its older name."""

from lumbre.utils.sequences import pad_sequences

__all__ = ["pad_sequences"]
