"""Record PyTorch: Learners, range tests and the Scheduler."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import numpy as np
import torch
from golden_learners import (
    CONTROLLED,
    MOMENTA,
    RATES,
    STEPS,
    data,
    drives,
    sweep_of,
    trained,
)
from golden_values import digest, measured, rates, text
from torch.nn.functional import mse_loss

import lehr
import lehr.torch

torch.set_num_threads(1)
DATA = {name: tuple(map(torch.from_numpy, pair)) for name, pair in data().items()}
GROUPED = lehr.Policy(lr={"body": RATES * 0.5, "head": RATES}, momentum=MOMENTA)
ADAM = lehr.Policy(
    lr=RATES * 0.1, momentum=MOMENTA, weight_decay=lehr.table([0.1, 0.05, 0.2, 0.0, 0.1])
)


def record(recorded: dict[str, Any]) -> dict[str, Any]:
    return {
        "learner": drives(_learner, _weights),
        "learner, dropout and batch norm": drives(partial(_learner, layers=True), _weights),
        "learner, groups": trained(_learner(groups=True), _weights, GROUPED, STEPS),
        "learner, AdamW": trained(_learner(adam=True), _weights, ADAM, STEPS),
        "learner, own step": trained(_learner(step=_step), _weights, lehr.Policy(RATES), STEPS),
        "sweeps": {
            "training": _sweep(high=30.0, steps=60),
            "diverging": _sweep(low=1e-3, high=1e3, steps=40),
            "not finite": _sweep(low=1e-2, high=1e12, steps=40, divergence=1e300),
            "flat": _sweep(low=1e-7, high=1e-6, steps=20),
            "linear": _sweep(low=0.01, high=2.0, steps=40, spacing="linear"),
            "validation": _sweep(high=30.0, steps=40, validation_data=_loader("validation")),
            "accumulation": _sweep(high=30.0, steps=30, accumulation=4),
            "groups": _sweep(high=30.0, steps=40, groups=True),
            "dropout, own step, on disk": _sweep(
                high=30.0, steps=40, layers=True, step=_step, on_disk=True
            ),
            "AdamW": _sweep(high=1.0, steps=40, adam=True),
        },
        "scheduler": {
            "one cycle": _driven(lehr.one_cycle(0.1)),
            "groups": _driven(GROUPED, groups=True),
            "relative": _driven(lehr.warmup(1.0, 10).then(lehr.cosine(1.0)), relative=True),
            "controller": _driven(CONTROLLED),
        },
    }


def _model(layers: bool = False) -> torch.nn.Sequential:
    torch.manual_seed(3)
    more = [torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.3)] if layers else []
    body, head = torch.nn.Linear(5, 8), torch.nn.Linear(8, 3)
    return torch.nn.Sequential(body, torch.nn.Tanh(), *more, head)


def _optimizer(model: Any, groups: bool = False, adam: bool = False) -> torch.optim.Optimizer:
    if adam:
        return torch.optim.AdamW(model.parameters(), lr=0.01)
    if groups:
        parts = {"body": model[:-1], "head": model[-1]}
        named = [
            {"params": list(part.parameters()), "name": name, "lr": 0.05 if name == "body" else 0.1}
            for name, part in parts.items()
        ]
        return torch.optim.SGD(named, lr=0.1, momentum=0.9)
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def _learner(layers: bool = False, step: Any = None, **how: Any) -> lehr.torch.Learner:
    model = _model(layers)
    random.seed(5)  # a snapshot has the states of all generators
    np.random.seed(5)
    return lehr.torch.Learner(
        model,
        _optimizer(model, **how),
        None if step else mse_loss,
        DATA["train"],
        validation=DATA["validation"],
        test=DATA["test"],
        batch_size=8,
        seed=5,
        step=step,
        metrics=None if step else {"error": lambda output, y: (output - y).abs().mean()},
    )


def _step(model: torch.nn.Module, batch: Any) -> torch.Tensor:
    x, y = batch
    return ((model(x) - y) ** 4).mean()


def _weights(learner: Any) -> list[Any]:
    return [tensor.numpy() for tensor in learner.model.state_dict().values()]


def _loader(split: str) -> list[Any]:
    x, y = DATA[split]
    return list(zip(x.split(8), y.split(8), strict=True))


def _sweep(
    groups: bool = False, adam: bool = False, layers: bool = False, step: Any = None, **how: Any
) -> dict[str, Any]:
    model = _model(layers)
    optimizer = _optimizer(model, groups, adam)
    torch.manual_seed(4)
    loss = None if step else mse_loss
    sweep = lehr.torch.range_test(model, optimizer, loss, _loader("train"), train_step=step, **how)
    return sweep_of(sweep) | {"after": digest(*(w.numpy() for w in model.state_dict().values()))}


def _driven(policy: Any, groups: bool = False, **how: Any) -> dict[str, Any]:
    """Make 32 updates twice: uninterrupted, and resumed from the state saved after 17."""

    def build() -> Any:
        model = _model()
        optimizer = _optimizer(model, groups)
        return model, optimizer, lehr.torch.Scheduler(optimizer, policy, 32, **how)

    def run(built: Any, first: int, last: int) -> list[tuple[float, list[float]]]:
        model, optimizer, scheduler = built
        batches, done = _loader("train"), []
        for n in range(first, last):
            x, y = batches[n % len(batches)]
            optimizer.zero_grad()
            loss = mse_loss(model(x), y)
            loss.backward()
            done.append((loss.item(), [group["lr"] for group in optimizer.param_groups]))
            optimizer.step()
            scheduler.step()
            if scheduler.policy.control is not None and n % 4 == 3:
                x, y = DATA["validation"]
                scheduler.observe(mse_loss(model(x), y).item())
        return done

    whole, half, other = build(), build(), build()
    straight = run(whole, 0, 32)
    parts = run(half, 0, 17)
    for new, old in zip(other, half, strict=True):
        new.load_state_dict(old.state_dict())
    parts += run(other, 17, 32)
    weights = [
        digest(*(w.numpy() for w in model.state_dict().values())) for model in (whole[0], other[0])
    ]
    return {
        "losses": measured(loss for loss, _ in straight),
        "rates": rates(rate for _, used in straight for rate in used),
        "weights": weights[0],
        "resumed alike": (straight, weights[0]) == (parts, weights[1]),
        "step": whole[2].last_epoch,
        "last rates": text(str(whole[2].get_last_lr())),
    }
