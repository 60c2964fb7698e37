"""Fashion-MNIST: pieces of clothing."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from lumbre.datasets.source import Split, locate


def load_data() -> tuple[Split, Split]:
    """Fashion-MNIST's 60,000 training and 10,000 test images of ten kinds of clothing.

    0 T-shirt/top, 1 Trouser, 2 Pullover, 3 Dress, 4 Coat, 5 Sandal, 6 Shirt, 7 Sneaker, 8 Bag, 9 Ankle boot.

    The four files are looked for in the folder `fashion-mnist` of `LUMBRE_DATA`, then in that of Keras's
    cache, and else downloaded (31 MB). Keras publishes no hashes of them; their form is checked.

    Returns:
        `((x_train, y_train), (x_test, y_test))`. Images are uint8 of shape `(n, 28, 28)` with values
        from 0 to 255, labels uint8 of shape `(n,)` from 0 to 9.

    Raises:
        FileNotFoundError: A file is in none of these places and cannot be downloaded.
        ValueError: A file is another one.

    Source:
        H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
        Learning Algorithms*, arXiv:1708.07747, 2017, MIT license.
    """
    return _part("train"), _part("t10k")


def _part(name: str) -> Split:
    y = read_idx(locate(f"{name}-labels-idx1-ubyte.gz"), 1)
    x = read_idx(locate(f"{name}-images-idx3-ubyte.gz"), 3)
    if x.shape != (len(y), 28, 28):
        raise ValueError(
            f"Fashion-MNIST's {name} images have the shape {x.shape}, but there are {len(y)} labels"
        )
    return x, y


def read_idx(path: str, rank: int) -> npt.NDArray[np.uint8]:
    """A gzipped IDX file of bytes: a magic number, `rank` big-endian sizes, and the values.

    Raises:
        ValueError: It is something else.
    """
    import gzip
    import zlib

    try:
        with gzip.open(path, "rb") as file:
            magic, *shape = struct.unpack(f">{1 + rank}I", file.read(4 * (1 + rank)))
            if magic != 0x800 + rank:
                raise ValueError(f"its magic number is {magic}, not {0x800 + rank}")
            count = int(np.prod([float(n) for n in shape]))
            content = file.read(count + 1)
            if len(content) != count:
                raise ValueError(f"it has {len(content)} values or more, but the shape {tuple(shape)}")
    except (ValueError, OSError, EOFError, OverflowError, struct.error, zlib.error) as error:
        raise ValueError(f"{path} is not an IDX file of bytes with {rank} axes: {error}") from error
    return np.frombuffer(bytearray(content), np.uint8).reshape(shape)
