"""The names that objects get when the user gives none, and how they start over."""

from __future__ import annotations

from lumbre.lookup import auto_name, reset_names, snake_case

__all__ = ["auto_name", "clear_session", "reset_names", "snake_case"]


def clear_session(free_memory: bool = True) -> None:
    """Forgets the names in use, so that the next `Dense` is called `dense` again.

    Nothing else is kept between models here: their memory is freed when they are.

    Args:
        free_memory: Whether to collect unreachable objects (models hold reference cycles) now.

    Example:
        >>> import lumbre
        >>> lumbre.utils.clear_session()
        >>> lumbre.layers.Dense(1).name, lumbre.layers.Dense(1).name
        ('dense', 'dense_1')
    """
    reset_names()
    if free_memory:
        import gc

        gc.collect()
