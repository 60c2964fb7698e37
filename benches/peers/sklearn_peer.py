"""scikit-learn's MLPClassifier."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from workloads import Workload, data


def make(workload: Workload, variant: str, threads: int) -> Callable[[int], float]:
    if workload.dropout:
        raise NotImplementedError("scikit-learn has no dropout")
    if workload.task == "call":
        raise NotImplementedError("scikit-learn has only predict")
    warnings.simplefilter("ignore", ConvergenceWarning)
    x, y = data(workload)
    adam = {"solver": "adam"}
    momentum = {"solver": "sgd", "learning_rate_init": 0.01, "nesterovs_momentum": False}
    model = MLPClassifier(
        workload.sizes[1:-1],
        batch_size=workload.batch,
        alpha=0.0,
        n_iter_no_change=10**6,
        warm_start=True,  # goes on where the last fit ended, without drawing weights anew
        random_state=0,
        **(adam if workload.optimizer == "adam" else momentum),
    )

    def fit(epochs: int) -> float:
        return float(model.set_params(max_iter=epochs).fit(x, y).loss_)

    def predict(times: int) -> float:
        for _ in range(times):
            result = model.predict_proba(x)
        return float(result[0, 0])

    if workload.task == "predict":
        classes = workload.sizes[-1]
        model.set_params(max_iter=1).fit(x.repeat(classes, 0), np.arange(classes))  # makes the weights
        return predict
    return fit
