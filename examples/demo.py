"""Trains a network on handwritten digits, shows how, and draws its learning curves.

Run by `make demo`. With the environment variable LUMBRE_DATA naming a folder that has `mnist.npz`, the
digits are MNIST's 70,000; else the 1,797 that travel in the package.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import lumbre as keras


class Task(NamedTuple):
    """Data scaled to 0…1, and a network and a length of training that suit it."""

    name: str
    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    hidden: tuple[int, ...]
    batch_size: int
    epochs: int


def choose_task() -> Task:
    """MNIST where its file lies in LUMBRE_DATA, else the digits of the package."""
    folder = os.environ.get("LUMBRE_DATA")
    if folder and (Path(folder) / "mnist.npz").is_file():
        split = scaled(keras.datasets.mnist.load_data(), 255, held_back=10_000)
        return Task("MNIST", *split, hidden=(512, 512), batch_size=128, epochs=10)
    split = scaled(keras.datasets.digits.load_data(), 16, held_back=144)
    return Task("UCI digits", *split, hidden=(128, 64), batch_size=32, epochs=40)


def scaled(data: Any, top: int, held_back: int) -> tuple[Any, Any, Any]:
    """Training, validation and test parts; the validation part is cut at random from training's."""
    (x, y), (x_test, y_test) = data
    order = np.random.default_rng(0).permutation(len(x))
    kept, cut = order[held_back:], order[:held_back]
    x, x_test = (images.astype("float32") / top for images in (x, x_test))
    return (x[kept], y[kept]), (x[cut], y[cut]), (x_test, y_test)


def build(task: Task) -> Any:
    """A plain network of dense layers with dropout between them."""
    model = keras.Sequential([keras.Input(task.train[0].shape[1:]), keras.layers.Flatten()])
    for width in task.hidden:
        model.add(keras.layers.Dense(width, activation="relu"))
        model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def draw(history: dict[str, list[float]], title: str, path: Path) -> None:
    """Loss and accuracy by epoch, training beside validation, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")  # a file is all that is wanted: no window, no display
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axes, key, label in ((left, "loss", "cross-entropy (nats)"), (right, "accuracy", "accuracy")):
        epochs = range(1, len(history[key]) + 1)
        axes.plot(epochs, history[key], marker=".", label="training (with dropout)")
        axes.plot(epochs, history[f"val_{key}"], marker=".", label="validation")
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    left.set_ylim(bottom=0)
    left.legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    """Train, test, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, help="how often to go through the training data")
    parser.add_argument("--plot", type=Path, default=Path("learning_curves.png"), help="where to draw")
    arguments = parser.parse_args()

    keras.utils.set_random_seed(1)
    task = choose_task()
    print(f"{task.name}: {len(task.train[0])} images train, {len(task.test[0])} test")
    model = build(task)
    model.summary()
    start = time.perf_counter()
    history = model.fit(
        *task.train,
        epochs=arguments.epochs or task.epochs,
        batch_size=task.batch_size,
        validation_data=task.validation,
    ).history
    seconds = time.perf_counter() - start
    _, accuracy = model.evaluate(*task.test, verbose=0)
    print(f"test accuracy {accuracy:.2%} after {len(history['loss'])} epochs in {seconds:.1f} s")
    draw(history, f"{task.name}: test accuracy {accuracy:.2%}", arguments.plot)
    print(f"learning curves: {arguments.plot.resolve()}")


if __name__ == "__main__":
    main()
