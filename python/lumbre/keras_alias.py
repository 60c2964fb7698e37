"""`lumbre.keras`: the same package under a second name, for scripts written against `tf.keras`.

`import lumbre as tf` then gives `tf.keras.layers.Dense`, the same object as `lumbre.layers.Dense`. Modules
and names that are not here are refused with what to use instead, see `absent`.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

from lumbre import absent


class _Alias:
    """Finds `lumbre.keras.x.y` as the module `lumbre.x.y`: one module object under two names.

    A finder and loader without their base classes: importing those takes longer than the rest of this file.
    """

    prefix = "lumbre.keras"

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.prefix and not name.startswith(self.prefix + "."):
            return None
        importlib.import_module(_real(name))
        return importlib.machinery.ModuleSpec(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = sys.modules[_real(spec.name)]
        self._spec = module.__spec__  # the import system is about to replace it by the alias's
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _Absent:
    """The last to be asked for a module below `lumbre`: says what to use instead.

    Python also looks for a module where `from lumbre.layers import Danse` finds no such name, so this is
    where a misspelt one is told of. The error names no module: one that does would be passed over there.
    """

    prefix = "lumbre."

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        parent, _, last = name.rpartition(".")
        if name.startswith(self.prefix) and not last.startswith("_") and parent in sys.modules:
            real = sys.modules[parent].__name__
            raise ModuleNotFoundError(absent.message(real, last, "'{}' has neither a module nor a name '{}'"))


def _real(name: str) -> str:
    return "lumbre" + name[len(_Alias.prefix) :]


def install() -> None:
    """Makes `lumbre.keras` importable and an attribute of the package."""
    package = sys.modules["lumbre"]
    for name in [name for name in sys.modules if name.startswith("lumbre.")]:
        # Found here, a module is not put into its parent once more, over a function of the same name.
        sys.modules[_Alias.prefix + name.removeprefix("lumbre")] = sys.modules[name]
    sys.meta_path.insert(0, _Alias())
    sys.meta_path.append(_Absent())
    sys.modules[_Alias.prefix] = package
    package.keras = package  # type: ignore[attr-defined]
    absent.install(package)
