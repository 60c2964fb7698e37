"""Files with pickles in them, read without unpickling.

CIFAR's batches are pickles, and the arrays of sequences in `imdb.npz` and `reuters.npz` are, too. A pickle is
a program: `pickle.load` runs whatever its author wrote, and `numpy.load(allow_pickle=True)` does the same.
A hash tells a downloaded file from any other; a file that the user has put into a folder has none. So these
are read by an unpickler that knows no object but an array, and for that no NumPy object but our own
stand-ins: NumPy's, set to a crafted state, could read memory that is not theirs.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

_KINDS = "biuf"


def _text(value: Any) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value)


class _Dtype:
    """What a pickle says of an array's dtype."""

    def __init__(self, code: Any, align: Any = False, copy: Any = False) -> None:
        self.code = _text(code).lstrip("<>=|")
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        self.order = _text(state[1])

    def dtype(self) -> np.dtype | None:
        """The dtype of numbers, None for objects.

        Raises:
            ValueError: It is neither.
        """
        if self.code in ("O", "O8", "O4"):
            return None
        if self.code[:1] not in _KINDS or not self.code[1:].isdigit() or self.order not in "<>=|":
            raise ValueError(f"an array of the dtype {self.code!r}")
        return np.dtype(("" if self.order == "|" else self.order) + self.code)


class _Array:
    """An array in the making: `value` is there once its state was."""

    value: np.ndarray

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, _Dtype) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError("an array without a proper shape or dtype")
        numbers = dtype.dtype()
        if numbers is None:
            self.value = _of_objects(shape, content)
        elif len(content) != math.prod(shape) * numbers.itemsize:
            raise ValueError(f"{len(content)} bytes for an array of the shape {shape} and dtype {numbers}")
        else:
            flat = np.frombuffer(bytearray(content), numbers)
            self.value = flat.reshape(shape, order="F" if fortran else "C")


def _of_objects(shape: Sequence[int], content: Any) -> np.ndarray:
    if not isinstance(content, list) or len(content) != math.prod(shape):
        raise ValueError(f"an array of the shape {shape} without that many members")
    array = np.empty(len(content), object)
    for i, member in enumerate(content):
        if not isinstance(member, list | _Array):
            raise ValueError(f"a {type(member).__name__} in an array of sequences")
        array[i] = member.value if isinstance(member, _Array) else member
    return array.reshape(shape)


_NDARRAY = object()  # stands for numpy.ndarray, which a pickle names as the class to be made


def _reconstruct(cls: Any, shape: Any, code: Any) -> _Array:
    if cls is not _NDARRAY:
        raise ValueError("an array of a class of its own")
    return _Array()


_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}


class _Reader(pickle.Unpickler):
    """Knows what arrays of numbers and of lists are made of."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for `{module}.{name}`, which no data set needs: the file is damaged or malicious"
            ) from None


def read_pickle(file: IO[bytes], what: str) -> Any:
    """A pickled array, or a dict of arrays, lists and text.

    Raises:
        ValueError: It holds anything else, or is damaged.
    """
    try:
        return _finished(_Reader(file, encoding="bytes").load())
    except MemoryError:
        raise
    except Exception as error:  # a crafted pickle can raise nearly any
        raise ValueError(f"{what} was not read: {error}") from error


def _finished(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict):
        return {_text(key): _finished(member) for key, member in value.items()}
    return value


def load_npz(path: str, names: Sequence[str], what: str) -> list[np.ndarray]:
    """Arrays of a `.npz` file, of numbers or of lists.

    Args:
        path: The file.
        names: The arrays wanted.
        what: What the file should be, for an error.

    Raises:
        ValueError: The file is no such archive, or lacks an array.
    """
    import zipfile
    import zlib

    damaged = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)
    try:
        with zipfile.ZipFile(path) as archive:
            held = [name.removesuffix(".npy") for name in archive.namelist()]
            missing = [name for name in names if name not in held]
            if missing:
                raise ValueError(
                    f"{path} is not {what} as Keras stores it: expected the arrays {', '.join(names)}, and "
                    f"{', '.join(missing)} is missing. Received: {held}"
                )
            return [_load_npy(archive.read(f"{name}.npy"), f"{name} of {path}") for name in names]
    except damaged as error:
        raise ValueError(
            f"{path} is not {what} as Keras stores it, an .npz archive: {error or type(error).__name__}"
        ) from error


def _load_npy(content: bytes, what: str) -> np.ndarray:
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    read_header = (
        np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read_header(file)
    if not dtype.hasobject:
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    array = read_pickle(file, what)
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise ValueError(f"{what} was not read: its header promises an array of the shape {shape}")
    return array
