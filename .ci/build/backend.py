"""maturin's build backend, behind a check that says in one line what is missing.

Without it, `pip install .` on a machine without Rust would download a toolchain unasked.
"""

import os
import shutil
import sys

if shutil.which("cargo") is None:
    sys.exit(
        "error: Lumbre is compiled from Rust and cargo is not on the PATH: install Rust (https://rustup.rs), "
        "open a new shell, and try again; or install a wheel with `pip install lumbre`"
    )
os.environ.setdefault("MATURIN_NO_INSTALL_RUST", "1")

from maturin import *  # noqa: F403
