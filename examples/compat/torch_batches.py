"""The schedulers of PyTorch that step once per batch.

To run it with PyTorch alone, import the schedulers from torch.optim.lr_scheduler.
"""

import torch

from lehr.compat.torch import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR

EPOCHS, BATCHES = 5, 8
SCHEDULERS = {
    "CyclicLR": lambda optimizer: CyclicLR(optimizer, base_lr=0.01, max_lr=0.1, step_size_up=10),
    "OneCycleLR": lambda optimizer: OneCycleLR(
        optimizer, max_lr=0.1, steps_per_epoch=BATCHES, epochs=EPOCHS
    ),
    "CosineAnnealingWarmRestarts": lambda optimizer: CosineAnnealingWarmRestarts(
        optimizer, T_0=1, T_mult=2
    ),
}

if __name__ == "__main__":
    torch.manual_seed(0)
    data = torch.randn(BATCHES, 16, 3)
    for name, make_scheduler in SCHEDULERS.items():
        model = torch.nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        scheduler = make_scheduler(optimizer)
        for epoch in range(EPOCHS):
            for i, x in enumerate(data):
                group = optimizer.param_groups[0]
                print(f"{name}: rate {group['lr']:.9g} momentum {group['momentum']:.9g}")
                optimizer.zero_grad()
                torch.nn.functional.mse_loss(model(x), x.sum(1, keepdim=True)).backward()
                optimizer.step()
                if name == "CosineAnnealingWarmRestarts":
                    scheduler.step(epoch + (i + 1) / BATCHES)
                elif (epoch, i) != (EPOCHS - 1, BATCHES - 1):
                    scheduler.step()
