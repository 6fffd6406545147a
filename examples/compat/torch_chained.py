"""Two schedulers of one optimizer: each multiplies the rates that the other one set.

To run it with PyTorch alone, import the schedulers from torch.optim.lr_scheduler.
"""

import torch

from lehr.compat.torch import ExponentialLR, MultiStepLR

if __name__ == "__main__":
    torch.manual_seed(0)
    batches = [(x, x.sum(1, keepdim=True)) for x in torch.randn(8, 16, 3)]
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    decay = ExponentialLR(optimizer, gamma=0.9)
    drops = MultiStepLR(optimizer, milestones=[3, 8], gamma=0.1)
    for epoch in range(10):
        for x, y in batches:
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(x), y).backward()
            optimizer.step()
        decay.step()
        drops.step()
        print(f"epoch {epoch}: rate {optimizer.param_groups[0]['lr']:.9g}")
