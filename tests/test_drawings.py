"""What is drawn: histories, range tests and models, as plots, frames, HTML, SVG, Mermaid and text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumbre
from lumbre.utils import extras, plot_model

X = np.random.default_rng(0).standard_normal((64, 4)).astype("float32")
Y = X @ np.array([1.0, -2.0, 0.5, 3.0], "float32")
SVG = "{http://www.w3.org/2000/svg}"


def trained(epochs: int = 4, **fit: Any) -> Any:
    model = lumbre.Sequential(
        [
            lumbre.Input((4,)),
            lumbre.layers.Dense(6, "relu", name="first"),
            lumbre.layers.Dense(1, name="last"),
        ]
    )
    model.compile(lumbre.optimizers.SGD(0.05), "mse", metrics=["mae"])
    model.fit(X, Y, epochs=epochs, verbose=0, **fit)
    return model


@pytest.fixture
def pyplot() -> Iterator[Any]:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


# -------------------------------------------------------------------------------------------------- histories


def test_history_plot(pyplot: Any, tmp_path: Path) -> None:
    monitor = lumbre.callbacks.GradientMonitor(1)
    model = trained(validation_data=(X, Y), validation_freq=2, callbacks=[monitor])
    history = model.history
    axes = history.plot()
    quantities = ["loss", "mae", "gradient_norm", "weight_norm", "update_norm", "update_ratio", "zeros"]
    assert [ax.get_title() for ax in axes] == quantities
    training, validation = axes[0].get_lines()
    np.testing.assert_array_equal(training.get_xydata(), np.c_[[1, 2, 3, 4], history.history["loss"]])
    np.testing.assert_array_equal(validation.get_xydata(), np.c_[[2, 4], history.history["val_loss"]])
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["training", "validation"]
    assert [line.get_label() for line in axes[2].get_lines()] == ["first", "last"]
    axes[0].figure.savefig(tmp_path / "history.png")
    picture = pyplot.imread(tmp_path / "history.png")
    assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 100
    assert len(axes[0].figure.axes) == 7  # no empty panel is left


def test_history_plot_of_some_into_given_axes(pyplot: Any) -> None:
    history = trained(epochs=1).history
    _, ax = pyplot.subplots()
    assert history.plot("mae", axes=ax) == [ax]
    (line,) = ax.get_lines()
    assert line.get_marker() == "o"  # one epoch makes no line
    with pytest.raises(ValueError, match=r"no values are named 'acc'; there are \['loss', 'mae'\]"):
        history.plot(["acc"])
    with pytest.raises(ValueError, match="2 panels need as many axes, got 1"):
        history.plot(axes=[ax])
    with pytest.raises(ValueError, match="nothing to draw yet"):
        lumbre.callbacks.History().plot()


def test_a_wide_range_has_a_logarithmic_scale(pyplot: Any) -> None:
    history = lumbre.callbacks.History()
    for epoch, loss in enumerate([100.0, 1.0, 0.01]):
        history.on_epoch_end(epoch, {"loss": loss, "flat": 1 + loss / 1000, "signed": loss - 1})
    scales = {ax.get_title(): ax.get_yscale() for ax in history.plot()}
    assert scales == {"loss": "log", "flat": "linear", "signed": "linear"}


def test_history_to_frame() -> None:
    pytest.importorskip("pandas")
    history = trained(epochs=4, validation_data=(X, Y), validation_freq=[2, 3]).history
    frame = history.to_frame()
    assert list(frame.columns) == list(history.history)
    assert frame.index.name == "epoch"
    assert frame["loss"].tolist() == history.history["loss"]
    assert frame["val_loss"].isna().tolist() == [True, False, False, True]
    assert frame["val_loss"].dropna().tolist() == history.history["val_loss"]


class Tables(HTMLParser):
    """The cells of HTML tables, row by row; fails on tags that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("br",):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open) and "svg" not in self.open:
            self.rows[-1][-1] += data


