"""What saving and loading take and refuse: functions, code, names and arguments; and where they run."""

from __future__ import annotations

import codecs
import functools
import inspect
import marshal
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hostile
import lumbre
from lumbre import config, layers
from lumbre.saving import atomic, lumbre_file, safetensors
from processes import script

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")


@lumbre.saving.register_keras_serializable("saving")
def doubled(x: Any) -> Any:
    return 2.0 * x


def halved(x: Any) -> Any:
    return 0.5 * x


def test_functions_of_lambda_layers(tmp_path: Path) -> None:
    path = tmp_path / "m.lumbre"
    model = lumbre.Sequential([lumbre.Input((4,)), layers.Lambda(doubled), layers.Lambda(halved)])
    model.save(path)
    with pytest.raises(ValueError, match=r"Unknown function 'halved'.*custom_objects="):
        lumbre.saving.load_model(path)
    with lumbre.saving.custom_object_scope({"halved": halved}):
        again = lumbre.saving.load_model(path)
    assert again.layers[0].function is doubled
    for loaded in (again, lumbre.saving.load_model(path, {"halved": halved})):
        np.testing.assert_array_equal(loaded(X).numpy(), model(X).numpy())


@pytest.mark.parametrize("part", ["function", "output_shape", "mask"])
@pytest.mark.parametrize("ending", ["lumbre", "keras"])
def test_functions_without_names_are_refused_before_a_file_is_written(
    part: str, ending: str, tmp_path: Path
) -> None:
    if ending == "keras":
        pytest.importorskip("h5py")
    path = tmp_path / f"m.{ending}"
    path.write_bytes(b"older")
    for function in (lambda *args: args[0], functools.partial(doubled)):
        given: dict[str, Any] = {"function": doubled, part: function}
        layer = layers.Lambda(**given, name="odd")
        with pytest.raises(
            ValueError, match=rf"the `{part}` of the Lambda layer 'odd' is <?func.* with `def`"
        ):
            lumbre.Sequential([layer]).save(path)
    assert os.listdir(tmp_path) == [path.name] and path.read_bytes() == b"older"


def test_code_is_never_run_whatever_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = tmp_path / "ran"
    code = compile(f"lambda x: open({str(ran)!r}, 'w')", "f", "eval").co_consts[0]
    held = {"code": codecs.encode(marshal.dumps(code), "base64").decode(), "defaults": None, "closure": None}
    function = {"class_name": "__lambda__", "config": held}
    model = lumbre.Sequential([lumbre.Input((4,)), layers.Lambda(doubled)])
    path = tmp_path / "m.lumbre"
    model.save(path)
    data = path.read_bytes()
    document = hostile.document_of(data)
    document["config"]["config"]["layers"][1]["config"]["function"] = function
    path.write_bytes(hostile.signed_config(data, document))
    monkeypatch.setitem(config._settings, "unsafe_deserialization", False)
    lumbre.config.enable_unsafe_deserialization()
    for safe_mode in (True, False):
        with pytest.raises(ValueError, match=r"never run here, neither with `safe_mode=False` nor .*a name"):
            lumbre.saving.load_model(path, safe_mode=safe_mode)
    assert not ran.exists()


def test_arguments_of_old_and_large(tmp_path: Path) -> None:
    model = lumbre.Sequential([lumbre.Input((4,)), layers.Dense(1)])
    path = tmp_path / "m.lumbre"
    with pytest.warns(DeprecationWarning, match="the ending says the format"):
        model.save(path, save_format="tf")
    with pytest.raises(TypeError, match="unexpected keyword argument 'signatures'"):
        model.save(path, signatures=1)
    with pytest.raises(ValueError, match="one file, however large"):
        model.save_weights(path, max_shard_size=1.0)
    with pytest.raises(AttributeError, match="no attribute 'export': use `save`"):
        model.export(path)
    assert not hasattr(model, "quantize")
    with pytest.raises(AttributeError, match="has no defined input"):
        lumbre.Sequential([layers.Dense(1)]).input  # noqa: B018 - what a property says is kept
    with pytest.raises(AttributeError, match=r"use `lumbre\.saving\.inspect_file`"):
        lumbre.saving.KerasFileEditor  # noqa: B018


