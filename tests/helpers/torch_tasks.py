"""Tasks in PyTorch for the tests of studies."""

import numpy as np
import torch

import lehr


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
    """Somebody's callback caps the rate."""
    learner = regression(seed)

    def callback(optimizer, args, kwargs):
        for group in optimizer.param_groups:
            group["lr"] = min(group["lr"], 0.0055)

    learner.optimizer.register_step_pre_hook(callback)
    return learner
