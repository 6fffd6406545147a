"""A PyTorch model with a custom training step, as a task for `lehr find` and `lehr compare`.

lehr find torch_task:digits
lehr compare torch_study.yaml
"""

import numpy as np
import torch
from sklearn.datasets import load_digits

import lehr


def digits(seed: int, optimizer: str = "sgd") -> lehr.torch.Learner:
    """Return a Learner on scikit-learn's digits; training adds noise to the pixels."""
    torch.manual_seed(seed)  # initial weights and noise are a function of the seed
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    train, validation, test = data()
    return lehr.torch.Learner(
        model,
        OPTIMIZERS[optimizer](model.parameters()),
        None,
        train,
        validation=validation,
        test=test,
        batch_size=32,
        seed=seed,
        metrics={"accuracy": accuracy},
        step=training_step,
    )


def schedule_free(parameters):
    from schedulefree import AdamWScheduleFree

    return AdamWScheduleFree(parameters, lr=0.0025)


# The policy sets the learning rate; the other hyperparameters are set here.
OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=1e-3),
    "schedule-free adamw": schedule_free,
}


def training_step(model, batch):
    """Return the loss of a batch; in training mode, with noise added to the pixels."""
    x, y = batch
    if model.training:
        x = x + 0.1 * torch.randn_like(x)
    return torch.nn.functional.cross_entropy(model(x), y)


def accuracy(output, y):
    return (output.argmax(1) == y).double().mean()


def data():
    """Return train, validation and test; the split is the same for every seed."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 16).astype("float32"), y[order].astype("int64")
    return [(x[part], y[part]) for part in (slice(600, None), slice(300, 600), slice(300))]
