"""`lumbre.keras`: the same package under a second name, for scripts written against `tf.keras`."""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType


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
        try:
            importlib.import_module(_real(name))
        except ModuleNotFoundError:
            return None
        return importlib.machinery.ModuleSpec(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = sys.modules[_real(spec.name)]
        self._spec = module.__spec__  # the import system is about to replace it by the alias's
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def _real(name: str) -> str:
    return "lumbre" + name[len(_Alias.prefix) :]


def install() -> None:
    """Makes `lumbre.keras` importable and an attribute of the package."""
    sys.meta_path.insert(0, _Alias())
    package = sys.modules["lumbre"]
    sys.modules[_Alias.prefix] = package
    package.keras = package  # type: ignore[attr-defined]
