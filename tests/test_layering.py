"""Imports run one way: the house's floors, read from the sources.

Rust: python → runtime → kernels. Python: models → training → layers, losses, metrics, optimizers,
callbacks → tensor → ops → autograd → _core, with the helpers of each floor beside them.
"""

from __future__ import annotations

import ast
import graphlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "lumbre"

# From the ground up. Names on one floor may use each other as long as that makes no circle.
FLOORS: tuple[frozenset[str], ...] = tuple(
    frozenset(floor.split())
    for floor in (
        "_core absent config console lookup registration scopes serialization tree threads wording",
        "arrays autograd capture profile watching",
        "ops",
        "gradient_tape tensor",
        "data",
        "utils",
        "random datasets preprocessing",
        "activations initializers regularizers constraints",
        "dtype_policies layers losses metrics optimizers callbacks",
        "training",
        "models",
        "backend saving testing",
        "cli",
    )
)
FACADES = {"__init__", "__main__", "keras_alias"}  # they import everything, and nothing may import them
HEIGHT = {name: height for height, floor in enumerate(FLOORS) for name in floor}

# Calls upstairs, made inside a function, when both floors exist: (from, to) and why it cannot go down.
UPSTAIRS = {
    (
        "config",
        "layers",
    ): "a dtype policy is a layer's; Keras's name for the default one is in `config`",
    ("autograd", "ops"): "gradients are added and un-broadcast by ops, to be differentiable themselves",
    ("models", "saving"): "`Model.save` is a method, and what it does stands above models",
    ("training", "saving"): "`fit` writes its checkpoints into files",
    ("utils", "models"): "`plot_model` draws what models know of themselves",
    ("utils", "random"): "`set_random_seed` seeds the global generator",
}

CRATES = {  # crate: what it may depend on, of ours and of others that decide what a crate is
    "kernels": set(),
    "runtime": {"lumbre-kernels", "libc"},
    "python": {"lumbre-kernels", "lumbre-runtime", "pyo3"},
}
GOVERNED = {"lumbre-kernels", "lumbre-runtime", "lumbre-python", "libc", "pyo3"}


class Import(NamedTuple):
    """One import of one part of the package by another."""

    source: str
    target: str
    lazy: bool
    where: str


def imports() -> list[Import]:
    """Every import between parts of the package."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ["lumbre", *path.relative_to(PACKAGE).with_suffix("").parts]
        source = module[1].removesuffix(".py")
        if source in FACADES:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        for node, lazy in executed(tree, lazy=False):
            for target in targets(node, module):
                if target != source:
                    found.append(Import(source, target, lazy, f"{path.relative_to(ROOT)}:{node.lineno}"))
    return found


def executed(tree: ast.AST, lazy: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """The imports that run, and whether inside a function; those for type checkers alone do not run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, lazy
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from executed(other, lazy)
        else:
            yield from executed(node, lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def targets(node: ast.Import | ast.ImportFrom, module: list[str]) -> set[str]:
    """The parts of the package that a statement names: `ops` for `from lumbre.ops import add`."""
    if isinstance(node, ast.Import):
        names = [alias.name.split(".") for alias in node.names]
    else:
        base = module[: len(module) - node.level] if node.level else []
        base = base + (node.module.split(".") if node.module else [])
        names = [[*base, alias.name] for alias in node.names]
    return {name[1] for name in names if name[0] == "lumbre" and len(name) > 1}


def test_every_part_has_a_floor() -> None:
    files = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    unknown = sorted(files - HEIGHT.keys() - FACADES)
    assert not unknown, f"say in tests/test_layering.py on which floor these stand: {unknown}"


def test_python_imports_go_down() -> None:
    wrong = [
        f"{i.where}: {i.source} imports {i.target}, which stands above it"
        for i in imports()
        if HEIGHT.get(i.target, len(FLOORS)) > HEIGHT[i.source]  # what has no floor comes from the façade
        and not (i.lazy and (i.source, i.target) in UPSTAIRS)
    ]
    assert not wrong, "\n".join(wrong)


def test_neighbours_make_no_circle() -> None:
    uses: dict[str, set[str]] = {}
    for i in imports():
        if HEIGHT.get(i.source) == HEIGHT.get(i.target):
            uses.setdefault(i.source, set()).add(i.target)
    try:
        graphlib.TopologicalSorter(uses).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"parts of one floor import each other in a circle: {' → '.join(error.args[1])}")


def test_exceptions_are_in_use() -> None:
    lazy = {(i.source, i.target) for i in imports() if i.lazy}
    assert UPSTAIRS.keys() <= lazy, f"no longer needed: {sorted(UPSTAIRS.keys() - lazy)}"


@pytest.mark.parametrize("crate", CRATES)
def test_rust_crates_depend_downwards(crate: str) -> None:
    manifest = tomllib.loads((ROOT / "rust" / crate / "Cargo.toml").read_text("utf-8"))
    tables = [manifest, *manifest.get("target", {}).values()]
    kinds = ("dependencies", "dev-dependencies", "build-dependencies")
    used = {name for table in tables for kind in kinds for name in table.get(kind, {})}
    assert used & GOVERNED <= CRATES[crate], f"lumbre-{crate} may depend on {sorted(CRATES[crate])} only"


def test_system_calls_have_one_home() -> None:
    home = ROOT / "rust" / "runtime" / "src" / "os.rs"
    calls = re.compile(r"\blibc::|\bextern \"C\" \{")
    assert not rust_lines(calls, ROOT / "rust", home), "call the operating system in runtime/src/os.rs only"


def test_kernels_spawn_no_threads() -> None:
    spawns = re.compile(r"\bthread::(spawn|scope|Builder)\b")
    kernels = ROOT / "rust" / "kernels" / "src"
    # `testing.rs` is the crate's own test bench, compiled for tests alone.
    assert not rust_lines(spawns, kernels, kernels / "testing.rs"), "threads belong to runtime/src/pool.rs"


def rust_lines(pattern: re.Pattern[str], folder: Path, *spared: Path) -> list[str]:
    """Lines of Rust with the pattern, comments and a file's closing test module left out."""
    found = []
    for path in sorted(folder.rglob("*.rs")):
        if path in spared or "tests" in path.parts:
            continue
        code = path.read_text("utf-8").split("#[cfg(test)]\nmod ")[0]
        for number, line in enumerate(code.splitlines(), 1):
            if pattern.search(line.split("//")[0]):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    return found
