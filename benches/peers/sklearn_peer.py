"""scikit-learn's MLPClassifier: `partial_fit` over the whole data set is one epoch of mini-batches."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from workloads import Workload

from peers.lumbre_peer import epochs

VARIANTS = {"mlp": "MLPClassifier.fit"}


def make(workload: Workload, variant: str, threads: int) -> Callable[[int], float]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    if workload.dropout:
        raise NotImplementedError("scikit-learn has no dropout")
    warnings.simplefilter("ignore", ConvergenceWarning)
    x, y = workload.data()
    solver = (
        {"solver": "adam"} if workload.optimizer == "adam" else {"solver": "sgd", "learning_rate_init": 0.01}
    )

    def run(steps: int) -> float:
        model = MLPClassifier(
            workload.sizes[1:-1],
            batch_size=workload.batch,
            alpha=0.0,
            max_iter=epochs(workload, steps),
            n_iter_no_change=10**6,
            random_state=0,
            **solver,
        )
        return float(model.fit(x, y).loss_)

    return run
