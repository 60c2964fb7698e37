"""Folders of files as datasets, one folder for each class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from lumbre.console import show
from lumbre.data import AUTOTUNE, Dataset


class _Files(NamedTuple):
    """Paths, the class number of each, and the names of the classes; None without labels."""

    paths: list[str]
    labels: np.ndarray | None
    class_names: list[str] | None

    def part(self, rows: slice) -> _Files:
        return self._replace(
            paths=self.paths[rows], labels=None if self.labels is None else self.labels[rows]
        )


def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """A dataset of the `.txt` files in a folder, with the numbers of their subfolders as labels.

    Args:
        directory: The folder; with inferred labels, one subfolder for each class.
        labels: "inferred" from the subfolders, None, or a whole number for each file in the order of paths.
        label_mode: "int": int32 (b,); "binary": float32 (b, 1); "categorical": float32 one-hot rows (b, c);
            None: no labels.
        class_names: The subfolders to take, in the order of class numbers; by default all, sorted.
        batch_size: Texts in a batch; None for texts one by one.
        max_length: Bytes of a text that are kept.
        shuffle: Whether files are mixed, once before they are split, and at every pass.
        seed: From which the orders follow; needed to split mixed files.
        validation_split: The share of files, at the end, for validation.
        subset: "training", "validation", or "both" for a list of two datasets.
        follow_links: Whether to enter subfolders that are symbolic links.
        format: "tf" or "grain", which give the same here.
        verbose: Whether to print the number of files and classes.

    Returns:
        A Dataset of `(texts, labels)` or `texts`: bytes in an array of objects, (b,). Its attribute
        `class_names` names the classes.

    Raises:
        ValueError: An option is unknown or does not go with the others, or there are no files.

    Source: `keras.utils.text_dataset_from_directory`.

    Example:
        >>> import pathlib, tempfile
        >>> import lumbre
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for kind, text in (("calm", "a quiet sea"), ("loud", "a storm")):
        ...     (folder / kind).mkdir()
        ...     _ = (folder / kind / "1.txt").write_text(text)
        >>> ds = lumbre.utils.text_dataset_from_directory(folder, shuffle=False, verbose=False)
        >>> ds.class_names
        ['calm', 'loud']
        >>> next(ds.as_numpy_iterator())
        (array([b'a quiet sea', b'a storm'], dtype=object), array([0, 1], dtype=int32))
    """
    check_format(format)
    _check_labels(labels, label_mode, class_names)
    _check_split(validation_split, subset, shuffle, seed)
    if labels is None or label_mode is None:
        labels = label_mode = None
    if seed is None:
        seed = int(np.random.randint(10**6))
    files = _index(os.fspath(directory), labels, (".txt",), class_names, shuffle, seed, follow_links)
    if verbose:
        kinds = "" if files.labels is None else f" belonging to {len(files.class_names or ())} classes"
        show(f"Found {len(files.paths)} files{kinds}.")
    if label_mode == "binary" and len(files.class_names or ()) != 2:
        raise ValueError(
            'When passing `label_mode="binary"`, there must be exactly 2 class_names. Received: '
            f"class_names={files.class_names}"
        )

    def dataset(name: str | None) -> Dataset:
        part = files if name is None else _subset(files, validation_split or 0.0, name)
        if not part.paths:
            which = f"{name} " if subset == "both" else ""
            raise ValueError(f"No {which}text files found in directory {directory}. Allowed format: .txt")
        mixed = shuffle and not (subset == "both" and name == "validation")
        return _texts(part, label_mode, batch_size, max_length, seed if mixed else None)

    return [dataset("training"), dataset("validation")] if subset == "both" else dataset(subset)


def _texts(
    files: _Files, label_mode: str | None, batch_size: int | None, max_length: int | None, seed: int | None
) -> Dataset:
    def read(path: Any, *label: Any) -> Any:
        with open(os.fsdecode(path[()]), "rb") as file:
            text = file.read(-1 if max_length is None else max_length)
        return (text, *label) if label else text

    paths = np.array([os.fsencode(path) for path in files.paths], object)
    targets = _targets(files, label_mode)
    dataset = Dataset.from_tensor_slices(paths if targets is None else (paths, targets))
    if seed is not None:
        dataset = dataset.shuffle(len(paths), seed=seed)
    dataset = dataset.map(read)
    if batch_size is not None:
        dataset = dataset.batch(batch_size)
    dataset = dataset.prefetch(AUTOTUNE)
    dataset.class_names = files.class_names
    return dataset


def _targets(files: _Files, label_mode: str | None) -> np.ndarray | None:
    if files.labels is None:
        return None
    if label_mode == "binary":
        return files.labels.astype(np.float32)[:, None]
    if label_mode == "categorical":
        one_hot: np.ndarray = np.eye(len(files.class_names or ()), dtype=np.float32)[files.labels]
        return one_hot
    return files.labels


def check_format(name: str) -> None:
    """Refuses what is no format of Keras's datasets.

    Raises:
        ValueError: It is neither "tf" nor "grain".
    """
    if name not in ("tf", "grain"):
        raise ValueError(f'`format` should be either "tf" or "grain". Received: format={name}')


def _check_labels(labels: Any, label_mode: str | None, class_names: Any) -> None:
    if labels not in ("inferred", None):
        if not isinstance(labels, list | tuple):
            raise ValueError(
                "`labels` argument should be a list/tuple of integer labels, of the same size as the number "
                'of files in the target directory; or "inferred" from its subdirectories, or None. '
                f"Received: labels={labels}"
            )
        if class_names:
            raise ValueError(
                'You can only pass `class_names` if `labels="inferred"`. Received: '
                f"labels={labels}, and class_names={class_names}"
            )
    if labels is None and class_names is not None:
        raise ValueError("When `labels=None` (no labels), argument `class_names` cannot be specified.")
    if label_mode not in ("int", "categorical", "binary", None):
        raise ValueError(
            '`label_mode` argument must be one of "int", "categorical", "binary", or None. Received: '
            f"label_mode={label_mode}"
        )


def _check_split(share: float | None, subset: str | None, shuffle: bool, seed: int | None) -> None:
    if share and not 0 < share < 1:
        raise ValueError(f"`validation_split` must be between 0 and 1, received: {share}")
    if bool(share) != bool(subset):
        raise ValueError("If `subset` is set, `validation_split` must be set, and inversely.")
    if subset not in ("training", "validation", "both", None):
        raise ValueError(f'`subset` must be either "training", "validation" or "both", received: {subset}')
    if share and shuffle and seed is None:
        raise ValueError(
            "If using `validation_split` and shuffling the data, you must provide a `seed` argument, to make "
            "sure that there is no overlap between the training and validation subset."
        )


def _subset(files: _Files, share: float, name: str) -> _Files:
    at = len(files.paths) - int(share * len(files.paths))
    part = files.part(slice(0, at) if name == "training" else slice(at, None))
    show(f"Using {len(part.paths)} files for {name}.")
    return part


def _index(
    directory: str,
    labels: Any,
    endings: tuple[str, ...],
    class_names: Sequence[str] | None,
    shuffle: bool,
    seed: int,
    follow_links: bool,
) -> _Files:
    """The files of a folder in Keras's order: by class, subfolder and name, then mixed by the seed."""
    names: list[str] | None
    numbers: np.ndarray | None
    if isinstance(labels, str):
        names = _classes(directory, class_names)
        found = [_files_in(os.path.join(directory, name), endings, follow_links) for name in names]
        paths = [path for group in found for path in group]
        numbers = np.repeat(np.arange(len(names), dtype=np.int32), [len(group) for group in found])
    else:
        paths = list(_files_in(directory, endings, follow_links))
        names = None if labels is None else [str(label) for label in sorted(set(labels))]
        if labels is not None and len(labels) != len(paths):
            raise ValueError(
                "Expected the lengths of `labels` to match the number of files in the target directory. "
                f"len(labels) is {len(labels)} while we found {len(paths)} files in directory {directory}."
            )
        numbers = None if labels is None else np.asarray(labels, np.int32)
    if shuffle:
        order = np.arange(len(paths))
        np.random.RandomState(seed).shuffle(order)
        paths = [paths[i] for i in order]
        numbers = None if numbers is None else numbers[order]
    return _Files(paths, numbers, names)


def _classes(directory: str, wanted: Sequence[str] | None) -> list[str]:
    there = sorted(e.name for e in os.scandir(directory) if e.is_dir() and not e.name.startswith("."))
    if wanted is not None and not set(wanted) <= set(there):
        raise ValueError(
            "The `class_names` passed did not match the names of the subdirectories of the target directory. "
            f"Expected: {there} (or a subset of it), but received: class_names={wanted}"
        )
    return there if wanted is None else list(wanted)


def _files_in(folder: str, endings: tuple[str, ...], follow_links: bool) -> list[str]:
    def walk() -> Iterator[str]:
        for root, _, names in sorted(os.walk(folder, followlinks=follow_links)):
            yield from (os.path.join(root, name) for name in sorted(names) if name.lower().endswith(endings))

    return list(walk())
