"""Event files, read back with TensorBoard's own reader."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumbre

pytest.importorskip("tensorboardX", reason="tensorboardX is not installed (pip install 'lumbre[test]')")
reader = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator",
    reason="TensorBoard is not installed (pip install 'lumbre[test]')",
)

X = np.random.default_rng(0).standard_normal((48, 4)).astype("float32")
Y = X.sum(1)


def run(folder: Path, epochs: int = 3, **arguments: Any) -> Any:
    model = lumbre.Sequential(
        [lumbre.Input((4,)), lumbre.layers.Dense(5, "tanh", name="a"), lumbre.layers.Dense(1, name="b")],
        name="net",
    )
    model.compile("sgd", "mse", metrics=["mae"])
    callbacks = [
        lumbre.callbacks.GradientMonitor(every=1),
        lumbre.callbacks.TensorBoard(folder, **arguments),
    ]
    model.fit(X, Y, batch_size=8, epochs=epochs, verbose=0, validation_data=(X, Y), callbacks=callbacks)
    return model


def read(folder: Path) -> Any:
    events = reader.EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "tensors": 0})
    events.Reload()
    return events


def scalars(events: Any, tag: str) -> tuple[list[int], list[float]]:
    found = events.Scalars(tag)
    return [s.step for s in found], [s.value for s in found]


def test_scalars_of_epochs(tmp_path: Path) -> None:
    model = run(tmp_path / "logs")
    history = model.history.history
    for folder, prefix in (("train", ""), ("validation", "val_")):
        events = read(tmp_path / "logs" / folder)
        for name in ("loss", "mae"):
            steps, values = scalars(events, f"epoch_{name}")
            assert steps == [0, 1, 2]
            np.testing.assert_allclose(values, history[prefix + name], rtol=1e-6)
    events = read(tmp_path / "logs" / "train")
    np.testing.assert_allclose(scalars(events, "epoch_learning_rate")[1], [0.01] * 3)
    for name in ("gradient_norm/a", "update_ratio/b", "saturation/a"):
        np.testing.assert_allclose(scalars(events, f"epoch_{name}")[1], history[name], rtol=1e-6)
    assert not [tag for tag in events.Tags()["scalars"] if tag.startswith("batch_")]
    steps, values = scalars(read(tmp_path / "logs" / "validation"), "evaluation_loss_vs_iterations")
    assert steps == [6, 12, 18]
    np.testing.assert_allclose(values, history["val_loss"], rtol=1e-6)


def test_histograms_and_images(tmp_path: Path) -> None:
    model = run(tmp_path, epochs=4, histogram_freq=2, write_images=True)
    events = read(tmp_path / "train")
    paths = [w.path for w in model.weights]
    assert paths[0] == "net/a/kernel"
    assert set(events.Tags()["histograms"]) == {f"{path}/histogram" for path in paths}
    assert [h.step for h in events.Histograms("net/a/kernel/histogram")] == [0, 2]
    last = events.Histograms("net/a/kernel/histogram")[-1].histogram_value
    assert last.num == 20
    assert sum(last.bucket) == 20
    # Read at the end of epoch 2, before the last epoch moved the weights a little.
    values = model.get_weights()[0]
    assert last.min == pytest.approx(values.min(), abs=0.05)
    assert last.max == pytest.approx(values.max(), abs=0.05)
    assert last.sum == pytest.approx(values.sum(), abs=0.5)
    image = events.Images("net/a/kernel/image")[0]
    assert (image.height, image.width) == (4, 5)
    assert image.encoded_image_string.startswith(b"\x89PNG")


def test_the_exact_histogram(tmp_path: Path) -> None:
    model = run(tmp_path, epochs=1, histogram_freq=1)
    value = read(tmp_path / "train").Histograms("net/a/kernel/histogram")[0].histogram_value
    weights = model.get_weights()[0].astype("float64")
    assert (value.min, value.max) == pytest.approx((weights.min(), weights.max()))
    assert value.sum == pytest.approx(weights.sum())
    assert value.sum_squares == pytest.approx((weights**2).sum())
    # Each limit is the right end of a bucket, which belongs to the next one, but for the last.
    counts = [np.sum(weights < limit) for limit in value.bucket_limit[:-1]]
    np.testing.assert_array_equal(np.cumsum(value.bucket), [*counts, 20])


@pytest.mark.parametrize(("freq", "every"), [("batch", 1), (1, 1), (4, 4)])
def test_scalars_of_batches(freq: Any, every: int, tmp_path: Path) -> None:
    run(tmp_path, epochs=2, update_freq=freq, write_steps_per_second=True)
    events = read(tmp_path / "train")
    steps, values = scalars(events, "batch_loss")
    assert steps == list(range(every, 13, every))
    assert values[-1] == pytest.approx(scalars(events, "epoch_loss")[1][-1])
    assert all(v > 0 for v in scalars(events, "batch_steps_per_second")[1])
    assert all(v > 0 for v in scalars(events, "epoch_steps_per_second")[1])


def test_the_models_structure(tmp_path: Path) -> None:
    model = run(tmp_path / "a")
    events = read(tmp_path / "a" / "train")
    assert events.SummaryMetadata("keras").plugin_data.plugin_name == "graph_keras_model"
    (tensor,) = events.Tensors("keras")
    text = tensor.tensor_proto.string_val[0].decode()
    assert json.loads(text) == json.loads(model.to_json())
    # What the graph plugin makes of it.
    from tensorboard.plugins.graph import keras_util

    graph = keras_util.keras_model_to_graph_def(json.loads(text))
    inputs = {node.name: list(node.input) for node in graph.node}
    assert inputs["net/b"] == ["net/a"]
    run(tmp_path / "b", write_graph=False)
    assert "keras" not in read(tmp_path / "b" / "train").Tags()["tensors"]


def test_it_is_imported_when_used() -> None:
    import subprocess

    heavy = {"tensorboardX", "pandas", "matplotlib"}
    code = f"import sys, lumbre, lumbre.callbacks; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"update_freq": "step"}, "`update_freq` must be 'epoch', 'batch' or a whole number"),
        ({"update_freq": 0}, "`update_freq` must be"),
        ({"profile_batch": 5}, "`profile_batch` is not available"),
        ({"embeddings_freq": 1}, "`embeddings_freq` is not available"),
        ({"embeddings_metadata": {}}, "`embeddings_metadata` is not available"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        lumbre.callbacks.TensorBoard(tmp_path, **arguments)
