"""The training runs that are measured: dense networks from the smallest to one of half a gigabyte."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Workload:
    """A multilayer perceptron with ReLU between the layers and softmax cross-entropy at the end."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    rows: int  # of the data set
    optimizer: str = "adam"  # or "momentum": SGD with momentum 0.9
    dropout: float = 0.0
    threads: int | None = None  # None: as many as the machine gives
    steps: int = 200  # in one measurement

    @property
    def parameters(self) -> int:
        return sum(a * b + b for a, b in zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def flops(self) -> float:
        """Of one step's products: forward, weight gradients, and input gradients but the first."""
        products = [2 * self.batch * a * b for a, b in zip(self.sizes, self.sizes[1:], strict=False)]
        return 3.0 * sum(products) - products[0]

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows in [0, 1) and class numbers."""
        rng = np.random.default_rng(0)
        x = rng.random((self.rows, self.sizes[0]), "float32")
        return x, rng.integers(0, self.sizes[-1], self.rows)

    def initial(self) -> list[np.ndarray]:
        """The same Glorot-uniform weights and zero biases for everybody."""
        rng = np.random.default_rng(1)
        weights: list[np.ndarray] = []
        for a, b in zip(self.sizes, self.sizes[1:], strict=False):
            limit = np.sqrt(6.0 / (a + b))
            weights += [rng.uniform(-limit, limit, (a, b)).astype("float32"), np.zeros(b, "float32")]
        return weights


WORKLOADS = {
    w.name: w
    for w in [
        Workload("mission", (784, 128, 64, 10), batch=32, rows=6400, steps=400),
        Workload("mnist", (784, 512, 512, 10), batch=128, rows=12800, dropout=0.2, steps=100),
        Workload("tiny", (20, 32, 2), batch=32, rows=1000, threads=1, steps=2000),
        Workload("wide", (1024, 4096, 4096, 1000), batch=256, rows=2560, optimizer="momentum", steps=10),
    ]
}
