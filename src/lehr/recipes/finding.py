"""The range tests of the sources, smoothed as in the source and by lehr."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from lehr.finder import Sweep, range_test, smoothed
from lehr.recipes import learners
from lehr.tasks.images import splits

if TYPE_CHECKING:
    import torch

_TESTS: dict[str, dict[str, Any]] = {
    "geometric": {"low": 1e-3, "high": 10.0},
    "linear": {"low": 0.02, "high": 1.5, "spacing": "linear"},
    "validation": {"low": 1e-3, "high": 10.0},
}


def book(
    seed: int,
    *,
    data: str,
    network: Mapping[str, Any],
    rows: int | None = None,
    steps: int | None = None,
) -> dict[str, Any]:
    """Run the range test of the book: one epoch in batches of 128, from 1e-5 to 10.

    Args:
        seed: of the weights and the order of the images.
        data: set of images, as of `lehr.tasks.images.splits`.
        network: options of `lehr.recipes.learners.dense`.
        rows: number of rows of each split; None: all.
        steps: number of updates; None: one epoch.

    Returns:
        "numbers" by name, and the data of the "figure".
    """
    learner = learners.dense(seed, data=data, batch_size=128, rows=rows, **network)
    sweep = range_test(learner, steps=steps or learner.steps_per_epoch)
    running = [total / (i + 1) for i, total in enumerate(itertools.accumulate(sweep.losses))]
    return _read(sweep, running, "running mean", "book")


def mnist(
    seed: int, *, test: str, rows: int | None = None, data: str = "mnist", steps: int = 100
) -> dict[str, Any]:
    """Run a range test of the MNIST example of pytorch-lr-finder, in PyTorch.

    Args:
        seed: of the weights, the dropout and the order of the images.
        test: "geometric" or "linear" (training loss), or "validation" (validation loss).
        rows: number of rows of each split; None: all.
        data: set of images, as of `lehr.tasks.images.splits`.
        steps: number of updates.

    Returns:
        "numbers" by name, and the data of the "figure".
    """
    import torch

    import lehr.torch

    torch.manual_seed(seed)
    arrays = splits(data, "unit", rows)
    loaders = {name: _loader(arrays[name], seed) for name in ("train", "validation")}
    model = _network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.5)
    more = {"validation_data": loaders["validation"]} if test == "validation" else {}
    loss = torch.nn.functional.nll_loss
    sweep = lehr.torch.range_test(
        model, optimizer, loss, loaders["train"], steps=steps, **_TESTS[test], **more
    )
    lagging = list(itertools.accumulate(sweep.losses, lambda mean, new: 0.95 * mean + 0.05 * new))
    read = _read(sweep, lagging, "lagging mean", "source")
    read["numbers"]["training images"] = float(len(arrays["train"][0]))
    return read


def _read(sweep: Sweep, averaged: Sequence[float], name: str, source: str) -> dict[str, Any]:
    """Return the numbers and figure of a sweep and of its losses averaged as in the source."""
    rates, losses = smoothed(sweep)
    least, at = min(zip(losses, rates, strict=True), key=itemgetter(0))
    numbers = {"rate of least smoothed loss": at, "least smoothed loss": least}
    for use in ("constant", "one-cycle"):
        if (found := sweep.suggest(use).lr) is not None:
            numbers[f"suggested for {use}"] = found
    least, at = min(zip(averaged, sweep.rates, strict=True), key=itemgetter(0))
    numbers |= {f"rate of least {name}": at, f"least {name}": least}
    finite = len(rates)  # the later updates diverged
    lines = {
        "loss, as measured": [list(sweep.rates[:finite]), list(sweep.losses[:finite])],
        "smoothed": [list(rates), list(losses)],
        f"{name}, as in the {source}": [list(sweep.rates), averaged],
    }
    log = "x" if sweep.spacing == "geometric" else ""
    x = "learning rate" + (" (log scale)" if log else "")
    y = f"{sweep.objective} loss (nats)"
    top = sweep.losses[0] + (sweep.losses[0] - min(losses))  # excludes the diverged losses
    figure = {"lines": lines, "x": x, "y": y, "log": log, "top": top}
    return {"numbers": numbers, "figure": figure}


def _loader(split: Any, seed: int) -> Any:
    import torch

    x, y = split
    images = (torch.from_numpy(x)[:, None] - 0.1307) / 0.3081
    pairs = torch.utils.data.TensorDataset(images, torch.from_numpy(y).long())
    generator = torch.Generator().manual_seed(seed)
    return torch.utils.data.DataLoader(pairs, 256, shuffle=True, generator=generator)


def _network() -> torch.nn.Module:
    """Return the network of the example: two convolutions, two dense layers and dropout."""
    from torch import nn

    return nn.Sequential(
        *(nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(10, 20, 5), nn.Dropout2d(), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(320, 50), nn.ReLU(), nn.Dropout(), nn.Linear(50, 10)),
        nn.LogSoftmax(dim=1),
    )
