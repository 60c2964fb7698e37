"""PyTorch: the usual loop with the fused optimizer, eager and compiled."""

from __future__ import annotations

from collections.abc import Callable

from workloads import Workload

VARIANTS = {"eager": "loop, fused optimizer", "compile": "torch.compile of the loss, fused optimizer"}


def make(workload: Workload, variant: str, threads: int) -> Callable[[int], float]:
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(zip(workload.sizes, workload.sizes[1:], strict=False)):
        linear = nn.Linear(a, b)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(workload.initial()[2 * i].T.copy()))
            linear.bias.zero_()
        layers.append(linear)
        if i < len(workload.sizes) - 2:
            layers.append(nn.ReLU())
            if workload.dropout:
                layers.append(nn.Dropout(workload.dropout))
    model = nn.Sequential(*layers)
    if workload.optimizer == "adam":
        optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), 0.001, fused=True)
    else:
        optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, fused=True)
    criterion = nn.CrossEntropyLoss()

    def loss_of(xb: torch.Tensor, yb: torch.Tensor) -> torch.Tensor:
        return criterion(model(xb), yb)  # type: ignore[no-any-return]

    compute = torch.compile(loss_of) if variant == "compile" else loss_of
    x, y = (torch.from_numpy(a) for a in workload.data())
    batch = workload.batch

    def run(steps: int) -> float:
        loss = torch.zeros(())
        done = 0
        while done < steps:
            order = torch.randperm(len(x))
            for start in range(0, len(x) - batch + 1, batch):
                rows = order[start : start + batch]
                optimizer.zero_grad(set_to_none=True)
                loss = compute(x[rows], y[rows])
                loss.backward()
                optimizer.step()
                done += 1
                if done == steps:
                    break
        return float(loss)

    return run
