"""PyTorch: the usual loop with the fused optimizer, eager or with the loss compiled."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from workloads import Workload, data, initial


def make(workload: Workload, variant: str, threads: int) -> Callable[[int], float]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = network(workload)
    compiled = variant == "compile"
    if workload.task != "fit":
        return forward(workload, torch.compile(model) if compiled else model)
    if workload.optimizer == "adam":
        optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), 0.001, fused=True)
    else:
        optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, fused=True)
    criterion = nn.CrossEntropyLoss()

    def loss_of(xb: torch.Tensor, yb: torch.Tensor) -> torch.Tensor:
        return criterion(model(xb), yb)

    # Each of the two shapes, whole and last batch, compiled for itself.
    compute = torch.compile(loss_of, dynamic=False) if compiled else loss_of
    x, y = (torch.from_numpy(a) for a in data(workload))

    def fit(epochs: int) -> float:
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(workload.batch):
                optimizer.zero_grad(set_to_none=True)
                loss = compute(x[rows], y[rows])
                loss.backward()
                optimizer.step()
        return float(loss)

    return fit


def network(workload: Workload) -> nn.Sequential:
    """The model, with the common weights."""
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(zip(workload.sizes, workload.sizes[1:], strict=False)):
        linear = nn.Linear(a, b)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(initial(workload)[2 * i].T.copy()))
            linear.bias.zero_()
        layers.append(linear)
        if i < len(workload.sizes) - 2:
            layers.append(nn.ReLU())
            if workload.dropout:
                layers.append(nn.Dropout(workload.dropout))
    return nn.Sequential(*layers)


def forward(workload: Workload, model: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[int], float]:
    """Calls with probabilities as the result; to predict is to begin and end with a NumPy array."""
    x = data(workload)[0]
    tensor = torch.from_numpy(x)

    @torch.inference_mode()
    def call(times: int) -> float:
        for _ in range(times):
            result = torch.softmax(model(tensor), -1)
        return float(result[0, 0])

    @torch.inference_mode()
    def predict(times: int) -> float:
        for _ in range(times):
            result = torch.softmax(model(torch.from_numpy(x)), -1).numpy()
        return float(result[0, 0])

    return call if workload.task == "call" else predict