def test_history_in_a_notebook() -> None:
    history = trained().history
    text = history._repr_html_()
    head, *rows = Tables(text).rows
    assert head == ["", "course", "first", "last", "least", "greatest"]
    assert [row[0] for row in rows] == ["loss", "mae"]
    losses = history.history["loss"]
    assert rows[0][2:] == [f"{v:.4g}" for v in (losses[0], losses[-1], min(losses), max(losses))]
    points = re.findall(r"points='([^']*)'", text)
    heights = [float(p.split(",")[1]) for p in points[0].split()]
    # The loss falls, so the line goes down: a greater y is lower.
    assert heights == sorted(heights) and len(heights) == 4
    assert "no epochs yet" in lumbre.callbacks.History()._repr_html_()


def test_values_that_are_not_finite_leave_a_gap() -> None:
    history = lumbre.callbacks.History()
    for epoch, loss in enumerate([1.0, float("nan"), 2.0, 3.0, float("inf")]):
        history.on_epoch_end(epoch, {"loss": loss, "<b>": float("nan")})
    text = history._repr_html_()
    assert text.count("<polyline") == 2
    assert "&lt;b&gt;" in text


# ------------------------------------------------------------------------------------------------- range test


def test_learning_rate_finder(pyplot: Any) -> None:
    lumbre.utils.set_random_seed(0)
    model = lumbre.Sequential(
        [lumbre.Input((4,)), lumbre.layers.Dropout(0.1), lumbre.layers.Dense(1, kernel_initializer="zeros")]
    )
    model.compile(lumbre.optimizers.SGD(0.01, momentum=0.9), "mse")
    model.fit(X, Y, verbose=0)
    state = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    finder = lumbre.callbacks.LearningRateFinder(1e-5, 10.0, steps=90)
    model.fit(X, Y, batch_size=8, epochs=20, verbose=0, callbacks=[finder])
    after = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    assert len(state) == len(after)
    for a, b in zip(after, state, strict=True):
        np.testing.assert_array_equal(a, b)
    assert finder.rates[0] == pytest.approx(1e-5)
    ratios = np.array(finder.rates[1:]) / finder.rates[:-1]
    np.testing.assert_allclose(ratios, (10.0 / 1e-5) ** (1 / 89), rtol=1e-5)
    assert len(finder.rates) < 90  # it diverges and stops
    assert finder.suggestion is not None
    assert 1e-3 < finder.suggestion < 0.3
    ax = finder.plot()
    loss, smoothed, mark = ax.get_lines()
    np.testing.assert_array_equal(loss.get_xydata(), np.c_[finder.rates, finder.losses])
    np.testing.assert_array_equal(smoothed.get_ydata(), finder.smoothed)
    assert mark.get_xdata()[0] == finder.suggestion
    assert ax.get_xscale() == "log"


def test_the_losses_of_a_range_test_are_those_of_single_batches() -> None:
    """With a rate that is next to nothing the weights stay, and each batch's loss can be computed."""
    model = trained(epochs=1)
    finder = lumbre.callbacks.LearningRateFinder(1e-12, 1e-11)
    model.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0, callbacks=[finder])
    expected = [model.test_on_batch(X[i : i + 16], Y[i : i + 16])[0] for i in range(0, 64, 16)] * 2
    np.testing.assert_allclose(finder.losses, expected, rtol=1e-4)


