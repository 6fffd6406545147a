"""Reduce the rate when the validation loss has stopped improving.

To run it with PyTorch alone, import the scheduler from torch.optim.lr_scheduler.
"""

import torch

from lehr.compat.torch import ReduceLROnPlateau


def loss_of(model, data):
    x, y = data
    return torch.nn.functional.mse_loss(model(x), y)


if __name__ == "__main__":
    torch.manual_seed(0)
    x = torch.randn(128, 3)
    y = x.sum(1, keepdim=True) + 0.1 * torch.randn(128, 1)
    training, validation = (x[:64], y[:64]), (x[64:], y[64:])
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    scheduler = ReduceLROnPlateau(optimizer, "min", patience=2)
    for epoch in range(30):
        optimizer.zero_grad()
        loss_of(model, training).backward()
        optimizer.step()
        with torch.no_grad():
            loss = loss_of(model, validation)
        scheduler.step(loss)
        print(f"epoch {epoch}: validation {loss.item():.5f} rate {scheduler.get_last_lr()[0]:.9g}")
