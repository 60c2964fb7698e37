"""Programs in a process of their own, for what is counted per process: memory, threads, processor time."""

from __future__ import annotations

import os
import subprocess
import sys


def script(code: str, *, cores: set[int] | None = None, **environment: str) -> str:
    """What a program prints, run as users run it: `LUMBRE_CHECK` is off.

    Args:
        code: The program.
        cores: The cores that it is kept to.
        environment: Variables that differ from this process's.
    """
    keep = None if cores is None else lambda: os.sched_setaffinity(0, cores)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "LUMBRE_CHECK": "0", **environment},
        capture_output=True,
        text=True,
        timeout=110,
        preexec_fn=keep,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