def test_a_range_test_before_any_training_leaves_a_fresh_optimizer() -> None:
    model = lumbre.Sequential([lumbre.Input((4,)), lumbre.layers.Dense(1)])
    model.compile("adam", "mse")
    start = model.get_weights()
    finder = lumbre.callbacks.LearningRateFinder(1e-4, 1.0)
    model.fit(X, Y, epochs=10, verbose=0, callbacks=[finder])
    rate, *slots = [v.numpy() for v in model.optimizer.variables if v.dtype != "int64"]
    assert float(rate) == pytest.approx(1e-3)
    assert all(not slot.any() for slot in slots)
    assert int(model.optimizer.iterations.numpy()) == 0
    for a, b in zip(model.get_weights(), start, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_range_test_that_cannot_be() -> None:
    Finder = lumbre.callbacks.LearningRateFinder
    for arguments, message in (
        ({"start": 0.0}, "0 < start < end"),
        ({"start": 1.0, "end": 0.1}, "0 < start < end"),
        ({"steps": 2}, "`steps` must be a whole number from 3 on"),
        ({"smoothing": 1.0}, "`smoothing` must lie in"),
    ):
        with pytest.raises(ValueError, match=message):
            Finder(**arguments)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="makes 8 steps, fewer than steps=50: rates up to"):
        trained(epochs=4, callbacks=[Finder(steps=50)])
    model = trained(epochs=1)
    model.compile(lumbre.optimizers.SGD(lumbre.optimizers.schedules.ExponentialDecay(0.1, 9, 0.5)), "mse")
    with pytest.raises(ValueError, match="whose `learning_rate` is a float"):
        model.fit(X, Y, verbose=0, callbacks=[Finder()])


# ----------------------------------------------------------------------------------------------------- models


def branched() -> Any:
    inner_in = lumbre.Input((8,), name="entry")
    hidden = lumbre.layers.Dense(8, "relu", name="hidden")(inner_in)
    inner = lumbre.Model(inner_in, lumbre.layers.Add(name="sum")([inner_in, hidden]), name="block")
    left, right = lumbre.Input((4,), name="left"), lumbre.Input((6,), name="right")
    x = lumbre.layers.Dense(8, "relu", name="x")(left)
    y = lumbre.layers.Dense(8, "tanh", name="y")(right)
    shared = lumbre.layers.Dense(8, name="shared")
    both = lumbre.layers.Concatenate(name="both")([shared(x), shared(y)])
    block = inner(lumbre.layers.Dense(8, name="mix")(both))
    skip = lumbre.layers.Add(name="skip")([block, x])
    return lumbre.Model([left, right], [skip, y], name="net")


ARROWS = {
    ("left", "x"),
    ("right", "y"),
    ("x", "shared"),
    ("y", "shared"),
    ("shared", "both"),
    ("both", "mix"),
    ("x", "skip"),
}
OUTSIDE = ARROWS | {("mix", "block"), ("block", "skip")}
INSIDE = ARROWS | {
    ("mix", "block/hidden"),
    ("mix", "block/sum"),
    ("block/hidden", "block/sum"),
    ("block/sum", "skip"),
}


def arrows_of(mermaid: str) -> set[tuple[str, str]]:
    names = dict(re.findall(r'(n\d+)\["([^ ]+) ', mermaid))
    return {(names[a], names[b]) for a, b in re.findall(r"(n\d+) --> (n\d+)", mermaid)}


@pytest.mark.parametrize(("nested", "expected"), [(False, OUTSIDE), (True, INSIDE)])
def test_mermaid(nested: bool, expected: set[tuple[str, str]], tmp_path: Path) -> None:
    plot = plot_model(branched(), tmp_path / "net.mmd", expand_nested=nested, show_shapes=True, rankdir="LR")
    text = (tmp_path / "net.mmd").read_text()
    assert text == str(plot)
    assert text.startswith("flowchart LR\n")
    assert arrows_of(text) == expected
    assert "mix (Dense)<br/>output: (None, 8)" in text
    plot_model(branched(), tmp_path / "net.md")
    assert (tmp_path / "net.md").read_text().startswith("```mermaid\nflowchart TB\n")


