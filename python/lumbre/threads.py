"""How many threads the kernels use."""

from lumbre import _core


def set_num_threads(n: int) -> None:
    """Sets the number of threads for all work to come; results do not depend on it.

    By default it is the number of cores that the process may use, or `LUMBRE_NUM_THREADS`.

    Raises:
        ValueError: n is not from 1 to 1024.
    """
    _core.set_num_threads(n)


def get_num_threads() -> int:
    """The number of threads that the kernels use."""
    return _core.num_threads()
