"""The task of the recorded study, imported by worker processes."""

from __future__ import annotations

import numpy as np
import torch

import lehr
import lehr.torch

torch.set_num_threads(1)


def small(seed: int) -> lehr.torch.Learner:
    """Return a small regression in PyTorch: 64 rows, batches of 8."""
    draw = np.random.Generator(np.random.PCG64(seed))
    x = draw.normal(size=(128, 5))
    y = np.tanh(x @ [1.0, -2.0, 0.5, 0.0, 1.5])[:, None] + draw.normal(scale=0.1, size=(128, 1))
    x, y = torch.from_numpy(x).float(), torch.from_numpy(y).float()
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    return lehr.torch.Learner(
        model,
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        torch.nn.functional.mse_loss,
        (x[:64], y[:64]),
        validation=(x[64:96], y[64:96]),
        test=(x[96:], y[96:]),
        batch_size=8,
        seed=seed,
    )
