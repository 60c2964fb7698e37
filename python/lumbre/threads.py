"""How many threads the kernels use."""

from lumbre import _core


def set_num_threads(n: int) -> None:
    """Sets the number of threads for all work to come; results do not depend on it.

    By default it is the number of cores that the process may use, or `LUMBRE_NUM_THREADS`.

    Raises:
        ValueError: n is not from 1 to 1024.

    Example:
        >>> import lumbre
        >>> before = lumbre.get_num_threads()
        >>> lumbre.set_num_threads(2)
        >>> lumbre.get_num_threads()
        2
        >>> lumbre.set_num_threads(before)
    """
    _core.set_num_threads(n)


def get_num_threads() -> int:
    """The number of threads that the kernels use.

    Example:
        >>> import lumbre
        >>> lumbre.get_num_threads() >= 1
        True
    """
    return _core.num_threads()
