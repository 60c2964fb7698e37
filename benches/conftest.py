"""What the kernel benches share: the machine's limits, and a table of all results beside them at the end."""

from __future__ import annotations

import time
from typing import Any

import kernels
import pytest
from measure import SETTLE, machine

import lumbre

measured: dict[str, Any] = {}


@pytest.fixture(scope="session", autouse=True)
def limits() -> dict[str, Any]:
    """The measured rates of FMAs and of streams."""
    measured.update(machine(lumbre.get_num_threads(), [100_000, 10_000_000]))
    return measured


@pytest.fixture(params=["numpy", "lumbre"])
def library(request: pytest.FixtureRequest) -> str:
    """Whose turn it is."""
    time.sleep(SETTLE)  # NumPy's threads may spin on after their work
    return str(request.param)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in kernels.table(measured) if kernels.cases else ():
        terminalreporter.write_line(line)
