"""Draws the guide's pictures from what its pages compute: `python docs/guide/pictures/draw.py [page …]`.

A page is run as the tests run it, and the picture is made of the names that its code leaves behind: pages and
pictures cannot disagree. Needs matplotlib.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("svg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

plt.rcParams.update(
    {
        "svg.hashsalt": "lumbre",  # the same bytes at every run
        "svg.fonttype": "none",
        "font.size": 9,
        "figure.figsize": (6.4, 3.4),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "lines.linewidth": 1.3,
    }
)


def names_of(page: str) -> dict[str, Any]:
    """What the code of a page defines."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for code in CODE.findall((HERE.parent / page).read_text("utf-8")):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, page, "exec"), names)
    return names


def save(name: str) -> None:
    plt.tight_layout()
    drawn = io.StringIO()
    plt.savefig(drawn, format="svg", metadata={"Date": None})
    plt.close()
    # A tenth of a pixel is enough, and half the bytes.
    text = re.sub(r"\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}", drawn.getvalue())
    (HERE / f"{name}.svg").write_text(re.sub(r" +$", "", text, flags=re.MULTILINE), "utf-8")


def descent(page: dict[str, Any]) -> None:
    w1, w2 = np.meshgrid(np.linspace(-9, 4, 40), np.linspace(-2, 2, 40))
    plt.contour(
        w1, w2, page["f"](np.stack([w1, w2])), levels=[0.5, 2, 5, 12, 25, 45], colors="0.8", linewidths=0.7
    )
    for name in ("SGD", "momentum 0.9", "RMSprop", "Adam"):
        path = page["paths"][name][:41]
        plt.plot(*path.T, marker=".", markersize=3, linewidth=0.9, label=name)
    plt.plot(0, 0, "k+")
    plt.xlabel("w₁")
    plt.ylabel("w₂")
    plt.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.12))
    save("paths")


def curves(page: dict[str, Any]) -> None:
    chosen = ("healthy", "too slow", "too fast", "too little data", "labels shuffled", "single samples")
    figure, axes = plt.subplots(2, 3, figsize=(6.4, 4.0))
    for axis, name in zip(axes.flat, chosen, strict=True):
        history = page["curves"][name]
        epochs = range(1, len(history["loss"]) + 1)
        axis.plot(epochs, history["loss"])
        axis.plot(epochs, history["val_loss"], "--")
        axis.set_title(name, fontsize=9)
        axis.set_ylim(0, 3.2 if name == "labels shuffled" else 2.6)
    figure.supxlabel("epoch", fontsize=9)
    save("curves")


def gradients(page: dict[str, Any]) -> None:
    depth = page["DEPTH"]
    for name in ("sigmoid", "ReLU", "ReLU, He initialization", "sigmoid, normalized", "ReLU, residual"):
        history = page["runs"][name]
        plt.semilogy(
            range(1, depth + 1),
            [history[f"gradient_norm/layer_{i}"][0] for i in range(1, depth + 1)],
            label=name,
        )
    plt.xlabel("layer, from the input")
    plt.ylabel("gradient norm, first epoch")
    plt.legend(frameon=False)
    save("gradients")


def overfitting(page: dict[str, Any]) -> None:
    for name in ("nothing", "dropout 0.5", "noise 0.3 on inputs", "fewer units (16)", "all 1,438 digits"):
        plt.plot(range(1, 61), page["runs"][name]["val_loss"], label=name)
    plt.ylim(0, 1.2)
    plt.xlabel("epoch")
    plt.ylabel("held-out loss")
    plt.legend(frameon=False, ncols=2)
    save("overfitting")


def rates(page: dict[str, Any]) -> None:
    plt.semilogx(page["test"].rates, page["test"].losses, color="0.75", linewidth=0.8, label="batch")
    plt.semilogx(page["middle"], page["smooth"], label="mean of nine")
    plt.ylim(0, 5)
    plt.xlabel("learning rate")
    plt.ylabel("loss")
    plt.legend(frameon=False)
    save("range")
    chosen = ("steps", "exponential", "cosine", "cosine with restarts", "warm-up and cosine")
    for name in chosen:
        plt.plot(page["rates"](page["SCHEDULES"][name]), label=name)
    plt.xlabel("step")
    plt.ylabel("learning rate")
    plt.legend(frameon=False)
    save("schedules")


PICTURES: dict[str, Callable[[dict[str, Any]], None]] = {
    "08-descent-in-all-its-forms.md": descent,
    "09-training-curves.md": curves,
    "10-gradients.md": gradients,
    "11-overfitting.md": overfitting,
    "12-learning-rates.md": rates,
}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            draw(names_of(name))
