"""Every scheduler of PyTorch that steps once per epoch, in its usual loop.

To run it with PyTorch alone, import the schedulers from torch.optim.lr_scheduler.
"""

import torch

from lehr.compat.torch import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    SequentialLR,
    StepLR,
)

EPOCHS = 12
SCHEDULERS = {
    "LambdaLR": lambda optimizer: LambdaLR(
        optimizer, lr_lambda=[lambda epoch: 1 / (1 + epoch // 4), lambda epoch: 0.95**epoch]
    ),
    "MultiplicativeLR": lambda optimizer: MultiplicativeLR(optimizer, lambda epoch: 0.95),
    "StepLR": lambda optimizer: StepLR(optimizer, step_size=4, gamma=0.1),
    "MultiStepLR": lambda optimizer: MultiStepLR(optimizer, milestones=[3, 8], gamma=0.1),
    "ConstantLR": lambda optimizer: ConstantLR(optimizer, factor=0.5, total_iters=4),
    "LinearLR": lambda optimizer: LinearLR(optimizer, start_factor=0.05, total_iters=4),
    "ExponentialLR": lambda optimizer: ExponentialLR(optimizer, gamma=0.95),
    "PolynomialLR": lambda optimizer: PolynomialLR(optimizer, total_iters=10, power=0.9),
    "CosineAnnealingLR": lambda optimizer: CosineAnnealingLR(optimizer, T_max=EPOCHS),
    "SequentialLR": lambda optimizer: SequentialLR(
        optimizer,
        schedulers=[
            ConstantLR(optimizer, factor=0.1, total_iters=4),
            ExponentialLR(optimizer, gamma=0.9),
        ],
        milestones=[4],
    ),
    "ChainedScheduler": lambda optimizer: ChainedScheduler(
        [ConstantLR(optimizer, factor=0.1, total_iters=4), ExponentialLR(optimizer, gamma=0.9)],
        optimizer=optimizer,
    ),
}


def train(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


if __name__ == "__main__":
    torch.manual_seed(0)
    x = torch.randn(64, 3)
    y = x.sum(1, keepdim=True)
    for name, make_scheduler in SCHEDULERS.items():
        model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
        groups = [
            {"params": model[0].parameters(), "lr": 0.01},
            {"params": model[2].parameters()},
        ]
        optimizer = torch.optim.SGD(groups, lr=0.05)
        scheduler = make_scheduler(optimizer)
        for epoch in range(EPOCHS):
            rates = scheduler.get_last_lr()
            loss = train(model, optimizer, x, y)
            scheduler.step()
            shown = " ".join(f"{rate:.9g}" for rate in rates)
            print(f"{name} epoch {epoch}: loss {loss:.5f} rates {shown}")
