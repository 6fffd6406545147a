"""Tiny PyTorch models, their data, tasks for studies, and a training loop that records rates."""

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset

import lehr
import lehr.torch

torch.set_num_threads(1)  # for tiny models, more threads are slower


def weights(n=1, **options):
    return [torch.nn.Parameter(torch.zeros(1, **options)) for _ in range(n)]


def beta1(group):
    return group["betas"][0]


def momentum(group):
    return group["momentum"]


def drive(optimizer, scheduler, updates, read=lambda group: group["lr"], group=0):
    """Make updates with gradient 1; return the hyperparameter read before each update."""
    used = []
    for _ in range(updates):
        used.append(float(read(optimizer.param_groups[group])))
        for part in optimizer.param_groups:
            for weight in part["params"]:
                weight.grad = torch.ones_like(weight)
        optimizer.step()
        scheduler.step()
    return used


def close(used, expected, rel=1e-12):
    """Compare relative to the peak: ``rel`` is 1e-12 for float rates, 4e-7 for float32 tensors."""
    assert np.abs(np.subtract(used, expected)).max() <= rel * np.max(np.abs(expected))


def named(n=2, lr=1.0, cls=SGD, dtype=None, **options):
    groups = [{"params": weights(dtype=dtype), "name": f"g{i}"} for i in range(n)]
    return cls(groups, lr=lr, **options)


X = torch.randn(200, 8, generator=torch.Generator().manual_seed(1))
Y = torch.randint(0, 3, (200,), generator=torch.Generator().manual_seed(2))


def net(inputs: int = 8, classes: int = 3, seed: int = 0) -> torch.nn.Module:
    """Return a classifier with batch norm and dropout."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(inputs, 16),
        torch.nn.BatchNorm1d(16),
        torch.nn.Dropout(0.3),
        torch.nn.ReLU(),
        torch.nn.Linear(16, classes),
    )


def batches(**options) -> DataLoader:
    generator = torch.Generator().manual_seed(3)
    data = TensorDataset(X, Y)
    return DataLoader(data, batch_size=32, shuffle=True, generator=generator, **options)


def epoch(model, optimizer, loader) -> list[float]:
    losses = []
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "Adam, tensor rate": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.01)),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True),
    "Adam, fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
}


def linear():
    model = torch.nn.Linear(8, 3)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def regression(seed: int) -> lehr.torch.Learner:
    torch.manual_seed(seed)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(96, 4)).astype("float32")
    data = x, x.sum(1, keepdims=True)
    parts = [tuple(a[rows] for a in data) for rows in (slice(64), slice(64, 80), slice(80, 96))]
    train, validation, test = parts
    mse = torch.nn.functional.mse_loss
    return lehr.torch.Learner(
        model, optimizer, mse, train, validation=validation, test=test, batch_size=8, seed=seed
    )


def overwritten(seed: int) -> lehr.torch.Learner:
    """Return a Learner whose optimizer has a hook that caps the rate."""
    learner = regression(seed)

    def callback(optimizer, args, kwargs):
        for group in optimizer.param_groups:
            group["lr"] = min(group["lr"], 0.0055)

    learner.optimizer.register_step_pre_hook(callback)
    return learner
