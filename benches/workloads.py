"""The work that is measured: training of dense networks, from tiny to half a gigabyte, and single rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np


@dataclass(frozen=True)
class Workload:
    """A multilayer perceptron with ReLU between the layers and softmax cross-entropy at the end."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    rows: int  # of the data set
    task: str = "fit"  # or, of one batch: "call" the model, "predict" from array to array
    optimizer: str = "adam"  # or "momentum": SGD with momentum 0.9
    dropout: float = 0.0
    threads: int | None = None  # None: as many as the machine gives
    peers: tuple[str, ...] | None = None  # None: all

    @property
    def title(self) -> str:
        """What it is, in a line."""
        network = "-".join(map(str, self.sizes))
        if self.task != "fit":
            return f"{network}, {self.batch} row, {'model(x)' if self.task == 'call' else 'model.predict(x)'}"
        optimizer = "Adam" if self.optimizer == "adam" else "SGD momentum"
        dropout = f"dropout {self.dropout}, " if self.dropout else ""
        alone = ", one thread" if self.threads == 1 else ""
        return f"{network}, {dropout}batch {self.batch}, {optimizer}{alone}"

    @property
    def steps(self) -> int:
        """Steps in an epoch; the last may have fewer rows. A call is a step."""
        return -(-self.rows // self.batch)

    @property
    def parameters(self) -> int:
        return sum(a * b + b for a, b in zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def flops(self) -> float:
        """Of a step's products: forward; in training also the gradients, but for the first input's."""
        products = [2 * self.batch * a * b for a, b in zip(self.sizes, self.sizes[1:], strict=False)]
        return 3.0 * sum(products) - products[0] if self.task == "fit" else float(sum(products))

    @property
    def barriers(self) -> int:
        """Meetings of the workers in a step of training: layers forward, layers backward, batch, update."""
        return 2 * (len(self.sizes) - 1) + 2


@cache
def data(workload: Workload) -> tuple[np.ndarray, np.ndarray]:
    """Rows in [0, 1) and class numbers."""
    rng = np.random.default_rng(0)
    x = rng.random((workload.rows, workload.sizes[0]), "float32")
    return x, rng.integers(0, workload.sizes[-1], workload.rows)


@cache
def initial(workload: Workload) -> list[np.ndarray]:
    """The same Glorot-uniform weights and zero biases for everybody."""
    rng = np.random.default_rng(1)
    weights: list[np.ndarray] = []
    for a, b in zip(workload.sizes, workload.sizes[1:], strict=False):
        limit = np.sqrt(6.0 / (a + b))
        weights += [rng.uniform(-limit, limit, (a, b)).astype("float32"), np.zeros(b, "float32")]
    return weights


MISSION = (784, 128, 64, 10)
ONE_ROW = ("jax jit", "keras jax", "keras torch", "keras tensorflow", "torch eager", "sklearn mlp")

WORKLOADS = {
    w.name: w
    for w in [
        Workload("mission", MISSION, batch=32, rows=6400),
        Workload("mnist", (784, 512, 512, 10), batch=128, rows=12800, dropout=0.2),
        Workload("tiny", (20, 32, 2), batch=32, rows=1000, threads=1),
        Workload(
            "wide",
            (1024, 4096, 4096, 1000),
            batch=256,
            rows=2560,
            optimizer="momentum",
            peers=("jax jit", "keras jax", "torch eager"),
        ),
        Workload("call", MISSION, batch=1, rows=1, task="call", peers=ONE_ROW),
        Workload("predict", MISSION, batch=1, rows=1, task="predict", peers=ONE_ROW),
    ]
}


def other(text: str) -> Workload:
    """A workload given as sizes and batch, `300-200-77-13/48`: any is to be as fast as those that have names.

    Raises:
        ValueError: The text is not of this form.
    """
    network, _, batch = text.partition("/")
    sizes = tuple(int(n) for n in network.split("-"))
    if len(sizes) < 2 or min(*sizes, int(batch)) < 1:
        raise ValueError(f"a network is given as sizes and batch, as in 300-200-77-13/48, not {text!r}")
    return Workload(text, sizes, int(batch), rows=100 * int(batch))
