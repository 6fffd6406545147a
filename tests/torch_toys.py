"""What the tests of lehr.torch share: one-number weights, and a loop that tells what it used."""

import numpy as np
import torch
from torch.optim import SGD

torch.set_num_threads(1)  # tiny models: more threads only stand in each other's way


def weights(n=1, **options):
    return [torch.nn.Parameter(torch.zeros(1, **options)) for _ in range(n)]


def beta1(group):
    return group["betas"][0]


def momentum(group):
    return group["momentum"]


def drive(optimizer, scheduler, updates, read=lambda group: group["lr"], group=0):
    """Make updates by gradients of 1; return what stood in the optimizer before each."""
    used = []
    for _ in range(updates):
        used.append(float(read(optimizer.param_groups[group])))
        for part in optimizer.param_groups:
            for weight in part["params"]:
                weight.grad = torch.ones_like(weight)
        optimizer.step()
        scheduler.step()
    return used


def close(used, wanted, rel=1e-12):
    """Relative to the peak: 1e-12 where the rate is a number, 4e-7 in a float32 tensor."""
    assert np.abs(np.subtract(used, wanted)).max() <= rel * np.max(np.abs(wanted))


def named(n=2, lr=1.0, cls=SGD, dtype=None, **options):
    groups = [{"params": weights(dtype=dtype), "name": f"g{i}"} for i in range(n)]
    return cls(groups, lr=lr, **options)