@pytest.mark.parametrize("module", ["saving", "models"])
def test_names_and_arguments_are_those_of_keras(module: str) -> None:
    theirs = pytest.importorskip("keras")
    names = [n for n in dir(getattr(theirs, module)) if n[0] != "_" and n != "KerasFileEditor"]
    assert len(names) > 4
    ours: dict[str, Any] = {name: getattr(getattr(lumbre, module), name) for name in names}
    for name, found in ours.items():
        expected = inspect.signature(getattr(getattr(theirs, module), name)).parameters.values()
        plain = [p for p in expected if p.kind is p.POSITIONAL_OR_KEYWORD]
        own = list(inspect.signature(found).parameters.values())[: len(plain)]
        assert [(p.name, p.default) for p in own] == [(p.name, p.default) for p in plain], name


# Other systems


def test_reading_without_preadv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {f"t{i}": np.random.default_rng(i).random(3_000_000 + i, "float32") for i in range(3)}
    path = tmp_path / "a.safetensors"
    safetensors.save_file(values, path)
    monkeypatch.delattr(os, "preadv")
    found = safetensors.load_file(path, hashed=True)  # several threads read each tensor
    for name, value in values.items():
        np.testing.assert_array_equal(found[name], value)
    with (
        safetensors.Reader(path) as reader,
        pytest.raises(safetensors.FileFormatError, match="the file ends"),
    ):
        os.truncate(path, 100_000)
        reader.read("t2")


def test_loading_without_fill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = lumbre.Sequential([lumbre.Input((4,)), layers.Dense(3)])
    model.save_weights(tmp_path / "w.lumbre")
    expected = model.get_weights()
    model.set_weights([np.zeros_like(w) for w in expected])

    # As on Windows, where cells have no `fill`.
    monkeypatch.setattr(lumbre_file, "hasattr", lambda x, n: n != "fill" and hasattr(x, n), raising=False)
    model.load_weights(tmp_path / "w.lumbre")
    for value, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(value, wanted)


def test_writing_without_locks_and_open_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "fcntl", None)
    replace, opened = os.replace, set()

    def strict(source: Any, target: Any) -> None:
        held = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
        opened.update(held & {os.path.realpath(source)})
        replace(source, target)

    if Path("/proc/self/fd").is_dir():
        monkeypatch.setattr(os, "replace", strict)
    with atomic.replacing(tmp_path / "a") as file:
        file.write(b"a")
    with atomic.replacing_path(tmp_path / "b") as path:
        Path(path).write_bytes(b"b")
    with atomic.new_folder(tmp_path / "c") as path:
        Path(path, "d").write_bytes(b"d")
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]
    assert not opened  # Windows renames no open file


# Memory

MEASURED = """
import os, sys, threading, time
import numpy as np
import lumbre

def used():
    with open("/proc/self/status") as status:
        found = dict(line.split(":", 1) for line in status)
    return int(found["RssAnon"].split()[0]) / 1024

model = lumbre.Sequential([lumbre.Input((5000,)), lumbre.layers.Dense(5000, use_bias=False)])
model.compile(lumbre.optimizers.SGD(0.01), "mse")
x = np.random.default_rng(0).random((20, 5000), "float32")
model.fit(x, x, batch_size=1, verbose=0)
kernel = model.layers[0].kernel
assert kernel.cell.hold().in_panels
most, start, done = 0, used(), threading.Event()

def watch():
    global most
    while not done.is_set():
        most = max(most, used())
        time.sleep(0.001)

thread = threading.Thread(target=watch)
thread.start()
model.save(sys.argv[1])
done.set()
thread.join()
assert kernel.cell.hold().in_panels  # training goes on without turning it
saved = lumbre.saving.load_model(sys.argv[1]).layers[0].kernel
assert np.array_equal(saved.numpy(), kernel.numpy())
print(most - start)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux's /proc to measure memory")
def test_a_large_weight_in_panels_is_not_copied_to_be_saved(tmp_path: Path) -> None:
    path = str(tmp_path / "m.lumbre")
    assert float(script(MEASURED.replace("sys.argv[1]", repr(path)))) < 50  # MB, for a weight of 100 MB
