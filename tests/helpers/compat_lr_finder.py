"""Range tests of torch_lr_finder and of lehr.compat.torch_lr_finder on small models."""

from __future__ import annotations

import importlib
import math
import warnings

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset


def library():
    """Return the module torch_lr_finder.lr_finder; skip the test if it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tqdm
        pytest.importorskip("torch_lr_finder")
        return importlib.import_module("torch_lr_finder.lr_finder")


def loader(rows=24, batch=8, **options):
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(rows, 4, generator=draw)
    return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=batch, **options)


def net(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))


def scripted(values):
    """Return a criterion whose losses are given, without effect on the weights."""
    losses = iter(values)
    return lambda outputs, labels: outputs.sum() * 0.0 + next(losses)


def names(module):
    """Return the names of the examples of differences: the module, a finder and its results."""

    def finder(lr=0.1, losses=None, momentum=0.0, **options):
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
        criterion = torch.nn.MSELoss() if losses is None else scripted(losses)
        return module.LRFinder(model, optimizer, criterion, **options)

    def tested(finder, data=None, **arguments):
        arguments = {"end_lr": 1.0, "num_iter": 5} | arguments
        finder.range_test(loader() if data is None else data, **arguments)
        return finder

    def plotted(losses):
        made = finder()
        made.history = {"lr": [0.1 * 2**k for k in range(len(losses))], "loss": losses}
        import matplotlib.pyplot as plt

        _, axes = plt.subplots()
        _, lr = made.plot(0, 0, ax=axes)
        plt.close()
        return lr

    def momentum_after_resets():
        """Return whether the momentum of an earlier update is intact after each reset."""
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        model(torch.ones(1, 4)).sum().backward()
        optimizer.step()
        before = [s["momentum_buffer"].clone() for s in optimizer.state.values()]
        made = module.LRFinder(model, optimizer, torch.nn.MSELoss())
        found = []
        for _ in range(2):
            tested(made)
            made.reset()
            after = [s["momentum_buffer"] for s in optimizer.state.values()]
            found.append(all(map(torch.equal, before, after)))
        return found

    def gradients_after_reset():
        """Return whether the parameters have gradients after `reset`."""
        made = tested(finder())
        made.reset()
        return any(p.grad is not None for p in made.model.parameters())

    return {
        **vars(module),
        **{"finder": finder, "tested": tested, "plotted": plotted, "loader": loader},
        **{"momentum_after_resets": momentum_after_resets, "nan": math.nan, "torch": torch},
        "gradients_after_reset": gradients_after_reset,
        "rate": lambda f: round(f.optimizer.param_groups[0]["lr"], 6),
        "losses": lambda f: [round(loss, 6) for loss in f.history["loss"]],
    }
