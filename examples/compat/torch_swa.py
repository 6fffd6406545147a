"""Stochastic weight averaging: a schedule, then a constant rate while the weights are averaged.

To run it with PyTorch alone, import CosineAnnealingLR from torch.optim.lr_scheduler and SWALR from
torch.optim.swa_utils.
"""

import torch
from torch.optim.swa_utils import AveragedModel, update_bn

from lehr.compat.torch import SWALR, CosineAnnealingLR

EPOCHS, START = 20, 12

if __name__ == "__main__":
    torch.manual_seed(0)
    batches = [(x, x.sum(1, keepdim=True)) for x in torch.randn(4, 16, 3)]
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1)
    )
    averaged = AveragedModel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = CosineAnnealingLR(optimizer, T_max=100)
    constant = SWALR(optimizer, anneal_strategy="linear", anneal_epochs=5, swa_lr=0.05)
    for epoch in range(EPOCHS):
        for x, y in batches:
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(x), y).backward()
            optimizer.step()
        if epoch > START:
            averaged.update_parameters(model)
            constant.step()
        else:
            scheduler.step()
        print(f"epoch {epoch}: rate {optimizer.param_groups[0]['lr']:.9g}")
    update_bn([x for x, _ in batches], averaged)
    with torch.no_grad():
        loss = sum(torch.nn.functional.mse_loss(averaged(x), y) for x, y in batches)
    print(f"loss {loss:.4f}")