@pytest.mark.parametrize("rankdir", ["TB", "LR", "BT", "RL"])
@pytest.mark.parametrize("nested", [False, True])
def test_svg(rankdir: str, nested: bool, tmp_path: Path) -> None:
    plot_model(branched(), tmp_path / "net.svg", rankdir=rankdir, expand_nested=nested, show_shapes=True)
    root = ET.parse(tmp_path / "net.svg").getroot()
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    boxes = [
        tuple(float(r.get(k, 0)) for k in ("x", "y", "width", "height")) for r in root.iter(f"{SVG}rect")
    ]
    assert len(boxes) == (10 if nested else 9)
    for x, y, w, h in boxes:
        assert x >= 0 and x + w <= width and y >= 0 and y + h <= height
    for i, (x, y, w, h) in enumerate(boxes):
        for a, b, c, d in boxes[:i]:
            assert x + w <= a or a + c <= x or y + h <= b or b + d <= y, "two boxes overlap"
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert "shared (Dense)" in texts
    paths = [p.get("d", "") for p in root.iter(f"{SVG}path") if p.get("marker-end")]
    assert len(paths) == len(INSIDE if nested else OUTSIDE)
    for path in paths:
        # Arrows go the way of the picture, and pass no box but the ones at their ends.
        points = np.array(re.findall(r"-?[\d.]+", path), float).reshape(-1, 2)
        stops = points[[0, *range(3, len(points), 3)]]
        along = stops[:, 1] if rankdir in ("TB", "BT") else stops[:, 0]
        assert (np.diff(along) * (1 if rankdir in ("TB", "LR") else -1) >= 0).all()
        for x, y, w, h in boxes:
            inside = (x + 1 < stops[:, 0]) & (stops[:, 0] < x + w - 1) & (y + 1 < stops[:, 1])
            assert not (inside & (stops[:, 1] < y + h - 1)).any()


def test_text_of_a_chain_and_of_a_model_of_ones_own() -> None:
    model = trained(epochs=1)
    model.layers[0].trainable = False
    lines = str(plot_model(model, None, format="text", show_layer_activations=True, show_trainable=True))
    assert [line for line in lines.splitlines() if "↓" not in line] == [
        f"{model.inputs[0]._keras_history[0].name} (InputLayer)",
        "first (Dense) · activation: relu · not trainable",
        "last (Dense) · activation: linear · trainable",
    ]
    assert lines.count("↓") == 2

    class Own(lumbre.Model):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = lumbre.layers.Dense(2, name="a"), lumbre.layers.Dense(2, name="b")

        def call(self, x: Any) -> Any:
            return self.b(x) + self.a(x)

    assert "-->" not in str(plot_model(Own(), None, format="mermaid"))
    assert str(plot_model(Own(), None, format="text")).splitlines() == ["a (Dense)", "", "b (Dense)"]


def test_names_are_escaped() -> None:
    model = lumbre.Sequential([lumbre.Input((1,), name="in"), lumbre.layers.Dense(1, name='<b> & "c"')])
    for format in ("svg", "mermaid"):
        assert "<b>" not in str(plot_model(model, None, format=format))
    ET.fromstring(str(plot_model(model, None)))
    assert "&lt;b&gt; &amp; &quot;c&quot;" in model._repr_html_()


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"svg, text or mermaid.*model.png"):
        plot_model(branched(), tmp_path / "model.png")
    with pytest.raises(ValueError, match="`rankdir` must be"):
        plot_model(branched(), None, rankdir="up")
    assert not list(tmp_path.iterdir())


def test_model_in_a_notebook() -> None:
    model = branched()
    text = model._repr_html_()
    head, *rows = Tables(text).rows
    assert head == ["Layer (type)", "Output Shape", "Param #", "Connected to"]
    cells = {row[0]: row[1:] for row in rows}
    assert cells["x (Dense)"] == ["(None, 8)", "40", "left[0][0]"]
    assert cells["shared (Dense)"] == ["(None, 8)", "72", "x[0][0], y[0][0]"]
    assert f"Total params: {model.count_params()}" in text
    assert len(Tables(trained(epochs=1)._repr_html_()).rows[0]) == 3
    assert plot_model(model, None)._repr_mimebundle_()["image/svg+xml"].startswith("<svg")


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(extras.importlib, "import_module", missing)
    history = trained(epochs=1).history
    for call, package, extra in (
        (history.plot, "matplotlib", "plot"),
        (history.to_frame, "pandas", "frame"),
        (lumbre.callbacks.TensorBoard, "tensorboardX", "tensorboard"),
        (lumbre.callbacks.LearningRateFinder().plot, "matplotlib", "plot"),
    ):
        with pytest.raises(ImportError, match=f"{package}, which is not .* pip install 'lumbre.{extra}.'"):
            call()
